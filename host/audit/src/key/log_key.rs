//! A private key that signs logs, from a file.

use super::{PublicKey, owner_file, pem};
use crate::error::AuditError;
use crate::name::KeyName;
use crate::note::{Algorithm, Cosigner, Signer, VerifierKey};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use std::fmt;
use std::io;
use std::path::Path;
use zeroize::Zeroizing;

/// What stands before the seed in a PKCS#8 file of version 1 (RFC 8410 §7), which every tool reads.
const PKCS8_V1: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// Bytes of a seed, from which the key follows.
const SEED_BYTES: usize = 32;
const LABEL: &str = "PRIVATE KEY";

/// An Ed25519 private key that signs logs, or a witness's.
///
/// In a file it is PKCS#8 in PEM, as `openssl genpkey -algorithm ed25519` makes it.
pub struct LogKey {
    pair: Ed25519KeyPair,
}

impl LogKey {
    /// Reads a key file: PKCS#8 of version 1 or 2 in PEM.
    ///
    /// # Errors
    /// When the file can't be read, is no such key, or can be reached by others than its owner.
    pub fn open(path: &Path) -> Result<Self, AuditError> {
        let text = owner_file::read(path)?;
        Self::from_pem(&text).map_err(|rule| AuditError::KeyFileForm { path: path.to_owned(), rule })
    }

    /// Reads a key file, or makes one with a new key where there is none. Two processes may try at once: one of them
    /// makes the file, both use it.
    ///
    /// # Errors
    /// As [`LogKey::open`], and when the file can't be written.
    pub fn open_or_create(path: &Path) -> Result<Self, AuditError> {
        match Self::open(path) {
            Err(AuditError::KeyFile { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let mut seed = Zeroizing::new([0; SEED_BYTES]);
                SystemRandom::new().fill(&mut *seed).map_err(|_| AuditError::Randomness)?;
                owner_file::create(path, to_pem(&seed).as_bytes())?;
                Self::open(path)
            }
            result => result,
        }
    }

    /// Reads a `BEGIN PRIVATE KEY` block. The rule comes back that it breaks.
    fn from_pem(text: &[u8]) -> Result<Self, &'static str> {
        let der = pem::decode(text, LABEL)?;
        // A file of version 1 has no public half that could be compared; one of version 2 is checked.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der)
            .map_err(|_| "is no Ed25519 key in PKCS#8; make one with: openssl genpkey -algorithm ed25519")?;
        Ok(Self { pair })
    }

    /// A key from its seed, for keys that live elsewhere than in a file.
    ///
    /// # Errors
    /// Never with 32 bytes; the signature leaves room for a library that thinks otherwise.
    pub fn from_seed(seed: &[u8; SEED_BYTES]) -> Result<Self, AuditError> {
        let pair =
            Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| AuditError::PublicKey("a seed has 32 bytes"))?;
        Ok(Self { pair })
    }

    /// Signs checkpoints of the log with this origin.
    #[must_use]
    pub fn signer(&self, origin: KeyName) -> Signer<'_> {
        let key = VerifierKey::new(origin, Algorithm::Ed25519, self.public());
        Signer { pair: &self.pair, key }
    }

    /// Co-signs other people's checkpoints as the witness of this name.
    #[must_use]
    pub fn cosigner(&self, name: KeyName) -> Cosigner<'_> {
        let key = VerifierKey::new(name, Algorithm::CosignatureV1, self.public());
        Cosigner { pair: &self.pair, key }
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        // Ed25519 public keys have 32 bytes.
        for (to, from) in bytes.iter_mut().zip(self.pair.public_key().as_ref()) {
            *to = *from;
        }
        PublicKey(bytes)
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogKey({:?}, [redacted])", self.public())
    }
}

fn to_pem(seed: &[u8; SEED_BYTES]) -> Zeroizing<String> {
    let mut der = Zeroizing::new(Vec::with_capacity(PKCS8_V1.len() + SEED_BYTES));
    der.extend_from_slice(&PKCS8_V1);
    der.extend_from_slice(seed);
    pem::encode(&der, LABEL)
}
