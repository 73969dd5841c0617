//! Who answers a guest's calls: the provider, through the grant and the way out, or a transcript. The broker asks here and
//! doesn't know which it is.

use crate::calls::Caller;
use crate::replay::replayer::{ReplayFault, Replayer};
use crate::task_calls::TaskCalls;
use porthole_wire::{AskId, Call, CallError, Response, TaskEnd};
use std::sync::{Arc, PoisonError};
use tokio_util::sync::CancellationToken;

/// See the module's documentation. Cheap to clone.
#[derive(Clone)]
pub enum Answers {
    /// The provider.
    Live(Arc<Caller>),
    /// A transcript.
    Replay(Arc<Replayer>),
}

impl Answers {
    /// Answers the calls of one question, in their order.
    ///
    /// # Errors
    /// When a replay finds that the guest asks for something else than it did in the run.
    pub async fn many(
        &self,
        task: &TaskCalls,
        ask: AskId,
        calls: &[Call],
    ) -> Result<Vec<Result<Response, CallError>>, ReplayFault> {
        match self {
            Self::Live(caller) => Ok(caller.many(task, ask, calls).await),
            Self::Replay(replayer) => replayer.many(task, ask, calls),
        }
    }

    /// A task ended.
    ///
    /// # Errors
    /// When a replay finds that it ended otherwise than in the run.
    pub fn ended(&self, task: &TaskCalls, end: &TaskEnd) -> Result<(), ReplayFault> {
        match self {
            Self::Live(_) => Ok(()),
            Self::Replay(replayer) => replayer.ended(task, end),
        }
    }

    /// Every task has ended.
    ///
    /// # Errors
    /// When a replay finds that some of the run's tasks never ran.
    pub fn finished(&self) -> Result<(), ReplayFault> {
        match self {
            Self::Live(_) => Ok(()),
            Self::Replay(replayer) => replayer.finished(),
        }
    }

    /// A slot has a credential.
    #[must_use]
    pub fn is_bound(&self, slot: &str) -> bool {
        let bound = match self {
            Self::Live(caller) => &caller.bound,
            Self::Replay(replayer) => replayer.bound(),
        };
        bound.iter().any(|b| b.as_str() == slot)
    }

    /// Is cancelled when the run is.
    #[must_use]
    pub fn cancelled(&self) -> &CancellationToken {
        match self {
            Self::Live(caller) => &caller.cancelled,
            Self::Replay(replayer) => replayer.cancelled(),
        }
    }

    /// What the run is waiting for just now.
    #[must_use]
    pub fn waiting(&self) -> Option<String> {
        match self {
            Self::Live(caller) => caller.waiting.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            Self::Replay(_) => None,
        }
    }
}
