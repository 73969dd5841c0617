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
