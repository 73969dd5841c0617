//! Finding the forms of secrets in a body, in one pass and with tables that can be wiped: see [`crate::windows`].

use super::needle::Needle;
use crate::windows::{BLOCK, BlockHash, Windows};
use std::ops::Range;
use zeroize::Zeroizing;

/// Needles, ready to be looked for.
#[derive(Default)]
pub(super) struct Search {
    needles: Vec<Needle>,
    windows: Windows<Exact>,
    /// The needles whose window ends in a block: hash and index in one number, sorted.
    ends: Zeroizing<Vec<u32>>,
}

/// Every byte counts.
struct Exact;

impl BlockHash for Exact {
    const COUNT: usize = 1 << 16;

    fn hash(block: &[u8]) -> usize {
        // Shifts and sums only: tables of multipliers would not beat the cache.
        block.iter().fold(0, |hash: u16, byte| hash.rotate_left(5) ^ u16::from(*byte)).into()
    }
}

impl Search {
    /// Prepares a search. Needles shorter than a block are dropped.
    pub(super) fn new(mut needles: Vec<Needle>) -> Self {
        needles.retain(|needle| needle.bytes.len() >= BLOCK);
        // The index has sixteen bits: a hundred secrets of the longest kind.
        needles.truncate(usize::from(u16::MAX));
        let windows = Windows::new(needles.iter().map(|needle| needle.bytes.as_slice()));
        let end = |(index, needle): (u32, &Needle)| (windows.end_of(&needle.bytes) << 16) as u32 | index;
        let mut ends: Zeroizing<Vec<u32>> = Zeroizing::new((0..).zip(&needles).map(end).collect());
        ends.sort_unstable();
        Self { needles, windows, ends }
    }

    /// Where needles stand, sorted, apart from each other. Needles that overlap or touch give one place.
    pub(super) fn find(&self, body: &[u8]) -> Vec<Range<usize>> {
        let mut places: Vec<Range<usize>> = Vec::new();
        let mut from = 0;
        while let Some((start, hash)) = self.windows.next(body, from) {
            let here = body.get(start..).unwrap_or_default();
            for needle in self.ending_in(hash).filter(|needle| here.starts_with(&needle.bytes)) {
                join(&mut places, widened(body, start, needle));
            }
            // One on, not past the needle: another may begin inside it and end after it.
            from = start + 1;
        }
        places
    }

    fn ending_in(&self, hash: usize) -> impl Iterator<Item = &Needle> {
        let of = |entry: &u32| (entry >> 16) as usize;
        let first = self.ends.partition_point(|entry| of(entry) < hash);
        let same = self.ends.iter().skip(first).take_while(move |entry| of(entry) == hash);
        same.filter_map(|entry| self.needles.get((entry & 0xffff) as usize))
    }
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
