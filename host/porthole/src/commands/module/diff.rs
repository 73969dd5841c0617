//! `porthole module diff`: what a new version may do that the old one could not.

use super::read;
use super::reference::{ModuleRef, find};
use crate::context::Cx;
use crate::output;
use anyhow::{Context as _, Result};
use clap::Args;
use porthole_registry::diff;
use porthole_store::modules;
use std::process::ExitCode;

/// The exit status for a version that is wider, or of which nobody can tell.
const WIDER: u8 = 3;

#[derive(Debug, Args)]
#[command(
    after_help = "What can't be decided counts as wider. Files need no database. Exit status: 0 when nothing got \
                        wider, 3 when something did or can't be told, 1 when a module can't be read."
)]
pub(crate) struct ModuleDiff {
    /// The version that was approved: a packed module, NAME@VERSION or a digest.
    old: ModuleRef,
    /// The version that asks.
    new: ModuleRef,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

impl ModuleDiff {
    pub(super) async fn run(self, cx: &Cx) -> Result<ExitCode> {
        let (old, new) = (module_bytes(cx, &self.old).await?, module_bytes(cx, &self.new).await?);
        // A diff of manifests that aren't in order would mean nothing.
        let old = porthole_registry::unpack(&old).with_context(|| format!("{} is refused", self.old))?.manifest;
        let new = porthole_registry::unpack(&new).with_context(|| format!("{} is refused", self.new))?.manifest;
        let found = diff::diff(&old, &new);
        if self.json {
            output::json(&found)?;
        } else {
            output::line(diff::render(&found).trim_end());
        }
        Ok(if found.is_wider() { ExitCode::from(WIDER) } else { ExitCode::SUCCESS })
    }
}

/// The bytes of the module that is meant: of the file, published or not, or of what was published.
pub(super) async fn module_bytes(cx: &Cx, reference: &ModuleRef) -> Result<Vec<u8>> {
    if let ModuleRef::File(path) = reference {
        return read(path);
    }
    let db = cx.database().await?;
    let mut tx = db.store.begin().await?;
    let module = find(&mut tx, reference).await?;
    let bytes = modules::component(&mut tx, module.digest).await?;
    tx.rollback().await?;
    db.close().await;
    Ok(bytes)
}
