//! The slices of a run: what each step did for each partition, and how far it is.

use crate::error::{Result, StoreError, What};
use crate::row::{Columns, clean, signed};
use crate::runs::as_worker;
use crate::tx::TenantTx;
use crate::tx::sealed::Conn;
use jiff::Timestamp;
use porthole_model::context::OpContext;
use porthole_model::id::RunId;
use porthole_model::run::{Claim, Counts, Outcome, SliceKey};
use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use std::time::Duration;

/// A slice of a run.
#[derive(Debug, Clone, Serialize)]
pub struct RunSlice {
    /// Step and partition.
    #[serde(flatten)]
    pub slice: SliceKey,
    /// `queued`, `running` or `finished`.
    pub state: String,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Proved complete from the wire.
    pub complete: bool,
    /// Why it isn't complete, or what there is to say.
    pub reason: String,
    /// What it does or waits for just now.
    pub note: String,
    /// How far it is.
    pub done: u64,
    /// Of how many, if that is known.
    pub total: Option<u64>,
    /// What it emitted, by type.
    pub counts: Counts,
    /// What it used.
    pub usage: Option<Value>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// How far a slice is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceProgress {
    /// Which.
    pub slice: SliceKey,
    /// Done so far.
    pub done: u64,
    /// Of how many.
    pub total: Option<u64>,
    /// What it does or waits for just now.
    pub note: String,
}

/// How a slice ended.
#[derive(Debug, Clone)]
pub struct SliceEnd {
    /// How.
    pub outcome: Outcome,
    /// Proved complete from the wire.
    pub complete: bool,
    /// Why not, or what there is to say.
    pub reason: String,
    /// What it emitted, by type.
    pub counts: Counts,
    /// What it used.
    pub usage: Option<Value>,
}

fn read(row: &PgRow) -> Result<RunSlice> {
    Ok(RunSlice {
        slice: SliceKey { step: row.word("step")?, partition: row.word("partition")? },
        state: row.column("state")?,
        outcome: row.word_or_null("outcome")?,
        complete: row.column("complete")?,
        reason: row.column("reason")?,
        note: row.column("note")?,
        done: row.count("done")?,
        total: row.column::<Option<i64>>("total")?.and_then(|n| u64::try_from(n).ok()),
        counts: row.json("counts")?,
        usage: row.json_or_null("usage")?,
        started_at: row.time_or_null("started_at")?,
        finished_at: row.time_or_null("finished_at")?,
    })
}

/// True in a statement when the claim `$1, $2, $3` is current.
pub(crate) const CURRENT: &str =
    "EXISTS (SELECT 1 FROM runs c WHERE c.tenant_id = $1 AND c.run_id = $2 AND c.fence = $3 AND c.state = 'running')";

/// Announces slices that will be run. Those that are announced already stay as they are.
///
/// # Errors
/// `StaleClaim` when the claim is no longer current.
pub async fn announce(tx: &mut TenantTx, claim: &Claim, slices: &[SliceKey]) -> Result<()> {
    check_claim(tx, claim).await?;
    let (steps, partitions) = columns(slices);
    sqlx::query(
        "INSERT INTO run_slices (tenant_id, run_id, step, partition) \
         SELECT $1, $2, step, partition FROM unnest($3::text[], $4::text[]) AS s (step, partition) \
         ON CONFLICT DO NOTHING",
    )
    .bind(tx.tenant().0)
    .bind(claim.run.0)
    .bind(steps)
    .bind(partitions)
    .execute(tx.conn())
    .await
    .what("announce slices")
    .map(drop)
}

fn columns(slices: &[SliceKey]) -> (Vec<&str>, Vec<&str>) {
    slices.iter().map(|s| (s.step.as_str(), s.partition.as_str())).unzip()
}

/// Fails unless the claim is current.
///
/// # Errors
/// `StaleClaim` when it isn't.
pub async fn check_claim(tx: &mut TenantTx, claim: &Claim) -> Result<()> {
    let tenant = tx.tenant();
    let current: bool = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT {CURRENT}")))
        .bind(tenant.0)
        .bind(claim.run.0)
        .bind(claim.fence)
        .fetch_one(tx.conn())
        .await
        .what("check a claim")?;
    if current { Ok(()) } else { Err(StoreError::StaleClaim(claim.run)) }
}

/// Who acts under a claim that is current, and stays so until the transaction ends: the run's end waits for it, so that
/// nothing is recorded of a run after its end.
///
/// # Errors
/// `StaleClaim` when it isn't.
pub(crate) async fn current_worker(tx: &mut TenantTx, claim: &Claim) -> Result<OpContext> {
    let tenant = tx.tenant();
    let worker: Option<String> = sqlx::query_scalar(
        "SELECT coalesce(worker, '') FROM runs \
         WHERE tenant_id = $1 AND run_id = $2 AND fence = $3 AND state = 'running' FOR SHARE",
    )
    .bind(tenant.0)
    .bind(claim.run.0)
    .bind(claim.fence)
    .fetch_optional(tx.conn())
    .await
    .what("check a claim")?;
    worker.map(|worker| as_worker(claim.run, worker)).ok_or(StoreError::StaleClaim(claim.run))
}

/// Slices began, each so long ago: a worker writes beginnings in batches, not one by one.
///
/// # Errors
/// `StaleClaim` when the claim is no longer current.
pub async fn began(tx: &mut TenantTx, claim: &Claim, slices: &[(SliceKey, Duration)]) -> Result<()> {
    check_claim(tx, claim).await?;
    let steps: Vec<&str> = slices.iter().map(|(s, _)| s.step.as_str()).collect();
    let partitions: Vec<&str> = slices.iter().map(|(s, _)| s.partition.as_str()).collect();
    let ago: Vec<f64> = slices.iter().map(|(_, ago)| ago.as_secs_f64()).collect();
    sqlx::query(
        "INSERT INTO run_slices (tenant_id, run_id, step, partition, state, started_at) \
         SELECT $1, $2, s.step, s.partition, 'running', clock_timestamp() - make_interval(secs => s.ago) \
         FROM unnest($3::text[], $4::text[], $5::float8[]) AS s (step, partition, ago) \
         ON CONFLICT (tenant_id, run_id, step, partition) \
             DO UPDATE SET state = 'running', started_at = EXCLUDED.started_at",
    )
    .bind(tx.tenant().0)
    .bind(claim.run.0)
    .bind(steps)
    .bind(partitions)
    .bind(ago)
    .execute(tx.conn())
    .await
    .what("begin slices")
    .map(drop)
}

/// A slice begins.
///
/// # Errors
/// `StaleClaim` when the claim is no longer current.
pub async fn start(tx: &mut TenantTx, claim: &Claim, slice: &SliceKey) -> Result<()> {
    let tenant = tx.tenant();
    let done = sqlx::query(sqlx::AssertSqlSafe(format!(
        "INSERT INTO run_slices (tenant_id, run_id, step, partition, state, started_at) \
         SELECT $1, $2, $4, $5, 'running', clock_timestamp() WHERE {CURRENT} \
         ON CONFLICT (tenant_id, run_id, step, partition) \
             DO UPDATE SET state = 'running', started_at = EXCLUDED.started_at"
    )))
    .bind(tenant.0)
    .bind(claim.run.0)
    .bind(claim.fence)
    .bind(slice.step.as_str())
    .bind(slice.partition.as_str())
    .execute(tx.conn())
    .await
    .what("start a slice")?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::StaleClaim(claim.run)) }
}

/// Says how far slices are. One that has ended meanwhile stays ended.
///
/// # Errors
/// `StaleClaim` when the claim is no longer current.
pub async fn progress(tx: &mut TenantTx, claim: &Claim, progress: &[SliceProgress]) -> Result<()> {
    check_claim(tx, claim).await?;
    let steps: Vec<&str> = progress.iter().map(|p| p.slice.step.as_str()).collect();
    let partitions: Vec<&str> = progress.iter().map(|p| p.slice.partition.as_str()).collect();
    let done: Vec<i64> = progress.iter().map(|p| signed(p.done)).collect();
    let total: Vec<Option<i64>> = progress.iter().map(|p| p.total.map(signed)).collect();
    let notes: Vec<String> = progress.iter().map(|p| clean(&p.note)).collect();
    sqlx::query(
        "UPDATE run_slices r SET done = p.done, total = p.total, note = p.note \
         FROM unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[]) \
             AS p (step, partition, done, total, note) \
         WHERE r.tenant_id = $1 AND r.run_id = $2 AND r.step = p.step AND r.partition = p.partition \
           AND r.state = 'running'",
    )
    .bind(tx.tenant().0)
    .bind(claim.run.0)
    .bind(steps)
    .bind(partitions)
    .bind(done)
    .bind(total)
    .bind(notes)
    .execute(tx.conn())
    .await
    .what("record progress")
    .map(drop)
}

/// A slice ended. It need not have been announced: a step that is switched off never starts.
///
/// # Errors
/// `StaleClaim` when the claim is no longer current.
pub async fn finish(tx: &mut TenantTx, claim: &Claim, slice: &SliceKey, end: &SliceEnd) -> Result<()> {
    let tenant = tx.tenant();
    let done = sqlx::query(sqlx::AssertSqlSafe(format!(
        "INSERT INTO run_slices AS r (tenant_id, run_id, step, partition, state, outcome, complete, reason, counts, \
             usage, finished_at) \
         SELECT $1, $2, $4, $5, 'finished', $6, $7, $8, $9, $10, clock_timestamp() WHERE {CURRENT} \
         ON CONFLICT (tenant_id, run_id, step, partition) DO UPDATE SET state = 'finished', note = '', \
             outcome = EXCLUDED.outcome, complete = EXCLUDED.complete, reason = EXCLUDED.reason, \
             counts = EXCLUDED.counts, usage = EXCLUDED.usage, finished_at = EXCLUDED.finished_at"
    )))
    .bind(tenant.0)
    .bind(claim.run.0)
    .bind(claim.fence)
    .bind(slice.step.as_str())
    .bind(slice.partition.as_str())
    .bind(end.outcome.as_str())
    .bind(end.complete)
    .bind(clean(&end.reason))
    .bind(Json(&end.counts))
    .bind(end.usage.as_ref().map(Json))
    .execute(tx.conn())
    .await
    .what("finish a slice")?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::StaleClaim(claim.run)) }
}

/// The slices of a run, in the order in which they began.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut TenantTx, run: RunId) -> Result<Vec<RunSlice>> {
    let tenant = tx.tenant();
    let rows = sqlx::query(
        "SELECT * FROM run_slices WHERE tenant_id = $1 AND run_id = $2 \
         ORDER BY started_at NULLS LAST, step, partition",
    )
    .bind(tenant.0)
    .bind(run.0)
    .fetch_all(tx.conn())
    .await
    .what("list the slices of a run")?;
    rows.iter().map(read).collect()
}
