//! A batch of checked objects: their hashes, and where the rest of each stands.

use super::Rejection;
use super::reader::Reader;
use super::types::{Is, StepTypes};
use crate::hash::first_halves;
use crate::object::{ContentHash, KeyHash, Row, RowKind, first_half};
use std::ops::Range;

/// What an object takes in a batch at least, mostly, in bytes: room for so many is made at once.
const TYPICAL_LINE_BYTES: usize = 256;
/// The content hash of an object of which nothing is hashed yet.
pub(super) const NOT_YET: ContentHash = ContentHash([0; 16]);

/// The lines of a batch, checked and hashed, in their order.
#[derive(Debug, Default)]
pub struct Batch {
    /// What the objects are made of.
    text: Vec<u8>,
    lines: Vec<Result<Object, Box<Rejection>>>,
}

impl Batch {
    /// Checks the lines of a batch. Empty lines are none.
    #[must_use]
    pub fn check(batch: &[u8], types: &StepTypes) -> Self {
        let mut text = Vec::with_capacity(batch.len() + batch.len() / 4);
        let mut lines = Vec::with_capacity(batch.len() / TYPICAL_LINE_BYTES);
        let mut reader = Reader::new(types);
        let mut from = 0;
        for end in memchr::memchr_iter(b'\n', batch).chain([batch.len()]) {
            let line = batch.get(from..end).unwrap_or_default();
            from = end + 1;
            if !line.is_empty() {
                lines.push(reader.line(line, &mut text).map_err(Box::new));
            }
        }
        let contents: Vec<&[u8]> = lines.iter().flatten().map(|object| object.content(&text)).collect();
        let hashes = first_halves(&contents);
        for (object, hash) in lines.iter_mut().flatten().zip(hashes) {
            object.content_hash = ContentHash(hash);
        }
        Self { text, lines }
    }

    /// Each line.
    pub fn lines(&self) -> impl Iterator<Item = Result<&Object, &Rejection>> {
        self.lines.iter().map(|line| line.as_ref().map_err(|rejection| &**rejection))
    }

    /// The objects that are good.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.lines.iter().flatten()
    }

    /// The whole of an object of this batch. `types` is what the batch was checked with.
    #[must_use]
    pub fn row(&self, object: &Object, types: &StepTypes) -> Row {
        object.row(&self.text, types)
    }
}

/// A checked object: what it is compared by, and where the rest of it stands. Most objects are what the graph has
/// already, and of those nobody wants more; [`Batch::row`] makes a row of one that is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Hash of its key.
    pub key_hash: KeyHash,
    /// Hash of everything else.
    pub content_hash: ContentHash,
    /// The number of its type.
    pub type_number: usize,
    pub(super) content: Range<usize>,
    pub(super) key: Range<usize>,
    pub(super) properties: Range<usize>,
    pub(super) is: Place,
}

/// Where the texts of an object stand that entities and relationships don't have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Entity { display_name: Range<usize> },
    Relationship { from: Range<usize>, to: Range<usize> },
}

impl Object {
    /// What its content hash is over.
    fn content<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        text.get(self.content.clone()).unwrap_or_default()
    }

    /// The same, with the hash of its content.
    pub(super) fn hashed(self, text: &[u8]) -> Self {
        let content_hash = ContentHash(first_half(&blake3::hash(self.content(text))));
        Self { content_hash, ..self }
    }

    /// The whole of it. `text` is what the reader wrote it into, and `types` what it was read with.
    pub(super) fn row(&self, text: &[u8], types: &StepTypes) -> Row {
        // It was text when it was written, so nothing is lost.
        let at =
            |place: &Range<usize>| String::from_utf8_lossy(text.get(place.clone()).unwrap_or_default()).into_owned();
        let declared = types.types.get(self.type_number).map(|found| &found.is);
        let kind = match &self.is {
            Place::Entity { display_name } => {
                let class = match declared {
                    Some(Is::Entity { class, .. }) => class.clone(),
                    _ => Vec::new(),
                };
                RowKind::Entity { class, display_name: at(display_name) }
            }
            Place::Relationship { from, to } => {
                let (verb, far) = match declared {
                    Some(Is::Relationship { verb, far }) => (verb.clone(), far.clone()),
                    _ => (String::new(), None),
                };
                let (from_key, to_key) = (at(from), at(to));
                let (from_hash, to_hash) = (KeyHash::entity(&from_key), KeyHash::entity(&to_key));
                RowKind::Relationship { verb, from_key, from_hash, to_key, to_hash, far }
            }
        };
        Row {
            object_type: types.name(self.type_number).to_owned(),
            key: at(&self.key),
            key_hash: self.key_hash,
            content_hash: self.content_hash,
            properties: at(&self.properties),
            kind,
        }
    }
}
