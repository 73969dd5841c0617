//! `porthole module list`.

use crate::context::Cx;
use crate::output;
use anyhow::Result;
use clap::Args;
use porthole_registry::trust::{self, TrustInput};
use porthole_runner::trust::Judge;
use porthole_store::modules::{self, Module};
use porthole_store::tx::AnyTx;
use serde::Serialize;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(crate) struct List {
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// A version, and whether it may run.
#[derive(Debug, Serialize)]
pub(crate) struct Listed {
    #[serde(flatten)]
    pub module: Module,
    /// `approved`, `emergency`, or one word for why it may not.
    pub state: &'static str,
    /// Why it may not run and what to do, or what is still open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl List {
    pub(super) async fn run(self, cx: &Cx) -> Result<ExitCode> {
        let db = cx.database().await?;
        let mut tx = db.store.begin().await?;
        let all = listed(&mut tx, &cx.judge()).await?;
        tx.rollback().await?;
        if self.json {
            output::json(&all)?;
        } else {
            let row = |l: Listed| {
                let name = format!("{}/{}", l.module.publisher, l.module.name);
                let operations = l.module.manifest.operations.len().to_string();
                let digest = l.module.digest.to_string().chars().take(19).collect();
                vec![name, l.module.version, operations, l.state.to_owned(), digest, l.module.added_by]
            };
            let headers = ["module", "version", "operations", "state", "digest", "published by"];
            output::table(&headers, all.into_iter().map(row));
        }
        db.close().await;
        Ok(ExitCode::SUCCESS)
    }
}

/// All versions, by name, newest first.
pub(crate) async fn listed(tx: &mut impl AnyTx, judge: &Judge) -> Result<Vec<Listed>> {
    let mut all: Vec<Listed> = Vec::new();
    let mut book = Default::default();
    for module in modules::list(tx).await? {
        if all.last().is_none_or(|l| l.module.name != module.name) {
            book = judge.book(tx, &module.name, None).await?;
        }
        let (module_digest, policy) = (module.digest, judge.policy());
        let input = TrustInput { book: &book, policy, module: module_digest, found: module_digest };
        let (state, note) = match trust::decide(input) {
            Ok(trusted) => match trusted.emergency {
                None => ("approved", None),
                Some(open) => {
                    let note = format!("approved in an emergency by {} ({}): follow up", open.reviewer, open.reason);
                    ("emergency", Some(note))
                }
            },
            Err(why) => (why.word(), Some(why.to_string())),
        };
        all.push(Listed { module, state, note });
    }
    Ok(all)
}
