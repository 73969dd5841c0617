//! The Merkle log of audit records: what an auditor checks without trusting us.
//!
//! Records ([`porthole_model::audit`]) are the leaves of a log, one log for each tenant and one for the platform. This
//! crate is the mathematics of such a log and the formats in which it leaves the house. It is pure: no database, no
//! network, no clock; files are the caller's, except for the one of the key.
//!
//! Start reading here, downwards:
//! - [`tree`]: hashes of leaves make a tree with one root. A proof of some twenty hashes shows that a leaf is in a tree of
//!   a million, or that a tree goes on where an older one ended.
//! - [`checkpoint`]: "so many leaves, with this root", signed by the log as a [`note`]. Whoever keeps one holds the log
//!   to everything in it.
//! - [`cosign`]: a witness signs too, and only when the log has grown from what it saw before.
//! - [`trust`]: whose signatures somebody who verifies believes.
//! - [`proof`]: one record's proof in one file.
//! - [`export`]: a whole log in one file, and its verification; [`semantics`] asks whether the records fit together.
//! - [`key`]: the key that signs.
//!
//! The formats are those of <https://c2sp.org> (signed-note, tlog-checkpoint, tlog-cosignature, tlog-proof,
//! tlog-witness) over the tree of RFC 6962, so other people's tools can check our logs, and our witness can watch
//! theirs.
//!
//! What everything rests on: a log never signs two roots for one size, and never a smaller size after a larger one.
//! Nothing here can prevent that; [`cosign`] and checkpoints that people keep are what finds it out.

pub mod checkpoint;
pub mod cosign;
pub mod error;
pub mod export;
pub mod key;
pub mod name;
pub mod note;
pub mod proof;
pub mod semantics;
mod text;
pub mod tree;
pub mod trust;

pub use error::AuditError;

#[cfg(test)]
mod test_support;
