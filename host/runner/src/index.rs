//! The digest index of one run: what the graph held when the run started, as hashes, and what the run has seen of it.
//!
//! Unchanged data must not touch Postgres: each emitted object is compared here, and only new and changed ones are
//! staged. What no complete slice contained is deleted, and that too is read off this index.
//!
//! Two parts. What the graph held is sorted, 36 bytes an object ([`sorted`]). What is new is an array of the same width, in
//! the order of arrival, with a table of positions: about 10 bytes an object more. When both together are more than the
//! budget, they are merged into one sorted file, and what is new from then on begins anew.

mod sorted;

use hashbrown::HashTable;
use porthole_model::object::{ContentHash, KeyHash};
use porthole_store::staging::ObjectKind;
use sorted::{Known, Loading, Sorted, leading, ordinal};
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::io;

/// Objects that a run holds in memory: 360 MB when the graph has them already, and 460 MB when all of them are new. What is
/// above it is in a temporary file.
pub const INDEX_BUDGET_ROWS: usize = 10_000_000;
/// The most objects one instance may have. Ten times the largest that we know of; the index of so many is a file of 3.6 GB,
/// twice that while it is merged, and 50 MB of memory beyond the budget.
pub const MAX_INDEX_ROWS: usize = 100_000_000;

/// How much is hashed at once for the digest, in bytes: enough for the hash to use the width of the processor.
const DIGEST_BYTES: usize = 64 * 1024;

/// The run saw it.
const SEEN: u32 = 1 << 31;
/// The run saw it and it was bad: what the graph has of it stays, and counts neither as seen nor as gone.
const KEPT: u32 = 1 << 30;
/// The graph didn't hold it: it is there since new objects were merged with what was known.
const FRESH: u32 = 1 << 29;
/// The number of the owner. There is at most one for each object.
const OWNER: u32 = FRESH - 1;

/// An object that the graph didn't hold, since the last merge.
#[derive(Debug, Clone, Copy)]
struct Fresh {
    key: KeyHash,
    content: ContentHash,
    /// The slice whose version stands.
    slice: i32,
}

/// What few objects differ in: where they belong, and what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Owner {
    slice: i32,
    type_id: u16,
    kind: ObjectKind,
}

/// An object that its slice no longer contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone {
    /// Its identity.
    pub key: KeyHash,
    /// The slice that owns it.
    pub slice: i32,
    /// Entity or relationship.
    pub kind: ObjectKind,
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
#[derive(Debug)]
pub struct Index {
    budget: usize,
    /// Until it is sealed.
    loading: Loading,
    known: Sorted,
    owners: Vec<Owner>,
    owner_numbers: HashMap<Owner, u32>,
    fresh: Vec<Fresh>,
    /// Places in `fresh`, by key.
    places: HashTable<u32>,
    seed: Seed,
}

/// What keys are spread with in the table of new ones. They are hashes already, but a guest chooses what is hashed, and
/// could choose keys that meet in one place of the table.
#[derive(Debug, Clone, Copy)]
struct Seed([u64; 2]);

impl Default for Seed {
    fn default() -> Self {
        Self([0_u8, 1].map(|n| RandomState::new().hash_one(n)))
    }
}

impl Seed {
    fn spread(self, key: KeyHash) -> u64 {
        let [a, b] = self.0;
        let (high, low) = (leading(key), ordinal(key) as u64);
        let product = u128::from(high ^ a) * u128::from(low ^ b);
        (product >> 64) as u64 ^ product as u64
    }
}

/// Why the index can't go on.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// More objects than [`MAX_INDEX_ROWS`].
    #[error("the instance would hold more than {MAX_INDEX_ROWS} objects, the most one instance may have")]
    Full,
    /// The file for what is above the budget.
    #[error("the index of a large instance can't be kept in a temporary file")]
    Spill(#[from] io::Error),
}

impl Default for Index {
    fn default() -> Self {
        Self::with_budget(INDEX_BUDGET_ROWS)
    }
}

impl Index {
    /// An index that holds at most so many objects in memory.
    #[must_use]
    pub fn with_budget(rows: usize) -> Self {
        let budget = rows.max(1);
        Self {
            budget,
            loading: Loading::new(budget),
            known: Sorted::default(),
            owners: Vec::new(),
            owner_numbers: HashMap::new(),
            fresh: Vec::new(),
            places: HashTable::new(),
            seed: Seed::default(),
        }
    }

    /// Adds an object of the graph; before [`Index::seal`].
    ///
    /// # Errors
    /// When the index is full, or its file can't be written.
    pub fn load(
        &mut self,
        key: KeyHash,
        content: ContentHash,
        slice: i32,
        type_id: u16,
        kind: ObjectKind,
    ) -> Result<(), IndexError> {
        if self.loading.len() >= MAX_INDEX_ROWS {
            return Err(IndexError::Full);
        }
        let owner = Owner { slice, type_id, kind };
        // Objects come as they are stored, and most are stored beside one of the same owner.
        let number = match self.loading.last().map(|k| k.owner) {
            Some(last) if self.owner(last) == Some(owner) => last,
            _ => self.number(owner),
        };
        Ok(self.loading.push(Known { key, content, owner: number })?)
    }

    /// Ends the loading.
    ///
    /// # Errors
    /// When its file can't be written.
    pub fn seal(&mut self) -> Result<(), IndexError> {
        let loading = std::mem::replace(&mut self.loading, Loading::new(self.budget));
        self.known = loading.finish()?;
        Ok(())
    }

    /// Has the processor fetch what [`Index::offer`] will look at. One object after the other would wait for memory three
    /// times each; here the waits of many objects are one.
    pub fn fetch(&self, keys: impl Iterator<Item = KeyHash>) {
        self.known.fetch(keys);
    }

    /// Compares an emitted object and remembers that it was seen.
    ///
    /// Of two objects with one key the one with the smaller content hash stands, and of two equal ones that of the smaller
    /// slice. That is arbitrary on purpose: which of two partitions was faster must not decide what the graph holds, or a
    /// run couldn't be repeated.
    ///
    /// # Errors
    /// When the index is full, or its file can't be read or written.
    pub fn offer(&mut self, key: KeyHash, content: ContentHash, slice: i32) -> Result<Seen, IndexError> {
        match self.known.find(key)? {
            Some((at, held)) => Ok(self.offer_known(at, held, content, slice)?),
            None => self.offer_fresh(key, content, slice),
        }
    }

    fn offer_known(&mut self, at: usize, held: Known, content: ContentHash, slice: i32) -> io::Result<Seen> {
        let Known { key, content: before, owner } = held;
        let by = self.owner(owner).map_or(slice, |o| o.slice);
        let same = content == before;
        let seen = match owner & SEEN {
            0 if same && by == slice => Seen::Unchanged,
            0 => Seen::Changed,
            _ if (content, slice) < (before, by) => Seen::Replaces { by, known: owner & FRESH == 0 },
            _ => return Ok(Seen::Duplicate { by, same }),
        };
        // From now on the owner is the slice whose version stands.
        let owner = if by == slice { owner } else { self.moved(owner, slice) };
        self.known.set(at, Known { key, content, owner: owner | SEEN })?;
        Ok(seen)
    }

    fn offer_fresh(&mut self, key: KeyHash, content: ContentHash, slice: i32) -> Result<Seen, IndexError> {
        let Self { fresh, places, known, seed, .. } = self;
        let at = |place: &u32| fresh.get(*place as usize);
        if let Some(place) = places.find(seed.spread(key), |place| at(place).is_some_and(|f| f.key == key)).copied()
            && let Some(held) = fresh.get_mut(place as usize)
        {
            let (before, by) = (held.content, held.slice);
            if (content, slice) < (before, by) {
                (held.content, held.slice) = (content, slice);
                return Ok(Seen::Replaces { by, known: false });
            }
            return Ok(Seen::Duplicate { by, same: content == before });
        }
        if known.len() + fresh.len() >= MAX_INDEX_ROWS {
            return Err(IndexError::Full);
        }
        let place = u32::try_from(fresh.len()).map_err(|_| IndexError::Full)?;
        fresh.push(Fresh { key, content, slice });
        places.insert_unique(seed.spread(key), place, |place| {
            fresh.get(*place as usize).map_or(0, |f| seed.spread(f.key))
        });
        if self.known.in_memory_len() + self.fresh.len() > self.budget {
            self.merge()?;
        }
        Ok(Seen::New)
    }

    /// Moves everything into one sorted file.
    fn merge(&mut self) -> io::Result<()> {
        let fresh = std::mem::take(&mut self.fresh);
        self.places = HashTable::new();
        // Type and kind are asked of what the graph held, and of nothing else.
        let owner = |slice| Owner { slice, type_id: u16::MAX, kind: ObjectKind::Entity };
        let mut rows: Vec<Known> = fresh
            .into_iter()
            .map(|f| Known { key: f.key, content: f.content, owner: self.number(owner(f.slice)) | FRESH | SEEN })
            .collect();
        sorted::sort(&mut rows);
        self.known = std::mem::take(&mut self.known).and(&rows)?;
        Ok(())
    }

    /// Remembers that an object came and was bad: what the graph has of it stays. It isn't part of the digest, which is
    /// over what was accepted and nothing else, and a good object of the same key is accepted as ever: neither may depend
    /// on what the graph held before, or a replay would find another digest.
    ///
    /// # Errors
    /// When its file can't be read or written.
    pub fn keep(&mut self, key: KeyHash) -> Result<(), IndexError> {
        if let Some((at, held)) = self.known.find(key)? {
            self.known.set(at, Known { owner: held.owner | KEPT, ..held })?;
        }
        Ok(())
    }

    /// What the graph held in these slices and the run did not see.
    pub fn gone<'a>(&'a self, complete: &'a BTreeSet<i32>) -> impl Iterator<Item = Result<Gone, IndexError>> + 'a {
        self.known.iter().filter_map(|known| {
            let k = match known {
                Ok(k) if k.owner & (SEEN | KEPT) == 0 => k,
                Ok(_) => return None,
                Err(e) => return Some(Err(e.into())),
            };
            let Owner { slice, kind, .. } = self.owner(k.owner)?;
            complete.contains(&slice).then_some(Ok(Gone { key: k.key, slice, kind }))
        })
    }

    /// How many objects of each type number the graph held when the run started.
    ///
    /// # Errors
    /// When its file can't be read.
    pub fn held(&self) -> Result<HashMap<u16, u64>, IndexError> {
        let mut by_owner = vec![0_u64; self.owners.len()];
        for known in self.known.iter() {
            let owner = known?.owner;
            if let Some(count) = by_owner.get_mut((owner & OWNER) as usize).filter(|_| owner & FRESH == 0) {
                *count += 1;
            }
        }
        let mut by_type = HashMap::new();
        for (owner, count) in self.owners.iter().zip(by_owner) {
            *by_type.entry(owner.type_id).or_default() += count;
        }
        by_type.retain(|_, count| *count > 0);
        Ok(by_type)
    }

    /// BLAKE3 over (key, content) of everything that the run accepted, in the order of the keys: equal input gives an equal
    /// digest, in whatever order it arrived.
    ///
    /// # Errors
    /// When its file can't be read.
    pub fn digest(&self) -> Result<[u8; 32], IndexError> {
        let mut order: Vec<(u64, u32)> = (0..).zip(&self.fresh).map(|(at, f)| (leading(f.key), at)).collect();
        let fresh_at = |at: u32| self.fresh.get(at as usize);
        order.sort_unstable_by(|(a, x), (b, y)| {
            a.cmp(b).then_with(|| fresh_at(*x).map(|f| ordinal(f.key)).cmp(&fresh_at(*y).map(|f| ordinal(f.key))))
        });
        let mut fresh = order.into_iter().filter_map(|(_, at)| fresh_at(at)).map(|f| (f.key, f.content)).peekable();
        let mut digest = Digest::default();
        for known in self.known.iter() {
            let Known { key, content, owner } = known?;
            while let Some((key, content)) = fresh.next_if(|f| f.0 < key) {
                digest.add(key, content);
            }
            if owner & SEEN != 0 {
                digest.add(key, content);
            }
        }
        fresh.for_each(|(key, content)| digest.add(key, content));
        Ok(digest.finish())
    }

    fn owner(&self, number: u32) -> Option<Owner> {
        self.owners.get((number & OWNER) as usize).copied()
    }

    /// The number of an owner.
    fn number(&mut self, owner: Owner) -> u32 {
        let next = u32::try_from(self.owners.len()).unwrap_or(u32::MAX);
        let number = *self.owner_numbers.entry(owner).or_insert(next);
        if number == next {
            self.owners.push(owner);
        }
        number
    }

    /// The same object in another slice.
    fn moved(&mut self, owner: u32, slice: i32) -> u32 {
        match self.owner(owner) {
            Some(former) => self.number(Owner { slice, ..former }) | (owner & (KEPT | FRESH)),
            None => owner,
        }
    }
}

/// The digest, as it comes about.
#[derive(Default)]
struct Digest {
    hasher: blake3::Hasher,
    bytes: Vec<u8>,
}

impl Digest {
    fn add(&mut self, key: KeyHash, content: ContentHash) {
        self.bytes.extend_from_slice(&key.0);
        self.bytes.extend_from_slice(&content.0);
        if self.bytes.len() >= DIGEST_BYTES {
            self.hasher.update(&self.bytes);
            self.bytes.clear();
        }
    }

    fn finish(mut self) -> [u8; 32] {
        *self.hasher.update(&self.bytes).finalize().as_bytes()
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
        index.seal().unwrap();
        index
    }

    #[test]
    fn tells_new_changed_unchanged_and_duplicate_apart() {
        let mut index = index();
        assert_eq!(index.offer(key(1), content(1), 1).unwrap(), Seen::Unchanged);
        assert_eq!(index.offer(key(2), content(9), 1).unwrap(), Seen::Changed);
        assert_eq!(index.offer(key(3), content(3), 2).unwrap(), Seen::Changed, "the slice moved");
        assert_eq!(index.offer(key(4), content(4), 1).unwrap(), Seen::New);
        assert_eq!(index.offer(key(1), content(1), 2).unwrap(), Seen::Duplicate { by: 1, same: true });
        assert_eq!(index.offer(key(4), content(5), 2).unwrap(), Seen::Duplicate { by: 1, same: false });
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
        assert_eq!(forth.digest().unwrap(), back.digest().unwrap());
        assert_eq!(forth.offer(key(1), content(6), 3).unwrap(), Seen::Replaces { by: 2, known: true });
        assert_eq!(forth.offer(key(8), content(4), 3).unwrap(), Seen::Duplicate { by: 1, same: true });
        assert_eq!(forth.offer(key(8), content(4), 0).unwrap(), Seen::Replaces { by: 1, known: false });
    }

    #[test]
    fn only_complete_slices_lose_what_was_not_seen() {
        let mut index = index();
        index.offer(key(1), content(1), 1).unwrap();
        let gone = |complete: &[i32]| {
            index.gone(&complete.iter().copied().collect()).map(|k| k.unwrap().key).collect::<Vec<_>>()
        };
        assert_eq!(gone(&[]), []);
        assert_eq!(gone(&[1]), [key(2), key(3)]);
    }

    #[test]
    fn a_bad_object_keeps_its_former_version_and_is_not_in_the_digest() {
        let (mut known, mut fresh) = (index(), Index::default());
        known.keep(key(1)).unwrap();
        assert_eq!(known.digest().unwrap(), fresh.digest().unwrap(), "nothing was accepted");
        let complete = BTreeSet::from([1]);
        assert_eq!(known.gone(&complete).map(|k| k.unwrap().key).collect::<Vec<_>>(), [key(2), key(3)]);
        // A good object after a bad one of its key is accepted, whatever the graph held.
        fresh.keep(key(1)).unwrap();
        assert_eq!(known.offer(key(1), content(7), 1).unwrap(), Seen::Changed);
        assert_eq!(fresh.offer(key(1), content(7), 1).unwrap(), Seen::New);
        assert_eq!(known.digest().unwrap(), fresh.digest().unwrap());
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
        assert_eq!(a.digest().unwrap(), b.digest().unwrap());
        b.offer(key(6), content(6), 7).unwrap();
        assert_ne!(a.digest().unwrap(), b.digest().unwrap());
    }

    /// The same rules, the slow way.
    #[derive(Default)]
    struct Slow {
        known: std::collections::BTreeMap<KeyHash, (ContentHash, i32, Option<i32>)>,
        fresh: std::collections::BTreeMap<KeyHash, (ContentHash, i32)>,
    }

    impl Slow {
        fn offer(&mut self, key: KeyHash, content: ContentHash, slice: i32) -> Seen {
            if let Some((before, owner, seen_by)) = self.known.get_mut(&key) {
                let same = *before == content;
                let seen = match *seen_by {
                    None if same && *owner == slice => Seen::Unchanged,
                    None => Seen::Changed,
                    Some(by) if (content, slice) < (*before, by) => Seen::Replaces { by, known: true },
                    Some(by) => return Seen::Duplicate { by, same },
                };
                (*before, *seen_by) = (content, Some(slice));
                return seen;
            }
            match self.fresh.get_mut(&key) {
                None => {
                    self.fresh.insert(key, (content, slice));
                    Seen::New
                }
                Some(held) if (content, slice) < *held => {
                    let by = std::mem::replace(held, (content, slice)).1;
                    Seen::Replaces { by, known: false }
                }
                Some((before, by)) => Seen::Duplicate { by: *by, same: *before == content },
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn many_objects_are_told_apart_as_the_slow_way_does(
            known in proptest::collection::btree_map(0_u16..600, (0_u8..3, 1_i32..4), 0..300),
            offers in proptest::collection::vec((0_u16..600, 0_u8..3, 1_i32..4), 0..600),
            budget in proptest::sample::select(vec![1_usize, 7, 40, 250, 10_000]),
        ) {
            let key = |n: u16| KeyHash::entity(&n.to_string());
            // With a small one most of it is in files.
            let (mut index, mut slow) = (Index::with_budget(budget), Slow::default());
            for (n, (content_of, slice)) in &known {
                index.load(key(*n), content(*content_of), *slice, *n % 5, ObjectKind::Entity).unwrap();
                slow.known.insert(key(*n), (content(*content_of), *slice, None));
            }
            index.seal().unwrap();
            proptest::prop_assert_eq!(index.held().unwrap().values().sum::<u64>(), known.len() as u64);
            for (n, content_of, slice) in offers {
                let seen = index.offer(key(n), content(content_of), slice).unwrap();
                proptest::prop_assert_eq!(seen, slow.offer(key(n), content(content_of), slice));
            }
            let gone: BTreeSet<KeyHash> = index.gone(&BTreeSet::from([1, 3])).map(|g| g.unwrap().key).collect();
            let unseen = slow.known.iter().filter(|(_, (_, owner, by))| by.is_none() && *owner != 2);
            proptest::prop_assert_eq!(gone, unseen.map(|(key, _)| *key).collect::<BTreeSet<_>>());
            let seen = slow.known.iter().filter(|(_, (.., by))| by.is_some()).map(|(k, (c, ..))| (*k, *c));
            let mut all: Vec<_> = seen.chain(slow.fresh.iter().map(|(k, (c, _))| (*k, *c))).collect();
            all.sort_unstable();
            let mut hasher = blake3::Hasher::new();
            for (key, content) in all {
                hasher.update(&key.0).update(&content.0);
            }
            proptest::prop_assert_eq!(index.digest().unwrap(), *hasher.finalize().as_bytes());
        }
    }
}
