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

#[cfg(test)]
mod test_support;
