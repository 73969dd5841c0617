//! `porthole publisher`: who may sign modules. An operator's decision, for each publisher once.

use super::signing_keys::{pick, read_public, reason, rows};
use crate::context::Cx;
use crate::output;
use anyhow::Result;
use clap::Subcommand;
use porthole_model::id::Name;
use porthole_store::publishers;
use porthole_store::signing_keys::{NewEnd, NewKey};
use std::path::PathBuf;
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
                    let rows = all.iter().flat_map(|p| {
                        let people = p.people.join(" ");
                        rows(&p.name, &p.keys).into_iter().map(move |mut row| {
                            row.insert(3, people.clone());
                            row
                        })
                    });
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
