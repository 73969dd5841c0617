//! One file that is a module: a component with its manifest in a custom section. The file's SHA-256 is its identity, so
//! packing the same parts gives the same bytes, and a manifest has one spelling only.

use crate::check::judge;
use crate::component::componentize;
use crate::error::{RegistryError, Result};
use crate::finding::errors;
use crate::readonly::Proof;
use crate::wasm;
use porthole_model::id::{ModuleDigest, OperationId};
use porthole_model::manifest::Manifest;
use ring::digest::{SHA256, digest as hash};
use std::collections::BTreeMap;

/// The custom section that carries the manifest.
pub const MANIFEST_SECTION: &str = "porthole-manifest";
/// The largest module, in bytes. Guests in Rust have about 1 MiB; runtimes of other languages bring 10 to 30 MiB.
pub const MAX_MODULE_BYTES: usize = 64 * 1024 * 1024;
/// The largest manifest, in bytes: 500 operations with their GraphQL documents stay below it, and a reviewer has to be
/// able to read it.
pub const MAX_MANIFEST_BYTES: usize = 1024 * 1024;

/// A packed module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The file.
    pub bytes: Vec<u8>,
    /// Its identity.
    pub digest: ModuleDigest,
    /// The manifest inside.
    pub manifest: Manifest,
}

/// What is in a packed module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked<'a> {
    /// The manifest, checked and proved again.
    pub manifest: Manifest,
    /// Why each operation is a read.
    pub proofs: BTreeMap<OperationId, Proof>,
    /// The identity of the file.
    pub digest: ModuleDigest,
    /// The component, which is the file itself: a runtime passes over custom sections.
    pub component: &'a [u8],
}

/// The identity of a packed module.
#[must_use]
pub fn digest(bytes: &[u8]) -> ModuleDigest {
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(hash(&SHA256, bytes).as_ref());
    ModuleDigest(sha256)
}

/// Packs a core module or component with its manifest.
///
/// # Errors
/// When the manifest breaks a rule, an operation isn't proved to be a read, or the code isn't a component.
pub fn pack(core_or_component: &[u8], manifest: &Manifest) -> Result<Packed> {
    errors(judge(manifest).0)?;
    let component = componentize(core_or_component)?;
    let mut bytes = wasm::strip(&component)?;
    let json = manifest.to_canonical_json().map_err(|e| RegistryError::Manifest(e.to_string()))?;
    wasm::append_custom(&mut bytes, MANIFEST_SECTION, &json);
    if bytes.len() > MAX_MODULE_BYTES {
        return Err(RegistryError::TooLarge(bytes.len()));
    }
    Ok(Packed { digest: digest(&bytes), bytes, manifest: manifest.clone() })
}

/// Opens a packed module and checks its manifest again, whoever packed it.
///
/// # Errors
/// When there isn't exactly one manifest in canonical form, or it breaks a rule, or an operation isn't proved.
pub fn unpack(bytes: &[u8]) -> Result<Unpacked<'_>> {
    let manifest = manifest_of(bytes)?;
    let (findings, proofs) = judge(&manifest);
    errors(findings)?;
    Ok(Unpacked { manifest, proofs, digest: digest(bytes), component: bytes })
}

/// The manifest in a packed module, read but not checked.
///
/// # Errors
/// When there isn't exactly one manifest in canonical form.
pub fn manifest_of(bytes: &[u8]) -> Result<Manifest> {
    if bytes.len() > MAX_MODULE_BYTES {
        return Err(RegistryError::TooLarge(bytes.len()));
    }
    let shape = wasm::shape(bytes)?;
    let sections: Vec<_> = shape.customs.iter().filter(|c| c.name == MANIFEST_SECTION).collect();
    let section = match sections.as_slice() {
        [] => return Err(RegistryError::NoManifest),
        [one] if one.depth == 0 => one,
        [_] => return Err(RegistryError::AmbiguousManifest("one inside a nested module".to_owned())),
        many => return Err(RegistryError::AmbiguousManifest(many.len().to_string())),
    };
    if section.data.len() > MAX_MANIFEST_BYTES {
        let size = section.data.len();
        return Err(RegistryError::Manifest(format!("{size} bytes, at most {MAX_MANIFEST_BYTES} are read")));
    }
    let manifest: Manifest =
        serde_json::from_slice(section.data).map_err(|e| RegistryError::Manifest(e.to_string()))?;
    let again = manifest.to_canonical_json().map_err(|e| RegistryError::Manifest(e.to_string()))?;
    // One meaning, one spelling: duplicate keys, spaces, unknown fields and explicit defaults all end here.
    if again != section.data {
        return Err(RegistryError::NotCanonical);
    }
    Ok(manifest)
}
