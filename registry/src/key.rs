//! Ed25519 keys (RFC 8032) of publishers and reviewers: a private key signs, a public key verifies, and a key's id is
//! what people and records call it. The texts are those of other tools (RFC 8410): PKCS#8 for the private key, as
//! `openssl genpkey -algorithm ed25519` makes it, and SubjectPublicKeyInfo for the public one, as `openssl pkey -pubout`
//! prints it. Files, and who may read them, are the caller's concern.

use crate::error::{RegistryError, Result};
use crate::pem;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

const PRIVATE: &str = "PRIVATE KEY";
const PUBLIC: &str = "PUBLIC KEY";
/// What stands before the 32 bytes of a private key in PKCS#8 v1 (RFC 8410, 7).
const PKCS8_V1: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
/// What stands before the 32 bytes of a public key in SubjectPublicKeyInfo (RFC 8410, 4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
/// The length of a public key and of the seed of a private one, in bytes.
const KEY_BYTES: usize = 32;
/// The length of a signature, in bytes.
const SIGNATURE_BYTES: usize = 64;
/// How many digits of a key's id people are shown: enough to tell the keys of one register apart.
const SHORT_DIGITS: usize = 16;

/// The identity of a key: SHA-256 of its SubjectPublicKeyInfo, as
/// `openssl pkey -pubin -in KEY.pub -outform DER | sha256sum` prints it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 32]);

impl KeyId {
    /// The first digits, for people.
    #[must_use]
    pub fn short(&self) -> String {
        hex::encode(self.0).chars().take(SHORT_DIGITS).collect()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyId {
    type Err = RegistryError;
    fn from_str(text: &str) -> Result<Self> {
        let refuse = || RegistryError::Key { what: "key id", rule: "`sha256:` and 64 hexadecimal digits are expected" };
        let mut bytes = [0; 32];
        let digits = text.strip_prefix("sha256:").ok_or_else(refuse)?;
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| refuse())?;
        Ok(Self(bytes))
    }
}

/// A public key: 32 bytes that verify signatures.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; KEY_BYTES]);

impl PublicKey {
    /// Reads `BEGIN PUBLIC KEY`.
    ///
    /// # Errors
    /// When it is no such text, or the key of another algorithm.
    pub fn from_pem(text: &[u8]) -> Result<Self> {
        let refuse = |rule| RegistryError::Key { what: "public key (PEM, SubjectPublicKeyInfo)", rule };
        let der = pem::decode(text, PUBLIC).map_err(refuse)?;
        let bytes = der.strip_prefix(SPKI.as_slice()).and_then(|rest| <[u8; KEY_BYTES]>::try_from(rest).ok());
        bytes.map(Self).ok_or_else(|| refuse("it is no Ed25519 key"))
    }

    /// As `BEGIN PUBLIC KEY`. Reading it gives the same key, and the same key always gives the same text.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let mut text = pem::encode(&self.der(), PUBLIC);
        std::mem::take(&mut *text)
    }

    /// What the key is called.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let mut id = [0; 32];
        id.copy_from_slice(digest(&SHA256, &self.der()).as_ref());
        KeyId(id)
    }

    /// True when the key's owner signed exactly these bytes.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, &signature.0).is_ok()
    }

    fn der(&self) -> Vec<u8> {
        [SPKI.as_slice(), &self.0].concat()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

/// A signature: 64 bytes, written as base64.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; SIGNATURE_BYTES]);

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Signature {
    type Err = RegistryError;
    fn from_str(text: &str) -> Result<Self> {
        let refuse = || RegistryError::Key { what: "signature", rule: "64 bytes as base64 are expected" };
        let bytes = STANDARD.decode(text).map_err(|_| refuse())?;
        Ok(Self(bytes.try_into().map_err(|_| refuse())?))
    }
}

macro_rules! as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
as_text!(KeyId);
as_text!(Signature);

/// A private key. There is no way to print it but [`SigningKey::generate`], which makes a new one.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl SigningKey {
    /// Makes a key: its text for a file, and itself.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn generate() -> Result<(Zeroizing<String>, Self)> {
        let refuse = |rule| RegistryError::Key { what: "new key", rule };
        let mut seed = Zeroizing::new([0; KEY_BYTES]);
        SystemRandom::new().fill(&mut *seed).map_err(|_| refuse("the system gives no random bytes"))?;
        // Version 1, because every tool reads it; ring's own generator writes version 2, which OpenSSL refuses.
        let mut der = Zeroizing::new(Vec::with_capacity(PKCS8_V1.len() + KEY_BYTES));
        der.extend_from_slice(&PKCS8_V1);
        der.extend_from_slice(&*seed);
        let text = pem::encode(&der, PRIVATE);
        let key = Self::from_pem(text.as_bytes())?;
        Ok((text, key))
    }

    /// Reads `BEGIN PRIVATE KEY`: PKCS#8 version 1 (RFC 5208) or 2 (RFC 5958).
    ///
    /// # Errors
    /// When it is no such text, the key of another algorithm, encrypted, or its public half isn't its own.
    pub fn from_pem(text: &[u8]) -> Result<Self> {
        let refuse = |rule| RegistryError::Key { what: "private key (PEM, PKCS#8)", rule };
        let der = pem::decode(text, PRIVATE).map_err(refuse)?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| refuse("it is no Ed25519 key"))?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| refuse("it is no Ed25519 key"))?;
        Ok(Self { pair, public: PublicKey(public) })
    }

    /// The half that others get.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Signature {
        let mut bytes = [0; SIGNATURE_BYTES];
        bytes.copy_from_slice(self.pair.sign(message).as_ref());
        Signature(bytes)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, [redacted])", self.public.id())
    }
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
