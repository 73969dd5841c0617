//! One scalar out of a JSON body, found by a JSON pointer (RFC 6901), without building a tree of a body that may have
//! megabytes.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// What a pointer points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing.
    Absent,
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A string, or a number as text.
    Text(String),
    /// A list or an object.
    Nested,
}

/// Looks a pointer up. None when the body is no JSON.
pub(crate) fn find(body: &[u8], pointer: &str) -> Option<Found> {
    let tokens: Vec<_> = pointer.split('/').skip(1).map(|t| t.replace("~1", "/").replace("~0", "~")).collect();
    let mut json = serde_json::Deserializer::from_slice(body);
    let found = At(&tokens).deserialize(&mut json).ok()?;
    json.end().ok()?;
    Some(found)
}

/// The rest of the way.
struct At<'p>(&'p [String]);

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = Found;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl At<'_> {
    /// A scalar: found if the way ends here.
    fn here<E>(&self, found: Found) -> Result<Found, E> {
        Ok(if self.0.is_empty() { found } else { Found::Absent })
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Found, E> {
        self.here(Found::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Found, E> {
        self.here(Found::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Found, E> {
        self.here(Found::Text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Found, E> {
        self.here(Found::Text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Found, E> {
        self.here(Found::Text(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Found, E> {
        self.here(Found::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Found, A::Error> {
        let Some((token, rest)) = self.0.split_first() else {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Found::Nested);
        };
        let plain = token == "0" || !token.starts_with('0');
        let wanted = token.parse::<usize>().ok().filter(|_| plain);
        let (mut at, mut found) = (0, Found::Absent);
        loop {
            if Some(at) == wanted {
                match list.next_element_seed(At(rest))? {
                    Some(here) => found = here,
                    None => return Ok(found),
                }
            } else if list.next_element::<IgnoredAny>()?.is_none() {
                return Ok(found);
            }
            at += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let Some((token, rest)) = self.0.split_first() else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Found::Nested);
        };
        let mut found = Found::Absent;
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if key == *token {
                // A key given twice counts as its last value, as in every common parser.
                found = map.next_value_seed(At(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn finds_scalars_where_serde_json_finds_them() {
        let body =
            br#"{"a":{"b":["x",{"c":"y"},null,true,7,-7,1.5]},"a/b":"slash","m~n":"tilde","":"empty","d":1,"d":2}"#;
        let text = |t: &str| Found::Text(t.to_owned());
        let cases = [
            ("/a/b/0", text("x")),
            ("/a/b/1/c", text("y")),
            ("/a/b/2", Found::Null),
            ("/a/b/3", Found::Bool(true)),
            ("/a/b/4", text("7")),
            ("/a/b/5", text("-7")),
            ("/a/b/6", text("1.5")),
            ("/a/b/7", Found::Absent),
            ("/a/b/00", Found::Absent),
            ("/a/b/-", Found::Absent),
            ("/a/b", Found::Nested),
            ("", Found::Nested),
            ("/a/b/0/deeper", Found::Absent),
            ("/a~1b", text("slash")),
            ("/m~0n", text("tilde")),
            ("/", text("empty")),
            ("/d", text("2")),
            ("/nothing", Found::Absent),
        ];
        for (pointer, found) in cases {
            assert_eq!(find(body, pointer), Some(found), "{pointer}");
        }
    }

    #[test]
    fn what_is_no_json_is_said_to_be_none() {
        for body in [&b""[..], b"{", b"{\"a\":1}x", b"{\"a\":1,}", b"\xff"] {
            assert_eq!(find(body, "/a"), None);
        }
    }
}
