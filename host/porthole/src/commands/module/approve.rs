//! `porthole module approve`: a reviewer says that a version may run, and signs what they were shown.

use super::reference::{self, ModuleRef};
use super::{diffs, local};
use crate::context::Cx;
use crate::{key_file, output};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use jiff::{Timestamp, Unit};
use porthole_model::id::Name;
use porthole_registry::approval::{Approval, ApprovalKind, Decision};
use porthole_registry::diff::Diff;
use porthole_registry::key::SigningKey;
use porthole_registry::trust::{self, Book, Policy, Standing, Version};
use porthole_store::PlatformTx;
use porthole_store::approvals::{self, NewApproval};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// NAME@VERSION, a digest, or the file.
    module: ModuleRef,
    /// The reviewer's private key.
    #[arg(long)]
    key: PathBuf,
    /// Who approves.
    #[arg(long)]
    reviewer: Name,
    /// Why, for whoever asks in a year.
    #[arg(long)]
    reason: String,
    /// Compare with this version instead of the newest approved one.
    #[arg(long, value_name = "MODULE")]
    against: Option<ModuleRef>,
    /// Let it run at once, on one person's word. Shown wherever the module is, until a second person follows up.
    #[arg(long)]
    emergency: bool,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

impl Approve {
    pub(super) async fn run(self, cx: &Cx) -> Result<ExitCode> {
        let key = key_file::read(&self.key)?;
        let judge = cx.judge();
        let db = cx.database().await?;
        let mut tx = db.store.begin().await?;
        let module = reference::find_version(&mut tx, &self.module).await?;
        let book = judge.book(&mut tx, &module.name, Some(module.digest)).await?;
        let version = book.version(module.digest).context("a version that was just found")?;
        let open = entitled(&book, judge.policy(), version, &self.reviewer, &key)?;
        let basis = match &self.against {
            Some(against) => {
                let basis = reference::find(&mut tx, against).await?;
                if basis.name != module.name || basis.digest == module.digest {
                    bail!("{against} is no other version of {}", module.name);
                }
                Some(basis.digest)
            }
            None => trust::newest_approved(&book, judge.policy(), version).map(|v| v.digest),
        };
        let diff = diffs::versions(&mut tx, basis, module.digest).await?;
        let kind = match (self.emergency, open) {
            (true, true) => bail!("{} runs in an emergency already: follow it up without --emergency", version.label()),
            (true, false) => ApprovalKind::Emergency,
            (false, true) => ApprovalKind::FollowUp,
            (false, false) => ApprovalKind::Normal,
        };
        let decision = Decision {
            module: module.digest,
            basis,
            diff: diff.digest(),
            verdict: diff.verdict,
            kind,
            reason: self.reason.clone(),
            at: Timestamp::now().round(Unit::Second)?,
        };
        let approval = Approval::by(&key, &self.reviewer, decision)?;
        record(cx, &mut tx, &approval).await?;
        let book = judge.book(&mut tx, &module.name, Some(module.digest)).await?;
        tx.commit().await?;
        let mut tx = db.store.begin().await?;
        local::store(cx, &mut tx, module.digest).await?;
        tx.rollback().await?;
        let version = book.version(module.digest).context("a version that was just approved")?;
        let standing = trust::approvals(&book, judge.policy(), version);
        if self.json {
            output::json(&serde_json::json!({
                "module": module.digest,
                "approval": approval.statement,
                "diff": diff,
                "approvals": standing,
            }))?;
        } else {
            let against = basis.and_then(|b| book.version(b)).map(Version::label);
            shown(&diff, against.as_deref());
            output::line(format!("{} approved by {} ({kind})", version.label(), self.reviewer));
            output::line(match standing.standing {
                Standing::Approved => "  it may run".to_owned(),
                Standing::Emergency(_) => "  it may run; a second person has to follow up".to_owned(),
                Standing::Open { need, .. } => {
                    format!("  {} of {need} approvals: it may not run yet", standing.reviewers.len())
                }
            });
        }
        db.close().await;
        Ok(ExitCode::SUCCESS)
    }
}

/// May this person approve this version, with this key? Says whether an emergency is open.
fn entitled(book: &Book, policy: Policy, version: &Version, reviewer: &Name, key: &SigningKey) -> Result<bool> {
    let label = version.label();
    let Some(known) = book.reviewers.get(reviewer) else {
        bail!("`{reviewer}` is no reviewer: `porthole reviewer add {reviewer} --key KEY.pub`");
    };
    let id = key.public().id();
    let Some(registered) = known.keys.iter().find(|k| k.public == key.public()) else {
        match book.holder(id) {
            Some(holder) => bail!("key {} is {holder}'s and not {reviewer}'s", id.short()),
            None => bail!("key {} is not {reviewer}'s: `porthole reviewer add {reviewer} --key KEY.pub`", id.short()),
        }
    };
    if let Some(ended) = &registered.ended {
        bail!("key {} of {reviewer} was ended ({}); approve with a current key", id.short(), ended.reason);
    }
    if trust::is_publisher(book, version, reviewer) {
        bail!("{reviewer} published {label} or belongs to {}: somebody else has to approve it", version.publisher);
    }
    if let Some(yank) = &version.yank {
        bail!("{label} was yanked by {} ({}); publish a new version", yank.by, yank.reason);
    }
    trust::signer(book, version)?;
    let approvals = trust::approvals(book, policy, version);
    if approvals.reviewers.contains(reviewer) {
        let open = matches!(approvals.standing, Standing::Approved);
        let then = if open { "it may run" } else { "a second approval has to be somebody else's" };
        bail!("{reviewer} has approved {label} already; {then}");
    }
    Ok(matches!(approvals.standing, Standing::Emergency(_)))
}

/// Records an approval, whoever made it.
pub(super) async fn record(cx: &Cx, tx: &mut PlatformTx, approval: &Approval) -> Result<()> {
    let statement = &approval.statement;
    let (document, key) = (approval.to_file(), statement.key.map(|k| k.to_string()));
    let new = NewApproval {
        module: statement.module,
        kind: statement.kind.as_str(),
        reviewer: statement.reviewer.as_ref(),
        document: &document,
        key: key.as_deref(),
        basis: statement.basis,
        diff: &statement.diff,
        verdict: statement.verdict.as_str(),
        reason: &statement.reason,
    };
    Ok(approvals::add(&cx.op(), tx, new).await?)
}

/// What the reviewer was shown, which is what the approval says.
fn shown(diff: &Diff, against: Option<&str>) {
    match against {
        Some(against) => output::line(format!("against {against}: {}", diffs::short(diff))),
        None => output::line("against nothing: there is no approved version, so all of it is new"),
    }
    output::line(diffs::text(diff));
    output::line(format!("  diff {}", diff.digest()));
}
