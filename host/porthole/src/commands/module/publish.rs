//! `porthole module publish`: from a signed file into the registry. Admission, then whose it is, then one transaction.

use super::sign::{beside, read_signature};
use super::{diffs, local, read, refused};
use crate::commands::up::WorkerFlags;
use crate::context::Cx;
use crate::output;
use anyhow::{Context as _, Result, bail};
use clap::Args;
use jiff::Timestamp;
use porthole_model::id::ModuleDigest;
use porthole_registry::admit::{Admitted, admit, admit_with};
use porthole_registry::approval::{Approval, ApprovalKind, Decision};
use porthole_registry::evidence::Evidence;
use porthole_registry::sign::ModuleSignature;
use porthole_registry::trust::{self, Book, Standing, Version};
use porthole_runner::compile::Compiler;
use porthole_runner::replay::offline::{Module, Tools};
use porthole_runner::replay::{admission, smoke};
use porthole_runner::trust::Judge;
use porthole_store::PlatformTx;
use porthole_store::modules::{self, NewModule};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Debug, Args)]
pub(crate) struct Publish {
    /// A packed module.
    file: PathBuf,
    /// Its signature [default: FILE.sig].
    #[arg(long)]
    sig: Option<PathBuf>,
    #[command(flatten)]
    worker: WorkerFlags,
}

impl Publish {
    pub(super) async fn run(self, cx: &Cx) -> Result<ExitCode> {
        let bytes = read(&self.file)?;
        let admitted = admit(&bytes)
            .map_err(|findings| refused(&format!("{} is not admitted", self.file.display()), &findings))?;
        let sig = beside(&self.file, self.sig);
        if !sig.exists() {
            bail!(
                "{0} is not signed: there is no {1}; `porthole module sign {0} --key KEY --publisher NAME` makes it",
                self.file.display(),
                sig.display()
            );
        }
        let signature = read_signature(&sig)?;
        if signature.module != admitted.digest {
            bail!(
                "{} is {}, and {} signs {}: one of them was changed; sign the file again, or get both again",
                self.file.display(),
                admitted.digest,
                sig.display(),
                signature.module
            );
        }
        let judge = cx.judge();
        let db = cx.database().await?;
        let mut tx = db.store.begin().await?;
        let known = accept(&mut tx, &judge, &admitted, &signature).await?;
        tx.rollback().await?;
        if !known {
            // It takes seconds, so no transaction waits for it.
            let found = smoke(cx, &self.worker, &bytes).await?;
            admit_with(&bytes, &found)
                .map_err(|findings| refused(&format!("{} is not admitted", self.file.display()), &findings))?;
        }
        let mut tx = db.store.begin().await?;
        let known = accept(&mut tx, &judge, &admitted, &signature).await?;
        let new = NewModule {
            digest: admitted.digest,
            publisher: signature.publisher.as_str(),
            manifest: &admitted.manifest,
            component: &bytes,
        };
        let module = modules::add(&cx.op(), &mut tx, new).await?;
        let key = signature.key.to_string();
        let signed = modules::add_signature(&cx.op(), &mut tx, module.digest, &key, &signature.to_file()).await?;
        approve_by_policy(cx, &mut tx, &judge, module.digest).await?;
        let book = judge.book(&mut tx, &module.name, Some(module.digest)).await?;
        tx.commit().await?;
        let mut tx = db.store.begin().await?;
        local::store(cx, &mut tx, module.digest).await?;
        tx.rollback().await?;
        let what = match (known, signed) {
            (false, _) => "published",
            (true, true) => "was there already; its new signature is recorded",
            (true, false) => "was there already, with this signature",
        };
        output::line(format!("{}/{} {} {what}", signature.publisher, module.name, module.version));
        output::line(format!("  {} signed with key {}", module.digest, signature.key.short()));
        local::told(cx, signature.publisher.as_str(), module.name.as_str(), &module.version);
        if let Some(version) = book.version(module.digest) {
            next(&book, &judge, version);
        }
        db.close().await;
        Ok(ExitCode::SUCCESS)
    }
}

/// Is it signed by a publisher whom we know, with a key that counts, under a name and version that are free or its own?
/// Says whether it is there already.
async fn accept(tx: &mut PlatformTx, judge: &Judge, admitted: &Admitted, signature: &ModuleSignature) -> Result<bool> {
    let module = &admitted.manifest.module;
    let book = judge.book(tx, &module.name, Some(admitted.digest)).await?;
    // A name belongs to whoever published it first.
    let owner = book.versions.last().map_or(signature.publisher.as_str(), |first| first.publisher.as_str());
    let version = Version {
        digest: admitted.digest,
        name: module.name.clone(),
        version: module.version.clone(),
        publisher: owner.to_owned(),
        published_by: String::new(),
        published_at: Timestamp::now(),
        operations: Default::default(),
        signatures: Vec::new(),
        approvals: Vec::new(),
        yank: None,
    };
    trust::signed(&book, &version, signature)?;
    let label = version.label();
    if let Some(other) = book.versions.iter().find(|v| v.label() == label && v.digest != admitted.digest) {
        bail!("{label} exists with other bytes ({}); nothing is overwritten: raise the version", other.digest);
    }
    Ok(book.version(admitted.digest).is_some())
}

/// Runs it twice with nobody to answer its calls: does the code load, does it have the steps that its manifest declares,
/// does it do the same twice?
async fn smoke(cx: &Cx, flags: &WorkerFlags, bytes: &[u8]) -> Result<Evidence> {
    let settings = &cx.settings;
    let tools = Tools {
        compiler: Arc::new(Compiler::new(&settings.bin_dir, &settings.data)?),
        sandbox: settings.bin_dir.join("porthole-sandbox"),
        allow_weak_isolation: flags.allow_weak_isolation,
    };
    let shown = smoke::smoke(&tools, &Module::admit(bytes.to_vec())?).await;
    let evidence = admission::evidence(&shown);
    if evidence.findings().is_empty() {
        output::line(format!("smoke run: it loads, {} tasks answered, twice the same", shown.tasks.len()));
    }
    Ok(evidence)
}

/// Approves what is no wider than an approved version, if the operator's policy says so.
async fn approve_by_policy(cx: &Cx, tx: &mut PlatformTx, judge: &Judge, module: ModuleDigest) -> Result<()> {
    if !judge.policy().automatic {
        return Ok(());
    }
    let name = modules::get(tx, module).await?.name;
    let book = judge.book(tx, &name, Some(module)).await?;
    let version = book.version(module).context("a module that was just added")?;
    if !matches!(trust::approvals(&book, judge.policy(), version).standing, Standing::Open { need: 1, .. }) {
        return Ok(());
    }
    let Some(basis) = trust::newest_approved(&book, judge.policy(), version) else { return Ok(()) };
    let diff = diffs::versions(tx, Some(basis.digest), module).await?;
    if diff.is_wider() {
        return Ok(());
    }
    let approval = Approval::automatic(Decision {
        module,
        basis: Some(basis.digest),
        diff: diff.digest(),
        verdict: diff.verdict,
        kind: ApprovalKind::Automatic,
        reason: format!("[approval] automatic: it may do nothing that {} may not", basis.label()),
        at: Timestamp::now(),
    })?;
    super::approve::record(cx, tx, &approval).await
}

/// What has to happen before it runs.
fn next(book: &Book, judge: &Judge, version: &Version) {
    let label = version.label();
    match trust::approvals(book, judge.policy(), version).standing {
        Standing::Approved if version.approvals.iter().all(|r| r.approval.statement.reviewer.is_none()) => {
            output::line("  approved by the operator's policy: it may do nothing that an approved version may not");
        }
        Standing::Approved => output::line("  approved"),
        Standing::Emergency(_) => output::line("  approved in an emergency; a second person has to follow up"),
        Standing::Open { need, .. } => {
            let who = if need == 1 { "a reviewer approves" } else { "two reviewers approve" };
            output::line(format!("  next: {who} it, none of them its publisher:"));
            output::line(format!("        porthole module approve {label} --key KEY --reviewer NAME --reason TEXT"));
        }
    }
}
