//! The end of a run: from what the slices came to, to the graph. What is decided (outcome, retired partitions, the brake)
//! is decided from values; the acts are the store's.

use crate::collected::{Collected, SliceEnd};
use crate::collector::Collector;
use crate::error::RunError;
use crate::prepare::Prepared;
use crate::process::Peaks;
use porthole_model::brake::brake;
use porthole_model::id::{OperationId, Partition, StepId};
use porthole_model::plan::Plan;
use porthole_model::run::{Claim, Counts, Fault, Outcome, RunMode, TypeCounts};
use porthole_model::slice::retired_partitions;
use porthole_model::usage::OperationUse;
use porthole_store::reconcile::{self, ReconcileInput, SliceResult};
use porthole_store::runs::{self, RunFinish};
use porthole_store::slices::{self, Slice};
use porthole_store::{Store, StoreError};
use std::collections::BTreeMap;
use std::fmt;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It is over.
    Finished(Outcome),
    /// It waits for a person.
    Held,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished(outcome) => outcome.fmt(f),
            Self::Held => f.write_str("held"),
        }
    }
}

/// Ends a run that reconciles nothing.
///
/// # Errors
/// When that can't be written; `StaleClaim` when another worker has the run.
pub async fn fail(
    store: &Store,
    claim: Claim,
    outcome: Outcome,
    fault: Fault,
    message: &str,
) -> Result<Ending, StoreError> {
    let mut tx = store.tenant(claim.tenant).await?;
    runs::finish(&mut tx, &claim, &RunFinish::new(outcome, Some(fault), message)).await?;
    tx.commit().await?;
    Ok(Ending::Finished(outcome))
}

/// Applies what a held and confirmed run staged.
///
/// # Errors
/// When it can't be applied and not even that can be written.
pub async fn apply_held(store: &Store, claim: Claim) -> Result<Ending, StoreError> {
    match reconcile::apply_held(store, &claim).await {
        Ok(_) => {
            let mut tx = store.tenant(claim.tenant).await?;
            let run = runs::get(&mut tx, claim.run).await?;
            tx.commit().await?;
            Ok(Ending::Finished(run.outcome.unwrap_or(Outcome::Succeeded)))
        }
        Err(e) if e.is_stale_claim() => Err(e),
        Err(e) => fail(store, claim, Outcome::Failed, Fault::Host, &crate::prepare::chain(&e)).await,
    }
}

/// What is known when the last step has ended.
pub struct Results {
    /// What was prepared.
    pub prepared: Prepared,
    /// What the steps came to.
    pub collected: Collected,
    /// The index and the staging writer.
    pub collector: Collector,
    /// Of the graph that the index was read from.
    pub generation: i64,
    /// By operation.
    pub usage: BTreeMap<OperationId, OperationUse>,
    /// Memory.
    pub peaks: Peaks,
    /// Over what the guest asked and got.
    pub transcript_digest: String,
}

/// Reconciles, holds or shows what a run collected.
///
/// # Errors
/// When the graph can't be changed. Nothing of the run was applied then.
pub async fn finish(store: &Store, claim: Claim, mode: RunMode, results: Results) -> Result<Ending, RunError> {
    let Results { prepared, collected, mut collector, generation, usage, peaks, transcript_digest } = results;
    let mut tx = store.tenant(claim.tenant).await?;
    let known = slices::list(&mut tx, claim.instance).await?;
    tx.commit().await?;
    let retired = retired(&prepared.plan, &collected, &known);
    let mut input = ReconcileInput {
        generation,
        staged: Default::default(),
        slices: slice_results(&collected),
        retired,
        finish: summary(&prepared.plan, &collected),
    };
    input.finish.graph_digest = Some(collector.digest_text()?);
    input.finish.transcript_digest = Some(transcript_digest);
    input.finish.usage = Some(serde_json::json!({
        "operations": usage,
        "steps": objects_by_step(&prepared.plan, &collected),
        "peak_memory_bytes": { "sandbox": peaks.sandbox, "worker": peaks.worker },
    }));
    let nothing_emitted = collected.slices.iter().all(|s| s.tally.accepted == 0);
    if nothing_emitted && input.sweepable().is_empty() {
        // Not one complete slice and not one object: there is nothing to reconcile.
        let fault = Some(input.finish.fault.unwrap_or(Fault::Provider));
        let finish = RunFinish { outcome: Outcome::Failed, fault, ..input.finish };
        let mut tx = store.tenant(claim.tenant).await?;
        runs::finish(&mut tx, &claim, &finish).await?;
        tx.commit().await?;
        return Ok(Ending::Finished(Outcome::Failed));
    }
    collector.stage_gone(&input.sweepable().into_iter().collect()).await?;
    let held_before = collector.held()?;
    input.staged = collector.into_sink().finish().await?;
    let mut tx = store.tenant(claim.tenant).await?;
    let diff = reconcile::diff(&mut tx, &claim, input.staged, &input.sweepable()).await?;
    if mode == RunMode::Plan {
        let mut would = diff.counts;
        for (name, counts) in &input.finish.counts {
            would.entry(name.clone()).or_default().add(*counts);
        }
        let outcome = input.finish.outcome;
        let finish = RunFinish { counts: would, ..input.finish };
        runs::finish(&mut tx, &claim, &finish).await?;
        tx.commit().await?;
        return Ok(Ending::Finished(outcome));
    }
    tx.commit().await?;
    if let Some(reason) = brake(&diff.counts, &held_before, prepared.brake_share, prepared.brake_floor) {
        let message = format!("{reason}; `porthole run confirm {}` applies it", claim.run);
        reconcile::hold(store, &claim, &input, &diff.counts, &message).await?;
        return Ok(Ending::Held);
    }
    reconcile::apply_diffed(store, &claim, &input, Some(diff)).await?;
    Ok(Ending::Finished(input.finish.outcome))
}

/// How many objects each step that was on emitted.
fn objects_by_step(plan: &Plan, collected: &Collected) -> BTreeMap<StepId, u64> {
    let on = plan.steps.iter().filter(|s| s.is_on());
    let mut steps: BTreeMap<StepId, u64> = on.map(|s| (s.id.clone(), 0)).collect();
    for slice in &collected.slices {
        *steps.entry(slice.key.step.clone()).or_default() += slice.tally.accepted;
    }
    steps
}

fn slice_results(collected: &Collected) -> Vec<SliceResult> {
    let result = |s: &SliceEnd| SliceResult {
        slice_id: s.slice,
        complete: s.verdict.complete,
        reason: s.verdict.reason.clone().unwrap_or_default(),
    };
    collected.slices.iter().map(result).collect()
}

/// Slices whose partition is gone: the guest's list doesn't have it, and the list is complete, which takes that every
/// step it was made from is. A step that is off retires nothing.
fn retired(plan: &Plan, collected: &Collected, known: &[Slice]) -> Vec<i32> {
    let mut retired = Vec::new();
    for step in plan.steps.iter().filter(|s| s.is_on() && s.partitioned) {
        let Some((listed, complete)) = collected.listings.get(&step.id) else { continue };
        let slices: Vec<&Slice> = known.iter().filter(|s| s.key.step == step.id && !s.retired).collect();
        let partitions: Vec<Partition> = slices.iter().map(|s| s.key.partition.clone()).collect();
        let gone = retired_partitions(&partitions, listed, *complete);
        retired.extend(slices.iter().filter(|s| gone.contains(&s.key.partition)).map(|s| s.id));
    }
    retired
}

/// Outcome, message and the counts that only the worker knows.
fn summary(plan: &Plan, collected: &Collected) -> RunFinish {
    let mut counts = Counts::new();
    for (name, tally) in collected.slices.iter().flat_map(|s| &s.tally.counts) {
        let unchanged = TypeCounts { unchanged: tally.unchanged, ..TypeCounts::default() };
        counts.entry(name.clone()).or_default().add(unchanged);
    }
    let mut reasons: Vec<String> = Vec::new();
    for slice in collected.slices.iter().filter(|s| !s.verdict.complete) {
        let reason = slice.verdict.reason.as_deref().unwrap_or("unknown");
        let permission = slice.verdict.missing_permission.as_deref().filter(|p| !reason.contains(*p));
        let permission = permission.map(|p| format!(" (the provider has to grant: {p})")).unwrap_or_default();
        reasons.push(format!("{}: {reason}{permission}", slice.key));
    }
    reasons.extend(collected.failed_listings.iter().map(|(step, reason)| format!("{step}: {reason}")));
    let complete = collected.slices.iter().filter(|s| s.verdict.complete).count();
    let all = collected.slices.len();
    let emitted = collected.slices.iter().any(|s| s.tally.accepted > 0);
    let (outcome, fault) = match (reasons.is_empty(), complete > 0 || emitted) {
        (true, _) => (Outcome::Succeeded, None),
        (false, true) => (Outcome::Partial, Some(fault(collected))),
        (false, false) => (Outcome::Failed, Some(fault(collected))),
    };
    let off = plan.steps.iter().filter(|s| !s.is_on()).count();
    let off = if off > 0 { format!("; {off} steps are off and keep what they have") } else { String::new() };
    let message = match reasons.first() {
        None => format!("{all} slices, all complete{off}"),
        Some(first) => {
            format!(
                "{} of {} slices incomplete, nothing of them is deleted; first: {first}{off}",
                reasons.len(),
                all.max(reasons.len())
            )
        }
    };
    RunFinish { counts, ..RunFinish::new(outcome, fault, message) }
}

/// Whose failure an incomplete run is: a missing permission or grant is the tenant's to give, and a role that anybody could
/// have us assume the tenant's to close; a crash is the module's, the rest the provider's.
fn fault(collected: &Collected) -> Fault {
    let incomplete = || collected.slices.iter().filter(|s| !s.verdict.complete);
    let says = |words: &[&str]| {
        incomplete().any(|s| s.verdict.reason.as_deref().is_some_and(|r| words.iter().any(|w| r.contains(w))))
    };
    if incomplete().any(|s| s.verdict.missing_permission.is_some()) || says(&["denied (", "(confused deputy)"]) {
        Fault::Tenant
    } else if says(&["the guest failed", "were bad", "not followed"]) {
        Fault::Guest
    } else {
        Fault::Provider
    }
}
