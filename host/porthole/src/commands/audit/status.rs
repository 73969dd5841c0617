//! What is known of the logs without reading them: keys, checkpoints, sizes.

use super::prove::stored_hashes;
use super::{log_of, newest, sequenced, verifier_key};
use crate::context::{Cx, Database};
use crate::output;
use anyhow::{Context as _, Result};
use porthole_audit::cosign::WitnessRequest;
use porthole_audit::tree::ProofPlan;
use porthole_model::audit::Log;
use porthole_store::audit::read::LogTx;
use porthole_store::tenants;
use serde::Serialize;
use std::path::PathBuf;

pub(super) async fn key(cx: &Cx, db: &Database, platform: bool) -> Result<()> {
    if !platform {
        let log = log_of(cx, db, false).await?;
        output::line(verifier_key(&db.store, log).await?.to_string());
    }
    output::line(verifier_key(&db.store, Log::Platform).await?.to_string());
    Ok(())
}

pub(super) async fn checkpoint(
    cx: &Cx,
    db: &Database,
    platform: bool,
    since: Option<u64>,
    out: Option<PathBuf>,
) -> Result<()> {
    let log = log_of(cx, db, platform).await?;
    sequenced(cx, db, log).await?;
    let mut tx = LogTx::open(&db.store, log).await?;
    let (checkpoint, note) = newest(&mut tx).await?;
    let text = match since {
        None => note.to_string(),
        Some(since) => {
            let plan = ProofPlan::consistency(since, checkpoint.size)?;
            let proof = plan.assemble(&stored_hashes(&mut tx, &plan).await?)?;
            WitnessRequest { old_size: since, proof, checkpoint: note }.to_string()
        }
    };
    match out {
        Some(path) => std::fs::write(&path, text).with_context(|| format!("can't write {}", path.display())),
        None => {
            output::line(text.trim_end_matches('\n'));
            Ok(())
        }
    }
}

/// One log, as `status` shows it.
#[derive(Debug, Serialize)]
struct Status {
    log: String,
    tenant: Option<String>,
    size: u64,
    pending: u64,
    signed_at: Option<String>,
    signer: Option<String>,
}

pub(super) async fn status(_: &Cx, db: &Database, json: bool) -> Result<()> {
    let mut tx = db.store.begin().await?;
    let tenants = tenants::list(&mut tx).await?;
    tx.rollback().await?;
    let logs = std::iter::once((Log::Platform, None))
        .chain(tenants.into_iter().map(|t| (Log::Tenant(t.id), Some(t.name.to_string()))));
    let mut all = Vec::new();
    for (log, tenant) in logs {
        let mut tx = LogTx::open(&db.store, log).await?;
        let head = tx.head().await?;
        let signed_at = tx.checkpoint(None).await?.map(|c| c.at.strftime("%Y-%m-%d %H:%M:%S").to_string());
        let pending = tx.pending().await?;
        all.push(Status { log: log.to_string(), tenant, size: head.size, pending, signed_at, signer: head.signer });
    }
    if json {
        return output::json(&all);
    }
    let rows = all.into_iter().map(|s| {
        let name = s.tenant.unwrap_or_else(|| "(the platform)".to_owned());
        vec![name, output::number(s.size), output::number(s.pending), s.signed_at.unwrap_or_default(), s.log]
    });
    output::table(&["log", "records", "pending", "signed", "origin ends in"], rows);
    Ok(())
}
