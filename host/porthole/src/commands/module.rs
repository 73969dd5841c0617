//! `porthole module`: from a core module and a manifest to something that can be reviewed and run.

use crate::context::Cx;
use crate::output;
use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use porthole_registry::Finding;
use porthole_store::modules::{self, NewModule};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The publisher of modules that this machine packed. Signatures by publishers come with the registry.
const LOCAL: &str = "local";

#[derive(Debug, Subcommand)]
pub(crate) enum Module {
    /// Make a module: a component with its checked manifest inside. The same source gives the same bytes.
    Pack {
        /// The author's manifest.
        #[arg(long)]
        manifest: PathBuf,
        /// Core WebAssembly, or a component.
        #[arg(long)]
        wasm: PathBuf,
        /// Where to write it [default: NAME-VERSION.porthole].
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// What a module asks for, on one screen.
    Inspect {
        /// A packed module.
        file: PathBuf,
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Admit a module and add it to the database.
    Add {
        /// A packed module.
        file: PathBuf,
    },
    /// The modules that are there.
    List {
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
}

impl Module {
    pub(crate) async fn run(self, cx: Cx) -> Result<ExitCode> {
        match self {
            Self::Pack { manifest, wasm, out } => pack(&manifest, &wasm, out),
            Self::Inspect { file, json } => inspect(&file, json),
            Self::Add { file } => add(&cx, &file).await,
            Self::List { json } => list(&cx, json).await,
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("can't read {}", path.display()))
}

/// Findings as an error that one can act on: one line each.
pub(crate) fn refused(what: &str, findings: &[Finding]) -> anyhow::Error {
    let lines: Vec<String> = findings.iter().map(|f| format!("  {f}")).collect();
    anyhow::anyhow!("{what}:\n{}", lines.join("\n"))
}

fn pack(manifest: &Path, wasm: &Path, out: Option<PathBuf>) -> Result<ExitCode> {
    let text = String::from_utf8(read(manifest)?).with_context(|| format!("{} is not UTF-8", manifest.display()))?;
    let parsed = porthole_registry::author::read_manifest(&text)
        .map_err(|findings| refused(&manifest.display().to_string(), &findings))?;
    let packed = porthole_registry::pack::pack(&read(wasm)?, &parsed)
        .with_context(|| format!("can't pack {}", wasm.display()))?;
    let module = &packed.manifest.module;
    let out = out.unwrap_or_else(|| PathBuf::from(format!("{}-{}.porthole", module.name, module.version)));
    std::fs::write(&out, &packed.bytes).with_context(|| format!("can't write {}", out.display()))?;
    output::line(format!("{} {} packed into {}", module.name, module.version, out.display()));
    output::line(format!("  {} ({})", packed.digest, output::bytes(packed.bytes.len() as u64)));
    let operations = &packed.manifest.operations;
    output::line(format!("  {} operations, {} steps, all reads", operations.len(), packed.manifest.steps.len()));
    Ok(ExitCode::SUCCESS)
}

fn inspect(file: &Path, json: bool) -> Result<ExitCode> {
    let inspection = porthole_registry::inspect::inspect(&read(file)?)
        .with_context(|| format!("{} can't be inspected", file.display()))?;
    if json {
        output::json(&inspection)?;
    } else {
        output::line(porthole_registry::inspect::render(&inspection));
    }
    Ok(ExitCode::SUCCESS)
}

async fn add(cx: &Cx, file: &Path) -> Result<ExitCode> {
    let bytes = read(file)?;
    let admitted = porthole_registry::admit::admit(&bytes)
        .map_err(|findings| refused(&format!("{} is not admitted", file.display()), &findings))?;
    let db = cx.database().await?;
    let mut tx = db.store.begin().await?;
    let known =
        modules::by_name(&mut tx, &admitted.manifest.module.name, Some(&admitted.manifest.module.version)).await;
    match known {
        Ok(known) if known.digest == admitted.digest => {
            output::line(format!("{} {} is there already", known.name, known.version));
            tx.rollback().await?;
            db.close().await;
            return Ok(ExitCode::SUCCESS);
        }
        Ok(known) => bail!(
            "{} {} exists with other bytes ({}); nothing is overwritten: raise the version",
            known.name,
            known.version,
            known.digest
        ),
        Err(e) if e.is_not_found() => {}
        Err(e) => return Err(e.into()),
    }
    let new = NewModule { digest: admitted.digest, publisher: LOCAL, manifest: &admitted.manifest, component: &bytes };
    let module = modules::add(&cx.op(), &mut tx, new).await?;
    tx.commit().await?;
    output::line(format!("{}/{} {} added ({})", module.publisher, module.name, module.version, module.digest));
    db.close().await;
    Ok(ExitCode::SUCCESS)
}

async fn list(cx: &Cx, json: bool) -> Result<ExitCode> {
    let db = cx.database().await?;
    let mut tx = db.store.begin().await?;
    let modules = modules::list(&mut tx).await?;
    tx.rollback().await?;
    if json {
        output::json(&modules)?;
    } else {
        let row = |m: modules::Module| {
            let name = format!("{}/{}", m.publisher, m.name);
            vec![name, m.version, m.manifest.operations.len().to_string(), m.digest.to_string(), m.added_by]
        };
        output::table(&["module", "version", "operations", "digest", "added by"], modules.into_iter().map(row));
    }
    db.close().await;
    Ok(ExitCode::SUCCESS)
}
