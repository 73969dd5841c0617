//! Small forms that several formats share.

use crate::tree::Hash;

/// A number as C2SP writes it: ASCII digits, no sign, no zero in front unless it is 0.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// Lines of one hash each. The error is the number of lines before the one that is none.
pub(crate) fn hashes<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Vec<Hash>, usize> {
    lines.enumerate().map(|(number, line)| Hash::from_base64(line).ok_or(number)).collect()
}
