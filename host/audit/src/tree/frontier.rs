//! What one needs of a tree to append to it: the roots of the full subtrees that its leaves fill, one for each bit that
//! is set in their number.

use super::{Hash, TILE_HEIGHT, node_hash};
use crate::error::AuditError;

/// The most leaves of a tree that we write: a million a second for 146,000 years. It keeps sums of sizes in range.
const MAX_LEAVES: u64 = 1 << 62;
/// Bytes of a hash in a stored frontier.
const HASH_BYTES: usize = 32;

/// A full subtree's root, at a level that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Levels above the leaves: a multiple of [`TILE_HEIGHT`], never 0.
    pub level: u8,
    /// From the left, the first is 0: the subtree covers the leaves from `index << level`.
    pub index: u64,
    /// Its hash.
    pub hash: Hash,
}

/// The right edge of a tree: its size and the roots of its full subtrees.
///
/// Equal frontiers are equal trees. It is at most 2 KiB, however large the tree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    /// The largest subtree first: one for each bit that is set in `size`.
    peaks: Vec<Hash>,
}

impl Frontier {
    /// Of a tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves of the tree.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf by its hash and returns its index.
    pub fn push(&mut self, leaf: Hash) -> u64 {
        self.push_noting(leaf, |_| ())
    }

    /// Appends a leaf by its hash, returns its index, and hands over each subtree that it completed at a level that is
    /// stored. These and the leaves' hashes are what [`super::ProofPlan`] reads.
    pub fn push_noting(&mut self, leaf: Hash, mut completed: impl FnMut(Node)) -> u64 {
        let index = self.size;
        let mut hash = leaf;
        // Each bit at the end of the size that is set is a subtree as large as the one in hand.
        for level in 1..=self.size.trailing_ones() as u8 {
            let Some(left) = self.peaks.pop() else { break };
            hash = node_hash(&left, &hash);
            if level % TILE_HEIGHT == 0 {
                completed(Node { level, index: index.checked_shr(u32::from(level)).unwrap_or_default(), hash });
            }
        }
        self.peaks.push(hash);
        self.size += 1;
        index
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev().copied();
        let last = peaks.next().unwrap_or_else(Hash::empty_root);
        peaks.fold(last, |right, left| node_hash(&left, &right))
    }

    /// For storage, beside the size: the subtrees' roots, the largest subtree first, 32 bytes each.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.peaks.iter().flat_map(|peak| peak.0).collect()
    }

    /// From storage.
    ///
    /// # Errors
    /// When the bytes are not what [`Frontier::to_bytes`] makes of a tree of this size.
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Result<Self, AuditError> {
        if size > MAX_LEAVES {
            return Err(AuditError::Frontier("the size is larger than any log"));
        }
        let (peaks, rest) = bytes.as_chunks::<HASH_BYTES>();
        if !rest.is_empty() || peaks.len() != size.count_ones() as usize {
            return Err(AuditError::Frontier("the number of hashes doesn't fit the size"));
        }
        Ok(Self { size, peaks: peaks.iter().map(|peak| Hash(*peak)).collect() })
    }
}
