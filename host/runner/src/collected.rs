//! What the tasks of a run came to, and what is decided about each from values alone.

use crate::collector::TaskTally;
use crate::transcript::TaskKey;
use porthole_model::id::{Partition, StepId};
use porthole_model::run::{Outcome, SliceKey};
use porthole_model::slice::Verdict;
use porthole_store::run_slices;
use porthole_wire::{TaskEnd, Usage};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// How one slice ended.
#[derive(Debug)]
pub struct SliceEnd {
    /// Which.
    pub key: SliceKey,
    /// Its number in the store.
    pub slice: i32,
    /// How the guest ended it.
    pub outcome: Outcome,
    /// Complete or not, from the wire.
    pub verdict: Verdict,
    /// What it emitted.
    pub tally: TaskTally,
    /// What it used.
    pub usage: Usage,
}

impl SliceEnd {
    /// As the ledger of runs has it.
    pub(crate) fn record(&self) -> run_slices::SliceEnd {
        run_slices::SliceEnd {
            outcome: self.outcome,
            complete: self.verdict.complete,
            reason: self.verdict.reason.clone().unwrap_or_default(),
            counts: self.tally.counts.clone(),
            usage: Some(serde_json::json!({
                "cpu_us": self.usage.cpu_us,
                "memory_bytes": self.usage.memory_bytes,
                "host_calls": self.usage.host_calls,
                "emit_objects": self.usage.emit_objects,
                "emit_bytes": self.usage.emit_bytes,
                "set_aside": self.tally.rejected,
                "missing_permission": self.verdict.missing_permission,
            })),
        }
    }
}

/// What the tasks of a run came to.
#[derive(Debug, Default)]
pub struct Collected {
    /// Every slice that ran.
    pub slices: Vec<SliceEnd>,
    /// Partitioned steps: which partitions the guest listed, and whether that list was complete.
    pub listings: BTreeMap<StepId, (Vec<Partition>, bool)>,
    /// The listings that failed, with the reason.
    pub failed_listings: BTreeMap<StepId, String>,
    /// Every task in the order in which they ended, and why it failed, cut; none when it finished.
    pub ends: Vec<(TaskKey, Option<String>)>,
    /// Steps of which something is missing; what builds on them is incomplete as well.
    pub incomplete: BTreeSet<StepId>,
}

/// How much of a failure is kept for [`Collected::ends`], in characters; the log has all of it.
const SHOWN_CHARS: usize = 200;

impl Collected {
    /// A task ended.
    pub(crate) fn task_ended(&mut self, key: TaskKey, failure: Option<&str>) {
        self.ends.push((key, failure.map(|text| text.chars().take(SHOWN_CHARS).collect())));
    }
}

/// Why a task didn't finish; none when it did.
pub(crate) fn failure(end: &TaskEnd) -> Option<String> {
    match end {
        TaskEnd::Finished | TaskEnd::Partitions(_) => None,
        TaskEnd::Failed { kind, message } => Some(format!("the step failed ({kind}): {message}")),
        TaskEnd::Trapped { message } => Some(format!("the guest crashed: {message}")),
        TaskEnd::Limit { limit, message } => Some(format!("limit `{limit}`: {message}")),
    }
}

/// The partitions that a guest listed, each once, in its order; and what is wrong with a name, if something is.
pub(crate) fn partitions(end: TaskEnd) -> (Vec<Partition>, Option<String>) {
    let TaskEnd::Partitions(names) = end else { return (Vec::new(), None) };
    let (mut listed, mut seen, mut bad) = (Vec::with_capacity(names.len()), HashSet::new(), None);
    for name in names {
        match Partition::new(name) {
            Ok(partition) if seen.insert(partition.clone()) => listed.push(partition),
            Ok(_) => {}
            Err(e) => bad = Some(e.to_string()),
        }
    }
    (listed, bad)
}
