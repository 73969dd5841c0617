//! Calls: every use of an operation, recorded before it is sent and completed once. [`record`] writes them; here they are
//! read.

mod record;

pub(crate) use record::lose;
pub use record::{CallEnd, DeniedCall, EndedCall, NewCall, begin, deny, end};

use crate::error::{Result, What};
use crate::row::Columns;
use crate::tx::TenantTx;
use crate::tx::sealed::Conn;
use jiff::Timestamp;
use porthole_model::id::RunId;
use porthole_model::run::SliceKey;
use serde::Serialize;
use sqlx::postgres::PgRow;

/// A recorded call.
#[derive(Debug, Clone, Serialize)]
pub struct Call {
    /// Counts the calls of the run.
    pub seq: i64,
    /// Step and partition.
    #[serde(flatten)]
    pub slice: SliceKey,
    /// The operation.
    pub operation: String,
    /// `allowed` or `denied`.
    pub decision: String,
    /// Who refused.
    pub layer: Option<String>,
    /// Why.
    pub reason: String,
    /// What would allow it.
    pub remedy: String,
    /// The HTTP status.
    pub status: Option<i16>,
    /// The guest got the stored reply, of which the provider said that it still holds.
    pub reused: bool,
    /// What went wrong.
    pub fault_code: Option<String>,
    /// How often it was sent.
    pub attempts: i32,
    /// Bytes out.
    pub request_bytes: u64,
    /// Bytes in.
    pub response_bytes: u64,
    /// Milliseconds waited for limits.
    pub waited_ms: u64,
    /// Milliseconds in all.
    pub elapsed_ms: u64,
    /// Before it was sent.
    pub recorded_at: Timestamp,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
}

/// What a run did with one operation.
#[derive(Debug, Clone, Serialize)]
pub struct OperationUse {
    /// The operation.
    pub operation: String,
    /// Calls that were sent.
    pub allowed: u64,
    /// Calls that were refused.
    pub denied: u64,
    /// Of the sent: without a usable response.
    pub faults: u64,
    /// Bytes in.
    pub response_bytes: u64,
    /// Milliseconds waited for limits.
    pub waited_ms: u64,
}

fn read(row: &PgRow) -> Result<Call> {
    Ok(Call {
        seq: row.column("seq")?,
        slice: SliceKey { step: row.word("step")?, partition: row.word("partition")? },
        operation: row.column("operation")?,
        decision: row.column("decision")?,
        layer: row.column("layer")?,
        reason: row.column("reason")?,
        remedy: row.column("remedy")?,
        status: row.column("status")?,
        reused: row.column("reused")?,
        fault_code: row.column("fault_code")?,
        attempts: row.column("attempts")?,
        request_bytes: row.count("request_bytes")?,
        response_bytes: row.count("response_bytes")?,
        waited_ms: row.count("waited_ms")?,
        elapsed_ms: row.count("elapsed_ms")?,
        recorded_at: row.time("recorded_at")?,
        completed_at: row.time_or_null("completed_at")?,
    })
}

/// The calls of a run after a number, in order: those that have ended, and those that are under way.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut TenantTx, run: RunId, after: i64, limit: u32) -> Result<Vec<Call>> {
    let tenant = tx.tenant();
    let rows = sqlx::query(
        "WITH open AS MATERIALIZED ( \
             SELECT unnest(seqs) AS seq FROM run_call_batches WHERE tenant_id = $1 AND run_id = $2 \
             EXCEPT ALL SELECT seq FROM run_calls WHERE tenant_id = $1 AND run_id = $2) \
         (SELECT seq, step, partition, operation, decision, layer, reason, remedy, status, reused, fault_code, attempts, \
              request_bytes, response_bytes, waited_ms, elapsed_ms, recorded_at, completed_at \
          FROM run_calls WHERE tenant_id = $1 AND run_id = $2 AND seq > $3 ORDER BY seq LIMIT $4) \
         UNION ALL \
         (SELECT c.seq, c.step, c.partition, c.operation, 'allowed', NULL, '', '', NULL, false, NULL, 0, \
              c.request_bytes, 0, 0, 0, b.recorded_at, NULL \
          FROM run_call_batches b, unnest(b.seqs, b.steps, b.partitions, b.operations, b.request_bytes) \
              AS c (seq, step, partition, operation, request_bytes) \
          WHERE b.tenant_id = $1 AND b.run_id = $2 AND c.seq > $3 AND c.seq = ANY (ARRAY(SELECT seq FROM open))) \
         ORDER BY seq LIMIT $4",
    )
    .bind(tenant.0)
    .bind(run.0)
    .bind(after)
    .bind(i64::from(limit))
    .fetch_all(tx.conn())
    .await
    .what("list the calls of a run")?;
    rows.iter().map(read).collect()
}

/// The refused calls of a run: each operation, layer and reason once, with its first call.
///
/// # Errors
/// When the database fails.
pub async fn denials(tx: &mut TenantTx, run: RunId) -> Result<Vec<Call>> {
    let tenant = tx.tenant();
    let rows = sqlx::query(
        "SELECT DISTINCT ON (operation, layer, reason) * FROM run_calls \
         WHERE tenant_id = $1 AND run_id = $2 AND decision = 'denied' ORDER BY operation, layer, reason, seq",
    )
    .bind(tenant.0)
    .bind(run.0)
    .fetch_all(tx.conn())
    .await
    .what("list the denials of a run")?;
    rows.iter().map(read).collect()
}

/// What a run did in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Calls that were sent.
    pub(crate) allowed: u64,
    /// Calls that were refused.
    pub(crate) denied: u64,
    /// Of the sent: without a usable response.
    pub(crate) faults: u64,
    /// Bytes out.
    pub(crate) request_bytes: u64,
    /// Bytes in.
    pub(crate) response_bytes: u64,
}

/// Sums up the calls of a run.
pub(crate) async fn totals(tx: &mut TenantTx, run: RunId) -> Result<Totals> {
    let tenant = tx.tenant();
    let row = sqlx::query(
        "SELECT count(*) FILTER (WHERE decision = 'allowed') AS allowed, \
             count(*) FILTER (WHERE decision = 'denied') AS denied, count(fault_code) AS faults, \
             coalesce(sum(request_bytes), 0)::bigint AS request_bytes, \
             coalesce(sum(response_bytes), 0)::bigint AS response_bytes \
         FROM run_calls WHERE tenant_id = $1 AND run_id = $2",
    )
    .bind(tenant.0)
    .bind(run.0)
    .fetch_one(tx.conn())
    .await
    .what("sum up the calls of a run")?;
    Ok(Totals {
        allowed: row.count("allowed")?,
        denied: row.count("denied")?,
        faults: row.count("faults")?,
        request_bytes: row.count("request_bytes")?,
        response_bytes: row.count("response_bytes")?,
    })
}

/// What a run did with each operation, in the calls that have ended.
///
/// # Errors
/// When the database fails.
pub async fn by_operation(tx: &mut TenantTx, run: RunId) -> Result<Vec<OperationUse>> {
    let tenant = tx.tenant();
    let rows = sqlx::query(
        "SELECT operation, count(*) FILTER (WHERE decision = 'allowed') AS allowed, \
             count(*) FILTER (WHERE decision = 'denied') AS denied, count(fault_code) AS faults, \
             sum(response_bytes)::bigint AS response_bytes, sum(waited_ms)::bigint AS waited_ms \
         FROM run_calls WHERE tenant_id = $1 AND run_id = $2 GROUP BY operation ORDER BY operation",
    )
    .bind(tenant.0)
    .bind(run.0)
    .fetch_all(tx.conn())
    .await
    .what("sum up the calls of a run")?;
    rows.iter()
        .map(|row| {
            Ok(OperationUse {
                operation: row.column("operation")?,
                allowed: row.count("allowed")?,
                denied: row.count("denied")?,
                faults: row.count("faults")?,
                response_bytes: row.count("response_bytes")?,
                waited_ms: row.count("waited_ms")?,
            })
        })
        .collect()
}
