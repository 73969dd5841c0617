//! Checkpoints (<https://c2sp.org/tlog-checkpoint>): what a log signs to say "so many leaves, with this root".
//!
//! ```text
//! porthole.example/tenant/0190…     origin: which log
//! 20852163                          leaves
//! CsUYapGGPo4dkMgIAUqom/Xajj7h…     root
//!
//! — porthole.example/tenant/0190… Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+…
//! ```
//! A log's key carries the log's origin as its name, so a signature is one of this log and of no other.

use crate::error::AuditError;
use crate::name::KeyName;
use crate::note::{Note, Signer};
use crate::text::decimal;
use crate::tree::Hash;
use std::fmt;

/// The most extension lines of a checkpoint. The format advises against any.
const MAX_EXTENSIONS: usize = 16;

/// Where a log stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: KeyName,
    /// How many leaves it has.
    pub size: u64,
    /// The root of their tree.
    pub root: Hash,
    /// Lines after the root. They are signed, and nobody audits them: our logs have none, and only those of other logs
    /// are kept, because a witness signs the whole text.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// A checkpoint without extension lines.
    #[must_use]
    pub fn new(origin: KeyName, size: u64, root: Hash) -> Self {
        Self { origin, size, root, extensions: Vec::new() }
    }

    /// Reads a note's text.
    ///
    /// # Errors
    /// When it is no checkpoint; the error names the line.
    pub fn parse(text: &str) -> Result<Self, AuditError> {
        let refuse = |line, rule| AuditError::Checkpoint { line, rule };
        let mut lines = text.strip_suffix('\n').ok_or(refuse(1, "the text doesn't end with a newline"))?.split('\n');
        let mut next = |line| lines.next().ok_or(refuse(line, "there are fewer than three lines"));
        let origin = KeyName::new(next(1)?).map_err(|_| refuse(1, "the origin can't be the name of a key"))?;
        let size = decimal(next(2)?).ok_or(refuse(2, "the size is no decimal number without zeros in front"))?;
        let root = Hash::from_base64(next(3)?).ok_or(refuse(3, "the root is not the base64 of 32 bytes"))?;
        if size == 0 && root != Hash::empty_root() {
            return Err(refuse(3, "a log without leaves has another root"));
        }
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        if extensions.len() > MAX_EXTENSIONS {
            return Err(refuse(4 + MAX_EXTENSIONS, "there are more than 16 extension lines"));
        }
        if let Some(at) = extensions.iter().position(String::is_empty) {
            return Err(refuse(4 + at, "an extension line is empty"));
        }
        Ok(Self { origin, size, root, extensions })
    }

    /// Signs it.
    ///
    /// # Errors
    /// When the signer's name is not the origin.
    pub fn sign(&self, signer: &Signer<'_>) -> Result<Note, AuditError> {
        let name = signer.verifier_key().name();
        if *name != self.origin {
            return Err(AuditError::Origin { wanted: name.to_string(), found: self.origin.to_string() });
        }
        Note::sign(self.to_string(), signer)
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, self.root)?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;
