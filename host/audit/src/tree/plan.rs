//! Proofs out of stored hashes. A plan is made first, without any storage; it says which stored hashes it takes, so that
//! a database can be asked once; then it is put together.

use super::{Hash, TILE_HEIGHT, node_hash};
use crate::error::AuditError;
use std::collections::HashMap;
use std::ops::Range;

/// Hands out stored hashes.
pub trait NodeReader {
    /// The root of a full subtree of `2^level` leaves, the `index`th from the left. Asked only for levels that are a
    /// multiple of [`TILE_HEIGHT`]; level 0 are the leaves' hashes.
    fn stored(&self, level: u8, index: u64) -> Option<Hash>;
}

/// Neighbours on one stored level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredNodes {
    /// A multiple of [`TILE_HEIGHT`]; level 0 are the leaves' hashes.
    pub level: u8,
    /// Their indexes on this level.
    pub range: Range<u64>,
}

/// Stored hashes that were fetched for a plan.
#[derive(Debug, Clone, Default)]
pub struct NodeMap(HashMap<(u8, u64), Hash>);

impl NodeMap {
    /// Keeps a hash.
    pub fn insert(&mut self, level: u8, index: u64, hash: Hash) {
        self.0.insert((level, index), hash);
    }
}

impl NodeReader for NodeMap {
    fn stored(&self, level: u8, index: u64) -> Option<Hash> {
        self.0.get(&(level, index)).copied()
    }
}

/// The root of a full subtree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Full {
    level: u8,
    index: u64,
}

/// What a proof is made of: for each of its hashes, the full subtrees that the hash covers, from left to right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofPlan {
    parts: Vec<Vec<Full>>,
}

impl ProofPlan {
    /// A proof that a leaf is in a tree (RFC 9162 §2.1.3.1).
    ///
    /// # Errors
    /// When the tree has no such leaf.
    pub fn inclusion(index: u64, size: u64) -> Result<Self, AuditError> {
        if index >= size {
            return Err(AuditError::OutsideTree { what: "leaf", asked: index, size });
        }
        let mut parts = Vec::new();
        let mut tree = 0..size;
        while tree.end - tree.start > 1 {
            let middle = split(&tree);
            let (inside, beside) = if index < middle {
                (tree.start..middle, middle..tree.end)
            } else {
                (middle..tree.end, tree.start..middle)
            };
            parts.push(full_subtrees(beside));
            tree = inside;
        }
        // A proof starts beside the leaf.
        parts.reverse();
        Ok(Self { parts })
    }

    /// A proof that a tree goes on where an older one ended (RFC 9162 §2.1.4.1). It is empty when the two are of one
    /// size and when the older one has no leaves: then there is nothing to prove.
    ///
    /// # Errors
    /// When the older tree is the larger one.
    pub fn consistency(old: u64, size: u64) -> Result<Self, AuditError> {
        if old > size {
            return Err(AuditError::OutsideTree { what: "older tree of size", asked: old, size });
        }
        let mut parts = Vec::new();
        if old == 0 || old == size {
            return Ok(Self { parts });
        }
        let mut tree = 0..size;
        while tree.end != old {
            let middle = split(&tree);
            if old <= middle {
                parts.push(full_subtrees(middle..tree.end));
                tree.end = middle;
            } else {
                parts.push(full_subtrees(tree.start..middle));
                tree.start = middle;
            }
        }
        // Where the older tree is one full subtree, whoever verifies knows its root already.
        if tree.start > 0 {
            parts.push(full_subtrees(tree));
        }
        parts.reverse();
        Ok(Self { parts })
    }

    /// The stored hashes that are needed, in no particular order, neighbours joined, each named once.
    #[must_use]
    pub fn stored(&self) -> Vec<StoredNodes> {
        let mut needed: Vec<StoredNodes> = self.parts.iter().flatten().map(|full| full.stored()).collect();
        needed.sort_by_key(|nodes| (nodes.level, nodes.range.start));
        needed.dedup_by(|next, kept| {
            let joined = next.level == kept.level && next.range.start <= kept.range.end;
            if joined {
                kept.range.end = kept.range.end.max(next.range.end);
            }
            joined
        });
        needed
    }

    /// Puts the proof together.
    ///
    /// # Errors
    /// When a stored hash is missing.
    pub fn assemble(&self, nodes: &impl NodeReader) -> Result<Vec<Hash>, AuditError> {
        self.parts.iter().map(|part| join(part, nodes)).collect()
    }
}

/// The proof that a leaf is in a tree.
///
/// # Errors
/// When the tree has no such leaf, or a stored hash is missing.
pub fn inclusion_proof(index: u64, size: u64, nodes: &impl NodeReader) -> Result<Vec<Hash>, AuditError> {
    ProofPlan::inclusion(index, size)?.assemble(nodes)
}

/// The proof that a tree goes on where an older one ended.
///
/// # Errors
/// When the older tree is the larger one, or a stored hash is missing.
pub fn consistency_proof(old: u64, size: u64, nodes: &impl NodeReader) -> Result<Vec<Hash>, AuditError> {
    ProofPlan::consistency(old, size)?.assemble(nodes)
}

/// Where the left half of a tree with more than one leaf ends: after the largest power of two that leaves something
/// over.
fn split(tree: &Range<u64>) -> u64 {
    let leaves = tree.end - tree.start;
    tree.start + (1 << (leaves - 1).ilog2())
}

/// A subtree as full subtrees, from left to right. Its first leaf is where a subtree of its height starts.
fn full_subtrees(mut tree: Range<u64>) -> Vec<Full> {
    let mut full = Vec::new();
    while tree.start < tree.end {
        let level = (tree.end - tree.start).ilog2();
        full.push(Full { level: level as u8, index: tree.start >> level });
        tree.start += 1 << level;
    }
    full
}

impl Full {
    /// The stored hashes below it, or its own.
    fn stored(self) -> StoredNodes {
        let above = self.level % TILE_HEIGHT;
        StoredNodes { level: self.level - above, range: self.index << above..(self.index + 1) << above }
    }

    fn hash(self, nodes: &impl NodeReader) -> Result<Hash, AuditError> {
        let StoredNodes { level, range } = self.stored();
        let read = |index| nodes.stored(level, index).ok_or(AuditError::MissingNode { level, index });
        let mut row = range.map(read).collect::<Result<Vec<_>, _>>()?;
        // A power of two of them: each round halves the row.
        while row.len() > 1 {
            row = row.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
        }
        row.first().copied().ok_or(AuditError::MissingNode { level, index: self.index })
    }
}

/// The hash over full subtrees that are neighbours, from left to right.
fn join(part: &[Full], nodes: &impl NodeReader) -> Result<Hash, AuditError> {
    let mut hashes = part.iter().rev().map(|full| full.hash(nodes));
    let last = hashes.next().ok_or(AuditError::MissingNode { level: 0, index: 0 })??;
    hashes.try_fold(last, |right, left| Ok(node_hash(&left?, &right)))
}
