//! `porthole module pack | inspect`: files in, files out.

use super::sign::{beside, read_signature};
use super::{read, refused};
use crate::output;
use anyhow::{Context as _, Result};
use clap::Args;
use porthole_model::id::ModuleDigest;
use porthole_registry::key::PublicKey;
use porthole_registry::{SignatureLine, SignatureStanding};
use std::path::{Path, PathBuf};
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
    /// Its signature [default: FILE.sig, if it is there].
    #[arg(long)]
    sig: Option<PathBuf>,
    /// The publisher's public key, to check the signature with.
    #[arg(long)]
    key: Option<PathBuf>,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

impl Pack {
    pub(super) fn run(self) -> Result<ExitCode> {
        let Self { manifest, wasm, out } = self;
        let text =
            String::from_utf8(read(&manifest)?).with_context(|| format!("{} is not UTF-8", manifest.display()))?;
        let parsed = porthole_registry::author::read(&text, &|name| beside_manifest(&manifest, name))
            .map_err(|findings| refused(&manifest.display().to_string(), &findings))?
            .manifest;
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

/// A file that a manifest names stands beside it, and nowhere else.
fn beside_manifest(manifest: &Path, name: &str) -> Result<String, String> {
    if Path::new(name).file_name().is_none_or(|file| file != name) {
        return Err(format!("`{name}` is no name of a file"));
    }
    let path = manifest.with_file_name(name);
    std::fs::read_to_string(&path).map_err(|e| format!("can't read {}: {e}", path.display()))
}

impl Inspect {
    pub(super) fn run(self) -> Result<ExitCode> {
        let mut inspection = porthole_registry::inspect::inspect(&read(&self.file)?)
            .with_context(|| format!("{} can't be inspected", self.file.display()))?;
        inspection.signature = self.signature(inspection.digest)?;
        if self.json {
            output::json(&inspection)?;
        } else {
            output::line(porthole_registry::inspect::render(&inspection));
        }
        Ok(ExitCode::SUCCESS)
    }

    /// What is known of the signature: nothing, when there is none and nobody named one.
    fn signature(&self, module: ModuleDigest) -> Result<Option<SignatureLine>> {
        let path = beside(&self.file, self.sig.clone());
        if self.sig.is_none() && self.key.is_none() && !path.exists() {
            return Ok(None);
        }
        let signature = read_signature(&path)?;
        let key = match &self.key {
            Some(key) => Some(PublicKey::from_pem(&read(key)?).with_context(|| key.display().to_string())?),
            None => None,
        };
        let standing = match key {
            _ if signature.module != module => SignatureStanding::Broken,
            None => SignatureStanding::Unchecked,
            Some(key) if key.id() == signature.key && signature.is_by(&key) => SignatureStanding::Holds,
            Some(_) => SignatureStanding::Broken,
        };
        let (publisher, key) = (signature.publisher.to_string(), signature.key.short().to_string());
        Ok(Some(SignatureLine { publisher, key, standing }))
    }
}
