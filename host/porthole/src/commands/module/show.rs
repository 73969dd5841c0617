//! `porthole module show`: everything that was signed about one version.

use super::reference::{self, ModuleRef};
use crate::context::Cx;
use crate::output;
use anyhow::{Context as _, Result};
use clap::Args;
use porthole_registry::trust::{self, Book, Recorded, Standing, TrustInput, Version};
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// NAME@VERSION, NAME for the newest version, a digest, or the file.
    module: ModuleRef,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) async fn run(self, cx: &Cx) -> Result<ExitCode> {
        let judge = cx.judge();
        let db = cx.database().await?;
        let mut tx = db.store.begin().await?;
        let module = reference::find(&mut tx, &self.module).await?;
        let book = judge.book(&mut tx, &module.name, Some(module.digest)).await?;
        tx.rollback().await?;
        let version = book.version(module.digest).context("a version that was just found")?;
        let approvals = trust::approvals(&book, judge.policy(), version);
        let input = TrustInput { book: &book, policy: judge.policy(), module: module.digest, found: module.digest };
        let decision = trust::decide(input);
        if self.json {
            let yank = version.yank.as_ref();
            output::json(&serde_json::json!({
                "module": module,
                "signatures": version.signatures,
                "approvals": version.approvals.iter().map(|r| serde_json::json!({
                    "statement": r.approval.statement, "recorded_at": r.at, "signature": r.approval.signature,
                })).collect::<Vec<_>>(),
                "standing": approvals,
                "yank": yank.map(|y| serde_json::json!({ "by": y.by, "at": y.at, "reason": y.reason })),
                "may_run": decision.is_ok(),
                "why_not": decision.err().map(|e| e.to_string()),
            }))?;
        } else {
            text(&book, version);
            match (decision, approvals.standing) {
                (Ok(_), Standing::Emergency(open)) => {
                    let Version { name, version, .. } = version;
                    output::line(format!(
                        "it may run, on {}'s word alone: a second person has to follow up",
                        open.reviewer
                    ));
                    output::line(format!(
                        "  porthole module approve {name}@{version} --key KEY --reviewer NAME --reason TEXT"
                    ));
                }
                (Ok(_), _) => output::line("it may run"),
                (Err(why), _) => output::line(format!("it may not run: {why}")),
            }
        }
        db.close().await;
        Ok(ExitCode::SUCCESS)
    }
}

fn text(book: &Book, version: &Version) {
    output::line(format!("{}/{} {}", version.publisher, version.name, version.version));
    output::line(format!("  {}", version.digest));
    output::line(format!("  published {} by {}", version.published_at, output::plain(&version.published_by)));
    for signature in &version.signatures {
        let state = match trust::signed(book, version, signature) {
            Ok(()) => "good".to_owned(),
            Err(why) => why.word().to_owned(),
        };
        output::line(format!("  signed by {} with key {}: {state}", signature.publisher, signature.key.short()));
    }
    for recorded in &version.approvals {
        approval(book, version, recorded);
    }
    if let Some(yank) = &version.yank {
        output::line(format!("  yanked {} by {}: {}", yank.at, output::plain(&yank.by), output::plain(&yank.reason)));
    }
}

fn approval(book: &Book, version: &Version, recorded: &Recorded) {
    let statement = &recorded.approval.statement;
    let who = statement.reviewer.as_ref().map_or("the operator's policy", |name| name.as_str());
    let against = match statement.basis {
        Some(basis) => book.version(basis).map_or_else(|| basis.to_string(), Version::label),
        None => "nothing".to_owned(),
    };
    let counts = statement.reviewer.is_none() || trust::reviewer_of(book, version, recorded).is_some();
    let counts = if counts { "" } else { " (doesn't count: the key, or the person, may not approve this)" };
    output::line(format!("  approved {} by {who}, {}{counts}", recorded.at, statement.kind));
    output::line(format!("    against {against}: {}, diff {}", statement.verdict.as_str(), statement.diff));
    output::line(format!("    {}", output::plain(&statement.reason)));
}
