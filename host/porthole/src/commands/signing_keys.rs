//! What the commands about publishers and reviewers share: reading a key, naming one, showing them.

use anyhow::{Context as _, Result, bail};
use porthole_model::id::Name;
use porthole_registry::key::PublicKey;
use porthole_store::signing_keys::SigningKey;
use std::path::Path;

/// Reads a public key file.
pub(super) fn read_public(path: &Path) -> Result<PublicKey> {
    let text = std::fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
    PublicKey::from_pem(&text).with_context(|| path.display().to_string())
}

/// The one key whose id starts with this, with or without `sha256:`.
pub(super) fn pick<'a>(keys: &'a [SigningKey], prefix: Option<&str>) -> Result<Option<&'a str>> {
    let Some(prefix) = prefix else { return Ok(None) };
    let digits = prefix.strip_prefix("sha256:").unwrap_or(prefix);
    let mut found = keys.iter().filter(|k| k.id.strip_prefix("sha256:").is_some_and(|id| id.starts_with(digits)));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(Some(one.id.as_str())),
        (None, _) => bail!("no key `{prefix}` among {}", keys.len()),
        _ => bail!("several keys start with `{prefix}`: give more digits"),
    }
}

/// A reason as it is recorded.
pub(super) fn reason(text: &str) -> Result<&str> {
    let text = text.trim();
    if text.is_empty() || text.len() > porthole_registry::approval::MAX_REASON_BYTES {
        bail!("the reason is empty or too long");
    }
    Ok(text)
}

/// Rows of a table: name, key, state, who added it.
pub(super) fn rows(name: &Name, keys: &[SigningKey]) -> Vec<Vec<String>> {
    let row = |key: &SigningKey| {
        let id: String = key.id.chars().skip("sha256:".len()).take(16).collect();
        let state = match &key.ended {
            None => "current".to_owned(),
            Some(end) => format!("ended {}: {}", end.at, end.reason),
        };
        vec![name.to_string(), id, state, key.added_by.clone()]
    };
    keys.iter().map(row).collect()
}
