//! A strict reader of JSON that writes the canonical form as it goes: one pass, no tree.
//!
//! Strict means RFC 8259 and nothing beside it, and whatever passes here passes Postgres's `jsonb`: no U+0000, no half
//! surrogate pair, no duplicate keys, no numbers that grow. Canonical means RFC 8785: no spaces, keys in the order of
//! their UTF-16 code units, minimal escapes. Numbers differ from RFC 8785, which rounds them through doubles; here they
//! are exact ([`crate::number`]).

pub(crate) mod quick;

use crate::number;
use crate::reason::Reason;
use crate::text::shown;
use std::borrow::Cow;
use std::cmp::Ordering;

/// How deep values may nest, the line's own object counted: graph properties are flat or nearly so, and the recursion of
/// every reader after us stays small.
pub const MAX_DEPTH: usize = 16;
/// The longest string value, in bytes once unescaped: policies and descriptions fit, documents don't belong in a graph.
pub const MAX_STRING_BYTES: usize = 64 * 1024;
/// The most elements of a list, or members of an inner object: the largest lists we know (a group's members) are
/// relationships, not properties.
pub const MAX_ELEMENTS: usize = 10_000;
/// The most properties of an object: the widest type in use has under a hundred.
pub const MAX_PROPERTIES: usize = 256;
/// The longest name of a property or an inner key, in bytes. Tag keys of cloud providers have up to 256.
pub const MAX_NAME_BYTES: usize = 256;

/// Room for members that is made at once: most objects have fewer.
const TYPICAL_MEMBERS: usize = 32;

/// The canonical form of one JSON value.
///
/// # Errors
/// When it is no JSON, or breaks a limit of this module.
pub fn canonical(bytes: &[u8]) -> Result<String, Reason> {
    let mut scanner = Scanner::new(bytes)?;
    let mut out = String::with_capacity(bytes.len());
    scanner.value(&mut out)?;
    scanner.end()?;
    Ok(out)
}

/// A member of the object that is being written.
#[derive(Debug)]
pub(crate) struct Member<'a> {
    /// Its name, unescaped.
    pub(crate) name: Cow<'a, str>,
    /// Its value is `null`.
    pub(crate) null: bool,
    /// The first bytes of its name, as [`leading`] has them.
    leading: u64,
    /// Where it was written, name and value.
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Member<'_> {
    /// The canonical order. Names differ in their first bytes mostly, and those are compared at once.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        self.leading.cmp(&other.leading).then_with(|| compare_keys(&self.name, &other.name))
    }
}

/// A place in a text.
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// Members of all objects that are open, the innermost last: one buffer serves every level.
    members: Vec<Member<'a>>,
    /// Where an object whose keys came in another order is put together again.
    scratch: String,
    /// That order: the first bytes of each member's name, and its place.
    order: Vec<(u64, u32)>,
}

impl<'a> Scanner<'a> {
    /// Starts at the beginning.
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, Reason> {
        let text = std::str::from_utf8(bytes).map_err(|e| Reason::Utf8(e.valid_up_to()))?;
        Ok(Self {
            text,
            at: 0,
            depth: 0,
            members: Vec::with_capacity(TYPICAL_MEMBERS),
            scratch: String::new(),
            order: Vec::new(),
        })
    }

    fn syntax(&self, expected: &'static str) -> Reason {
        match self.peek() {
            Some(0) => Reason::Nul(self.at),
            _ => Reason::Syntax { at: self.at, expected },
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Skips spaces.
    pub(crate) fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Takes a byte if it is next.
    fn take(&mut self, byte: u8) -> bool {
        let is = self.peek() == Some(byte);
        self.at += usize::from(is);
        is
    }

    /// Takes a byte that must be next.
    pub(crate) fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), Reason> {
        if self.take(byte) { Ok(()) } else { Err(self.syntax(expected)) }
    }

    /// There is nothing left but spaces.
    pub(crate) fn end(&mut self) -> Result<(), Reason> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(self.syntax("the end of the line")) }
    }

    /// Goes one level deeper, at a bracket that was peeked.
    fn enter(&mut self) -> Result<(), Reason> {
        self.at += 1;
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(Reason::Depth) } else { Ok(()) }
    }

    /// Calls back for each member of an object, at its value.
    pub(crate) fn members(
        &mut self,
        mut each: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        if self.peek() != Some(b'{') {
            return Err(self.syntax("an object"));
        }
        self.enter()?;
        self.space();
        if !self.take(b'}') {
            loop {
                self.space();
                let name = self.name()?;
                each(self, name)?;
                self.space();
                if self.take(b'}') {
                    break;
                }
                self.expect(b',', "`,` or `}`")?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// A member's name and the colon after it.
    fn name(&mut self) -> Result<Cow<'a, str>, Reason> {
        let name = self.string()?;
        self.space();
        self.expect(b':', "`:`")?;
        self.space();
        Ok(name)
    }

    /// Calls back for each element of a list, at the element.
    pub(crate) fn elements(&mut self, mut each: impl FnMut(&mut Self) -> Result<(), Reason>) -> Result<(), Reason> {
        if self.peek() != Some(b'[') {
            return Err(self.syntax("a list"));
        }
        self.enter()?;
        self.space();
        if !self.take(b']') {
            let mut count = 0;
            loop {
                count += 1;
                if count > MAX_ELEMENTS {
                    return Err(Reason::ListTooLong);
                }
                self.space();
                each(self)?;
                self.space();
                if self.take(b']') {
                    break;
                }
                self.expect(b',', "`,` or `]`")?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Reads the properties of an object and writes them in canonical form.
    pub(crate) fn properties(&mut self, out: &mut String) -> Result<Vec<Member<'a>>, Reason> {
        self.object(out, |name, count| {
            if count > MAX_PROPERTIES {
                Err(Reason::TooManyProperties)
            } else if name.is_empty() {
                Err(Reason::PropertyName(0))
            } else if name.starts_with('_') {
                Err(Reason::ReservedProperty(shown(name)))
            } else {
                Ok(())
            }
        })
    }

    fn object(
        &mut self,
        out: &mut String,
        check: impl Fn(&str, usize) -> Result<(), Reason>,
    ) -> Result<Vec<Member<'a>>, Reason> {
        let opened_at = out.len();
        let first = self.members.len();
        out.push('{');
        self.members(|scanner, name| {
            if name.len() > MAX_NAME_BYTES {
                return Err(Reason::PropertyName(name.len()));
            }
            check(&name, scanner.members.len() - first + 1)?;
            if scanner.members.len() > first {
                out.push(',');
            }
            let start = out.len();
            write_read(&name, out);
            out.push(':');
            let null = scanner.peek() == Some(b'n');
            scanner.value(out)?;
            let leading = leading(&name);
            scanner.members.push(Member { name, null, leading, start, end: out.len() });
            Ok(())
        })?;
        // The outermost takes the buffer itself, which saves a copy for the flat objects that most are.
        let members = if first == 0 { std::mem::take(&mut self.members) } else { self.members.split_off(first) };
        self.sort(&members, out, opened_at)?;
        out.push('}');
        Ok(members)
    }

    /// Puts the members that were written since `opened_at` into canonical order.
    fn sort(&mut self, members: &[Member<'a>], out: &mut String, opened_at: usize) -> Result<(), Reason> {
        if members.is_sorted_by(|a, b| a.compare(b).is_lt()) {
            return Ok(());
        }
        let Self { order, scratch, .. } = self;
        order.clear();
        order.extend((0..).zip(members).map(|(at, member)| (member.leading, at)));
        let member = |at: u32| members.get(at as usize);
        let name = |at: u32| member(at).map_or("", |m| &m.name);
        // Names differ in their first bytes mostly, and those are compared at once.
        order.sort_unstable_by(|(a, x), (b, y)| a.cmp(b).then_with(|| compare_keys(name(*x), name(*y))));
        let twice = order.array_windows().find(|[(a, x), (b, y)]| a == b && name(*x) == name(*y));
        if let Some([(_, at), _]) = twice {
            return Err(Reason::DuplicateKey(shown(name(*at))));
        }
        scratch.clear();
        scratch.reserve(out.len() - opened_at);
        for (_, at) in order.iter() {
            scratch.push(if scratch.is_empty() { '{' } else { ',' });
            // Both ends were noted between two writes, so they are there.
            scratch.push_str(member(*at).and_then(|m| out.get(m.start..m.end)).unwrap_or_default());
        }
        if opened_at == 0 {
            std::mem::swap(out, scratch);
        } else {
            out.truncate(opened_at);
            out.push_str(scratch);
        }
        Ok(())
    }

    /// Reads one value and writes its canonical form.
    pub(crate) fn value(&mut self, out: &mut String) -> Result<(), Reason> {
        if self.depth == 0 {
            self.space();
        }
        match self.peek() {
            Some(b'"') => {
                let text = self.string()?;
                if text.len() > MAX_STRING_BYTES {
                    return Err(Reason::StringTooLong(text.len()));
                }
                write_read(&text, out);
                Ok(())
            }
            Some(b'{') => {
                let limit = |_: &str, count| if count > MAX_ELEMENTS { Err(Reason::ListTooLong) } else { Ok(()) };
                self.object(out, limit).map(drop)
            }
            Some(b'[') => {
                out.push('[');
                let opened_at = out.len();
                self.elements(|scanner| {
                    if out.len() > opened_at {
                        out.push(',');
                    }
                    scanner.value(out)
                })?;
                out.push(']');
                Ok(())
            }
            Some(b'-' | b'0'..=b'9') => number::canonical(self.number()?, out),
            Some(b't') => self.word("true", out),
            Some(b'f') => self.word("false", out),
            Some(b'n') => self.word("null", out),
            _ => Err(self.syntax("a value")),
        }
    }

    fn word(&mut self, word: &'static str, out: &mut String) -> Result<(), Reason> {
        if !self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return Err(self.syntax("`true`, `false` or `null`"));
        }
        self.at += word.len();
        out.push_str(word);
        Ok(())
    }

    /// The text of a number, checked against the grammar.
    fn number(&mut self) -> Result<&'a str, Reason> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _signed = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        self.text.get(start..self.at).ok_or_else(|| self.syntax("a number"))
    }

    fn digits(&mut self) -> Result<(), Reason> {
        if !self.peek().is_some_and(|b| b.is_ascii_digit()) {
            return Err(self.syntax("a digit"));
        }
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    /// A string, unescaped. One without escapes is borrowed.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, Reason> {
        self.expect(b'"', "a string")?;
        let plain = self.plain();
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                Ok(Cow::Borrowed(plain))
            }
            Some(b'\\') => self.escaped(plain.to_owned()).map(Cow::Owned),
            _ => Err(self.syntax("a string without raw control characters, closed by `\"`")),
        }
    }

    /// What follows up to a quote, a backslash or a control character.
    fn plain(&mut self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end = plain_length(rest.as_bytes());
        self.at += end;
        // All three are ASCII, so this is a character boundary.
        rest.get(..end).unwrap_or_default()
    }

    fn escaped(&mut self, mut text: String) -> Result<String, Reason> {
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => text.push(self.escape()?),
                _ => return Err(self.syntax("a string without raw control characters, closed by `\"`")),
            }
            text.push_str(self.plain());
        }
    }

    /// One escape, at its backslash.
    fn escape(&mut self) -> Result<char, Reason> {
        let start = self.at;
        self.at += 1;
        let short = match self.peek() {
            Some(b @ (b'"' | b'\\' | b'/')) => char::from(b),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(start),
            _ => return Err(self.syntax("an escape of JSON")),
        };
        self.at += 1;
        Ok(short)
    }

    /// `\uXXXX`, or two of them, at the `u`.
    fn unicode(&mut self, start: usize) -> Result<char, Reason> {
        let high = self.hex()?;
        let code = match high {
            0 => return Err(Reason::Nul(start)),
            0xd800..=0xdbff => {
                let pair = self.take(b'\\') && self.peek() == Some(b'u');
                let low = if pair { self.hex()? } else { 0 };
                if !(0xdc00..=0xdfff).contains(&low) {
                    return Err(Reason::Surrogate(start));
                }
                0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
            }
            _ => high,
        };
        char::from_u32(code).ok_or(Reason::Surrogate(start))
    }

    /// Four hexadecimal digits after the `u`.
    fn hex(&mut self) -> Result<u32, Reason> {
        let mut code = 0;
        for _ in 0..4 {
            self.at += 1;
            let digit = self.peek().and_then(|b| char::from(b).to_digit(16));
            code = code * 16 + digit.ok_or_else(|| self.syntax("four hexadecimal digits"))?;
        }
        self.at += 1;
        Ok(code)
    }
}

/// How many bytes come before the first quote, backslash or control character: eight at a time, because most of an object
/// is inside of strings.
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    // The high bit of each byte that is below `n`. A borrow can only raise bits above the first such byte, and the first
    // is what is looked for.
    let below = |word: u64, n: u64| word.wrapping_sub(ONES * n) & !word & HIGHS;
    let is = |word: u64, byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let mut at = 0;
    while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*word);
        let found = below(word, 0x20) | is(word, b'"') | is(word, b'\\');
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let ends = |b: &u8| matches!(b, b'"' | b'\\' | 0..0x20);
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(ends).unwrap_or(rest.len())
}

/// Writes a string that was read. One without escapes is in canonical form already.
#[expect(clippy::ptr_arg, reason = "borrowed means that it had no escapes")]
fn write_read(text: &Cow<'_, str>, out: &mut String) {
    match text {
        Cow::Borrowed(plain) => {
            out.push('"');
            out.push_str(plain);
            out.push('"');
        }
        Cow::Owned(text) => write_string(text, out),
    }
}

/// Writes a string with the escapes of RFC 8785: those that JSON demands, in their short form where there is one.
fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    loop {
        let (before, after) = rest.split_at(plain_length(rest.as_bytes()));
        if after.is_empty() {
            break;
        }
        out.push_str(before);
        let mut chars = after.chars();
        match chars.next() {
            Some('\u{8}') => out.push_str("\\b"),
            Some('\t') => out.push_str("\\t"),
            Some('\n') => out.push_str("\\n"),
            Some('\u{c}') => out.push_str("\\f"),
            Some('\r') => out.push_str("\\r"),
            Some(c @ ('"' | '\\')) => out.extend(['\\', c]),
            Some(c) => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

/// The order of RFC 8785: by UTF-16 code units. It differs from the order of UTF-8 bytes in one place: U+E000 to U+FFFF
/// come after the characters that need a surrogate pair.
fn compare_keys(a: &str, b: &str) -> Ordering {
    a.bytes().map(weight).cmp(b.bytes().map(weight))
}

/// A byte of a key, as it is ordered. Where the first difference is inside a character, both bytes are continuation bytes
/// and keep their order.
fn weight(byte: u8) -> u8 {
    if matches!(byte, 0xee | 0xef) { byte + 0x10 } else { byte }
}

/// The first eight bytes of a key as a number of the same order; a shorter one is filled up. No key has a byte 0, so what
/// is filled up comes first, as it should.
fn leading(key: &str) -> u64 {
    let bytes = key.as_bytes();
    let first = bytes.first_chunk::<8>().copied().unwrap_or_else(|| {
        let mut filled = [0; 8];
        filled.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        filled
    });
    // Most keys are ASCII, whose weights are the bytes themselves.
    u64::from_be_bytes(if first.is_ascii() { first } else { first.map(weight) })
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
