//! `porthole grant check`: does what the tenant's role may do fit what is granted?

use crate::commands::grant_policy::granted;
use crate::context::{Cx, InstancePath};
use crate::output;
use anyhow::{Context as _, Result};
use clap::Args;
use porthole_registry::permits::{Report, check};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Needless actions that are listed; the rest is counted. `--json` has all.
const LISTED: usize = 50;

#[derive(Debug, Args)]
pub(crate) struct GrantCheck {
    /// TENANT/NAME.
    instance: InstancePath,
    /// The permission policies of the role, one file for each, as JSON.
    #[arg(required = true, value_name = "ROLE-POLICY.json")]
    policies: Vec<PathBuf>,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

impl GrantCheck {
    /// Ends with 1 when a granted action isn't surely allowed.
    pub(crate) async fn run(self, cx: &Cx) -> Result<ExitCode> {
        let texts = self.policies.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let wanted = granted(cx, &self.instance).await?;
        let report = check(&texts, &wanted.actions.iter().map(String::as_str).collect())?;
        if self.json {
            output::json(&report)?;
        } else {
            show(&wanted.name, wanted.actions.len(), &report);
        }
        Ok(if report.missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Reads a file, and no more of it than can be a policy.
fn read(path: &Path) -> Result<String> {
    let place = || format!("can't read {}", path.display());
    let file = std::fs::File::open(path).with_context(place)?;
    let mut text = String::new();
    let most = porthole_registry::permits::check::MAX_POLICY_BYTES as u64 + 1;
    file.take(most).read_to_string(&mut text).with_context(place)?;
    Ok(text)
}

fn show(name: &str, granted: usize, report: &Report) {
    if report.is_exact() {
        return output::line(format!("{name}: the role may do exactly the {granted} actions that are granted"));
    }
    output::line(format!("{name}: {} of {granted} granted actions are allowed", granted - report.missing.len()));
    for missing in &report.missing {
        output::line(format!("  missing: {}: {}", missing.action, missing.why.as_str()));
    }
    for unknown in &report.unknown {
        let meant = unknown.right.as_ref().map(|right| format!("; it is called {right}")).unwrap_or_default();
        output::line(format!("  wrong name: {}: {}{meant}", output::plain(&unknown.action), unknown.why));
    }
    for needless in report.needless.iter().take(LISTED) {
        let mark = if needless.harmful { ", and a module may never use it" } else { "" };
        output::line(format!("  not needed: {} ({}{mark})", needless.action, needless.level));
    }
    if let Some(more @ 1..) = report.needless.len().checked_sub(LISTED) {
        output::line(format!("  not needed: {more} more (--json lists them)"));
    }
    for beyond in &report.beyond {
        output::line(format!("  not needed, of other services: {}", output::plain(beyond)));
    }
}
