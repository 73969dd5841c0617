//! Reading secrets out of JSON without leaving copies of them: values stay slices of the input until the one that is
//! wanted goes into a wiped string. `serde_json::Value` would put each string on the heap and leave it there.

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use zeroize::Zeroizing;

/// The members of a JSON object, in order, duplicates too. None when the text is no object.
pub(crate) fn members(text: &str) -> Option<Vec<(Cow<'_, str>, &RawValue)>> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while let Some(key) = map.next_key::<Key<'de>>()? {
                all.push((key.0, map.next_value()?));
            }
            Ok(all)
        }
    }
    let mut input = serde_json::Deserializer::from_str(text);
    let all = input.deserialize_map(Members).ok()?;
    input.end().ok()?;
    Some(all)
}

/// A key, borrowed where it has no escapes. (`Cow` itself always deserialises to its owned form.)
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// What a JSON pointer (RFC 6901) points at. None when there is nothing.
pub(crate) fn pointer<'a>(text: &'a str, pointer: &str) -> Option<&'a str> {
    let mut at = text;
    if pointer.is_empty() {
        return Some(at);
    }
    for segment in pointer.strip_prefix('/')?.split('/') {
        let segment = segment.replace("~1", "/").replace("~0", "~");
        at = match members(at) {
            Some(members) => members.into_iter().rev().find(|(key, _)| *key == segment)?.1.get(),
            None => {
                let items: Vec<&RawValue> = serde_json::from_str(at).ok()?;
                items.get(segment.parse::<usize>().ok()?)?.get()
            }
        };
    }
    Some(at)
}

/// The text of a JSON string. None when the JSON is something else, or holds half a surrogate pair.
pub(crate) fn string(raw: &str) -> Option<Zeroizing<String>> {
    let inner = raw.trim().strip_prefix('"')?.strip_suffix('"')?;
    // An escape is never shorter than what it stands for, so this doesn't grow.
    let mut text = Zeroizing::new(String::with_capacity(inner.len()));
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        let c = match c {
            '\\' => match rest.next()? {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'u' => escaped(&mut rest)?,
                plain @ ('"' | '\\' | '/') => plain,
                _ => return None,
            },
            '"' => return None,
            c => c,
        };
        text.push(c);
    }
    Some(text)
}

fn escaped(rest: &mut std::str::Chars<'_>) -> Option<char> {
    fn unit(rest: &mut std::str::Chars<'_>) -> Option<u32> {
        (0..4).try_fold(0, |n, _| Some(n * 16 + rest.next()?.to_digit(16)?))
    }
    let first = unit(rest)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first);
    }
    let second = match (rest.next()?, rest.next()?) {
        ('\\', 'u') => unit(rest)?,
        _ => return None,
    };
    let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + low)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn points_into_objects_and_lists() {
        let text = r#" {"a":{"b/c":[1,{"t":"x\u00e9\ud83d\ude00"}]},"a~b":null} "#;
        assert_eq!(pointer(text, "/a/b~1c/0"), Some("1"));
        assert_eq!(*string(pointer(text, "/a/b~1c/1/t").unwrap()).unwrap(), "xé😀");
        assert_eq!(pointer(text, "/a~0b"), Some("null"));
        for nothing in ["/b", "/a/b", "/a/b~1c/7", "/a/b~1c/x", "a", "/"] {
            assert_eq!(pointer(text, nothing), None, "{nothing}");
        }
    }

    #[test]
    fn half_a_pair_and_other_types_are_no_text() {
        for bad in [r#""\ud83d""#, r#""\ud83d\u0041""#, r#""\ude00""#, "1", "null", "\"", "[]"] {
            assert!(string(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn keys_are_given_as_often_as_they_stand_there() {
        assert_eq!(members(r#"{"a":1,"a":2}"#).unwrap().len(), 2);
        assert!(members("[1]").is_none() && members(r#"{"a":1} x"#).is_none() && members("{").is_none());
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            let back = string(&json).unwrap();
            prop_assert_eq!(back.as_str(), text.as_str());
        }
    }
}
