//! The digest index of one run: what the graph held when the run started, as hashes, and what the run has seen of it.
//!
//! Unchanged data must not touch Postgres: each emitted object is compared here, and only new and changed ones are
//! staged. What no complete slice contained is deleted, and that too is read off this index.

use porthole_model::object::{ContentHash, KeyHash};
use porthole_store::staging::ObjectKind;
use std::collections::{BTreeSet, HashMap};

/// The most objects one instance may hold, as long as the index lives in memory: 10 million at 44 bytes are 440 MB.
pub const MAX_INDEX_ROWS: usize = 10_000_000;

/// No slice of this run has seen it yet. Slice ids are positive.
const UNSEEN: i32 = 0;

/// An object that the graph held when the run started.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Its identity.
    pub key: KeyHash,
    /// Its content; replaced by what the run saw.
    pub content: ContentHash,
    /// The slice that owns it.
    pub slice: i32,
    /// Its type, by number; the caller keeps the names.
    pub type_id: u16,
    /// Entity or relationship.
    pub kind: ObjectKind,
    seen_by: i32,
    /// The run saw it and it was bad: what the graph has of it stays, and counts neither as seen nor as gone.
    kept: bool,
}

/// What an emitted object is, compared with the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// The graph has no such key.
    New,
    /// The graph has it with other content, or in another slice.
    Changed,
    /// As it was.
    Unchanged,
    /// Emitted before in this run, and what was emitted before stands.
    Duplicate {
        /// By this slice.
        by: i32,
        /// With the same content.
        same: bool,
    },
    /// Emitted before in this run, and this one takes its place.
    Replaces {
        /// By this slice.
        by: i32,
        /// The graph had the key when the run started.
        known: bool,
    },
}

/// The index; see the module's documentation.
#[derive(Debug, Default)]
pub struct Index {
    /// Sorted by key.
    known: Vec<Known>,
    fresh: HashMap<KeyHash, (ContentHash, i32)>,
}

/// More objects than [`MAX_INDEX_ROWS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the instance would hold more than {MAX_INDEX_ROWS} objects, the most one instance may have")]
pub struct IndexFull;

impl Index {
    /// Adds an object of the graph; before [`Index::seal`].
    ///
    /// # Errors
    /// When the index is full.
    pub fn load(
        &mut self,
        key: KeyHash,
        content: ContentHash,
        slice: i32,
        type_id: u16,
        kind: ObjectKind,
    ) -> Result<(), IndexFull> {
        if self.known.len() >= MAX_INDEX_ROWS {
            return Err(IndexFull);
        }
        self.known.push(Known { key, content, slice, type_id, kind, seen_by: UNSEEN, kept: false });
        Ok(())
    }

    /// Ends the loading.
    pub fn seal(&mut self) {
        self.known.sort_unstable_by_key(|k| k.key);
        self.known.shrink_to_fit();
    }

    /// Compares an emitted object and remembers that it was seen.
    ///
    /// Of two objects with one key the one with the smaller content hash stands, and of two equal ones that of the smaller
    /// slice. That is arbitrary on purpose: which of two partitions was faster must not decide what the graph holds, or a
    /// run couldn't be repeated.
    ///
    /// # Errors
    /// When the index is full.
    pub fn offer(&mut self, key: KeyHash, content: ContentHash, slice: i32) -> Result<Seen, IndexFull> {
        if let Ok(at) = self.known.binary_search_by_key(&key, |k| k.key)
            && let Some(known) = self.known.get_mut(at)
        {
            if known.seen_by != UNSEEN {
                let (by, before) = (known.seen_by, known.content);
                if (content, slice) < (before, by) {
                    (known.content, known.seen_by) = (content, slice);
                    return Ok(Seen::Replaces { by, known: true });
                }
                return Ok(Seen::Duplicate { by, same: content == before });
            }
            known.seen_by = slice;
            let same = known.content == content && known.slice == slice;
            known.content = content;
            return Ok(if same { Seen::Unchanged } else { Seen::Changed });
        }
        if let Some(held) = self.fresh.get_mut(&key) {
            let (before, by) = *held;
            if (content, slice) < (before, by) {
                *held = (content, slice);
                return Ok(Seen::Replaces { by, known: false });
            }
            return Ok(Seen::Duplicate { by, same: content == before });
        }
        if self.known.len() + self.fresh.len() >= MAX_INDEX_ROWS {
            return Err(IndexFull);
        }
        self.fresh.insert(key, (content, slice));
        Ok(Seen::New)
    }

    /// Remembers that an object came and was bad: what the graph has of it stays. It isn't part of the digest, which is
    /// over what was accepted and nothing else, and a good object of the same key is accepted as ever: neither may depend
    /// on what the graph held before, or a replay would find another digest.
    pub fn keep(&mut self, key: KeyHash) {
        if let Ok(at) = self.known.binary_search_by_key(&key, |k| k.key)
            && let Some(known) = self.known.get_mut(at)
        {
            known.kept = true;
        }
    }

    /// What the graph held in these slices and the run did not see.
    pub fn gone<'a>(&'a self, complete: &'a BTreeSet<i32>) -> impl Iterator<Item = &'a Known> + 'a {
        self.known.iter().filter(|k| k.seen_by == UNSEEN && !k.kept && complete.contains(&k.slice))
    }

    /// Objects that the graph held when the run started, by type number.
    pub fn held(&self) -> impl Iterator<Item = &Known> {
        self.known.iter()
    }

    /// BLAKE3 over (key, content) of everything that the run accepted, in the order of the keys: equal input gives an equal
    /// digest, in whatever order it arrived.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut fresh: Vec<(KeyHash, ContentHash)> = self.fresh.iter().map(|(k, (c, _))| (*k, *c)).collect();
        fresh.sort_unstable();
        let mut fresh = fresh.into_iter().peekable();
        let mut known = self.known.iter().filter(|k| k.seen_by != UNSEEN).map(|k| (k.key, k.content)).peekable();
        let mut hasher = blake3::Hasher::new();
        loop {
            let next = match (known.peek(), fresh.peek()) {
                (Some(k), Some(f)) if k < f => known.next(),
                (_, Some(_)) => fresh.next(),
                (Some(_), None) => known.next(),
                (None, None) => return *hasher.finalize().as_bytes(),
            };
            if let Some((key, content)) = next {
                hasher.update(&key.0);
                hasher.update(&content.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn key(n: u8) -> KeyHash {
        KeyHash([n; 16])
    }
    fn content(n: u8) -> ContentHash {
        ContentHash([n; 16])
    }
    fn index() -> Index {
        let mut index = Index::default();
        for n in [3, 1, 2] {
            index.load(key(n), content(n), 1, 0, ObjectKind::Entity).unwrap();
        }
        index.seal();
        index
    }

    #[test]
    fn tells_new_changed_unchanged_and_duplicate_apart() {
        let mut index = index();
        assert_eq!(index.offer(key(1), content(1), 1), Ok(Seen::Unchanged));
        assert_eq!(index.offer(key(2), content(9), 1), Ok(Seen::Changed));
        assert_eq!(index.offer(key(3), content(3), 2), Ok(Seen::Changed), "the slice moved");
        assert_eq!(index.offer(key(4), content(4), 1), Ok(Seen::New));
        assert_eq!(index.offer(key(1), content(1), 2), Ok(Seen::Duplicate { by: 1, same: true }));
        assert_eq!(index.offer(key(4), content(5), 2), Ok(Seen::Duplicate { by: 1, same: false }));
    }

    #[test]
    fn which_of_two_objects_stands_does_not_depend_on_which_came_first() {
        let offers =
            [(key(1), content(9), 1), (key(1), content(7), 2), (key(8), content(5), 2), (key(8), content(4), 1)];
        let (mut forth, mut back) = (index(), index());
        for (key, content, slice) in offers {
            forth.offer(key, content, slice).unwrap();
        }
        for (key, content, slice) in offers.into_iter().rev() {
            back.offer(key, content, slice).unwrap();
        }
        assert_eq!(forth.digest(), back.digest());
        assert_eq!(forth.offer(key(1), content(6), 3), Ok(Seen::Replaces { by: 2, known: true }));
        assert_eq!(forth.offer(key(8), content(4), 3), Ok(Seen::Duplicate { by: 1, same: true }));
        assert_eq!(forth.offer(key(8), content(4), 0), Ok(Seen::Replaces { by: 1, known: false }));
    }

    #[test]
    fn only_complete_slices_lose_what_was_not_seen() {
        let mut index = index();
        index.offer(key(1), content(1), 1).unwrap();
        let gone =
            |complete: &[i32]| index.gone(&complete.iter().copied().collect()).map(|k| k.key).collect::<Vec<_>>();
        assert_eq!(gone(&[]), []);
        assert_eq!(gone(&[1]), [key(2), key(3)]);
    }

    #[test]
    fn a_bad_object_keeps_its_former_version_and_is_not_in_the_digest() {
        let (mut known, mut fresh) = (index(), Index::default());
        known.keep(key(1));
        assert_eq!(known.digest(), fresh.digest(), "nothing was accepted");
        let complete = BTreeSet::from([1]);
        assert_eq!(known.gone(&complete).map(|k| k.key).collect::<Vec<_>>(), [key(2), key(3)]);
        // A good object after a bad one of its key is accepted, whatever the graph held.
        fresh.keep(key(1));
        assert_eq!(known.offer(key(1), content(7), 1), Ok(Seen::Changed));
        assert_eq!(fresh.offer(key(1), content(7), 1), Ok(Seen::New));
        assert_eq!(known.digest(), fresh.digest());
    }

    #[test]
    fn the_digest_does_not_depend_on_order_or_on_what_was_known() {
        let (mut a, mut b) = (index(), Index::default());
        for n in [1, 2, 5] {
            a.offer(key(n), content(n), 1).unwrap();
        }
        for n in [5, 2, 1] {
            b.offer(key(n), content(n), 7).unwrap();
        }
        assert_eq!(a.digest(), b.digest());
        b.offer(key(6), content(6), 7).unwrap();
        assert_ne!(a.digest(), b.digest());
    }
}
