//! The tables of staging: made for a claim, named after it, and gone with it.

use super::{ObjectKind, Rows};
use crate::error::{Result, What};
use crate::pool::Store;
use crate::row::Columns;
use crate::tx::sealed::Conn;
use porthole_model::id::RunId;
use porthole_model::run::Claim;
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use std::collections::BTreeSet;

/// The staging table of a claim for one kind of objects. Made from numbers alone.
pub(crate) fn table(run: RunId, fence: i64, kind: ObjectKind) -> String {
    let suffix = match kind {
        ObjectKind::Entity => 'e',
        ObjectKind::Relationship => 'r',
    };
    format!("{}_{suffix}", joint_table(run, fence))
}

/// The one table that held both kinds in earlier versions: a run that was held then still has it.
fn joint_table(run: RunId, fence: i64) -> String {
    format!("staging.run_{}_{fence}", run.0.simple())
}

/// In the order in which [`super::StagingWriter`] sends them; what is of fixed length and looked at most stands first.
const ENTITY_COLUMNS: &str = "seq bigint NOT NULL, key_hash uuid NOT NULL, content_hash uuid, slice_id integer NOT NULL, \
     op \"char\" NOT NULL, _type text, _key text, display_name text, _class text[], properties jsonb";
const RELATIONSHIP_COLUMNS: &str = "seq bigint NOT NULL, key_hash uuid NOT NULL, content_hash uuid, from_hash uuid, \
     to_hash uuid, slice_id integer NOT NULL, op \"char\" NOT NULL, _type text, _key text, verb text, from_key text, \
     to_key text, properties jsonb, far \"char\", far_type text, far_class text[]";

fn create_sql(run: RunId, fence: i64, kind: ObjectKind) -> String {
    let columns = match kind {
        ObjectKind::Entity => ENTITY_COLUMNS,
        ObjectKind::Relationship => RELATIONSHIP_COLUMNS,
    };
    format!("CREATE UNLOGGED TABLE {} ({columns}) WITH (autovacuum_enabled = false)", table(run, fence, kind))
}

/// Makes a table, if the claim is current. The queue row stays locked until it is there, so the sweeper can't have
/// looked for it before.
pub(super) async fn create(store: &Store, claim: &Claim, kind: ObjectKind) -> Result<()> {
    let mut tx = store.tenant(claim.tenant).await?;
    crate::runs::lock_claim(&mut tx, claim).await?;
    let sql = create_sql(claim.run, claim.fence, kind);
    tx.conn().execute(AssertSqlSafe(sql)).await.what("make a staging table")?;
    tx.commit().await
}

/// Makes the tables of a claim survive a crash of the server, as far as it has them.
pub(crate) async fn make_durable(connection: &mut PgConnection, run: RunId, fence: i64) -> Result<()> {
    for kind in ObjectKind::ALL {
        let sql = format!("ALTER TABLE IF EXISTS {} SET LOGGED", table(run, fence, kind));
        connection.execute(AssertSqlSafe(sql)).await.what("keep a staging table")?;
    }
    Ok(())
}

/// Splits the joint table of a run that an earlier version held, and says what is in it now. What was new then is looked
/// up again ([`Rows::known`]): nobody promises here that it is.
pub(crate) async fn split_joint(connection: &mut PgConnection, run: RunId, fence: i64) -> Result<[Rows; 2]> {
    let (what, joint) = ("split a staging table", joint_table(run, fence));
    let mut found = [Rows::default(); 2];
    for (rows, kind) in found.iter_mut().zip(ObjectKind::ALL) {
        let columns = match kind {
            ObjectKind::Entity => "_type, _key, display_name, _class, properties",
            ObjectKind::Relationship => "_type, _key, verb, from_key, to_key, properties",
        };
        let ends = if kind == ObjectKind::Relationship { "from_hash, to_hash, " } else { "" };
        connection.execute(AssertSqlSafe(create_sql(run, fence, kind))).await.what(what)?;
        let sql = format!(
            "INSERT INTO {} SELECT seq, key_hash, content_hash, {ends}slice_id, CASE op WHEN 'I' THEN 'U' ELSE op END, \
                 {columns} FROM {joint} WHERE kind = '{}'",
            table(run, fence, kind),
            char::from(kind.code())
        );
        rows.known = connection.execute(AssertSqlSafe(sql)).await.what(what)?.rows_affected();
    }
    Ok(found)
}

/// Drops the staging tables of a claim, those that are there.
pub(crate) async fn drop_tables(connection: &mut PgConnection, run: RunId, fence: i64) -> Result<()> {
    let [entities, relationships] = ObjectKind::ALL.map(|kind| table(run, fence, kind));
    let sql = format!("DROP TABLE IF EXISTS {entities}, {relationships}, {}", joint_table(run, fence));
    connection.execute(AssertSqlSafe(sql)).await.what("drop the staging tables").map(drop)
}

/// Drops staging tables that belong to no current claim: left by a worker that was lost between its claim being taken
/// and its noticing. Returns of how many claims.
///
/// # Errors
/// When the database fails.
pub async fn sweep(store: &Store) -> Result<u64> {
    let what = "look for staging tables";
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = 'staging' AND c.relkind = 'r'",
    )
    .fetch_all(&store.pool)
    .await
    .what(what)?;
    let claims: BTreeSet<(RunId, i64)> = names.iter().filter_map(|name| parse(name)).collect();
    let mut dropped = 0;
    for (run, fence) in claims {
        let mut tx = store.begin().await?;
        // A table that is being written to is in use, whatever the queue says: the next sweep gets it.
        tx.conn().execute("SET LOCAL lock_timeout = '1s'").await.what(what)?;
        let row = sqlx::query(
            "SELECT coalesce(bool_or(fence = $2 OR held_fence = $2), false) AS needed FROM run_queue WHERE run_id = $1",
        )
        .bind(run.0)
        .bind(fence)
        .fetch_one(tx.conn())
        .await
        .what(what)?;
        if !row.column::<bool>("needed")? && drop_tables(tx.conn(), run, fence).await.is_ok() {
            tx.commit().await?;
            dropped += 1;
        }
    }
    Ok(dropped)
}

/// Reads a table's name back.
fn parse(name: &str) -> Option<(RunId, i64)> {
    let (run, rest) = name.strip_prefix("run_")?.split_once('_')?;
    let fence = rest.strip_suffix("_e").or(rest.strip_suffix("_r")).unwrap_or(rest);
    Some((RunId(uuid::Uuid::try_parse(run).ok()?), fence.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_name_comes_back() {
        let run = RunId::new();
        let names = ObjectKind::ALL.map(|kind| table(run, 7, kind)).into_iter().chain([joint_table(run, 7)]);
        for name in names {
            assert_eq!(name.strip_prefix("staging.").and_then(parse), Some((run, 7)), "{name}");
        }
        // Postgres cuts names at 63 bytes; two claims must not meet in one table.
        assert!(table(run, i64::MAX, ObjectKind::Entity).len() - "staging.".len() <= 63);
        assert_eq!(parse("run_x_1"), None);
        assert_eq!(parse("something"), None);
    }
}
