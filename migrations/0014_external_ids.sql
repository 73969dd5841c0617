-- What a tenant's role demands of whoever assumes it, so that the platform can be had to assume it for this instance alone. Not a
-- secret, but nobody may guess it: 244 random bits.
SET LOCAL ROLE porthole_owner;
SET LOCAL search_path = porthole;

ALTER TABLE instances ADD COLUMN external_id text NOT NULL
    DEFAULT 'porthole-' || encode(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()), 'hex')
    CHECK (external_id ~ '^[0-9A-Za-z_-]{32,128}$');

RESET search_path;
RESET ROLE;
