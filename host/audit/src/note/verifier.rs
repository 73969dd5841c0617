//! The public half of a key: `name+id+key`, as C2SP signed-note writes it ("vkey").

use super::Signature;
use crate::error::{AuditError, cut};
use crate::key::PublicKey;
use crate::name::KeyName;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, UnparsedPublicKey};
use std::fmt;
use std::str::FromStr;

/// Bytes of the time in a co-signature.
const TIME_BYTES: usize = 8;
/// What a co-signature signs starts with this (C2SP tlog-cosignature).
const COSIGNATURE_HEADER: &str = "cosignature/v1";
/// The last second a co-signature may name (C2SP tlog-cosignature).
const MAX_TIME: u64 = i64::MAX as u64;

/// What a key makes its signatures with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// Ed25519 over the text: how a log signs.
    Ed25519,
    /// Ed25519 over a time and the text: how a witness co-signs a checkpoint (`cosignature/v1`).
    CosignatureV1,
}

impl Algorithm {
    /// The byte that C2SP signed-note assigns.
    pub(super) fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::CosignatureV1 => 0x04,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Ed25519, Self::CosignatureV1].into_iter().find(|known| known.byte() == byte)
    }
}

/// What tells the keys of one name apart. It is short, and anybody can make a key with the id of another's: it says
/// which key to verify with, never that a signature holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 4]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The public half of a key, with its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VerifierKey {
    name: KeyName,
    algorithm: Algorithm,
    public: PublicKey,
    id: KeyId,
}

impl VerifierKey {
    /// A key by its parts.
    #[must_use]
    pub fn new(name: KeyName, algorithm: Algorithm, public: PublicKey) -> Self {
        let parts = [name.as_str().as_bytes(), b"\n", &[algorithm.byte()], &public.0].concat();
        let mut id = [0; 4];
        for (to, from) in id.iter_mut().zip(digest(&SHA256, &parts).as_ref()) {
            *to = *from;
        }
        Self { name, algorithm, public, id: KeyId(id) }
    }

    /// Its name: for a log's key, the origin.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// What it verifies.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key itself.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Name and id, for messages.
    pub(crate) fn label(&self) -> String {
        format!("{}+{}", self.name, self.id)
    }

    /// A signature says to be this key's.
    pub(crate) fn signs(&self, signature: &Signature) -> bool {
        self.name == signature.name && self.id == signature.id
    }

    /// Verifies one signature; a co-signature's time comes back.
    pub(super) fn verify(&self, text: &str, signature: &Signature) -> Result<Option<u64>, AuditError> {
        let wrong = || AuditError::BadSignature { key: self.label() };
        let key = UnparsedPublicKey::new(&ED25519, &self.public.0);
        match self.algorithm {
            Algorithm::Ed25519 => {
                key.verify(text.as_bytes(), &signature.bytes).map_err(|_| wrong())?;
                Ok(None)
            }
            Algorithm::CosignatureV1 => {
                let (time, bytes) = signature.bytes.split_first_chunk::<TIME_BYTES>().ok_or_else(wrong)?;
                let time = u64::from_be_bytes(*time);
                if time > MAX_TIME {
                    return Err(wrong());
                }
                key.verify(cosigned_message(time, text).as_bytes(), bytes).map_err(|_| wrong())?;
                Ok(Some(time))
            }
        }
    }
}

/// What a witness signs: a header, the time in seconds since 1970, and the whole text of the checkpoint.
pub(super) fn cosigned_message(time: u64, text: &str) -> String {
    format!("{COSIGNATURE_HEADER}\ntime {time}\n{text}")
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.algorithm.byte()], self.public.0.as_slice()].concat();
        write!(f, "{}+{}+{}", self.name, self.id, STANDARD.encode(key))
    }
}

impl FromStr for VerifierKey {
    type Err = AuditError;
    fn from_str(text: &str) -> Result<Self, AuditError> {
        let refuse = |rule| AuditError::VerifierKey { value: cut(text), rule };
        // The key's base64 may hold a plus; a name and an id can't.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(refuse("it has three parts, joined by `+`"));
        };
        let name = KeyName::new(name).map_err(|_| refuse("the name is no name of a key"))?;
        let decoded = STANDARD.decode(key).map_err(|_| refuse("the key is not base64"))?;
        let (algorithm, public) = decoded.split_first().ok_or_else(|| refuse("the key is empty"))?;
        let algorithm = Algorithm::from_byte(*algorithm)
            .ok_or_else(|| refuse("it is of an algorithm other than Ed25519 (01) and cosignature/v1 (04)"))?;
        let public = public.try_into().map_err(|_| refuse("an Ed25519 key has 32 bytes"))?;
        let parsed = Self::new(name, algorithm, PublicKey(public));
        if parsed.id.to_string() != id {
            return Err(refuse("the id doesn't follow from the name and the key: one of the three was changed"));
        }
        Ok(parsed)
    }
}
