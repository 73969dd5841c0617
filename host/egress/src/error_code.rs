//! The code of an error, for providers that say in the body what their status leaves open: a 400 may be a missing
//! permission, a limit or a mistake of ours.
//!
//! Where it stands is up to the protocol: a member or a header in JSON protocols
//! (<https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html#operation-error-serialization>), an element in XML ones
//! (<https://smithy.io/2.0/aws/protocols/aws-query-protocol.html#operation-error-serialization>).

use reqwest::header::HeaderMap;
use serde::Deserialize;
use std::borrow::Cow;

/// The header that has the code, where the body hasn't.
const HEADER: &str = "x-amzn-errortype";
/// Codes that ask to wait, as the provider's own clients know them.
const LIMITS: [&str; 13] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "SlowDown",
    "PriorRequestNotComplete",
    "EC2ThrottledException",
];
/// Codes that another attempt may not meet.
const RETRIES: [&str; 6] = [
    "RequestTimeout",
    "RequestTimeoutException",
    "InternalError",
    "InternalFailure",
    "ServiceUnavailable",
    "Unavailable",
];
/// Codes of a missing permission.
const PERMISSIONS: [&str; 6] = [
    "AccessDenied",
    "AccessDeniedException",
    "UnauthorizedOperation",
    "AuthorizationError",
    "NotAuthorized",
    "UnauthorizedException",
];
/// Codes of temporary credentials that have come to their end.
const EXPIRED: [&str; 3] = ["ExpiredToken", "ExpiredTokenException", "RequestExpired"];
/// The longest code, in bytes.
const MAX_CODE_BYTES: usize = 128;

/// What a code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorCode {
    /// The provider asks to wait.
    Limit,
    /// Perhaps the next attempt works.
    Retry,
    /// The credential lacks a permission.
    Permission,
    /// Anything else.
    Other,
}

impl ErrorCode {
    pub(crate) fn of(code: &str) -> Self {
        let is = |codes: &[&str]| codes.contains(&code);
        if is(&LIMITS) {
            Self::Limit
        } else if is(&RETRIES) {
            Self::Retry
        } else if is(&PERMISSIONS) {
            Self::Permission
        } else {
            Self::Other
        }
    }
}

/// The code of an error reply, if it has one.
pub(crate) fn error_code(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Told<'a> {
        #[serde(borrow, default, rename = "__type")]
        kind: Option<Cow<'a, str>>,
        #[serde(borrow, default, alias = "Code")]
        code: Option<Cow<'a, str>>,
    }
    let in_header = headers.get(HEADER).and_then(|value| value.to_str().ok()).map(Cow::Borrowed);
    let in_json = || serde_json::from_slice::<Told<'_>>(body).ok().and_then(|told| told.kind.or(told.code));
    let code = in_header.or_else(in_json).or_else(|| element(body, "Code").map(Cow::Owned))?;
    // `namespace#Name:http://…`
    let code = code.split(':').next().unwrap_or_default();
    let code = code.rsplit('#').next().unwrap_or_default();
    let good = !code.is_empty() && code.len() <= MAX_CODE_BYTES && code.bytes().all(|b| b.is_ascii_graphic());
    good.then(|| code.to_owned())
}

/// Has the credential come to its end?
pub(crate) fn is_expired(headers: &HeaderMap, body: &[u8]) -> bool {
    error_code(headers, body).is_some_and(|code| EXPIRED.contains(&code.as_str()))
}

/// What an XML error says to people.
pub(crate) fn xml_message(body: &[u8]) -> Option<String> {
    element(body, "Message")
}

/// The text of the first element of this name. Errors come in several envelopes, and from proxies in none; nothing more is
/// read of them.
fn element(body: &[u8], name: &str) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    if !text.trim_start().starts_with('<') {
        return None;
    }
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (value, _) = rest.split_once(&format!("</{name}>"))?;
    let unescaped =
        value.trim().replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    Some(unescaped.replace("&amp;", "&"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn the_code_is_found_where_each_protocol_has_it() {
        let none = HeaderMap::new();
        let code = |body: &str| error_code(&none, body.as_bytes());
        let some = |code: &str| Some(code.to_owned());
        let query = "<ErrorResponse xmlns=\"x\"><Error><Type>Sender</Type><Code>AccessDenied</Code>\
                     <Message>User: arn &amp; more</Message></Error></ErrorResponse>";
        assert_eq!(code(query), some("AccessDenied"));
        assert_eq!(xml_message(query.as_bytes()), some("User: arn & more"));
        let ec2 = "<?xml version=\"1.0\"?><Response><Errors><Error><Code>UnauthorizedOperation</Code></Error></Errors></Response>";
        assert_eq!(code(ec2), some("UnauthorizedOperation"));
        assert_eq!(code("<Error><Code>NoSuchTagSet</Code></Error>"), some("NoSuchTagSet"));
        assert_eq!(
            code(r#"{"__type":"com.amazon.coral.service#AccessDeniedException"}"#),
            some("AccessDeniedException")
        );
        assert_eq!(code(r#"{"code":"Throttling","message":"x"}"#), some("Throttling"));
        for body in ["", "<html><body>Bad gateway</body></html>", "{}", "[]", "<Code></Code>", "nonsense"] {
            assert_eq!(code(body), None, "{body}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, "TooManyRequestsException:http://internal.example/".parse().unwrap());
        assert_eq!(error_code(&headers, b"{\"message\":\"x\"}"), some("TooManyRequestsException"));
    }
}
