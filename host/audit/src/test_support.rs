//! Logs and keys for tests.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::checkpoint::Checkpoint;
use crate::key::LogKey;
use crate::name::KeyName;
use crate::note::{Note, VerifierKey};
use crate::tree::{Frontier, Hash, NodeMap, leaf_hash};
use crate::trust::Trust;

/// A key that follows from a number.
pub(crate) fn key(number: u8) -> LogKey {
    LogKey::from_seed(&[number; 32]).unwrap()
}

pub(crate) fn name(text: &str) -> KeyName {
    KeyName::new(text).unwrap()
}

/// A log in memory, stored as a database would: leaves' hashes and tiles.
#[derive(Default, Clone)]
pub(crate) struct TestLog {
    pub(crate) frontier: Frontier,
    pub(crate) nodes: NodeMap,
    pub(crate) roots: Vec<Hash>,
}

impl TestLog {
    pub(crate) fn of(leaves: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut log = Self { roots: vec![Hash::empty_root()], ..Self::default() };
        leaves.into_iter().for_each(|leaf| log.push(&leaf));
        log
    }

    pub(crate) fn numbered(size: u64) -> Self {
        Self::of((0..size).map(|n| format!("leaf {n}").into_bytes()))
    }

    pub(crate) fn push(&mut self, leaf: &[u8]) {
        let hash = leaf_hash(leaf);
        let index = self.frontier.push_noting(hash, |node| self.nodes.insert(node.level, node.index, node.hash));
        self.nodes.insert(0, index, hash);
        self.roots.push(self.frontier.root());
    }

    pub(crate) fn root(&self, size: u64) -> Hash {
        self.roots[size as usize]
    }

    pub(crate) fn checkpoint(&self, origin: &str, size: u64) -> Checkpoint {
        Checkpoint::new(name(origin), size, self.root(size))
    }

    pub(crate) fn signed(&self, origin: &str, size: u64, key: &LogKey) -> Note {
        self.checkpoint(origin, size).sign(&key.signer(name(origin))).unwrap()
    }
}

pub(crate) fn vkey(key: &LogKey, origin: &str) -> VerifierKey {
    key.signer(name(origin)).verifier_key().clone()
}

pub(crate) fn trust(key: &LogKey, origin: &str) -> Trust {
    Trust::log(vec![vkey(key, origin)]).unwrap()
}
