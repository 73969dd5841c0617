//! A proof that a record is in a log, in one file that a third party checks with the log's key alone
//! (<https://c2sp.org/tlog-proof>).
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra eyJhY3Rpb24iOiJydW4ucXVldWVkIn0=       the record itself
//! index 73894
//! gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=   hashes beside the way from the leaf to the root
//!
//! porthole.example/tenant/0190…                 a signed checkpoint
//! …
//! ```
//! The format leaves `extra` to the application and warns that nothing vouches for it. Here it is the leaf, and it *is*
//! vouched for: its hash is where the proof starts.

use crate::checkpoint::Checkpoint;
use crate::error::AuditError;
use crate::note::{MAX_NOTE_BYTES, Note};
use crate::text::{decimal, hashes};
use crate::tree::{Hash, MAX_PROOF_HASHES, leaf_hash, verify_inclusion};
use crate::trust::{SignedCheckpoint, Trust};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use porthole_model::audit::MAX_LEAF_BYTES;
use std::fmt;

/// The first line.
const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// The longest proof file, in bytes: the longest leaf in base64, the hashes, and the largest note.
const MAX_PROOF_BYTES: usize = 256 + MAX_LEAF_BYTES.div_ceil(3) * 4 + MAX_PROOF_HASHES * 45 + MAX_NOTE_BYTES;

/// A proof that a leaf is in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafProof {
    /// The leaf, unless it comes beside the file.
    pub leaf: Option<Vec<u8>>,
    /// Its number in the log, from 0.
    pub index: u64,
    /// The hashes beside the way to the root.
    pub hashes: Vec<Hash>,
    /// The checkpoint with that root.
    pub checkpoint: Note,
}

/// What a proof has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// The leaf.
    pub leaf: Vec<u8>,
    /// Its number in the log, from 0.
    pub index: u64,
    /// The checkpoint that vouches for it.
    pub checkpoint: SignedCheckpoint,
}

impl LeafProof {
    /// Reads a proof file.
    ///
    /// # Errors
    /// When it breaks the format or a limit; the error names the line.
    pub fn parse(bytes: &[u8]) -> Result<Self, AuditError> {
        let refuse = |line, rule| AuditError::Format { format: "proof file", line, rule };
        if bytes.len() > MAX_PROOF_BYTES {
            return Err(refuse(1, "it is too long"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| refuse(1, "it is not UTF-8"))?;
        let (head, note) = text.split_once("\n\n").ok_or(refuse(1, "no empty line stands before the checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(refuse(1, "it should be `c2sp.org/tlog-proof@v1`"));
        }
        let mut number = 2;
        let extra = lines.next_if(|line| line.starts_with("extra ")).and_then(|line| line.strip_prefix("extra "));
        let leaf = extra.map(|encoded| STANDARD.decode(encoded)).transpose();
        let leaf = leaf.map_err(|_| refuse(number, "what follows `extra` is not base64"))?;
        if leaf.as_ref().is_some_and(|leaf| leaf.len() > MAX_LEAF_BYTES) {
            return Err(refuse(number, "the leaf is longer than a leaf may be"));
        }
        number += usize::from(leaf.is_some());
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(decimal);
        let index = index.ok_or(refuse(number, "it should be `index` and a number"))?;
        let hashes = hashes(lines).map_err(|at| refuse(number + 1 + at, "it is not the base64 of a hash"))?;
        if hashes.len() > MAX_PROOF_HASHES {
            return Err(refuse(number + 1 + MAX_PROOF_HASHES, "there are more hashes than a tree is high"));
        }
        let checkpoint = Note::parse(note.as_bytes())?;
        Checkpoint::parse(checkpoint.text())?;
        Ok(Self { leaf, index, hashes, checkpoint })
    }

    /// Verifies the proof. `beside` is the leaf if it came beside the file.
    ///
    /// # Errors
    /// When the checkpoint is not signed by a believed key or not co-signed by enough witnesses, when there is no leaf or
    /// there are two, and when the leaf is not in the log.
    pub fn verify(&self, beside: Option<&[u8]>, trust: &Trust) -> Result<Proven, AuditError> {
        let refuse = |rule| AuditError::Proof { proof: "inclusion", rule };
        let leaf = match (self.leaf.as_deref(), beside) {
            (Some(inside), Some(beside)) if inside != beside => {
                return Err(refuse("the record inside the proof is not the one beside it"));
            }
            (Some(leaf), _) | (None, Some(leaf)) => leaf,
            (None, None) => return Err(refuse("it carries no record, and none was given")),
        };
        let checkpoint = trust.open_note(self.checkpoint.clone())?;
        trust.demand_quorum(&checkpoint)?;
        let (size, root) = (checkpoint.checkpoint.size, checkpoint.checkpoint.root);
        verify_inclusion(&leaf_hash(leaf), self.index, size, &self.hashes, &root)?;
        Ok(Proven { leaf: leaf.to_owned(), index: self.index, checkpoint })
    }
}

impl fmt::Display for LeafProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(leaf) = &self.leaf {
            writeln!(f, "extra {}", STANDARD.encode(leaf))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
#[path = "proof_tests.rs"]
mod tests;
