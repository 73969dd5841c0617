//! `porthole module`: from a core module and a manifest to something that can be reviewed, vouched for and run. One file
//! for each part of that way.

mod approve;
mod compare;
mod diff;
mod diffs;
mod list;
mod local;
mod pack;
mod publish;
pub(crate) mod reference;
mod show;
mod sign;
mod yank;

pub(crate) use diffs::{short as short_diff, versions as diff_versions};
pub(crate) use list::listed;

use crate::context::Cx;
use anyhow::{Context as _, Result};
use clap::Subcommand;
use porthole_registry::Finding;
use std::path::Path;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(crate) enum Module {
    /// Make a module: a component with its checked manifest inside. The same source gives the same bytes.
    Pack(pack::Pack),
    /// What a module asks for, on one screen.
    Inspect(pack::Inspect),
    /// What a new version may do that the old one could not, with a request that shows it.
    Diff(diff::ModuleDiff),
    /// What a new version would have done on the real input of a run: calls and objects, added, changed and gone.
    Compare(compare::Compare),
    /// Make a key pair for a publisher or a reviewer.
    Keygen(sign::Keygen),
    /// Sign a module as its publisher: writes a small file beside it.
    Sign(sign::Sign),
    /// Is this file what that publisher signed? No database, no network.
    Verify(sign::Verify),
    /// Check a signed module and take it into the registry. Before it runs, reviewers approve it.
    Publish(publish::Publish),
    /// Approve a version as a reviewer, against the newest approved one; prints what got wider.
    Approve(approve::Approve),
    /// The modules that are there, and whether they may run.
    List(list::List),
    /// One version: its signatures, approvals, and whether it may run.
    Show(show::Show),
    /// Take a version back: it runs no longer.
    Yank(yank::Yank),
}

impl Module {
    pub(crate) async fn run(self, cx: Cx) -> Result<ExitCode> {
        match self {
            Self::Pack(pack) => pack.run(),
            Self::Inspect(inspect) => inspect.run(),
            Self::Diff(diff) => diff.run(&cx).await,
            Self::Compare(compare) => compare.run(&cx).await,
            Self::Keygen(keygen) => keygen.run(),
            Self::Sign(sign) => sign.run(),
            Self::Verify(verify) => verify.run(),
            Self::Publish(publish) => publish.run(&cx).await,
            Self::Approve(approve) => approve.run(&cx).await,
            Self::List(list) => list.run(&cx).await,
            Self::Show(show) => show.run(&cx).await,
            Self::Yank(yank) => yank.run(&cx).await,
        }
    }
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("can't read {}", path.display()))
}

/// Findings as an error that one can act on: one line each.
pub(crate) fn refused(what: &str, findings: &[Finding]) -> anyhow::Error {
    let lines: Vec<String> = findings.iter().map(|f| format!("  {f}")).collect();
    anyhow::anyhow!("{what}:\n{}", lines.join("\n"))
}
