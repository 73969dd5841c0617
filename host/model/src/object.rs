//! Entities and relationships as they are checked, hashed, compared and stored.
//!
//! A guest emits JSON Lines. A line is hostile until `parse::parse_line` has made a [`Row`] of it. The row is what is
//! hashed, staged and stored; nothing looks at the guest's bytes again.

use serde::{Deserialize, Serialize};
use std::fmt;

/// BLAKE3 over an object's identity, cut to 128 bits: 10 million keys collide with probability below 1e-24.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub [u8; 16]);

/// BLAKE3 over an object's canonical form, cut to 128 bits. Key order and number spelling don't change it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub [u8; 16]);

impl KeyHash {
    /// What is hashed in front of an entity's key.
    pub(crate) const ENTITY: u8 = b'E';
    /// What is hashed in front of a relationship's key.
    pub(crate) const RELATIONSHIP: u8 = b'R';

    /// The identity of an entity within its instance.
    #[must_use]
    pub fn entity(key: &str) -> Self {
        Self(hash(Self::ENTITY, key))
    }

    /// The identity of a relationship within its instance.
    #[must_use]
    pub fn relationship(key: &str) -> Self {
        Self(hash(Self::RELATIONSHIP, key))
    }
}

fn hash(kind: u8, text: &str) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(text.as_bytes());
    first_half(&hasher.finalize())
}

/// The first 128 bits of a BLAKE3 hash.
pub(crate) fn first_half(hash: &blake3::Hash) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(hash.as_bytes().split_at(16).0);
    half
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyHash({})", hex::encode(self.0))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({})", hex::encode(self.0))
    }
}

/// A checked object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The entity type or relationship type.
    pub object_type: String,
    /// The object's key, unique among the instance's entities, or among its relationships.
    pub key: String,
    /// Hash of the key.
    pub key_hash: KeyHash,
    /// Hash of everything else.
    pub content_hash: ContentHash,
    /// Canonical JSON: keys sorted, no spaces, numbers in their shortest form.
    pub properties: String,
    /// What differs between entities and relationships.
    pub kind: RowKind,
}

/// What differs between entities and relationships.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowKind {
    /// A thing.
    Entity {
        /// The declared classes of the type.
        class: Vec<String>,
        /// For people.
        display_name: String,
    },
    /// How two things hang together. An end that is to be in the graph may be missing there; the relationship is dangling
    /// then.
    Relationship {
        /// `HAS`, `OWNS`, …
        verb: String,
        /// The key of the entity it comes from.
        from_key: String,
        /// Hash of that key.
        from_hash: KeyHash,
        /// The key of the entity it goes to.
        to_key: String,
        /// Hash of that key.
        to_hash: KeyHash,
        /// What it carries of the end that its instance doesn't collect, if it is a mapped one.
        far: Option<Far>,
    },
}

/// The far end of a mapped relationship: known by its key alone, and described by the relationship itself, so that it is
/// whole whether or not any instance of the tenant has collected that end. If one has, the key says which entity it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Far {
    /// Which end it is.
    pub end: End,
    /// Its type.
    pub object_type: String,
    /// Its classes, sorted.
    pub class: Vec<String>,
}

/// One of the two ends of a relationship.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// Where it comes from.
    From,
    /// Where it goes to.
    To,
}

impl End {
    /// As it is written: `from` or `to`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::From => "from",
            Self::To => "to",
        }
    }

    /// The end of a name: `from` or `to`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::From, Self::To].into_iter().find(|end| end.as_str() == name)
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::From => Self::To,
            Self::To => Self::From,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
