//! Where one of many byte strings may begin, in one pass (Wu and Manber, 1994), by a table that can be wiped: the automata of
//! ready-made crates hold what they look for in their states and leave it in memory.
//!
//! Each string is found by its first bytes, as many as the shortest has: its window. The last three bytes of a window say how
//! far it can move on. With strings as long as tokens and names are, most bytes of a body are never looked at.

use std::marker::PhantomData;
use zeroize::Zeroizing;

/// How many bytes at the end of a window are looked at together.
pub(crate) const BLOCK: usize = 3;
/// The longest window, in bytes: what a table entry can count.
const MAX_WINDOW: usize = 255;

/// How blocks are told apart. Those of one hash are taken for each other, which costs time and misses nothing.
pub(crate) trait BlockHash {
    /// How many hashes there are.
    const COUNT: usize;
    /// The hash of a block.
    fn hash(block: &[u8]) -> usize;
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Windows<H> {
    /// The length of a window.
    length: usize,
    /// How far a window can move, by the hash of its last block. Empty when there is nothing to look for.
    moves: Zeroizing<Vec<u8>>,
    hash: PhantomData<H>,
}

impl<H> Default for Windows<H> {
    fn default() -> Self {
        Self { length: BLOCK, moves: Zeroizing::default(), hash: PhantomData }
    }
}

impl<H: BlockHash> Windows<H> {
    /// A table for these strings, each of at least a block.
    pub(crate) fn new<'a>(strings: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        let Some(shortest) = strings.clone().map(<[u8]>::len).min() else { return Self::default() };
        let length = shortest.clamp(BLOCK, MAX_WINDOW);
        let furthest = length - BLOCK + 1;
        let mut moves = Zeroizing::new(vec![u8::try_from(furthest).unwrap_or(u8::MAX); H::COUNT]);
        for string in strings {
            for (at, block) in string.windows(BLOCK).take(furthest).enumerate() {
                let left = u8::try_from(furthest - 1 - at).unwrap_or(u8::MAX);
                if let Some(entry) = moves.get_mut(H::hash(block)) {
                    *entry = left.min(*entry);
                }
            }
        }
        Self { length, moves, hash: PhantomData }
    }

    /// The hash of the block with which a string's window ends.
    pub(crate) fn end_of(&self, string: &[u8]) -> usize {
        H::hash(string.get(self.length - BLOCK..self.length).unwrap_or_default())
    }

    /// The first place from `from` on where a string may begin, and the hash of its window's last block.
    pub(crate) fn next(&self, body: &[u8], from: usize) -> Option<(usize, usize)> {
        if self.moves.is_empty() {
            return None;
        }
        let mut end = from + self.length;
        while let Some(block) = body.get(end - BLOCK..end) {
            let hash = H::hash(block);
            match self.moves.get(hash) {
                Some(ahead @ 1..) => end += usize::from(*ahead),
                _ => return Some((end - self.length, hash)),
            }
        }
        None
    }
}
