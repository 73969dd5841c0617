//! Calls in records: many small facts in one leaf. No argument and no answer: which operation, for which slice, what came
//! of it, how many bytes.

use super::MAX_LEAF_BYTES;
use super::entry::{MAX_NAME_BYTES, MAX_WORD_BYTES, cut};
use crate::run::SliceKey;
use serde::{Deserialize, Serialize};

/// What the calls of one record may take, in bytes: a leaf without its frame, with room to spare.
const MAX_BATCH_BYTES: usize = MAX_LEAF_BYTES - 8 * 1024;

/// A call that is about to be sent, or was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallMade {
    /// Refused: by whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<String>,
    /// The operation, as the guest named it.
    pub operation: String,
    /// The partition; none for a step without.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub partition: String,
    /// Counts the calls of the run.
    pub seq: i64,
    /// The step.
    pub step: String,
}

impl CallMade {
    /// A call. Its texts are cut and cleaned here: the operation is a guest's word.
    #[must_use]
    pub fn new(seq: i64, slice: &SliceKey, operation: &str, layer: Option<&str>) -> Self {
        Self {
            layer: layer.map(|l| cut(l, MAX_WORD_BYTES)),
            operation: cut(operation, MAX_NAME_BYTES),
            partition: cut(slice.partition.as_str(), MAX_NAME_BYTES),
            seq,
            step: cut(slice.step.as_str(), MAX_WORD_BYTES),
        }
    }
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallEnded {
    /// Length of the response's body.
    pub bytes: u64,
    /// The stable code of what went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// The provider answered that nothing has changed, and the guest got the reply that was stored before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reused: bool,
    /// Which call.
    pub seq: i64,
    /// The HTTP status, if there was a response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

impl CallEnded {
    /// The end of a call.
    #[must_use]
    pub fn new(seq: i64, status: Option<u16>, fault: Option<&str>, bytes: u64) -> Self {
        Self { bytes, fault: fault.map(|f| cut(f, MAX_WORD_BYTES)), reused: false, seq, status }
    }

    /// The end of a call whose answer was a stored reply.
    #[must_use]
    pub fn reused(mut self, reused: bool) -> Self {
        self.reused = reused;
        self
    }
}

/// Splits calls so that each part fits a record.
#[must_use]
pub fn made_in_batches(calls: Vec<CallMade>) -> Vec<Vec<CallMade>> {
    split(calls, |c| {
        // Quotes and backslashes are written as two characters.
        2 * (c.layer.as_ref().map_or(0, String::len) + c.operation.len() + c.partition.len() + c.step.len()) + 96
    })
}

/// Splits ends so that each part fits a record.
#[must_use]
pub fn ended_in_batches(ends: Vec<CallEnded>) -> Vec<Vec<CallEnded>> {
    split(ends, |e| 2 * e.fault.as_ref().map_or(0, String::len) + 96)
}

/// Parts of at most [`MAX_BATCH_BYTES`], by an upper bound of what an item takes.
fn split<T>(items: Vec<T>, bytes: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut parts: Vec<Vec<T>> = Vec::new();
    let mut room = 0;
    for item in items {
        let needed = bytes(&item);
        match parts.last_mut() {
            Some(part) if needed <= room => {
                part.push(item);
                room -= needed;
            }
            _ => {
                parts.push(vec![item]);
                room = MAX_BATCH_BYTES.saturating_sub(needed);
            }
        }
    }
    parts
}
