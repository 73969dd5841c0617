#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
use super::*;
use crate::component::{componentize, exports, imports};
use crate::fixture::{WORLD, core_module, manifest, packed};
use crate::pack::{MANIFEST_SECTION, digest, pack, unpack};
use crate::{Findings, RegistryError};

fn with_section(name: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = wasm::strip(&componentize(&core_module(WORLD)).unwrap()).unwrap();
    wasm::append_custom(&mut bytes, name, data);
    bytes
}

fn refusals(bytes: &[u8]) -> String {
    Findings(admit(bytes).expect_err("it should be refused")).to_string()
}

#[test]
fn a_packed_module_is_admitted_and_says_what_it_is() {
    let packed = packed();
    let admitted = admit(&packed.bytes).unwrap_or_else(|f| panic!("{}", Findings(f)));
    assert_eq!(admitted.manifest, manifest());
    assert_eq!(admitted.digest, packed.digest);
    assert_eq!(admitted.proofs.len(), 4);
    assert_eq!(imports(&packed.bytes).unwrap().len(), 4);
    assert_eq!(exports(&packed.bytes).unwrap(), [REQUIRED_EXPORT]);
    assert_eq!(unpack(&packed.bytes).unwrap().component, packed.bytes);
}

#[test]
fn packing_the_same_parts_gives_the_same_bytes() {
    let (once, again) = (packed(), packed());
    assert_eq!(once, again);
    // A module that is packed again is what it was: the old manifest is replaced, not kept beside the new one.
    assert_eq!(pack(&once.bytes, &manifest()).unwrap(), once);
    assert_eq!(digest(&once.bytes), once.digest);
}

#[test]
fn another_manifest_is_another_module() {
    let mut other = manifest();
    other.module.description.push('!');
    assert_ne!(pack(&core_module(WORLD), &other).unwrap().digest, packed().digest);
}

#[test]
fn build_traces_and_hidden_sections_are_stripped_at_every_depth() {
    let mut core = core_module(WORLD);
    for name in [".debug_info", "target_features", "notes"] {
        wasm::append_custom(&mut core, name, b"made on a machine called pegasus");
    }
    let packed = pack(&core, &manifest()).unwrap();
    assert!(!packed.bytes.windows(7).any(|w| w == b"pegasus"));
    assert_eq!(packed, self::packed());
    let names: Vec<_> = wasm::shape(&packed.bytes).unwrap().customs.iter().map(|c| c.name).collect();
    assert_eq!(names.iter().filter(|n| **n == MANIFEST_SECTION).count(), 1);
    assert!(names.iter().all(|n| ["name", "component-name", MANIFEST_SECTION].contains(n)), "{names:?}");
}

#[test]
fn a_component_is_returned_as_it_is() {
    let component = componentize(&core_module(WORLD)).unwrap();
    assert_eq!(componentize(&component).unwrap(), component);
    assert!(matches!(imports(&core_module(WORLD)), Err(RegistryError::CoreModule)));
}

#[test]
fn foreign_imports_are_refused_by_name() {
    let wit = r"
        package wasi:clocks@0.2.0;
        interface wall-clock { now: func() -> u64; }
        world guest { import wall-clock; }
    ";
    let bytes = pack(&core_module(wit), &manifest()).unwrap().bytes;
    let text = refusals(&bytes);
    assert!(text.contains("imports `wasi:clocks/wall-clock@0.2.0`") && text.contains("no WASI"), "{text}");
    assert!(text.contains("doesn't export `porthole:integration/steps@0.1.0`"), "{text}");
}

#[test]
fn another_version_of_the_world_is_refused() {
    let bytes = pack(&core_module(&WORLD.replace("@0.1.0", "@0.2.0")), &manifest()).unwrap().bytes;
    assert!(refusals(&bytes).contains("imports `porthole:integration/run@0.2.0`"));
}

#[test]
fn right_names_with_other_types_are_refused() {
    let wit = WORLD.replace("started-at: func() -> u64;", "started-at: func() -> string;");
    let bytes = pack(&core_module(&wit), &manifest()).unwrap().bytes;
    let text = refusals(&bytes);
    assert!(text.contains("doesn't fit the world"), "{text}");
}

#[test]
fn a_module_without_a_manifest_or_with_two_is_refused() {
    let json = manifest().to_canonical_json().unwrap();
    let none = componentize(&core_module(WORLD)).unwrap();
    assert!(refusals(&none).contains("no `porthole-manifest` section"));
    let mut two = with_section(MANIFEST_SECTION, &json);
    wasm::append_custom(&mut two, MANIFEST_SECTION, &json);
    assert!(refusals(&two).contains("exactly one"));
    // Hidden inside the core module: a reader that looks everywhere would find it, one that looks on top would not.
    let mut core = core_module(WORLD);
    wasm::append_custom(&mut core, MANIFEST_SECTION, &json);
    let nested = componentize(&core).unwrap();
    assert!(refusals(&nested).contains("inside a nested module"), "{}", refusals(&nested));
    let mut both = nested;
    wasm::append_custom(&mut both, MANIFEST_SECTION, &json);
    assert!(refusals(&both).contains("exactly one"));
}

#[test]
fn a_manifest_has_one_spelling() {
    let json = String::from_utf8(manifest().to_canonical_json().unwrap()).unwrap();
    assert!(admit(&with_section(MANIFEST_SECTION, json.as_bytes())).is_ok());
    for (other, message) in [
        (json.replacen(':', ": ", 1), "canonical"),
        (format!("{json}\n"), "canonical"),
        (json.replacen("\"schema\":1", "\"schema\":1,\"schema\":1", 1), "duplicate field"),
        (json.replacen("\"schema\":1", "\"schema\":1,\"extra\":1", 1), "unknown field"),
        (json.replacen("\"kind\":\"header\"", "\"kind\":\"header\",\"extra\":1", 1), "unknown field"),
        (json.replacen("Acme", "\\u0041cme", 1), "canonical"),
        (json.replacen("\"schema\":1", "\"schema\":2", 1), "this host reads 1"),
        ("[".repeat(100_000), "can't be read"),
        (String::new(), "can't be read"),
        ("null".to_owned(), "can't be read"),
    ] {
        let text = refusals(&with_section(MANIFEST_SECTION, other.as_bytes()));
        assert!(text.contains(message), "wanted {message}, found {text}");
    }
}

#[test]
fn a_lie_in_a_packed_manifest_is_found_at_loading() {
    let json = String::from_utf8(manifest().to_canonical_json().unwrap()).unwrap();
    for (from, to, message) in [
        ("query Groups(", "mutation Groups(", "the document holds a mutation"),
        ("GET https://{config.host}", "POST https://{config.host}", "can't be proved to be a read"),
        ("HEAD https://{config.host}{config.prefix}/users", "HEAD https://{id}/users", "reaches into the domain"),
        ("\"auth\":\"api\"", "\"auth\":\"apj\"", "no credential has the slot"),
        ("[404]", "[401]", "401 is about permission"),
        ("\"accept\":", "\"host\":", "`host` can't be set"),
    ] {
        assert!(json.contains(from), "{from}");
        let text = refusals(&with_section(MANIFEST_SECTION, json.replacen(from, to, 1).as_bytes()));
        assert!(text.contains(message), "wanted {message}, found {text}");
    }
}

#[test]
fn every_truncation_is_refused() {
    let bytes = packed().bytes;
    for end in (0..bytes.len()).step_by(7) {
        assert!(admit(&bytes[..end]).is_err(), "{end} of {}", bytes.len());
        let _ = crate::inspect::inspect(&bytes[..end]);
    }
}

#[test]
fn too_large_is_refused_before_it_is_read() {
    let bytes = vec![0; crate::pack::MAX_MODULE_BYTES + 1];
    assert!(refusals(&bytes).contains("at most 67108864 are accepted"));
    assert!(matches!(unpack(&bytes), Err(RegistryError::TooLarge(_))));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn random_bytes_never_panic(mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600), component: bool) {
        if component {
            bytes.splice(..0, *b"\0asm\x0d\0\x01\0");
        }
        proptest::prop_assert!(admit(&bytes).is_err());
        let _ = (crate::inspect::inspect(&bytes), componentize(&bytes), imports(&bytes), wasm::strip(&bytes));
    }

    #[test]
    fn flipped_bytes_never_panic(at in 0usize..1_000_000, to: u8) {
        let mut bytes = packed().bytes;
        let at = at % bytes.len();
        bytes[at] = to;
        let _ = (admit(&bytes), crate::inspect::inspect(&bytes), wasm::strip(&bytes));
    }
}
