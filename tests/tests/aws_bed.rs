//! The AWS test bed holds what it promises, and its oracle knows what is in it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

use porthole_tests::aws_bed::{AwsBed, python};
use porthole_tests::fake_aws::{FakeAws, Shape};
use serde_json::json;
use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

/// Signatures, external ids, session policies, pages, reads only: `tests/aws/test_*.py` say what exactly.
#[test]
fn the_bed_checks_what_it_promises() {
    let Some(python) = python() else { return };
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/aws");
    let out = Command::new(python).args(["-B", "-m", "unittest", "discover", "-s", folder]).output().unwrap();
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

/// The account that is made on the fly is read by the provider's own client, and has what it says it has.
#[tokio::test(flavor = "multi_thread")]
async fn another_client_finds_everything_in_the_large_account() {
    let Some(python) = python() else { return };
    // More than one page of everything that has pages.
    let shape =
        Shape { users: 250, roles: 130, policies: 101, groups: 3, functions: 52, rules: 26, ..Shape::of(2_000) };
    let fake = FakeAws::start(shape, 0, Duration::ZERO).await.unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/aws/count.py");
    let url = fake.url();
    let out = tokio::task::spawn_blocking(move || Command::new(python).args(["-B", script, &url]).output());
    let out = out.await.unwrap().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let found: BTreeMap<String, usize> = serde_json::from_slice(&out.stdout).unwrap();
    let expected = fake.expected();
    for (what, count) in &found {
        let wanted = expected.entities.get(what.as_str()).or_else(|| expected.relationships.get(what.as_str()));
        assert_eq!(Some(count), wanted, "{what}");
    }
    assert_eq!(found.len(), 22, "{found:?}");
    assert!(fake.stats().unknown.is_empty(), "{:?}", fake.stats().unknown);
}
