//! Postgres' binary COPY format, as much of it as is needed here: a small encoder and an incremental decoder.
//!
//! Rows are a 16-bit field count and, for each field, a 32-bit length (-1 for null) and its bytes, big-endian. In front
//! of the first row stands a signature, two 32-bit words; behind the last, a field count of -1.

use crate::error::{Result, StoreError};
use bytes::{Buf, BufMut, Bytes, BytesMut};

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// Signature, flags, length of the header extension.
const HEADER_BYTES: usize = 11 + 4 + 4;
const TEXT_OID: i32 = 25;
/// The format version of `jsonb` on the wire.
const JSONB_VERSION: u8 = 1;

/// Encodes rows.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    buffer: Vec<u8>,
}

impl Encoder {
    /// Bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Begins a row.
    pub(crate) fn row(&mut self, fields: i16) {
        if self.buffer.is_empty() {
            self.buffer.extend_from_slice(SIGNATURE);
            self.buffer.put_i32(0);
            self.buffer.put_i32(0);
        }
        self.buffer.put_i16(fields);
    }

    pub(crate) fn null(&mut self) {
        self.buffer.put_i32(-1);
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.buffer.put_i32(length(value.len()));
        self.buffer.extend_from_slice(value);
    }

    pub(crate) fn text(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    /// The one-byte type `"char"`.
    pub(crate) fn char(&mut self, value: u8) {
        self.bytes(&[value]);
    }

    pub(crate) fn int4(&mut self, value: i32) {
        self.bytes(&value.to_be_bytes());
    }

    pub(crate) fn int8(&mut self, value: i64) {
        self.bytes(&value.to_be_bytes());
    }

    pub(crate) fn jsonb(&mut self, value: &str) {
        self.buffer.put_i32(length(value.len() + 1));
        self.buffer.put_u8(JSONB_VERSION);
        self.buffer.extend_from_slice(value.as_bytes());
    }

    /// `text[]`: dimensions, null flag, element type, length and lower bound, then the elements.
    pub(crate) fn text_array(&mut self, values: &[String]) {
        let elements: usize = values.iter().map(|v| 4 + v.len()).sum();
        if values.is_empty() {
            self.buffer.put_i32(12);
            self.buffer.put_i32(0);
            self.buffer.put_i32(0);
            self.buffer.put_i32(TEXT_OID);
            return;
        }
        self.buffer.put_i32(length(20 + elements));
        self.buffer.put_i32(1);
        self.buffer.put_i32(0);
        self.buffer.put_i32(TEXT_OID);
        self.buffer.put_i32(length(values.len()));
        self.buffer.put_i32(1);
        for value in values {
            self.text(value);
        }
    }

    /// Ends the batch and hands it out; the encoder is empty again.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        self.buffer.put_i16(-1);
        std::mem::take(&mut self.buffer)
    }
}

/// Lengths here are bounded far below 2 GiB by the limits of objects; a longer one would be refused by the server.
fn length(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// Decodes what the server sends, in whatever pieces it comes. The server sends one row a piece, so a piece is parsed
/// where it is and nothing is copied.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    rest: BytesMut,
    started: bool,
    ended: bool,
}

/// The fields of one row, in order.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    bytes: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The next field; null is an error, as nothing that is read here may be null.
    pub(crate) fn next(&mut self) -> Result<&'a [u8]> {
        let (head, rest) = self.bytes.split_first_chunk::<4>().ok_or(StoreError::Copy("a row is too short"))?;
        let n = usize::try_from(i32::from_be_bytes(*head)).map_err(|_| StoreError::Copy("a field is null"))?;
        let (field, rest) = rest.split_at_checked(n).ok_or(StoreError::Copy("a field is too short"))?;
        self.bytes = rest;
        Ok(field)
    }

    /// The next field, of exactly `N` bytes.
    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.next()?.try_into().map_err(|_| StoreError::Copy("a field has the wrong length"))
    }

    /// The next field, text.
    pub(crate) fn text(&mut self) -> Result<&'a str> {
        std::str::from_utf8(self.next()?).map_err(|_| StoreError::Copy("a text is not UTF-8"))
    }
}

impl Decoder {
    /// Takes a piece and hands each complete row of `fields` fields to `each`.
    pub(crate) fn feed(
        &mut self,
        piece: Bytes,
        fields: i16,
        mut each: impl FnMut(Fields<'_>) -> Result<()>,
    ) -> Result<()> {
        if self.rest.is_empty() {
            let mut view: &[u8] = &piece;
            self.rows(&mut view, fields, &mut each)?;
            self.rest.extend_from_slice(view);
        } else {
            self.rest.extend_from_slice(&piece);
            let whole = std::mem::take(&mut self.rest);
            let mut view: &[u8] = &whole;
            self.rows(&mut view, fields, &mut each)?;
            self.rest.extend_from_slice(view);
        }
        Ok(())
    }

    /// Checks that the end has come.
    pub(crate) fn finish(&self) -> Result<()> {
        if self.ended && self.rest.is_empty() { Ok(()) } else { Err(StoreError::Copy("it ended early")) }
    }

    fn rows(&mut self, view: &mut &[u8], fields: i16, each: &mut impl FnMut(Fields<'_>) -> Result<()>) -> Result<()> {
        if !self.started {
            if view.len() < HEADER_BYTES {
                return Ok(());
            }
            if !view.starts_with(SIGNATURE) {
                return Err(StoreError::Copy("no signature"));
            }
            view.advance(HEADER_BYTES);
            self.started = true;
        }
        while let Some((head, rest)) = view.split_first_chunk::<2>() {
            match i16::from_be_bytes(*head) {
                -1 => {
                    self.ended = true;
                    *view = rest;
                }
                n if n == fields && !self.ended => {
                    let Some(length) = row_length(rest, fields) else { break };
                    let (row, rest) = rest.split_at(length);
                    each(Fields { bytes: row })?;
                    *view = rest;
                }
                _ => return Err(StoreError::Copy("a row has another number of fields")),
            }
        }
        Ok(())
    }
}

/// How long a row is; None when it isn't all there.
fn row_length(bytes: &[u8], fields: i16) -> Option<usize> {
    let mut at = 0_usize;
    for _ in 0..fields {
        let head = bytes.get(at..)?.first_chunk::<4>()?;
        let n = usize::try_from(i32::from_be_bytes(*head)).unwrap_or(0);
        at = at.checked_add(4)?.checked_add(n)?;
    }
    (at <= bytes.len()).then_some(at)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn two_rows() -> Vec<u8> {
        let mut encoder = Encoder::default();
        for n in 0..2 {
            encoder.row(2);
            encoder.int4(n);
            encoder.text("täxt");
        }
        encoder.finish()
    }

    fn decode(bytes: &[u8], piece: usize) -> Result<Vec<(i32, String)>> {
        let mut decoder = Decoder::default();
        let mut rows = Vec::new();
        for part in bytes.chunks(piece) {
            decoder.feed(Bytes::copy_from_slice(part), 2, |mut row| {
                rows.push((i32::from_be_bytes(row.fixed()?), row.text()?.to_owned()));
                Ok(())
            })?;
        }
        decoder.finish()?;
        Ok(rows)
    }

    #[test]
    fn rows_come_back_in_pieces_of_any_size() {
        let bytes = two_rows();
        for piece in 1..=bytes.len() {
            assert_eq!(decode(&bytes, piece).unwrap(), [(0, "täxt".to_owned()), (1, "täxt".to_owned())]);
        }
    }

    #[test]
    fn what_ends_early_or_is_something_else_is_an_error() {
        let bytes = two_rows();
        for end in 0..bytes.len() {
            assert!(decode(bytes.get(..end).unwrap(), 64).is_err());
        }
        assert!(decode(b"no COPY data at all, but long enough for a header", 64).is_err());
    }
}
