#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use super::documents::{
    APPROVAL_TYPE, MANIFEST_TYPE, MODULE_TYPE, OCI_EMPTY_TYPE, OCI_INDEX_TYPE, OCI_MANIFEST_TYPE, REF_NAME,
    SIGNATURE_TYPE, WASM_TYPE,
};
use super::*;
use crate::fixture;
use crate::pack::{Packed, digest};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

struct World {
    folder: tempfile::TempDir,
    packed: Packed,
    signatures: Vec<String>,
    approvals: Vec<String>,
}

impl World {
    fn new() -> Self {
        let texts = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect();
        Self {
            folder: tempfile::tempdir().unwrap(),
            packed: fixture::packed(),
            signatures: texts(&["a signature"]),
            approvals: texts(&["one approval", "another"]),
        }
    }

    fn layout(&self) -> Layout {
        Layout::new(&self.folder.path().join("modules"))
    }

    fn documents(&self) -> Documents<'_> {
        documents(Bundle {
            publisher: "us",
            manifest: &self.packed.manifest,
            module: &self.packed.bytes,
            signatures: &self.signatures,
            approvals: &self.approvals,
        })
        .unwrap()
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A descriptor as image-spec's `descriptor.md` wants it, and the blob that it points at.
fn blob(root: &Path, descriptor: &Value) -> Vec<u8> {
    let name = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    assert!(name.len() == 64 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{name}");
    let bytes = fs::read(root.join("blobs/sha256").join(name)).unwrap();
    assert_eq!(descriptor["size"], bytes.len());
    assert!(descriptor["mediaType"].as_str().unwrap().contains('/'));
    assert_eq!(descriptor["digest"], digest(&bytes).to_string());
    bytes
}

/// The rules of image-spec 1.1: `image-layout.md`, `image-index.md`, `manifest.md`, `descriptor.md`. Gives the type of
/// each artifact with the digest of its subject.
fn check_layout(root: &Path) -> Vec<(String, Option<String>)> {
    assert_eq!(json(&root.join("oci-layout")), serde_json::json!({ "imageLayoutVersion": "1.0.0" }));
    let names: BTreeSet<_> = fs::read_dir(root).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["blobs", "index.json", "oci-layout"].map(Into::into).into());
    // Every blob is what its name says.
    let mut all = BTreeSet::new();
    for entry in fs::read_dir(root.join("blobs/sha256")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(format!("sha256:{name}"), digest(&fs::read(&path).unwrap()).to_string());
        all.insert(name);
    }
    let index = json(&root.join("index.json"));
    assert_eq!((&index["schemaVersion"], &index["mediaType"]), (&2.into(), &OCI_INDEX_TYPE.into()));
    let (mut found, mut used, mut refs) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for entry in index["manifests"].as_array().unwrap() {
        if let Some(name) = entry["annotations"][REF_NAME].as_str() {
            // The grammar of `annotations.md`.
            let component =
                |c: &str| !c.is_empty() && c.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:@+".contains(&b));
            assert!(name.split('/').all(component) && refs.insert(name.to_owned()), "{name}");
        }
        let manifest: Value = serde_json::from_slice(&blob(root, entry)).unwrap();
        assert_eq!(
            (&entry["mediaType"], &manifest["mediaType"]),
            (&OCI_MANIFEST_TYPE.into(), &OCI_MANIFEST_TYPE.into())
        );
        assert_eq!((&manifest["schemaVersion"], &entry["artifactType"]), (&2.into(), &manifest["artifactType"]));
        let config = blob(root, &manifest["config"]);
        // Where the config is empty, the artifact has to say what it is.
        assert!(manifest["config"]["mediaType"] != OCI_EMPTY_TYPE || config == b"{}");
        let layers = manifest["layers"].as_array().unwrap();
        assert!(!layers.is_empty());
        for layer in layers {
            blob(root, layer);
        }
        let subject = manifest.get("subject").map(|subject| {
            assert_eq!(subject["mediaType"], OCI_MANIFEST_TYPE);
            blob(root, subject);
            subject["digest"].as_str().unwrap().to_owned()
        });
        let points = layers.iter().chain([&manifest["config"], entry]);
        used.extend(points.map(|d| d["digest"].as_str().unwrap()["sha256:".len()..].to_owned()));
        found.push((manifest["artifactType"].as_str().unwrap().to_owned(), subject));
    }
    assert_eq!(all, used, "a blob that nothing points at");
    found
}

#[test]
fn a_module_is_an_artifact_and_what_was_signed_refers_to_it() {
    let world = World::new();
    let layout = world.layout();
    assert_eq!(layout.put(&world.documents()).unwrap(), 3 + 2 + 2 * 2 + 1);
    let found = check_layout(layout.root());
    let types: Vec<_> = found.iter().map(|(t, _)| t.as_str()).collect();
    assert_eq!(types, [MODULE_TYPE, SIGNATURE_TYPE, APPROVAL_TYPE, APPROVAL_TYPE]);
    let index = json(&layout.root().join("index.json"));
    let entry = &index["manifests"][0];
    assert_eq!(entry["annotations"][REF_NAME], "us/acme:1.2.3");
    let module = entry["digest"].as_str().map(str::to_owned);
    assert_eq!(
        found.into_iter().map(|(_, subject)| subject).collect::<Vec<_>>(),
        [None, module.clone(), module.clone(), module]
    );
    let manifest: Value = serde_json::from_slice(&blob(layout.root(), entry)).unwrap();
    assert_eq!(
        (&manifest["config"]["mediaType"], &manifest["layers"][0]["mediaType"]),
        (&MANIFEST_TYPE.into(), &WASM_TYPE.into())
    );
    assert_eq!(blob(layout.root(), &manifest["layers"][0]), world.packed.bytes);
    assert_eq!(blob(layout.root(), &manifest["config"]), world.packed.manifest.to_canonical_json().unwrap());
    assert_eq!(manifest["annotations"]["org.opencontainers.image.vendor"], "us");
}

#[test]
fn the_same_again_changes_nothing_and_more_is_added() {
    let mut world = World::new();
    let layout = world.layout();
    layout.put(&world.documents()).unwrap();
    let before = fs::read(layout.root().join("index.json")).unwrap();
    assert_eq!(layout.put(&world.documents()).unwrap(), 0);
    assert_eq!(fs::read(layout.root().join("index.json")).unwrap(), before);
    world.approvals.push("a third".to_owned());
    assert_eq!(layout.put(&world.documents()).unwrap(), 2);
    assert_eq!(check_layout(layout.root()).len(), 5);
}

#[test]
fn a_name_is_never_given_to_something_else_and_strangers_stay() {
    let mut world = World::new();
    let layout = world.layout();
    layout.put(&world.documents()).unwrap();
    // Another tool's annotation and entry.
    let path = layout.root().join("index.json");
    let mut index = json(&path);
    index["annotations"] = serde_json::json!({ "by": "someone" });
    let mut copy = index["manifests"][0].clone();
    copy["annotations"][REF_NAME] = "copy".into();
    index["manifests"].as_array_mut().unwrap().push(copy);
    fs::write(&path, index.to_string()).unwrap();
    world.approvals.push("a third".to_owned());
    layout.put(&world.documents()).unwrap();
    let after = json(&path);
    assert_eq!((&after["annotations"]["by"], after["manifests"].as_array().unwrap().len()), (&"someone".into(), 6));
    world.packed.bytes.push(0);
    let error = layout.put(&world.documents()).unwrap_err().to_string();
    assert!(error.contains("`us/acme:1.2.3` is sha256:"), "{error}");
    fs::write(&path, "{").unwrap();
    assert!(layout.put(&world.documents()).unwrap_err().to_string().contains("is no index"));
}

#[test]
fn publishing_again_heals_what_was_lost_or_damaged() {
    let world = World::new();
    let layout = world.layout();
    layout.put(&world.documents()).unwrap();
    let blobs: Vec<_> = fs::read_dir(layout.root().join("blobs/sha256")).unwrap().map(|e| e.unwrap().path()).collect();
    fs::remove_file(&blobs[0]).unwrap();
    fs::write(&blobs[1], "other bytes").unwrap();
    fs::remove_file(layout.root().join("index.json")).unwrap();
    // What a killed process leaves.
    fs::write(layout.root().with_extension("drafts").join("half"), "ha").unwrap();
    assert_eq!(layout.put(&world.documents()).unwrap(), 2);
    assert_eq!(check_layout(layout.root()).len(), 4);
    assert_eq!(fs::read_dir(layout.root().with_extension("drafts")).unwrap().count(), 1, "only the lock");
}

#[test]
fn writers_take_turns() {
    let world = World::new();
    let layout = world.layout();
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (mut packed, layout) = (world.packed.clone(), layout.clone());
            scope.spawn(move || {
                packed.manifest.module.version = format!("1.0.{n}");
                let bundle = Bundle {
                    publisher: "us",
                    manifest: &packed.manifest,
                    module: &packed.bytes,
                    signatures: &[],
                    approvals: &[],
                };
                layout.put(&documents(bundle).unwrap()).unwrap();
            });
        }
    });
    assert_eq!(check_layout(layout.root()).len(), 8);
}
