-- Replies of providers that may hold again: the next run asks whether they do, and a 304 costs neither a body nor, with
-- most providers, a part of the rate limit.
SET LOCAL ROLE porthole_owner;
SET LOCAL search_path = porthole;

-- Nothing here can be read without the tenant's data key. It is a cache: a row that is gone, or doesn't open any more, is
-- fetched anew. So it isn't split into shards: a tenant that is moved or exported leaves it behind.
CREATE TABLE stored_replies (
    tenant_id uuid NOT NULL,
    instance_id uuid NOT NULL,
    -- Operation, request, destination and credential, as a hash.
    reply_key uuid NOT NULL,
    -- The operation as it was declared, as a hash: other shapes go when a run begins.
    shape uuid NOT NULL,
    -- Whose eyes saw it; null for a request without a credential.
    credential_id uuid,
    -- Which of the tenant's data keys sealed it, and in which run: together they say with which key it opens.
    key_id integer NOT NULL,
    run_id uuid NOT NULL,
    validator bytea NOT NULL,
    reply bytea NOT NULL,
    fetched_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, instance_id, reply_key),
    FOREIGN KEY (tenant_id, instance_id) REFERENCES instances ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, key_id) REFERENCES tenant_keys
);
-- Sealed bytes don't compress; trying would cost each write.
ALTER TABLE stored_replies ALTER COLUMN reply SET STORAGE EXTERNAL, ALTER COLUMN validator SET STORAGE EXTERNAL;

-- The reader sees no key and no sealed secret, and this is sealed.
CALL make_tenant_table('stored_replies', false);

-- The provider answered that nothing has changed, and the stored reply took the place of its answer.
ALTER TABLE run_calls ADD COLUMN reused boolean NOT NULL DEFAULT false;

RESET search_path;
RESET ROLE;
