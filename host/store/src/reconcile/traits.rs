//! The traits of what a run wrote: the values that count for the tenant's mapping rules. A value that is as it was isn't
//! written again, and a run that changed no entity doesn't come here.

use super::places;
use super::work::Work;
use crate::error::{Result, What};
use crate::mappings::{selected, selects};
use crate::staging::{self, ObjectKind};
use crate::tx::TenantTx;
use crate::tx::sealed::Conn;
use porthole_model::mapping::TraitKind;
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;

/// Deletes what no longer follows from the staged entities, and adds what does now. Gives how many traits are new.
pub(super) async fn write(work: &Work<'_>, tx: &mut TenantTx, kind: &TraitKind) -> Result<u64> {
    let staged = staging::table(work.claim.run, work.fence, ObjectKind::Entity);
    let rows = work.entities();
    if rows.known > 0 {
        let act = "DELETE FROM traits o";
        places::change(work, tx, "delete traits", &stale(&staged, kind), act, |query| bound(query, kind)).await?;
    }
    let sql = insert(&staged, kind);
    let added = bound(work.bind(sql), kind).execute(tx.conn()).await.what("write traits")?;
    Ok(added.rows_affected())
}

/// `$6` is the kind, `$7` the name that it selects by, `$8` the properties, `$9` whether they are to be e-mail addresses.
fn bound<'q>(query: Query<'q, Postgres, PgArguments>, kind: &TraitKind) -> Query<'q, Postgres, PgArguments> {
    query.bind(kind.id()).bind(selected(&kind.of).to_owned()).bind(kind.properties.clone()).bind(kind.email)
}

fn insert(staged: &str, kind: &TraitKind) -> String {
    let selects = selects(&kind.of, "s.", "$7");
    format!(
        "WITH given AS (SELECT $5::int[]) \
         INSERT INTO traits (tenant_id, shard, instance_id, key_hash, kind, value_hash, words, run_id, since) \
         SELECT $1, $2, $3, s.key_hash, $6, trait_hash(t.words), t.words, $4, now() \
         FROM {staged} s CROSS JOIN LATERAL trait_words(s.properties, $8, $9) AS t (words) \
         WHERE s.op <> 'D' AND {selects} ORDER BY s.key_hash \
         ON CONFLICT (tenant_id, shard, instance_id, key_hash, kind, value_hash) DO NOTHING"
    )
}

/// Where the traits stand that staged entities don't have any more, or that went with them. Who says "gone" may be wrong:
/// what is still there keeps its traits.
fn stale(staged: &str, kind: &TraitKind) -> String {
    let selects = selects(&kind.of, "s.", "$7");
    let limit = places::AT_A_TIME;
    format!(
        "WITH given AS (SELECT $4::uuid, $5::int[]) \
         SELECT max(s.seq) AS seq, (array_agg(o.place) FILTER (WHERE o.place IS NOT NULL))::text AS places \
         FROM (SELECT * FROM {staged} WHERE op <> 'I' AND seq > $10 ORDER BY seq LIMIT {limit}) s \
         LEFT JOIN LATERAL (SELECT t.ctid AS place FROM traits t \
             WHERE t.tenant_id = $1 AND t.shard = $2 AND t.instance_id = $3 AND t.key_hash = s.key_hash AND t.kind = $6 \
               AND CASE WHEN s.op = 'D' \
                   THEN (SELECT e.key_hash FROM entities e WHERE e.tenant_id = $1 AND e.shard = $2 \
                       AND e.instance_id = $3 AND e.key_hash = s.key_hash) IS NULL \
                   ELSE NOT ({selects} AND t.words IN (SELECT w FROM trait_words(s.properties, $8, $9) AS w)) END \
             OFFSET 0) o ON true"
    )
}
