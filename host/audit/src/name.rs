//! Names of keys. A log's key is named as the log itself, by its *origin*, so that a signature says which log it is of.

use crate::error::{AuditError, cut};
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// The longest name, in bytes: what the longest field for names in C2SP tlog-cosignature has room for.
pub const MAX_NAME_BYTES: usize = 255;

const RULE: &str = "1 to 255 bytes without spaces, control characters and `+`";

/// The name of a key, as on a signature line: not empty, no spaces, no plus (C2SP signed-note). Where it names a log it
/// is the origin in the log's checkpoints. It should look like a URL without a scheme: `porthole.example/tenant/acme`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct KeyName(String);

impl KeyName {
    /// Checks a text and makes it a name.
    ///
    /// # Errors
    /// When it is empty, longer than [`MAX_NAME_BYTES`], or holds a space, a control character or a plus.
    pub fn new(name: impl Into<String>) -> Result<Self, AuditError> {
        let name = name.into();
        let odd = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains(odd) {
            return Err(AuditError::Name { value: cut(&name), rule: RULE });
        }
        Ok(Self(name))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = AuditError;
    fn from_str(s: &str) -> Result<Self, AuditError> {
        Self::new(s)
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
