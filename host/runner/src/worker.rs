//! A worker: claims runs while it has room, keeps their leases, sweeps what other workers lost.

use crate::execute::{Parts, Signals, execute};
use crate::finish;
use porthole_model::id::RunId;
use porthole_model::run::Claim;
use porthole_store::StoreError;
use porthole_store::runs::{self, Claimed};
use porthole_store::staging;
use std::path::Path;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long a claim holds without a heartbeat, unless the operator says otherwise. Long enough for a database restart,
/// short enough that nobody waits long for a run whose worker was killed.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(30);
/// How often a lease is renewed and cancellation is looked for; more often where the lease is shorter than ten of these.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How often an idle worker looks for work.
const POLL: Duration = Duration::from_millis(500);
/// How often lost runs are swept.
const SWEEP: Duration = Duration::from_secs(5);

/// Works until `stop`; runs under way are then cancelled and brought to their end.
///
/// # Errors
/// When the database refuses what no retry can change.
pub async fn work(parts: &Parts, name: &str, at_once: usize, stop: CancellationToken) -> Result<(), StoreError> {
    let mut running = JoinSet::new();
    let mut sweep = tokio::time::interval(SWEEP.min(parts.lease / 2));
    let mut poll = tokio::time::interval(POLL);
    poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // A worker that was killed between losing its claim and noticing may have left a staging table behind.
    if let Err(e) = staging::sweep(&parts.store).await {
        tracing::error!(error = %crate::prepare::chain(&e), "can't sweep staging tables");
    }
    tracing::info!(worker = name, at_once, "waiting for runs");
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
            _ = poll.tick(), if running.len() < at_once => {
                while running.len() < at_once {
                    match runs::claim(&parts.store, name, parts.lease).await {
                        Ok(Some(claimed)) => {
                            let (parts, stop) = (parts.clone(), stop.clone());
                            running.spawn(async move { work_one(&parts, claimed, stop, None).await });
                        }
                        Ok(None) => break,
                        Err(e) => {
                            tracing::error!(error = %crate::prepare::chain(&e), "can't look for runs");
                            break;
                        }
                    }
                }
            }
        }
    }
    while running.join_next().await.is_some() {}
    Ok(())
}

/// Claims and runs one certain run, if nobody else has it. True when it was run here.
///
/// # Errors
/// When the claim or the outcome can't be written.
pub async fn work_on(parts: &Parts, name: &str, run: RunId, stop: CancellationToken) -> Result<bool, StoreError> {
    match runs::claim_run(&parts.store, name, parts.lease, run).await? {
        Some(claimed) => {
            work_one(parts, claimed, stop, None).await;
            Ok(true)
        }
        None => Ok(false),
    }
}

/// Runs a run that this process has claimed already, and keeps its transcript in a file: complete under that name, or not
/// there at all.
pub async fn record(parts: &Parts, claimed: Claimed, stop: CancellationToken, file: &Path) {
    work_one(parts, claimed, stop, Some(file)).await;
}

async fn work_one(parts: &Parts, claimed: Claimed, stop: CancellationToken, record: Option<&Path>) {
    let claim = claimed.claim;
    let signals = Signals::default();
    // A task of its own: the lease must not run out because the run is computing.
    let beat = tokio::spawn(heartbeat(parts.clone(), claim, signals.clone(), stop));
    // A run that loses its lease is told by `signals` and ends; a reconcile is fenced.
    let ended = if claimed.confirmed {
        finish::apply_held(&parts.store, claim).await
    } else {
        let started_at = claimed.run.started_at.unwrap_or(claimed.run.queued_at);
        execute(parts, claim, claimed.run.mode, started_at, &signals, record).await
    };
    beat.abort();
    match ended {
        Ok(ending) => tracing::info!(run = %claim.run, outcome = %ending, "run ended"),
        Err(e) => tracing::error!(run = %claim.run, error = %crate::prepare::chain(&e), "run left to the sweeper"),
    }
}

/// Keeps the lease and passes on what it hears, until it is ended or the lease is lost.
async fn heartbeat(parts: Parts, claim: Claim, signals: Signals, stop: CancellationToken) {
    let mut tick = tokio::time::interval(HEARTBEAT.min(parts.lease / 10));
    let mut last = tokio::time::Instant::now();
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled(), if !signals.cancel.is_cancelled() => {
                signals.cancel.cancel();
                continue;
            }
        }
        match runs::heartbeat(&parts.store, &claim, parts.lease).await {
            Ok(answer) => {
                last = tokio::time::Instant::now();
                if answer.cancel_requested {
                    signals.cancel.cancel();
                }
            }
            // Also the answer right after the run has ended; whoever works on it knows which of the two it is.
            Err(e) if e.is_stale_claim() => return signals.lost.cancel(),
            // The database may be back before the lease ends. After that another worker may have swept the run.
            Err(e) if last.elapsed() > parts.lease => {
                tracing::error!(run = %claim.run, error = %crate::prepare::chain(&e), "the lease is lost");
                return signals.lost.cancel();
            }
            Err(e) => tracing::warn!(error = %crate::prepare::chain(&e), "heartbeat failed"),
        }
    }
}
