//! Values of properties, and how they are written: straight into the line of their object, without a tree in between.

use crate::plain::{has_odd, is_odd};
use serde_json::{Map, Number, Value};
use std::borrow::Cow;

/// A value that a property can have: texts, numbers, yes and no, lists of these, and any JSON.
pub trait Property {
    /// Writes it as JSON. False, and nothing written, when there is none: `None`, null, a number that JSON lacks.
    fn write(&self, out: &mut Vec<u8>) -> bool;
}

impl<T: Property + ?Sized> Property for &T {
    fn write(&self, out: &mut Vec<u8>) -> bool {
        (**self).write(out)
    }
}

impl<T: Property> Property for Option<T> {
    fn write(&self, out: &mut Vec<u8>) -> bool {
        self.as_ref().is_some_and(|value| value.write(out))
    }
}

impl Property for str {
    fn write(&self, out: &mut Vec<u8>) -> bool {
        string(out, self);
        true
    }
}

impl Property for String {
    fn write(&self, out: &mut Vec<u8>) -> bool {
        self.as_str().write(out)
    }
}

impl Property for Cow<'_, str> {
    fn write(&self, out: &mut Vec<u8>) -> bool {
        (**self).write(out)
    }
}

impl Property for bool {
    fn write(&self, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
        true
    }
}

impl Property for Value {
    fn write(&self, out: &mut Vec<u8>) -> bool {
        !self.is_null() && json(out, self)
    }
}

impl Property for f64 {
    fn write(&self, out: &mut Vec<u8>) -> bool {
        self.is_finite() && json(out, self)
    }
}

impl Property for f32 {
    fn write(&self, out: &mut Vec<u8>) -> bool {
        self.is_finite() && json(out, self)
    }
}

macro_rules! as_serde_has_it {
    ($($type:ty),*) => {
        $(impl Property for $type {
            fn write(&self, out: &mut Vec<u8>) -> bool {
                json(out, self)
            }
        })*
    };
}
as_serde_has_it!(i8, i16, i32, i64, isize, u8, u16, u32, u64, usize, Number, Map<String, Value>);

impl<T: Property> Property for [T] {
    fn write(&self, out: &mut Vec<u8>) -> bool {
        out.push(b'[');
        for (at, value) in self.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            // Places in a list mean something, so what isn't there is said.
            if !value.write(out) {
                out.extend_from_slice(b"null");
            }
        }
        out.push(b']');
        true
    }
}

impl<T: Property> Property for Vec<T> {
    fn write(&self, out: &mut Vec<u8>) -> bool {
        self.as_slice().write(out)
    }
}

impl<T: Property, const N: usize> Property for [T; N] {
    fn write(&self, out: &mut Vec<u8>) -> bool {
        self.as_slice().write(out)
    }
}

fn json<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> bool {
    // Writing a value to memory can't fail: it has no map key that is no string, and a Vec takes every byte.
    serde_json::to_writer(out, value).is_ok()
}

/// Writes a text as a JSON string.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    quoted(out, b"\"", text, b"\"");
}

/// The same, with what stands before and behind it, quotes included.
pub(crate) fn quoted<const A: usize, const B: usize>(out: &mut Vec<u8>, before: &[u8; A], text: &str, after: &[u8; B]) {
    let start = out.len();
    out.reserve(text.len() + A + B);
    out.extend_from_slice(before);
    if !plain(out, text.as_bytes()) {
        out.truncate(start);
        out.extend_from_slice(before.split_last().map_or(&[], |(_, before)| before));
        json(out, text);
        out.pop();
    }
    out.extend_from_slice(after);
}

/// Appends a text of which nothing has to be escaped; false when something has, and then what it appended means nothing.
///
/// Looking and copying are one loop, over pieces of a fixed size: copying any other in WebAssembly is a call out of the
/// guest, and most texts are short.
fn plain(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    if bytes.len() >= 16 {
        pieces(out, bytes, has_odd)
    } else if bytes.len() >= 8 {
        pieces(out, bytes, |piece: &[u8; 8]| any_odd(piece))
    } else if bytes.len() >= 4 {
        pieces(out, bytes, |piece: &[u8; 4]| any_odd(piece))
    } else {
        bytes.iter().for_each(|byte| out.push(*byte));
        !bytes.iter().any(|byte| is_odd(*byte))
    }
}

/// All bytes are looked at, so that they can be looked at together.
fn any_odd(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |found, byte| found | is_odd(*byte))
}

/// [`plain`] for a text that has one such piece at least.
fn pieces<const N: usize>(out: &mut Vec<u8>, bytes: &[u8], has_odd: impl Fn(&[u8; N]) -> bool) -> bool {
    let (whole, rest) = bytes.as_chunks::<N>();
    for piece in whole {
        if has_odd(piece) {
            return false;
        }
        out.extend_from_slice(piece);
    }
    match bytes.last_chunk::<N>() {
        // The last ones once more, where some of them stand already.
        Some(last) if !rest.is_empty() => {
            out.truncate(out.len() - (N - rest.len()));
            out.extend_from_slice(last);
            !has_odd(last)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
    use super::*;
    use serde_json::json;

    fn written(value: impl Property) -> Option<Value> {
        let mut out = Vec::new();
        let is = value.write(&mut out);
        assert_eq!(is, !out.is_empty());
        is.then(|| serde_json::from_slice(&out).unwrap())
    }

    #[test]
    fn values_are_written_as_json_has_them() {
        assert_eq!(written("a\"\\\n\u{1f}é𝄞"), Some(json!("a\"\\\n\u{1f}é𝄞")));
        assert_eq!(
            written(&String::from("plain text of more than eight bytes")),
            Some(json!("plain text of more than eight bytes"))
        );
        assert_eq!(written(Some(-7_i64)), Some(json!(-7)));
        assert_eq!(written(vec![Some("a"), None]), Some(json!(["a", null])));
        assert_eq!(written([true, false]), Some(json!([true, false])));
        assert_eq!(written(json!({"a": [1.5]})), Some(json!({"a": [1.5]})));
    }

    #[test]
    fn what_is_not_there_is_not_written() {
        assert_eq!(written(None::<&str>), None);
        assert_eq!(written(Value::Null), None);
        assert_eq!(written(f64::NAN), None);
        assert_eq!(written(f32::INFINITY), None);
    }

    #[test]
    fn every_byte_that_json_escapes_is_found_at_every_place() {
        for length in 1..40 {
            for at in 0..length {
                for odd in (0..0x20).chain([b'"', b'\\']) {
                    let mut text = vec![b'x'; length];
                    text[at] = odd;
                    assert!(!plain(&mut Vec::new(), &text), "{odd} at {at} of {length}");
                }
            }
            let text = &"!#[]~\u{7f}éü𝄞 and a longer rest of some words".as_bytes()[..length];
            let mut out = b"before ".to_vec();
            assert!(plain(&mut out, text));
            assert_eq!(out, [b"before ", text].concat());
        }
    }
}
