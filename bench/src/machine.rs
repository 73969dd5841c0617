//! The machine and the commit that a figure belongs to.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::process::Command;

/// Where something was measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// The processor, as the kernel calls it.
    pub(crate) processor: String,
    /// How many of it this process may use.
    pub(crate) cores: usize,
    /// Memory, MiB.
    pub(crate) memory_mib: u64,
    /// The kernel.
    pub(crate) kernel: String,
    /// The database server's version.
    pub(crate) postgres: String,
}

impl Machine {
    /// Reads it off the kernel; what can't be read is empty.
    pub(crate) fn read() -> Self {
        let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|l| l.starts_with(name)).unwrap_or_default();
            line.split_once(':').map(|(_, v)| v.trim().to_owned()).unwrap_or_default()
        };
        let memory = field(&file("/proc/meminfo"), "MemTotal");
        let kib: u64 = memory.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0);
        Self {
            processor: field(&file("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: kib / 1024,
            kernel: file("/proc/sys/kernel/osrelease").trim().to_owned(),
            postgres: output("postgres", &["--version"]).unwrap_or_default(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × {}, {} GiB, Linux {}", self.cores, self.processor, self.memory_mib / 1024, self.kernel)?;
        if self.postgres.is_empty() { Ok(()) } else { write!(f, ", {}", self.postgres) }
    }
}

/// The commit that is checked out, with `+` when files differ from it.
pub(crate) fn commit() -> String {
    let mut commit = output("git", &["rev-parse", "--short", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    // What a benchmark itself writes is no change of what it measures.
    let changed =
        output("git", &["status", "--porcelain", "--untracked-files=no", "--", ":!bench/latest*", ":!bench/*.svg"]);
    if changed.is_some_and(|c| !c.is_empty()) {
        commit.push('+');
    }
    commit
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).current_dir(crate::bench::repository()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
