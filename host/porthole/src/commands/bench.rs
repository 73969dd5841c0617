//! `porthole bench`: the benchmarks are a program of their own beside this one, because they serve and measure what an
//! operator's program shouldn't contain.

use crate::context::Cx;
use anyhow::{Result, anyhow};
use clap::Args;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Bench {
    /// What `porthole-bench` is told; `--help` shows what there is.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    arguments: Vec<OsString>,
}

impl Bench {
    pub(crate) fn run(self, cx: &Cx) -> Result<ExitCode> {
        let program = cx.settings.bin_dir.join("porthole-bench");
        // Comes back only when it can't be started.
        let error = Command::new(&program).arg0("porthole bench").args(self.arguments).exec();
        Err(anyhow!(
            "can't start {}: {error}; it is built together with this program (`./just build`)",
            program.display()
        ))
    }
}
