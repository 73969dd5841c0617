//! The last part of an answer's way: the headers of every reply, entity tags, compression, and bodies that a fault spoils.

use super::connection::Switch;
use super::faults::Action;
use super::reply::Reply;
use super::sabotage;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write as _;

/// How to send.
pub(super) struct Sending<'a> {
    pub(super) switch: &'a Switch,
    pub(super) action: Option<Action>,
    pub(super) gzip: bool,
}

impl<'a> Sending<'a> {
    pub(super) fn plain(switch: &'a Switch) -> Self {
        Self { switch, action: None, gzip: false }
    }
}

/// The tag of a body. As at the real provider, it says nothing of the headers: a full last page has the same tag when
/// there is a page after it.
pub(super) fn etag(body: &[u8]) -> String {
    format!("W/\"{}\"", hex::encode(ring::digest::digest(&ring::digest::SHA256, body)))
}

pub(super) async fn send(mut reply: Reply, how: &Sending<'_>) -> Response {
    // A 304 has the tag of what it stands for, or none.
    let etag = if reply.status == 304 { String::new() } else { etag(&reply.body) };
    let mut body = std::mem::take(&mut reply.body);
    if let Some(Action::GzipBomb { bytes }) = how.action {
        body =
            tokio::task::spawn_blocking(move || sabotage::bomb(bytes)).await.ok().and_then(Result::ok).unwrap_or(body);
        reply.set("content-encoding", "gzip".to_owned());
    } else if how.gzip && !body.is_empty() {
        body = gzip(body, &mut reply);
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in [
        ("server", "github.com"),
        ("content-type", "application/json; charset=utf-8"),
        ("cache-control", "private, max-age=60, s-maxage=60"),
        ("vary", "Accept, Authorization, Cookie, X-GitHub-OTP,Accept-Encoding, Accept, X-Requested-With"),
        ("etag", etag.as_str()),
        ("x-github-media-type", "github.v3; format=json"),
        ("x-github-api-version-selected", "2022-11-28"),
        ("access-control-allow-origin", "*"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "deny"),
        ("referrer-policy", "origin-when-cross-origin, strict-origin-when-cross-origin"),
        ("content-security-policy", "default-src 'none'"),
    ] {
        if !value.is_empty() {
            put(&mut response, name, value);
        }
    }
    for (name, value) in &reply.headers {
        put(&mut response, name, value);
    }
    sabotage::body(how.action.as_ref(), body, how.switch, &mut response);
    response
}

fn gzip(body: Vec<u8>, reply: &mut Reply) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    match encoder.write_all(&body).and_then(|()| encoder.finish()) {
        Ok(zipped) => {
            reply.set("content-encoding", "gzip".to_owned());
            zipped
        }
        Err(_) => body,
    }
}

/// A header that can't be one is left out.
fn put(response: &mut Response, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        response.headers_mut().insert(name, value);
    }
}
