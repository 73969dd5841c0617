//! A quick look at JSON that is in canonical form already, but for the order in which an object has its properties: what
//! guests write is. Nothing is copied, and nothing is refused here: whatever isn't plainly in that form, valid or not, is
//! left to the [`super::Scanner`], which alone says what is wrong.
//!
//! What this reader takes, the scanner takes too, and writes the same bytes; a test compares the two.

use super::{MAX_DEPTH, MAX_ELEMENTS, MAX_NAME_BYTES, MAX_PROPERTIES, MAX_STRING_BYTES, Member, compare_keys};
use super::{leading, plain_length};
use crate::number;
use std::borrow::Cow;

/// The longest integer that fits 64 bits whatever its digits are, in characters, a sign included.
const SURE_INTEGER_CHARS: usize = 18;

/// A place in a text. None from any of its methods means: not for this reader.
pub(crate) struct Quick<'a> {
    text: &'a str,
    at: usize,
    /// Where a number that isn't plainly canonical is written, to be compared.
    number: String,
}

impl<'a> Quick<'a> {
    /// Starts at the beginning.
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, number: String::new() }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Takes a byte if it is next.
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let is = self.peek() == Some(byte);
        self.at += usize::from(is);
        is
    }

    /// Takes a byte that must be next.
    pub(crate) fn expect(&mut self, byte: u8) -> Option<()> {
        self.take(byte).then_some(())
    }

    /// There is nothing left.
    pub(crate) fn is_over(&self) -> bool {
        self.at == self.text.len()
    }

    /// A string without escapes.
    pub(crate) fn plain(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let start = self.at;
        self.at += plain_length(self.text.as_bytes().get(start..)?);
        let end = self.at;
        self.expect(b'"')?;
        self.text.get(start..end)
    }

    /// A string whose escapes are those that it would be written with.
    fn string(&mut self) -> Option<()> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            self.at += plain_length(self.text.as_bytes().get(self.at..)?);
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    self.at += 1;
                    if !matches!(self.peek()?, b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't') {
                        return None;
                    }
                    self.at += 1;
                }
                _ => return None,
            }
        }
        // It is no longer unescaped than it is here.
        let fits = self.at - start <= MAX_STRING_BYTES;
        self.at += 1;
        fits.then_some(())
    }

    /// The properties of an object, in the order in which they stand there. Whether a name is there twice is for whoever
    /// sorts them to see.
    pub(crate) fn properties(&mut self, members: &mut Vec<Member<'a>>) -> Option<()> {
        self.expect(b'{')?;
        if self.take(b'}') {
            return Some(());
        }
        loop {
            let start = self.at;
            let name = self.plain()?;
            if name.is_empty() || name.len() > MAX_NAME_BYTES || name.starts_with('_') {
                return None;
            }
            self.expect(b':')?;
            let null = self.peek() == Some(b'n');
            // The line's own object is the first level, and this one the second.
            self.value(2)?;
            let leading = leading(name);
            members.push(Member { name: Cow::Borrowed(name), null, leading, start, end: self.at });
            if members.len() > MAX_PROPERTIES {
                return None;
            }
            if self.take(b'}') {
                return Some(());
            }
            self.expect(b',')?;
        }
    }

    /// A value within so many levels.
    fn value(&mut self, depth: usize) -> Option<()> {
        match self.peek()? {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            b'[' if depth < MAX_DEPTH => self.list(depth + 1),
            b'{' if depth < MAX_DEPTH => self.object(depth + 1),
            _ => None,
        }
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let is = self.text.as_bytes().get(self.at..)?.starts_with(word.as_bytes());
        self.at += word.len();
        is.then_some(())
    }

    fn list(&mut self, depth: usize) -> Option<()> {
        self.at += 1;
        if self.take(b']') {
            return Some(());
        }
        for _ in 0..MAX_ELEMENTS {
            self.value(depth)?;
            if self.take(b']') {
                return Some(());
            }
            self.expect(b',')?;
        }
        None
    }

    /// An inner object, whose keys must be in order.
    fn object(&mut self, depth: usize) -> Option<()> {
        self.at += 1;
        if self.take(b'}') {
            return Some(());
        }
        let mut last: Option<&str> = None;
        for _ in 0..MAX_ELEMENTS {
            let name = self.plain()?;
            if name.len() > MAX_NAME_BYTES || last.is_some_and(|last| compare_keys(last, name).is_ge()) {
                return None;
            }
            last = Some(name);
            self.expect(b':')?;
            self.value(depth)?;
            if self.take(b'}') {
                return Some(());
            }
            self.expect(b',')?;
        }
        None
    }

    fn number(&mut self) -> Option<()> {
        let start = self.at;
        self.take(b'-');
        let first = self.at;
        self.digits()?;
        let whole = self.text.get(start..self.at)?;
        let is_fraction = matches!(self.peek(), Some(b'.' | b'e' | b'E'));
        let zero_in_front = self.text.as_bytes().get(first) == Some(&b'0');
        if !is_fraction && whole.len() <= SURE_INTEGER_CHARS {
            return (!zero_in_front || whole == "0").then_some(());
        }
        if zero_in_front && self.at > first + 1 {
            return None;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') {
            self.take(b'-');
            self.digits()?;
        }
        let text = self.text.get(start..self.at)?;
        self.number.clear();
        number::canonical(text, &mut self.number).ok()?;
        (self.number == text).then_some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}
