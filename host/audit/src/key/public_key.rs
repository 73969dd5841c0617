//! Ed25519 public keys, as bytes and as the PEM that `openssl pkey -pubout` makes.

use super::pem;
use crate::error::AuditError;
use std::fmt;

/// What stands before the key in a SubjectPublicKeyInfo (RFC 8410 §4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const LABEL: &str = "PUBLIC KEY";
/// The longest public key file, in bytes: an Ed25519 key's has 113.
const MAX_PEM_BYTES: usize = 1024;

/// An Ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// Reads a `BEGIN PUBLIC KEY` block.
    ///
    /// # Errors
    /// When it is none, or of another kind of key.
    pub fn from_pem(text: &[u8]) -> Result<Self, AuditError> {
        if text.len() > MAX_PEM_BYTES {
            return Err(AuditError::PublicKey("it is longer than 1 KiB"));
        }
        let der = pem::decode(text, LABEL).map_err(AuditError::PublicKey)?;
        let bytes = der.strip_prefix(&SPKI).ok_or(AuditError::PublicKey("it is of another kind of key"))?;
        let bytes = bytes.try_into().map_err(|_| AuditError::PublicKey("it has not 32 bytes"))?;
        Ok(Self(bytes))
    }

    /// The `BEGIN PUBLIC KEY` block (RFC 8410).
    #[must_use]
    pub fn to_pem(&self) -> String {
        (*pem::encode(&[SPKI.as_slice(), &self.0].concat(), LABEL)).clone()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", hex::encode(self.0))
    }
}
