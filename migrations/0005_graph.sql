-- The graph: slices, entities, relationships, and what they were before.
SET LOCAL ROLE porthole_owner;
SET LOCAL search_path = porthole;

-- The completeness ledger, and short numbers for slices.
CREATE TABLE slices (
    tenant_id uuid NOT NULL,
    instance_id uuid NOT NULL,
    slice_id integer NOT NULL,
    step text NOT NULL,
    partition text NOT NULL,
    last_complete_run uuid,
    last_complete_at timestamptz,
    last_run uuid,
    last_reason text NOT NULL DEFAULT '',
    -- The partition is gone from its provider, or the step from its module.
    retired boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, instance_id, slice_id),
    UNIQUE (tenant_id, instance_id, step, partition),
    FOREIGN KEY (tenant_id, instance_id) REFERENCES instances ON DELETE CASCADE
);

CREATE TABLE entities (
    tenant_id uuid NOT NULL,
    shard smallint NOT NULL,
    instance_id uuid NOT NULL,
    key_hash uuid NOT NULL,
    content_hash uuid NOT NULL,
    slice_id integer NOT NULL,
    _type text NOT NULL,
    _class text[] NOT NULL,
    _key text NOT NULL,
    display_name text NOT NULL,
    properties jsonb NOT NULL,
    -- The run that wrote this version.
    run_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, shard, instance_id, key_hash)
) PARTITION BY LIST (shard);
CREATE INDEX entities_type ON entities (tenant_id, shard, _type);

CREATE TABLE relationships (
    tenant_id uuid NOT NULL,
    shard smallint NOT NULL,
    instance_id uuid NOT NULL,
    key_hash uuid NOT NULL,
    content_hash uuid NOT NULL,
    slice_id integer NOT NULL,
    _type text NOT NULL,
    _key text NOT NULL,
    verb text NOT NULL,
    from_key text NOT NULL,
    from_hash uuid NOT NULL,
    to_key text NOT NULL,
    to_hash uuid NOT NULL,
    -- One end isn't in the graph. Kept aside until it is.
    dangling boolean NOT NULL,
    properties jsonb NOT NULL,
    run_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, shard, instance_id, key_hash)
) PARTITION BY LIST (shard);
CREATE INDEX relationships_from ON relationships (tenant_id, shard, instance_id, from_hash);
CREATE INDEX relationships_to ON relationships (tenant_id, shard, instance_id, to_hash);
CREATE INDEX relationships_dangling ON relationships (tenant_id, shard, instance_id) WHERE dangling;

-- Former versions of what a run changed or deleted. A run changes an object at most once.
CREATE TABLE changes (
    tenant_id uuid NOT NULL,
    shard smallint NOT NULL,
    instance_id uuid NOT NULL,
    run_id uuid NOT NULL,
    kind "char" NOT NULL CHECK (kind IN ('E', 'R')),
    key_hash uuid NOT NULL,
    op text NOT NULL CHECK (op IN ('updated', 'deleted')),
    _type text NOT NULL,
    _key text NOT NULL,
    former jsonb NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, shard, instance_id, run_id, kind, key_hash)
) PARTITION BY LIST (shard);

CALL make_shards('entities');
CALL make_shards('relationships');
CALL make_shards('changes');
CALL make_tenant_table('slices', true);
CALL make_tenant_table('entities', true);
CALL make_tenant_table('relationships', true);
CALL make_tenant_table('changes', true);

RESET search_path;
RESET ROLE;
