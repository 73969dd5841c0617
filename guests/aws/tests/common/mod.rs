//! What the tests of the steps share.
#![allow(dead_code, reason = "not every test file uses all of it")]

use porthole_aws::Aws;
use porthole_sdk::StepError;
use porthole_sdk::testing::{EmittedRelationship, MemoryHost};
use serde_json::json;

/// The account of the tests.
pub const ACCOUNT: &str = "111111111111";
/// The region of the tests.
pub const REGION: &str = "eu-west-1";

/// A host with the configuration and nothing else.
pub fn bare() -> MemoryHost {
    let config = json!({"partition": "aws", "regions": "all", "organization": "no", "sts_region": "us-east-1"});
    MemoryHost::new().config(config)
}

/// A host on which the first step has run.
pub fn aws() -> MemoryHost {
    let root = |account: &str| format!("arn:aws:iam::{account}:root");
    bare().stored("aws_account", &root("999999999999"), json!({"accountId": "999999999999"})).stored(
        "aws_account",
        &root(ACCOUNT),
        json!({"accountId": ACCOUNT, "collected": true}),
    )
}

/// Runs a step of the account.
pub fn run(host: &MemoryHost, step: &str) -> Result<(), StepError> {
    host.run(&Aws, step, "")
}

/// Runs a step of the region.
pub fn run_region(host: &MemoryHost, step: &str) -> Result<(), StepError> {
    host.run(&Aws, step, REGION)
}

/// The ends of relationships.
pub fn ends(relationships: &[EmittedRelationship]) -> Vec<(&str, &str)> {
    relationships.iter().map(|r| (r.from_key.as_str(), r.to_key.as_str())).collect()
}

/// The body as AWS writes it: a declaration and the root element around it.
pub fn xml(root: &str, inner: &str) -> Vec<u8> {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root} xmlns=\"https://x.amazonaws.com/doc/\">{inner}</{root}>\n"
    )
    .into_bytes()
}

/// An answer of the query protocol: `inner` is what stands in its result.
pub fn answer(action: &str, inner: &str) -> Vec<u8> {
    let result = format!("<{action}Result>{inner}</{action}Result>");
    xml(
        &format!("{action}Response"),
        &format!("{result}<ResponseMetadata><RequestId>1-2</RequestId></ResponseMetadata>"),
    )
}
