//! Validators (RFC 9110, 8.8): what a reply can be asked about again with. An `ETag` is bytes that mean something to its
//! provider alone; a `Last-Modified` counts only where there is no `ETag`.
//!
//! All of it comes from outside. What isn't exactly what the RFC allows is no validator, and its reply isn't stored: the
//! next run fetches it anew, which is never wrong.

use reqwest::header::{
    CACHE_CONTROL, DATE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
    PRAGMA, VARY,
};
use std::fmt;
use std::time::Duration;

/// The longest `ETag`, in bytes. Those that we know of have 90 at most; it is held in memory for each stored reply.
const MAX_ETAG_BYTES: usize = 256;
/// A `Last-Modified` has whole seconds, and clocks differ: only one that was this much older than its own reply says
/// that nothing can have changed since without changing it (RFC 9110, 8.8.2.2).
const MODIFIED_LONG_AGO: Duration = Duration::from_secs(60);

/// What a stored reply is asked about with. Doesn't print: it may be made from what the reply says.
#[derive(Clone, PartialEq, Eq)]
pub enum Validator {
    /// The `ETag` as it came, weak mark and quotes included.
    Etag(Box<[u8]>),
    /// The `Last-Modified` as it came.
    LastModified(Box<[u8]>),
}

impl Validator {
    /// The validator of a reply that may be stored. None when it may not: it has no usable validator, or its provider
    /// forbids it (`Cache-Control: no-store`, and `Vary: *`, which says that no request finds it again).
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        if forbids_storing(headers) {
            return None;
        }
        let mut tags = headers.get_all(ETAG).iter();
        match (tags.next(), tags.next()) {
            (Some(tag), None) => is_entity_tag(tag.as_bytes()).then(|| Self::Etag(tag.as_bytes().into())),
            (Some(_), Some(_)) => None,
            (None, _) => last_modified(headers).map(|date| Self::LastModified(date.as_bytes().into())),
        }
    }

    /// The header that makes a request conditional.
    pub(crate) fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        let (name, bytes) = match self {
            Self::Etag(tag) => (IF_NONE_MATCH, tag),
            Self::LastModified(date) => (IF_MODIFIED_SINCE, date),
        };
        Some((name, HeaderValue::from_bytes(bytes).ok()?))
    }

    /// Does a 304 speak of this reply? One that names another tag speaks of something else (RFC 9111, 4.3.4).
    pub(crate) fn is_meant_by(&self, not_modified: &HeaderMap) -> bool {
        let named = not_modified.get_all(ETAG).iter().map(HeaderValue::as_bytes);
        match self {
            Self::Etag(tag) => named.map(opaque).all(|named| named == opaque(tag)),
            Self::LastModified(_) => true,
        }
    }

    /// As bytes, to be sealed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let (kind, bytes) = match self {
            Self::Etag(tag) => (b'E', tag),
            Self::LastModified(date) => (b'M', date),
        };
        [&[kind], &**bytes].concat()
    }

    /// From the bytes of [`Validator::to_bytes`].
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (b'E', tag) => is_entity_tag(tag).then(|| Self::Etag(tag.into())),
            (b'M', date) => Some(Self::LastModified(date.into())),
            _ => None,
        }
    }

    /// The text of it, for a look whether a secret is in it.
    pub(crate) fn text(&self) -> String {
        let (Self::Etag(bytes) | Self::LastModified(bytes)) = self;
        String::from_utf8_lossy(bytes).into_owned()
    }
}

impl fmt::Debug for Validator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Etag(tag) => write!(f, "Etag({} bytes)", tag.len()),
            Self::LastModified(date) => write!(f, "LastModified({} bytes)", date.len()),
        }
    }
}

/// Read generously: whatever looks like the word forbids.
pub(crate) fn forbids_storing(headers: &HeaderMap) -> bool {
    let says = |name: HeaderName, word: &[u8]| {
        headers.get_all(name).iter().any(|v| memchr::memmem::find(&v.as_bytes().to_ascii_lowercase(), word).is_some())
    };
    says(CACHE_CONTROL, b"no-store") || says(PRAGMA, b"no-store") || says(VARY, b"*")
}

/// `entity-tag = [ "W/" ] DQUOTE *etagc DQUOTE` (RFC 9110, 8.8.3). Without the quotes it could be `*`, which matches
/// anything, or a list of several.
fn is_entity_tag(bytes: &[u8]) -> bool {
    let inner = opaque(bytes).strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    let is_etagc = |b: &u8| matches!(b, 0x21 | 0x23..=0x7e | 0x80..=0xff);
    bytes.len() <= MAX_ETAG_BYTES && inner.is_some_and(|inner| inner.iter().all(is_etagc))
}

/// A tag without its weak mark: a 304 is decided by weak comparison (RFC 9110, 13.1.2).
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

fn last_modified(headers: &HeaderMap) -> Option<&HeaderValue> {
    let date = |name: HeaderName| {
        let mut all = headers.get_all(name).iter();
        let value = all.next().filter(|_| all.next().is_none())?;
        Some((value, httpdate::parse_http_date(value.to_str().ok()?).ok()?))
    };
    let ((value, modified), (_, sent)) = (date(LAST_MODIFIED)?, date(DATE)?);
    (sent.duration_since(modified).ok()? >= MODIFIED_LONG_AGO).then_some(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn headers(pairs: &[(&str, &[u8])]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_bytes(value).unwrap());
        }
        map
    }

    fn of(pairs: &[(&str, &[u8])]) -> Option<(String, Vec<u8>)> {
        let validator = Validator::of(&headers(pairs))?;
        assert_eq!(Validator::from_bytes(&validator.to_bytes()), Some(validator.clone()));
        let (name, value) = validator.header().unwrap();
        Some((name.to_string(), value.as_bytes().to_vec()))
    }

    #[test]
    fn tags_go_back_as_they_came() {
        for tag in [&b"\"a\""[..], b"W/\"a\"", b"\"\"", b"\"a,b\"", b"\"*\"", b"\"\xff\x80'~!\""] {
            assert_eq!(of(&[("etag", tag)]), Some(("if-none-match".to_owned(), tag.to_vec())));
        }
    }

    #[test]
    fn what_is_no_tag_is_not_sent() {
        let long = [&b"\""[..], &[b'a'; 10_000], b"\""].concat();
        let just_too_long = [&b"\""[..], &[b'a'; MAX_ETAG_BYTES - 1], b"\""].concat();
        for tag in [
            &b"*"[..],
            b"abc",
            b"\"",
            b"\"a",
            b"a\"",
            b"\"a\"b\"",
            b"\"a\", \"b\"",
            b"w/\"a\"",
            b"\"a b\"",
            b"\"a\tb\"",
            b"W/",
            b"",
            &long,
            &just_too_long,
        ] {
            assert_eq!(of(&[("etag", tag)]), None, "{tag:?}");
            // A broken tag isn't made good by a date: its provider can't say what it means.
            let dated = [("etag", tag), ("last-modified", b"Tue, 14 Nov 2023 22:00:00 GMT"), ("date", NOW)];
            assert_eq!(of(&dated), None, "{tag:?}");
        }
        assert_eq!(of(&[("etag", b"\"a\""), ("etag", b"\"b\"")]), None);
        assert_eq!(of(&[]), None);
        assert_eq!(Validator::from_bytes(b""), None);
        assert_eq!(Validator::from_bytes(b"E*"), None);
        assert_eq!(Validator::from_bytes(b"X\"a\""), None);
    }

    const NOW: &[u8] = b"Tue, 14 Nov 2023 22:13:20 GMT";

    #[test]
    fn a_date_counts_when_it_was_long_ago() {
        let modified = |text: &'static [u8]| of(&[("last-modified", text), ("date", NOW)]).map(|(name, _)| name);
        assert_eq!(modified(b"Tue, 14 Nov 2023 22:12:20 GMT").as_deref(), Some("if-modified-since"));
        assert_eq!(modified(b"Tue, 14 Nov 2023 22:12:21 GMT"), None, "too close to the reply");
        assert_eq!(modified(b"Tue, 14 Nov 2024 22:12:20 GMT"), None, "in the future");
        assert_eq!(modified(b"yesterday"), None);
        assert_eq!(of(&[("last-modified", b"Tue, 14 Nov 2023 22:12:20 GMT")]), None, "nobody says when it was sent");
    }

    #[test]
    fn what_forbids_storing_is_obeyed() {
        let with = |name: &'static str, value: &'static [u8]| of(&[("etag", b"\"a\""), (name, value)]).is_some();
        assert!(with("cache-control", b"private, max-age=60, s-maxage=60") && with("cache-control", b"no-cache"));
        assert!(with("vary", b"Accept, Authorization, Cookie, X-OTP"));
        for value in [&b"no-store"[..], b"private, No-Store", b"max-age=0,no-store,private"] {
            assert!(!with("cache-control", value));
        }
        assert!(!with("vary", b"*") && !with("vary", b"accept, *") && !with("pragma", b"no-store"));
    }

    #[test]
    fn a_304_about_another_tag_is_not_about_this_reply() {
        let etag = Validator::Etag(b"W/\"a\""[..].into());
        assert!(etag.is_meant_by(&headers(&[])));
        assert!(
            etag.is_meant_by(&headers(&[("etag", b"\"a\"")])) && etag.is_meant_by(&headers(&[("etag", b"W/\"a\"")]))
        );
        assert!(!etag.is_meant_by(&headers(&[("etag", b"\"b\"")])));
        assert!(!etag.is_meant_by(&headers(&[("etag", b"\"a\""), ("etag", b"\"b\"")])));
        assert!(Validator::LastModified(NOW.into()).is_meant_by(&headers(&[("etag", b"\"b\"")])));
        assert!(!format!("{etag:?}").contains("a\""));
    }
}
