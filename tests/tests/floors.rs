//! The floors of the house, from `cargo metadata`: imports go downwards only, crates on one floor never import each
//! other, and a few dependencies belong to one crate alone.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use serde::Deserialize;
use std::collections::BTreeMap;

/// Which crate lives on which floor.
const FLOORS: [(&str, u8); 11] = [
    ("porthole-model", 1),
    ("porthole-wire", 1),
    ("porthole-audit", 2),
    ("porthole-egress", 2),
    ("porthole-sandbox", 2),
    ("porthole-store", 2),
    ("porthole-registry", 2),
    ("porthole-runner", 3),
    ("porthole", 4),
    ("porthole-tests", 5),
    ("porthole-bench", 6),
];

/// Dependencies that fence something: who may have them, outside of tests.
const FENCED: [(&str, &[&str]); 9] = [
    ("wasmtime", &["porthole-sandbox"]),
    ("seccompiler", &["porthole-sandbox"]),
    ("landlock", &["porthole-sandbox"]),
    ("sqlx", &["porthole-store"]),
    ("reqwest", &["porthole-egress"]),
    ("rustls", &["porthole-egress"]),
    ("apollo-parser", &["porthole-registry"]),
    ("wasmparser", &["porthole-registry"]),
    ("clap", &["porthole"]),
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// Null for a normal one, else `dev` or `build`.
    kind: Option<String>,
}

fn packages() -> Vec<Package> {
    let arguments = ["metadata", "--format-version", "1", "--no-deps", "--offline", "--manifest-path", "../Cargo.toml"];
    let output = std::process::Command::new(env!("CARGO")).args(arguments).output().unwrap();
    serde_json::from_slice::<Metadata>(&output.stdout).unwrap().packages
}

fn normal(package: &Package) -> impl Iterator<Item = &str> {
    package.dependencies.iter().filter(|d| d.kind.is_none()).map(|d| d.name.as_str())
}

#[test]
fn every_crate_has_a_floor() {
    let floors = BTreeMap::from(FLOORS);
    let names: Vec<String> = packages().iter().map(|p| p.name.clone()).collect();
    for name in &names {
        assert!(floors.contains_key(name.as_str()), "{name} has no floor: put it into FLOORS and ARCHITECTURE.md");
    }
    assert_eq!(names.len(), floors.len(), "a floor without its crate");
}

#[test]
fn imports_go_downwards_only() {
    let floors = BTreeMap::from(FLOORS);
    for package in packages() {
        let own = floors[package.name.as_str()];
        for dependency in normal(&package) {
            let Some(floor) = floors.get(dependency) else { continue };
            assert!(*floor < own, "{} (floor {own}) imports {dependency} (floor {floor})", package.name);
        }
    }
}

#[test]
fn fenced_dependencies_stay_behind_their_fence() {
    for package in packages().iter().filter(|p| !["porthole-tests", "porthole-bench"].contains(&p.name.as_str())) {
        for (fenced, owners) in FENCED {
            let has = normal(package).any(|d| d == fenced);
            let may = owners.contains(&package.name.as_str());
            assert!(!has || may, "{} depends on {fenced}, which belongs to {owners:?}", package.name);
        }
    }
}

/// An auditor reads what verifies a log, so it stays small: no runtime, no database, no network.
#[test]
fn what_verifies_logs_depends_on_little() {
    const ALLOWED: [&str; 9] =
        ["porthole-model", "base64", "hex", "jiff", "ring", "serde", "serde_json", "thiserror", "zeroize"];
    for package in packages().iter().filter(|p| p.name.as_str() == "porthole-audit") {
        for dependency in normal(package) {
            assert!(ALLOWED.contains(&dependency), "porthole-audit depends on {dependency}");
        }
    }
}

/// The compiler is porthole-compile's alone: the sandbox as it is built by default has no cranelift.
#[test]
fn the_sandbox_has_no_compiler() {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["tree", "-p", "porthole-sandbox", "-e", "normal", "--prefix", "none", "--offline"])
        .current_dir("..")
        .output()
        .unwrap();
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(tree.contains("wasmtime v48"), "the tree is not what it should be: {tree}");
    assert!(!tree.contains("cranelift-codegen"), "porthole-sandbox is built with a compiler");
}

/// No vendor's name stands in the host's code: what we know of a provider is data in a manifest or code in a guest.
#[test]
fn no_vendor_is_named_under_host() {
    fn walk(folder: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                for (number, line) in text.lines().enumerate() {
                    // Comments may tell the story of an odd provider; examples in tests may show one.
                    let code = line.split("//").next().unwrap_or_default().to_ascii_lowercase();
                    let vendor = ["github", "okta", "bitbucket"].iter().find(|v| code.contains(*v));
                    if let Some(vendor) = vendor {
                        found.push(format!("{}:{}: {vendor}", path.display(), number + 1));
                    }
                }
            }
        }
    }
    let mut found = Vec::new();
    for name in ["wire", "egress", "sandbox", "store", "runner", "porthole"] {
        walk(&std::path::Path::new("../host").join(name).join("src"), &mut found);
    }
    // Names in the tests inside a module, which follow `mod tests`, are examples; files of tests are too.
    found.retain(|place| !place.contains("test"));
    assert!(found.is_empty(), "vendors in the host's code:\n{}", found.join("\n"));
}
