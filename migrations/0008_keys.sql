-- Data keys can be replaced and shredded: which of a tenant's keys sealed a secret, and what became of keys that ended.
SET LOCAL ROLE porthole_owner;
SET LOCAL search_path = porthole;

-- An ended key keeps its row, so that its number is never used again and a secret that it sealed says why it can't be
-- read; it loses its bytes.
ALTER TABLE tenant_keys
    ALTER COLUMN wrapped DROP NOT NULL,
    ADD COLUMN ended_at timestamptz,
    ADD COLUMN ended_by text,
    ADD COLUMN end_reason text,
    -- Who deleted the key's bytes for good: its secrets are lost on purpose. A key that was replaced had none left.
    ADD COLUMN shredded boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT tenant_keys_ended CHECK ((wrapped IS NULL) = (ended_at IS NOT NULL)
        AND (ended_at IS NULL) = (ended_by IS NULL) AND (ended_at IS NULL) = (end_reason IS NULL)
        AND (ended_at IS NOT NULL OR NOT shredded));

ALTER TABLE credentials ADD COLUMN key_id integer;

-- Row security binds the owner as well, so this goes through the tenants one by one.
DO $$
DECLARE
    t uuid;
BEGIN
    FOR t IN SELECT tenant_id FROM tenants LOOP
        PERFORM set_config('porthole.tenant', t::text, true);
        -- Before this migration a key was shredded by deleting its row. Its secrets are still there.
        INSERT INTO tenant_keys (tenant_id, key_id, wrapped, ended_at, ended_by, end_reason, shredded)
            SELECT t, 1, NULL, now(), 'person:unknown', 'its row was deleted', true
            WHERE EXISTS (SELECT FROM credentials WHERE tenant_id = t AND ended_at IS NULL)
            AND NOT EXISTS (SELECT FROM tenant_keys WHERE tenant_id = t);
        -- Until now the newest key sealed everything.
        UPDATE credentials SET key_id = (SELECT max(key_id) FROM tenant_keys WHERE tenant_id = t)
            WHERE tenant_id = t AND ended_at IS NULL;
    END LOOP;
    PERFORM set_config('porthole.tenant', '', true);
END
$$;

ALTER TABLE credentials
    ADD CONSTRAINT credentials_key FOREIGN KEY (tenant_id, key_id) REFERENCES tenant_keys,
    -- Null only for secrets that ended before keys were counted.
    ADD CONSTRAINT credentials_live_key CHECK (ended_at IS NOT NULL OR key_id IS NOT NULL);

RESET search_path;
RESET ROLE;
