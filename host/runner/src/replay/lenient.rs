//! The replay of another version: calls are answered by what they ask for, wherever the transcript has it. A call that it
//! doesn't have is answered with a fault, which leaves its slice incomplete, and is noted: it is what the other version
//! would have asked of the provider and this one didn't.

use super::call_key::{CallIndex, CallKey, OpenPages};
use super::replayer::{ReplayFault, Together, note};
use crate::calls::{check_credential, layer_number};
use crate::task_calls::{TaskCalls, page_token};
use crate::transcript::{TaskKey, Transcript};
use porthole_model::grant::Policy;
use porthole_model::id::Slot;
use porthole_wire::{AskId, Call, CallError, Response, TaskId};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// The code of the fault that a call gets which the transcript doesn't have.
pub const NOT_RECORDED: &str = "not-recorded";

/// See the module's documentation.
pub struct Lenient {
    /// None for a replay of nothing: then no call is recorded.
    transcript: Option<(Arc<Transcript>, CallIndex)>,
    /// What the module's own manifest allows. With none, that isn't asked.
    policy: Option<Policy>,
    bound: Vec<Slot>,
    state: Mutex<State>,
    pub(super) cancelled: CancellationToken,
}

#[derive(Default)]
struct State {
    pages: HashMap<TaskId, OpenPages>,
    /// How often each task made each call.
    made: HashMap<(TaskKey, CallKey), usize>,
    asked: BTreeMap<CallKey, u64>,
}

impl Lenient {
    /// Of a checked transcript, for a module whose manifest says this.
    ///
    /// # Errors
    /// When the file can't be read any more.
    pub fn new(transcript: Arc<Transcript>, policy: Policy) -> Result<Self, ReplayFault> {
        let index = CallIndex::of(&transcript)?;
        let bound = transcript.header().bound.clone();
        Ok(Self { transcript: Some((transcript, index)), bound, policy: Some(policy), ..Self::nothing(Vec::new()) })
    }

    /// Of nothing: every call gets a fault. These slots look as if they had a credential.
    #[must_use]
    pub fn nothing(bound: Vec<Slot>) -> Self {
        let cancelled = CancellationToken::new();
        Self { transcript: None, policy: None, bound, state: Mutex::default(), cancelled }
    }

    /// Each call that the module made, and how often.
    #[must_use]
    pub fn asked(&self) -> BTreeMap<CallKey, u64> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).asked.clone()
    }

    pub(super) fn bound(&self) -> &[Slot] {
        &self.bound
    }

    pub(super) fn many(
        &self,
        task: &TaskCalls,
        ask: AskId,
        calls: &[Call],
    ) -> Result<Vec<Result<Response, CallError>>, ReplayFault> {
        let mut answers = Together::new(calls.len());
        for (place, call) in calls.iter().enumerate() {
            let answer = self.one(task, page_token(ask, place), call)?;
            note(&mut task.ledger(), call, &answer);
            answers.push(task, answer)?;
        }
        Ok(answers.into_answers())
    }

    fn one(&self, task: &TaskCalls, token: u64, call: &Call) -> Result<Result<Response, CallError>, ReplayFault> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(key) = state.pages.entry(task.task).or_default().key(call) else {
            return Ok(Err(CallError::BadToken));
        };
        if let Call::Next { token } = call {
            task.ledger().page_followed(*token);
        }
        if let Some(denied) = self.denied(task, call) {
            return Ok(Err(denied));
        }
        *state.asked.entry(key.clone()).or_default() += 1;
        let made = state.made.entry((task.key(), key.clone())).or_default();
        *made += 1;
        let n = *made - 1;
        let Some(mut answer) = self.recorded(task, &key, n)? else {
            let message = format!("the transcript has no answer to {key}");
            let code = NOT_RECORDED.to_owned();
            return Ok(Err(CallError::Fault { status: None, code, message, permission: None }));
        };
        if let Ok(Response { next: Some(next), .. }) = &mut answer {
            // The token is this guest's own.
            *next = token;
            state.pages.entry(task.task).or_default().open(token, &key);
            task.ledger().page_opened(token);
        }
        Ok(answer)
    }

    fn recorded(
        &self,
        task: &TaskCalls,
        key: &CallKey,
        n: usize,
    ) -> Result<Option<Result<Response, CallError>>, ReplayFault> {
        let Some((transcript, index)) = &self.transcript else { return Ok(None) };
        let Some((of, at)) = index.find(key, &task.key(), n) else { return Ok(None) };
        Ok(transcript.call(of, *at)?.map(|found| found.answer))
    }

    /// What the module's own manifest doesn't allow it is denied, as it would be in a run. Pages follow from a first call
    /// that was allowed.
    fn denied(&self, task: &TaskCalls, call: &Call) -> Option<CallError> {
        let Call::Begin { operation, arguments, credential } = call else { return None };
        let policy = self.policy.as_ref()?;
        let denial = match policy.decide(&task.step, operation, arguments).and_then(|allowed| allowed.request()) {
            Ok(request) => check_credential(&request, credential.as_deref(), &self.bound).err()?,
            Err(denial) => denial,
        };
        let layer = layer_number(denial.layer);
        Some(CallError::Denied { layer, reason: denial.reason, remedy: denial.remedy })
    }
}
