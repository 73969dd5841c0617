//! What is hashed of an object.

use super::reader::{Draft, Properties};
use crate::json::Member;
use crate::object::{KeyHash, first_half};
use std::ops::Range;

/// The canonical order of the members of an object, as places among them. Kept from one object to the next, because
/// looking whether an order holds costs less than finding it.
#[derive(Default)]
pub(super) struct Order(Vec<usize>);

impl Order {
    /// Finds it. None when a name is there twice.
    pub(super) fn find(&mut self, members: &[Member<'_>]) -> Option<()> {
        if self.is_of(members) {
            return Some(());
        }
        self.0.clear();
        self.0.extend(0..members.len());
        let member = |at: usize| members.get(at);
        self.0.sort_unstable_by(|a, b| match (member(*a), member(*b)) {
            (Some(a), Some(b)) => a.compare(b),
            // Not met: all of them are places.
            _ => a.cmp(b),
        });
        self.is_of(members).then_some(())
    }

    fn is_of(&self, members: &[Member<'_>]) -> bool {
        let in_order = |pair: &[usize; 2]| {
            let [a, b] = pair.map(|at| members.get(at));
            a.zip(b).is_some_and(|(a, b)| a.compare(b).is_lt())
        };
        self.0.len() == members.len() && self.0.array_windows().all(in_order)
    }
}

/// What is hashed: each text behind its length, so that no two different objects are the same bytes.
pub(super) struct Writing<'t>(pub(super) &'t mut Vec<u8>);

impl Writing<'_> {
    /// Writes a key. `kind` keeps entities and relationships apart.
    pub(super) fn key(&mut self, kind: u8, pieces: &[&str]) -> (Range<usize>, KeyHash) {
        let start = self.0.len();
        self.0.push(kind);
        pieces.iter().for_each(|piece| self.0.extend_from_slice(piece.as_bytes()));
        let hash = KeyHash(first_half(&blake3::hash(self.0.get(start..).unwrap_or_default())));
        (start + 1..self.0.len(), hash)
    }

    /// Begins the content. `kind` keeps entities, relationships and later versions of this encoding apart.
    pub(super) fn begin(&mut self, kind: &[u8; 2]) -> usize {
        let start = self.0.len();
        self.0.extend_from_slice(kind);
        start
    }

    fn count(&mut self, n: usize) {
        self.0.extend_from_slice(&(n as u64).to_le_bytes());
    }

    pub(super) fn field(&mut self, text: &str) -> Range<usize> {
        self.count(text.len());
        self.0.extend_from_slice(text.as_bytes());
        self.0.len() - text.len()..self.0.len()
    }

    pub(super) fn list(&mut self, texts: &[String]) {
        self.count(texts.len());
        for text in texts {
            self.field(text);
        }
    }

    pub(super) fn properties(&mut self, draft: &Draft<'_>) -> Range<usize> {
        match &draft.properties {
            None => self.field("{}"),
            Some(Properties::Written(text)) => self.field(text),
            Some(Properties::InLine) => {
                let places = || draft.order.0.iter().filter_map(|at| draft.members.get(*at)).map(|m| m.start..m.end);
                // Brackets, and a comma after each but the last.
                let length = 1 + draft.members.len().max(1) + places().map(|place| place.len()).sum::<usize>();
                self.count(length);
                let start = self.0.len();
                self.0.push(b'{');
                for place in places() {
                    if self.0.len() > start + 1 {
                        self.0.push(b',');
                    }
                    self.0.extend_from_slice(draft.line.get(place).unwrap_or_default());
                }
                self.0.push(b'}');
                start..self.0.len()
            }
        }
    }
}
