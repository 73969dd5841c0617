#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
use super::*;
use std::collections::{BTreeMap, BTreeSet};

fn rest(service: &'static str, method: &str, path: &str, fixed: &[&str], free: &[&str]) -> Option<&'static Row> {
    find_rest(&RestRequest { service, endpoint: None, method, path, fixed, free })
}

fn name(row: Option<&'static Row>) -> Option<&'static str> {
    row.map(|row| row.operation)
}

#[test]
fn the_table_reads_and_is_sorted() {
    let text = include_str!("../../readonly/aws-actions.tsv");
    let rows = table::parse(text).unwrap();
    assert!(rows.len() > 4_000, "{} rows", rows.len());
    assert_eq!(rows, super::rows());
    let lines: Vec<&str> = text.lines().filter(|l| !l.starts_with('#')).skip(1).collect();
    assert!(lines.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn a_broken_table_is_refused_with_its_line() {
    let head = "service\tendpoint\twire\tquery\toperation\taction\tlevel\trefused\n";
    for (row, message) in [
        ("iam\tiam\tform 1 A\t-\tA\tiam:A\tRead", "it has 7 columns"),
        ("iam\tiam\tform 1 A\t\tA\tiam:A\tRead\t-", "`query` is empty"),
        ("iam\tiam\tform 1 A\t-\tA\tiam:A\tRead\t- ", "`refused` is empty or has spaces"),
        ("iam\tiam\tform 1 A\t-\tA\tiam:*\tRead\t-", "`iam:*` is no action"),
        ("iam\tiam\tform 1 A\t-\tA\tiam:A\tread\t-", "`read` is no level"),
        ("iam\tiam\tform A\t-\tA\tiam:A\tRead\t-", "`form A` is no wire form"),
        ("iam\tiam\tget /\t-\tA\tiam:A\tRead\t-", "`get /` is no wire form"),
        ("iam\tiam\tGET a\t-\tA\tiam:A\tRead\t-", "`GET a` is no wire form"),
    ] {
        let text: &'static str = format!("# a comment\n{head}{row}\n").leak();
        let error = table::parse(text).unwrap_err().to_string();
        assert!(error.starts_with("line 3 of the table") && error.contains(message), "{error}");
    }
    assert!(table::parse("").is_err() && table::parse("service\taction\n").is_err());
}

#[test]
fn reads_pass_and_the_nearest_write_does_not() {
    let passing: Vec<&Row> = rows().iter().filter(|r| r.wire != Wire::None && r.passes().is_ok()).collect();
    assert!(passing.len() > 1_000, "{}", passing.len());
    let mut without = BTreeSet::new();
    for read in passing {
        match nearest_write(read) {
            Some(write) => assert!(matches!(write.passes(), Err(Refusal::Level(_, level)) if !level.reads())),
            None => drop(without.insert(read.service)),
        }
    }
    assert!(without.is_empty(), "no write in {without:?}");
    let list_users = find_form("iam", "2010-05-08", "ListUsers").unwrap();
    assert_eq!(nearest_write(list_users).unwrap().action, "iam:CreateUser");
}

#[test]
fn every_wire_form_is_found() {
    assert_eq!(find_form("iam", "2010-05-08", "ListUsers").unwrap().action, "iam:ListUsers");
    assert_eq!(find_form("iam", "2010-05-09", "ListUsers"), None);
    assert_eq!(find_form("ec2", "2010-05-08", "ListUsers"), None);
    assert_eq!(find_form("monitoring", "2010-08-01", "DescribeAlarms").unwrap().action, "cloudwatch:DescribeAlarms");
    let alarms = find_target("monitoring", "GraniteServiceVersion20100801.DescribeAlarms").unwrap();
    assert_eq!(alarms.action, "cloudwatch:DescribeAlarms");
    assert_eq!(find_target("monitoring", "DescribeAlarms"), None);
    // Two APIs, told apart by their version alone.
    for version in ["2012-06-01", "2015-12-01"] {
        let found = find_form("elasticloadbalancing", version, "DescribeLoadBalancers").unwrap();
        assert_eq!(found.action, "elasticloadbalancing:DescribeLoadBalancers");
    }
    assert_eq!(name(rest("lambda", "GET", "/2015-03-31/functions", &[], &["Marker"])), Some("ListFunctions"));
    assert_eq!(name(rest("lambda", "POST", "/2015-03-31/functions", &[], &[])), Some("CreateFunction"));
    assert_eq!(name(rest("lambda", "GET", "/2015-03-31/functions/", &[], &[])), None);
}

#[test]
fn a_rest_operation_is_told_by_its_path() {
    let path = |path| name(rest("elasticfilesystem", "GET", path, &[], &[]));
    assert_eq!(path("/2015-02-01/file-systems/{}/policy"), Some("DescribeFileSystemPolicy"));
    assert_eq!(path("/2015-02-01/file-systems/replication-configurations"), Some("DescribeReplicationConfigurations"));
    // A label of ours isn't a name of theirs.
    assert_eq!(path("/2015-02-01/{}/replication-configurations"), None);
    // A name of ours may stand for a label of theirs.
    assert_eq!(name(rest("route53", "GET", "/2013-04-01/tags/hostedzone/{}", &[], &[])), Some("ListTagsForResource"));
    assert_eq!(name(rest("route53", "GET", "/2013-04-01/tags/hostedzone/", &[], &[])), None);
}

#[test]
fn an_s3_operation_is_told_by_its_fixed_query() {
    let s3 = |method, path, fixed: &[&str], free: &[&str]| {
        let endpoint = Some("s3");
        find_rest(&RestRequest { service: "s3", endpoint, method, path, fixed, free })
    };
    let acl = s3("GET", "/{}", &["acl"], &[]).unwrap();
    assert_eq!((acl.operation, acl.action), ("GetBucketAcl", "s3:GetBucketAcl"));
    assert!(acl.passes().is_ok());
    assert_eq!(s3("PUT", "/{}", &["acl"], &[]).unwrap().level, Level::PermissionsManagement);
    assert_eq!(s3("GET", "/", &[], &["max-buckets"]).unwrap().action, "s3:ListAllMyBuckets");

    // A parameter that the guest may give could be `acl`, or anything: the operation doesn't take it.
    let list = s3("GET", "/{}", &[], &["acl"]).unwrap();
    assert!(!list.takes("acl") && list.takes("prefix"));
    // Two keys at once are neither of the two operations.
    let both = s3("GET", "/{}", &["acl", "policy"], &[]).unwrap();
    assert!(!(both.takes("acl") && both.takes("policy")));
    // Which of two operations with one path it is follows from what they take.
    let inventory = s3("GET", "/{}", &["inventory"], &["continuation-token"]).unwrap();
    assert_eq!(inventory.operation, "ListBucketInventoryConfigurations");
    assert!(acl.takes("acl"));

    for (method, path, fixed) in [
        ("GET", "/{}", &[][..]),
        ("GET", "/{}", &["list-type=2"]),
        ("GET", "/{}", &["versions"]),
        ("HEAD", "/{}", &[]),
        ("GET", "/{}/{}", &[]),
        ("GET", "/{}/a/b/{}", &[]),
        ("HEAD", "/{}/{}", &[]),
        ("GET", "/{}/{}", &["acl"]),
        ("POST", "/{}", &["delete"]),
        ("PUT", "/{}/{}", &[]),
    ] {
        let row = s3(method, path, fixed, &[]).unwrap();
        assert!(row.passes().is_err(), "{method} {path} {fixed:?}: {row:?}");
    }
    let other = Some("{}.s3-control");
    let path = "/v20180820/configuration/publicAccessBlock";
    let found = find_rest(&RestRequest { service: "s3", endpoint: other, method: "GET", path, fixed: &[], free: &[] });
    assert_eq!(found.unwrap().action, "s3:GetAccountPublicAccessBlock");
}

#[test]
fn what_returns_contents_or_secrets_is_refused() {
    let refused: BTreeMap<&str, &str> = rows().iter().filter_map(|r| Some((r.action, r.refused?))).collect();
    for action in [
        "s3:GetObject",
        "sqs:ReceiveMessage",
        "dynamodb:GetItem",
        "dynamodb:Scan",
        "dynamodb:Query",
        "kinesis:GetRecords",
        "logs:GetLogEvents",
        "logs:FilterLogEvents",
        "lambda:GetFunction",
        "ec2:GetPasswordData",
        "ec2:GetConsoleOutput",
        "ecr:GetAuthorizationToken",
        "ecr:BatchGetImage",
        "sts:GetSessionToken",
        "waf:GetSampledRequests",
        "waf-regional:GetSampledRequests",
        "cloudformation:GetTemplate",
    ] {
        assert!(refused.contains_key(action), "{action}");
    }
    for row in rows().iter().filter(|r| r.refused.is_some()) {
        let text = row.passes().unwrap_err().to_string();
        assert!(row.level.reads() && text.contains(row.action) && text.len() < 200, "{text}");
    }
}

/// Could a request of `read`, by what its labels and free parameters are filled with, be one of `other`?
fn reaches(read: &Row, other: &Row) -> bool {
    let (Wire::Rest { method, path, keys: fixed }, Wire::Rest { method: m, path: p, keys }) = (&read.wire, &other.wire)
    else {
        return false;
    };
    let (a, b): (Vec<&str>, Vec<&str>) = (path.split('/').collect(), p.split('/').collect());
    // A server doesn't route past a fixed parameter of ours to an operation that doesn't know it.
    let known = fixed.iter().all(|key| other.takes(key.split('=').next().unwrap()));
    let given = keys.iter().all(|key| read.takes(key.split('=').next().unwrap()));
    method == m && known && given && meet(&a, &b)
}

/// Is there a path that fits both?
fn meet(a: &[&str], b: &[&str]) -> bool {
    let (Some((first, a_rest)), Some((other, b_rest))) = (a.split_first(), b.split_first()) else {
        return a.is_empty() && b.is_empty();
    };
    let label = |s: &str| s == LABEL || s == GREEDY_LABEL;
    let one = first == other || (label(first) && !other.is_empty()) || (label(other) && !first.is_empty());
    let more = (*first == GREEDY_LABEL && meet(a, b_rest)) || (*other == GREEDY_LABEL && meet(a_rest, b));
    one && (more || meet(a_rest, b_rest))
}

#[test]
fn no_argument_makes_another_operation_of_a_read_that_passes() {
    let mut found = Vec::new();
    for read in rows().iter().filter(|r| r.passes().is_ok()) {
        let others = of_service(read.service).filter(|o| o.endpoint == read.endpoint && o.passes().is_err());
        found.extend(
            others.filter(|other| reaches(read, other)).map(|other| format!("{:?} {:?}", read.wire, other.wire)),
        );
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
