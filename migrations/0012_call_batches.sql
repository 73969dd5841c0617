-- Calls are recorded as they come together: one row and one audit record for a batch, durable before any of them is sent.
-- How a call ended is a row of its own, written once and never changed. Before, each call was a row that was written twice.
SET LOCAL ROLE porthole_owner;
SET LOCAL search_path = porthole;

-- Calls that are about to be sent. The rows of a run go when it ends: each of their calls has its own row by then.
CREATE TABLE run_call_batches (
    tenant_id uuid NOT NULL,
    run_id uuid NOT NULL,
    -- The smallest number in it.
    first_seq bigint NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- One element for each call.
    seqs bigint[] NOT NULL CHECK (cardinality(seqs) > 0),
    steps text[] NOT NULL CHECK (cardinality(steps) = cardinality(seqs)),
    partitions text[] NOT NULL CHECK (cardinality(partitions) = cardinality(seqs)),
    operations text[] NOT NULL CHECK (cardinality(operations) = cardinality(seqs)),
    request_bytes bigint[] NOT NULL CHECK (cardinality(request_bytes) = cardinality(seqs)),
    PRIMARY KEY (tenant_id, run_id, first_seq)
);
CALL make_tenant_table('run_call_batches', true);
REVOKE UPDATE ON run_call_batches FROM porthole_app;

-- Rows are written once now, so no page needs room for a second version.
ALTER TABLE run_calls SET (fillfactor = 100);
REVOKE UPDATE ON run_calls FROM porthole_app;

-- Records calls under a claim that is current, and stays so until this is committed: the run's end waits for it, so that
-- nothing is recorded of a run after its end. Null when the claim isn't current; nothing is written then.
--
-- A function, because calls wait for it: as one statement it is a transaction of its own and one way to the server and
-- back, where five statements are five. It has no rights but its caller's, enters the tenant as every transaction does,
-- and names the tenant in every statement. None of these tables is partitioned, so their plans are made once.
CREATE FUNCTION begin_calls(
    of_tenant uuid,
    of_run uuid,
    of_fence bigint,
    seqs bigint[],
    steps text[],
    partitions text[],
    operations text[],
    request_bytes bigint[],
    record_ids uuid[],
    records text[]
) RETURNS timestamptz
    LANGUAGE plpgsql
    SET plan_cache_mode = force_generic_plan
    AS $$
DECLARE
    began timestamptz := clock_timestamp();
BEGIN
    PERFORM set_config('porthole.tenant', of_tenant::text, true);
    PERFORM FROM runs r
        WHERE r.tenant_id = of_tenant AND r.run_id = of_run AND r.fence = of_fence AND r.state = 'running' FOR SHARE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO run_call_batches
        VALUES (of_tenant, of_run, seqs[1], began, seqs, steps, partitions, operations, request_bytes);
    -- As `audit::append` does it: numbered in the order of the list, and queued by the same number.
    WITH new AS (
        INSERT INTO audit_pending (tenant_id, id, record_id, run_id, record)
        SELECT of_tenant, nextval('audit_order'), e.record_id, of_run, e.record
        FROM (SELECT * FROM unnest(record_ids, records) WITH ORDINALITY AS r (record_id, record, n) ORDER BY n) e
        RETURNING id)
    INSERT INTO audit_queue (tenant_id, id) SELECT of_tenant, id FROM new;
    RETURN began;
END
$$;
REVOKE EXECUTE ON FUNCTION begin_calls FROM PUBLIC;
GRANT EXECUTE ON FUNCTION begin_calls TO porthole_app;

RESET search_path;
RESET ROLE;
