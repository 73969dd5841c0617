//! The lines that are ours: lists that begin with a word. Each has one spelling: what is read is written again and
//! compared, so that no byte of the file is without meaning.

use super::VERSION;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A line that starts like this is ours.
pub(super) const MARK: u8 = b'[';

const HEADER: &str = "porthole-log";
const CHECKPOINT: &str = "checkpoint";
const END: &str = "end";

/// What the file says it is. Nothing of it is believed: it is compared with what the verifier trusts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    /// Which log of its deployment: the end of the origin.
    pub(super) log: String,
    /// Which log.
    pub(super) origin: String,
    /// The key of the newest checkpoint.
    pub(super) vkey: String,
}

/// What the file had, as its writer counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    pub(super) checkpoints: u64,
    pub(super) leaves: u64,
    /// SHA-256 of everything before this line, as hexadecimal.
    pub(super) sha256: String,
}

/// A line of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Control {
    Header(Header),
    /// Its number, from 1, and the note.
    Checkpoint(u64, String),
    End(End),
}

impl Control {
    /// Reads a line.
    pub(super) fn parse(line: &[u8]) -> Result<Self, &'static str> {
        let known =
            [HEADER, CHECKPOINT, END].into_iter().find(|word| line.starts_with(format!("[\"{word}\",").as_bytes()));
        let parsed = match known {
            Some(HEADER) => {
                let (_, version, header): (String, u32, Header) = json(line)?;
                if version != VERSION {
                    return Err("it is a log file of another version");
                }
                Self::Header(header)
            }
            Some(CHECKPOINT) => {
                let (_, number, note): (String, u64, String) = json(line)?;
                Self::Checkpoint(number, note)
            }
            Some(_) => {
                let (_, end): (String, End) = json(line)?;
                Self::End(end)
            }
            None => return Err("it is a list, and none of the lists that a log file has"),
        };
        if parsed.to_line().as_bytes() == line { Ok(parsed) } else { Err("it isn't in the one spelling it has") }
    }

    /// The line, without a newline.
    pub(super) fn to_line(&self) -> String {
        let line = match self {
            Self::Header(header) => serde_json::to_string(&(HEADER, VERSION, header)),
            Self::Checkpoint(number, note) => serde_json::to_string(&(CHECKPOINT, number, note)),
            Self::End(end) => serde_json::to_string(&(END, end)),
        };
        // Texts and numbers have nothing that could fail.
        line.unwrap_or_default()
    }
}

fn json<T: DeserializeOwned>(line: &[u8]) -> Result<T, &'static str> {
    serde_json::from_slice(line).map_err(|_| "it doesn't have the form of such a line")
}
