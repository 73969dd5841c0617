//! CPU time. Each lane's thread has a clock of its own that stands still while it waits for the broker, so a slow
//! provider costs a guest nothing.

use rustix::time::{ClockId, clock_gettime};
use std::convert::Infallible;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// CPU time of the calling thread.
pub(crate) fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Ticks wasmtime's epoch while at least one lane computes, and sleeps otherwise: a sandbox that waits for a provider
/// wakes nobody.
#[derive(Default)]
pub(crate) struct Ticker {
    computing: Mutex<usize>,
    changed: Condvar,
}

impl Ticker {
    /// A lane begins to compute.
    pub(crate) fn enter(&self) {
        *self.computing.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_one();
    }

    /// A lane begins to wait.
    pub(crate) fn leave(&self) {
        let mut computing = self.computing.lock().unwrap_or_else(PoisonError::into_inner);
        *computing = computing.saturating_sub(1);
    }

    /// The ticker's thread.
    pub(crate) fn run(&self, tick: impl Fn()) -> Infallible {
        loop {
            let computing = self.computing.lock().unwrap_or_else(PoisonError::into_inner);
            let guard = self.changed.wait_while(computing, |n| *n == 0).unwrap_or_else(PoisonError::into_inner);
            drop(guard);
            std::thread::sleep(crate::limits::EPOCH_TICK);
            tick();
        }
    }
}
