//! `porthole module pack | inspect`: files in, files out.

use super::{read, refused};
use crate::output;
use anyhow::{Context as _, Result};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(crate) struct Pack {
    /// The author's manifest.
    #[arg(long)]
    manifest: PathBuf,
    /// Core WebAssembly, or a component.
    #[arg(long)]
    wasm: PathBuf,
    /// Where to write it [default: NAME-VERSION.porthole].
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// A packed module.
    file: PathBuf,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

impl Pack {
    pub(super) fn run(self) -> Result<ExitCode> {
        let Self { manifest, wasm, out } = self;
        let text =
            String::from_utf8(read(&manifest)?).with_context(|| format!("{} is not UTF-8", manifest.display()))?;
        let parsed = porthole_registry::author::read_manifest(&text)
            .map_err(|findings| refused(&manifest.display().to_string(), &findings))?;
        let packed = porthole_registry::pack::pack(&read(&wasm)?, &parsed)
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
}

impl Inspect {
    pub(super) fn run(self) -> Result<ExitCode> {
        let inspection = porthole_registry::inspect::inspect(&read(&self.file)?)
            .with_context(|| format!("{} can't be inspected", self.file.display()))?;
        if self.json {
            output::json(&inspection)?;
        } else {
            output::line(porthole_registry::inspect::render(&inspection));
        }
        Ok(ExitCode::SUCCESS)
    }
}
