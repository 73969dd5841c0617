//! `porthole egress check`: what a run would do with a URL. The very code of a run decides; no connection is opened.

use crate::context::Cx;
use crate::output;
use anyhow::Result;
use clap::{Args, Subcommand};
use porthole_egress::{Checker, StaticResolver, SystemResolver};
use std::io::BufRead as _;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Debug, Subcommand)]
pub(crate) enum Egress {
    /// Say for each URL whether a run would dial it, and where. One line each, in order: `allow` or `deny`, TAB, the
    /// address or `-`, TAB, the reason.
    Check(Check),
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// URLs; from standard input, one a line, if none are given.
    urls: Vec<String>,
    /// Stands in for DNS: NAME=ADDRESS[,ADDRESS]; `*` is every name. May be given several times.
    #[arg(long, value_name = "NAME=ADDRESS[,ADDRESS]")]
    resolve: Vec<String>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

impl Egress {
    pub(crate) async fn run(self, cx: Cx) -> Result<ExitCode> {
        let Self::Check(check) = self;
        let overrides = StaticResolver::parse(&check.resolve)?;
        let checker = Checker::new(&cx.settings.file.egress, overrides, Arc::new(SystemResolver));
        let print = |line: porthole_egress::CheckLine| -> Result<()> {
            if check.json {
                return output::json_line(&line);
            }
            output::line(line.to_string());
            Ok(())
        };
        if check.urls.is_empty() {
            for line in std::io::stdin().lock().lines() {
                print(checker.check(&line?).await)?;
            }
        } else {
            for url in &check.urls {
                print(checker.check(url).await)?;
            }
        }
        // The answers are the result; a denied URL is no failure of this command.
        Ok(ExitCode::SUCCESS)
    }
}
