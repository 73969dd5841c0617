//! Writes a log file, leaf by leaf, and refuses to write one that would not verify.

use super::control::{Control, End, Header, MARK};
use crate::checkpoint::Checkpoint;
use crate::error::AuditError;
use crate::note::{Note, VerifierKey};
use crate::tree::{Frontier, leaf_hash};
use porthole_model::audit::{Log, MAX_LEAF_BYTES};
use ring::digest::{Context, SHA256};
use std::io::Write;

/// Writes a log file: leaves and checkpoints in the order of the log, then [`Writer::finish`].
pub struct Writer<W: Write> {
    out: W,
    digest: Context,
    key: VerifierKey,
    frontier: Frontier,
    checkpoints: u64,
    /// The last checkpoint that was written.
    last: Option<(Checkpoint, Note)>,
}

impl<W: Write> Writer<W> {
    /// Begins a file. The key is the one that signed the newest checkpoint that will be written; its name is the origin.
    ///
    /// # Errors
    /// When the origin isn't this log's, or the file can't be written.
    pub fn start(out: W, log: Log, key: &VerifierKey) -> Result<Self, AuditError> {
        let origin = key.name().to_string();
        if !origin.ends_with(&format!("/{}", log.path())) {
            return Err(AuditError::Origin { wanted: format!("…/{}", log.path()), found: origin });
        }
        let digest = Context::new(&SHA256);
        let mut writer = Self { out, digest, key: key.clone(), frontier: Frontier::new(), checkpoints: 0, last: None };
        let header = Header { log: log.path(), origin, vkey: key.to_string() };
        writer.line(Control::Header(header).to_line().as_bytes())?;
        Ok(writer)
    }

    /// Writes the next leaf.
    ///
    /// # Errors
    /// When it can't be a leaf, or the file can't be written.
    pub fn leaf(&mut self, leaf: &[u8]) -> Result<(), AuditError> {
        if leaf.len() > MAX_LEAF_BYTES {
            return Err(self.refuse("the leaf is longer than a leaf may be"));
        }
        if leaf.is_empty() || leaf.first() == Some(&MARK) || leaf.contains(&b'\n') {
            return Err(self.refuse("the leaf is not an object on one line"));
        }
        self.line(leaf)?;
        self.frontier.push(leaf_hash(leaf));
        Ok(())
    }

    /// Writes the checkpoint of all leaves so far.
    ///
    /// # Errors
    /// When it is of another log, of another number of leaves or of another root, when it doesn't go on from the last
    /// one, or when the file can't be written.
    pub fn checkpoint(&mut self, note: &Note) -> Result<(), AuditError> {
        let checkpoint = Checkpoint::parse(note.text())?;
        if checkpoint.origin != *self.key.name() {
            let (wanted, found) = (self.key.name().to_string(), checkpoint.origin.to_string());
            return Err(AuditError::Origin { wanted, found });
        }
        if checkpoint.size != self.frontier.size() {
            return Err(self.refuse("the checkpoint is of another number of leaves"));
        }
        if checkpoint.root != self.frontier.root() {
            return Err(
                self.refuse("the checkpoint has another root: the stored leaves are not those that were signed")
            );
        }
        if self.last.as_ref().is_some_and(|(last, _)| last.size >= checkpoint.size) {
            return Err(self.refuse("the checkpoint doesn't go on from the last one"));
        }
        self.checkpoints += 1;
        let note = note.in_order(self.key.name());
        self.line(Control::Checkpoint(self.checkpoints, note.to_string()).to_line().as_bytes())?;
        self.last = Some((checkpoint, note));
        Ok(())
    }

    /// Leaves written so far.
    #[must_use]
    pub fn leaves(&self) -> u64 {
        self.frontier.size()
    }

    /// Ends the file.
    ///
    /// # Errors
    /// When leaves are written that no checkpoint covers, when the newest checkpoint isn't signed by the key that the
    /// file names, or when the file can't be written.
    pub fn finish(mut self) -> Result<W, AuditError> {
        let (checkpoint, note) = self.last.as_ref().ok_or_else(|| self.refuse("there is no checkpoint"))?;
        if checkpoint.size != self.frontier.size() {
            return Err(self.refuse("the last leaves are covered by no checkpoint"));
        }
        note.verify(std::slice::from_ref(&self.key))?;
        let sha256 = hex::encode(self.digest.clone().finish());
        let end = End { checkpoints: self.checkpoints, leaves: self.frontier.size(), sha256 };
        self.line(Control::End(end).to_line().as_bytes())?;
        self.out.flush().map_err(AuditError::Write)?;
        Ok(self.out)
    }

    fn refuse(&self, rule: &'static str) -> AuditError {
        AuditError::WriteOrder { leaf: self.frontier.size(), rule }
    }

    fn line(&mut self, line: &[u8]) -> Result<(), AuditError> {
        for part in [line, b"\n"] {
            self.digest.update(part);
            self.out.write_all(part).map_err(AuditError::Write)?;
        }
        Ok(())
    }
}
