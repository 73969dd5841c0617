//! A publisher's signature of a module: a small file beside it, `X.porthole.sig`.
//!
//! What is signed is not the module but a statement about it: "this publisher published the module of this digest, with
//! this key". The statement starts with words of its own, so that a signature made for it can't be shown as one of
//! anything else, and an approval's not as one of a module.

use crate::error::{RegistryError, Result};
use crate::key::{KeyId, PublicKey, Signature, SigningKey};
use porthole_model::id::{ModuleDigest, Name};
use serde::{Deserialize, Serialize};

/// What a signature file's name ends with, after the module's.
pub const SIGNATURE_SUFFIX: &str = ".sig";
/// The longest signature file, in bytes: about 400, with the longest name.
pub const MAX_SIGNATURE_BYTES: usize = 4096;

const FORMAT: &str = "porthole module signature";
const VERSION: u32 = 1;

/// Who says that a module is theirs, and the proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModuleSignature {
    /// Who signed.
    pub publisher: Name,
    /// What was signed.
    pub module: ModuleDigest,
    /// With which key.
    pub key: KeyId,
    /// The proof.
    pub signature: Signature,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    version: u32,
    publisher: Name,
    module: ModuleDigest,
    key: KeyId,
    signature: Signature,
}

/// The bytes that are signed. No field can hold a line break, so two statements never give the same bytes.
fn statement(publisher: &Name, module: ModuleDigest, key: KeyId) -> Vec<u8> {
    format!("{FORMAT} v{VERSION}\npublisher {publisher}\nmodule {module}\nkey {key}\n").into_bytes()
}

impl ModuleSignature {
    /// Signs a module.
    #[must_use]
    pub fn new(key: &SigningKey, publisher: &Name, module: ModuleDigest) -> Self {
        let id = key.public().id();
        let signature = key.sign(&statement(publisher, module, id));
        Self { publisher: publisher.clone(), module, key: id, signature }
    }

    /// True when the owner of this key signed this publisher's statement about this module.
    #[must_use]
    pub fn is_by(&self, key: &PublicKey) -> bool {
        key.id() == self.key && key.verifies(&statement(&self.publisher, self.module, self.key), &self.signature)
    }

    /// The file.
    #[must_use]
    pub fn to_file(&self) -> String {
        let file = File {
            format: FORMAT.to_owned(),
            version: VERSION,
            publisher: self.publisher.clone(),
            module: self.module,
            key: self.key,
            signature: self.signature,
        };
        crate::text::json_file(&file)
    }

    /// Reads the file. It is read, not verified: see [`ModuleSignature::is_by`].
    ///
    /// # Errors
    /// When it is no signature file, of another version, or spelled otherwise than [`ModuleSignature::to_file`] does.
    pub fn from_file(bytes: &[u8]) -> Result<Self> {
        let refuse = |rule: String| RegistryError::Document { what: "signature file", rule };
        if bytes.len() > MAX_SIGNATURE_BYTES {
            return Err(refuse(format!("it has {} bytes, at most {MAX_SIGNATURE_BYTES} are read", bytes.len())));
        }
        let file: File = serde_json::from_slice(bytes).map_err(|e| refuse(e.to_string()))?;
        if file.format != FORMAT || file.version != VERSION {
            return Err(refuse(format!("it is not a `{FORMAT}` of version {VERSION}")));
        }
        let File { publisher, module, key, signature, .. } = file;
        let read = Self { publisher, module, key, signature };
        // One meaning, one spelling.
        if read.to_file().as_bytes() == bytes { Ok(read) } else { Err(refuse("it isn't in canonical form".to_owned())) }
    }
}

#[cfg(test)]
#[path = "sign_tests.rs"]
mod tests;
