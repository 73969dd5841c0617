//! Whether a text has anything that JSON escapes. Sixteen bytes at a time: most of what guests write is text.

/// It has to be escaped.
pub(crate) fn is_odd(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

/// One of the sixteen bytes has to be escaped.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(crate) fn has_odd(piece: &[u8; 16]) -> bool {
    use core::arch::wasm32::{u8x16_eq, u8x16_lt, u8x16_splat, u64x2, v128_any_true, v128_or};
    let number = u128::from_le_bytes(*piece);
    // Its lower and its upper half.
    let piece = u64x2(number as u64, (number >> 64) as u64);
    let marks = v128_or(u8x16_eq(piece, u8x16_splat(b'"')), u8x16_eq(piece, u8x16_splat(b'\\')));
    v128_any_true(v128_or(marks, u8x16_lt(piece, u8x16_splat(0x20))))
}

/// One of the sixteen bytes has to be escaped.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
pub(crate) fn has_odd(piece: &[u8; 16]) -> bool {
    // All of them are looked at, so that they can be looked at together.
    piece.iter().fold(false, |found, byte| found | is_odd(*byte))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "a test may panic")]
    use super::*;

    #[test]
    fn every_odd_byte_is_found_wherever_it_is() {
        for at in 0..16 {
            for byte in 0..=255_u8 {
                let mut piece = [b'x'; 16];
                piece[at] = byte;
                assert_eq!(has_odd(&piece), is_odd(byte), "{byte} at {at}");
            }
        }
    }
}
