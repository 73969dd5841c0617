//! Reconcile: from the staging table into the graph, in one transaction, set-based, fenced. Readers see the old graph or
//! the new one.
//!
//! The order is the argument. First the claim is locked (a sweeper passes by) and checked, then the instance is locked
//! and its generation compared: from here on nobody else changes this instance's graph. Then the diff is counted, the
//! former versions are kept, the objects written, and only then the ends of relationships looked up, because they may
//! have come or gone just now. The run's end, the queue and the staging table go in the same transaction, so there is no
//! moment at which the graph is new and the run isn't finished.
//!
//! What was staged as new is inserted without being looked for: the generation says that the index that it was compared
//! with is the graph, and if that were wrong, the primary key would stop everything.
//!
//! With the entities go their traits, by which mapping rules find them (`mappings.rs`), under the lock of the tenant's
//! rules, which runs share.
//!
//! Nothing is deleted on doubt: a row that says "gone" counts only if its slice is complete or retired, and only if the
//! object still belongs to that slice.

mod places;
mod sql;
mod traits;
mod work;

use crate::audit;
use crate::error::{Result, StoreError, What};
use crate::mappings;
use crate::pool::Store;
use crate::row::{Columns, clean};
use crate::runs::{self, Ended, RunFinish, count_totals};
use crate::staging::{self, Rows, Staged};
use crate::tx::TenantTx;
use crate::tx::sealed::Conn;
use porthole_model::audit::{Action, Entry, Object};
use porthole_model::context::OpContext;
use porthole_model::id::InstanceId;
use porthole_model::run::{Claim, Counts};
use serde::{Deserialize, Serialize};
use sqlx::Executor;
use sqlx::types::Json;
use std::collections::BTreeSet;
pub use work::Diff;
use work::Work;

/// How one slice went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceResult {
    /// The number that [`crate::slices::ensure`] gave it.
    pub slice_id: i32,
    /// Proved complete from the wire. Only then is it swept.
    pub complete: bool,
    /// Why not.
    pub reason: String,
}

/// What a run brings to its reconcile.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReconcileInput {
    /// The generation that [`crate::index::stream_index`] returned.
    pub generation: i64,
    /// What the writer left.
    pub staged: Staged,
    /// Every slice that was tried.
    pub slices: Vec<SliceResult>,
    /// Slices that are no more: a complete listing of the partitions didn't have them. Swept like complete ones.
    pub retired: Vec<i32>,
    /// How the run ends, with the counts of what was unchanged.
    pub finish: RunFinish,
}

impl ReconcileInput {
    /// The slices whose missing objects may go.
    #[must_use]
    pub fn sweepable(&self) -> Vec<i32> {
        let complete = self.slices.iter().filter(|s| s.complete).map(|s| s.slice_id);
        complete.chain(self.retired.iter().copied()).collect()
    }
}

/// What a reconcile did.
#[derive(Debug, Clone)]
pub struct Reconciled {
    /// By type, the unchanged ones included.
    pub counts: Counts,
    /// The instance's generation now.
    pub generation: i64,
    /// Relationships of the instance with a missing end.
    pub dangling: u64,
}

/// Applies what a run staged, and ends the run.
///
/// # Errors
/// `StaleClaim` when the claim is no longer current, `Generation` when the graph was changed after the run compared with
/// it, `StagingLost` when the server lost staged rows, `NotNew` when an object that was staged as new is there. In every
/// case nothing was applied, and the run isn't ended.
pub async fn apply(store: &Store, claim: &Claim, input: &ReconcileInput) -> Result<Reconciled> {
    apply_diffed(store, claim, input, None).await
}

/// The same, with the diff that [`diff`] counted for this claim and input: with the generation unchanged it still holds.
///
/// # Errors
/// As [`apply`].
pub async fn apply_diffed(
    store: &Store,
    claim: &Claim,
    input: &ReconcileInput,
    diff: Option<Diff>,
) -> Result<Reconciled> {
    let mut tx = store.tenant(claim.tenant).await?;
    let locked = runs::lock_claim(&mut tx, claim).await?;
    let reconciled = apply_locked(&locked.ctx, &mut tx, claim, claim.fence, input, diff).await?;
    tx.commit().await?;
    Ok(reconciled)
}

/// Puts a run aside: what it staged is kept (and now survives a crash of the server) until a person confirms or cancels.
/// `would` is the diff that a person will look at.
///
/// # Errors
/// `StaleClaim` when the claim is no longer current.
pub async fn hold(store: &Store, claim: &Claim, input: &ReconcileInput, would: &Counts, message: &str) -> Result<()> {
    let what = "hold a run";
    let mut tx = store.tenant(claim.tenant).await?;
    let locked = runs::lock_claim(&mut tx, claim).await?;
    staging::make_durable(tx.conn(), claim.run, claim.fence).await?;
    sqlx::query(
        "UPDATE runs SET state = 'held', held = $3, counts = $4, message = $5 WHERE tenant_id = $1 AND run_id = $2",
    )
    .bind(claim.tenant.0)
    .bind(claim.run.0)
    .bind(Json(input))
    .bind(Json(would))
    .bind(clean(message))
    .execute(tx.conn())
    .await
    .what(what)?;
    sqlx::query(
        "UPDATE run_queue SET lease_until = NULL, worker = NULL, available_at = 'infinity', held_fence = fence \
         WHERE tenant_id = $1 AND run_id = $2",
    )
    .bind(claim.tenant.0)
    .bind(claim.run.0)
    .execute(tx.conn())
    .await
    .what(what)?;
    let entry = Entry::new(Action::RunHeld, Object::run(claim.run)).instance(claim.instance).run(claim.run);
    audit::append(&locked.ctx, &mut tx, count_totals(entry, would)).await?;
    tx.commit().await
}

/// Applies what a held and confirmed run staged, and ends it.
///
/// # Errors
/// As [`apply`]; `NotFound` when the claimed run wasn't held.
pub async fn apply_held(store: &Store, claim: &Claim) -> Result<Reconciled> {
    let mut tx = store.tenant(claim.tenant).await?;
    let locked = runs::lock_claim(&mut tx, claim).await?;
    let row = sqlx::query("SELECT held FROM runs WHERE tenant_id = $1 AND run_id = $2 AND held IS NOT NULL")
        .bind(claim.tenant.0)
        .bind(claim.run.0)
        .fetch_optional(tx.conn())
        .await
        .what("read a held run")?;
    let (Some(row), Some(fence)) = (row, locked.held_fence) else {
        return Err(StoreError::not_found("held run", claim.run));
    };
    let input: ReconcileInput = row.json("held")?;
    let reconciled = apply_locked(&locked.ctx, &mut tx, claim, fence, &input, None).await?;
    tx.commit().await?;
    Ok(reconciled)
}

async fn apply_locked(
    ctx: &OpContext,
    tx: &mut TenantTx,
    claim: &Claim,
    staging_fence: i64,
    input: &ReconcileInput,
    diff: Option<Diff>,
) -> Result<Reconciled> {
    let generation = lock_instance(tx, claim, input.generation).await?;
    let sweepable = input.sweepable();
    let mut counts = input.finish.counts.clone();
    if input.staged.rows > 0 {
        prepare(tx).await?;
        let rows = match input.staged.by_kind {
            Some(rows) => rows,
            None => split_held(tx, claim, staging_fence, input.staged).await?,
        };
        let work = Work::new(claim, staging_fence, tx.shard(), rows, &sweepable);
        let diff = match diff {
            Some(diff) => diff,
            None => work.diff(tx).await?,
        };
        // A run that changes no entity has nothing to do with mapping rules.
        let kinds = if work.entities().all() > 0 { mappings::shared(tx).await? } else { BTreeSet::new() };
        work.write(tx, &diff, &kinds).await?;
        for (name, staged) in diff.counts {
            counts.entry(name).or_default().add(staged);
        }
    }
    record_slices(tx, claim, input).await?;
    let dangling = count_dangling(tx, claim.instance).await?;
    let finish = RunFinish { counts: counts.clone(), ..input.finish.clone() };
    runs::end(ctx, tx, claim.run, Ended::Here, &finish).await?;
    Ok(Reconciled { counts, generation, dangling })
}

/// What an earlier version staged and held.
async fn split_held(tx: &mut TenantTx, claim: &Claim, fence: i64, staged: Staged) -> Result<[Rows; 2]> {
    let rows = staging::split_joint(tx.conn(), claim.run, fence).await?;
    let found = rows.iter().map(|r| r.all()).sum();
    if found == staged.rows { Ok(rows) } else { Err(StoreError::StagingLost { staged: staged.rows, found }) }
}

/// Nobody else changes the instance's graph from here on. Returns the new generation.
async fn lock_instance(tx: &mut TenantTx, claim: &Claim, compared: i64) -> Result<i64> {
    let what = "lock an instance";
    let found: i64 = sqlx::query_scalar(
        "SELECT generation FROM instances WHERE tenant_id = $1 AND instance_id = $2 FOR NO KEY UPDATE",
    )
    .bind(claim.tenant.0)
    .bind(claim.instance.0)
    .fetch_optional(tx.conn())
    .await
    .what(what)?
    .ok_or_else(|| StoreError::not_found("instance", claim.instance))?;
    if found != compared {
        return Err(StoreError::Generation { compared, found });
    }
    sqlx::query("UPDATE instances SET generation = generation + 1 WHERE tenant_id = $1 AND instance_id = $2")
        .bind(claim.tenant.0)
        .bind(claim.instance.0)
        .execute(tx.conn())
        .await
        .what(what)?;
    Ok(found + 1)
}

/// Counts by type what applying would do, and changes nothing: for plans, and for the brake. `sweepable` as
/// [`ReconcileInput::sweepable`] gives it.
///
/// # Errors
/// `StagingLost` when the server lost staged rows.
pub async fn diff(tx: &mut TenantTx, claim: &Claim, staged: Staged, sweepable: &[i32]) -> Result<Diff> {
    let Some(rows) = staged.by_kind.filter(|_| staged.rows > 0) else { return Ok(Diff::default()) };
    prepare(tx).await?;
    Work::new(claim, claim.fence, tx.shard(), rows, sweepable).diff(tx).await
}

async fn count_dangling(tx: &mut TenantTx, instance: InstanceId) -> Result<u64> {
    let (tenant, shard) = (tx.tenant(), tx.shard());
    let n: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM relationships \
         WHERE tenant_id = $1 AND shard = $2 AND instance_id = $3 AND dangling",
    )
    .bind(tenant.0)
    .bind(shard)
    .bind(instance.0)
    .fetch_one(tx.conn())
    .await
    .what("count dangling relationships")?;
    Ok(u64::try_from(n).unwrap_or(0))
}

async fn record_slices(tx: &mut TenantTx, claim: &Claim, input: &ReconcileInput) -> Result<()> {
    let what = "record the slices";
    sqlx::query(
        "UPDATE slices s SET last_run = $3, last_reason = r.reason, retired = false, \
             last_complete_run = CASE WHEN r.complete THEN $3 ELSE s.last_complete_run END, \
             last_complete_at = CASE WHEN r.complete THEN now() ELSE s.last_complete_at END \
         FROM unnest($4::int[], $5::boolean[], $6::text[]) AS r (slice_id, complete, reason) \
         WHERE s.tenant_id = $1 AND s.instance_id = $2 AND s.slice_id = r.slice_id",
    )
    .bind(claim.tenant.0)
    .bind(claim.instance.0)
    .bind(claim.run.0)
    .bind(input.slices.iter().map(|s| s.slice_id).collect::<Vec<_>>())
    .bind(input.slices.iter().map(|s| s.complete).collect::<Vec<_>>())
    .bind(input.slices.iter().map(|s| clean(&s.reason)).collect::<Vec<_>>())
    .execute(tx.conn())
    .await
    .what(what)?;
    sqlx::query(
        "UPDATE slices SET retired = true, last_run = $3, last_reason = '' \
         WHERE tenant_id = $1 AND instance_id = $2 AND slice_id = ANY($4)",
    )
    .bind(claim.tenant.0)
    .bind(claim.instance.0)
    .bind(claim.run.0)
    .bind(&input.retired)
    .execute(tx.conn())
    .await
    .what(what)
    .map(drop)
}

/// Memory for one sort or half of one hash table of a reconcile. It takes as much only when a run brings that much.
async fn prepare(tx: &mut TenantTx) -> Result<()> {
    tx.conn().execute("SET LOCAL work_mem = '64MB'").await.what("prepare a reconcile").map(drop)
}
