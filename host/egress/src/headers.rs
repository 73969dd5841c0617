//! Which headers go out, and which come back. A header that frames the message, names another host or another method, or
//! carries a credential is nobody's to set but this crate's.

use crate::credential::SecretHeader;
use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use std::fmt;
use zeroize::Zeroizing;

/// Headers that a request's author may not set, each with what it would do.
const REFUSED: &[(&str, &str)] = &[
    ("host", "it names another host"),
    ("forwarded", "it names another host"),
    ("connection", "it frames the message"),
    ("content-length", "it frames the message"),
    ("transfer-encoding", "it frames the message"),
    ("te", "it frames the message"),
    ("trailer", "it frames the message"),
    ("upgrade", "it frames the message"),
    ("http2-settings", "it frames the message"),
    ("keep-alive", "it frames the message"),
    ("expect", "it frames the message"),
    ("accept-encoding", "only gzip is decompressed, under a cap"),
    ("user-agent", "the operator sets it"),
    ("range", "a part of a list looks like all of it"),
    ("if-range", "a part of a list looks like all of it"),
    ("if-match", "an answer without a body looks like an empty one"),
    ("if-none-match", "an answer without a body looks like an empty one"),
    ("if-modified-since", "an answer without a body looks like an empty one"),
    ("if-unmodified-since", "an answer without a body looks like an empty one"),
    ("x-http-method", "it names another method"),
    ("x-http-method-override", "it names another method"),
    ("x-method-override", "it names another method"),
    ("x-original-url", "it names another URL"),
    ("x-rewrite-url", "it names another URL"),
];
/// Beginnings of names that nobody may set.
const REFUSED_PREFIXES: &[(&str, &str)] =
    &[(":", "it frames the message"), ("proxy-", "it talks to a proxy"), ("x-forwarded-", "it names another host")];
/// Headers that only a credential may set.
const CREDENTIAL_ONLY: &[&str] = &["authorization", "cookie"];

/// A header that doesn't go out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefusedHeader {
    name: String,
    why: &'static str,
}

impl fmt::Display for RefusedHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "header `{}` can't be sent: {}", crate::fault::quote(&self.name), self.why)
    }
}

fn name(text: &str) -> Result<HeaderName, RefusedHeader> {
    let refuse = |why| RefusedHeader { name: text.to_owned(), why };
    let name = HeaderName::try_from(text).map_err(|_| refuse("it is no header name"))?;
    let exact = REFUSED.iter().find(|(refused, _)| name == *refused);
    let prefix = REFUSED_PREFIXES.iter().find(|(prefix, _)| name.as_str().starts_with(prefix));
    match exact.or(prefix) {
        Some((_, why)) => Err(refuse(why)),
        None => Ok(name),
    }
}

/// The headers that a request's author declared.
pub(crate) fn declared(headers: &[(String, String)]) -> Result<HeaderMap, RefusedHeader> {
    let mut map = HeaderMap::with_capacity(headers.len() + 4);
    for (text, value) in headers {
        let refuse = |why| RefusedHeader { name: text.clone(), why };
        let name = name(text)?;
        if CREDENTIAL_ONLY.contains(&name.as_str()) {
            return Err(refuse("only a credential sets it"));
        }
        // Refuses CR, LF, NUL and other control characters.
        let value = HeaderValue::try_from(value.as_str()).map_err(|_| refuse("its value isn't one line of text"))?;
        map.append(name, value);
    }
    Ok(map)
}

/// Adds the credential's headers. They replace what was declared under the same name.
pub(crate) fn add_secrets(map: &mut HeaderMap, secrets: &[SecretHeader]) -> Result<(), RefusedHeader> {
    for secret in secrets {
        let name = name(&secret.name)?;
        // The copy that the client holds is wiped as well.
        let bytes = Bytes::from_owner(Zeroizing::new(secret.value().as_bytes().to_vec()));
        let mut value = HeaderValue::from_maybe_shared(bytes)
            .map_err(|_| RefusedHeader { name: secret.name.clone(), why: "its value isn't one line of text" })?;
        value.set_sensitive(true);
        map.insert(name, value);
    }
    Ok(())
}

/// All values of a header as one, as RFC 9110, 5.3 allows.
pub(crate) fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Vec<_> = headers.get_all(name).iter().map(|v| String::from_utf8_lossy(v.as_bytes())).collect();
    if values.is_empty() { None } else { Some(values.join(", ")) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn one(name: &str, value: &str) -> Result<HeaderMap, RefusedHeader> {
        declared(&[(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn nothing_is_smuggled_in_a_header() {
        assert!(one("accept", "application/json").is_ok());
        let cases = [
            ("accept", "x\r\nhost: evil.example"),
            ("accept", "x\ny"),
            ("accept", "x\0"),
            ("accept\r\nhost", "evil.example"),
            ("accept: x", "y"),
            ("", "x"),
            ("Host", "evil.example"),
            ("Content-Length", "0"),
            ("Transfer-Encoding", "chunked"),
            ("Authorization", "Bearer stolen"),
            ("Cookie", "a=b"),
            ("X-HTTP-Method-Override", "DELETE"),
            ("X-Forwarded-Host", "evil.example"),
            ("Proxy-Authorization", "x"),
            ("Range", "bytes=0-1"),
            ("If-None-Match", "*"),
        ];
        for (name, value) in cases {
            assert!(one(name, value).is_err(), "{name:?}: {value:?}");
        }
    }

    #[test]
    fn a_credential_has_the_last_word_and_is_not_printed() {
        let mut map = one("x-api-key", "declared").unwrap();
        let secret = |name: &str, value: &str| SecretHeader::new(name, Zeroizing::new(value.to_owned()));
        add_secrets(&mut map, &[secret("X-Api-Key", "geheim"), secret("authorization", "Bearer geheim")]).unwrap();
        assert_eq!(map.get_all("x-api-key").iter().count(), 1);
        assert!(!format!("{map:?}").contains("geheim"));
        assert!(add_secrets(&mut map, &[secret("host", "evil.example")]).is_err());
        assert!(add_secrets(&mut map, &[secret("authorization", "a\r\nb: c")]).is_err());
    }

    #[test]
    fn repeated_headers_are_one_list() {
        let mut map = HeaderMap::new();
        map.append("link", HeaderValue::from_static("<a>; rel=\"next\""));
        map.append("link", HeaderValue::from_static("<b>; rel=\"last\""));
        assert_eq!(joined(&map, "link").as_deref(), Some("<a>; rel=\"next\", <b>; rel=\"last\""));
        assert_eq!(joined(&map, "etag"), None);
    }
}
