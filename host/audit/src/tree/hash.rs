//! Hashes of leaves and nodes. The first byte tells them apart, so that no leaf can be passed off as a node
//! (RFC 6962 §2.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{Context, SHA256, digest};
use std::fmt;

/// Stands before the bytes of a leaf.
const LEAF: [u8; 1] = [0];
/// Stands before the hashes of the two halves of a node.
const NODE: [u8; 1] = [1];

/// A SHA-256 hash in a tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The root of a tree without leaves: the hash of nothing.
    #[must_use]
    pub fn empty_root() -> Self {
        Self::of(digest(&SHA256, b""))
    }

    /// Reads the base64 form that notes and proofs use: 44 characters, padded, no other spelling of the same bytes.
    #[must_use]
    pub fn from_base64(text: &str) -> Option<Self> {
        // Longer text is refused before it is decoded: the buffer is as large as a hash's 44 characters may need.
        let mut bytes = [0; 33];
        let length = STANDARD.decode_slice(text, &mut bytes).ok()?;
        <[u8; 32]>::try_from(bytes.get(..length)?).ok().map(Self)
    }

    /// The base64 form that notes and proofs use.
    #[must_use]
    pub fn to_base64(self) -> String {
        STANDARD.encode(self.0)
    }

    pub(crate) fn of(digest: ring::digest::Digest) -> Self {
        let mut bytes = [0; 32];
        // SHA-256 has 32 bytes; a shorter digest would leave zeros, which match nothing.
        for (to, from) in bytes.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        Self(bytes)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_base64())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The hash of a leaf.
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(&LEAF);
    context.update(leaf);
    Hash::of(context.finish())
}

/// The hash of a node over its two halves.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(&NODE);
    context.update(&left.0);
    context.update(&right.0);
    Hash::of(context.finish())
}
