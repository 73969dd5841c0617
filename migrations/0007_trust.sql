-- Who may publish modules, who may approve them, and what they signed. Tables of the platform: no tenant's data, no row
-- security.
--
-- Everything here is a record: the application may read and add, and neither change nor delete. What ends (a key) or is
-- taken back (a version) is another record.
SET LOCAL ROLE porthole_owner;
SET LOCAL search_path = porthole;

CREATE TABLE publishers (
    name text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9_-]{0,62}$'),
    added_at timestamptz NOT NULL DEFAULT now(),
    added_by text NOT NULL
);

-- The people behind a publisher, by their names as reviewers: they can't approve what it publishes.
CREATE TABLE publisher_people (
    publisher text NOT NULL REFERENCES publishers,
    person text NOT NULL CHECK (length(person) BETWEEN 1 AND 256),
    added_at timestamptz NOT NULL DEFAULT now(),
    added_by text NOT NULL,
    PRIMARY KEY (publisher, person)
);

CREATE TABLE reviewers (
    name text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9_-]{0,62}$'),
    added_at timestamptz NOT NULL DEFAULT now(),
    added_by text NOT NULL
);

-- The public keys of both. A key has one holder: nobody publishes with a key and approves with the same one.
CREATE TABLE signing_keys (
    -- SHA-256 of the SubjectPublicKeyInfo.
    key_id text PRIMARY KEY CHECK (key_id ~ '^sha256:[0-9a-f]{64}$'),
    -- PEM.
    public_key text NOT NULL CHECK (length(public_key) <= 4096),
    publisher text REFERENCES publishers,
    reviewer text REFERENCES reviewers,
    added_at timestamptz NOT NULL DEFAULT now(),
    added_by text NOT NULL,
    CHECK ((publisher IS NULL) <> (reviewer IS NULL))
);
CREATE INDEX signing_keys_publisher ON signing_keys (publisher) WHERE publisher IS NOT NULL;
CREATE INDEX signing_keys_reviewer ON signing_keys (reviewer) WHERE reviewer IS NOT NULL;

CREATE TABLE signing_key_ends (
    key_id text PRIMARY KEY REFERENCES signing_keys,
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 2048),
    -- What a reviewer's key approved before doesn't count either: someone else had it.
    void boolean NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL
);

-- The signature files of modules. A module may have several: a publisher signs again when a key of theirs ends.
CREATE TABLE module_signatures (
    module_digest text NOT NULL REFERENCES modules,
    key_id text NOT NULL REFERENCES signing_keys,
    document text NOT NULL CHECK (octet_length(document) <= 4096),
    added_at timestamptz NOT NULL DEFAULT now(),
    added_by text NOT NULL,
    PRIMARY KEY (module_digest, key_id)
);

-- Approvals, as their reviewers signed them. Who, when, what, what they were shown and why stands in the document; the
-- columns are for looking, and whether an approval counts is decided from the document.
CREATE TABLE module_approvals (
    approval_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    module_digest text NOT NULL REFERENCES modules,
    kind text NOT NULL CHECK (kind IN ('normal', 'automatic', 'emergency', 'follow-up')),
    reviewer text REFERENCES reviewers,
    document text NOT NULL CHECK (octet_length(document) <= 16384),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    recorded_by text NOT NULL,
    CHECK ((kind = 'automatic') = (reviewer IS NULL)),
    -- The same record twice is one.
    UNIQUE (module_digest, document)
);

-- Versions that were taken back.
CREATE TABLE module_yanks (
    module_digest text PRIMARY KEY REFERENCES modules,
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 2048),
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL
);

GRANT SELECT, INSERT ON publishers, publisher_people, reviewers, signing_keys, signing_key_ends, module_signatures,
    module_approvals, module_yanks TO porthole_app;

RESET search_path;
RESET ROLE;
