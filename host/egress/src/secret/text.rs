//! The way in for a plaintext.

use super::error::SecretError;
use std::fmt;
use std::io::Read;
use zeroize::{Zeroize, Zeroizing};

/// The longest input for one credential, in bytes: a few long fields and a private key, not a file taken by mistake.
pub const MAX_INPUT_BYTES: usize = 64 * 1024;

/// A text that somebody typed, piped or read from a file. It can be put in and not taken out.
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes a text over. The caller's own copies are the caller's to wipe.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Reads all of an input, at most so many bytes of it.
    ///
    /// # Errors
    /// When there is more than `max_bytes`, when reading fails, or when it isn't UTF-8.
    pub fn read_from(mut input: impl Read, max_bytes: usize) -> Result<Self, SecretError> {
        // One buffer from the start: a growing one would leave its earlier selves behind in memory.
        let mut bytes = Zeroizing::new(vec![0; max_bytes.saturating_add(1)]);
        let mut length = 0;
        while let Some(free) = bytes.get_mut(length..).filter(|free| !free.is_empty()) {
            match input.read(free) {
                Ok(0) => break,
                Ok(n) => length += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(SecretError::Read(e)),
            }
        }
        if length > max_bytes {
            return Err(SecretError::InputTooLong(max_bytes));
        }
        bytes.truncate(length);
        match String::from_utf8(std::mem::take(&mut *bytes)) {
            Ok(text) => Ok(Self::new(text)),
            Err(e) => {
                e.into_bytes().zeroize();
                Err(SecretError::NotText)
            }
        }
    }

    pub(super) fn as_str(&self) -> &str {
        // Some editors and shells start a text file with a byte order mark, and all end it with a newline.
        self.0.strip_prefix('\u{feff}').unwrap_or(&self.0)
    }

    pub(super) fn without_newline(&self) -> &str {
        let text = self.as_str();
        let text = text.strip_suffix('\n').unwrap_or(text);
        text.strip_suffix('\r').unwrap_or(text)
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText([redacted])")
    }
}

impl fmt::Display for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
