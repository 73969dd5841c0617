//! What a reply means. Pure: a harmless 404, a missing permission, a rate limit and a provider that is down look much
//! alike, and mistaking one for another either deletes what still exists or hides that a grant is missing.

use crate::error_code::{self, ErrorCode, error_code};
use crate::fault::{FaultCode, quote};
use crate::pace::RateSigns;
use porthole_model::manifest::EmptyOn;
use reqwest::header::{HeaderMap, LOCATION};
use serde::Deserialize;
use std::borrow::Cow;
use url::Url;

/// How far into a body the words of a limit or of an error are looked for, in bytes. Error bodies are short.
const ERROR_BODY_BYTES: usize = 64 * 1024;

/// What an operation's declaration says about its replies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplyRules {
    /// Statuses that mean "there is none here", alone or with a code.
    pub empty_on: Vec<EmptyOn>,
    /// Response headers that go back to the caller, lower case.
    pub response_headers: Vec<String>,
    /// What the provider's administrator has to grant for the operation.
    pub permission: Option<String>,
    /// The operation is a GraphQL query, whose errors come with status 200.
    pub graphql: bool,
    /// The answer may be stored and asked about again, if its provider gives it a validator.
    pub revalidate: bool,
}

/// What a reply means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The answer.
    Ok,
    /// There is none here, and that is the whole truth.
    Empty,
    /// The provider asks to wait. The wait may be unnamed.
    RateLimited,
    /// Perhaps the next attempt works; the text says what happened.
    Retry(String),
    /// The end of the call.
    Fault {
        /// Which kind.
        code: FaultCode,
        /// In words; may quote the provider.
        message: String,
        /// What has to be granted.
        permission: Option<String>,
    },
}

/// Judges a complete reply.
#[must_use]
pub fn judge(rules: &ReplyRules, status: u16, headers: &HeaderMap, signs: &RateSigns, body: &[u8]) -> Verdict {
    if status == 429 || (status == 403 && (signs.is_limit() || speaks_of_a_limit(body))) {
        return Verdict::RateLimited;
    }
    let code = if status < 400 { None } else { error_code(headers, start(body)) };
    if rules.empty_on.iter().any(|none| none.status == status && (none.code.is_none() || none.code == code)) {
        return Verdict::Empty;
    }
    match code.as_deref().map(ErrorCode::of) {
        Some(ErrorCode::Limit) => return Verdict::RateLimited,
        Some(ErrorCode::Retry) => return Verdict::Retry(with_quote(format!("HTTP {status}"), body)),
        Some(ErrorCode::Permission) => return permission(rules, status, body),
        Some(ErrorCode::Other) | None => {}
    }
    match status {
        // Nobody asked for a range: a part of the list would look like all of it.
        206 => fault(FaultCode::Cut, "HTTP 206: the provider sent a part of the answer".to_owned()),
        200..=299 if rules.graphql => graphql(body),
        200..=299 => Verdict::Ok,
        // One that answers a question never comes here.
        304 => fault(FaultCode::Status, "HTTP 304: not modified, and nobody had asked whether it is".to_owned()),
        300..=303 | 305..=308 => fault(FaultCode::Redirect, redirect(status, headers)),
        401 | 403 => permission(rules, status, body),
        408 | 500 | 502 | 503 | 504 => Verdict::Retry(with_quote(format!("HTTP {status}"), body)),
        _ => fault(FaultCode::Status, with_quote(format!("HTTP {status}"), body)),
    }
}

fn fault(code: FaultCode, message: String) -> Verdict {
    Verdict::Fault { code, message, permission: None }
}

fn permission(rules: &ReplyRules, status: u16, body: &[u8]) -> Verdict {
    let what = match (&rules.permission, status) {
        (Some(permission), 401) => {
            format!("HTTP 401: the credential was refused; it must be valid and have the permission `{permission}`")
        }
        (None, 401) => "HTTP 401: the credential was refused".to_owned(),
        (Some(permission), _) => format!("HTTP {status}: the credential lacks the permission `{permission}`"),
        (None, _) => format!("HTTP {status}: the credential lacks a permission"),
    };
    let message = with_quote(what, body);
    Verdict::Fault { code: FaultCode::Status, message, permission: rules.permission.clone() }
}

/// Some limits come as a 403 without any header, told in words alone.
fn speaks_of_a_limit(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(start(body)).to_ascii_lowercase();
    ["secondary rate limit", "rate limit exceeded", "abuse detection mechanism"]
        .iter()
        .any(|words| text.contains(words))
}

/// The place that a redirect points to, without what may be secret in it: signed links live in paths and queries.
fn redirect(status: u16, headers: &HeaderMap) -> String {
    let location = headers.get(LOCATION).and_then(|v| v.to_str().ok());
    let host = location.and_then(|l| Url::parse(l).ok()).and_then(|url| url.host_str().map(quote));
    match (host, location) {
        (Some(host), _) => format!("HTTP {status}: redirect to `{host}`, and none is followed"),
        (None, Some(_)) => format!("HTTP {status}: redirect to another path, and none is followed"),
        (None, None) => format!("HTTP {status}: redirect, and none is followed"),
    }
}

/// Adds what the provider says about its error, when it says it where most do.
fn with_quote(what: String, body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Told<'a> {
        #[serde(borrow, default, alias = "Message")]
        message: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        error_description: Option<Cow<'a, str>>,
        #[serde(borrow, default, rename = "errorSummary")]
        error_summary: Option<Cow<'a, str>>,
    }
    let told = serde_json::from_slice::<Told<'_>>(start(body)).ok();
    let told = told.and_then(|t| t.message.or(t.error_description).or(t.error_summary));
    let told = told.or_else(|| error_code::xml_message(start(body)).map(Cow::Owned)).filter(|t| !t.trim().is_empty());
    match told {
        Some(told) => format!("{what}; the provider says: {}", quote(&told)),
        None => what,
    }
}

fn start(body: &[u8]) -> &[u8] {
    body.get(..ERROR_BODY_BYTES).unwrap_or(body)
}

#[derive(Deserialize)]
struct GraphqlReply<'a> {
    #[serde(borrow, default)]
    errors: Option<Vec<GraphqlError<'a>>>,
}

#[derive(Deserialize)]
struct GraphqlError<'a> {
    #[serde(borrow, default)]
    message: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(default)]
    extensions: Option<Extensions>,
}

#[derive(Deserialize)]
struct Extensions {
    #[serde(default)]
    code: Option<serde_json::Value>,
}

/// Partial data beside errors is no answer: what is missing would look deleted.
fn graphql(body: &[u8]) -> Verdict {
    let Ok(reply) = serde_json::from_slice::<GraphqlReply<'_>>(body) else {
        return fault(FaultCode::Graphql, "the reply is no GraphQL response".to_owned());
    };
    let errors = reply.errors.unwrap_or_default();
    let Some(first) = errors.first() else { return Verdict::Ok };
    if errors.iter().any(is_limit) {
        return Verdict::RateLimited;
    }
    let message = first.message.as_deref().filter(|m| !m.is_empty()).unwrap_or("an error without a message");
    fault(FaultCode::Graphql, format!("GraphQL: {}", quote(message)))
}

fn is_limit(error: &GraphqlError<'_>) -> bool {
    let code = error.extensions.as_ref().and_then(|e| e.code.as_ref()).and_then(serde_json::Value::as_str);
    [error.kind.as_deref(), code].into_iter().flatten().any(|word| matches!(word, "RATE_LIMITED" | "RATE_LIMIT"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
    use super::*;

    fn rules() -> ReplyRules {
        ReplyRules {
            empty_on: vec![EmptyOn { status: 404, code: None }],
            permission: Some("read:org".to_owned()),
            ..ReplyRules::default()
        }
    }

    fn plain(status: u16, body: &str) -> Verdict {
        judge(&rules(), status, &HeaderMap::new(), &RateSigns::default(), body.as_bytes())
    }

    fn code(verdict: &Verdict) -> Option<FaultCode> {
        match verdict {
            Verdict::Fault { code, .. } => Some(*code),
            _ => None,
        }
    }

    #[test]
    fn each_status_means_one_thing() {
        assert_eq!(plain(200, "[]"), Verdict::Ok);
        assert_eq!(plain(204, ""), Verdict::Ok);
        assert_eq!(plain(404, "{}"), Verdict::Empty);
        assert_eq!(plain(429, ""), Verdict::RateLimited);
        for status in [408, 500, 502, 503, 504] {
            assert!(matches!(plain(status, ""), Verdict::Retry(_)), "{status}");
        }
        for status in [101, 304, 400, 405, 409, 410, 418, 422, 451, 501, 505, 599] {
            assert_eq!(code(&plain(status, "")), Some(FaultCode::Status), "{status}");
        }
        for status in [300, 301, 302, 303, 305, 307, 308] {
            assert_eq!(code(&plain(status, "")), Some(FaultCode::Redirect), "{status}");
        }
        assert_eq!(code(&plain(206, "")), Some(FaultCode::Cut));
    }

    #[test]
    fn a_missing_permission_is_named_and_a_404_is_not_one() {
        for status in [401, 403] {
            let Verdict::Fault { code, message, permission } =
                plain(status, r#"{"message":"Resource not accessible"}"#)
            else {
                panic!("{status}")
            };
            assert_eq!(code, FaultCode::Status);
            assert!(message.contains("`read:org`") && message.contains("Resource not accessible"), "{message}");
            assert_eq!(permission.as_deref(), Some("read:org"));
        }
        let other = ReplyRules { empty_on: vec![], ..rules() };
        let verdict = judge(&other, 404, &HeaderMap::new(), &RateSigns::default(), b"");
        assert_eq!(verdict, fault(FaultCode::Status, "HTTP 404".to_owned()));
    }

    #[test]
    fn a_403_with_a_sign_of_a_limit_is_one() {
        let judge = |signs, body: &str| judge(&rules(), 403, &HeaderMap::new(), &signs, body.as_bytes());
        let retry_after = RateSigns { retry_after: Some(std::time::Duration::from_secs(1)), ..RateSigns::default() };
        assert_eq!(judge(retry_after, ""), Verdict::RateLimited);
        assert_eq!(judge(RateSigns { exhausted: true, ..RateSigns::default() }, ""), Verdict::RateLimited);
        let words = r#"{"message":"You have exceeded a secondary rate limit."}"#;
        assert_eq!(judge(RateSigns::default(), words), Verdict::RateLimited);
        assert_eq!(code(&judge(RateSigns::default(), r#"{"message":"Forbidden"}"#)), Some(FaultCode::Status));
    }

    #[test]
    fn a_redirect_is_told_without_its_path() {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, "https://files.example/x?signature=geheim".parse().unwrap());
        let Verdict::Fault { message, .. } = judge(&rules(), 302, &headers, &RateSigns::default(), b"") else {
            panic!()
        };
        assert!(message.contains("files.example") && !message.contains("geheim"), "{message}");
    }

    #[test]
    fn graphql_errors_hide_behind_a_200() {
        let rules = ReplyRules { graphql: true, ..rules() };
        let judge = |body: &str| judge(&rules, 200, &HeaderMap::new(), &RateSigns::default(), body.as_bytes());
        assert_eq!(judge(r#"{"data":{"a":1}}"#), Verdict::Ok);
        assert_eq!(judge(r#"{"data":{"a":1},"errors":[]}"#), Verdict::Ok);
        assert_eq!(judge(r#"{"data":null,"errors":null}"#), Verdict::Ok);
        assert_eq!(judge(r#"{"errors":[{"type":"RATE_LIMITED","message":"x"}]}"#), Verdict::RateLimited);
        assert_eq!(judge(r#"{"errors":[{"extensions":{"code":"RATE_LIMITED"}}]}"#), Verdict::RateLimited);
        let partial = judge(r#"{"data":{"a":1},"errors":[{"message":"no \"team\"","path":["a",1]}]}"#);
        assert_eq!(partial, fault(FaultCode::Graphql, "GraphQL: no \"team\"".to_owned()));
        assert_eq!(code(&judge("<html>")), Some(FaultCode::Graphql));
        assert_eq!(code(&judge("")), Some(FaultCode::Graphql));
        let long = format!(r#"{{"errors":[{{"message":"{}"}}]}}"#, "x".repeat(9_999));
        let Verdict::Fault { message, .. } = judge(&long) else { panic!() };
        assert!(message.len() < 300);
    }
}
