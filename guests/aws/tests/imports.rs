//! The built component imports nothing outside `porthole:integration`. WASI has many ways in (a clock for a hash map, a
//! panic that prints); this is where one would show.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::path::PathBuf;
use std::process::Command;
use wasmparser::{Parser, Payload};

/// The size that a reviewer and a run have to load, in bytes. What grows beyond it should be noticed.
const MAX_BYTES: usize = 3 * 1024 * 1024;

/// Builds the core module, in the target folder of this very test, and makes it a component.
fn component() -> Vec<u8> {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().to_owned();
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--target", "wasm32-unknown-unknown", "-p", "porthole-aws"])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .unwrap();
    assert!(status.success());
    let module = std::fs::read(target.join("wasm32-unknown-unknown/release/porthole_aws.wasm")).unwrap();
    wit_component::ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
}

#[test]
fn the_component_imports_only_the_world() {
    let component = component();
    let (mut imports, mut exports, mut depth) = (Vec::new(), Vec::new(), 0);
    for payload in Parser::new(0).parse_all(&component) {
        match payload.unwrap() {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                imports.extend(section.into_iter().map(|i| i.unwrap().name.name.to_owned()));
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                exports.extend(section.into_iter().map(|e| e.unwrap().name.name.to_owned()));
            }
            _ => {}
        }
    }
    imports.sort();
    let world = ["credentials", "graph", "operations", "run"].map(|i| format!("porthole:integration/{i}@0.1.0"));
    assert_eq!(imports, world);
    assert_eq!(exports, ["porthole:integration/steps@0.1.0"]);
    assert!(component.len() <= MAX_BYTES, "{} bytes", component.len());
}
