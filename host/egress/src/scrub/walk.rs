//! Walking through JSON by its bytes. The body is first checked to be JSON, and then only looked at: numbers, the order
//! of keys, duplicate keys and spaces stay as the provider wrote them. Nothing here recurses.

use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::ops::Range;

/// One level of the walk: what holds the values that come now.
enum Level<'a> {
    /// An object, and the key of its current value.
    Object(Cow<'a, str>),
    /// A list, and the number of its current value.
    List(usize),
}

/// A value, and how one gets there.
pub(super) struct Place<'a> {
    levels: &'a [Level<'a>],
    value: &'a [u8],
}

/// Is this JSON?
pub(super) fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

/// The values of a JSON body that are wanted, in order, down to this depth. What is inside a wanted value isn't looked
/// at. The walk ends early where it meets what isn't JSON.
pub(super) fn find(body: &[u8], max_depth: usize, is_wanted: impl Fn(&Place<'_>) -> bool) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    // Ends at the end of the body, which is always met; the answer is what was found until then.
    let _ = walk(body, max_depth, is_wanted, &mut found);
    found
}

fn walk(
    body: &[u8],
    max_depth: usize,
    is_wanted: impl Fn(&Place<'_>) -> bool,
    found: &mut Vec<Range<usize>>,
) -> Option<()> {
    let mut levels: Vec<Level<'_>> = Vec::new();
    let mut at = 0;
    loop {
        at = past_space(body, at);
        match body.get(at)? {
            b'}' | b']' => {
                levels.pop()?;
                at += 1;
                continue;
            }
            b',' => {
                if let Some(Level::List(index)) = levels.last_mut() {
                    *index += 1;
                }
                at += 1;
                continue;
            }
            _ => {}
        }
        if let Some(Level::Object(key)) = levels.last_mut() {
            let end = past_string(body, at)?;
            *key = text(body.get(at..end)?)?;
            let colon = past_space(body, end);
            at = past_space(body, colon + 1);
        }
        let value = body.get(at..)?;
        let first = value.first()?;
        if is_wanted(&Place { levels: &levels, value }) {
            let end = past_value(body, at)?;
            found.push(at..end);
            at = end;
        } else if levels.len() < max_depth && matches!(first, b'{' | b'[') {
            levels.push(if *first == b'{' { Level::Object(Cow::Borrowed("")) } else { Level::List(0) });
            at += 1;
        } else {
            at = past_value(body, at)?;
        }
    }
}

/// Where the white space that begins here ends.
pub(super) fn past_space(body: &[u8], mut at: usize) -> usize {
    while matches!(body.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// Where the string that begins here ends. None when none begins here, or it doesn't end.
pub(super) fn past_string(body: &[u8], start: usize) -> Option<usize> {
    body.get(start).filter(|quote| **quote == b'"')?;
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', body.get(at..)?)?;
        match body.get(at)? {
            b'"' => return Some(at + 1),
            // Whatever is escaped is no end; of `\uXXXX` the rest is plain.
            _ => at += 2,
        }
    }
}

/// Where the value that begins here ends.
fn past_value(body: &[u8], start: usize) -> Option<usize> {
    let is_space_or_mark = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':');
    let mut at = start;
    let mut depth = 0_usize;
    loop {
        match body.get(at)? {
            b'"' => at = past_string(body, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                at += 1;
            }
            b if is_space_or_mark(b) => at += 1,
            _ => {
                let is_end = |b: &u8| is_space_or_mark(b) || matches!(b, b']' | b'}');
                at += body.get(at..)?.iter().position(is_end).unwrap_or(body.len() - at);
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

impl Place<'_> {
    /// How many steps lead here from the top.
    pub(super) fn depth(&self) -> usize {
        self.levels.len()
    }

    /// Is the step at this depth this key, or this number in a list?
    pub(super) fn is_named(&self, depth: usize, name: &str) -> bool {
        match self.levels.get(depth) {
            Some(Level::Object(key)) => key == name,
            Some(Level::List(index)) => name.parse() == Ok(*index),
            None => false,
        }
    }

    /// `null` and `""` say that there is no secret; a guest may want to know that.
    pub(super) fn holds_something(&self) -> bool {
        !self.value.starts_with(b"null") && !self.value.starts_with(b"\"\"")
    }
}

/// The text of a key. Bytes that are no UTF-8 become replacement characters: no rule has any.
fn text(quoted: &[u8]) -> Option<Cow<'_, str>> {
    let inner = quoted.get(1..quoted.len().checked_sub(1)?)?;
    if inner.contains(&b'\\')
        && let Ok(text) = serde_json::from_slice::<String>(quoted)
    {
        return Some(Cow::Owned(text));
    }
    Some(String::from_utf8_lossy(inner))
}
