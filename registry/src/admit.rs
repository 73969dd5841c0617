//! Admission: is this file a module that may run here? Judged from its bytes alone, whoever packed it, at publishing and
//! again before every run. Pure; signatures, approval and the diff to an earlier version are concerns of their own beside
//! this file.
//!
//! A component's import list is its capability list: what it doesn't import it can't use, and there is nothing to import
//! but the interfaces of our world. No WASI.

use crate::error::RegistryError;
use crate::evidence::Evidence;
use crate::finding::{Finding, errors};
use crate::pack::unpack;
use crate::readonly::Proof;
use crate::wasm;
use porthole_model::id::{ModuleDigest, OperationId};
use porthole_model::manifest::Manifest;
use std::collections::BTreeMap;
use wasmparser::{Validator, WasmFeatures};

/// The interfaces a module may import.
pub const ADMITTED_IMPORTS: [&str; 4] = [
    "porthole:integration/credentials@0.1.0",
    "porthole:integration/graph@0.1.0",
    "porthole:integration/operations@0.1.0",
    "porthole:integration/run@0.1.0",
];
/// The interface a module must export.
pub const REQUIRED_EXPORT: &str = "porthole:integration/steps@0.1.0";

const WORLD: &str = include_str!("../../wit/integration@0.1.0/integration.wit");

/// The proposals that a module may use: what the compilers of guests emit, and nothing whose result depends on the machine
/// (relaxed SIMD, threads), because a run can be repeated.
const FEATURES: WasmFeatures =
    WasmFeatures::WASM2.union(WasmFeatures::COMPONENT_MODEL).union(WasmFeatures::EXTENDED_CONST);

/// A module that may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// What it asks for.
    pub manifest: Manifest,
    /// Its identity.
    pub digest: ModuleDigest,
    /// Why each operation is a read.
    pub proofs: BTreeMap<OperationId, Proof>,
}

/// Admits a packed module, or says everything that stands in the way.
///
/// # Errors
/// The findings.
pub fn admit(bytes: &[u8]) -> Result<Admitted, Vec<Finding>> {
    let mut findings = Vec::new();
    // A file that doesn't validate has no shape worth explaining.
    if bytes.len() > crate::pack::MAX_MODULE_BYTES {
        return Err(RegistryError::TooLarge(bytes.len()).into_findings("module"));
    }
    findings.extend(validate(bytes));
    match unpack(bytes) {
        Ok(unpacked) => {
            findings.extend(boundary(bytes));
            errors(findings)?;
            Ok(Admitted { manifest: unpacked.manifest, digest: unpacked.digest, proofs: unpacked.proofs })
        }
        Err(error) => {
            findings.extend(error.into_findings("module"));
            findings.extend(boundary(bytes));
            findings.dedup();
            Err(findings)
        }
    }
}

/// Admits a packed module of whose code something was seen: it compiles, has the steps it declares, and does the same
/// twice.
///
/// # Errors
/// The findings, those of the evidence too.
pub fn admit_with(bytes: &[u8], evidence: &Evidence) -> Result<Admitted, Vec<Finding>> {
    let seen = evidence.findings();
    match admit(bytes) {
        Ok(admitted) => errors(seen).map(|()| admitted),
        Err(findings) => Err(findings.into_iter().chain(seen).collect()),
    }
}

fn validate(bytes: &[u8]) -> Option<Finding> {
    let error = Validator::new_with_features(FEATURES).validate_all(bytes).err()?;
    Some(
        Finding::error(format!("component, byte {}", error.offset()), format!("doesn't validate: {}", error.message()))
            .hint("a module uses WebAssembly 2.0, extended constants and the component model, nothing else"),
    )
}

/// What a component imports and exports, against the world.
pub(crate) fn boundary(bytes: &[u8]) -> Vec<Finding> {
    let shape = match wasm::shape(bytes) {
        Ok(shape) => shape,
        Err(error) => return error.into_findings("component"),
    };
    let mut findings: Vec<_> = shape
        .imports
        .iter()
        .filter(|name| !ADMITTED_IMPORTS.contains(name))
        .map(|name| {
            let hint = if name.starts_with("wasi:") {
                "build for wasm32-unknown-unknown: a module has no WASI, its clock, files and network are not there"
            } else {
                "a module may import the interfaces of porthole:integration@0.1.0 only"
            };
            Finding::error("component", format!("imports `{}`", shown(name))).hint(hint)
        })
        .collect();
    if !shape.exports.contains(&REQUIRED_EXPORT) {
        findings.push(
            Finding::error("component", format!("doesn't export `{REQUIRED_EXPORT}`"))
                .hint("implement the SDK's trait and export it"),
        );
    }
    if findings.is_empty() {
        // The names are right; now the types behind them.
        findings.extend(fits_world(bytes));
    }
    findings
}

fn fits_world(bytes: &[u8]) -> Option<Finding> {
    let check = || {
        let mut resolve = wit_parser::Resolve::default();
        let package = resolve.push_source("integration.wit", WORLD)?;
        let world = resolve.select_world(&[package], Some("integration"))?;
        wit_component::targets(&resolve, world, bytes)
    };
    check().err().map(|e| {
        Finding::error("component", format!("doesn't fit the world: {e:#}")).hint("build it with the bindings of 0.1.0")
    })
}

fn shown(name: &str) -> String {
    name.chars().take(120).map(|c| if crate::text::deceives(c) { '?' } else { c }).collect()
}

#[cfg(test)]
#[path = "admit_tests.rs"]
mod tests;
