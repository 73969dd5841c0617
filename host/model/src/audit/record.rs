//! The leaf of a log: canonical JSON (RFC 8785: sorted keys, no spaces, minimal escapes), read back strictly. Two
//! readers of the same bytes see the same record, and one record has one spelling, so its hash is the record's.

use super::MAX_LEAF_BYTES;
use super::action::{Action, Decision};
use super::batch::{CallEnded, CallMade};
use super::entry::Object;
use crate::id::{InstanceId, RunId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The version of this form.
pub(super) const VERSION: u32 = 1;
/// Length of the random key of a record's commitments.
pub const SALT_BYTES: usize = 32;

/// One fact. Fields stand in the order of the canonical form; what isn't set isn't there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// What was done.
    pub action: Action,
    /// Who: `person:NAME` or `worker:NAME`.
    pub actor: String,
    /// When it was written, UTC, to the microsecond. The order of a log is that of its leaves; times of acts that
    /// happened at once may stand in another.
    #[serde(with = "micros")]
    pub at: Timestamp,
    /// Calls that are about to be sent, or were refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<CallMade>,
    /// How many of what.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, u64>,
    /// What was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// Digests and commitments.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub digests: BTreeMap<String, String>,
    /// How calls ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ends: Vec<CallEnded>,
    /// Short texts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
    /// The record's own id (UUID version 7), unique in all logs.
    pub id: Uuid,
    /// The instance it happened to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// Who refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<String>,
    /// What was acted on.
    pub object: Object,
    /// The operation it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// The partition it happened in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Ties together what one request did; for what a worker does in a run, the run's id.
    pub request: Uuid,
    /// The run it happened in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The step it happened in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The version of this form.
    pub v: u32,
}

/// Why a leaf is no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Too long.
    #[error("it has {0} bytes, and a record at most {MAX_LEAF_BYTES}")]
    TooLong(usize),
    /// A form that this program doesn't know.
    #[error("it is of form {0}, and this program knows {VERSION}")]
    Version(u32),
    /// No record at all.
    #[error("it can't be read: {0}")]
    Syntax(#[source] serde_json::Error),
    /// A record in another spelling: its hash isn't the record's.
    #[error("it isn't in its canonical form")]
    NotCanonical,
}

impl Record {
    /// The leaf's bytes, as text.
    #[must_use]
    pub fn to_leaf(&self) -> String {
        // Maps of texts and numbers have nothing that could fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a leaf.
    ///
    /// # Errors
    /// When it is no record, or not in the one spelling that a record has.
    pub fn parse(leaf: &[u8]) -> Result<Self, RecordError> {
        if leaf.len() > MAX_LEAF_BYTES {
            return Err(RecordError::TooLong(leaf.len()));
        }
        let record: Self = serde_json::from_slice(leaf).map_err(RecordError::Syntax)?;
        if record.v != VERSION {
            return Err(RecordError::Version(record.v));
        }
        if record.to_leaf().as_bytes() == leaf { Ok(record) } else { Err(RecordError::NotCanonical) }
    }
}

/// `blake3-keyed:` and the keyed BLAKE3 hash of a value under a record's salt: binding, because the hash has no two
/// values; hiding, as long as the salt isn't told.
#[must_use]
pub fn commitment(salt: &[u8; SALT_BYTES], value: &[u8]) -> String {
    format!("blake3-keyed:{}", blake3::keyed_hash(salt, value).to_hex())
}

/// RFC 3339 in UTC with six digits of a second, always.
mod micros {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
