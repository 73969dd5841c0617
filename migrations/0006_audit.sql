-- The audit logs: one for each tenant, one for the platform. A record is written as pending in the transaction of the
-- change it tells of; a sequencer moves it into its log, in order, and signs where the log stands then.
SET LOCAL ROLE porthole_owner;
SET LOCAL search_path = porthole;

-- What is never changed and never deleted, not even by the owner of the table: a slip of ours, or a statement of someone
-- who has the application's login, must not be able to. Rights say the same; this is the second lock.
CREATE FUNCTION audit_append_only() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    RAISE EXCEPTION 'audit: % on % is refused, records are never changed or deleted', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;

-- A log never gets shorter, and its signer never changes by accident.
CREATE FUNCTION audit_head_moves_on() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF NEW.size < OLD.size OR NEW.tenant_id <> OLD.tenant_id OR NEW.signer IS DISTINCT FROM coalesce(OLD.signer, NEW.signer) THEN
        RAISE EXCEPTION 'audit: a log only grows, and under one key' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;

-- Numbers pending records in the order in which they were written: one appender's stay in their order, and what was
-- written after something was seen comes after it.
CREATE SEQUENCE audit_order AS bigint;

-- Which logs have pending records: ids only, so that a sequencer finds them before it has entered a tenant. The platform
-- stands here under the id of nobody, as it does in its own tables.
CREATE TABLE audit_queue (
    tenant_id uuid NOT NULL,
    id bigint NOT NULL,
    PRIMARY KEY (tenant_id, id)
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 10000);

CREATE TABLE audit_pending (
    tenant_id uuid NOT NULL,
    id bigint NOT NULL,
    record_id uuid NOT NULL,
    -- The run it happened in, to find it by.
    run_id uuid,
    -- The leaf's bytes: canonical JSON.
    record text NOT NULL CHECK (octet_length(record) <= 65536),
    -- The key of the record's commitments: in no export.
    salt bytea CHECK (octet_length(salt) = 32),
    PRIMARY KEY (tenant_id, id)
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 10000);

CREATE TABLE audit_leaves (
    tenant_id uuid NOT NULL,
    -- Counts from 0, without a gap.
    idx bigint NOT NULL CHECK (idx >= 0),
    record_id uuid NOT NULL,
    run_id uuid,
    -- RFC 6962: SHA-256 of a zero byte and the record.
    leaf_hash bytea NOT NULL CHECK (octet_length(leaf_hash) = 32),
    record text NOT NULL,
    salt bytea,
    PRIMARY KEY (tenant_id, idx)
);
CREATE UNIQUE INDEX audit_leaves_record ON audit_leaves (tenant_id, record_id);
CREATE INDEX audit_leaves_run ON audit_leaves (tenant_id, run_id, idx) WHERE run_id IS NOT NULL;

-- Roots of the full subtrees over 2^8, 2^16, 2^24, … leaves: with them a proof in a log of millions reads some hundreds
-- of rows. What is between is computed from what is below.
CREATE TABLE audit_nodes (
    tenant_id uuid NOT NULL,
    level smallint NOT NULL CHECK (level BETWEEN 8 AND 56 AND level % 8 = 0),
    idx bigint NOT NULL CHECK (idx >= 0),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (tenant_id, level, idx)
);

-- Where each log stands. Who appends holds this row.
CREATE TABLE audit_heads (
    tenant_id uuid NOT NULL,
    size bigint NOT NULL DEFAULT 0 CHECK (size >= 0),
    -- The roots of the full subtrees that make up the log, the largest first: all that appending takes.
    frontier bytea NOT NULL DEFAULT '',
    root bytea CHECK (octet_length(root) = 32),
    -- The verifier key of whoever signs this log; set with the first checkpoint.
    signer text,
    PRIMARY KEY (tenant_id)
);

-- Signed notes (C2SP): at this size the log had this root.
CREATE TABLE audit_checkpoints (
    tenant_id uuid NOT NULL,
    size bigint NOT NULL CHECK (size >= 0),
    note text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, size)
);

-- The platform's own, with the same columns, so that one statement serves both. They hold no tenant's data: tenants may
-- have what the platform's administrators do proved to them.
CREATE TABLE platform_audit_pending (LIKE audit_pending INCLUDING ALL)
    WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 10000);
CREATE TABLE platform_audit_leaves (LIKE audit_leaves INCLUDING ALL);
CREATE TABLE platform_audit_nodes (LIKE audit_nodes INCLUDING ALL);
CREATE TABLE platform_audit_heads (LIKE audit_heads INCLUDING ALL);
CREATE TABLE platform_audit_checkpoints (LIKE audit_checkpoints INCLUDING ALL);

-- The operator's configuration as it was last recorded, by where it was read: to see whether it has changed.
CREATE TABLE operator_config (
    source text PRIMARY KEY CHECK (length(source) <= 4096),
    -- The record of the last change, which has the key of the digest.
    record_id uuid NOT NULL,
    digest text NOT NULL
);

INSERT INTO platform_audit_heads (tenant_id) VALUES ('00000000-0000-0000-0000-000000000000');
-- Tenants that are there already get an empty log.
INSERT INTO audit_heads (tenant_id) SELECT tenant_id FROM tenants;

-- No reader: reading a log is an act that is logged, and SQL would pass it by.
CALL make_tenant_table('audit_pending', false);
CALL make_tenant_table('audit_leaves', false);
CALL make_tenant_table('audit_nodes', false);
CALL make_tenant_table('audit_heads', false);
CALL make_tenant_table('audit_checkpoints', false);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['leaves', 'nodes', 'checkpoints', 'pending', 'heads'] LOOP
        EXECUTE format('ALTER TABLE platform_audit_%1$s ADD CONSTRAINT platform_audit_%1$s_of_nobody '
            'CHECK (tenant_id = ''00000000-0000-0000-0000-000000000000'')', name);
        EXECUTE format('REVOKE ALL ON audit_%1$s, platform_audit_%1$s FROM porthole_app', name);
        EXECUTE format('GRANT SELECT, INSERT ON audit_%1$s, platform_audit_%1$s TO porthole_app', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['audit_leaves', 'audit_nodes', 'audit_checkpoints', 'platform_audit_leaves',
            'platform_audit_nodes', 'platform_audit_checkpoints'] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I '
            'FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['audit_heads', 'platform_audit_heads'] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON %I '
            'FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()', name);
        EXECUTE format('CREATE TRIGGER moves_on BEFORE UPDATE ON %I '
            'FOR EACH ROW EXECUTE FUNCTION audit_head_moves_on()', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['audit_pending', 'platform_audit_pending'] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON %I '
            'FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()', name);
    END LOOP;
END
$$;
-- A sequencer takes what it has put into a log out of what is pending, and moves the head on.
GRANT DELETE ON audit_pending, platform_audit_pending TO porthole_app;
GRANT UPDATE ON audit_heads, platform_audit_heads TO porthole_app;
GRANT SELECT, INSERT, DELETE ON audit_queue TO porthole_app;
GRANT SELECT, INSERT, UPDATE ON operator_config TO porthole_app;
GRANT USAGE ON SEQUENCE audit_order TO porthole_app;

RESET search_path;
RESET ROLE;
