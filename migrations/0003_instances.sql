-- What a tenant has configured: instances, what they may do, and the secrets they use.
SET LOCAL ROLE porthole_owner;
SET LOCAL search_path = porthole;

CREATE TABLE instances (
    tenant_id uuid NOT NULL REFERENCES tenants,
    instance_id uuid NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 63),
    module_digest text NOT NULL REFERENCES modules,
    config jsonb NOT NULL DEFAULT '{}',
    -- Counts reconciles. A run that compared with an older generation applies nothing.
    generation bigint NOT NULL DEFAULT 0,
    -- A run that would delete more than this share of a type, and at least this many objects, is held.
    brake_share real NOT NULL DEFAULT 0.3 CHECK (brake_share BETWEEN 0 AND 1),
    brake_floor integer NOT NULL DEFAULT 50 CHECK (brake_floor >= 0),
    disabled boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    PRIMARY KEY (tenant_id, instance_id),
    UNIQUE (tenant_id, name)
);

-- What an instance may do. A new grant is a new row; the highest version counts.
CREATE TABLE grants (
    tenant_id uuid NOT NULL,
    instance_id uuid NOT NULL,
    version integer NOT NULL,
    allowed jsonb NOT NULL,
    actor text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, instance_id, version),
    FOREIGN KEY (tenant_id, instance_id) REFERENCES instances ON DELETE CASCADE
);

-- The tenant's data key, wrapped by the key-encryption key. Deleting the row shreds every credential of the tenant.
CREATE TABLE tenant_keys (
    tenant_id uuid NOT NULL REFERENCES tenants,
    key_id integer NOT NULL,
    wrapped jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, key_id)
);

-- Sealed secrets. A replaced or removed one keeps its row, for the record, and loses its bytes.
CREATE TABLE credentials (
    tenant_id uuid NOT NULL,
    instance_id uuid NOT NULL,
    slot text NOT NULL,
    version integer NOT NULL,
    credential_id uuid NOT NULL,
    method text NOT NULL,
    sealed bytea,
    set_at timestamptz NOT NULL DEFAULT now(),
    set_by text NOT NULL,
    ended_at timestamptz,
    PRIMARY KEY (tenant_id, instance_id, slot, version),
    FOREIGN KEY (tenant_id, instance_id) REFERENCES instances ON DELETE CASCADE,
    CHECK ((sealed IS NULL) = (ended_at IS NOT NULL))
);
CREATE UNIQUE INDEX credentials_live ON credentials (tenant_id, instance_id, slot) WHERE ended_at IS NULL;

CALL make_tenant_table('instances', true);
CALL make_tenant_table('grants', true);
-- The reader sees no key and no sealed secret.
CALL make_tenant_table('tenant_keys', false);
CALL make_tenant_table('credentials', false);

RESET search_path;
RESET ROLE;
