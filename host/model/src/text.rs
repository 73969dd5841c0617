//! Foreign text on its way to a person: cut, and without characters that could move a terminal's cursor, break a line of
//! the log, or be refused by Postgres.

/// Characters of foreign text that a message shows.
pub(crate) const MAX_SHOWN_CHARS: usize = 80;

/// At most [`MAX_SHOWN_CHARS`] characters, control characters replaced.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN_CHARS).map(visible).collect()
}

/// At most so many bytes, at a character boundary, control characters replaced by `?`, which is as long as they are or
/// shorter.
pub(crate) fn shown_bytes(text: &str, max_bytes: usize) -> String {
    let mut end = max_bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let kept = text.split_at(end).0;
    kept.chars().map(|c| if visible(c) == c { c } else { '?' }).collect()
}

/// Controls, and the marks that turn the direction of the text around them (so that `evil\u{202e}txt.exe` reads as it is).
fn visible(c: char) -> char {
    let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}');
    if c.is_control() || turns { char::REPLACEMENT_CHARACTER } else { c }
}

/// One word for a POSIX shell, so that a command we print can be pasted whatever a guest put into it.
pub(crate) fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
