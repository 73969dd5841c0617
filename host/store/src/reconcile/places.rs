//! Deleting and untying: rows of the graph that are changed in place, by where they stand.
//!
//! `DELETE … USING` leaves it to the planner from which side it comes, and it would come from the graph's (see
//! [`super::sql`]). So the rows are looked up from the staged side, by the key, and then changed by their place (`ctid`).
//! A place holds as long as nobody else writes the row, and nobody does: the instance is locked.

use super::work::Work;
use crate::error::{Result, What};
use crate::row::Columns;
use crate::tx::TenantTx;
use crate::tx::sealed::Conn;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Executor, Postgres};

/// Staged rows that are looked up at a time: their places are a parameter of some 1.5 MB.
pub(super) const AT_A_TIME: u32 = 100_000;

/// Only places are left to find a row by. Else the planner takes an instance for one row and reads it.
const BY_PLACE: &str =
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off";
const ANYHOW: &str =
    "SET LOCAL enable_seqscan = DEFAULT; SET LOCAL enable_indexscan = DEFAULT; SET LOCAL enable_bitmapscan = DEFAULT";

/// Runs `act` (up to its conditions) on the rows of the graph, called `o`, that `find` finds. Gives how many. `more` binds
/// what `find` has beside the five parameters that all statements have; after them comes where to go on.
pub(super) async fn change(
    work: &Work<'_>,
    tx: &mut TenantTx,
    what: &'static str,
    find: &str,
    act: &str,
    more: impl for<'q> Fn(Query<'q, Postgres, PgArguments>) -> Query<'q, Postgres, PgArguments>,
) -> Result<u64> {
    let (mut after, mut changed) = (0_i64, 0);
    loop {
        let row = more(work.bind(find.to_owned())).bind(after).fetch_one(tx.conn()).await.what(what)?;
        let Some(last) = row.column::<Option<i64>>("seq")? else { return Ok(changed) };
        after = last;
        let Some(places) = row.column::<Option<String>>("places")? else { continue };
        let sql = format!(
            "{act} WHERE o.tenant_id = $1 AND o.shard = $2 AND o.instance_id = $3 AND o.ctid = ANY($4::text::tid[])"
        );
        tx.conn().execute(BY_PLACE).await.what(what)?;
        let done = sqlx::query(AssertSqlSafe(sql))
            .persistent(false)
            .bind(work.claim.tenant.0)
            .bind(tx.shard())
            .bind(work.claim.instance.0)
            .bind(places)
            .execute(tx.conn())
            .await
            .what(what)?;
        tx.conn().execute(ANYHOW).await.what(what)?;
        changed += done.rows_affected();
    }
}
