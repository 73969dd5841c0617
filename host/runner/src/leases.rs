//! The leases of all runs of a worker, kept by one task with one statement: a thousand runs that wait for their providers
//! cost the database no more than a row each, and no connection.

use crate::execute::Signals;
use porthole_model::id::RunId;
use porthole_model::run::Claim;
use porthole_store::{Store, runs};
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How often leases are renewed and cancellation is looked for; more often where a lease is shorter than ten of these.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// The runs whose lease this process keeps.
#[derive(Debug, Default)]
pub(crate) struct Leases(Mutex<HashMap<RunId, Kept>>);

#[derive(Debug)]
struct Kept {
    claim: Claim,
    signals: Signals,
    /// When the database last said that the claim is current.
    good_at: Instant,
}

/// A run's lease is kept until this is dropped.
pub(crate) struct Keeping<'l> {
    leases: &'l Leases,
    run: RunId,
}

impl Drop for Keeping<'_> {
    fn drop(&mut self) {
        self.leases.lock().remove(&self.run);
    }
}

impl Leases {
    /// Keeps the lease of a run that was claimed just now.
    pub(crate) fn keep(&self, claim: Claim, signals: &Signals) -> Keeping<'_> {
        self.lock().insert(claim.run, Kept { claim, signals: signals.clone(), good_at: Instant::now() });
        Keeping { leases: self, run: claim.run }
    }

    /// Renews, and passes on what it hears, for as long as it is polled. A task of its own: a lease must not run out
    /// because a run is computing.
    pub(crate) async fn renew(&self, store: &Store, lease: Duration) -> Infallible {
        let mut tick = tokio::time::interval(HEARTBEAT.min(lease / 10));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let claims: Vec<Claim> = self.lock().values().map(|kept| kept.claim).collect();
            if claims.is_empty() {
                continue;
            }
            let asked_at = Instant::now();
            match runs::heartbeats(store, &claims, lease).await {
                Ok(current) => self.heard(&claims, &current, asked_at),
                Err(e) => {
                    tracing::warn!(error = %crate::prepare::chain(&e), runs = claims.len(), "heartbeat failed");
                    self.give_up(lease);
                }
            }
        }
    }

    fn heard(&self, claims: &[Claim], current: &HashMap<RunId, runs::Heartbeat>, asked_at: Instant) {
        let mut all = self.lock();
        for claim in claims {
            let Some(kept) = all.get_mut(&claim.run).filter(|kept| kept.claim.fence == claim.fence) else { continue };
            match current.get(&claim.run) {
                Some(beat) => {
                    kept.good_at = asked_at;
                    if beat.cancel_requested {
                        kept.signals.cancel.cancel();
                    }
                }
                // Also the answer right after the run has ended; whoever works on it knows which of the two it is.
                None => kept.signals.lost.cancel(),
            }
        }
    }

    /// The database may be back before a lease ends. After that another worker may have swept the run.
    fn give_up(&self, lease: Duration) {
        for kept in self.lock().values().filter(|kept| kept.good_at.elapsed() > lease) {
            tracing::error!(run = %kept.claim.run, "the lease is lost");
            kept.signals.lost.cancel();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RunId, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
