//! A log as a file: leaves and checkpoints in order, in pages, never the whole log in memory.

use super::{log_of, newest, recorded, verifier_key};
use crate::context::{Cx, Database};
use crate::output;
use anyhow::{Context as _, Result};
use porthole_audit::export::Writer;
use porthole_audit::note::Note;
use porthole_model::audit::{Action, Entry, Log, Object};
use porthole_store::Store;
use porthole_store::audit::read::LogTx;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

/// Records of a page.
const PAGE_RECORDS: u32 = 5_000;
/// Bytes of a page; one record is always read.
const PAGE_BYTES: u64 = 8 * 1024 * 1024;
/// Checkpoints that are read at once.
const PAGE_CHECKPOINTS: u32 = 1_000;

pub(super) async fn export(cx: &Cx, db: &Database, platform: bool, out: &Path) -> Result<()> {
    let log = log_of(cx, db, platform).await?;
    // The export has its own record in it.
    recorded(cx, db, log, Entry::new(Action::AuditExported, Object::new("audit-log", log))).await?;
    let draft = out.with_extension("part");
    let written = write(&db.store, log, &draft).await;
    match &written {
        Ok(_) => std::fs::rename(&draft, out).with_context(|| format!("can't write {}", out.display()))?,
        Err(_) => drop(std::fs::remove_file(&draft)),
    }
    let (leaves, key) = written?;
    output::line(format!("{} records of the log `{log}` written to {}", output::number(leaves), out.display()));
    output::line(format!("  check it with: porthole audit verify {} --key {key}", out.display()));
    Ok(())
}

async fn write(store: &Store, log: Log, draft: &Path) -> Result<(u64, String)> {
    let key = verifier_key(store, log).await?;
    let size = newest(&mut LogTx::open(store, log).await?).await?.0.size;
    let file = File::create(draft).with_context(|| format!("can't write {}", draft.display()))?;
    let mut writer = Writer::start(BufWriter::new(file), log, &key)?;
    let mut checkpoints = Checkpoints::default();
    while writer.leaves() < size {
        // A transaction for each page: what is in the log doesn't change, and nobody is kept waiting.
        let mut tx = LogTx::open(store, log).await?;
        let page = tx.leaves(writer.leaves(), size, PAGE_RECORDS, PAGE_BYTES).await?;
        anyhow::ensure!(!page.is_empty(), "record {} of the log `{log}` is missing in the database", writer.leaves());
        for leaf in page {
            anyhow::ensure!(leaf.index == writer.leaves(), "record {} is missing in the database", writer.leaves());
            writer.leaf(leaf.record.as_bytes())?;
            while let Some(note) = checkpoints.at(&mut tx, writer.leaves(), size).await? {
                writer.checkpoint(&note)?;
            }
        }
    }
    let leaves = writer.leaves();
    let file = writer.finish()?.into_inner().context("can't write the file")?;
    file.sync_all().with_context(|| format!("can't write {}", draft.display()))?;
    Ok((leaves, key.to_string()))
}

/// The checkpoints of a log in order, read in pages.
#[derive(Debug, Default)]
struct Checkpoints {
    page: std::collections::VecDeque<(u64, String)>,
    last: Option<u64>,
    ended: bool,
}

impl Checkpoints {
    /// The next checkpoint, if it is the one over so many leaves.
    async fn at(&mut self, tx: &mut LogTx, leaves: u64, size: u64) -> Result<Option<Note>> {
        if self.page.is_empty() && !self.ended {
            let page = tx.checkpoints(self.last, size, PAGE_CHECKPOINTS).await?;
            self.last = page.last().map(|c| c.size).or(self.last);
            self.ended = page.is_empty();
            self.page.extend(page.into_iter().map(|c| (c.size, c.note)));
        }
        match self.page.front() {
            Some((covers, _)) if *covers == leaves => {
                let note = self.page.pop_front().map(|(_, note)| note).unwrap_or_default();
                Ok(Some(Note::parse(note.as_bytes()).context("a stored checkpoint can't be read")?))
            }
            _ => Ok(None),
        }
    }
}
