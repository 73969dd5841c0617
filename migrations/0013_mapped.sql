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
