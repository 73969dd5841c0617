#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
use super::*;

fn read_row(cells: &[&str]) -> Result<Operation, String> {
    let pattern = Rule::parse("^[a-z0-9-]+$").unwrap();
    let region = Argument { rule: pattern, required: false, list: false };
    let common = Common { auth: Slot::new("cloud").ok(), path: [("region".to_owned(), region)].into() };
    row(&common, &cells.join("\t"))
}

fn json(operation: &Operation) -> serde_json::Value {
    serde_json::to_value(operation).unwrap()
}

#[test]
fn each_protocol_says_what_its_rows_leave_out() {
    let query = read_row(&[
        "iam:ListUsers",
        "query",
        "POST https://{config.iam_host}/",
        "iam",
        "{config.iam_region}",
        "2010-05-08 ListUsers",
        "iam:ListUsers",
        "MaxItems int<=1000 ; Marker text<=4096 ; Names.member.N text<=64 list",
        "Marker <- /ListUsersResponse/ListUsersResult/Marker if /ListUsersResponse/ListUsersResult/IsTruncated",
        "",
        "",
    ])
    .unwrap();
    let expected = serde_json::json!({
        "id": "iam:ListUsers", "request": "POST https://{config.iam_host}/", "auth": "cloud", "action": "iam:ListUsers",
        "sign": { "service": "iam", "region": "{config.iam_region}" },
        "body": { "kind": "form", "arguments": {
            "Action": { "rule": "=ListUsers" }, "Version": { "rule": "=2010-05-08" },
            "MaxItems": { "rule": "int<=1000" }, "Marker": { "rule": "text<=4096" },
            "Names.member.N": { "rule": "text<=64", "list": true } } },
        "pages": { "kind": "cursor", "argument": "Marker", "body": "xml",
            "cursor": "/ListUsersResponse/ListUsersResult/Marker",
            "more": "/ListUsersResponse/ListUsersResult/IsTruncated" },
    });
    assert_eq!(json(&query), expected);

    let target = read_row(&[
        "config:DescribeConfigRules",
        "json-1.1",
        "POST https://config.{region}.{config.dns}/",
        "config",
        "{region}",
        "StarlingDoveService.DescribeConfigRules",
        "config:DescribeConfigRules",
        "NextToken text<=4096 ; filter/types ^a|b$ list",
        "NextToken <- /NextToken",
        "",
        "people read this",
    ])
    .unwrap();
    assert_eq!(json(&target)["headers"]["x-amz-target"], "StarlingDoveService.DescribeConfigRules");
    assert_eq!(json(&target)["body"]["content-type"], "application/x-amz-json-1.1");
    assert_eq!(json(&target)["path"]["region"]["rule"], "^[a-z0-9-]+$");

    let rest = read_row(&[
        "s3:GetBucketTagging",
        "rest-xml",
        "GET https://s3.{region}.{config.dns}/{bucket}",
        "s3",
        "{region}",
        "",
        "s3:GetBucketTagging",
        "bucket ^[a-z0-9.-]{3,63}$ ; tagging =",
        "",
        "404 NoSuchTagSet, 410",
        "",
    ])
    .unwrap();
    assert_eq!(json(&rest)["query"]["tagging"]["rule"], "=");
    assert_eq!(json(&rest)["empty-on"], serde_json::json!(["404 NoSuchTagSet", 410]));
    assert!(rest.body.is_none());
}

#[test]
fn a_bad_row_says_what_is_wrong_with_it() {
    let good = ["a:B", "query", "POST https://a.example.com/", "a", "x", "1 B", "a:B", "", "", "", ""];
    assert!(read_row(&good).is_ok());
    for (at, cell, says) in [
        (0, "a b", "operation id"),
        (1, "soap", "no protocol"),
        (2, "PUT https://a.example.com/", "GET, HEAD or POST"),
        (5, "B", "VERSION ACTION"),
        (7, "Marker", "has no rule"),
        (7, "Action text<=9", "the protocol's own"),
        (7, "A nonsense", "is no rule"),
        (7, "A int<=1 ; A int<=1", "given twice"),
        (8, "Marker", "ARGUMENT <- POINTER"),
        (9, "NoSuchTagSet", "neither a status"),
    ] {
        let mut row = good;
        row[at] = cell;
        let error = read_row(&row).unwrap_err();
        assert!(error.contains(says), "{cell}: {error}");
    }
    assert!(read_row(&good[..5]).unwrap_err().contains("5 columns, not 11"));
}
