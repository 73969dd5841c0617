//! A worker: claims runs while it has room, keeps their leases, sweeps what other workers lost.

use crate::execute::{Order, Parts, Signals, execute};
use crate::finish;
use crate::leases::Leases;
use porthole_model::id::RunId;
use porthole_store::StoreError;
use porthole_store::runs::{self, Claimed};
use porthole_store::staging;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// How long a claim holds without a heartbeat, unless the operator says otherwise. Long enough for a database restart,
/// short enough that nobody waits long for a run whose worker was killed.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(30);
/// How often an idle worker looks for work.
const POLL: Duration = Duration::from_millis(500);
/// How often lost runs are swept.
const SWEEP: Duration = Duration::from_secs(5);
/// Runs that a worker begins at once: from the claim until the sandbox has its code. That is computing and short
/// transactions, which more at once would only make to wait for each other; and each holds a component and its code.
const STARTING: usize = 8;

/// Works until `stop`; runs under way are then cancelled and brought to their end.
///
/// # Errors
/// When the database refuses what no retry can change.
pub async fn work(parts: &Parts, name: &str, at_once: usize, stop: CancellationToken) -> Result<(), StoreError> {
    // A worker that was killed between losing its claim and noticing may have left a staging table behind.
    if let Err(e) = staging::sweep(&parts.store).await {
        tracing::error!(error = %crate::prepare::chain(&e), "can't sweep staging tables");
    }
    let leases = Arc::new(Leases::default());
    let renewing = renewing(parts, &leases);
    let warming = tokio::spawn({
        let (parts, stop) = (parts.clone(), stop.clone());
        async move { parts.warm.keep(&parts.recipe(), &stop).await }
    });
    tracing::info!(worker = name, at_once, "waiting for runs");
    claim_and_run(parts, name, at_once, stop, &leases).await;
    renewing.abort();
    if warming.await.is_err() {
        tracing::error!("the stock of sandboxes failed");
    }
    Ok(())
}

/// Until `stop`, and then until the last run has ended.
async fn claim_and_run(parts: &Parts, name: &str, at_once: usize, stop: CancellationToken, leases: &Arc<Leases>) {
    let mut running = JoinSet::new();
    let starting = Arc::new(Semaphore::new(STARTING));
    let mut sweep = tokio::time::interval(SWEEP.min(parts.lease / 2));
    let mut poll = tokio::time::interval(POLL);
    poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The queue had something when it was last looked at, or it is time to look.
    let mut look = true;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = sweep.tick() => match runs::sweep(&parts.store, name).await {
                Ok(swept) => {
                    for one in swept {
                        tracing::warn!(run = %one.run, worker = one.worker, "a run whose worker was lost is timed out");
                    }
                }
                Err(e) => tracing::error!(error = %crate::prepare::chain(&e), "can't sweep"),
            },
            Some(_) = running.join_next(), if !running.is_empty() => {}
            // An interval and no sleep: a sleep would start anew, and never end, whenever another branch is faster.
            _ = poll.tick(), if !look => look = true,
            // What can't begin now isn't claimed either: another worker may have room.
            Ok(start) = Arc::clone(&starting).acquire_owned(), if look && running.len() < at_once => {
                match runs::claim(&parts.store, name, parts.lease).await {
                    Ok(Some(claimed)) => {
                        let (parts, stop, leases) = (parts.clone(), stop.clone(), Arc::clone(leases));
                        running.spawn(async move { work_one(&parts, claimed, &leases, stop, Some(start), None).await });
                    }
                    Ok(None) => look = false,
                    Err(e) => {
                        look = false;
                        tracing::error!(error = %crate::prepare::chain(&e), "can't look for runs");
                    }
                }
            }
        }
    }
    while running.join_next().await.is_some() {}
}

/// Renews leases in a task of its own, until that is ended.
fn renewing(parts: &Parts, leases: &Arc<Leases>) -> JoinHandle<Infallible> {
    let (store, lease, leases) = (parts.store.clone(), parts.lease, Arc::clone(leases));
    tokio::spawn(async move { leases.renew(&store, lease).await })
}

/// Claims and runs one certain run, if nobody else has it. True when it was run here.
///
/// # Errors
/// When the claim or the outcome can't be written.
pub async fn work_on(parts: &Parts, name: &str, run: RunId, stop: CancellationToken) -> Result<bool, StoreError> {
    match runs::claim_run(&parts.store, name, parts.lease, run).await? {
        Some(claimed) => {
            work_alone(parts, claimed, stop, None).await;
            Ok(true)
        }
        None => Ok(false),
    }
}

/// Runs a run that this process has claimed already, and keeps its transcript in a file: complete under that name, or not
/// there at all.
pub async fn record(parts: &Parts, claimed: Claimed, stop: CancellationToken, file: &Path) {
    work_alone(parts, claimed, stop, Some(file)).await;
}

/// One run of a process that has no others.
async fn work_alone(parts: &Parts, claimed: Claimed, stop: CancellationToken, record: Option<&Path>) {
    let leases = Arc::new(Leases::default());
    let renewing = renewing(parts, &leases);
    work_one(parts, claimed, &leases, stop, None, record).await;
    renewing.abort();
}

/// `start` is given back when the run has begun.
async fn work_one(
    parts: &Parts,
    claimed: Claimed,
    leases: &Leases,
    stop: CancellationToken,
    start: Option<OwnedSemaphorePermit>,
    record: Option<&Path>,
) {
    let claim = claimed.claim;
    let signals = Signals { cancel: stop.child_token(), lost: CancellationToken::new() };
    let keeping = leases.keep(claim, &signals);
    // A run that loses its lease is told by `signals` and ends; a reconcile is fenced.
    let ended = if claimed.confirmed {
        finish::apply_held(&parts.store, claim).await
    } else {
        let started_at = claimed.run.started_at.unwrap_or(claimed.run.queued_at);
        let order = Order { claim, mode: claimed.run.mode, started_at, record, start };
        execute(parts, order, &signals).await
    };
    drop(keeping);
    match ended {
        Ok(ending) => tracing::info!(run = %claim.run, outcome = %ending, "run ended"),
        Err(e) => tracing::error!(run = %claim.run, error = %crate::prepare::chain(&e), "run left to the sweeper"),
    }
}
