#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use super::reply::{Arguments, Page};
use super::{FakeAws, REGIONS, Shape};
use crate::raw_http;
use std::collections::BTreeSet;
use std::time::Duration;

fn asked(token: Option<&str>, size: Option<&str>) -> Arguments {
    let pairs = [("Marker", token), ("MaxItems", size)];
    pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect()
}

#[test]
fn pages_cover_a_list_once() {
    for (total, size) in [(0, 5), (5, 5), (6, 5), (100, 7)] {
        let (mut seen, mut token) = (Vec::new(), None::<String>);
        loop {
            let arguments = asked(token.as_deref(), Some(&size.to_string()));
            let page = Page::of(total, &arguments, ["Marker", "MaxItems"], 3, 50).unwrap();
            seen.extend(page.numbers());
            token = page.next;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(seen, (0..total).collect::<Vec<_>>());
    }
}

#[test]
fn a_token_that_no_answer_had_is_refused() {
    for token in ["1", "", "at+/10==", "at+/-1==", "at /3=="] {
        assert_eq!(Page::of(10, &asked(Some(token), None), ["Marker", "MaxItems"], 3, 5), None, "{token}");
    }
    let page = Page::of(10, &asked(Some("at+/3=="), Some("100")), ["Marker", "MaxItems"], 3, 5).unwrap();
    assert_eq!((page.from, page.to), (3, 8), "never more than the most");
}

#[test]
fn a_shape_has_about_as_much_as_was_asked_for() {
    for resources in [1_000, 50_000, 200_000] {
        let total = Shape::of(resources).total();
        assert!(total * 10 > resources * 9 && total * 10 < resources * 11, "{total} of {resources}");
    }
}

/// Sends a request that is signed for a service and region, as far as this fake looks: its answer's body.
async fn ask(fake: &FakeAws, [service, region]: [&str; 2], request: &str, more: &[(&str, &str)], body: &str) -> String {
    let signature = format!(
        "AWS4-HMAC-SHA256 Credential=AKIA/20260101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0"
    );
    let headers: Vec<_> = [("authorization", signature.as_str())].into_iter().chain(more.iter().copied()).collect();
    let (method, target) = request.split_once(' ').unwrap();
    let answer = raw_http::send(fake.addr, method, target, &headers, body.as_bytes()).await.unwrap();
    String::from_utf8(answer.body).unwrap()
}

/// Every text between two marks.
fn between(text: &str, open: &str, close: &str) -> Vec<String> {
    text.split(open).skip(1).filter_map(|rest| Some(rest.split_once(close)?.0.to_owned())).collect()
}

async fn small() -> FakeAws {
    let shape = Shape { users: 250, volumes: 1_200, functions: 120, ..Shape::of(1_000) };
    FakeAws::start(shape, 0, Duration::ZERO).await.unwrap()
}

#[tokio::test]
async fn lists_come_in_pages_in_each_wire_form() {
    let fake = small().await;
    let (mut users, mut next) = (BTreeSet::new(), None);
    loop {
        let marker: String = next.map_or_else(String::new, |token: String| {
            format!("&Marker={}", url::form_urlencoded::byte_serialize(token.as_bytes()).collect::<String>())
        });
        let body = format!("Action=ListUsers&Version=2010-05-08{marker}");
        let answer = ask(&fake, ["iam", "us-east-1"], "POST /", &[], &body).await;
        users.extend(between(&answer, "<UserName>", "</UserName>"));
        next = between(&answer, "<Marker>", "</Marker>").pop();
        assert_eq!(answer.contains("<IsTruncated>true</IsTruncated>"), next.is_some());
        if next.is_none() {
            break;
        }
    }
    assert_eq!(users.len(), 250);

    let volumes = ask(&fake, ["ec2", "eu-west-1"], "POST /", &[], "Action=DescribeVolumes&Version=2016-11-15").await;
    assert_eq!(between(&volumes, "<nextToken>", "</nextToken>"), ["at+/1000=="]);
    let functions =
        ask(&fake, ["lambda", "eu-west-1"], "GET /2015-03-31/functions?Marker=at%2B%2F100%3D%3D", &[], "").await;
    assert_eq!(between(&functions, "\"FunctionName\":\"", "\"").len(), 20);
    assert!(functions.contains(super::SECRET) && !functions.contains("NextMarker"));
    let target = [("x-amz-target", "StarlingDoveService.DescribeConfigRules")];
    let rules = ask(&fake, ["config", "eu-west-1"], "POST /", &target, "{\"NextToken\":\"x\"}").await;
    assert!(rules.contains("InvalidNextTokenException"), "{rules}");
    let stats = fake.stats();
    assert_eq!((stats.operations["iam:ListUsers"], stats.requests, stats.unknown.len()), (3, 6, 0), "{stats:?}");
}

#[tokio::test]
async fn a_bucket_answers_where_it_is() {
    let fake = small().await;
    let list = ask(&fake, ["s3", "us-east-1"], "GET /?max-buckets=2", &[], "").await;
    assert_eq!(between(&list, "<BucketRegion>", "</BucketRegion>"), REGIONS[..2]);
    let here = ask(&fake, ["s3", REGIONS[1]], "GET /bucket-00001?acl=", &[], "").await;
    assert!(here.contains("AccessControlPolicy"), "{here}");
    assert!(ask(&fake, ["s3", "us-east-1"], "GET /bucket-00001?acl=", &[], "").await.contains("PermanentRedirect"));
    assert!(ask(&fake, ["s3", REGIONS[1]], "GET /bucket-00001?tagging", &[], "").await.contains("NoSuchTagSet"));
    assert!(ask(&fake, ["s3", REGIONS[1]], "DELETE /bucket-00001?website", &[], "").await.contains("NotOfThisFake"));
    assert_eq!(fake.stats().unknown.len(), 1);
}
