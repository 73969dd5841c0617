//! Rows in the order of their keys, with a table of where each range of keys begins: in memory, or, when there are more than
//! the budget allows, in an unlinked temporary file that disappears with the worker.
//!
//! Keys are hashes, so ranges are short, and looking a key up reads one of them: some lines of the cache, or one small
//! piece of a file whose pages the kernel keeps as long as there is room. More rows than the budget are sorted piece by
//! piece and merged.

use porthole_model::object::{ContentHash, KeyHash};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::os::unix::fs::FileExt as _;

/// A row in a file, in bytes: key, content, owner.
const ROW_BYTES: usize = 36;
/// Rows in a range of keys, on average: two or three steps of a binary search. Each range costs four bytes of memory.
const RANGE_ROWS: usize = 8;
/// What is read or written at once when a file is gone through from end to end, in bytes.
const BUFFER_BYTES: usize = 256 * 1024;

/// An object of the index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) key: KeyHash,
    /// Replaced by what the run saw.
    pub(super) content: ContentHash,
    /// The owner's number and what is to be remembered of the object; the index knows.
    pub(super) owner: u32,
}

/// Rows on their way in, in any order.
#[derive(Debug)]
pub(super) struct Loading {
    budget: usize,
    rows: Vec<Known>,
    /// Sorted pieces of a full budget each.
    pieces: Vec<Filed>,
}

impl Loading {
    /// At most so many rows are held in memory.
    pub(super) fn new(budget: usize) -> Self {
        Self { budget, rows: Vec::new(), pieces: Vec::new() }
    }

    /// Takes a row.
    pub(super) fn push(&mut self, row: Known) -> io::Result<()> {
        if self.rows.len() >= self.budget {
            sort(&mut self.rows);
            self.pieces.push(Filed::write(self.rows.drain(..).map(Ok))?);
        }
        self.rows.push(row);
        Ok(())
    }

    /// The row that was taken last, unless it is in a file already.
    pub(super) fn last(&self) -> Option<&Known> {
        self.rows.last()
    }

    /// So many so far.
    pub(super) fn len(&self) -> usize {
        self.rows.len() + self.pieces.iter().map(|piece| piece.length).sum::<usize>()
    }

    /// All of them, sorted.
    pub(super) fn finish(mut self) -> io::Result<Sorted> {
        sort(&mut self.rows);
        if self.pieces.is_empty() {
            self.rows.shrink_to_fit();
            return Ok(Sorted::in_memory(self.rows));
        }
        let total = self.len();
        let pieces = self.pieces.iter().map(|piece| Box::new(piece.rows()) as Source<'_>);
        merge(pieces.chain([Box::new(self.rows.iter().copied().map(Ok)) as Source<'_>]).collect(), total)
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Sorted {
    rows: Rows,
    ranges: Ranges,
}

#[derive(Debug)]
enum Rows {
    Memory(Vec<Known>),
    File(Filed),
}

impl Default for Sorted {
    fn default() -> Self {
        Self::in_memory(Vec::new())
    }
}

impl Sorted {
    fn in_memory(rows: Vec<Known>) -> Self {
        let mut ranges = Ranges::of(rows.len());
        for row in &rows {
            ranges.push(row.key);
        }
        Self { rows: Rows::Memory(rows), ranges: ranges.end() }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        match &self.rows {
            Rows::Memory(rows) => rows.len(),
            Rows::File(file) => file.length,
        }
    }

    /// How many of them are in memory.
    pub(super) fn in_memory_len(&self) -> usize {
        match &self.rows {
            Rows::Memory(rows) => rows.len(),
            Rows::File(_) => 0,
        }
    }

    /// A key's row, and its place.
    pub(super) fn find(&self, key: KeyHash) -> io::Result<Option<(usize, Known)>> {
        let Some((from, to)) = self.ranges.get(key) else { return Ok(None) };
        let at = |rows: &[Known]| {
            let at = rows.binary_search_by_key(&ordinal(key), |row| ordinal(row.key)).ok()?;
            Some((from + at, *rows.get(at)?))
        };
        match &self.rows {
            Rows::Memory(rows) => Ok(rows.get(from..to).and_then(at)),
            Rows::File(file) => Ok(at(&file.read(from, to - from)?)),
        }
    }

    /// Replaces a row by one of the same key.
    pub(super) fn set(&mut self, at: usize, row: Known) -> io::Result<()> {
        match &mut self.rows {
            Rows::Memory(rows) => {
                if let Some(held) = rows.get_mut(at) {
                    *held = row;
                }
                Ok(())
            }
            Rows::File(file) => file.file.write_all_at(&bytes_of(&row), offset(at)),
        }
    }

    /// All of them, in the order of their keys.
    pub(super) fn iter(&self) -> Source<'_> {
        match &self.rows {
            Rows::Memory(rows) => Box::new(rows.iter().copied().map(Ok)),
            Rows::File(file) => Box::new(file.rows()),
        }
    }

    /// Has the processor fetch what [`Sorted::find`] will look at.
    pub(super) fn fetch(&self, keys: impl Iterator<Item = KeyHash>) {
        let Rows::Memory(rows) = &self.rows else { return };
        let begins: Vec<usize> = keys.filter_map(|key| self.ranges.get(key)).map(|(from, _)| from).collect();
        // Each line of a range: its rows are as many as a few lines have.
        let touch = |at: usize| rows.get(at).map_or(0, |row| row.owner);
        let touched = begins.iter().fold(0, |sum, at| sum ^ touch(*at) ^ touch(at + 3) ^ touch(at + 6));
        std::hint::black_box(touched);
    }

    /// With these rows, of other keys, sorted too. What comes out is in a file.
    pub(super) fn and(self, more: &[Known]) -> io::Result<Self> {
        let total = self.len() + more.len();
        merge(vec![self.iter(), Box::new(more.iter().copied().map(Ok))], total)
    }
}

/// Sorts rows by their keys.
pub(super) fn sort(rows: &mut [Known]) {
    rows.sort_unstable_by_key(|row| ordinal(row.key));
}

/// Rows in the order of their keys, from somewhere.
type Source<'a> = Box<dyn Iterator<Item = io::Result<Known>> + Send + 'a>;

fn merge(mut sources: Vec<Source<'_>>, total: usize) -> io::Result<Sorted> {
    let mut ranges = Ranges::of(total);
    let mut next = BinaryHeap::with_capacity(sources.len());
    let mut waiting = Vec::with_capacity(sources.len());
    for (from, source) in sources.iter_mut().enumerate() {
        let row = source.next().transpose()?;
        next.extend(row.map(|row| Reverse((ordinal(row.key), from))));
        waiting.push(row);
    }
    let merged = std::iter::from_fn(|| {
        let Reverse((_, from)) = next.pop()?;
        let (source, place) = (sources.get_mut(from)?, waiting.get_mut(from)?);
        let row = (*place)?;
        ranges.push(row.key);
        *place = match source.next().transpose() {
            Ok(row) => row,
            Err(e) => return Some(Err(e)),
        };
        next.extend(place.map(|row| Reverse((ordinal(row.key), from))));
        Some(Ok(row))
    });
    let file = Filed::write(merged)?;
    Ok(Sorted { rows: Rows::File(file), ranges: ranges.end() })
}

/// Where each range of keys begins, and at the end how many rows there are. A range is what the first bits of its keys say.
#[derive(Debug)]
struct Ranges {
    bits: u32,
    begins: Vec<u32>,
    rows: u32,
}

impl Ranges {
    /// Of so many rows, which are to follow in their order.
    fn of(rows: usize) -> Self {
        let bits = (rows / RANGE_ROWS).max(1).ilog2();
        Self { bits, begins: Vec::with_capacity((1 << bits) + 1), rows: 0 }
    }

    fn push(&mut self, key: KeyHash) {
        let range = range_of(leading(key), self.bits);
        while self.begins.len() <= range {
            self.begins.push(self.rows);
        }
        // It fits: there are at most `MAX_INDEX_ROWS`.
        self.rows = self.rows.saturating_add(1);
    }

    fn end(mut self) -> Self {
        self.begins.resize((1 << self.bits) + 1, self.rows);
        self
    }

    fn get(&self, key: KeyHash) -> Option<(usize, usize)> {
        let range = range_of(leading(key), self.bits);
        Some((*self.begins.get(range)? as usize, *self.begins.get(range + 1)? as usize))
    }
}

/// Sorted rows in a file of their own.
#[derive(Debug)]
struct Filed {
    file: File,
    length: usize,
}

impl Filed {
    fn write(rows: impl Iterator<Item = io::Result<Known>>) -> io::Result<Self> {
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, tempfile::tempfile()?);
        let mut length = 0;
        for row in rows {
            out.write_all(&bytes_of(&row?))?;
            length += 1;
        }
        Ok(Self { file: out.into_inner().map_err(io::IntoInnerError::into_error)?, length })
    }

    fn read(&self, from: usize, rows: usize) -> io::Result<Vec<Known>> {
        let mut bytes = vec![0; rows * ROW_BYTES];
        self.file.read_exact_at(&mut bytes, offset(from))?;
        Ok(bytes.as_chunks::<ROW_BYTES>().0.iter().map(row_of).collect())
    }

    fn rows(&self) -> impl Iterator<Item = io::Result<Known>> + Send + '_ {
        let mut input = BufReader::with_capacity(BUFFER_BYTES, Positioned { file: &self.file, at: 0 });
        (0..self.length).map(move |_| {
            let mut bytes = [0; ROW_BYTES];
            input.read_exact(&mut bytes).map(|()| row_of(&bytes))
        })
    }
}

/// A reader with a position of its own.
struct Positioned<'a> {
    file: &'a File,
    at: u64,
}

impl Read for Positioned<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(room, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

fn offset(row: usize) -> u64 {
    (row * ROW_BYTES) as u64
}

fn bytes_of(row: &Known) -> [u8; ROW_BYTES] {
    let mut bytes = [0; ROW_BYTES];
    let (key, rest) = bytes.split_at_mut(16);
    let (content, owner) = rest.split_at_mut(16);
    key.copy_from_slice(&row.key.0);
    content.copy_from_slice(&row.content.0);
    owner.copy_from_slice(&row.owner.to_le_bytes());
    bytes
}

fn row_of(bytes: &[u8; ROW_BYTES]) -> Known {
    let (mut key, mut content, mut owner) = ([0; 16], [0; 16], [0; 4]);
    let (first, rest) = bytes.split_at(16);
    let (second, third) = rest.split_at(16);
    key.copy_from_slice(first);
    content.copy_from_slice(second);
    owner.copy_from_slice(third);
    Known { key: KeyHash(key), content: ContentHash(content), owner: u32::from_le_bytes(owner) }
}

/// A key as a number, in the order of keys.
pub(super) fn ordinal(key: KeyHash) -> u128 {
    u128::from_be_bytes(key.0)
}

/// The first 64 bits of a key.
pub(super) fn leading(key: KeyHash) -> u64 {
    // The upper half is what is wanted.
    (ordinal(key) >> 64) as u64
}

/// The range of keys that begin with these 64 bits, when so many bits tell ranges apart.
fn range_of(leading: u64, bits: u32) -> usize {
    // At most 24 bits are left.
    leading.checked_shr(64 - bits).unwrap_or(0) as usize
}
