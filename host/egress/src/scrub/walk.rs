//! Walking through JSON by its bytes. The body is first checked to be JSON, and then only looked at: numbers, the order
//! of keys, duplicate keys and spaces stay as the provider wrote them. Nothing here recurses.

use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::ops::Range;

/// How deep a walk goes. Readers give up at 128 levels or so; what lies deeper than this is nobody's data, and is blanked
/// as a whole rather than passed on unseen.
const MAX_DEPTH: usize = 256;

/// A walk through a checked body.
pub(super) struct Walk<'a> {
    body: &'a [u8],
}

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

impl<'a> Walk<'a> {
    /// None when the body isn't JSON.
    pub(super) fn new(body: &'a [u8]) -> Option<Self> {
        serde_json::from_slice::<IgnoredAny>(body).ok().map(|_| Self { body })
    }

    /// The values that are wanted, in order. What is inside a wanted value isn't looked at. None when the walk meets
    /// what it doesn't understand, which checked JSON doesn't hold.
    pub(super) fn find(&self, is_wanted: impl Fn(&Place<'_>) -> bool) -> Option<Vec<Range<usize>>> {
        let mut found = Vec::new();
        let mut levels: Vec<Level<'a>> = Vec::new();
        let mut at = 0;
        loop {
            at = self.past_space(at);
            match self.body.get(at) {
                None => return levels.is_empty().then_some(found),
                Some(b'}' | b']') => {
                    levels.pop()?;
                    at += 1;
                    continue;
                }
                Some(b',') => {
                    if let Some(Level::List(index)) = levels.last_mut() {
                        *index += 1;
                    }
                    at += 1;
                    continue;
                }
                Some(_) => {}
            }
            if let Some(Level::Object(key)) = levels.last_mut() {
                let end = self.past_string(at)?;
                *key = text(self.body.get(at..end)?)?;
                // The colon.
                at = self.past_space(self.past_space(end) + 1);
            }
            let rest = self.body.get(at..)?;
            let is_nested = matches!(rest.first(), Some(b'{' | b'['));
            let is_too_deep = is_nested && levels.len() >= MAX_DEPTH;
            if is_too_deep || is_wanted(&Place { levels: &levels, value: rest }) {
                let end = self.past_value(at)?;
                found.push(at..end);
                at = end;
                continue;
            }
            match rest.first()? {
                b'{' => {
                    levels.push(Level::Object(Cow::Borrowed("")));
                    at += 1;
                }
                b'[' => {
                    levels.push(Level::List(0));
                    at += 1;
                }
                _ => at = self.past_value(at)?,
            }
        }
    }

    fn past_space(&self, mut at: usize) -> usize {
        while matches!(self.body.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            at += 1;
        }
        at
    }

    /// The end of the string that begins here.
    fn past_string(&self, start: usize) -> Option<usize> {
        let mut at = start + 1;
        loop {
            at += memchr::memchr2(b'"', b'\\', self.body.get(at..)?)?;
            match self.body.get(at)? {
                b'"' => return Some(at + 1),
                // Whatever is escaped is no end; of `\uXXXX` the rest is plain.
                _ => at += 2,
            }
        }
    }

    /// The end of the value that begins here.
    fn past_value(&self, start: usize) -> Option<usize> {
        let mut at = start;
        let mut depth = 0_usize;
        loop {
            match self.body.get(at)? {
                b'"' => at = self.past_string(at)?,
                b'{' | b'[' => {
                    depth += 1;
                    at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    at += 1;
                }
                b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' => at += 1,
                _ => {
                    let is_end = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' | b']' | b'}');
                    at += self.body.get(at..)?.iter().position(is_end).unwrap_or(self.body.len() - at);
                }
            }
            if depth == 0 {
                return Some(at);
            }
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

    /// The key of this value, if it stands in an object.
    pub(super) fn key(&self) -> Option<&str> {
        match self.levels.last()? {
            Level::Object(key) => Some(key),
            Level::List(_) => None,
        }
    }

    pub(super) fn is_string(&self) -> bool {
        self.value.first() == Some(&b'"')
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
