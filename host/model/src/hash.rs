//! BLAKE3 of many short messages at once.
//!
//! One message of less than a chunk is hashed block by block, each waiting for the one before. Messages of equal length in
//! blocks can go side by side, as many as the processor is wide: the same hashes for a fraction of the time. BLAKE3 does
//! that for the chunks of one long message; this does it for the messages of a batch, with the same two functions of the
//! crate. They are no part of its stable interface: a new version that changes them doesn't compile, and a test compares
//! what comes out with `blake3::hash`.

use crate::object::first_half;
use blake3::IncrementCounter;
use blake3::platform::Platform;

/// Bytes of a block.
const BLOCK: usize = 64;
/// Bytes of a chunk: longer messages are a tree.
const CHUNK: usize = 1024;
/// Bytes of the state between two blocks.
const STATE: usize = 32;
/// Messages that are begun together: as many as the widest processor takes.
const TOGETHER: usize = 16;
/// The state before the first block, and what a block says of itself (BLAKE3, sections 2.2 and 2.3).
const START: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
const CHUNK_START: u8 = 1 << 0;
const CHUNK_END: u8 = 1 << 1;
const ROOT: u8 = 1 << 3;

/// The first halves of the hashes of these messages, in their order.
pub(crate) fn first_halves(messages: &[&[u8]]) -> Vec<[u8; 16]> {
    let mut halves = vec![[0; 16]; messages.len()];
    let mut by_blocks: [Vec<usize>; CHUNK / BLOCK] = Default::default();
    for ((at, message), half) in messages.iter().enumerate().zip(&mut halves) {
        // The last block, whole or not, is finished alone.
        let blocks = message.len().saturating_sub(1) / BLOCK;
        match by_blocks.get_mut(blocks) {
            Some(places) if blocks > 0 => places.push(at),
            _ => *half = first_half(&blake3::hash(message)),
        }
    }
    let platform = Platform::detect();
    for (blocks, places) in by_blocks.iter().enumerate() {
        for places in places.chunks(TOGETHER) {
            macro_rules! begin {
                ($($n:literal)*) => {
                    match blocks { $($n => begin::<{ $n * BLOCK }>(platform, messages, places),)* _ => Vec::new() }
                };
            }
            let states = begin!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
            for (at, state) in places.iter().zip(states.as_chunks::<STATE>().0) {
                let rest = messages.get(*at).and_then(|message| message.get(blocks * BLOCK..)).unwrap_or_default();
                if let Some(half) = halves.get_mut(*at) {
                    *half = finish(platform, state, rest);
                }
            }
        }
    }
    halves
}

/// The states of these messages after their first `N` bytes, one after the other.
fn begin<const N: usize>(platform: Platform, messages: &[&[u8]], places: &[usize]) -> Vec<u8> {
    let begins = places.iter().filter_map(|at| messages.get(*at)?.first_chunk::<N>());
    let inputs: Vec<&[u8; N]> = begins.collect();
    let mut states = vec![0; inputs.len() * STATE];
    platform.hash_many(&inputs, &START, 0, IncrementCounter::No, 0, CHUNK_START, 0, &mut states);
    states
}

/// The first half of the hash, from the state before the last block and what is in that.
fn finish(platform: Platform, state: &[u8; STATE], rest: &[u8]) -> [u8; 16] {
    let mut words = [0; 8];
    for (word, bytes) in words.iter_mut().zip(state.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    let mut block = [0; BLOCK];
    block.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    // At most a block is left.
    let length = u8::try_from(rest.len()).unwrap_or(u8::MAX);
    platform.compress_in_place(&mut words, &block, length, 0, CHUNK_END | ROOT);
    let mut half = [0; 16];
    for (bytes, word) in half.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    half
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_length_is_hashed_as_blake3_hashes_it() {
        let bytes: Vec<u8> = (0..3_000_u32).map(|n| (n.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
        let messages: Vec<&[u8]> = (0..2_100).filter_map(|n| bytes.get(n / 3..n / 3 + n)).collect();
        let expected: Vec<_> = messages.iter().map(|message| first_half(&blake3::hash(message))).collect();
        assert_eq!(messages.len(), 2_100);
        assert_eq!(first_halves(&messages), expected);
    }

    proptest! {
        #[test]
        fn batches_of_any_lengths_are_hashed_as_blake3_hashes_them(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1_300), 0..60),
        ) {
            let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
            let expected: Vec<_> = messages.iter().map(|message| first_half(&blake3::hash(message))).collect();
            prop_assert_eq!(first_halves(&messages), expected);
        }
    }
}
