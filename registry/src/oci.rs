//! The local registry: an OCI image layout (image-spec 1.1), so that the tools people have for images (`skopeo`, `oras`,
//! a mirror, a scanner) read modules too.
//!
//! One module is an artifact: its manifest as the config, the file as the one layer. Its signatures and approvals are
//! artifacts of their own that refer to it (`subject`), as Sigstore's and Notation's do; their layers are the files that
//! [`crate::sign`] and [`crate::approval`] write. [`documents`] says what they look like, and is pure; [`layout`] is the
//! folder, the one place of this crate that touches the disk.
//!
//! The layout is a copy for people and their tools. What may run is decided from the register in the database.

pub mod documents;
pub mod layout;

pub use documents::{Bundle, Documents, documents};
pub use layout::{Layout, LayoutError};

#[cfg(test)]
#[path = "oci_tests.rs"]
mod tests;
