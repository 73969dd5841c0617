//! Signed notes (<https://c2sp.org/signed-note>): a text, an empty line, and a line for each signature.
//!
//! ```text
//! the text, of as many lines as it likes
//!
//! — name base64(key id, signature)
//! ```
//! A note comes from strangers. [`Note::parse`] accepts nothing that it would write differently, so that one note has one
//! spelling; the text is to be ignored until [`Note::verify`] has found a signature of a key that is trusted.

mod sign;
mod verifier;

pub use sign::{Cosigner, Signer};
pub use verifier::{Algorithm, KeyId, VerifierKey};

use crate::error::AuditError;
use crate::name::KeyName;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// The longest note, in bytes: a checkpoint with 16 post-quantum signatures, which verifiers have to accept, has about
/// 80 KiB.
pub const MAX_NOTE_BYTES: usize = 128 * 1024;
/// The most signatures of a note. Verifiers have to accept 16; the largest witness networks have about as many members.
pub const MAX_SIGNATURES: usize = 32;

/// What a signature line starts with: an em dash and a space.
const MARK: &str = "\u{2014} ";
/// Bytes of a key id.
const ID_BYTES: usize = 4;

/// A signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Who says to have signed.
    pub name: KeyName,
    /// Which of the signer's keys.
    pub id: KeyId,
    /// What the key made. Its form is the key's business: for an algorithm that we don't know it is just bytes.
    pub bytes: Vec<u8>,
}

/// A text with signatures, none of them verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

/// A signature of a trusted key that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified<'k> {
    /// The key.
    pub key: &'k VerifierKey,
    /// When the co-signature was made, in seconds since 1970; a log's own signature doesn't say.
    pub at: Option<u64>,
}

impl Note {
    /// Reads a note.
    ///
    /// # Errors
    /// When the bytes break the format or a limit of this module; the error names the line.
    pub fn parse(bytes: &[u8]) -> Result<Self, AuditError> {
        let refuse = |line, rule| AuditError::Note { line, rule };
        if bytes.len() > MAX_NOTE_BYTES {
            return Err(refuse(0, "it is longer than 128 KiB"));
        }
        let line_of = |at: usize| 1 + bytes.iter().take(at).filter(|b| **b == b'\n').count();
        let all = std::str::from_utf8(bytes).map_err(|e| refuse(line_of(e.valid_up_to()), "it is not UTF-8"))?;
        if let Some(at) = bytes.iter().position(|b| *b < 0x20 && *b != b'\n') {
            return Err(refuse(line_of(at), "there is a control character"));
        }
        let (text, lines) = all.rsplit_once("\n\n").ok_or(refuse(0, "no empty line stands before the signatures"))?;
        let first_line = 2 + text.split('\n').count();
        let Some(lines) = lines.strip_suffix('\n') else {
            return Err(refuse(line_of(bytes.len()), "the last line doesn't end with a newline"));
        };
        let mut signatures = Vec::new();
        for (number, line) in (first_line..).zip(lines.split('\n')) {
            if signatures.len() == MAX_SIGNATURES {
                return Err(refuse(number, "there are more than 32 signatures"));
            }
            signatures.push(Signature::parse(line).map_err(|rule| refuse(number, rule))?);
        }
        Ok(Self { text: format!("{text}\n"), signatures })
    }

    /// A note with one signature.
    ///
    /// # Errors
    /// When the text can't be that of a note: see [`Note::parse`].
    pub fn sign(text: impl Into<String>, signer: &Signer<'_>) -> Result<Self, AuditError> {
        let mut note = Self { text: text.into(), signatures: Vec::new() };
        note.add(signer.sign(&note.text));
        // A text that could not be read back is not given out, whatever is wrong with it.
        if Self::parse(note.to_string().as_bytes())? == note {
            Ok(note)
        } else {
            Err(AuditError::Note { line: 0, rule: "the text doesn't end with a newline" })
        }
    }

    /// The text, with the newline at its end. Not to be believed before [`Note::verify`].
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines, verified or not.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Adds a signature, in place of an earlier one of the same key.
    pub(crate) fn add(&mut self, signature: Signature) {
        self.signatures.retain(|known| (&known.name, known.id) != (&signature.name, signature.id));
        self.signatures.push(signature);
    }

    /// The signatures in one order: those under this name first, then by name and id. A note says the same in any order;
    /// where it has to have one spelling, it has this one.
    pub(crate) fn in_order(&self, first: &KeyName) -> Self {
        let mut note = self.clone();
        note.signatures.sort_by(|a, b| {
            let rank = |signature: &Signature| signature.name != *first;
            (rank(a), &a.name, a.id).cmp(&(rank(b), &b.name, b.id))
        });
        note
    }

    /// The signatures of trusted keys. Those of other keys are passed over, as the format demands.
    ///
    /// # Errors
    /// When a signature that carries a trusted key's name and id is wrong or comes twice, or when no trusted key has
    /// signed.
    pub fn verify<'k>(&self, trusted: &'k [VerifierKey]) -> Result<Vec<Verified<'k>>, AuditError> {
        let mut found: Vec<Verified<'k>> = Vec::new();
        for signature in &self.signatures {
            let Some(key) = trusted.iter().find(|key| key.signs(signature)) else { continue };
            if found.iter().any(|verified| verified.key == key) {
                return Err(AuditError::RepeatedSignature { key: key.label() });
            }
            let at = key.verify(&self.text, signature)?;
            found.push(Verified { key, at });
        }
        if found.is_empty() {
            return Err(AuditError::Unsigned { signers: self.signers() });
        }
        Ok(found)
    }

    /// Who says to have signed, for messages.
    fn signers(&self) -> String {
        let labels: Vec<_> = self.signatures.iter().map(Signature::label).collect();
        labels.join(", ")
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        f.write_str("\n")?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

impl Signature {
    /// Reads a signature line, without its newline.
    fn parse(line: &str) -> Result<Self, &'static str> {
        let rest = line.strip_prefix(MARK).ok_or("a signature line starts with an em dash and a space")?;
        let (name, encoded) = rest.split_once(' ').ok_or("a signature line has a name, a space and a signature")?;
        let name = KeyName::new(name).map_err(|_| "the key's name is no name")?;
        // The engine takes one spelling only: padded, no stray bits, no line breaks.
        let decoded = STANDARD.decode(encoded).map_err(|_| "the signature is not base64")?;
        let (id, bytes) = decoded.split_first_chunk::<ID_BYTES>().ok_or("the signature has no key id")?;
        if bytes.is_empty() {
            return Err("the signature is empty");
        }
        Ok(Self { name, id: KeyId(*id), bytes: bytes.to_vec() })
    }

    fn label(&self) -> String {
        format!("{}+{}", self.name, self.id)
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.id.0, self.bytes.as_slice()].concat();
        write!(f, "{MARK}{} {}", self.name, STANDARD.encode(bytes))
    }
}

#[cfg(test)]
mod tests;
