//! `porthole module yank`: a version that shall not run any more. It stays where it is; instances of it go back, or on, to
//! another version with `porthole instance set`.

use super::reference::{self, ModuleRef};
use crate::context::Cx;
use crate::output;
use anyhow::{Result, bail};
use clap::Args;
use porthole_registry::trust;
use porthole_store::approvals;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(crate) struct Yank {
    /// NAME@VERSION or a digest.
    module: ModuleRef,
    /// Why, for everyone whose runs end by it.
    #[arg(long)]
    reason: String,
}

impl Yank {
    pub(super) async fn run(self, cx: &Cx) -> Result<ExitCode> {
        if self.reason.trim().is_empty() || self.reason.len() > porthole_registry::approval::MAX_REASON_BYTES {
            bail!("the reason is empty or too long; say why, for everyone whose runs end by it");
        }
        let judge = cx.judge();
        let db = cx.database().await?;
        let mut tx = db.store.begin().await?;
        let module = reference::find_version(&mut tx, &self.module).await?;
        approvals::yank(&cx.op(), &mut tx, module.digest, self.reason.trim()).await?;
        let book = judge.book(&mut tx, &module.name, Some(module.digest)).await?;
        tx.commit().await?;
        output::line(format!(
            "{}/{} {} yanked: no run of it starts any more",
            module.publisher, module.name, module.version
        ));
        let version = book.version(module.digest);
        if let Some(other) = version.and_then(|v| trust::newest_approved(&book, judge.policy(), v)) {
            output::line(format!("  instances of it: porthole instance set INSTANCE --module {}", other.label()));
        }
        db.close().await;
        Ok(ExitCode::SUCCESS)
    }
}
