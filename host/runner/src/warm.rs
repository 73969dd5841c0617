//! Sandboxes that wait for a run: spawned, locked down, idle, and without any code yet. A run that takes one saves the
//! start of a process; everything else stays as it is. Each serves one run and is gone afterwards, like one that was
//! started for it.
//!
//! What is taken is replaced in the background, and so is what died while it waited. Who holds none ([`Warm::none`])
//! starts each sandbox when it is needed.

use crate::process::{Sandbox, SandboxError};
use porthole_wire::{Isolation, Limits};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Idle sandboxes of a worker, unless the operator says otherwise. Two carry the runs that begin while the next one
/// starts, which takes milliseconds; each takes about 1 MiB.
pub const DEFAULT_WARM: usize = 2;
/// The most idle sandboxes of a worker: they begin as many runs at the same moment, and cost about 64 MiB.
pub const MAX_WARM: usize = 64;
/// How often idle ones are looked after: a dead one is replaced at the latest after this.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long to wait after a failed start. Runs still try on their own, and say what is wrong.
const PAUSE: Duration = Duration::from_secs(10);

/// What a worker's sandboxes are started with.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The program.
    pub program: PathBuf,
    /// The limits of every run.
    pub limits: Limits,
    /// Go on where the kernel can't isolate.
    pub allow_weak_isolation: bool,
}

impl Recipe {
    /// Starts one and waits until it is locked down.
    ///
    /// # Errors
    /// As [`Sandbox::start`].
    pub async fn start(&self) -> Result<(Sandbox, Isolation), SandboxError> {
        Sandbox::start(&self.program, self.limits, self.allow_weak_isolation).await
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Warm {
    size: usize,
    /// Oldest first.
    idle: Mutex<VecDeque<(Sandbox, Isolation)>>,
    /// One was taken.
    taken: Notify,
}

impl Warm {
    /// A stock of at most [`MAX_WARM`]. It is empty until somebody runs [`Warm::keep`].
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self { size: size.min(MAX_WARM), idle: Mutex::default(), taken: Notify::new() }
    }

    /// No stock: what a single command needs.
    #[must_use]
    pub fn none() -> Self {
        Self::new(0)
    }

    /// The oldest idle sandbox that is alive, with what held around it when it was locked down. It is the caller's alone.
    #[must_use]
    pub fn take(&self) -> Option<(Sandbox, Isolation)> {
        let mut idle = self.lock();
        let found = std::iter::from_fn(|| idle.pop_front()).find_map(|(mut sandbox, isolation)| {
            // A dead one is dropped here.
            sandbox.is_alive().then_some((sandbox, isolation))
        });
        self.taken.notify_one();
        found
    }

    /// How many are idle.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.lock().len()
    }

    /// Their process ids, for who looks at what they take.
    #[must_use]
    pub fn ids(&self) -> Vec<u32> {
        self.lock().iter().filter_map(|(sandbox, _)| sandbox.id()).collect()
    }

    /// Keeps the stock full until `stop`, and then ends what is idle.
    pub async fn keep(&self, recipe: &Recipe, stop: &CancellationToken) {
        while self.size > 0 && !stop.is_cancelled() {
            self.lock().retain_mut(|(sandbox, _)| sandbox.is_alive());
            let mut rest = LOOK_EVERY;
            while self.idle() < self.size && !stop.is_cancelled() {
                match recipe.start().await {
                    Ok(ready) => self.lock().push_back(ready),
                    Err(e) => {
                        let error = crate::prepare::chain(&e);
                        tracing::warn!(%error, program = %shown(&recipe.program), "can't start a sandbox ahead of its run");
                        rest = PAUSE;
                        break;
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.taken.notified(), if rest == LOOK_EVERY => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
        let idle = std::mem::take(&mut *self.lock());
        for (sandbox, _) in idle {
            sandbox.stop().await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(Sandbox, Isolation)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shown(path: &Path) -> std::path::Display<'_> {
    path.display()
}
