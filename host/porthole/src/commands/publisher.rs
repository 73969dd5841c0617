//! `porthole publisher`: who may sign modules. An operator's decision, for each publisher once.

use crate::context::Cx;
use crate::output;
use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use porthole_model::id::Name;
use porthole_registry::key::PublicKey;
use porthole_store::publishers;
use porthole_store::signing_keys::{NewEnd, NewKey, SigningKey};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(crate) enum Publisher {
    /// Trust a publisher's key. Again for a second key, or for more people.
    Add {
        /// 1 to 63 of a-z, 0-9, - and _, a letter first.
        name: Name,
        /// The public key (PEM), as `porthole module keygen` or openssl writes it.
        #[arg(long)]
        key: PathBuf,
        /// A person behind the publisher, by their name as a reviewer: they can't approve what it publishes. May be given
        /// several times.
        #[arg(long, value_name = "NAME")]
        person: Vec<String>,
    },
    /// All publishers and their keys.
    List {
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Trust a key no longer, or none of a publisher's. What it signed runs no longer.
    End {
        /// The publisher.
        name: Name,
        /// Only the key whose id starts like this.
        #[arg(long, value_name = "ID")]
        key: Option<String>,
        /// Why.
        #[arg(long)]
        reason: String,
    },
}

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

/// Rows of a table: name, key, state.
pub(super) fn rows(name: &Name, keys: &[SigningKey], people: &str) -> Vec<Vec<String>> {
    let row = |key: &SigningKey| {
        let id: String = key.id.chars().skip("sha256:".len()).take(16).collect();
        let state = match &key.ended {
            None => "current".to_owned(),
            Some(end) => format!("ended {}: {}", end.at, end.reason),
        };
        vec![name.to_string(), id, state, people.to_owned(), key.added_by.clone()]
    };
    keys.iter().map(row).collect()
}

impl Publisher {
    pub(crate) async fn run(self, cx: Cx) -> Result<ExitCode> {
        let db = cx.database().await?;
        let mut tx = db.store.begin().await?;
        match self {
            Self::Add { name, key, person } => {
                let public = read_public(&key)?;
                let (id, pem) = (public.id().to_string(), public.to_pem());
                let key = NewKey { id: &id, public_key: &pem };
                let new = publishers::add(&cx.op(), &mut tx, &name, key, &person).await?;
                tx.commit().await?;
                let what = if new { "added" } else { "was there already" };
                output::line(format!("publisher {name} {what}, with key {}", public.id().short()));
            }
            Self::List { json } => {
                let all = publishers::list(&mut tx).await?;
                tx.rollback().await?;
                if json {
                    output::json(&all)?;
                } else {
                    let rows = all.iter().flat_map(|p| rows(&p.name, &p.keys, &p.people.join(" ")));
                    output::table(&["publisher", "key", "state", "people", "added by"], rows);
                }
            }
            Self::End { name, key, reason: why } => {
                let all = publishers::list(&mut tx).await?;
                let keys = all.iter().find(|p| p.name == name).map_or(&[][..], |p| &p.keys);
                let end = NewEnd { key: pick(keys, key.as_deref())?, reason: reason(&why)?, void: false };
                let ended = publishers::end(&cx.op(), &mut tx, &name, end).await?;
                tx.commit().await?;
                output::line(format!(
                    "{} key(s) of publisher {name} ended: what they signed runs no longer",
                    ended.len()
                ));
            }
        }
        db.close().await;
        Ok(ExitCode::SUCCESS)
    }
}
