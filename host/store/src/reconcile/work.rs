//! The statements of a reconcile.

use crate::error::{Result, What};
use crate::row::Columns;
use crate::tx::TenantTx;
use crate::tx::sealed::Conn;
use porthole_model::run::{Claim, Counts, TypeCounts};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Postgres};

/// One instance's staged rows against its graph. In every statement `$1` is the tenant, `$2` the shard, `$3` the
/// instance, `$4` the run and `$5` the sweepable slices.
pub(super) struct Work<'a> {
    pub(super) claim: &'a Claim,
    pub(super) table: &'a str,
    pub(super) shard: i16,
    pub(super) sweepable: &'a [i32],
}

/// What applying does.
#[derive(Debug, Default)]
pub(super) struct Diff {
    pub(super) by_type: Counts,
    /// Of entities alone: relationships are tied and untied only if some came or went.
    entities: TypeCounts,
}

/// What differs between entities and relationships in the statements.
struct Kind {
    code: char,
    table: &'static str,
    /// The former version that `changes` keeps, of an object `o`.
    former: &'static str,
}

const ENTITIES: Kind = Kind {
    code: 'E',
    table: "entities",
    former: "jsonb_build_object('class', to_jsonb(o._class), 'display_name', o.display_name, \
             'properties', o.properties, 'run', o.run_id, 'since', o.updated_at)",
};
const RELATIONSHIPS: Kind = Kind {
    code: 'R',
    table: "relationships",
    former: "jsonb_build_object('verb', o.verb, 'from', o.from_key, 'to', o.to_key, \
             'properties', o.properties, 'run', o.run_id, 'since', o.updated_at)",
};

/// Ties an object `o` to its staged row `s`, in the one partition that can hold it.
const SAME: &str = "o.tenant_id = $1 AND o.shard = $2 AND o.instance_id = $3 AND o.key_hash = s.key_hash";

impl Work<'_> {
    /// Every parameter is used in every statement, in the comparisons or in this one, so that they bind alike.
    fn bind<'q>(&'q self, sql: String) -> Query<'q, Postgres, PgArguments> {
        sqlx::query(AssertSqlSafe(sql))
            .persistent(false)
            .bind(self.claim.tenant.0)
            .bind(self.shard)
            .bind(self.claim.instance.0)
            .bind(self.claim.run.0)
            .bind(self.sweepable)
    }

    async fn run(&self, tx: &mut TenantTx, what: &'static str, sql: String) -> Result<u64> {
        Ok(self.bind(sql).execute(tx.conn()).await.what(what)?.rows_affected())
    }

    /// What applying does. The only place that counts.
    pub(super) async fn diff(&self, tx: &mut TenantTx) -> Result<Diff> {
        let mut diff = Diff::default();
        for kind in [&ENTITIES, &RELATIONSHIPS] {
            let rows = self.bind(self.diff_sql(kind)).fetch_all(tx.conn()).await.what("compare with the graph")?;
            for row in &rows {
                let counts = read_counts(row)?;
                diff.by_type.entry(row.column("_type")?).or_default().add(counts);
                if kind.code == ENTITIES.code {
                    diff.entities.add(counts);
                }
            }
        }
        Ok(diff)
    }

    fn diff_sql(&self, kind: &Kind) -> String {
        let Kind { code, table, .. } = kind;
        let staged = self.table;
        // An object that only moved to another slice is unchanged.
        format!(
            "WITH given AS (SELECT $4::uuid, $5::int[]) \
             SELECT s._type, count(*) FILTER (WHERE o.key_hash IS NULL) AS created, \
                 count(*) FILTER (WHERE o.content_hash <> s.content_hash) AS updated, \
                 count(*) FILTER (WHERE o.content_hash = s.content_hash) AS unchanged, 0::bigint AS deleted \
             FROM {staged} s LEFT JOIN {table} o ON {SAME} \
             WHERE s.kind = '{code}' AND s.op IN ('I', 'U') GROUP BY s._type \
             UNION ALL \
             SELECT o._type, 0, 0, 0, count(*) FROM {staged} s JOIN {table} o ON {SAME} AND o.slice_id = s.slice_id \
             WHERE s.kind = '{code}' AND s.op = 'D' AND s.slice_id = ANY($5) GROUP BY o._type"
        )
    }

    pub(super) async fn write(&self, tx: &mut TenantTx, diff: &Diff) -> Result<()> {
        for kind in [&ENTITIES, &RELATIONSHIPS] {
            self.run(tx, "keep former versions", self.former_sql(kind)).await?;
            self.run(tx, "delete what is gone", self.delete_sql(kind)).await?;
        }
        self.run(tx, "write entities", self.entities_sql()).await?;
        self.run(tx, "write relationships", self.relationships_sql()).await?;
        if diff.entities.created > 0 {
            self.run(tx, "tie relationships", self.tie_sql()).await?;
        }
        if diff.entities.deleted > 0 {
            for end in ["from_hash", "to_hash"] {
                self.run(tx, "untie relationships", self.untie_sql(end)).await?;
            }
        }
        Ok(())
    }

    /// What an object was before it changed; in the same statement that deletes, what it was before it went.
    fn former_sql(&self, kind: &Kind) -> String {
        let Kind { code, table, former } = kind;
        let staged = self.table;
        format!(
            "INSERT INTO changes (tenant_id, shard, instance_id, run_id, kind, key_hash, op, _type, _key, former, \
                 changed_at) \
             SELECT $1, $2, $3, $4, '{code}', o.key_hash, \
                 CASE WHEN s.op = 'D' THEN 'deleted' ELSE 'updated' END, o._type, o._key, {former}, now() \
             FROM {staged} s JOIN {table} o ON {SAME} \
             WHERE s.kind = '{code}' AND CASE WHEN s.op = 'D' \
                 THEN s.slice_id = ANY($5) AND o.slice_id = s.slice_id ELSE o.content_hash <> s.content_hash END"
        )
    }

    fn delete_sql(&self, kind: &Kind) -> String {
        let Kind { code, table, .. } = kind;
        let staged = self.table;
        format!(
            "WITH given AS (SELECT $4::uuid) \
             DELETE FROM {table} o USING {staged} s \
             WHERE {SAME} AND s.kind = '{code}' AND s.op = 'D' AND s.slice_id = ANY($5) AND o.slice_id = s.slice_id"
        )
    }

    /// In the order of the key, which is the order of the index. An object that is there as it is isn't rewritten, even
    /// if it was staged.
    fn entities_sql(&self) -> String {
        let staged = self.table;
        format!(
            "WITH given AS (SELECT $5::int[]) \
             INSERT INTO entities AS o (tenant_id, shard, instance_id, key_hash, content_hash, slice_id, _type, _class, \
                 _key, display_name, properties, run_id, created_at, updated_at) \
             SELECT $1, $2, $3, s.key_hash, s.content_hash, s.slice_id, s._type, s._class, s._key, s.display_name, \
                 s.properties, $4, now(), now() \
             FROM {staged} s WHERE s.kind = 'E' AND s.op IN ('I', 'U') ORDER BY s.key_hash \
             ON CONFLICT (tenant_id, shard, instance_id, key_hash) DO UPDATE SET \
                 content_hash = EXCLUDED.content_hash, slice_id = EXCLUDED.slice_id, _type = EXCLUDED._type, \
                 _class = EXCLUDED._class, display_name = EXCLUDED.display_name, properties = EXCLUDED.properties, \
                 {WRITTEN} {IF_DIFFERENT}"
        )
    }

    /// Whether a relationship dangles is looked up here, after the entities are written.
    fn relationships_sql(&self) -> String {
        let staged = self.table;
        let (from, to) = (entity_at("s.from_hash"), entity_at("s.to_hash"));
        format!(
            "WITH given AS (SELECT $5::int[]) \
             INSERT INTO relationships AS o (tenant_id, shard, instance_id, key_hash, content_hash, slice_id, _type, \
                 _key, verb, from_key, from_hash, to_key, to_hash, dangling, properties, run_id, created_at, updated_at) \
             SELECT $1, $2, $3, s.key_hash, s.content_hash, s.slice_id, s._type, s._key, s.verb, s.from_key, \
                 s.from_hash, s.to_key, s.to_hash, {from} IS NULL OR {to} IS NULL, s.properties, $4, now(), now() \
             FROM {staged} s WHERE s.kind = 'R' AND s.op IN ('I', 'U') ORDER BY s.key_hash \
             ON CONFLICT (tenant_id, shard, instance_id, key_hash) DO UPDATE SET \
                 content_hash = EXCLUDED.content_hash, slice_id = EXCLUDED.slice_id, _type = EXCLUDED._type, \
                 verb = EXCLUDED.verb, from_key = EXCLUDED.from_key, from_hash = EXCLUDED.from_hash, \
                 to_key = EXCLUDED.to_key, to_hash = EXCLUDED.to_hash, dangling = EXCLUDED.dangling, \
                 properties = EXCLUDED.properties, {WRITTEN} {IF_DIFFERENT}"
        )
    }

    /// Relationships that were kept aside and whose missing end has come: all that dangle are looked at, through an index
    /// that holds only those.
    fn tie_sql(&self) -> String {
        let (from, to) = (entity_at("o.from_hash"), entity_at("o.to_hash"));
        format!(
            "WITH given AS (SELECT $4::uuid, $5::int[]) \
             UPDATE relationships o SET dangling = false \
             WHERE o.tenant_id = $1 AND o.shard = $2 AND o.instance_id = $3 AND o.dangling \
               AND {from} IS NOT NULL AND {to} IS NOT NULL"
        )
    }

    /// Relationships one of whose ends has gone.
    fn untie_sql(&self, end: &str) -> String {
        let (staged, there) = (self.table, entity_at(&format!("o.{end}")));
        format!(
            "WITH given AS (SELECT $4::uuid, $5::int[]) \
             UPDATE relationships o SET dangling = true FROM {staged} s \
             WHERE o.tenant_id = $1 AND o.shard = $2 AND o.instance_id = $3 AND o.{end} = s.key_hash \
               AND NOT o.dangling AND s.kind = 'E' AND s.op = 'D' AND {there} IS NULL"
        )
    }
}

/// The entity of a hash, as a subquery that the planner can't turn into a join: one look into the primary key each time.
fn entity_at(hash: &str) -> String {
    format!(
        "(SELECT e.key_hash FROM entities e \
          WHERE e.tenant_id = $1 AND e.shard = $2 AND e.instance_id = $3 AND e.key_hash = {hash})"
    )
}

/// Which run wrote a version and when. An object that only moved to another slice keeps both.
const WRITTEN: &str = "run_id = CASE WHEN o.content_hash = EXCLUDED.content_hash THEN o.run_id ELSE EXCLUDED.run_id END, \
     updated_at = CASE WHEN o.content_hash = EXCLUDED.content_hash THEN o.updated_at ELSE EXCLUDED.updated_at END";

const IF_DIFFERENT: &str = "WHERE o.content_hash <> EXCLUDED.content_hash OR o.slice_id <> EXCLUDED.slice_id";

fn read_counts(row: &PgRow) -> Result<TypeCounts> {
    Ok(TypeCounts {
        created: row.count("created")?,
        updated: row.count("updated")?,
        unchanged: row.count("unchanged")?,
        deleted: row.count("deleted")?,
    })
}
