//! The statements of a reconcile, as text. In all of them `$1` is the tenant, `$2` the shard, `$3` the instance, `$4` the
//! run and `$5` the sweepable slices.
//!
//! The planner has no statistics of staging, and those of the graph may be old; it then takes an instance for one row and
//! likes to walk all of it for each staged row. So little is left to its estimates: what is staged comes first, and the
//! graph is looked up by its key in a subquery that can't be turned into a join (`LIMIT 1`). The cost of each statement
//! follows what was staged, not what the instance holds. What is left is the choice of the index, and for that a run that
//! brings much sees to the statistics (`work.rs`).

use crate::staging::{self, ObjectKind};
use porthole_model::run::Claim;

/// Names of one claim's statements.
pub(super) struct Sql {
    /// The staging tables, entities first.
    staged: [String; 2],
}

/// What differs between entities and relationships.
struct Shape {
    code: char,
    table: &'static str,
    /// The former version that `changes` keeps, of an object `o`.
    former: &'static str,
    /// Columns that staging and the graph have both, besides the key.
    columns: &'static [&'static str],
}

const ENTITIES: Shape = Shape {
    code: 'E',
    table: "entities",
    former: "jsonb_build_object('class', to_jsonb(o._class), 'display_name', o.display_name, \
             'properties', o.properties, 'run', o.run_id, 'since', o.updated_at)",
    columns: &["key_hash", "content_hash", "slice_id", "_type", "_class", "_key", "display_name", "properties"],
};
const RELATIONSHIPS: Shape = Shape {
    code: 'R',
    table: "relationships",
    former: "jsonb_build_object('verb', o.verb, 'from', o.from_key, 'to', o.to_key, \
             'properties', o.properties, 'run', o.run_id, 'since', o.updated_at) \
             || CASE WHEN o.far IS NULL THEN '{}' ELSE jsonb_build_object('far', o.far::text, \
             'far_type', o.far_type, 'far_class', to_jsonb(o.far_class)) END",
    columns: &[
        "key_hash",
        "content_hash",
        "slice_id",
        "_type",
        "_key",
        "verb",
        "from_key",
        "from_hash",
        "to_key",
        "to_hash",
        "properties",
        "far",
        "far_type",
        "far_class",
    ],
};

/// Ties an object `o` to its staged row `s`, in the one partition that can hold it.
const SAME: &str = "o.tenant_id = $1 AND o.shard = $2 AND o.instance_id = $3 AND o.key_hash = s.key_hash";
/// Uses every parameter, so that all statements bind alike.
const GIVEN: &str = "WITH given AS (SELECT $1::uuid, $2::smallint, $3::uuid, $4::uuid, $5::int[])";
/// Which run wrote a version and when. An object that only moved to another slice keeps both.
const WRITTEN: &str = "run_id = CASE WHEN o.content_hash = EXCLUDED.content_hash THEN o.run_id ELSE EXCLUDED.run_id END, \
     updated_at = CASE WHEN o.content_hash = EXCLUDED.content_hash THEN o.updated_at ELSE EXCLUDED.updated_at END";

fn shape(kind: ObjectKind) -> &'static Shape {
    match kind {
        ObjectKind::Entity => &ENTITIES,
        ObjectKind::Relationship => &RELATIONSHIPS,
    }
}

/// The entity of a hash: one look into the primary key each time.
fn entity_at(hash: &str) -> String {
    format!(
        "(SELECT e.key_hash FROM entities e \
          WHERE e.tenant_id = $1 AND e.shard = $2 AND e.instance_id = $3 AND e.key_hash = {hash})"
    )
}

/// Whether a staged relationship `s` dangles: an end that is to be in its instance isn't. A far end is nowhere or anywhere.
/// `also` says what else shows that an end is there.
fn dangles(also: impl Fn(&str) -> String) -> String {
    let missing = |end: &str, code: char| {
        let (there, also) = (entity_at(&format!("s.{end}")), also(end));
        format!("s.far IS DISTINCT FROM '{code}' AND {also}{there} IS NULL")
    };
    format!("{} OR {}, ", missing("from_hash", 'f'), missing("to_hash", 't'))
}

impl Sql {
    pub(super) fn new(claim: &Claim, fence: i64) -> Self {
        Self { staged: ObjectKind::ALL.map(|kind| staging::table(claim.run, fence, kind)) }
    }

    fn staged(&self, kind: ObjectKind) -> &str {
        let [entities, relationships] = &self.staged;
        match kind {
            ObjectKind::Entity => entities,
            ObjectKind::Relationship => relationships,
        }
    }

    /// New objects by type.
    pub(super) fn count_created(&self, kind: ObjectKind) -> String {
        let staged = self.staged(kind);
        format!("{GIVEN} SELECT _type, count(*) AS created FROM {staged} WHERE op = 'I' GROUP BY _type")
    }

    /// Staged rows of objects that the graph has or may have.
    pub(super) fn count_known(&self, kind: ObjectKind) -> String {
        format!("{GIVEN} SELECT count(*) AS n FROM {} WHERE op <> 'I'", self.staged(kind))
    }

    /// By type, what becomes of objects that the graph has or may have. One that only moved to another slice is unchanged.
    pub(super) fn compare_known(&self, kind: ObjectKind) -> String {
        let (staged, table) = (self.staged(kind), shape(kind).table);
        format!(
            "{GIVEN} SELECT s._type, count(*) FILTER (WHERE o.content_hash IS NULL) AS created, \
                 count(*) FILTER (WHERE o.content_hash <> s.content_hash) AS updated, \
                 count(*) FILTER (WHERE o.content_hash = s.content_hash) AS unchanged, 0::bigint AS deleted \
             FROM {staged} s LEFT JOIN LATERAL (SELECT o.content_hash FROM {table} o WHERE {SAME} LIMIT 1) o ON true \
             WHERE s.op = 'U' GROUP BY s._type \
             UNION ALL \
             SELECT o._type, 0, 0, 0, count(*) \
             FROM {staged} s JOIN LATERAL (SELECT o._type, o.slice_id FROM {table} o WHERE {SAME} LIMIT 1) o \
                 ON o.slice_id = s.slice_id \
             WHERE s.op = 'D' AND s.slice_id = ANY($5) GROUP BY o._type"
        )
    }

    /// What an object was before it changed or went.
    pub(super) fn keep_former(&self, kind: ObjectKind) -> String {
        let (staged, Shape { code, table, former, .. }) = (self.staged(kind), shape(kind));
        format!(
            "INSERT INTO changes (tenant_id, shard, instance_id, run_id, kind, key_hash, op, _type, _key, former, \
                 changed_at) \
             SELECT $1, $2, $3, $4, '{code}', o.key_hash, \
                 CASE WHEN s.op = 'D' THEN 'deleted' ELSE 'updated' END, o._type, o._key, {former}, now() \
             FROM {staged} s JOIN LATERAL (SELECT * FROM {table} o WHERE {SAME} LIMIT 1) o ON true \
             WHERE s.op <> 'I' AND CASE WHEN s.op = 'D' \
                 THEN s.slice_id = ANY($5) AND o.slice_id = s.slice_id ELSE o.content_hash <> s.content_hash END"
        )
    }

    /// New objects, in the order of the key, which is the order of the index. Whether a relationship dangles is looked up
    /// among the entities that the same run brought, in one pass, and in the graph only for ends that aren't there.
    pub(super) fn insert_created(&self, kind: ObjectKind, with_entities: bool) -> String {
        let (staged, Shape { table, columns, .. }) = (self.staged(kind), shape(kind));
        let (names, values) = (columns.join(", "), columns.map_prefixed("s."));
        let (dangling, value, ends) = match (kind, with_entities) {
            (ObjectKind::Entity, _) => ("", String::new(), String::new()),
            (ObjectKind::Relationship, false) => ("dangling, ", dangles(|_| String::new()), String::new()),
            (ObjectKind::Relationship, true) => {
                let value =
                    dangles(|end| format!("{}.key_hash IS NULL AND ", if end == "from_hash" { 'f' } else { 't' }));
                let new = format!("(SELECT key_hash FROM {} WHERE op = 'I')", self.staged(ObjectKind::Entity));
                let ends = format!(
                    "LEFT JOIN {new} f ON f.key_hash = s.from_hash LEFT JOIN {new} t ON t.key_hash = s.to_hash "
                );
                ("dangling, ", value, ends)
            }
        };
        format!(
            "WITH given AS (SELECT $5::int[]) \
             INSERT INTO {table} (tenant_id, shard, instance_id, {names}, {dangling}run_id, created_at, updated_at) \
             SELECT $1, $2, $3, {values}, {value}$4, now(), now() \
             FROM {staged} s {ends}WHERE s.op = 'I' ORDER BY s.key_hash"
        )
    }

    /// Objects that the graph has or may have. One that is there as it is isn't rewritten, even if it was staged. Whether a
    /// relationship dangles is looked up here, after the new entities are written.
    pub(super) fn write_updated(&self, kind: ObjectKind) -> String {
        let (staged, Shape { table, columns, .. }) = (self.staged(kind), shape(kind));
        let (names, values) = (columns.join(", "), columns.map_prefixed("s."));
        let mut set: Vec<String> = columns
            .iter()
            .filter(|c| !c.ends_with("key") && **c != "key_hash")
            .map(|c| format!("{c} = EXCLUDED.{c}"))
            .collect();
        let (mut dangling, mut value) = ("", String::new());
        if kind == ObjectKind::Relationship {
            (dangling, value) = ("dangling, ", dangles(|_| String::new()));
            set.extend(["from_key", "to_key", "dangling"].map(|c| format!("{c} = EXCLUDED.{c}")));
        }
        format!(
            "WITH given AS (SELECT $5::int[]) \
             INSERT INTO {table} AS o (tenant_id, shard, instance_id, {names}, {dangling}run_id, created_at, updated_at) \
             SELECT $1, $2, $3, {values}, {value}$4, now(), now() \
             FROM {staged} s WHERE s.op = 'U' ORDER BY s.key_hash \
             ON CONFLICT (tenant_id, shard, instance_id, key_hash) DO UPDATE SET {}, {WRITTEN} \
             WHERE o.content_hash <> EXCLUDED.content_hash OR o.slice_id <> EXCLUDED.slice_id",
            set.join(", ")
        )
    }

    /// Relationships that were kept aside and whose missing end has come: all that dangle are looked at, through an index
    /// that holds only those.
    pub(super) fn tie() -> String {
        let (from, to) = (entity_at("o.from_hash"), entity_at("o.to_hash"));
        format!(
            "WITH given AS (SELECT $4::uuid, $5::int[]) \
             UPDATE relationships o SET dangling = false \
             WHERE o.tenant_id = $1 AND o.shard = $2 AND o.instance_id = $3 AND o.dangling \
               AND (o.far = 'f' OR {from} IS NOT NULL) AND (o.far = 't' OR {to} IS NOT NULL)"
        )
    }

    /// Where the objects stand that go.
    pub(super) fn gone(&self, kind: ObjectKind) -> String {
        let table = shape(kind).table;
        let found = format!("SELECT o.ctid AS place FROM {table} o WHERE {SAME} AND o.slice_id = s.slice_id LIMIT 1");
        self.places(kind, &found)
    }

    /// Where the relationships stand whose end went, one side at a time.
    pub(super) fn untied(&self, end: &str) -> String {
        let there = entity_at("s.key_hash");
        let code = if end == "from_hash" { 'f' } else { 't' };
        // OFFSET 0 for the reason that LIMIT 1 has elsewhere: here it may be many.
        let found = format!(
            "SELECT o.ctid AS place FROM relationships o \
             WHERE o.tenant_id = $1 AND o.shard = $2 AND o.instance_id = $3 AND o.{end} = s.key_hash \
               AND NOT o.dangling AND o.far IS DISTINCT FROM '{code}' AND {there} IS NULL OFFSET 0"
        );
        self.places(ObjectKind::Entity, &found)
    }

    /// What `found` finds for the next [`super::places::AT_A_TIME`] rows that say "gone", after the row `$6`.
    fn places(&self, kind: ObjectKind, found: &str) -> String {
        let (staged, limit) = (self.staged(kind), super::places::AT_A_TIME);
        format!(
            "{GIVEN} SELECT max(s.seq) AS seq, (array_agg(o.place) FILTER (WHERE o.place IS NOT NULL))::text AS places \
             FROM (SELECT seq, key_hash, slice_id FROM {staged} \
                 WHERE op = 'D' AND slice_id = ANY($5) AND seq > $6 ORDER BY seq LIMIT {limit}) s \
             LEFT JOIN LATERAL ({found}) o ON true"
        )
    }
}

/// `s.a, s.b, …`
trait Prefixed {
    fn map_prefixed(&self, prefix: &str) -> String;
}

impl Prefixed for [&'static str] {
    fn map_prefixed(&self, prefix: &str) -> String {
        self.iter().map(|c| format!("{prefix}{c}")).collect::<Vec<_>>().join(", ")
    }
}
