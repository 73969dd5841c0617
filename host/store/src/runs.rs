//! Runs: the queue and the ledger.
//!
//! A run that isn't over has a row in `run_queue` (ids only, no tenant's data) next to its row in `runs`. Whoever
//! changes either locks the queue row first, then the run, then the instance: one order, no deadlock.
//!
//! A claim is a lease and a fence. The lease says until when a worker has the run; the fence counts claims. A worker
//! that lost its lease, for whatever reason, holds an old fence, and everything that is done under a claim checks it.

mod queue;
mod record;

pub(crate) use queue::lock_claim;
pub use queue::{
    Claimed, Heartbeat, Swept, claim, claim_run, create_claimed, heartbeat, heartbeats, queued_tenant, sweep,
};
pub(crate) use record::{Ended, as_worker, count_totals};

use crate::audit;
use crate::error::{Result, StoreError, What};
use crate::instances;
use crate::row::{Columns, clean};
use crate::run_slices::current_worker;
use crate::staging;
use crate::tx::TenantTx;
use crate::tx::sealed::Conn;
use jiff::Timestamp;
use porthole_model::audit::Action;
use porthole_model::context::OpContext;
use porthole_model::id::{InstanceId, ModuleDigest, Name, RunId};
use porthole_model::run::{Claim, Counts, Fault, Outcome, RunMode, RunState};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::types::Json;

/// The most runs that one list shows.
pub const MAX_LIST: u32 = 1000;

/// A run.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Whose configuration.
    pub instance: InstanceId,
    /// The instance's name.
    pub instance_name: Name,
    /// The module that the instance had when the run was queued: what runs.
    pub module: ModuleDigest,
    /// Where it stands.
    pub state: RunState,
    /// What becomes of the graph.
    pub mode: RunMode,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Effective operations and steps.
    pub plan: Option<Value>,
    /// Who asked for it.
    pub requested_by: String,
    /// Why.
    pub reason: String,
    /// When it was asked for.
    pub queued_at: Timestamp,
    /// When a worker began.
    pub started_at: Option<Timestamp>,
    /// When it was over.
    pub finished_at: Option<Timestamp>,
    /// The last worker that claimed it.
    pub worker: Option<String>,
    /// Counts claims.
    pub fence: i64,
    /// Whose failure it was.
    pub fault: Option<Fault>,
    /// What there is to say about its end.
    pub message: String,
    /// What it did (held: would do), by type.
    pub counts: Counts,
    /// What it used.
    pub usage: Option<Value>,
    /// What held around the guest.
    pub isolation: Option<Value>,
    /// The operator's exceptions in force.
    pub exceptions: Option<Value>,
    /// Digest of what was collected.
    pub graph_digest: Option<String>,
    /// Digest of the recorded calls.
    pub transcript_digest: Option<String>,
    /// Who let a held run go on.
    pub confirmed_by: Option<String>,
    /// Who asked for its end.
    pub cancelled_by: Option<String>,
}

/// A run to queue.
#[derive(Debug, Clone, Copy)]
pub struct NewRun<'a> {
    /// Of this instance.
    pub instance: InstanceId,
    /// What becomes of the graph.
    pub mode: RunMode,
    /// Why, in words.
    pub reason: &'a str,
}

/// How a run ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunFinish {
    /// How.
    pub outcome: Outcome,
    /// Whose failure it was.
    pub fault: Option<Fault>,
    /// What there is to say.
    pub message: String,
    /// By type. For [`crate::reconcile::apply`]: what only the worker knows, `unchanged`; the rest is counted there.
    pub counts: Counts,
    /// What it used.
    pub usage: Option<Value>,
    /// Digest of what was collected.
    pub graph_digest: Option<String>,
    /// Digest of the recorded calls.
    pub transcript_digest: Option<String>,
}

impl RunFinish {
    /// An end with nothing to count.
    #[must_use]
    pub fn new(outcome: Outcome, fault: Option<Fault>, message: impl Into<String>) -> Self {
        Self {
            outcome,
            fault,
            message: message.into(),
            counts: Counts::new(),
            usage: None,
            graph_digest: None,
            transcript_digest: None,
        }
    }
}

/// What is known before a run's first step, for whoever reads its record.
#[derive(Debug, Clone, Default)]
pub struct RunStart {
    /// Effective operations and steps.
    pub plan: Option<Value>,
    /// What holds around the guest.
    pub isolation: Option<Value>,
    /// The operator's exceptions in force.
    pub exceptions: Option<Value>,
    /// The grant that the plan was made from, and its version; for the audit log.
    pub grant: Option<(i32, Value)>,
    /// The operator's ceiling that the plan was made from; for the audit log.
    pub ceiling: Option<Value>,
}

const SELECT: &str = "SELECT r.*, i.name AS instance_name FROM runs r \
     JOIN instances i ON i.tenant_id = r.tenant_id AND i.instance_id = r.instance_id";

fn read(row: &PgRow) -> Result<Run> {
    Ok(Run {
        id: RunId(row.column("run_id")?),
        instance: InstanceId(row.column("instance_id")?),
        instance_name: row.word("instance_name")?,
        module: row.word("module_digest")?,
        state: row.word("state")?,
        mode: row.word("mode")?,
        outcome: row.word_or_null("outcome")?,
        plan: row.json_or_null("plan")?,
        requested_by: row.column("requested_by")?,
        reason: row.column("reason")?,
        queued_at: row.time("queued_at")?,
        started_at: row.time_or_null("started_at")?,
        finished_at: row.time_or_null("finished_at")?,
        worker: row.column("worker")?,
        fence: row.column("fence")?,
        fault: row.word_or_null("fault")?,
        message: row.column("message")?,
        counts: row.json("counts")?,
        usage: row.json_or_null("usage")?,
        isolation: row.json_or_null("isolation")?,
        exceptions: row.json_or_null("exceptions")?,
        graph_digest: row.column("graph_digest")?,
        transcript_digest: row.column("transcript_digest")?,
        confirmed_by: row.column("confirmed_by")?,
        cancelled_by: row.column("cancelled_by")?,
    })
}

/// Queues a run. It waits for its turn while another run of the instance is active.
///
/// # Errors
/// `NotFound` when the tenant has no such instance, `Disabled` when it is switched off.
pub async fn create(ctx: &OpContext, tx: &mut TenantTx, new: NewRun<'_>) -> Result<Run> {
    let instance = instances::get(tx, new.instance).await?;
    if instance.disabled {
        return Err(StoreError::Disabled(instance.name.to_string()));
    }
    let (tenant, run) = (tx.tenant(), RunId::new());
    sqlx::query(
        "INSERT INTO runs (tenant_id, run_id, instance_id, module_digest, mode, requested_by, reason) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(tenant.0)
    .bind(run.0)
    .bind(instance.id.0)
    .bind(instance.module.to_string())
    .bind(new.mode.as_str())
    .bind(ctx.actor.to_string())
    .bind(clean(new.reason))
    .execute(tx.conn())
    .await
    .what("queue a run")?;
    sqlx::query("INSERT INTO run_queue (tenant_id, run_id, instance_id) VALUES ($1, $2, $3)")
        .bind(tenant.0)
        .bind(run.0)
        .bind(instance.id.0)
        .execute(tx.conn())
        .await
        .what("queue a run")?;
    let run = get(tx, run).await?;
    let entry =
        record::about(Action::RunQueued, &run).digest("module", run.module).fact("mode", run.mode).reason(&run.reason);
    audit::append(ctx, tx, entry).await?;
    Ok(run)
}

/// Records what is known before the first step: in the run's row, and what was decided in the tenant's audit log, with
/// where the platform's log stood.
///
/// # Errors
/// `StaleClaim` when the claim is no longer current.
pub async fn record_start(tx: &mut TenantTx, claim: &Claim, start: &RunStart) -> Result<()> {
    let tenant = tx.tenant();
    let done = sqlx::query(
        "UPDATE runs SET plan = coalesce($4, plan), isolation = coalesce($5, isolation), \
             exceptions = coalesce($6, exceptions) \
         WHERE tenant_id = $1 AND run_id = $2 AND fence = $3 AND state = 'running'",
    )
    .bind(tenant.0)
    .bind(claim.run.0)
    .bind(claim.fence)
    .bind(start.plan.as_ref().map(Json))
    .bind(start.isolation.as_ref().map(Json))
    .bind(start.exceptions.as_ref().map(Json))
    .execute(tx.conn())
    .await
    .what("record the start of a run")?;
    if done.rows_affected() != 1 {
        return Err(StoreError::StaleClaim(claim.run));
    }
    if let Some(plan) = &start.plan {
        let ctx = current_worker(tx, claim).await?;
        let platform = audit::read::platform_head(tx).await?;
        audit::append(&ctx, tx, record::planned(claim, plan, start, &platform)).await?;
    }
    Ok(())
}

/// Ends a run without touching the graph: a failure, a denial, a cancellation, a plan. What it staged is dropped, its
/// open slices and calls are closed.
///
/// # Errors
/// `StaleClaim` when the claim is no longer current.
pub async fn finish(tx: &mut TenantTx, claim: &Claim, finish: &RunFinish) -> Result<()> {
    let locked = lock_claim(tx, claim).await?;
    end(&locked.ctx, tx, claim.run, Ended::Here, finish).await
}

/// Ends a run whose queue row the caller has locked: the run's row, what is open under it, its staging tables, its
/// place in the queue.
pub(crate) async fn end(ctx: &OpContext, tx: &mut TenantTx, run: RunId, how: Ended, finish: &RunFinish) -> Result<()> {
    let what = "finish a run";
    let tenant = tx.tenant();
    let ended = sqlx::query(
        "UPDATE runs SET state = 'finished', finished_at = clock_timestamp(), outcome = $3, fault = $4, message = $5, \
             counts = $6, usage = coalesce($7, usage), graph_digest = $8, transcript_digest = $9, held = NULL \
         WHERE tenant_id = $1 AND run_id = $2 AND state <> 'finished' RETURNING instance_id, isolation",
    )
    .bind(tenant.0)
    .bind(run.0)
    .bind(finish.outcome.as_str())
    .bind(finish.fault.map(Fault::as_str))
    .bind(clean(&finish.message))
    .bind(Json(&finish.counts))
    .bind(finish.usage.as_ref().map(Json))
    .bind(&finish.graph_digest)
    .bind(&finish.transcript_digest)
    .fetch_optional(tx.conn())
    .await
    .what(what)?;
    // A step that never came to an end ended as its run did; a run that succeeded has none.
    sqlx::query(
        "UPDATE run_slices SET state = 'finished', finished_at = clock_timestamp(), note = '', outcome = $3, \
             reason = CASE WHEN reason = '' THEN 'the run ended before it' ELSE reason END \
         WHERE tenant_id = $1 AND run_id = $2 AND state <> 'finished'",
    )
    .bind(tenant.0)
    .bind(run.0)
    .bind(finish.outcome.as_str())
    .execute(tx.conn())
    .await
    .what(what)?;
    let lost = crate::calls::lose(tx, run).await?;
    if let Some(ended) = ended {
        let instance = InstanceId(ended.column("instance_id")?);
        let isolation = ended.json_or_null("isolation")?;
        let totals = crate::calls::totals(tx, run).await?;
        let entries = record::finished(instance, run, how, finish, isolation.as_ref(), totals, lost);
        audit::append_all(ctx, tx, entries).await?;
    }
    let queued = sqlx::query("DELETE FROM run_queue WHERE tenant_id = $1 AND run_id = $2 RETURNING fence, held_fence")
        .bind(tenant.0)
        .bind(run.0)
        .fetch_optional(tx.conn())
        .await
        .what(what)?;
    if let Some(queued) = queued {
        staging::drop_tables(tx.conn(), run, queued.column("fence")?).await?;
        if let Some(held) = queued.column::<Option<i64>>("held_fence")? {
            staging::drop_tables(tx.conn(), run, held).await?;
        }
    }
    Ok(())
}

/// Asks for the end of a run. A queued or held one is over at once; a running one when its worker hears of it, with the
/// next heartbeat.
///
/// # Errors
/// `NotFound` when the tenant has no such run, `State` when it is over.
pub async fn request_cancel(ctx: &OpContext, tx: &mut TenantTx, run: RunId) -> Result<Run> {
    let what = "cancel a run";
    let tenant = tx.tenant();
    sqlx::query("UPDATE run_queue SET cancel_requested = true WHERE tenant_id = $1 AND run_id = $2")
        .bind(tenant.0)
        .bind(run.0)
        .execute(tx.conn())
        .await
        .what(what)?;
    let found = get(tx, run).await?;
    if found.state == RunState::Finished {
        return Err(StoreError::State { run, state: found.state, needed: "queued, running or held" });
    }
    sqlx::query("UPDATE runs SET cancelled_by = coalesce(cancelled_by, $3) WHERE tenant_id = $1 AND run_id = $2")
        .bind(tenant.0)
        .bind(run.0)
        .bind(ctx.actor.to_string())
        .execute(tx.conn())
        .await
        .what(what)?;
    audit::append(ctx, tx, record::about(Action::RunCancelRequested, &found).fact("state", found.state)).await?;
    if found.state != RunState::Running {
        let message = format!("cancelled by {} while it was {}", ctx.actor, found.state);
        end(ctx, tx, run, Ended::Here, &RunFinish::new(Outcome::Cancelled, None, message)).await?;
    }
    get(tx, run).await
}

/// Who holds a claim that is current.
///
/// # Errors
/// `StaleClaim` when it isn't.
pub async fn worker(tx: &mut TenantTx, claim: &Claim) -> Result<OpContext> {
    current_worker(tx, claim).await
}

/// The tenant's runs that are being worked on.
///
/// # Errors
/// When the database fails.
pub async fn running(tx: &mut TenantTx) -> Result<Vec<RunId>> {
    let tenant = tx.tenant();
    let ids: Vec<uuid::Uuid> =
        sqlx::query_scalar("SELECT run_id FROM runs WHERE tenant_id = $1 AND state = 'running' ORDER BY run_id")
            .bind(tenant.0)
            .fetch_all(tx.conn())
            .await
            .what("list the running runs")?;
    Ok(ids.into_iter().map(RunId).collect())
}

/// Lets a held run go on: it is queued again, before its instance's other runs, and whoever claims it applies what it
/// staged.
///
/// # Errors
/// `NotFound` when the tenant has no such run, `State` when it isn't held.
pub async fn confirm(ctx: &OpContext, tx: &mut TenantTx, run: RunId) -> Result<Run> {
    let what = "confirm a run";
    let tenant = tx.tenant();
    sqlx::query(
        "UPDATE run_queue SET available_at = now() \
         WHERE tenant_id = $1 AND run_id = $2 AND lease_until IS NULL AND held_fence IS NOT NULL",
    )
    .bind(tenant.0)
    .bind(run.0)
    .execute(tx.conn())
    .await
    .what(what)?;
    let confirmed = sqlx::query(
        "UPDATE runs SET state = 'queued', confirmed_by = $3, confirmed_at = now() \
         WHERE tenant_id = $1 AND run_id = $2 AND state = 'held'",
    )
    .bind(tenant.0)
    .bind(run.0)
    .bind(ctx.actor.to_string())
    .execute(tx.conn())
    .await
    .what(what)?;
    let found = get(tx, run).await?;
    if confirmed.rows_affected() != 1 {
        return Err(StoreError::State { run, state: found.state, needed: "held" });
    }
    audit::append(ctx, tx, record::about(Action::RunConfirmed, &found)).await?;
    Ok(found)
}

/// A run by its id.
///
/// # Errors
/// `NotFound` when the tenant has none.
pub async fn get(tx: &mut TenantTx, run: RunId) -> Result<Run> {
    let tenant = tx.tenant();
    let row = sqlx::query(sqlx::AssertSqlSafe(format!("{SELECT} WHERE r.tenant_id = $1 AND r.run_id = $2")))
        .bind(tenant.0)
        .bind(run.0)
        .fetch_optional(tx.conn())
        .await
        .what("find a run")?;
    read(&row.ok_or_else(|| StoreError::not_found("run", run))?)
}

/// The newest runs of an instance, or of all, newest first.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut TenantTx, instance: Option<InstanceId>, limit: u32) -> Result<Vec<Run>> {
    let tenant = tx.tenant();
    let sql = format!(
        "{SELECT} WHERE r.tenant_id = $1 AND ($2::uuid IS NULL OR r.instance_id = $2) ORDER BY r.run_id DESC LIMIT $3"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(tenant.0)
        .bind(instance.map(|i| i.0))
        .bind(i64::from(limit.min(MAX_LIST)))
        .fetch_all(tx.conn())
        .await
        .what("list the runs")?;
    rows.iter().map(read).collect()
}
