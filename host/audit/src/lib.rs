//! The Merkle log of audit records: what an auditor checks without trusting us.
pub mod checkpoint;
pub mod cosign;
pub mod error;
pub mod key;
pub mod name;
pub mod note;
pub mod proof;
mod text;
pub mod tree;
pub mod trust;

/// The longest leaf, in bytes.
pub const MAX_LEAF_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod test_support;
