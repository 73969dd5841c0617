//! One PEM block (RFC 7468 §2): a line that says what it is, base64, a line that ends it. Strict, because what else
//! stands in a key file is more likely a mistake than something to skip.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Characters of a line of base64 (RFC 7468).
const LINE: usize = 64;

/// Takes a block apart. Nothing but spaces may stand around it.
pub(super) fn decode(text: &[u8], label: &str) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let text = std::str::from_utf8(text).map_err(|_| "is no text")?.trim_ascii();
    let marks = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let inner = text.strip_prefix(marks.0.as_str()).and_then(|rest| rest.strip_suffix(marks.1.as_str()));
    let inner = inner.ok_or("is no PEM block of the expected kind")?;
    // Both buffers are as large as they get: one that grew would leave its bytes behind.
    let mut digits = Zeroizing::new(Vec::with_capacity(inner.len()));
    digits.extend(inner.bytes().filter(|b| !b.is_ascii_whitespace()));
    let mut bytes = Zeroizing::new(vec![0; digits.len()]);
    let length = STANDARD.decode_slice(&*digits, &mut bytes).map_err(|_| "is not base64 inside its PEM block")?;
    bytes.truncate(length);
    Ok(bytes)
}

/// Makes a block.
pub(super) fn encode(bytes: &[u8], label: &str) -> Zeroizing<String> {
    let marks = (format!("-----BEGIN {label}-----\n"), format!("-----END {label}-----\n"));
    let size = bytes.len().div_ceil(3) * 4;
    let mut digits = Zeroizing::new(vec![0; size]);
    // The buffer is as large as base64 gets, so this can't fail.
    let length = STANDARD.encode_slice(bytes, &mut digits).unwrap_or_default();
    digits.truncate(length);
    let mut text = Zeroizing::new(String::with_capacity(marks.0.len() + marks.1.len() + size + size.div_ceil(LINE)));
    text.push_str(&marks.0);
    for line in digits.chunks(LINE) {
        text.extend(line.iter().copied().map(char::from));
        text.push('\n');
    }
    text.push_str(&marks.1);
    text
}
