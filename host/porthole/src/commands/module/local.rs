//! The local registry, `modules` in the data folder: a copy of what is published, laid out for the tools that people have for images.

use crate::context::Cx;
use crate::output;
use anyhow::{Context as _, Result};
use porthole_model::id::ModuleDigest;
use porthole_registry::oci::{Bundle, Layout, documents};
use porthole_store::tx::AnyTx;
use porthole_store::{approvals, modules};

/// Brings one module into the local registry, with everything that was signed about it. What is there already stays; what
/// is missing, because a process was killed or the module was published on another machine, is added.
pub(super) async fn store(cx: &Cx, tx: &mut impl AnyTx, module: ModuleDigest) -> Result<()> {
    let row = modules::get(tx, module).await?;
    let bytes = modules::component(tx, module).await?;
    let signatures = modules::signatures(tx, &row.name).await?.into_iter().filter(|s| s.module == module);
    let signatures: Vec<String> = signatures.map(|s| s.document).collect();
    let approvals = approvals::of_name(tx, &row.name).await?.into_iter().filter(|a| a.module == module);
    let approvals: Vec<String> = approvals.map(|a| a.document).collect();
    // From the bytes: what is written here goes by their digest.
    let manifest = porthole_registry::pack::manifest_of(&bytes)?;
    let layout = Layout::new(&cx.settings.registry());
    let bundle = Bundle {
        publisher: &row.publisher,
        manifest: &manifest,
        module: &bytes,
        signatures: &signatures,
        approvals: &approvals,
    };
    let stored = layout.put(&documents(bundle)?).map(drop);
    stored.context("it is recorded in the database; `porthole module publish` brings it into the local registry again")
}

/// Where it is, as `skopeo` and `oras` take it.
pub(super) fn told(cx: &Cx, publisher: &str, name: &str, version: &str) {
    output::line(format!(
        "  in the local registry: oci:{}:{publisher}/{name}:{version}",
        cx.settings.registry().display()
    ));
}
