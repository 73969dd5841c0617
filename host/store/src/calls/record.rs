//! Writes calls: a batch before it is sent, each once more when it has ended. What is recorded may be sent when its batch
//! is durable, and not before. Neither is ever changed; the same facts go into the tenant's audit log in the same
//! transaction.

use crate::audit;
use crate::error::{Result, StoreError, What};
use crate::pool::Store;
use crate::row::{clean, signed};
use crate::run_slices::current_worker;
use crate::time::Time;
use crate::tx::TenantTx;
use crate::tx::sealed::Conn;
use jiff::Timestamp;
use porthole_model::audit::{Action, CallEnded, CallMade, Entry, Object, ended_in_batches, made_in_batches};
use porthole_model::context::OpContext;
use porthole_model::grant::Denial;
use porthole_model::id::RunId;
use porthole_model::run::{Claim, SliceKey};

/// The most characters of an operation's name that are kept: it is a guest's word.
const MAX_OPERATION_CHARS: usize = 128;

/// A call that is about to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCall {
    /// Counts the calls of the run.
    pub seq: i64,
    /// The slice that makes it.
    pub slice: SliceKey,
    /// The operation, as the guest named it (at most 128 characters are kept).
    pub operation: String,
    /// Length of the request's URL, headers and body, without the credential.
    pub request_bytes: u64,
}

/// A call that was refused. Its record is complete with that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeniedCall {
    /// Which.
    pub call: NewCall,
    /// By whom, and what would allow it.
    pub denial: Denial,
}

/// A call that was sent and has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedCall {
    /// Which: as it was recorded.
    pub call: NewCall,
    /// When it was recorded, as [`begin`] said.
    pub recorded_at: Timestamp,
    /// How it ended.
    pub end: CallEnd,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallEnd {
    /// The HTTP status, if there was a response.
    pub status: Option<u16>,
    /// The stable code of what went wrong.
    pub fault_code: Option<String>,
    /// The provider answered that nothing has changed, and the guest got the stored reply.
    pub reused: bool,
    /// How often it was sent.
    pub attempts: u32,
    /// Length of the body.
    pub response_bytes: u64,
    /// Waited for the provider's limits, in milliseconds.
    pub waited_ms: u64,
    /// From the first attempt to the end, in milliseconds.
    pub elapsed_ms: u64,
}

/// Records calls that are about to be sent, as one batch under a claim that is current. They are durable when this
/// returns, with the time at which they were recorded. `worker` is who holds the claim: [`crate::runs::worker`].
///
/// # Errors
/// `StaleClaim` when the claim is no longer current, and nothing may be sent.
pub async fn begin(store: &Store, claim: &Claim, worker: &OpContext, calls: &[NewCall]) -> Result<Timestamp> {
    let made = calls.iter().map(|call| call.made(None)).collect();
    let entries = made_in_batches(made)
        .into_iter()
        .map(|part| about(Action::CallsBegun, claim).allowed().count("calls", part.len() as u64).calls(part));
    let (ids, records) = audit::leaves(worker, entries.collect());
    // The pool itself: the function enters the tenant, and a single statement is its own transaction.
    let began: Option<Time> = sqlx::query_scalar("SELECT begin_calls($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)")
        .bind(claim.tenant.0)
        .bind(claim.run.0)
        .bind(claim.fence)
        .bind(calls.iter().map(|c| c.seq).collect::<Vec<_>>())
        .bind(calls.iter().map(|c| c.slice.step.as_str()).collect::<Vec<_>>())
        .bind(calls.iter().map(|c| c.slice.partition.as_str()).collect::<Vec<_>>())
        .bind(calls.iter().map(NewCall::operation).collect::<Vec<_>>())
        .bind(calls.iter().map(|c| signed(c.request_bytes)).collect::<Vec<_>>())
        .bind(ids)
        .bind(records)
        .fetch_one(&store.pool)
        .await
        .what("record calls")?;
    began.map(|began| began.0).ok_or(StoreError::StaleClaim(claim.run))
}

/// Records calls that were refused.
///
/// # Errors
/// `StaleClaim` when the claim is no longer current.
pub async fn deny(tx: &mut TenantTx, claim: &Claim, calls: &[DeniedCall]) -> Result<()> {
    let ctx = current_worker(tx, claim).await?;
    sqlx::query(
        "INSERT INTO run_calls (tenant_id, run_id, seq, step, partition, operation, decision, layer, reason, remedy, \
             request_bytes, completed_at) \
         SELECT $1, $2, c.seq, c.step, c.partition, c.operation, 'denied', c.layer, c.reason, c.remedy, \
             c.request_bytes, clock_timestamp() \
         FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], \
             $10::bigint[]) AS c (seq, step, partition, operation, layer, reason, remedy, request_bytes)",
    )
    .bind(tx.tenant().0)
    .bind(claim.run.0)
    .bind(calls.iter().map(|c| c.call.seq).collect::<Vec<_>>())
    .bind(calls.iter().map(|c| c.call.slice.step.as_str()).collect::<Vec<_>>())
    .bind(calls.iter().map(|c| c.call.slice.partition.as_str()).collect::<Vec<_>>())
    .bind(calls.iter().map(|c| c.call.operation()).collect::<Vec<_>>())
    .bind(calls.iter().map(|c| c.denial.layer.as_str()).collect::<Vec<_>>())
    .bind(calls.iter().map(|c| clean(&c.denial.reason)).collect::<Vec<_>>())
    .bind(calls.iter().map(|c| clean(&c.denial.remedy)).collect::<Vec<_>>())
    .bind(calls.iter().map(|c| signed(c.call.request_bytes)).collect::<Vec<_>>())
    .execute(tx.conn())
    .await
    .what("record refused calls")?;
    let made = calls.iter().map(|c| c.call.made(Some(c.denial.layer.as_str()))).collect();
    let entries = made_in_batches(made)
        .into_iter()
        .map(|part| about(Action::CallsDenied, claim).count("calls", part.len() as u64).calls(part));
    audit::append_all(&ctx, tx, entries.collect()).await.map(drop)
}

/// Completes calls that were recorded with [`begin`].
///
/// # Errors
/// `StaleClaim` when the claim is no longer current: the run was ended and its records completed. When a call was
/// completed before: a record is completed once.
pub async fn end(tx: &mut TenantTx, claim: &Claim, calls: &[EndedCall]) -> Result<()> {
    let ctx = current_worker(tx, claim).await?;
    sqlx::query(
        "INSERT INTO run_calls (tenant_id, run_id, seq, step, partition, operation, decision, request_bytes, recorded_at, \
             status, fault_code, reused, attempts, response_bytes, waited_ms, elapsed_ms, completed_at) \
         SELECT $1, $2, c.seq, c.step, c.partition, c.operation, 'allowed', c.request_bytes, c.recorded_at, \
             c.status, c.fault_code, c.reused, c.attempts, c.response_bytes, c.waited_ms, c.elapsed_ms, clock_timestamp() \
         FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::timestamptz[], $9::smallint[], \
             $10::text[], $11::boolean[], $12::int[], $13::bigint[], $14::bigint[], $15::bigint[]) \
             AS c (seq, step, partition, operation, request_bytes, recorded_at, status, fault_code, reused, attempts, \
             response_bytes, waited_ms, elapsed_ms)",
    )
    .bind(tx.tenant().0)
    .bind(claim.run.0)
    .bind(calls.iter().map(|c| c.call.seq).collect::<Vec<_>>())
    .bind(calls.iter().map(|c| c.call.slice.step.as_str()).collect::<Vec<_>>())
    .bind(calls.iter().map(|c| c.call.slice.partition.as_str()).collect::<Vec<_>>())
    .bind(calls.iter().map(|c| c.call.operation()).collect::<Vec<_>>())
    .bind(calls.iter().map(|c| signed(c.call.request_bytes)).collect::<Vec<_>>())
    .bind(calls.iter().map(|c| Time(c.recorded_at)).collect::<Vec<_>>())
    .bind(calls.iter().map(|c| c.end.status.and_then(|s| i16::try_from(s).ok())).collect::<Vec<_>>())
    .bind(calls.iter().map(|c| c.end.fault_code.as_deref()).collect::<Vec<_>>())
    .bind(calls.iter().map(|c| c.end.reused).collect::<Vec<_>>())
    .bind(calls.iter().map(|c| i32::try_from(c.end.attempts).unwrap_or(i32::MAX)).collect::<Vec<_>>())
    .bind(calls.iter().map(|c| signed(c.end.response_bytes)).collect::<Vec<_>>())
    .bind(calls.iter().map(|c| signed(c.end.waited_ms)).collect::<Vec<_>>())
    .bind(calls.iter().map(|c| signed(c.end.elapsed_ms)).collect::<Vec<_>>())
    .execute(tx.conn())
    .await
    .what("complete calls")?;
    let ended = |c: &EndedCall| {
        let CallEnd { status, fault_code, reused, response_bytes, .. } = &c.end;
        CallEnded::new(c.call.seq, *status, fault_code.as_deref(), *response_bytes).reused(*reused)
    };
    let entries = ended_in_batches(calls.iter().map(ended).collect()).into_iter().map(|part| {
        let bytes = part.iter().map(|e| e.bytes).sum();
        about(Action::CallsEnded, claim).count("calls", part.len() as u64).count("bytes", bytes).ends(part)
    });
    audit::append_all(&ctx, tx, entries.collect()).await.map(drop)
}

/// A record of an effect is completed once: by whoever made it or, if that is lost, here, when the run is ended. Returns
/// the numbers of the lost; from then on every call of the run has a row of its own.
pub(crate) async fn lose(tx: &mut TenantTx, run: RunId) -> Result<Vec<i64>> {
    let tenant = tx.tenant();
    let lost = sqlx::query_scalar(
        // A difference of two lists, whose cost doesn't depend on what the planner knows of tables that have just grown.
        "WITH open AS MATERIALIZED ( \
             SELECT unnest(seqs) AS seq FROM run_call_batches WHERE tenant_id = $1 AND run_id = $2 \
             EXCEPT ALL SELECT seq FROM run_calls WHERE tenant_id = $1 AND run_id = $2) \
         INSERT INTO run_calls (tenant_id, run_id, seq, step, partition, operation, decision, request_bytes, recorded_at, \
             fault_code, completed_at) \
         SELECT $1, $2, c.seq, c.step, c.partition, c.operation, 'allowed', c.request_bytes, b.recorded_at, 'lost', \
             clock_timestamp() \
         FROM run_call_batches b, unnest(b.seqs, b.steps, b.partitions, b.operations, b.request_bytes) \
             AS c (seq, step, partition, operation, request_bytes) \
         WHERE b.tenant_id = $1 AND b.run_id = $2 AND c.seq = ANY (ARRAY(SELECT seq FROM open)) \
         RETURNING seq",
    )
    .bind(tenant.0)
    .bind(run.0)
    .fetch_all(tx.conn())
    .await
    .what("complete lost calls")?;
    sqlx::query("DELETE FROM run_call_batches WHERE tenant_id = $1 AND run_id = $2")
        .bind(tenant.0)
        .bind(run.0)
        .execute(tx.conn())
        .await
        .what("complete lost calls")?;
    Ok(lost)
}

fn about(action: Action, claim: &Claim) -> Entry {
    Entry::new(action, Object::run(claim.run)).instance(claim.instance).run(claim.run)
}

impl NewCall {
    /// The operation, as it is kept.
    fn operation(&self) -> String {
        clean(&self.operation).chars().take(MAX_OPERATION_CHARS).collect()
    }

    /// As it stands in the audit log: neither the reason nor the remedy, which quote arguments.
    fn made(&self, layer: Option<&str>) -> CallMade {
        CallMade::new(self.seq, &self.slice, &self.operation, layer)
    }
}
