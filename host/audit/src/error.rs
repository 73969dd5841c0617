//! What can go wrong while logs, notes, proofs and keys are read or made. Whether a log or a checkpoint is *right* is
//! no error but an answer: [`crate::export::Fault`] and [`crate::cosign::Refusal`].

use std::path::PathBuf;

/// What can go wrong while logs, notes, proofs and keys are read or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// A leaf or a size that the tree doesn't have.
    #[error("a tree of {size} leaves has no {what} {asked}")]
    OutsideTree {
        /// What was asked for: a leaf, an older tree.
        what: &'static str,
        /// Its number.
        asked: u64,
        /// Leaves of the tree.
        size: u64,
    },
    /// The storage lacks a hash that a tree of this size has.
    #[error("the stored tree has no hash at level {level}, index {index}")]
    MissingNode {
        /// Levels above the leaves.
        level: u8,
        /// From the left, the first is 0.
        index: u64,
    },
    /// A stored frontier that isn't one.
    #[error("a stored frontier is damaged: {0}")]
    Frontier(&'static str),
    /// A proof that doesn't lead to the root it should lead to.
    #[error("the {proof} proof doesn't hold: {rule}")]
    Proof {
        /// `inclusion` or `consistency`.
        proof: &'static str,
        /// What is wrong, as a short fact.
        rule: &'static str,
    },
    /// A text that is no name of a key or of a log.
    #[error("`{value}` is no name of a key or log: it has to be {rule}")]
    Name {
        /// The start of the text.
        value: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// A text that is no verifier key.
    #[error("`{value}` is no verifier key (`name+id+key`): {rule}")]
    VerifierKey {
        /// The start of the text.
        value: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// Bytes that are no signed note.
    #[error("no signed note: line {line}: {rule}")]
    Note {
        /// The first line is 1; 0 if the fault is in no single line.
        line: usize,
        /// The rule that they break.
        rule: &'static str,
    },
    /// A text that is no checkpoint.
    #[error("no checkpoint: line {line}: {rule}")]
    Checkpoint {
        /// The first line is 1.
        line: usize,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// No key that is trusted has signed.
    #[error("no trusted key has signed; it carries signatures of: {signers}")]
    Unsigned {
        /// The names and ids on the signature lines.
        signers: String,
    },
    /// A trusted key's name is on a signature that isn't its own.
    #[error("the signature of key `{key}` is wrong: the text was changed, or somebody else signed in its name")]
    BadSignature {
        /// The key, as `name+id`.
        key: String,
    },
    /// A key has signed twice.
    #[error("key `{key}` has signed more than once")]
    RepeatedSignature {
        /// The key, as `name+id`.
        key: String,
    },
    /// Too few witnesses have co-signed.
    #[error("{found} of the {wanted} witnesses that are needed have co-signed")]
    Quorum {
        /// How many have.
        found: usize,
        /// How many are needed.
        wanted: usize,
    },
    /// A checkpoint of another log.
    #[error("this is a checkpoint of `{found}`, not of `{wanted}`")]
    Origin {
        /// The origin that was wanted.
        wanted: String,
        /// The origin that was found.
        found: String,
    },
    /// What is to be trusted contradicts itself.
    #[error("the trusted keys can't be used: {0}")]
    Trust(&'static str),
    /// Bytes that are no proof file or request.
    #[error("no {format}: line {line}: {rule}")]
    Format {
        /// Which format was expected.
        format: &'static str,
        /// The first line is 1.
        line: usize,
        /// The rule that they break.
        rule: &'static str,
    },
    /// A key file can't be read or made.
    #[error("key file {}: {what}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Others may reach the key file.
    #[error("key file {} can be reached by others (mode {mode:04o}); run: chmod 600 {}", path.display(), path.display())]
    KeyFileMode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file isn't one.
    #[error("key file {}: {rule}", path.display())]
    KeyFileForm {
        /// The file.
        path: PathBuf,
        /// What is wrong, as a short fact.
        rule: &'static str,
    },
    /// A text that is no public key.
    #[error("no Ed25519 public key: {0}")]
    PublicKey(&'static str),
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    Randomness,
    /// The log file can't be read.
    #[error("line {line} of the log file can't be read")]
    Read {
        /// The first line is 1.
        line: u64,
        /// Why.
        source: std::io::Error,
    },
    /// The log file can't be written.
    #[error("the log file can't be written")]
    Write(#[source] std::io::Error),
    /// What is written would not be a log file that verifies.
    #[error("the log file would not verify: leaf {leaf}: {rule}")]
    WriteOrder {
        /// Leaves written so far.
        leaf: u64,
        /// The rule that is broken.
        rule: &'static str,
    },
}

/// The start of a text that comes from outside, without control characters: safe to put into a message.
pub(crate) fn cut(text: &str) -> String {
    /// Characters of a foreign text in a message: enough to recognise it.
    const MAX_SHOWN: usize = 80;
    text.chars().take(MAX_SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
