//! `porthole module keygen | sign | verify`: keys and signatures as files. No database, no network.

use super::{read, refused};
use crate::{key_file, output};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use porthole_model::id::Name;
use porthole_registry::key::{PublicKey, SigningKey};
use porthole_registry::pack::{digest, manifest_of};
use porthole_registry::sign::{ModuleSignature, SIGNATURE_SUFFIX};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(crate) struct Keygen {
    /// Where to write the private key; the public one gets `.pub` at its end. Neither may exist.
    #[arg(long)]
    out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// A packed module.
    file: PathBuf,
    /// The publisher's private key.
    #[arg(long)]
    key: PathBuf,
    /// The publisher.
    #[arg(long)]
    publisher: Name,
    /// Where to write the signature [default: FILE.sig].
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A packed module.
    file: PathBuf,
    /// Its signature [default: FILE.sig].
    #[arg(long)]
    sig: Option<PathBuf>,
    /// The publisher's public key.
    #[arg(long)]
    key: PathBuf,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// The signature file of a module, unless another is named.
pub(super) fn beside(file: &Path, named: Option<PathBuf>) -> PathBuf {
    named.unwrap_or_else(|| {
        let mut name = file.as_os_str().to_owned();
        name.push(SIGNATURE_SUFFIX);
        PathBuf::from(name)
    })
}

/// Reads a signature file.
pub(super) fn read_signature(path: &Path) -> Result<ModuleSignature> {
    ModuleSignature::from_file(&read(path)?).with_context(|| path.display().to_string())
}

impl Keygen {
    pub(super) fn run(self) -> Result<ExitCode> {
        let (text, key) = SigningKey::generate()?;
        let public = key_file::public_of(&self.out);
        if public.exists() {
            bail!("{} exists; nothing is overwritten", public.display());
        }
        key_file::create(&self.out, &text)?;
        std::fs::write(&public, key.public().to_pem()).with_context(|| format!("can't write {}", public.display()))?;
        output::line(format!("key {} made", key.public().id().short()));
        output::line(format!("  private: {}  (keep it; whoever has it signs in your name)", self.out.display()));
        output::line(format!("  public:  {}  (give it to whoever adds you)", public.display()));
        Ok(ExitCode::SUCCESS)
    }
}

impl Sign {
    pub(super) fn run(self) -> Result<ExitCode> {
        let key = key_file::read(&self.key)?;
        let bytes = read(&self.file)?;
        // Nobody should put their name under what no registry takes.
        let admitted = porthole_registry::admit::admit(&bytes)
            .map_err(|findings| refused(&format!("{} is not admitted", self.file.display()), &findings))?;
        let signature = ModuleSignature::new(&key, &self.publisher, admitted.digest);
        let out = beside(&self.file, self.out);
        std::fs::write(&out, signature.to_file()).with_context(|| format!("can't write {}", out.display()))?;
        let module = &admitted.manifest.module;
        output::line(format!("{}/{} {} signed into {}", self.publisher, module.name, module.version, out.display()));
        output::line(format!("  {} with key {}", admitted.digest, signature.key.short()));
        Ok(ExitCode::SUCCESS)
    }
}

impl Verify {
    pub(super) fn run(self) -> Result<ExitCode> {
        let bytes = read(&self.file)?;
        let sig = beside(&self.file, self.sig);
        let signature = read_signature(&sig)?;
        let key = PublicKey::from_pem(&read(&self.key)?).with_context(|| self.key.display().to_string())?;
        let (shown, found) = (self.file.display(), digest(&bytes));
        if key.id() != signature.key {
            bail!(
                "{} is by key {}, and {} is key {}: get the key of {} from them",
                sig.display(),
                signature.key.short(),
                self.key.display(),
                key.id().short(),
                signature.publisher
            );
        }
        if !signature.is_by(&key) {
            bail!("{} was changed: it isn't what the owner of the key signed; get it again", sig.display());
        }
        if signature.module != found {
            bail!(
                "{shown} is not what {} signed: it is {found}, and signed is {}; get the file again",
                signature.publisher,
                signature.module
            );
        }
        let manifest = manifest_of(&bytes).with_context(|| shown.to_string())?;
        if self.json {
            output::json(&serde_json::json!({ "verified": true, "signature": signature, "module": manifest.module }))?;
        } else {
            let module = &manifest.module;
            output::line(format!("{}/{} {}: verified", signature.publisher, module.name, module.version));
            output::line(format!("  {found} signed with key {}", key.id().short()));
        }
        Ok(ExitCode::SUCCESS)
    }
}
