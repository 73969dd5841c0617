//! Whom a check believes: keys from the command line or from files, never from what is checked.

use anyhow::{Context as _, Result, bail};
use clap::Args;
use porthole_audit::key::PublicKey;
use porthole_audit::name::KeyName;
use porthole_audit::note::VerifierKey;
use porthole_audit::trust::Trust;
use std::path::Path;

/// The longest file of public keys, in bytes.
const MAX_KEY_FILE_BYTES: u64 = 64 * 1024;

#[derive(Debug, Args)]
pub(super) struct KeyArgs {
    /// The log's public key (`porthole audit key`), or a file of them, one a line; may be given several times.
    #[arg(long = "key", value_name = "VKEY|FILE", required = true)]
    keys: Vec<String>,
    /// A witness's public key, or a file of them; may be given several times.
    #[arg(long = "witness", value_name = "VKEY|FILE")]
    witnesses: Vec<String>,
    /// How many of the witnesses have to have co-signed.
    #[arg(long, default_value_t = 0, value_name = "N")]
    quorum: usize,
}

impl KeyArgs {
    /// What to believe, and the logs that the keys are of. Keys of several logs are keys of one deployment.
    pub(super) fn trust(&self) -> Result<(Trust, Vec<KeyName>)> {
        let keys = read_all(&self.keys)?;
        let mut names: Vec<KeyName> = keys.iter().map(|k| k.name().clone()).collect();
        names.sort();
        names.dedup();
        let trust = match names.as_slice() {
            [_] => Trust::log(keys)?,
            _ => {
                let mut public: Vec<PublicKey> = Vec::new();
                for key in &keys {
                    if !public.contains(key.public()) {
                        public.push(*key.public());
                    }
                }
                Trust::deployment(public)?
            }
        };
        Ok((trust.with_witnesses(read_all(&self.witnesses)?, self.quorum)?, names))
    }
}

/// That a log is one of those whose keys were given.
pub(super) fn opened(names: &[KeyName], found: &KeyName) -> Result<()> {
    if names.contains(found) {
        return Ok(());
    }
    let names: Vec<&str> = names.iter().map(KeyName::as_str).collect();
    bail!("it is of the log `{found}`, and the keys are of {}", names.join(", "))
}

/// Public keys, as they are or in files.
pub(super) fn read_all(given: &[String]) -> Result<Vec<VerifierKey>> {
    let mut keys = Vec::new();
    for text in given {
        match text.parse::<VerifierKey>() {
            Ok(key) => keys.push(key),
            Err(e) if !Path::new(text).exists() => return Err(e).context("neither a key nor a file"),
            Err(_) => keys.extend(read_file(Path::new(text))?),
        }
    }
    Ok(keys)
}

fn read_file(path: &Path) -> Result<Vec<VerifierKey>> {
    let about = std::fs::metadata(path).with_context(|| format!("can't read {}", path.display()))?;
    if about.len() > MAX_KEY_FILE_BYTES {
        bail!("{} is too long for a file of public keys", path.display());
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| line.parse().with_context(|| path.display().to_string())).collect()
}
