//! Lines of a file that may be hostile: one buffer, bounded.

use super::MAX_LINE_BYTES;
use std::io::{self, BufRead};

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// A line, with its newline taken off.
    Whole,
    /// The file ends inside a line.
    Cut,
    /// A line that is longer than any may be. Its rest was not read.
    TooLong,
    /// There is no further line.
    None,
}

/// Reads the next line into a buffer, whose content goes.
pub(super) fn read(reader: &mut impl BufRead, buffer: &mut Vec<u8>) -> io::Result<Line> {
    buffer.clear();
    loop {
        let chunk = match reader.fill_buf() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            chunk => chunk?,
        };
        if chunk.is_empty() {
            return Ok(if buffer.is_empty() { Line::None } else { Line::Cut });
        }
        let newline = chunk.iter().position(|b| *b == b'\n');
        let part = newline.unwrap_or(chunk.len());
        if buffer.len() + part > MAX_LINE_BYTES {
            return Ok(Line::TooLong);
        }
        buffer.extend(chunk.iter().take(part));
        reader.consume(part + usize::from(newline.is_some()));
        if newline.is_some() {
            return Ok(Line::Whole);
        }
    }
}
