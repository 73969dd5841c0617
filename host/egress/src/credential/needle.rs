//! The forms in which a secret may come back.
//!
//! Raw, base64 in both alphabets and at each of its three alignments (a token inside a longer text that was encoded as a
//! whole), hexadecimal, percent-encoded, and escaped for JSON or HTML the ways common servers do it.

use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// The shortest secret that replies are searched for, in bytes. A shorter one turns up by chance in ordinary data, which
/// would be damaged for no gain: whoever can guess what is missing has the secret.
pub(super) const MIN_SECRET_BYTES: usize = 6;
/// A longer form is searched for in pieces of this many bytes, so that the work per byte of a reply is bounded whatever
/// the secret is, and a cut-off reflection is found too.
const MAX_NEEDLE_BYTES: usize = 512;

/// One byte string to look for.
pub(super) struct Needle {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// It is base64, and so many characters around it also hold some bits of the secret.
    pub(super) before: u8,
    pub(super) after: u8,
}

/// All forms of a secret, each once. None for a secret that is too short.
pub(super) fn needles(secret: &[u8]) -> Vec<Needle> {
    if secret.len() < MIN_SECRET_BYTES {
        return Vec::new();
    }
    let mut all = Vec::new();
    push(&mut all, bytes(secret, 1, |byte, out| out.push(byte)), 0, 0);
    for alignment in 0..3 {
        base64(&mut all, secret, alignment, &STANDARD_NO_PAD);
        base64(&mut all, secret, alignment, &URL_SAFE_NO_PAD);
    }
    for digits in [b"0123456789abcdef", b"0123456789ABCDEF"] {
        push(&mut all, bytes(secret, 2, |byte, out| out.extend(hex(byte, digits))), 0, 0);
        push(&mut all, bytes(secret, 3, |byte, out| percent(byte, b"-._~", digits, out)), 0, 0);
        // The form encoding of HTML writes a space as `+` and leaves `*`.
        let form = |byte, out: &mut Vec<u8>| match byte {
            b' ' => out.push(b'+'),
            _ => percent(byte, b"-._*", digits, out),
        };
        push(&mut all, bytes(secret, 3, form), 0, 0);
    }
    for escapes in [
        Escapes { slash: false, html: false },
        Escapes { slash: true, html: false },
        Escapes { slash: false, html: true },
    ] {
        push(&mut all, json(secret, &escapes, false), 0, 0);
        push(&mut all, json(secret, &escapes, true), 0, 0);
    }
    push(&mut all, bytes(secret, 6, html), 0, 0);
    all
}

/// Adds a form, in pieces if it is long.
fn push(all: &mut Vec<Needle>, form: Zeroizing<Vec<u8>>, before: u8, after: u8) {
    let starts = (0..form.len()).step_by(MAX_NEEDLE_BYTES);
    for start in starts {
        let (end, is_last) = match start + MAX_NEEDLE_BYTES {
            end if end < form.len() => (end, false),
            _ => (form.len(), true),
        };
        // The last piece is as long as the others, and overlaps the one before it.
        let start = start.min(form.len().saturating_sub(MAX_NEEDLE_BYTES));
        let piece = Zeroizing::new(form.get(start..end).unwrap_or_default().to_vec());
        if all.iter().all(|known| *known.bytes != *piece) {
            let (before, after) = (if start == 0 { before } else { 0 }, if is_last { after } else { 0 });
            all.push(Needle { bytes: piece, before, after });
        }
    }
}

/// Rewrites byte by byte, into a buffer that doesn't grow: a byte becomes `widest` bytes at most.
fn bytes(secret: &[u8], widest: usize, mut rewrite: impl FnMut(u8, &mut Vec<u8>)) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(secret.len() * widest));
    for byte in secret {
        rewrite(*byte, &mut out);
    }
    out
}

/// The characters that hold nothing but bits of the secret when it stands `alignment` bytes into what was encoded. The
/// characters at its two ends hold bits of a neighbour too; they differ, so they aren't part of the needle.
fn base64(all: &mut Vec<Needle>, secret: &[u8], alignment: usize, alphabet: &impl base64::Engine) {
    let mut shifted = Zeroizing::new(vec![0; alignment + secret.len()]);
    if let Some(tail) = shifted.get_mut(alignment..) {
        tail.copy_from_slice(secret);
    }
    let mut encoded = Zeroizing::new(vec![0; shifted.len().div_ceil(3) * 4]);
    let Ok(length) = alphabet.encode_slice(&*shifted, &mut encoded) else { return };
    let bits = shifted.len() * 8;
    let whole = (bits / 6).min(length);
    let first = (alignment * 8).div_ceil(6);
    let core = Zeroizing::new(encoded.get(first..whole).unwrap_or_default().to_vec());
    push(all, core, u8::from(alignment > 0), u8::from(!bits.is_multiple_of(6)));
}

fn hex(byte: u8, digits: &[u8; 16]) -> impl Iterator<Item = u8> {
    [byte >> 4, byte & 15].map(|n| digits.get(usize::from(n)).copied().unwrap_or(b'0')).into_iter()
}

fn percent(byte: u8, plain: &[u8], digits: &[u8; 16], out: &mut Vec<u8>) {
    if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
        out.push(byte);
    } else {
        out.push(b'%');
        out.extend(hex(byte, digits));
    }
}

fn html(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b'&' => out.extend_from_slice(b"&amp;"),
        b'<' => out.extend_from_slice(b"&lt;"),
        b'>' => out.extend_from_slice(b"&gt;"),
        b'"' => out.extend_from_slice(b"&quot;"),
        b'\'' => out.extend_from_slice(b"&#39;"),
        other => out.push(other),
    }
}

/// What a JSON writer escapes beyond what it has to.
struct Escapes {
    /// `/`, as PHP does.
    slash: bool,
    /// `<`, `>` and `&`, as Go does.
    html: bool,
}

/// The inside of a JSON string. With `ascii`, characters beyond ASCII are escaped, as Python does.
fn json(secret: &[u8], escapes: &Escapes, ascii: bool) -> Zeroizing<Vec<u8>> {
    // Secrets come in as text; what isn't has no JSON form, and an empty needle is never added.
    let text = std::str::from_utf8(secret).unwrap_or_default();
    let mut out = Zeroizing::new(Vec::with_capacity(text.len() * 6));
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            '/' if escapes.slash => out.extend_from_slice(b"\\/"),
            '<' | '>' | '&' if escapes.html => unicode(c, &mut out),
            c if c.is_ascii_control() || (ascii && !c.is_ascii()) => unicode(c, &mut out),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out
}

fn unicode(c: char, out: &mut Vec<u8>) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        out.extend_from_slice(b"\\u");
        for byte in unit.to_be_bytes() {
            out.extend(hex(byte, b"0123456789abcdef"));
        }
    }
}
