//! Whether this machine lets a worker run as many runs at once as its operator asked for. Said when it starts, and not by
//! the run that finds no descriptor.

use anyhow::{Context as _, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that a run may have at once: the socket and the handle of its sandbox, what is read back, and connections
/// to its provider, eight of them by default.
const DESCRIPTORS_PER_RUN: u64 = 12;
/// Descriptors of a worker without runs: the database's connections, files, the runtime, idle sandboxes.
const DESCRIPTORS_BASE: u64 = 512;
/// Threads of a sandbox besides its lanes: the reader and the ticker.
const THREADS_BESIDE_LANES: u64 = 2;

/// Raises what this process may raise on its own, and checks the rest.
///
/// # Errors
/// When the machine's limits are too low for `runs` at once, each with so many lanes.
pub(crate) fn prepare(runs: usize, lanes: u32) -> Result<()> {
    let runs = u64::try_from(runs).unwrap_or(u64::MAX);
    let hard = getrlimit(Resource::Nofile).maximum;
    let descriptors = runs.saturating_mul(DESCRIPTORS_PER_RUN).saturating_add(DESCRIPTORS_BASE);
    check(runs, "file descriptors", "`ulimit -Hn`, `LimitNOFILE=` of the service", descriptors, hard)?;
    // The soft limit is low for the sake of programs that use select(); this one doesn't.
    setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard }).context("can't raise the descriptor limit")?;
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let threads = runs.saturating_mul(u64::from(lanes) + THREADS_BESIDE_LANES);
    let most = getrlimit(Resource::Nproc).current;
    check(runs, "threads and processes", "`ulimit -u`, `LimitNPROC=` of the service", threads, most)
}

fn check(runs: u64, what: &str, whose: &str, needed: u64, most: Option<u64>) -> Result<()> {
    match most {
        Some(most) if most < needed => bail!(
            "{runs} runs at once may need {needed} {what}, and the limit of this machine is {most}: raise it ({whose}), \
             or lower `runs` in [worker]"
        ),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_too_low_is_told_with_what_to_do() {
        assert!(check(8, "things", "`x`", 100, Some(100)).is_ok());
        assert!(check(8, "things", "`x`", 100, None).is_ok());
        let told = check(8, "things", "`x`", 101, Some(100)).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(told.contains("8 runs") && told.contains("101 things") && told.contains("raise it (`x`)"), "{told}");
    }
}
