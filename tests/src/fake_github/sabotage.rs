//! From an action to a wrong answer.

use super::connection::Switch;
use super::faults::{Action, RetryAfter};
use super::page::Query;
use super::reply::Reply;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use std::io::{self, Write as _};
use std::time::{Duration, SystemTime};

/// The pieces of large bodies.
const CHUNK_BYTES: usize = 64 * 1024;
/// The most that a gzip bomb may hold; more would take the fake longer to make than a test may run.
const BOMB_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// How long the first half of a cut body has to reach the client before the connection ends.
const CUT_AFTER: Duration = Duration::from_millis(30);

/// The answer that an action puts in place of the right one, when it doesn't need the right one.
pub(super) fn instead(action: &Action, headers: &HeaderMap) -> Option<Reply> {
    Some(match action {
        Action::Status { status, body, headers } => {
            let mut reply = match body {
                None => default_error(*status),
                Some(Value::String(text)) => Reply::json(*status, text.clone()),
                Some(value) => Reply::json(*status, value.to_string()),
            };
            for (name, value) in headers {
                reply.set(&name.to_ascii_lowercase(), value.clone());
            }
            reply
        }
        Action::NotFound => Reply::not_found(),
        Action::ForbiddenIntegration => Reply::forbidden_integration(),
        Action::MustHaveAdmin => Reply::must_have_admin(),
        Action::SecondaryLimit { retry_after } => with_retry_after(Reply::secondary_limit(), *retry_after),
        Action::TooManyRequests { retry_after } => {
            with_retry_after(Reply::error(429, "Too Many Requests"), *retry_after)
        }
        Action::Redirect { location, status } => {
            let body = json!({"message": "Moved", "url": location}).to_string();
            Reply::json(*status, body).with_header("location", location.clone())
        }
        Action::ReflectAuthorization { status } => reflect(*status, headers),
        _ => return None,
    })
}

/// Bends the right answer.
pub(super) fn bend(action: &Action, query: &Query, reply: &mut Reply) {
    let next = |itself| reply.list.as_ref().map(|(page, base)| page.forced_next(base, query, itself));
    match action {
        Action::EndlessNext => {
            if let Some(link) = next(false) {
                reply.set("link", link);
            }
        }
        Action::SelfNext => {
            if let Some(link) = next(true) {
                reply.set("link", link);
            }
        }
        Action::ForeignNext { url } => reply.set("link", format!("<{url}>; rel=\"next\"")),
        Action::MalformedJson => {
            // In the middle, so that a reader who parses as it comes has seen good items before.
            let middle = reply.body.len() / 2;
            reply.body.splice(middle..middle, *b"\x01}]{,");
        }
        _ => {}
    }
}

/// Sends a body in a way that a plain answer can't be sent.
pub(super) fn body(action: Option<&Action>, body: Vec<u8>, switch: &Switch, response: &mut Response) {
    let sent = match action {
        Some(Action::Close) => {
            switch.cut();
            Body::empty()
        }
        Some(Action::CutBody) => cut(body, response),
        Some(Action::Oversized { bytes }) => oversized(*bytes),
        _ => Body::from(body),
    };
    *response.body_mut() = sent;
}

/// The compressed body of a gzip bomb. Takes a while: not for the async threads.
pub(super) fn bomb(bytes: u64) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let blanks = vec![b' '; CHUNK_BYTES];
    let mut left = bytes.min(BOMB_BYTES_MAX);
    encoder.write_all(b"[")?;
    while left > 0 {
        let take = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        encoder.write_all(blanks.get(..take).unwrap_or(&blanks))?;
        left -= u64::try_from(take).unwrap_or(left);
    }
    encoder.write_all(b"]")?;
    encoder.finish()
}

fn cut(body: Vec<u8>, response: &mut Response) -> Body {
    // With the whole length announced, a client can tell that half is missing.
    response.headers_mut().insert(header::CONTENT_LENGTH, body.len().into());
    let half = Bytes::from(body.get(..body.len() / 2).unwrap_or_default().to_vec());
    Body::from_stream(stream::unfold(Some(half), |half| async move {
        match half {
            Some(half) if !half.is_empty() => Some((Ok(half), Some(Bytes::new()))),
            Some(_) => {
                tokio::time::sleep(CUT_AFTER).await;
                Some((Err(io::Error::other("a fault cuts this body")), None))
            }
            None => None,
        }
    }))
}

/// `["aaa…"]`, chunk by chunk, so that the fake needs no memory for it.
fn oversized(bytes: u64) -> Body {
    const FRAME: u64 = 4;
    let filler = Bytes::from(vec![b'a'; CHUNK_BYTES]);
    let middle = stream::unfold(bytes.saturating_sub(FRAME), move |left| {
        let take = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let chunk = filler.slice(..take);
        async move { (take > 0).then(|| (Ok(chunk), left - u64::try_from(take).unwrap_or(left))) }
    });
    let edge = |text: &'static str| stream::iter([io::Result::Ok(Bytes::from_static(text.as_bytes()))]);
    use futures_util::StreamExt as _;
    Body::from_stream(edge("[\"").chain(middle).chain(edge("\"]")))
}

fn default_error(status: u16) -> Reply {
    match status {
        401 => Reply::bad_credentials(),
        403 => Reply::forbidden_integration(),
        404 => Reply::not_found(),
        // The load balancer's page: not JSON.
        502..=504 => Reply::json(status, "<html><body><h1>502 Bad Gateway</h1></body></html>")
            .with_header("content-type", "text/html"),
        500.. => Reply::json(status, json!({"message": "Server Error"}).to_string()),
        _ => Reply::error(status, "Fault"),
    }
}

fn with_retry_after(reply: Reply, retry_after: Option<RetryAfter>) -> Reply {
    match retry_after {
        None => reply,
        Some(RetryAfter::Seconds(seconds)) => reply.with_header("retry-after", seconds.to_string()),
        Some(RetryAfter::Date(seconds)) => {
            let at = SystemTime::now() + Duration::from_secs(seconds);
            reply.with_header("retry-after", httpdate::fmt_http_date(at))
        }
    }
}

fn reflect(status: u16, headers: &HeaderMap) -> Reply {
    let value = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or("");
    let token = value.split_once(' ').map_or(value, |(_, token)| token);
    let percent: String = token.bytes().map(|b| format!("%{b:02X}")).collect();
    let body = json!({
        "message": format!("You sent {value}"),
        "token": token,
        "base64": BASE64_STANDARD.encode(token),
        "base64_header": BASE64_STANDARD.encode(value),
        "hex": hex::encode(token),
        "percent": utf8_percent_encode(value, NON_ALPHANUMERIC).to_string(),
        "percent_all": percent,
    });
    Reply::json(status, body.to_string())
}
