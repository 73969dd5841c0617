//! Calls: every use of an operation, recorded before it is sent and completed once.

use crate::audit;
use crate::error::{Result, StoreError, What};
use crate::row::{Columns, clean, signed};
use crate::runs::as_worker;
use crate::tx::TenantTx;
use crate::tx::sealed::Conn;
use jiff::Timestamp;
use porthole_model::audit::{Action, CallEnded, CallMade, Entry, Object, ended_in_batches, made_in_batches};
use porthole_model::grant::Denial;
use porthole_model::id::RunId;
use porthole_model::run::{Claim, SliceKey};
use serde::Serialize;
use sqlx::postgres::PgRow;

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It will be sent.
    Allowed,
    /// It won't. The record is complete with that.
    Denied(Denial),
}

/// A call to record, before it is sent.
#[derive(Debug, Clone)]
pub struct NewCall {
    /// Counts the calls of the run.
    pub seq: i64,
    /// The slice that makes it.
    pub slice: SliceKey,
    /// The operation, as the guest named it (at most 128 characters are kept).
    pub operation: String,
    /// What was decided.
    pub decision: Decision,
    /// Length of the request's URL, headers and body, without the credential.
    pub request_bytes: u64,
}

/// How a call ended.
#[derive(Debug, Clone)]
pub struct CallEnd {
    /// Which.
    pub seq: i64,
    /// The HTTP status, if there was a response.
    pub status: Option<u16>,
    /// The stable code of what went wrong.
    pub fault_code: Option<String>,
    /// How often it was sent.
    pub attempts: u32,
    /// The provider answered that nothing has changed, and the guest got the stored reply.
    pub reused: bool,
    /// Length of the body.
    pub response_bytes: u64,
    /// Waited for the provider's limits, in milliseconds.
    pub waited_ms: u64,
    /// From the first attempt to the end, in milliseconds.
    pub elapsed_ms: u64,
}

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

/// Records calls and completes others, here and in the tenant's audit log, with one statement for all of its records. What
/// is recorded may be sent once the transaction is committed, and not before. A completed record is never changed.
///
/// # Errors
/// `StaleClaim` when the claim is no longer current, and nothing may be sent; or when a call to complete isn't open: the
/// run was ended and its records completed.
pub async fn write(tx: &mut TenantTx, claim: &Claim, calls: &[NewCall], ends: &[CallEnd]) -> Result<()> {
    let mut entries = Vec::new();
    let mut ctx = None;
    if !calls.is_empty() {
        let (worker, begun) = insert(tx, claim, calls).await?;
        ctx = Some(as_worker(claim.run, worker));
        entries.extend(begun);
    }
    if !ends.is_empty() {
        let (worker, ended) = close(tx, claim, ends).await?;
        ctx = ctx.or(Some(as_worker(claim.run, worker)));
        entries.extend(ended);
    }
    match ctx {
        Some(ctx) => audit::append_all(&ctx, tx, entries).await.map(drop),
        None => Ok(()),
    }
}

/// Records calls under a claim that is current, and stays so until the transaction ends: the run's end waits for it, so
/// that nothing is recorded of a run after its end. Returns the worker whose they are, and the records to write.
async fn insert(tx: &mut TenantTx, claim: &Claim, calls: &[NewCall]) -> Result<(String, Vec<Entry>)> {
    let denial = |c: &NewCall| match &c.decision {
        Decision::Allowed => None,
        Decision::Denied(denial) => Some(denial.clone()),
    };
    let denials: Vec<Option<Denial>> = calls.iter().map(denial).collect();
    let text = |get: fn(&Denial) -> &str| -> Vec<String> {
        denials.iter().map(|d| d.as_ref().map_or_else(String::new, |d| clean(get(d)))).collect()
    };
    // The claim is looked at and the calls are written in one statement: each is a way to the server and back, and calls
    // wait for it.
    let worker: Option<String> = sqlx::query_scalar(
        "WITH claim AS MATERIALIZED ( \
             SELECT coalesce(worker, '') AS worker FROM runs \
             WHERE tenant_id = $1 AND run_id = $2 AND fence = $11 AND state = 'running' FOR SHARE), \
         begun AS ( \
             INSERT INTO run_calls (tenant_id, run_id, seq, step, partition, operation, decision, layer, reason, \
                 remedy, request_bytes, completed_at) \
             SELECT $1, $2, c.seq, c.step, c.partition, c.operation, \
                 CASE WHEN c.layer IS NULL THEN 'allowed' ELSE 'denied' END, c.layer, c.reason, c.remedy, \
                 c.request_bytes, CASE WHEN c.layer IS NULL THEN NULL ELSE clock_timestamp() END \
             FROM claim, unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], \
                 $10::bigint[]) AS c (seq, step, partition, operation, layer, reason, remedy, request_bytes)) \
         SELECT worker FROM claim",
    )
    .bind(tx.tenant().0)
    .bind(claim.run.0)
    .bind(calls.iter().map(|c| c.seq).collect::<Vec<_>>())
    .bind(calls.iter().map(|c| c.slice.step.as_str()).collect::<Vec<_>>())
    .bind(calls.iter().map(|c| c.slice.partition.as_str()).collect::<Vec<_>>())
    .bind(calls.iter().map(|c| clean(&c.operation).chars().take(128).collect()).collect::<Vec<String>>())
    .bind(denials.iter().map(|d| d.as_ref().map(|d| d.layer.as_str())).collect::<Vec<_>>())
    .bind(text(|d| &d.reason))
    .bind(text(|d| &d.remedy))
    .bind(calls.iter().map(|c| signed(c.request_bytes)).collect::<Vec<_>>())
    .bind(claim.fence)
    .fetch_optional(tx.conn())
    .await
    .what("record calls")?;
    let worker = worker.ok_or(StoreError::StaleClaim(claim.run))?;
    let mut entries = Vec::new();
    for denied in [false, true] {
        let of_kind: Vec<CallMade> = calls.iter().filter(|c| c.is_denied() == denied).map(NewCall::made).collect();
        for part in made_in_batches(of_kind) {
            let action = if denied { Action::CallsDenied } else { Action::CallsBegun };
            entries.push(batch(action, claim).count("calls", part.len() as u64).calls(part));
        }
    }
    Ok((worker, entries))
}

fn batch(action: Action, claim: &Claim) -> Entry {
    let entry = Entry::new(action, Object::run(claim.run)).instance(claim.instance).run(claim.run);
    match action {
        Action::CallsBegun => entry.allowed(),
        _ => entry,
    }
}

impl NewCall {
    fn is_denied(&self) -> bool {
        matches!(self.decision, Decision::Denied(_))
    }

    /// As it stands in the audit log: neither the reason nor the remedy, which quote arguments.
    fn made(&self) -> CallMade {
        let layer = match &self.decision {
            Decision::Allowed => None,
            Decision::Denied(denial) => Some(denial.layer.as_str()),
        };
        CallMade::new(self.seq, &self.slice, &self.operation, layer)
    }
}

/// Completes calls; returns the worker whose they are, and the records to write.
async fn close(tx: &mut TenantTx, claim: &Claim, ends: &[CallEnd]) -> Result<(String, Vec<Entry>)> {
    let tenant = tx.tenant();
    let attempts: Vec<i32> = ends.iter().map(|e| i32::try_from(e.attempts).unwrap_or(i32::MAX)).collect();
    let done: Vec<String> = sqlx::query_scalar(
        "UPDATE run_calls c SET status = e.status, fault_code = e.fault_code, attempts = e.attempts, \
             response_bytes = e.response_bytes, waited_ms = e.waited_ms, elapsed_ms = e.elapsed_ms, \
             reused = e.reused, completed_at = clock_timestamp() \
         FROM unnest($3::bigint[], $4::smallint[], $5::text[], $6::int[], $7::bigint[], $8::bigint[], $9::bigint[], \
             $10::boolean[]) AS e (seq, status, fault_code, attempts, response_bytes, waited_ms, elapsed_ms, reused) \
         WHERE c.tenant_id = $1 AND c.run_id = $2 AND c.seq = e.seq AND c.completed_at IS NULL \
         RETURNING (SELECT coalesce(r.worker, '') FROM runs r WHERE r.tenant_id = $1 AND r.run_id = $2)",
    )
    .bind(tenant.0)
    .bind(claim.run.0)
    .bind(ends.iter().map(|e| e.seq).collect::<Vec<_>>())
    .bind(ends.iter().map(|e| e.status.and_then(|s| i16::try_from(s).ok())).collect::<Vec<_>>())
    .bind(ends.iter().map(|e| e.fault_code.as_deref()).collect::<Vec<_>>())
    .bind(attempts)
    .bind(ends.iter().map(|e| signed(e.response_bytes)).collect::<Vec<_>>())
    .bind(ends.iter().map(|e| signed(e.waited_ms)).collect::<Vec<_>>())
    .bind(ends.iter().map(|e| signed(e.elapsed_ms)).collect::<Vec<_>>())
    .bind(ends.iter().map(|e| e.reused).collect::<Vec<_>>())
    .fetch_all(tx.conn())
    .await
    .what("complete calls")?;
    let worker = match done.first() {
        Some(worker) if done.len() == ends.len() => worker.clone(),
        _ => return Err(StoreError::StaleClaim(claim.run)),
    };
    let ended =
        |e: &CallEnd| CallEnded::new(e.seq, e.status, e.fault_code.as_deref(), e.response_bytes).reused(e.reused);
    let parts = ended_in_batches(ends.iter().map(ended).collect());
    let entries = parts.into_iter().map(|part| {
        let bytes = part.iter().map(|e| e.bytes).sum();
        batch(Action::CallsEnded, claim).count("calls", part.len() as u64).count("bytes", bytes).ends(part)
    });
    Ok((worker, entries.collect()))
}

/// The calls of a run after a number, in order.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut TenantTx, run: RunId, after: i64, limit: u32) -> Result<Vec<Call>> {
    let tenant = tx.tenant();
    let rows =
        sqlx::query("SELECT * FROM run_calls WHERE tenant_id = $1 AND run_id = $2 AND seq > $3 ORDER BY seq LIMIT $4")
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

/// What a run did with each operation.
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
