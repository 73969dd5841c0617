//! What a witness does (<https://c2sp.org/tlog-witness>, <https://c2sp.org/tlog-cosignature>): it remembers the largest
//! checkpoint of a log that it has signed, and signs a new one only when the log shows that it grew from there. A log
//! that shows two histories to two people needs two witnesses that never compare notes; one that signs for both is
//! enough to find it out.
//!
//! The decision is [`review`]. Whoever calls it keeps what was seen last and has to write the new checkpoint down
//! *before* handing out the co-signature, and under a lock: of two reviews that start from one checkpoint, only one may
//! succeed.

use crate::checkpoint::Checkpoint;
use crate::error::AuditError;
use crate::note::{Cosigner, MAX_NOTE_BYTES, Note};
use crate::text::{decimal, hashes};
use crate::tree::{Hash, verify_consistency};
use crate::trust::{SignedCheckpoint, Trust};
use jiff::Timestamp;
use std::fmt;

/// The most hashes of a request (C2SP tlog-witness).
const MAX_HASHES: usize = 63;
/// The longest request, in bytes: the proof's lines and the largest note.
const MAX_REQUEST_BYTES: usize = 64 + MAX_HASHES * 45 + MAX_NOTE_BYTES;

/// What a log asks of a witness: the body of `add-checkpoint`.
///
/// ```text
/// old 20852014
/// PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
///
/// porthole.example/tenant/0190…
/// 20852163
/// …
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessRequest {
    /// The size from which the log shows that it grew: 0 for a witness that has seen nothing of it.
    pub old_size: u64,
    /// The consistency proof.
    pub proof: Vec<Hash>,
    /// The new checkpoint, signed.
    pub checkpoint: Note,
}

impl WitnessRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// When it breaks the format or a limit; the error names the line.
    pub fn parse(bytes: &[u8]) -> Result<Self, AuditError> {
        let refuse = |line, rule| AuditError::Format { format: "request to a witness", line, rule };
        if bytes.len() > MAX_REQUEST_BYTES {
            return Err(refuse(1, "it is too long"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| refuse(1, "it is not UTF-8"))?;
        let (head, note) = text.split_once("\n\n").ok_or(refuse(1, "no empty line stands before the checkpoint"))?;
        let mut lines = head.split('\n');
        let old_size = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(decimal);
        let old_size = old_size.ok_or(refuse(1, "it should be `old` and a size"))?;
        let proof = hashes(lines).map_err(|at| refuse(2 + at, "it is not the base64 of a hash"))?;
        if proof.len() > MAX_HASHES {
            return Err(refuse(2 + MAX_HASHES, "there are more than 63 hashes"));
        }
        let checkpoint = Note::parse(note.as_bytes())?;
        Checkpoint::parse(checkpoint.text())?;
        Ok(Self { old_size, proof, checkpoint })
    }
}

impl fmt::Display for WitnessRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old_size)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

/// Why a witness doesn't sign.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It is no checkpoint that a believed key has signed.
    #[error("it is no checkpoint of a log that is known here")]
    NotSigned(#[source] AuditError),
    /// It is of another log than the one that was seen before.
    #[error("the checkpoint is of `{offered}`; what was seen before is of `{seen}`")]
    OtherLog {
        /// The origin that was seen.
        seen: String,
        /// The origin that is offered.
        offered: String,
    },
    /// The log was longer already. It may be a copy from earlier; it may be an attempt to take leaves back.
    #[error("the checkpoint has {offered} leaves, and this log had {seen} already: it is an older one")]
    OlderThanSeen {
        /// Leaves seen.
        seen: u64,
        /// Leaves offered.
        offered: u64,
    },
    /// The proof doesn't start where this witness stands.
    #[error("the proof starts at {offered} leaves; this witness needs one that starts at {seen}")]
    OtherStart {
        /// Leaves seen.
        seen: u64,
        /// Where the proof starts.
        offered: u64,
    },
    /// Two histories under one key: keep both checkpoints, they are the evidence.
    #[error("FORK: this log has signed two roots for {size} leaves: {seen} and {offered}; keep both checkpoints")]
    Fork {
        /// Leaves of both.
        size: u64,
        /// The root that was seen.
        seen: Hash,
        /// The root that is offered.
        offered: Hash,
    },
    /// The log doesn't show that it grew from what was seen.
    #[error(
        "the log doesn't show that its {to} leaves go on from the {from} that were seen: it forked, or the proof is wrong"
    )]
    BadProof {
        /// Leaves seen.
        from: u64,
        /// Leaves offered.
        to: u64,
        /// What is wrong with the proof.
        #[source]
        source: AuditError,
    },
}

/// A checkpoint that may be co-signed. Only [`review`] makes one.
#[derive(Debug, Clone)]
pub struct Approved(SignedCheckpoint);

/// Decides whether a witness signs. `seen` is the last checkpoint of this log that it has signed, if any.
///
/// # Errors
/// The refusal.
pub fn review(seen: Option<&Checkpoint>, request: &WitnessRequest, trust: &Trust) -> Result<Approved, Refusal> {
    let signed = trust.open_note(request.checkpoint.clone()).map_err(Refusal::NotSigned)?;
    let new = &signed.checkpoint;
    // A log that was never seen grows from nothing.
    let nothing = Checkpoint::new(new.origin.clone(), 0, Hash::empty_root());
    let seen = seen.unwrap_or(&nothing);
    if seen.origin != new.origin {
        return Err(Refusal::OtherLog { seen: seen.origin.to_string(), offered: new.origin.to_string() });
    }
    if new.size < seen.size {
        return Err(Refusal::OlderThanSeen { seen: seen.size, offered: new.size });
    }
    if new.size == seen.size && new.root != seen.root {
        return Err(Refusal::Fork { size: seen.size, seen: seen.root, offered: new.root });
    }
    if request.old_size != seen.size {
        return Err(Refusal::OtherStart { seen: seen.size, offered: request.old_size });
    }
    verify_consistency((seen.size, &seen.root), (new.size, &new.root), &request.proof)
        .map_err(|source| Refusal::BadProof { from: seen.size, to: new.size, source })?;
    Ok(Approved(signed))
}

impl Approved {
    /// What the witness has seen from now on. It is written down before the co-signature is given out.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.0.checkpoint
    }

    /// The checkpoint with the co-signature, which takes the place of an earlier one of the same witness.
    #[must_use]
    pub fn cosign(&self, witness: &Cosigner<'_>, at: Timestamp) -> Note {
        let mut note = self.0.note.clone();
        // A clock before 1970 is wrong whatever it says; 0 is what C2SP has for "no statement about the time".
        let seconds = u64::try_from(at.as_second()).unwrap_or_default();
        note.add(witness.cosign(note.text(), seconds));
        note
    }
}

#[cfg(test)]
#[path = "cosign_tests.rs"]
mod tests;
