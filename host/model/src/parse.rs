//! From one emitted line to a checked [`Row`]. The line is hostile: whatever is stored, hashed or shown later has passed
//! here, and nothing looks at the guest's bytes again.
//!
//! The format stands at `graph.emit` in the WIT. Start reading at [`parse_line`].

mod batch;
mod far;
mod reader;
mod types;
mod writing;

use crate::object::{KeyHash, Row};
pub use crate::reason::Reason;
pub use batch::{Batch, Object};
use reader::Reader;
use std::fmt;
pub use types::StepTypes;

/// The longest line, in bytes: the widest real objects have 20 kB; the sandbox refuses longer lines as well.
pub const MAX_LINE_BYTES: usize = 256 * 1024;
/// The longest key, in bytes. Keys are indexed and joined; provider ids and ARNs have under 300.
pub const MAX_KEY_BYTES: usize = 1024;
/// The longest display name, in bytes: a line of a table.
pub const MAX_DISPLAY_NAME_BYTES: usize = 1024;
/// How much of a rejected object's type and key is kept, in bytes: enough to find it, too little to fill the log.
pub const MAX_SHOWN_BYTES: usize = 160;

/// An object that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Its type, if it got that far; cut to [`MAX_SHOWN_BYTES`] and without control characters.
    pub object_type: Option<String>,
    /// Its key, if it got that far; likewise cut.
    pub key: Option<String>,
    /// The hash of its whole key, if the key is known and keeps the rules. An object that was seen but is bad must not be
    /// taken for one that is gone: mark this hash as seen, and the version that is stored stays.
    pub key_hash: Option<KeyHash>,
    /// What is wrong with it.
    pub reason: Reason,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.object_type.as_deref().unwrap_or("object of unknown type"))?;
        if let Some(key) = &self.key {
            write!(f, " `{key}`")?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl std::error::Error for Rejection {}

/// Checks one line (without its line feed) and makes a row of it.
///
/// # Errors
/// When it is no JSON, breaks a limit, or isn't what the step declared.
pub fn parse_line(line: &[u8], types: &StepTypes) -> Result<Row, Rejection> {
    let mut text = Vec::new();
    let object = Reader::new(types).line(line, &mut text)?;
    Ok(object.hashed(&text).row(&text, types))
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
