//! Instruments: percentiles, processor time, memory.

use anyhow::{Context as _, Result};
use std::time::Duration;

/// A percentile of some samples, by the nearest rank. `share` is from 0 to 1.
pub(crate) fn percentile(samples: &mut [Duration], share: f64) -> Duration {
    samples.sort_unstable();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a rank")]
    let rank = ((samples.len() as f64 * share).ceil() as usize).clamp(1, samples.len().max(1));
    samples.get(rank - 1).copied().unwrap_or_default()
}

/// The middle of some values.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Processor time that a process has used so far, user and system, seconds; its ended children aside.
///
/// # Errors
/// When there is no such process.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = Stat::read(pid)?;
    Ok(stat.seconds(&[11, 12]))
}

/// Processor time that a process, its children and its ended children have used so far, seconds.
///
/// # Errors
/// When there is no such process.
pub(crate) fn tree_cpu_seconds(pid: u32) -> Result<f64> {
    let mut seconds = Stat::read(pid)?.seconds(&[11, 12, 13, 14]);
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let child = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        // One that ends while this looks is counted next time, with the ended.
        let stat = child.and_then(|child| Stat::read(child).ok()).filter(|stat| stat.field(1) == f64::from(pid));
        seconds += stat.map_or(0.0, |stat| stat.seconds(&[11, 12]));
    }
    Ok(seconds)
}

/// The numbers of `/proc/PID/stat` after the process's name: 1 is the parent, 11 and 12 are user and system time, 13 and
/// 14 those of ended children.
struct Stat(Vec<f64>);

impl Stat {
    fn read(pid: u32) -> Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("read a process's times")?;
        // The name may contain blanks and parentheses; what follows its last one doesn't.
        let (_, fields) = stat.rsplit_once(')').context("a process without a name")?;
        Ok(Self(fields.split_whitespace().map(|f| f.parse().unwrap_or(0.0)).collect()))
    }

    fn field(&self, n: usize) -> f64 {
        self.0.get(n).copied().unwrap_or(0.0)
    }

    fn seconds(&self, fields: &[usize]) -> f64 {
        let ticks = f64::from(u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100));
        fields.iter().map(|n| self.field(*n)).sum::<f64>() / ticks
    }
}

/// Processor time of a process's children that have ended and were waited for, seconds.
///
/// # Errors
/// When there is no such process.
pub(crate) fn ended_children_cpu_seconds(pid: u32) -> Result<f64> {
    Ok(Stat::read(pid)?.seconds(&[13, 14]))
}

/// Processor time of all living processes that work in a folder or below it, seconds: those of a private Postgres do.
pub(crate) fn folder_cpu_seconds(folder: &std::path::Path) -> f64 {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let works_there =
        |pid: &u32| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|works_in| works_in.starts_with(folder));
    pids.filter(works_there).filter_map(|pid| cpu_seconds(pid).ok()).sum()
}

/// A line of `/proc/PID/smaps_rollup` or `/proc/PID/status`, in MiB; 0 when the process is gone.
fn mib(pid: u32, file: &str, names: &[&str]) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let lines = text.lines().filter(|l| names.iter().any(|n| l.starts_with(n)));
    lines.filter_map(|l| l.split_whitespace().nth(1)?.parse::<f64>().ok()).sum::<f64>() / 1024.0
}

/// Memory that is this process's alone, MiB: what would come free if it ended.
pub(crate) fn private_mib(pid: u32) -> f64 {
    mib(pid, "smaps_rollup", &["Private_Clean:", "Private_Dirty:"])
}

/// The most resident memory it ever had, MiB.
pub(crate) fn peak_mib(pid: u32) -> f64 {
    mib(pid, "status", &["VmHWM:"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let mut samples: Vec<Duration> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&mut samples, 0.5), Duration::from_millis(50));
        assert_eq!(percentile(&mut samples, 0.99), Duration::from_millis(99));
        assert_eq!(percentile(&mut [], 0.5), Duration::ZERO);
    }

    #[test]
    fn this_process_has_memory_and_time() {
        let pid = std::process::id();
        assert!(private_mib(pid) > 0.0 && peak_mib(pid) >= private_mib(pid));
        assert!(cpu_seconds(pid).is_ok());
    }
}
