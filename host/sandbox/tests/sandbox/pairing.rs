//! Each attack of the hostile guest has its test. This is where it shows when one was added without.

/// Attacks of which the sandbox has no opinion: the objects are for the broker to judge.
pub(crate) const BAD_OBJECTS: &[&str] = &[
    "emit-no-json",
    "emit-undeclared-type",
    "emit-undeclared-relationship",
    "emit-nul",
    "emit-lone-surrogate",
    "emit-bad-utf8",
    "emit-huge-exponent",
    "emit-long-number",
    "emit-duplicate-property",
    "emit-duplicate-object",
    "emit-too-deep",
    "emit-long-key",
    "emit-wrong-class",
    "emit-missing-property",
    "emit-foreign-property",
];

#[test]
fn each_attack_has_a_step_and_a_test() {
    let manifest = include_str!("../../../../guests/hostile/manifest.toml");
    let attacks = include_str!("../../../../guests/hostile/src/attack/mod.rs");
    let tests = [
        include_str!("resources.rs"),
        include_str!("calls.rs"),
        include_str!("graph.rs"),
        include_str!("dance.rs"),
        include_str!("pairing.rs"),
        // What shows in whole runs only.
        include_str!("../../../../tests/tests/hostile.rs"),
        include_str!("../../../../tests/tests/replay.rs"),
    ]
    .concat();
    let steps: Vec<&str> = manifest.split("[[steps]]").skip(1).map(|step| step.split('"').nth(1).unwrap()).collect();
    assert!(steps.len() > 40, "{steps:?}");
    for step in &steps {
        assert!(attacks.contains(&format!("(\"{step}\", ")), "step `{step}` has no attack");
        assert!(tests.contains(&format!("\"{step}\"")), "attack `{step}` has no test");
    }
    assert_eq!(attacks.matches("    (\"").count(), steps.len(), "an attack has no step");
}
