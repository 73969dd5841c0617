//! The AWS test bed holds what it promises, and its oracle knows what is in it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

use porthole_tests::aws_bed::{AwsBed, python};
use serde_json::json;
use std::process::Command;

/// Signatures, external ids, session policies, pages, reads only: `tests/aws/test_bed.py` says what exactly.
#[test]
fn the_bed_checks_what_it_promises() {
    let Some(python) = python() else { return };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/aws/test_bed.py");
    let out = Command::new(python).args(["-B", script]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[tokio::test]
async fn the_bed_starts_and_tells_what_a_collector_has_to_find() {
    let Some(bed) = AwsBed::start().unwrap() else { return };
    let told = bed.told().clone();
    assert_eq!(told.regions, ["us-east-1", "eu-west-1", "ap-southeast-2"]);
    let account = &told.reader.account;
    let expected = bed.expected(account).unwrap();
    let role = &told.roles[account];
    assert!(expected.entities.contains(&format!("aws_iam_role {role}")), "its own role is one of them");
    let root = format!("arn:aws:iam::{}:root", told.platform.account);
    assert!(expected.relationships.contains(&format!("{root} CAN_ASSUME {role}")));
    assert!(expected.mapped.contains(&root), "the platform's account is not of this account");
    assert!(expected.entities.contains("aws_s3_bucket arn:aws:s3:::acme-bare"));

    bed.set("deny", &json!(["iam:ListUsers"])).await.unwrap();
    assert!(bed.set("nothing", &json!(1)).await.unwrap_err().to_string().contains("nothing to set"));
    assert!(bed.violations().await.unwrap().is_empty());
    assert!(bed.counts().await.unwrap().is_empty(), "the oracle's own questions don't count");
    assert!(bed.sessions().await.unwrap().is_empty());
}
