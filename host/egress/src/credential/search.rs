//! Finding many byte strings in one pass (Wu and Manber, 1994), in tables that can be wiped. The automata of ready-made
//! crates hold the needles in their states and leave them in memory.
//!
//! The last three bytes of a window say how far it can move on. With needles as long as tokens are, most bytes of a body
//! are never looked at.

use super::needle::Needle;
use std::ops::Range;
use zeroize::Zeroizing;

/// How many bytes at the end of a window are looked at together.
const BLOCK: usize = 3;
/// One entry for each hash of a block.
const TABLE: usize = 1 << 16;
/// The longest window, in bytes: what a table entry can count.
const MAX_WINDOW: usize = 255;

/// Needles, ready to be looked for.
#[derive(Default)]
pub(super) struct Search {
    needles: Vec<Needle>,
    /// The length of the shortest needle. Every needle is found by its first `window` bytes.
    window: usize,
    /// How far a window can move, by the hash of its last block. Empty when there are no needles.
    moves: Zeroizing<Vec<u8>>,
    /// The needles whose window ends in a block: hash and index in one number, sorted.
    ends: Zeroizing<Vec<u32>>,
}

impl Search {
    /// Prepares a search. Needles shorter than a block are dropped.
    pub(super) fn new(mut needles: Vec<Needle>) -> Self {
        needles.retain(|needle| needle.bytes.len() >= BLOCK);
        // The index has sixteen bits: a hundred secrets of the longest kind.
        needles.truncate(usize::from(u16::MAX));
        let Some(window) = needles.iter().map(|needle| needle.bytes.len()).min() else { return Self::default() };
        let window = window.min(MAX_WINDOW);
        let furthest = window - BLOCK + 1;
        let mut moves = Zeroizing::new(vec![u8::try_from(furthest).unwrap_or(u8::MAX); TABLE]);
        let mut ends = Zeroizing::new(Vec::with_capacity(needles.len()));
        for (index, needle) in (0_u32..).zip(&needles) {
            for (at, block) in needle.bytes.windows(BLOCK).take(furthest).enumerate() {
                let hash = hash(block);
                let left = furthest - 1 - at;
                if let Some(entry) = moves.get_mut(usize::from(hash)) {
                    *entry = (*entry).min(u8::try_from(left).unwrap_or(u8::MAX));
                }
                if left == 0 {
                    ends.push(u32::from(hash) << 16 | index);
                }
            }
        }
        ends.sort_unstable();
        Self { needles, window, moves, ends }
    }

    /// Where needles stand, sorted, apart from each other. Needles that overlap or touch give one place.
    pub(super) fn find(&self, body: &[u8]) -> Vec<Range<usize>> {
        let mut places: Vec<Range<usize>> = Vec::new();
        if self.moves.is_empty() {
            return places;
        }
        let mut end = self.window;
        while let Some(block) = body.get(end.saturating_sub(BLOCK)..end) {
            let hash = hash(block);
            let ahead = self.moves.get(usize::from(hash)).copied().unwrap_or(0);
            if ahead > 0 {
                end += usize::from(ahead);
                continue;
            }
            let start = end - self.window;
            let here = body.get(start..).unwrap_or_default();
            for needle in self.ending_in(hash).filter(|needle| here.starts_with(&needle.bytes)) {
                join(&mut places, widened(body, start, needle));
            }
            // One on, not past the needle: another may begin inside it and end after it.
            end += 1;
        }
        places
    }

    fn ending_in(&self, hash: u16) -> impl Iterator<Item = &Needle> {
        let first = self.ends.partition_point(|entry| entry >> 16 < u32::from(hash));
        let same = self.ends.iter().skip(first).take_while(move |entry| *entry >> 16 == u32::from(hash));
        same.filter_map(|entry| self.needles.get((entry & 0xffff) as usize))
    }
}

fn hash(block: &[u8]) -> u16 {
    // Shifts and sums only: tables of multipliers would not beat the cache.
    block.iter().fold(0, |hash: u16, byte| hash.rotate_left(5) ^ u16::from(*byte))
}

/// The place of a needle, with the base64 characters around it that share bits with it, and the padding after them.
fn widened(body: &[u8], start: usize, needle: &Needle) -> Range<usize> {
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
    let mut end = start + needle.bytes.len();
    let mut from = start;
    if needle.before > 0 && from.checked_sub(1).and_then(|at| body.get(at)).is_some_and(is_base64) {
        from -= 1;
    }
    if needle.after > 0 && body.get(end).is_some_and(is_base64) {
        end += 1;
        end += body.iter().skip(end).take(2).take_while(|byte| **byte == b'=').count();
    }
    from..end
}

/// Adds a place. Places come in the order of their starts, but for one byte that a place may be widened by.
fn join(places: &mut Vec<Range<usize>>, place: Range<usize>) {
    match places.last_mut() {
        Some(last) if place.start <= last.end => {
            last.start = last.start.min(place.start);
            last.end = last.end.max(place.end);
        }
        _ => places.push(place),
    }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
