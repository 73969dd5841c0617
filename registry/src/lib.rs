//! Modules before they run: reading what an author wrote, checking it, proving that it only reads, packing it, and saying
//! what a packed module is.
//!
//! Everything here is pure: bytes and text in, values and findings out. (One exception: [`oci::layout`], a folder.) Start
//! reading at [`admit`] (what a module must be to get in), then [`check`] (what a manifest must be), [`readonly`] (why an
//! operation can't write), and [`trust`] (who has to vouch for it).
//!
//! The way of a module:
//! 1. [`author::read_manifest`]: an author's TOML becomes a manifest, or findings with lines.
//! 2. [`component::componentize`], [`pack::pack`]: a core module and the manifest become one file, identified by its digest.
//! 3. [`admit::admit`]: the file is judged from its bytes alone, whoever packed it; again before every run.
//! 4. [`inspect::inspect`]: the file explained to a person.
//! 5. [`diff::diff`]: what a new version may do that the old one could not.
//! 6. [`sign`], [`approval`]: its publisher and its reviewers vouch for it, with their own keys.
//! 7. [`trust::decide`]: may it run? From the register of who may publish and review, and what they signed.

pub mod admit;
pub mod approval;
pub mod author;
pub mod check;
pub mod component;
pub mod config;
pub mod datamodel;
pub mod diff;
mod error;
pub mod evidence;
mod finding;
#[cfg(test)]
mod fixture;
pub mod inspect;
pub mod key;
pub mod oci;
pub mod pack;
mod pem;
pub mod permits;
pub mod readonly;
pub mod sign;
mod text;
pub mod trust;
mod wasm;

pub use admit::{Admitted, admit, admit_with};
pub use author::read_manifest;
pub use check::{check, check_mapping};
pub use component::componentize;
pub use config::{config_schema, resolve_config};
pub use diff::{Change, Diff, Direction, Verdict, diff};
pub use error::{RegistryError, Result};
pub use finding::{Finding, Findings, Position, Severity};
pub use inspect::{Inspection, SignatureLine, SignatureStanding, inspect, render};
pub use key::{KeyId, PublicKey, SigningKey};
pub use pack::{MAX_MODULE_BYTES, Packed, Unpacked, pack, unpack};
pub use readonly::Proof;
pub use sign::ModuleSignature;
pub use trust::{TrustInput, Trusted, Untrusted, decide};
