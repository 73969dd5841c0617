#![allow(clippy::unwrap_used, reason = "a test may panic")]
use super::*;
use std::time::{Duration, UNIX_EPOCH};

/// The key of the examples in
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>, and their time, 2013-05-24T00:00:00Z.
const ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const TIME: u64 = 1_369_353_600;

fn signed(url: &str, token: Option<&str>, body: &[u8], headers: &[(String, String)]) -> Vec<(String, String)> {
    let keys = Keys::new(ID, SECRET, token).unwrap();
    let method = if body.is_empty() { "GET" } else { "POST" };
    let signable = Signable { method, url, headers, body, service: "s3", region: "us-east-1" };
    let now = UNIX_EPOCH + Duration::from_secs(TIME);
    let headers = super::headers(&Slot::new("api").unwrap(), &keys, &signable, now).unwrap();
    headers.iter().map(|h| (h.name.clone(), h.value().to_owned())).collect()
}

fn header<'h>(headers: &'h [(String, String)], name: &str) -> &'h str {
    &headers.iter().find(|(n, _)| n == name).unwrap().1
}

#[test]
fn signatures_are_those_of_the_published_examples() {
    for (url, signature) in [
        (
            "https://examplebucket.s3.amazonaws.com/?lifecycle=",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ] {
        let headers = signed(url, None, b"", &[]);
        let expected = format!(
            "AWS4-HMAC-SHA256 Credential={ID}/20130524/us-east-1/s3/aws4_request, \
             SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}"
        );
        assert_eq!(header(&headers, "authorization"), expected);
        assert_eq!(header(&headers, "x-amz-date"), "20130524T000000Z");
    }
}

#[test]
fn what_says_what_a_request_does_is_signed() {
    let says = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", "Service.List"), ("accept", "x")];
    let says = says.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let first = signed("https://x.example/", Some("t0ken"), b"{}", &says);
    let names = "SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token;x-amz-target,";
    assert!(header(&first, "authorization").contains(names), "{first:?}");
    assert_eq!(header(&first, "x-amz-security-token"), "t0ken");
    let other = [says.clone(), says].map(|mut says| {
        says[1].1.push('x');
        signed("https://x.example/", Some("t0ken"), b"{}", &says)
    });
    assert_eq!(header(&other[0], "authorization"), header(&other[1], "authorization"));
    assert_ne!(header(&first, "authorization"), header(&other[0], "authorization"));
}

#[test]
fn keys_go_through_a_cache_and_nothing_else_is_a_key() {
    for token in [None, Some("t0ken")] {
        let keys = Keys::new(ID, SECRET, token).unwrap();
        let again = Keys::from_text(&keys.to_text()).unwrap();
        assert_eq!(again.secrets().collect::<Vec<_>>(), keys.secrets().collect::<Vec<_>>());
    }
    for (id, secret, token) in
        [("", "s", None), ("i", "", None), ("i", "s", Some("")), ("i\nj", "s", None), ("i", "ä", None)]
    {
        assert!(Keys::new(id, secret, token).is_none());
    }
    assert!(Keys::from_text("one\ntwo").is_none());
}
