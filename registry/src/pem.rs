//! PEM (RFC 7468), the strict form: one block with the expected label, lines of base64, nothing beside it. Key files are
//! written by other programs too, so spaces at the ends of lines and the width of lines don't matter; everything else
//! does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// The longest PEM file that is read, in bytes: an Ed25519 key has about 120, and nothing much longer is one.
pub(crate) const MAX_PEM_BYTES: usize = 4096;
/// Characters of base64 on a line (RFC 7468, 2).
const LINE_CHARS: usize = 64;

/// The bytes in a block of this label, or what is wrong. They may be a private key, so every copy is wiped.
pub(crate) fn decode(text: &[u8], label: &str) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    if text.len() > MAX_PEM_BYTES {
        return Err("it is longer than 4 KiB");
    }
    let text = std::str::from_utf8(text).map_err(|_| "it is no text")?;
    let mut lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    if lines.next() != Some(&*format!("-----BEGIN {label}-----")) {
        return Err("its first line is another than expected");
    }
    let mut base64 = Zeroizing::new(String::with_capacity(text.len()));
    let end = format!("-----END {label}-----");
    loop {
        match lines.next() {
            Some(line) if line == end => break,
            Some(line) => base64.push_str(line),
            None => return Err("its last line is missing"),
        }
    }
    if lines.next().is_some() {
        return Err("something follows its last line");
    }
    // One buffer from the start: a growing one would leave its earlier selves behind in memory.
    let mut bytes = Zeroizing::new(vec![0; base64.len()]);
    let length = STANDARD.decode_slice(base64.as_bytes(), &mut bytes).map_err(|_| "it is no base64")?;
    bytes.truncate(length);
    Ok(bytes)
}

/// A block of this label.
pub(crate) fn encode(bytes: &[u8], label: &str) -> Zeroizing<String> {
    let base64 = Zeroizing::new(STANDARD.encode(bytes));
    let mut text = Zeroizing::new(String::with_capacity(base64.len() * 2 + 128));
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE_CHARS));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}
