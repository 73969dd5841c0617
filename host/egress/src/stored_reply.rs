//! Replies that may be used again: what is kept of one, how it is packed, and what a 304 does to it.
//!
//! What is kept was scrubbed before; what comes back from there is scrubbed again, with the rules and the secrets of the
//! run that uses it. The bytes are compressed, because lists of JSON shrink to a tenth and an instance has only so much
//! room; they are sealed afterwards ([`crate::secret::ReplyKeys`]), and nobody but us chooses what is compressed together
//! with them, so their length gives nothing away that the length of the page doesn't.

use crate::validator::Validator;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use futures_util::future::BoxFuture;
use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::io::{Read as _, Write as _};

/// Headers that a 304 may have and that speak of its own, empty body (RFC 9111, 3.2).
const OF_THE_BODY: &[&str] =
    &["content-length", "content-encoding", "content-range", "content-type", "transfer-encoding"];
/// What a packed reply holds before its body, in bytes: headers are below 64 KiB, and JSON may escape each byte of them.
const MAX_HEAD_BYTES: usize = 512 * 1024;

/// A reply as a guest saw it, and what paging needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReply {
    /// The status.
    pub status: u16,
    /// The declared headers that it had.
    pub headers: Vec<(String, String)>,
    /// Its `Link` headers as one.
    pub link: Option<String>,
    /// Its body, scrubbed.
    pub body: Vec<u8>,
}

/// A stored reply that a request may be answered with, if the provider says that it still holds.
pub trait Condition: Send + Sync {
    /// What the provider is asked with.
    fn validator(&self) -> &Validator;
    /// Brings the reply. None when it is gone or can't be read: the request is sent once more, without the question.
    fn load(&self) -> BoxFuture<'_, Option<StoredReply>>;
}

#[derive(Serialize, Deserialize)]
struct Head<'a> {
    status: u16,
    headers: Cow<'a, [(String, String)]>,
    link: Option<Cow<'a, str>>,
}

impl StoredReply {
    /// Packs a reply: the length of a head of JSON, the head, the body; compressed. None when there is no such thing,
    /// which leaves it unstored.
    #[must_use]
    pub fn pack(status: u16, headers: &[(String, String)], link: Option<&str>, body: &[u8]) -> Option<Vec<u8>> {
        let head = Head { status, headers: headers.into(), link: link.map(Cow::Borrowed) };
        let head = serde_json::to_vec(&head).ok().filter(|head| head.len() <= MAX_HEAD_BYTES)?;
        let length = u32::try_from(head.len()).ok()?;
        // The fastest level: it is three times as fast as the usual one and a fifth worse.
        let mut encoder = DeflateEncoder::new(Vec::with_capacity(body.len() / 8), Compression::fast());
        for part in [&length.to_le_bytes(), head.as_slice(), body] {
            encoder.write_all(part).ok()?;
        }
        encoder.finish().ok()
    }

    /// Unpacks a reply with a body of at most so many bytes.
    #[must_use]
    pub fn unpack(packed: &[u8], max_body_bytes: usize) -> Option<Self> {
        let mut decoder = DeflateDecoder::new(packed);
        let mut length = [0; 4];
        decoder.read_exact(&mut length).ok()?;
        let length = usize::try_from(u32::from_le_bytes(length)).ok().filter(|length| *length <= MAX_HEAD_BYTES)?;
        let mut head = vec![0; length];
        decoder.read_exact(&mut head).ok()?;
        let Head { status, headers, link } = serde_json::from_slice(&head).ok()?;
        let mut body = Vec::new();
        decoder.take(max_body_bytes as u64 + 1).read_to_end(&mut body).ok()?;
        (body.len() <= max_body_bytes).then(|| Self {
            status,
            headers: headers.into_owned(),
            link: link.map(Cow::into_owned),
            body,
        })
    }

    /// Its `Link` header after a 304: the 304's where it has one, else the stored one.
    ///
    /// A 304 may carry `Link` (RFC 9110, 15.4.5), and where it does, it is the truth of now: a full last page that hasn't
    /// changed names a next page as soon as there is one. Where it doesn't, its absence says nothing, and the stored
    /// header still leads to every page that there was; a page too many is empty, and one that is gone is a fault, which
    /// deletes nothing.
    pub(crate) fn link(&self, not_modified: &HeaderMap) -> Option<String> {
        crate::headers::joined(not_modified, "link").or_else(|| self.link.clone())
    }
}

/// A header of a stored reply after a 304: the 304's where it has one, because it is newer (RFC 9111, 4.3.4), unless it
/// speaks of the 304's own empty body.
pub(crate) fn header(stored: &[(String, String)], name: &str, not_modified: &HeaderMap) -> Option<String> {
    let newer = (!OF_THE_BODY.contains(&name)).then(|| crate::headers::joined(not_modified, name)).flatten();
    newer.or_else(|| stored.iter().find(|(stored, _)| stored == name).map(|(_, value)| value.clone()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    fn stored() -> StoredReply {
        StoredReply {
            status: 200,
            headers: vec![("x-total".into(), "7".into()), ("content-type".into(), "application/json".into())],
            link: Some("<https://h/a?page=2>; rel=\"next\"".into()),
            body: b"[1,2,3]".to_vec(),
        }
    }

    fn pack(reply: &StoredReply) -> Vec<u8> {
        StoredReply::pack(reply.status, &reply.headers, reply.link.as_deref(), &reply.body).unwrap()
    }

    #[test]
    fn what_is_packed_unpacks() {
        let bare = StoredReply { headers: Vec::new(), link: None, body: Vec::new(), ..stored() };
        for reply in [stored(), bare] {
            assert_eq!(StoredReply::unpack(&pack(&reply), 7), Some(reply));
        }
        let long = StoredReply { body: vec![b'x'; 1 << 20], ..stored() };
        assert!(pack(&long).len() < 10_000);
        assert_eq!(StoredReply::unpack(&pack(&long), (1 << 20) - 1), None, "longer than a reply may be");
        let headers = vec![("a".to_owned(), "x".repeat(MAX_HEAD_BYTES))];
        assert_eq!(StoredReply::pack(200, &headers, None, b""), None);
    }

    #[test]
    fn what_was_cut_or_is_something_else_does_not() {
        let whole = pack(&stored());
        for end in 0..whole.len() {
            assert_eq!(StoredReply::unpack(whole.get(..end).unwrap(), 100), None, "{end}");
        }
        assert_eq!(StoredReply::unpack(b"something else", 100), None);
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&[0xff; 64]).unwrap();
        assert_eq!(StoredReply::unpack(&encoder.finish().unwrap(), 100), None, "a head of four gigabytes");
    }

    #[test]
    fn a_304_renews_headers_but_not_those_of_the_body() {
        let headers = |pairs: &[(&str, &str)]| -> HeaderMap {
            let pair = |(n, v): &(&str, &str)| (HeaderName::try_from(*n).unwrap(), HeaderValue::try_from(*v).unwrap());
            pairs.iter().map(pair).collect()
        };
        let none = headers(&[]);
        assert_eq!(header(&stored().headers, "x-total", &none).as_deref(), Some("7"));
        assert_eq!(header(&stored().headers, "x-other", &none), None);
        assert_eq!(stored().link(&none), stored().link);
        let some = headers(&[("x-total", "8"), ("content-type", "text/plain"), ("link", "<b>; rel=prev")]);
        assert_eq!(header(&stored().headers, "x-total", &some).as_deref(), Some("8"));
        assert_eq!(header(&stored().headers, "content-type", &some).as_deref(), Some("application/json"));
        assert_eq!(stored().link(&some).as_deref(), Some("<b>; rel=prev"));
    }
}
