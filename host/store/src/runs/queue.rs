//! The queue: claims, leases, sweeps. Works across tenants and so opens its own transactions.

use super::{Ended, NewRun, Run, RunFinish, as_worker, end, get};
use crate::audit;
use crate::error::{Result, StoreError, What, is_unique_violation};
use crate::instances::{self, Instance};
use crate::pool::Store;
use crate::row::{Columns, clean};
use crate::tx::TenantTx;
use crate::tx::sealed::Conn;
use porthole_model::audit::{Action, Entry, Object};
use porthole_model::context::OpContext;
use porthole_model::id::{InstanceId, RunId, TenantId};
use porthole_model::run::{Claim, Fault, Outcome};
use sqlx::postgres::PgRow;
use std::collections::HashMap;
use std::time::Duration;

/// How often a claim that another worker won is tried again at once.
const CLAIM_ATTEMPTS: usize = 5;
/// A run that this worker now has.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The claim, for everything that follows.
    pub claim: Claim,
    /// The run.
    pub run: Run,
    /// Its instance.
    pub instance: Instance,
    /// It was held and a person confirmed it: what is left to do is [`crate::reconcile::apply_held`].
    pub confirmed: bool,
}

/// What a worker is told when it says that it is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// Someone asked for the run's end.
    pub cancel_requested: bool,
}

/// A run that lost its worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swept {
    /// The tenant.
    pub tenant: TenantId,
    /// The instance.
    pub instance: InstanceId,
    /// The run, finished as timed-out.
    pub run: RunId,
    /// The worker that was lost.
    pub worker: String,
}

/// Claims the run that has waited longest, of whatever tenant. Runs of an instance that has an active run wait, and so do
/// those behind its first: while another worker is about to take the first, this one must not take the second.
///
/// # Errors
/// When the database fails.
pub async fn claim(store: &Store, worker: &str, lease: Duration) -> Result<Option<Claimed>> {
    claim_where(store, worker, lease, None).await
}

/// Claims one run, for a worker that serves a person who waits for it. None when it can't be claimed now: it is not
/// queued, another worker has it, or its instance has another active run.
///
/// # Errors
/// When the database fails.
pub async fn claim_run(store: &Store, worker: &str, lease: Duration, run: RunId) -> Result<Option<Claimed>> {
    claim_where(store, worker, lease, Some(run)).await
}

async fn claim_where(store: &Store, worker: &str, lease: Duration, only: Option<RunId>) -> Result<Option<Claimed>> {
    for _ in 0..CLAIM_ATTEMPTS {
        match try_claim(store, worker, lease, only).await {
            // Two workers, two runs of one instance, both saw no active run: the index let one of them through.
            Err(StoreError::Query { source, .. }) if is_unique_violation(&source) => {}
            other => return other,
        }
    }
    Ok(None)
}

async fn try_claim(store: &Store, worker: &str, lease: Duration, only: Option<RunId>) -> Result<Option<Claimed>> {
    let mut tx = store.begin().await?;
    let Some(leased) = lease_next(&mut tx, worker, lease, only).await? else { return Ok(None) };
    let mut tx = tx.enter(leased.claim.tenant).await?;
    let claimed = start(&mut tx, worker, leased).await?;
    tx.commit().await?;
    Ok(Some(claimed))
}

/// Queues a run and claims it at once, in one transaction: for a process that keeps a transcript of it, which no other
/// worker could. None while its instance has another active run; nothing is queued then.
///
/// # Errors
/// As [`super::create`], and when the database fails.
pub async fn create_claimed(
    ctx: &OpContext,
    store: &Store,
    tenant: TenantId,
    new: NewRun<'_>,
    worker: &str,
    lease: Duration,
) -> Result<Option<Claimed>> {
    let mut tx = store.tenant(tenant).await?;
    let run = super::create(ctx, &mut tx, new).await?;
    let claimed = match lease_next(&mut tx, worker, lease, Some(run.id)).await? {
        Some(leased) => start(&mut tx, worker, leased).await,
        None => return tx.rollback().await.map(|()| None),
    };
    match claimed {
        Ok(claimed) => tx.commit().await.map(|()| Some(claimed)),
        // Another worker began another run of the instance just now.
        Err(StoreError::Query { source, .. }) if is_unique_violation(&source) => tx.rollback().await.map(|()| None),
        Err(e) => Err(e),
    }
}

/// A queue row that this worker has now.
struct Leased {
    claim: Claim,
    confirmed: bool,
}

async fn lease_next(tx: &mut impl Conn, worker: &str, lease: Duration, only: Option<RunId>) -> Result<Option<Leased>> {
    let row = sqlx::query(
        "WITH next AS ( \
             SELECT q.tenant_id, q.run_id FROM run_queue q \
             WHERE q.lease_until IS NULL AND q.available_at <= now() AND ($1::uuid IS NULL OR q.run_id = $1) \
               AND NOT EXISTS (SELECT 1 FROM run_queue o \
                   WHERE o.tenant_id = q.tenant_id AND o.instance_id = q.instance_id AND o.run_id <> q.run_id \
                     AND (o.lease_until IS NOT NULL OR o.held_fence IS NOT NULL \
                         OR ($1::uuid IS NULL AND q.held_fence IS NULL \
                             AND (o.available_at, o.run_id) < (q.available_at, q.run_id)))) \
             ORDER BY q.available_at, q.run_id LIMIT 1 FOR UPDATE OF q SKIP LOCKED) \
         UPDATE run_queue q SET fence = q.fence + 1, worker = $2, lease_until = now() + make_interval(secs => $3) \
         FROM next WHERE q.tenant_id = next.tenant_id AND q.run_id = next.run_id \
         RETURNING q.tenant_id, q.run_id, q.instance_id, q.fence, q.held_fence IS NOT NULL AS confirmed",
    )
    .bind(only.map(|r| r.0))
    .bind(clean(worker))
    .bind(lease.as_secs_f64())
    .fetch_optional(tx.conn())
    .await
    .what("claim a run")?;
    let Some(row) = row else { return Ok(None) };
    let claim = Claim {
        tenant: TenantId(row.column("tenant_id")?),
        instance: InstanceId(row.column("instance_id")?),
        run: RunId(row.column("run_id")?),
        fence: row.column("fence")?,
    };
    Ok(Some(Leased { claim, confirmed: row.column("confirmed")? }))
}

/// The run of a leased row begins.
async fn start(tx: &mut TenantTx, worker: &str, leased: Leased) -> Result<Claimed> {
    let Leased { claim, confirmed } = leased;
    sqlx::query(
        "UPDATE runs SET state = 'running', fence = $3, worker = $4, started_at = coalesce(started_at, now()) \
         WHERE tenant_id = $1 AND run_id = $2 AND state = 'queued'",
    )
    .bind(claim.tenant.0)
    .bind(claim.run.0)
    .bind(claim.fence)
    .bind(clean(worker))
    .execute(tx.conn())
    .await
    .what("claim a run")?;
    let run = get(tx, claim.run).await?;
    let instance = instances::get(tx, claim.instance).await?;
    let entry = Entry::new(Action::RunStarted, Object::run(claim.run))
        .instance(claim.instance)
        .run(claim.run)
        .digest("module", run.module)
        .count("claim", u64::try_from(claim.fence).unwrap_or(0))
        .count("confirmed", u64::from(confirmed));
    audit::append(&as_worker(claim.run, worker), tx, entry).await?;
    Ok(Claimed { claim, run, instance, confirmed })
}

/// Says that the worker is alive: the lease starts anew. Never waits for a lock: while the worker's own reconcile holds
/// the row, nobody can sweep it either.
///
/// # Errors
/// `StaleClaim` when the claim is no longer current. The worker has to stop.
pub async fn heartbeat(store: &Store, claim: &Claim, lease: Duration) -> Result<Heartbeat> {
    let mut current = heartbeats(store, std::slice::from_ref(claim), lease).await?;
    current.remove(&claim.run).ok_or(StoreError::StaleClaim(claim.run))
}

/// The same for all runs of a worker, in one statement. A claim that isn't in the answer is no longer current.
///
/// # Errors
/// When the database fails.
pub async fn heartbeats(store: &Store, claims: &[Claim], lease: Duration) -> Result<HashMap<RunId, Heartbeat>> {
    // The last SELECT sees rows as they were before the UPDATE, whether they could be locked or not.
    let rows = sqlx::query(
        "WITH claimed (tenant_id, run_id, fence) AS (SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[])), \
         mine AS (SELECT q.tenant_id, q.run_id FROM run_queue q JOIN claimed USING (tenant_id, run_id, fence) \
             WHERE q.lease_until IS NOT NULL FOR UPDATE OF q SKIP LOCKED), \
         extended AS (UPDATE run_queue q SET lease_until = now() + make_interval(secs => $4) FROM mine \
             WHERE q.tenant_id = mine.tenant_id AND q.run_id = mine.run_id) \
         SELECT q.run_id, q.cancel_requested FROM run_queue q JOIN claimed USING (tenant_id, run_id, fence) \
         WHERE q.lease_until IS NOT NULL",
    )
    .bind(claims.iter().map(|c| c.tenant.0).collect::<Vec<_>>())
    .bind(claims.iter().map(|c| c.run.0).collect::<Vec<_>>())
    .bind(claims.iter().map(|c| c.fence).collect::<Vec<_>>())
    .bind(lease.as_secs_f64())
    .fetch_all(&store.pool)
    .await
    .what("extend leases")?;
    let read = |row: &PgRow| {
        Ok((RunId(row.column("run_id")?), Heartbeat { cancel_requested: row.column("cancel_requested")? }))
    };
    rows.iter().map(read).collect()
}

/// Locks the queue row of a claim that is current. The sweeper passes by locked rows.
pub(crate) async fn lock_claim(tx: &mut TenantTx, claim: &Claim) -> Result<LockedClaim> {
    let tenant = tx.tenant();
    let row = sqlx::query(
        "SELECT held_fence, coalesce(worker, '') AS worker FROM run_queue \
         WHERE tenant_id = $1 AND run_id = $2 AND fence = $3 AND lease_until IS NOT NULL FOR UPDATE",
    )
    .bind(tenant.0)
    .bind(claim.run.0)
    .bind(claim.fence)
    .fetch_optional(tx.conn())
    .await
    .what("check a claim")?
    .ok_or(StoreError::StaleClaim(claim.run))?;
    let worker: String = row.column("worker")?;
    Ok(LockedClaim { held_fence: row.column("held_fence")?, ctx: as_worker(claim.run, worker) })
}

/// What [`lock_claim`] saw.
pub(crate) struct LockedClaim {
    /// The claim under which a held run staged.
    pub(crate) held_fence: Option<i64>,
    /// Whose claim it is.
    pub(crate) ctx: OpContext,
}

/// Ends every run whose lease ran out. Any process may do this at any time; `by` is the worker that does.
///
/// # Errors
/// When the database fails. What was swept until then stays swept.
pub async fn sweep(store: &Store, by: &str) -> Result<Vec<Swept>> {
    let mut swept = Vec::new();
    while let Some(one) = sweep_one(store, by).await? {
        swept.push(one);
    }
    Ok(swept)
}

async fn sweep_one(store: &Store, by: &str) -> Result<Option<Swept>> {
    let mut tx = store.begin().await?;
    let row = sqlx::query(
        "SELECT tenant_id, run_id, instance_id, coalesce(worker, '') AS worker, \
             ceil(extract(epoch FROM now() - lease_until))::bigint AS overdue_s \
         FROM run_queue WHERE lease_until < now() ORDER BY lease_until LIMIT 1 FOR UPDATE SKIP LOCKED",
    )
    .fetch_optional(tx.conn())
    .await
    .what("look for lost runs")?;
    let Some(row) = row else { return Ok(None) };
    let swept = Swept {
        tenant: TenantId(row.column("tenant_id")?),
        instance: InstanceId(row.column("instance_id")?),
        run: RunId(row.column("run_id")?),
        worker: row.column("worker")?,
    };
    let overdue_s: i64 = row.column("overdue_s")?;
    let mut tx = tx.enter(swept.tenant).await?;
    let message = format!(
        "worker `{}` was lost: its lease ran out {overdue_s} s ago; nothing of this run was applied",
        swept.worker
    );
    let ctx = as_worker(swept.run, by);
    end(&ctx, &mut tx, swept.run, Ended::Swept, &RunFinish::new(Outcome::TimedOut, Some(Fault::Host), message)).await?;
    tx.commit().await?;
    Ok(Some(swept))
}

/// The tenant of a run that isn't over: for a process that was told only the run.
///
/// # Errors
/// When the database fails.
pub async fn queued_tenant(store: &Store, run: RunId) -> Result<Option<TenantId>> {
    let tenant = sqlx::query_scalar("SELECT tenant_id FROM run_queue WHERE run_id = $1")
        .bind(run.0)
        .fetch_optional(&store.pool)
        .await
        .what("find a queued run")?;
    Ok(tenant.map(TenantId))
}
