//! What a proof shows, step by step as RFC 9162 §2.1.3.2 and §2.1.4.2 write it down. Proofs come from strangers.

use super::{Hash, node_hash};
use crate::error::AuditError;

/// Verifies that a leaf is in a tree.
///
/// # Errors
/// When it isn't, or the proof is another leaf's or another tree's.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> Result<(), AuditError> {
    let refuse = |rule| Err(AuditError::Proof { proof: "inclusion", rule });
    if index >= size {
        return refuse("the tree has no such leaf");
    }
    let mut path = Path { node: index, last: size - 1 };
    let mut hash = *leaf;
    for sibling in proof {
        if path.last == 0 {
            return refuse("it is longer than the tree is high");
        }
        hash = if path.is_right() { node_hash(sibling, &hash) } else { node_hash(&hash, sibling) };
        path.climb();
    }
    if path.last != 0 {
        return refuse("it is shorter than the tree is high");
    }
    if hash == *root { Ok(()) } else { refuse("it leads to another root") }
}

/// Verifies that a tree goes on where an older one ended.
///
/// # Errors
/// When it doesn't, or the proof is one between other trees.
pub fn verify_consistency(
    (old, old_root): (u64, &Hash),
    (size, root): (u64, &Hash),
    proof: &[Hash],
) -> Result<(), AuditError> {
    let refuse = |rule| Err(AuditError::Proof { proof: "consistency", rule });
    if old > size {
        return refuse("the older tree is the larger one");
    }
    // RFC 9162 leaves these two out. Everything goes on where nothing was (C2SP tlog-witness: an empty proof).
    if old == 0 && *old_root != Hash::empty_root() {
        return refuse("the older tree is empty, and its root isn't that of an empty tree");
    }
    if old == 0 || old == size {
        return match (proof.is_empty(), old == 0 || old_root == root) {
            (false, _) => refuse("it should be empty"),
            (_, false) => refuse("the trees are of one size and have different roots"),
            _ => Ok(()),
        };
    }
    // A full subtree's root is left out of the proof, because it is the older root.
    let (first, rest) = match proof.split_first() {
        None => return refuse("it is empty"),
        Some(_) if old.is_power_of_two() => (old_root, proof),
        Some(split) => split,
    };
    let mut path = Path { node: old - 1, last: size - 1 };
    path.skip_right_edges();
    let (mut older, mut newer) = (*first, *first);
    for sibling in rest {
        if path.last == 0 {
            return refuse("it is longer than the tree is high");
        }
        if path.is_right() {
            older = node_hash(sibling, &older);
            newer = node_hash(sibling, &newer);
        } else {
            newer = node_hash(&newer, sibling);
        }
        path.climb();
    }
    if path.last != 0 {
        return refuse("it is shorter than the tree is high");
    }
    if older != *old_root {
        return refuse("it doesn't start at the older root: the log was rewritten, or the proof starts elsewhere");
    }
    if newer == *root { Ok(()) } else { refuse("it leads to another root") }
}

/// A place on the way from a leaf to the root: the node's number and the last node's number on the same level
/// (`fn` and `sn` of RFC 9162).
struct Path {
    node: u64,
    last: u64,
}

impl Path {
    /// The sibling stands on the left.
    fn is_right(&self) -> bool {
        self.node & 1 == 1 || self.node == self.last
    }

    /// To the next level on which the node has a sibling.
    fn climb(&mut self) {
        if self.node & 1 == 0 && self.node == self.last {
            // The node is the last and has no sibling here: it moves up unchanged.
            let levels = if self.node == 0 { 0 } else { self.node.trailing_zeros() };
            self.node >>= levels;
            self.last >>= levels;
        }
        self.node >>= 1;
        self.last >>= 1;
    }

    /// To the level where the older tree's last full subtree is one node.
    fn skip_right_edges(&mut self) {
        let levels = self.node.trailing_ones();
        // Fewer than 64: the node is smaller than a size.
        self.node = self.node.checked_shr(levels).unwrap_or_default();
        self.last = self.last.checked_shr(levels).unwrap_or_default();
    }
}
