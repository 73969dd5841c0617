//! The Merkle tree of RFC 6962 §2.1 (unchanged in RFC 9162 §2.1), over SHA-256.
//!
//! A tree of n leaves is never held as a whole. [`Frontier`] is what a writer needs to append to it; [`ProofPlan`] says
//! which stored hashes a proof takes and puts it together; [`verify_inclusion`] and [`verify_consistency`] need nothing
//! but the proof.
//!
//! What a storage keeps is the hash of each leaf and of each full subtree of 256 leaves, of 256² leaves, and so on
//! (the tiles of <https://c2sp.org/tlog-tiles>, height 8): one hash per 256 leaves on top of the leaves' own, and no
//! proof needs more than 255 hashes of any one tile.

mod frontier;
mod hash;
mod plan;
mod verify;

pub use frontier::{Frontier, Node};
pub use hash::{Hash, leaf_hash, node_hash};
pub use plan::{NodeMap, NodeReader, ProofPlan, StoredNodes, consistency_proof, inclusion_proof};
pub use verify::{verify_consistency, verify_inclusion};

/// Levels of a tile: hashes are stored at levels that are multiples of this (C2SP tlog-tiles fixes 8).
pub const TILE_HEIGHT: u8 = 8;

/// The most hashes of a proof: a tree of less than 2⁶⁴ leaves is at most 64 levels high, and a consistency proof may
/// start with one hash more (RFC 9162 §2.1.4).
pub const MAX_PROOF_HASHES: usize = 65;

#[cfg(test)]
mod tests;
