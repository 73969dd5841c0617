-- Mapped relationships: the far end isn't of the instance that says so.
SET LOCAL ROLE porthole_owner;
SET LOCAL search_path = porthole;

-- A relationship that carries its far end, which another instance may have collected or nobody: which end that is (`f`, where
-- it comes from, or `t`, where it goes to), its type and its classes. It dangles only when its near end is missing.
ALTER TABLE relationships
    ADD COLUMN far "char" CHECK (far IN ('f', 't')),
    ADD COLUMN far_type text,
    ADD COLUMN far_class text[],
    ADD CHECK ((far IS NULL) = (far_type IS NULL) AND (far IS NULL) = (far_class IS NULL));

-- Mapping rules. Those of an instance's module are the instance's; a rule without instance is the tenant's own.
CREATE TABLE mappings (
    tenant_id uuid NOT NULL REFERENCES tenants,
    mapping_id uuid NOT NULL,
    instance_id uuid,
    id text NOT NULL,
    rule jsonb NOT NULL,
    -- The type and the verb of what it relates.
    _type text NOT NULL,
    verb text NOT NULL,
    -- What counts at its two ends: see `traits`.
    from_kind uuid NOT NULL,
    to_kind uuid NOT NULL,
    -- The tenant doesn't want it.
    off boolean NOT NULL DEFAULT false,
    -- The module version that the instance runs doesn't have it.
    retired boolean NOT NULL DEFAULT false,
    since timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    PRIMARY KEY (tenant_id, mapping_id),
    UNIQUE NULLS NOT DISTINCT (tenant_id, instance_id, id),
    FOREIGN KEY (tenant_id, instance_id) REFERENCES instances ON DELETE CASCADE
);

-- The values by which rules find entities. A kind says of which entities which properties count; rules share it. What has
-- the same words of two kinds that a rule brings together is related by it.
CREATE TABLE traits (
    tenant_id uuid NOT NULL,
    shard smallint NOT NULL,
    instance_id uuid NOT NULL,
    key_hash uuid NOT NULL,
    kind uuid NOT NULL,
    value_hash uuid NOT NULL,
    -- One for each property of the kind.
    words text[] NOT NULL,
    -- The run that wrote the entity so.
    run_id uuid NOT NULL,
    since timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, shard, instance_id, key_hash, kind, value_hash)
) PARTITION BY LIST (shard);
CREATE INDEX traits_value ON traits (tenant_id, shard, kind, value_hash);

CALL make_shards('traits');
CALL make_tenant_table('mappings', true);
CALL make_tenant_table('traits', true);

-- The words that a property gives: text or numbers, one or a list, without spaces around them, ASCII letters in lower case;
-- no more than 64, none longer than 512 bytes. No name, no property: one null, so that it can stand in a product.
CREATE FUNCTION trait_options(properties jsonb, name text, email boolean) RETURNS SETOF text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT NULL WHERE name IS NULL
    UNION ALL
    SELECT DISTINCT word FROM (
        SELECT lower(btrim(item #>> '{}', E' \t\r\n') COLLATE "C") AS word
        FROM jsonb_array_elements(
            CASE jsonb_typeof(properties -> name)
                WHEN 'array' THEN properties -> name
                ELSE jsonb_build_array(properties -> name)
            END) WITH ORDINALITY AS items (item, n)
        WHERE name IS NOT NULL AND n <= 64 AND jsonb_typeof(item) IN ('string', 'number')
    ) words
    WHERE octet_length(word) BETWEEN 1 AND 512
        AND (NOT email OR word ~ '^[^@[:space:]]+@[^@[:space:]]+[.][^@[:space:].]+$')
$$;

-- All combinations of the words of up to three properties.
CREATE FUNCTION trait_words(properties jsonb, names text[], email boolean) RETURNS SETOF text[]
    LANGUAGE sql IMMUTABLE
    SET search_path = porthole, pg_catalog, pg_temp
    AS $$
    SELECT array_remove(ARRAY[a, b, c], NULL)
    FROM trait_options(properties, names[1], email) a, trait_options(properties, names[2], email) b,
        trait_options(properties, names[3], email) c
    ORDER BY 1 LIMIT 64
$$;

CREATE FUNCTION trait_hash(words text[]) RETURNS uuid
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
    AS $$ SELECT encode(substring(sha256(convert_to(words::text, 'UTF8')) FOR 16), 'hex')::uuid $$;

REVOKE EXECUTE ON FUNCTION trait_options(jsonb, text, boolean), trait_words(jsonb, text[], boolean), trait_hash(text[])
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION trait_options(jsonb, text, boolean), trait_words(jsonb, text[], boolean), trait_hash(text[])
    TO porthole_app;

-- What the rules that are on relate, a row for each value that two entities have in common. Row security is the reader's.
CREATE VIEW found_relationships WITH (security_invoker = true) AS
    SELECT f.tenant_id, f.shard, m.mapping_id, m.instance_id AS rule_instance_id, m.id AS rule, m._type, m.verb,
        f.instance_id AS from_instance_id, f.key_hash AS from_hash, t.instance_id AS to_instance_id, t.key_hash AS to_hash,
        f.words, greatest(m.since, f.since, t.since) AS since
    FROM mappings m
    JOIN traits f ON f.tenant_id = m.tenant_id AND f.kind = m.from_kind
        AND (m.instance_id IS NULL OR m.instance_id = f.instance_id)
    JOIN traits t ON t.tenant_id = f.tenant_id AND t.shard = f.shard AND t.kind = m.to_kind
        AND t.value_hash = f.value_hash AND t.words = f.words
    WHERE NOT m.off AND NOT m.retired AND (t.instance_id, t.key_hash) <> (f.instance_id, f.key_hash);
GRANT SELECT ON found_relationships TO porthole_app, porthole_reader;

-- As before, and traits.
CREATE OR REPLACE PROCEDURE analyze_shard(table_name text, shard smallint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = porthole, pg_catalog, pg_temp
    AS $$
BEGIN
    IF shard NOT BETWEEN 0 AND 63 THEN
        RAISE EXCEPTION 'there is no shard %', shard;
    END IF;
    CASE table_name
        WHEN 'entities' THEN
            EXECUTE format('ANALYZE porthole.entities_%s (tenant_id, shard, instance_id, key_hash, _type)',
                lpad(shard::text, 2, '0'));
        WHEN 'relationships' THEN
            EXECUTE format('ANALYZE porthole.relationships_%s (tenant_id, shard, instance_id, key_hash, from_hash, to_hash, '
                'dangling)', lpad(shard::text, 2, '0'));
        WHEN 'traits' THEN
            EXECUTE format('ANALYZE porthole.traits_%s (tenant_id, shard, instance_id, key_hash, kind, value_hash)',
                lpad(shard::text, 2, '0'));
    END CASE;
END
$$;

RESET search_path;
RESET ROLE;

-- What is staged now, of runs that are under way or held.
DO $$
DECLARE
    staged regclass;
BEGIN
    FOR staged IN SELECT c.oid FROM pg_class c
        WHERE c.relnamespace = 'staging'::regnamespace AND c.relkind = 'r' AND c.relname LIKE 'run\_%\_r' LOOP
        EXECUTE format('ALTER TABLE %s ADD COLUMN far "char", ADD COLUMN far_type text, ADD COLUMN far_class text[]', staged);
    END LOOP;
END
$$;
