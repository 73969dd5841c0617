//! A record with its proof, in one file; and the check of one.

use super::keys::{KeyArgs, opened};
use super::{log_of, newest, recorded};
use crate::context::{Cx, Database};
use crate::output;
use anyhow::{Context as _, Result};
use clap::Args;
use porthole_audit::proof::LeafProof;
use porthole_audit::tree::{Hash, NodeMap, ProofPlan};
use porthole_model::audit::{Action, Entry, Object, Record};
use porthole_store::audit::read::{Leaf, LogTx};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use uuid::Uuid;

#[derive(Debug, Args)]
pub(crate) struct VerifyProof {
    /// The proof.
    file: PathBuf,
    #[command(flatten)]
    keys: KeyArgs,
}

pub(super) async fn prove(cx: &Cx, db: &Database, record: &str, platform: bool, out: &Path) -> Result<()> {
    let log = log_of(cx, db, platform).await?;
    let entry = Entry::new(Action::AuditProved, Object::new("audit-record", record));
    recorded(cx, db, log, entry).await?;
    let mut tx = LogTx::open(&db.store, log).await?;
    let leaf = find(&mut tx, record).await?;
    let (checkpoint, note) = newest(&mut tx).await?;
    let plan = ProofPlan::inclusion(leaf.index, checkpoint.size)?;
    let hashes = plan.assemble(&stored_hashes(&mut tx, &plan).await?)?;
    let proof = LeafProof { leaf: Some(leaf.record.into_bytes()), index: leaf.index, hashes, checkpoint: note };
    std::fs::write(out, proof.to_string()).with_context(|| format!("can't write {}", out.display()))?;
    output::line(format!(
        "record {} of {} in the log `{log}`, proved in {}",
        leaf.index,
        output::number(checkpoint.size),
        out.display()
    ));
    output::line("  check it with: porthole audit verify-proof FILE --key VKEY (`porthole audit key` prints it)");
    Ok(())
}

async fn find(tx: &mut LogTx, record: &str) -> Result<Leaf> {
    if let Ok(index) = record.parse::<u64>() {
        let mut leaves = tx.leaves(index, index.saturating_add(1), 1, 1).await?;
        return leaves.pop().with_context(|| format!("the log has no record {index}"));
    }
    let id: Uuid = record.parse().with_context(|| format!("`{record}` is neither a record's id nor its number"))?;
    Ok(tx.by_record(id).await?)
}

/// The stored hashes that a proof is made of.
pub(super) async fn stored_hashes(tx: &mut LogTx, plan: &ProofPlan) -> Result<NodeMap> {
    let mut nodes = NodeMap::default();
    for needed in plan.stored() {
        for (index, hash) in tx.hashes(needed.level, needed.range.start, needed.range.end).await? {
            nodes.insert(needed.level, index, Hash(hash));
        }
    }
    Ok(nodes)
}

impl VerifyProof {
    pub(super) fn run(self) -> Result<ExitCode> {
        let (trust, names) = self.keys.trust()?;
        let bytes = std::fs::read(&self.file).with_context(|| format!("can't read {}", self.file.display()))?;
        let checked = LeafProof::parse(&bytes).and_then(|proof| proof.verify(None, &trust));
        let proven = match checked {
            Ok(proven) => proven,
            Err(e) => {
                output::line(format!("{} does NOT hold: {:#}", self.file.display(), anyhow::Error::from(e)));
                return Ok(ExitCode::FAILURE);
            }
        };
        let checkpoint = &proven.checkpoint.checkpoint;
        if let Err(other) = opened(&names, &checkpoint.origin) {
            output::line(format!("{} does NOT hold: {other}", self.file.display()));
            return Ok(ExitCode::FAILURE);
        }
        let record = Record::parse(&proven.leaf).context("what is proved is no record of Porthole")?;
        output::line(format!(
            "record {} of the log {}, which has {} records at this checkpoint:",
            proven.index,
            checkpoint.origin,
            output::number(checkpoint.size)
        ));
        output::json(&record)?;
        Ok(ExitCode::SUCCESS)
    }
}
