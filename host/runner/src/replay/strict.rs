//! The replay of the module that ran: call by call, nothing else, nothing more, nothing less.

use super::replayer::{ReplayFault, Together, note, shown};
use crate::task_calls::TaskCalls;
use crate::transcript::{Ended, TaskKey, Transcript};
use porthole_model::id::Slot;
use porthole_wire::{AskId, Call, CallError, Response, TaskEnd};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// See the module's documentation.
pub struct Strict {
    transcript: Arc<Transcript>,
    /// How many calls each task has made.
    made: Mutex<BTreeMap<TaskKey, usize>>,
    ended: Mutex<BTreeSet<TaskKey>>,
    pub(super) cancelled: CancellationToken,
}

impl Strict {
    /// Of a checked transcript.
    #[must_use]
    pub fn new(transcript: Arc<Transcript>) -> Self {
        Self { transcript, made: Mutex::default(), ended: Mutex::default(), cancelled: CancellationToken::new() }
    }

    pub(super) fn bound(&self) -> &[Slot] {
        &self.transcript.header().bound
    }

    pub(super) fn many(
        &self,
        task: &TaskCalls,
        ask: AskId,
        calls: &[Call],
    ) -> Result<Vec<Result<Response, CallError>>, ReplayFault> {
        let key = task.key();
        let mut answers = Together::new(calls.len());
        for (place, call) in (0..).zip(calls) {
            let answer = self.one(&key, ask, place, call)?;
            let mut ledger = task.ledger();
            note(&mut ledger, call, &answer);
            if let (Call::Next { token }, false) = (call, matches!(answer, Err(CallError::BadToken))) {
                ledger.page_followed(*token);
            }
            if let Ok(Response { next: Some(token), .. }) = &answer {
                ledger.page_opened(*token);
            }
            drop(ledger);
            answers.push(task, answer)?;
        }
        Ok(answers.into_answers())
    }

    fn one(
        &self,
        key: &TaskKey,
        ask: AskId,
        place: u32,
        call: &Call,
    ) -> Result<Result<Response, CallError>, ReplayFault> {
        if self.transcript.ended(key).is_none() {
            return Err(ReplayFault::NewTask(key.to_string()));
        }
        let at = {
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            let made = made.entry(key.clone()).or_default();
            *made += 1;
            *made - 1
        };
        let (task, number, asked) = (key.to_string(), at + 1, shown(call));
        match self.transcript.call(key, at)? {
            None => Err(ReplayFault::Extra { task, number, asked }),
            Some(recorded) if recorded.call != *call => {
                // The credential is no argument, and isn't shown.
                let recorded = match (&recorded.call, call) {
                    (recorded, call) if shown(recorded) == shown(call) => format!("{asked} in another way"),
                    (recorded, _) => shown(recorded),
                };
                Err(ReplayFault::Different { task, number, asked, recorded })
            }
            Some(recorded) if (recorded.ask, recorded.place) != (ask, place) => {
                Err(ReplayFault::Elsewhere { task, number, asked, now: ask, then: recorded.ask })
            }
            Some(recorded) => Ok(recorded.answer),
        }
    }

    pub(super) fn ended(&self, key: &TaskKey, end: &TaskEnd) -> Result<(), ReplayFault> {
        let Some(then) = self.transcript.ended(key) else { return Err(ReplayFault::NewTask(key.to_string())) };
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied().unwrap_or(0);
        if let Some(next) = self.transcript.call(key, made)? {
            let recorded = self.transcript.calls_of(key).unwrap_or(0);
            return Err(ReplayFault::Left { task: key.to_string(), made, recorded, next: shown(&next.call) });
        }
        let now = Ended::from(end);
        if now != then {
            return Err(ReplayFault::Ended { task: key.to_string(), now: now.to_string(), then: then.to_string() });
        }
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        Ok(())
    }

    pub(super) fn finished(&self) -> Result<(), ReplayFault> {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        match self.transcript.tasks().find(|key| !ended.contains(*key)) {
            Some(missing) => Err(ReplayFault::NoTask(missing.to_string())),
            None => Ok(()),
        }
    }
}
