-- Tables of the platform: no tenant's data, no row security. Each is on the exception list that a test compares.
SET LOCAL ROLE porthole_owner;
SET LOCAL search_path = porthole;

-- Which tenants there are and where each one's data lives.
CREATE TABLE tenants (
    tenant_id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 63),
    -- One cell is one Postgres primary. There is one cell so far.
    cell text NOT NULL DEFAULT 'main',
    -- The partition of the graph. A small tenant shares a shard, a large one gets its own.
    shard smallint NOT NULL CHECK (shard BETWEEN 0 AND 63),
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL
);

-- Packed components, by digest. Nothing is overwritten.
CREATE TABLE modules (
    digest text PRIMARY KEY CHECK (digest ~ '^sha256:[0-9a-f]{64}$'),
    name text NOT NULL,
    version text NOT NULL,
    publisher text NOT NULL,
    manifest jsonb NOT NULL,
    component bytea NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now(),
    added_by text NOT NULL,
    UNIQUE (name, version)
);
-- WebAssembly is stored as it is: it is read whole, and compressing 64 kB at a time costs more than it saves.
ALTER TABLE modules ALTER COLUMN component SET STORAGE EXTERNAL;

-- The queue: what isn't finished. Ids only, so that a worker can find work for any tenant before it has entered one.
CREATE TABLE run_queue (
    tenant_id uuid NOT NULL,
    run_id uuid NOT NULL,
    instance_id uuid NOT NULL,
    -- Queued: when it may start. Held: infinity.
    available_at timestamptz NOT NULL DEFAULT now(),
    -- Running: until when its worker has it.
    lease_until timestamptz,
    worker text,
    -- Counts claims. Whoever holds an older number can finish nothing.
    fence bigint NOT NULL DEFAULT 0,
    -- Held, or confirmed after that: the claim whose staging table is kept.
    held_fence bigint,
    cancel_requested boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, run_id)
);
-- One active run for each instance.
CREATE UNIQUE INDEX run_queue_active ON run_queue (tenant_id, instance_id)
    WHERE lease_until IS NOT NULL OR held_fence IS NOT NULL;
CREATE INDEX run_queue_available ON run_queue (available_at) WHERE lease_until IS NULL;
CREATE INDEX run_queue_leases ON run_queue (lease_until) WHERE lease_until IS NOT NULL;

GRANT SELECT, INSERT ON tenants TO porthole_app;
GRANT SELECT, INSERT ON modules TO porthole_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON run_queue TO porthole_app;

RESET search_path;
RESET ROLE;
