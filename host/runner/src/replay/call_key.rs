//! Calls as two versions of a module can be compared by: operation, arguments and page. Tokens, the order of arguments and
//! the place among a task's questions are one version's own.

use crate::transcript::{TaskKey, Transcript, TranscriptError};
use porthole_wire::{Call, Response};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// A call, whoever made it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct CallKey {
    /// The operation.
    pub operation: String,
    /// Sorted by name; values of one name keep their order, which may mean something.
    pub arguments: Vec<(String, String)>,
    /// The page of the list, from 1.
    pub page: u32,
}

impl CallKey {
    /// Of a call that begins something.
    #[must_use]
    pub fn first(operation: &str, arguments: &[(String, String)]) -> Self {
        let mut arguments = arguments.to_vec();
        arguments.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self { operation: operation.to_owned(), arguments, page: 1 }
    }

    /// Of the page after this one.
    #[must_use]
    pub fn next(&self) -> Self {
        Self { page: self.page.saturating_add(1), ..self.clone() }
    }
}

impl fmt::Display for CallKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arguments: Vec<String> = self.arguments.iter().map(|(name, value)| format!("{name}={value}")).collect();
        write!(f, "{}({})", self.operation, arguments.join(", "))?;
        if self.page > 1 { write!(f, " page {}", self.page) } else { Ok(()) }
    }
}

/// The pages that a task may ask for, by token.
#[derive(Debug, Default)]
pub(super) struct OpenPages(HashMap<u64, CallKey>);

impl OpenPages {
    /// What a call is. None for a page that isn't there.
    pub(super) fn key(&mut self, call: &Call) -> Option<CallKey> {
        match call {
            Call::Begin { operation, arguments, .. } => Some(CallKey::first(operation, arguments)),
            Call::Next { token } => self.0.remove(token),
        }
    }

    /// The answer to that call has a next page.
    pub(super) fn open(&mut self, token: u64, after: &CallKey) {
        self.0.insert(token, after.next());
    }
}

/// Where the calls of a transcript stand: for each, the tasks that made it, in order.
#[derive(Debug, Default)]
pub(super) struct CallIndex(BTreeMap<CallKey, Vec<(TaskKey, usize)>>);

impl CallIndex {
    /// Reads a transcript through.
    pub(super) fn of(transcript: &Transcript) -> Result<Self, TranscriptError> {
        let mut index = Self::default();
        for task in transcript.tasks() {
            let mut pages = OpenPages::default();
            for at in 0.. {
                let Some(found) = transcript.call(task, at)? else { break };
                // A token that was refused in the run is no call that anyone could answer.
                let Some(key) = pages.key(&found.call) else { continue };
                if let Ok(Response { next: Some(token), .. }) = found.answer {
                    pages.open(token, &key);
                }
                index.0.entry(key).or_default().push((task.clone(), at));
            }
        }
        Ok(index)
    }

    /// Where the answer for the `n`th such call of this task stands: the task's own `n`th, else its last, else anyone's
    /// first.
    pub(super) fn find(&self, key: &CallKey, task: &TaskKey, n: usize) -> Option<&(TaskKey, usize)> {
        let all = self.0.get(key)?;
        let mut own = all.iter().filter(|(of, _)| of == task);
        own.clone().nth(n).or_else(|| own.next_back()).or_else(|| all.first())
    }

    /// Each call and how often it was made.
    pub(super) fn counts(&self) -> BTreeMap<CallKey, u64> {
        self.0.iter().map(|(key, all)| (key.clone(), all.len() as u64)).collect()
    }
}
