//! A key under a name, ready to sign.

use super::verifier::cosigned_message;
use super::{Signature, VerifierKey};
use ring::signature::Ed25519KeyPair;
use std::fmt;

/// A key under a name, ready to sign. Comes from [`crate::key::LogKey`].
pub struct Signer<'k> {
    pub(crate) pair: &'k Ed25519KeyPair,
    pub(crate) key: VerifierKey,
}

impl Signer<'_> {
    /// What others verify its signatures with.
    #[must_use]
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.key
    }

    /// Signs a note's text.
    pub(super) fn sign(&self, text: &str) -> Signature {
        let bytes = self.pair.sign(text.as_bytes()).as_ref().to_vec();
        Signature { name: self.key.name().clone(), id: self.key.id(), bytes }
    }
}

/// A key under the name of a witness, ready to co-sign. Comes from [`crate::key::LogKey`].
pub struct Cosigner<'k> {
    pub(crate) pair: &'k Ed25519KeyPair,
    pub(crate) key: VerifierKey,
}

impl Cosigner<'_> {
    /// What others verify its co-signatures with.
    #[must_use]
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.key
    }

    /// Co-signs a checkpoint's text, at a time in seconds since 1970.
    pub(crate) fn cosign(&self, text: &str, at: u64) -> Signature {
        let made = self.pair.sign(cosigned_message(at, text).as_bytes());
        let bytes = [at.to_be_bytes().as_slice(), made.as_ref()].concat();
        Signature { name: self.key.name().clone(), id: self.key.id(), bytes }
    }
}

impl fmt::Debug for Signer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({}, [redacted])", self.key.label())
    }
}

impl fmt::Debug for Cosigner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cosigner({}, [redacted])", self.key.label())
    }
}
