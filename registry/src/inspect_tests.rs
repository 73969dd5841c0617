#![allow(clippy::unwrap_used, reason = "a test may panic")]
use super::*;
use crate::fixture::packed;

#[test]
fn an_inspection_fits_a_screen() {
    let inspection = inspect(&packed().bytes).unwrap();
    assert_eq!(inspection.findings, vec![]);
    // The digest and the size follow the encoder's version; everything else is ours.
    let text = render(&inspection)
        .lines()
        .filter(|l| !l.starts_with("  digest") && !l.starts_with("  size"))
        .collect::<Vec<_>>()
        .join("\n");
    insta::assert_snapshot!("screen", text);
    let json = serde_json::to_value(&inspection).unwrap();
    assert_eq!(json.get("operations").and_then(|o| o.as_array()).map(Vec::len), Some(4));
}

#[test]
fn a_signature_is_shown_with_what_is_known_of_it() {
    let mut inspection = inspect(&packed().bytes).unwrap();
    assert!(render(&inspection).contains("publisher    unknown: no signature"));
    for (standing, words) in [
        (SignatureStanding::Holds, "checked, holds for this file"),
        (SignatureStanding::Unchecked, "NOT CHECKED"),
        (SignatureStanding::Broken, "BROKEN"),
    ] {
        inspection.signature =
            Some(SignatureLine { publisher: "acme\u{202e}".to_owned(), key: "ab12".to_owned(), standing });
        let text = render(&inspection);
        assert!(text.contains("publisher    acme?\n") && text.contains(words), "{text}");
    }
}

#[test]
fn the_github_module_fits_a_reviewers_screen() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../guests/github/manifest.toml")).unwrap();
    let manifest = crate::read_manifest(&text).unwrap();
    let core = crate::fixture::core_module(crate::fixture::WORLD);
    let inspection = inspect(&crate::pack::pack(&core, &manifest).unwrap().bytes).unwrap();
    let text = render(&inspection);
    let text: Vec<_> = text.lines().filter(|l| !l.starts_with("  digest") && !l.starts_with("  size")).collect();
    insta::assert_snapshot!("github", text.join("\n"));
}
