//! The documents of a module in an image layout. They follow from the module, its signatures and its approvals alone: no
//! time and no machine is in them, so that publishing again gives the same bytes and heals what is missing.

use crate::error::{RegistryError, Result};
use porthole_model::manifest::Manifest;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What a module is, as an artifact.
pub const MODULE_TYPE: &str = "application/vnd.porthole.module.v1";
/// What a publisher's signature is.
pub const SIGNATURE_TYPE: &str = "application/vnd.porthole.signature.v1+json";
/// What an approval is.
pub const APPROVAL_TYPE: &str = "application/vnd.porthole.approval.v1+json";
/// A module's manifest, as the config of its artifact.
pub const MANIFEST_TYPE: &str = "application/vnd.porthole.manifest.v1+json";
/// A module's file.
pub const WASM_TYPE: &str = "application/wasm";
/// An image manifest (image-spec, `manifest.md`).
pub const OCI_MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// An index (image-spec, `image-index.md`).
pub const OCI_INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// The config of an artifact that has none (image-spec, "Guidance for an Empty Descriptor").
pub const OCI_EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
/// The annotation that names an entry of the index.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

const TITLE: &str = "org.opencontainers.image.title";
const VERSION: &str = "org.opencontainers.image.version";
const VENDOR: &str = "org.opencontainers.image.vendor";
const DESCRIPTION: &str = "org.opencontainers.image.description";
const EMPTY: &[u8] = b"{}";

/// A module with everything that was signed about it.
#[derive(Debug, Clone, Copy)]
pub struct Bundle<'a> {
    /// Whose it is.
    pub publisher: &'a str,
    /// What it asks for.
    pub manifest: &'a Manifest,
    /// The file.
    pub module: &'a [u8],
    /// Signature files, oldest first.
    pub signatures: &'a [String],
    /// Approvals, oldest first.
    pub approvals: &'a [String],
}

/// A pointer to a blob (image-spec, `descriptor.md`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    pub media_type: String,
    /// `sha256:…`.
    pub digest: String,
    /// Its length in bytes.
    pub size: u64,
    /// What the artifact is, when the blob is a manifest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub artifact_type: Option<String>,
    /// For people and tools.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub annotations: BTreeMap<String, String>,
}

/// An image manifest (image-spec, `manifest.md`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ImageManifest {
    schema_version: u32,
    media_type: String,
    artifact_type: String,
    config: Descriptor,
    layers: Vec<Descriptor>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    subject: Option<Descriptor>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    annotations: BTreeMap<String, String>,
}

/// A blob and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob<'a> {
    /// `sha256:…`.
    pub digest: String,
    /// What is in it.
    pub bytes: Cow<'a, [u8]>,
}

/// Everything that has to be in a layout for one module. A blob comes before whatever points at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Documents<'a> {
    /// The blobs.
    pub blobs: Vec<Blob<'a>>,
    /// The entries of the index: the module by its name, then what refers to it.
    pub entries: Vec<Descriptor>,
}

impl<'a> Documents<'a> {
    fn blob(&mut self, media_type: &str, bytes: impl Into<Cow<'a, [u8]>>) -> Descriptor {
        let bytes = bytes.into();
        let digest = crate::pack::digest(&bytes).to_string();
        let descriptor = Descriptor {
            media_type: media_type.to_owned(),
            digest: digest.clone(),
            size: bytes.len() as u64,
            artifact_type: None,
            annotations: BTreeMap::new(),
        };
        self.blobs.push(Blob { digest, bytes });
        descriptor
    }

    fn manifest(&mut self, manifest: &ImageManifest) -> Result<Descriptor> {
        let bytes = serde_json::to_vec(manifest).map_err(|e| RegistryError::Manifest(e.to_string()))?;
        let mut descriptor = self.blob(OCI_MANIFEST_TYPE, bytes);
        descriptor.artifact_type = Some(manifest.artifact_type.clone());
        Ok(descriptor)
    }

    fn referrer(&mut self, subject: &Descriptor, artifact_type: &str, title: String, file: &'a str) -> Result<()> {
        let config = self.blob(OCI_EMPTY_TYPE, EMPTY);
        let mut layer = self.blob(artifact_type, file.as_bytes());
        layer.annotations.insert(TITLE.to_owned(), title);
        let manifest = ImageManifest {
            schema_version: 2,
            media_type: OCI_MANIFEST_TYPE.to_owned(),
            artifact_type: artifact_type.to_owned(),
            config,
            layers: vec![layer],
            subject: Some(subject.clone()),
            annotations: BTreeMap::new(),
        };
        let entry = self.manifest(&manifest)?;
        self.entries.push(entry);
        Ok(())
    }
}

/// The name of a module in the index: `publisher/name:version`.
#[must_use]
pub fn ref_name(publisher: &str, manifest: &Manifest) -> String {
    format!("{publisher}/{}:{}", manifest.module.name, manifest.module.version)
}

/// The documents of a module.
///
/// # Errors
/// When the manifest can't be written.
pub fn documents(bundle: Bundle<'_>) -> Result<Documents<'_>> {
    let Bundle { publisher, manifest, module, signatures, approvals } = bundle;
    let info = &manifest.module;
    let file = format!("{}-{}.porthole", info.name, info.version);
    let mut all = Documents { blobs: Vec::new(), entries: Vec::new() };
    let config = manifest.to_canonical_json().map_err(|e| RegistryError::Manifest(e.to_string()))?;
    let config = all.blob(MANIFEST_TYPE, config);
    let mut layer = all.blob(WASM_TYPE, module);
    layer.annotations.insert(TITLE.to_owned(), file.clone());
    let annotations = [
        (TITLE, info.name.to_string()),
        (VERSION, info.version.clone()),
        (VENDOR, publisher.to_owned()),
        (DESCRIPTION, info.description.clone()),
    ];
    let image = ImageManifest {
        schema_version: 2,
        media_type: OCI_MANIFEST_TYPE.to_owned(),
        artifact_type: MODULE_TYPE.to_owned(),
        config,
        layers: vec![layer],
        subject: None,
        annotations: annotations.into_iter().map(|(name, text)| (name.to_owned(), text)).collect(),
    };
    let subject = all.manifest(&image)?;
    // Who refers to it points at the manifest, and not at the name that it has here.
    let bare = Descriptor { artifact_type: None, ..subject.clone() };
    let mut entry = subject;
    entry.annotations.insert(REF_NAME.to_owned(), ref_name(publisher, manifest));
    all.entries.push(entry);
    for signature in signatures {
        all.referrer(&bare, SIGNATURE_TYPE, format!("{file}{}", crate::sign::SIGNATURE_SUFFIX), signature)?;
    }
    for (number, approval) in approvals.iter().enumerate() {
        all.referrer(&bare, APPROVAL_TYPE, format!("{file}.approval-{}", number + 1), approval)?;
    }
    Ok(all)
}
