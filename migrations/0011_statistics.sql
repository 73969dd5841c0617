-- Statistics of the graph, right after it grew. Without them the planner takes a large instance for one row, and any index
-- that begins with the tenant for as good as the one that leads to a single object. The server would see to them within a
-- minute, but the next run may come before that.
SET LOCAL ROLE porthole_owner;
SET LOCAL search_path = porthole;

-- Analysing takes the owner. The names are looked up here, and only what is indexed is read.
CREATE PROCEDURE analyze_shard(table_name text, shard smallint)
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
    END CASE;
END
$$;
REVOKE EXECUTE ON PROCEDURE analyze_shard(text, smallint) FROM PUBLIC;
GRANT EXECUTE ON PROCEDURE analyze_shard(text, smallint) TO porthole_app;

RESET search_path;
RESET ROLE;
