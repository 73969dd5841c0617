//! `porthole key`: key-encryption keys, which wrap tenants' data keys, and the data keys, which seal secrets. No command
//! shows a key.

mod list;
mod rotate;
mod shred;

use crate::context::Cx;
use crate::output;
use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use porthole_egress::secret::Vault;
use porthole_runner::keys;
use porthole_store::Store;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Which key-encryption key wraps how many data keys; each tenant's data keys and how many secrets they seal.
    #[command(visible_alias = "status")]
    List {
        /// JSON instead of tables.
        #[arg(long)]
        json: bool,
    },
    /// Make a new key-encryption key and wrap all data keys with it; or go on with that, if it was interrupted. With
    /// --tenant: give that tenant a new data key and move its secrets to it. Workers keep working; nobody enters a
    /// secret again.
    Rotate,
    /// Give up a key-encryption key that wraps nothing any more. With a key service: its older versions too.
    Retire(Retire),
    /// Delete a tenant's data keys: its stored secrets can never be read again.
    Shred(shred::Shred),
}

#[derive(Debug, Args)]
pub(crate) struct Retire {
    /// The id, as `porthole key list` shows it.
    #[arg(required_unless_present = "unused", conflicts_with = "unused")]
    id: Option<String>,
    /// All that wrap nothing any more.
    #[arg(long)]
    unused: bool,
}

impl Key {
    pub(crate) async fn run(self, cx: Cx) -> Result<ExitCode> {
        let db = cx.database().await?;
        let done = match self {
            Self::List { json } => list::list(&cx, &db, json).await,
            Self::Rotate => rotate::rotate(&cx, &db).await,
            Self::Retire(retire) => retire.run(&cx, &db.store).await,
            Self::Shred(shred) => shred.run(&cx, &db.store).await,
        };
        db.close().await;
        done.map(|()| ExitCode::SUCCESS)
    }
}

impl Retire {
    async fn run(self, cx: &Cx, store: &Store) -> Result<()> {
        let vault = cx.vault()?;
        let ids = match self.id {
            Some(id) => vec![id],
            None => unused(store, &vault).await?,
        };
        if ids.is_empty() {
            output::line("no key is without use");
        }
        for id in ids {
            is_no_last_one(&vault, &id).await?;
            for gone in keys::retire(&cx.op(), store, &vault, &id).await? {
                output::line(format!("key {gone} is retired: nothing that it wrapped can be unwrapped any more"));
            }
        }
        Ok(())
    }
}

/// The keys that may be retired without anyone missing them. Where retiring one takes the older ones along, the newest
/// that may go.
async fn unused(store: &Store, vault: &Vault) -> Result<Vec<String>> {
    let uses = keys::uses(store, None).await?;
    let mut all = Vec::new();
    for ring in vault.rings().await? {
        // The newest key of a place is that place's own: it goes with the file or the service.
        let idle = |id: &&String| keys::wrapped_with(&uses, &keys::goes_with(&ring, id)).0 == 0;
        let idle: Vec<_> = ring.ids.iter().skip(1).filter(idle).cloned().collect();
        all.extend(idle.into_iter().take(if ring.retires_older { 1 } else { usize::MAX }));
    }
    Ok(all)
}

/// A place that no longer wraps keeps its newest key until the place itself is given up.
async fn is_no_last_one(vault: &Vault, id: &str) -> Result<()> {
    for ring in vault.rings().await? {
        if ring.current.is_none() && ring.ids.first().is_some_and(|newest| newest == id) {
            bail!(
                "key {id} is the newest of {}, which wraps no new keys: when `porthole key list` shows nothing under it, \
                 take the place itself out of service",
                ring.place
            );
        }
    }
    Ok(())
}
