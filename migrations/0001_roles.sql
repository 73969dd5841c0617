-- Roles and row security first: everything later is owned by porthole_owner and reached as porthole_app.
--
-- Run by a role that may create roles and owns the database (or a superuser). Roles belong to the whole server, not to
-- one database, so they may exist already, and two databases may be migrated at the same moment: each statement that
-- touches them accepts that someone else was faster.

DO $$
DECLARE
    role_name text;
    attempts int;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['porthole_owner', 'porthole_app', 'porthole_reader'] LOOP
        BEGIN
            -- NOLOGIN: people and processes log in as themselves and are members. NOBYPASSRLS is the point of it all.
            EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE', role_name);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
        -- Membership, so that this migration may act as the owner and a single-user set-up may act as the application.
        -- USAGE and not MEMBER: from version 16 on, who makes a role is its member without being allowed to be it.
        attempts := 0;
        LOOP
            BEGIN
                IF NOT pg_has_role(current_user, role_name, 'USAGE') THEN
                    EXECUTE format('GRANT %I TO %I', role_name, current_user);
                END IF;
                EXIT;
            EXCEPTION WHEN unique_violation OR internal_error THEN
                attempts := attempts + 1;
                IF attempts > 20 THEN
                    RAISE;
                END IF;
                PERFORM pg_sleep(0.05);
            END;
        END LOOP;
    END LOOP;
END
$$;

-- `porthole` exists already: the table of applied migrations lives in it.
ALTER SCHEMA porthole OWNER TO porthole_owner;
ALTER TABLE porthole.applied_migrations OWNER TO porthole_owner;
GRANT USAGE ON SCHEMA porthole TO porthole_app, porthole_reader;
-- So that a program can refuse a database that is older or newer than itself.
GRANT SELECT ON porthole.applied_migrations TO porthole_app;

-- Runs make and drop their staging tables here. The application owns those, so row security can't hold it back there:
-- COPY can't go through row security. A staging table is private to one claim of one run.
CREATE SCHEMA staging AUTHORIZATION porthole_owner;
GRANT USAGE, CREATE ON SCHEMA staging TO porthole_app;

SET LOCAL ROLE porthole_owner;
SET LOCAL search_path = porthole;

-- People who read a tenant's graph with SQL: psql, BI tools, joins. A login belongs to one tenant, by its session user,
-- which it can't change; the setting that the application uses is anyone's to set and counts for nothing here. To add one:
--     CREATE ROLE acme_bi LOGIN PASSWORD '...';
--     GRANT porthole_reader TO acme_bi;
--     INSERT INTO porthole.readers SELECT 'acme_bi', tenant_id FROM porthole.tenants WHERE name = 'acme';
CREATE TABLE readers (
    login name PRIMARY KEY,
    tenant_id uuid NOT NULL
);

CREATE FUNCTION reader_tenant() RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$ SELECT tenant_id FROM porthole.readers WHERE login = session_user $$;
REVOKE EXECUTE ON FUNCTION reader_tenant() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION reader_tenant() TO porthole_reader;

-- Makes a table a tenant's: forced row security, its policies, and what the roles may do. Every migration that makes a
-- tenant table calls it; a test lists the tables that didn't.
CREATE PROCEDURE make_tenant_table(table_name text, for_readers boolean)
    LANGUAGE plpgsql
    SET search_path = porthole, pg_catalog
    AS $$
BEGIN
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', table_name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', table_name);
    -- The setting is gone, or empty, outside of a tenant's transaction: null is nobody's id. As a subquery it is read
    -- once for a statement and not once for a row.
    EXECUTE format(
        'CREATE POLICY tenant ON %I TO porthole_app, porthole_owner USING '
        '(tenant_id = (SELECT nullif(current_setting(''porthole.tenant'', true), '''')::uuid))',
        table_name);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO porthole_app', table_name);
    IF for_readers THEN
        EXECUTE format(
            'CREATE POLICY reader ON %I FOR SELECT TO porthole_reader USING (tenant_id = (SELECT reader_tenant()))',
            table_name);
        EXECUTE format('GRANT SELECT ON %I TO porthole_reader', table_name);
    END IF;
END
$$;

-- Splits a table into its 64 shards. Nobody has rights on a shard itself, and row security without a policy denies
-- even its owner: the parent, with its policy, is the only way in.
CREATE PROCEDURE make_shards(table_name text)
    LANGUAGE plpgsql
    SET search_path = porthole, pg_catalog
    AS $$
DECLARE
    shard_name text;
BEGIN
    FOR shard IN 0..63 LOOP
        shard_name := format('%s_%s', table_name, lpad(shard::text, 2, '0'));
        -- Room on each page for updates in place: none of the columns that a run changes is indexed.
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES IN (%s) WITH (fillfactor = 90)',
            shard_name, table_name, shard);
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', shard_name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', shard_name);
    END LOOP;
END
$$;

REVOKE EXECUTE ON PROCEDURE make_tenant_table(text, boolean), make_shards(text) FROM PUBLIC;

RESET search_path;
RESET ROLE;
