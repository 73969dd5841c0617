//! `porthole reviewer`: who may approve modules, each with a key of their own.

use super::signing_keys::{pick, read_public, reason, rows};
use crate::context::Cx;
use crate::output;
use anyhow::Result;
use clap::Subcommand;
use porthole_model::id::Name;
use porthole_store::reviewers;
use porthole_store::signing_keys::{NewEnd, NewKey};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(crate) enum Reviewer {
    /// Let a person approve modules. Again for a second key.
    Add {
        /// 1 to 63 of a-z, 0-9, - and _, a letter first.
        name: Name,
        /// The public key (PEM), as `porthole module keygen` or openssl writes it.
        #[arg(long)]
        key: PathBuf,
    },
    /// All reviewers and their keys.
    List {
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// A key approves no longer, or none of a reviewer's. What it approved before stays.
    End {
        /// The reviewer.
        name: Name,
        /// Only the key whose id starts like this.
        #[arg(long, value_name = "ID")]
        key: Option<String>,
        /// Why.
        #[arg(long)]
        reason: String,
        /// What it approved before doesn't count either: someone else had the key.
        #[arg(long)]
        void: bool,
    },
}

impl Reviewer {
    pub(crate) async fn run(self, cx: Cx) -> Result<ExitCode> {
        let db = cx.database().await?;
        let mut tx = db.store.begin().await?;
        match self {
            Self::Add { name, key } => {
                let public = read_public(&key)?;
                let (id, pem) = (public.id().to_string(), public.to_pem());
                let new = reviewers::add(&cx.op(), &mut tx, &name, NewKey { id: &id, public_key: &pem }).await?;
                tx.commit().await?;
                let what = if new { "added" } else { "was there already" };
                output::line(format!("reviewer {name} {what}, with key {}", public.id().short()));
            }
            Self::List { json } => {
                let all = reviewers::list(&mut tx).await?;
                tx.rollback().await?;
                if json {
                    output::json(&all)?;
                } else {
                    let rows = all.iter().flat_map(|r| rows(&r.name, &r.keys));
                    output::table(&["reviewer", "key", "state", "added by"], rows);
                }
            }
            Self::End { name, key, reason: why, void } => {
                let all = reviewers::list(&mut tx).await?;
                let keys = all.iter().find(|r| r.name == name).map_or(&[][..], |r| &r.keys);
                let end = NewEnd { key: pick(keys, key.as_deref())?, reason: reason(&why)?, void };
                let ended = reviewers::end(&cx.op(), &mut tx, &name, end).await?;
                tx.commit().await?;
                let before = if void { "what they approved doesn't count" } else { "what they approved before stays" };
                output::line(format!("{} key(s) of reviewer {name} ended: {before}", ended.len()));
            }
        }
        db.close().await;
        Ok(ExitCode::SUCCESS)
    }
}
