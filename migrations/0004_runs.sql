-- The ledger: runs, their slices, their calls, their log.
SET LOCAL ROLE porthole_owner;
SET LOCAL search_path = porthole;

CREATE TABLE runs (
    tenant_id uuid NOT NULL,
    run_id uuid NOT NULL,
    instance_id uuid NOT NULL,
    module_digest text NOT NULL REFERENCES modules,
    state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'held', 'finished')),
    mode text NOT NULL DEFAULT 'apply' CHECK (mode IN ('apply', 'plan')),
    outcome text CHECK (outcome IN ('succeeded', 'partial', 'failed', 'denied', 'timed-out', 'cancelled')),
    -- Effective operations and steps: what a reviewer reads.
    plan jsonb,
    requested_by text NOT NULL,
    reason text NOT NULL DEFAULT '',
    queued_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    worker text,
    fence bigint NOT NULL DEFAULT 0,
    fault text CHECK (fault IN ('guest', 'provider', 'tenant', 'host')),
    message text NOT NULL DEFAULT '',
    counts jsonb NOT NULL DEFAULT '{}',
    usage jsonb,
    -- What held around the guest's address space.
    isolation jsonb,
    -- The operator's exceptions of the egress policy that were in force.
    exceptions jsonb,
    graph_digest text,
    transcript_digest text,
    -- Held: what reconcile was going to be called with. Never sent to anyone.
    held jsonb,
    confirmed_by text,
    confirmed_at timestamptz,
    cancelled_by text,
    PRIMARY KEY (tenant_id, run_id),
    FOREIGN KEY (tenant_id, instance_id) REFERENCES instances,
    CHECK ((state = 'finished') = (outcome IS NOT NULL)),
    CHECK ((state = 'finished') = (finished_at IS NOT NULL))
);
-- One active run for each instance; a confirmed one that waits for its worker is active too.
CREATE UNIQUE INDEX runs_active ON runs (tenant_id, instance_id)
    WHERE state IN ('running', 'held') OR (state = 'queued' AND confirmed_at IS NOT NULL);
CREATE INDEX runs_of_instance ON runs (tenant_id, instance_id, run_id);

CREATE TABLE run_slices (
    tenant_id uuid NOT NULL,
    run_id uuid NOT NULL,
    step text NOT NULL,
    partition text NOT NULL,
    state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'finished')),
    outcome text CHECK (outcome IN ('succeeded', 'partial', 'failed', 'denied', 'timed-out', 'cancelled', 'skipped')),
    -- Proved from the wire: every page followed, nothing denied, failed or cut.
    complete boolean NOT NULL DEFAULT false,
    reason text NOT NULL DEFAULT '',
    -- What it is doing or waiting for just now.
    note text NOT NULL DEFAULT '',
    done bigint NOT NULL DEFAULT 0,
    total bigint,
    counts jsonb NOT NULL DEFAULT '{}',
    usage jsonb,
    started_at timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (tenant_id, run_id, step, partition),
    FOREIGN KEY (tenant_id, run_id) REFERENCES runs ON DELETE CASCADE
);

-- Every call. The row is there before the request is sent and is completed once.
CREATE TABLE run_calls (
    tenant_id uuid NOT NULL,
    run_id uuid NOT NULL,
    seq bigint NOT NULL,
    step text NOT NULL,
    partition text NOT NULL,
    operation text NOT NULL,
    decision text NOT NULL CHECK (decision IN ('allowed', 'denied')),
    layer text,
    reason text NOT NULL DEFAULT '',
    remedy text NOT NULL DEFAULT '',
    status smallint,
    fault_code text,
    attempts integer NOT NULL DEFAULT 0,
    request_bytes bigint NOT NULL DEFAULT 0,
    response_bytes bigint NOT NULL DEFAULT 0,
    waited_ms bigint NOT NULL DEFAULT 0,
    elapsed_ms bigint NOT NULL DEFAULT 0,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    completed_at timestamptz,
    PRIMARY KEY (tenant_id, run_id, seq)
);
CREATE INDEX run_calls_open ON run_calls (tenant_id, run_id) WHERE completed_at IS NULL;

CREATE TABLE run_log (
    tenant_id uuid NOT NULL,
    run_id uuid NOT NULL,
    seq bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    level text NOT NULL CHECK (level IN ('debug', 'info', 'warn', 'error')),
    source text NOT NULL CHECK (source IN ('guest', 'host')),
    step text NOT NULL DEFAULT '',
    partition text NOT NULL DEFAULT '',
    message text NOT NULL,
    PRIMARY KEY (tenant_id, run_id, seq)
);

-- Objects that were set aside, and why. Never their content.
CREATE TABLE run_rejections (
    tenant_id uuid NOT NULL,
    run_id uuid NOT NULL,
    seq bigint NOT NULL,
    step text NOT NULL,
    partition text NOT NULL,
    object_type text NOT NULL DEFAULT '',
    object_key text NOT NULL DEFAULT '',
    reason text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, run_id, seq)
);

CALL make_tenant_table('runs', true);
CALL make_tenant_table('run_slices', true);
CALL make_tenant_table('run_calls', true);
CALL make_tenant_table('run_log', true);
CALL make_tenant_table('run_rejections', true);

RESET search_path;
RESET ROLE;
