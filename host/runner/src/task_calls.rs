//! One task, as far as its calls are concerned: who it is, what the wire says about its completeness, the pages it may
//! ask for, and the running hash of what it heard.

use crate::transcript::{Heard, TaskKey};
use porthole_model::id::{OperationId, Partition, StepId};
use porthole_model::page::PageChain;
use porthole_model::run::SliceKey;
use porthole_model::slice::SliceLedger;
use porthole_model::stored_reply::ReplyKey;
use porthole_wire::{AskId, TaskId, TaskKind};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// See the module's documentation.
pub struct TaskCalls {
    /// The task.
    pub task: TaskId,
    /// Its step.
    pub step: StepId,
    /// Its partition.
    pub partition: Partition,
    /// Runs the step, or lists its partitions.
    pub kind: TaskKind,
    ledger: Mutex<SliceLedger>,
    pages: Mutex<HashMap<u64, Pending>>,
    /// For the transcript.
    pub(crate) heard: Mutex<Heard>,
}

/// A page that the guest may ask for.
pub(crate) struct Pending {
    pub(crate) operation: OperationId,
    pub(crate) arguments: Vec<(String, String)>,
    pub(crate) credential: Option<String>,
    /// The pages asked for so far; none before the second, because most replies are whole.
    pub(crate) chain: Option<PageChain>,
    /// The stored reply that led here.
    pub(crate) before: Option<ReplyKey>,
}

impl TaskCalls {
    /// A task that has made no call yet.
    #[must_use]
    pub fn new(task: TaskId, step: StepId, partition: Partition, kind: TaskKind) -> Self {
        Self { task, step, partition, kind, ledger: Mutex::default(), pages: Mutex::default(), heard: Mutex::default() }
    }

    /// Its slice.
    #[must_use]
    pub fn slice(&self) -> SliceKey {
        SliceKey { step: self.step.clone(), partition: self.partition.clone() }
    }

    /// What it is for, which is the same in every run and replay.
    #[must_use]
    pub fn key(&self) -> TaskKey {
        TaskKey { step: self.step.clone(), partition: self.partition.clone(), work: self.kind.into() }
    }

    /// The ledger. A panic elsewhere while it was held leaves plain counters behind, so it is used all the same.
    pub fn ledger(&self) -> MutexGuard<'_, SliceLedger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn pages(&self) -> MutexGuard<'_, HashMap<u64, Pending>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A page token names the call that opened the list: its question and its place in it. So a replay gives the same tokens.
pub(crate) fn page_token(ask: AskId, place: usize) -> u64 {
    // A question has at most 64 calls.
    ask.wrapping_mul(64).wrapping_add(place as u64)
}
