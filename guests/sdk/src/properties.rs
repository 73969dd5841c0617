//! The properties of an object that is being built: written as they are set, and found again by name.

use crate::property::{Property, quoted};
use serde_json::Value;
use std::borrow::Cow;
use std::cell::RefCell;

/// Properties that most objects have at most, and bytes of them: made room for at once.
const TYPICAL: (usize, usize) = (24, 1024);
/// Buffers of written objects that are kept for the next ones, and the longest that is kept, in bytes.
const KEPT: (usize, usize) = (4, 64 * 1024);

/// Properties in the order in which they were set, written already.
#[derive(Debug, Clone, Default)]
pub(crate) struct Properties {
    /// Of each `,"name":value`.
    text: Vec<u8>,
    /// Names, and where each one's text begins.
    pub(crate) places: Vec<(Cow<'static, str>, usize)>,
    /// A bit for each name that is there; others may have the same.
    names: u64,
}

thread_local! {
    /// What objects that are done with leave behind, empty: an object is made and written by the thousand.
    static BUFFERS: RefCell<Vec<Properties>> = const { RefCell::new(Vec::new()) };
}

impl PartialEq for Properties {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Drop for Properties {
    fn drop(&mut self) {
        let is_worth_it = (1..=KEPT.1).contains(&self.text.capacity());
        // Neither fails but at the end of a thread, and then nothing is kept.
        let _ = BUFFERS.try_with(|buffers| {
            if let Ok(mut buffers) = buffers.try_borrow_mut()
                && is_worth_it
                && buffers.len() < KEPT.0
            {
                let (mut text, mut places) = (std::mem::take(&mut self.text), std::mem::take(&mut self.places));
                text.clear();
                places.clear();
                buffers.push(Self { text, places, names: 0 });
            }
        });
    }
}

impl Properties {
    /// Takes a buffer that was kept, or makes one.
    fn make_room(&mut self) {
        let kept = BUFFERS.try_with(|buffers| buffers.try_borrow_mut().ok().and_then(|mut buffers| buffers.pop()));
        match kept {
            Ok(Some(mut kept)) => std::mem::swap(self, &mut kept),
            _ => {
                self.places.reserve(TYPICAL.0);
                self.text.reserve(TYPICAL.1);
            }
        }
    }

    /// The host refuses an object with a key twice, so a property that is set again replaces the former value.
    pub(crate) fn set(&mut self, name: Cow<'static, str>, value: impl Property) {
        let bit = bit(&name);
        if self.names & bit != 0
            && let Some(at) = self.places.iter().position(|(known, _)| *known == name)
        {
            self.remove(at);
        }
        if self.text.capacity() == 0 {
            self.make_room();
        }
        let start = self.text.len();
        quoted(&mut self.text, b",\"", &name, b"\":");
        if value.write(&mut self.text) {
            self.places.push((name, start));
            self.names |= bit;
        } else {
            self.text.truncate(start);
        }
    }

    fn remove(&mut self, at: usize) {
        let (_, start) = self.places.remove(at);
        let end = self.places.get(at).map_or(self.text.len(), |(_, next)| *next);
        self.text.drain(start..end);
        self.places.iter_mut().skip(at).for_each(|(_, place)| *place -= end - start);
    }

    pub(crate) fn get(&self, name: &str) -> Option<Value> {
        let at = self.places.iter().position(|(known, _)| known == name)?;
        let (_, start) = self.places.get(at)?;
        let end = self.places.get(at + 1).map_or(self.text.len(), |(_, next)| *next);
        // Between the comma and the end is one member.
        let member = [b"{", self.text.get(start + 1..end)?, b"}"].concat();
        let mut member: serde_json::Map<String, Value> = serde_json::from_slice(&member).ok()?;
        member.remove(name)
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#","p":{"#);
        out.extend_from_slice(self.text.get(1..).unwrap_or_default());
        out.push(b'}');
    }
}

/// One of 64 bits for a name: from its length and its ends, in which the names of one object differ mostly.
fn bit(name: &str) -> u64 {
    let end = |byte: Option<&u8>| u32::from(byte.copied().unwrap_or(0));
    let (first, last) = (end(name.as_bytes().first()), end(name.as_bytes().last()));
    let length = u32::try_from(name.len()).unwrap_or(0);
    1 << ((length.wrapping_mul(7) ^ first.wrapping_mul(5) ^ last.wrapping_mul(3)) % 64)
}
