//! Questions of one task to the broker, and the wait for their answers.
//!
//! Questions are numbered in the order in which the guest asked, so that a replay numbers the same. Batches are sent
//! ahead: up to [`EMIT_WINDOW`] of them may be unanswered. What the guest learns is still fixed by what it did, never by
//! when an answer came: the refusal of a batch shows at the batch exactly `EMIT_WINDOW` later, and from then on at each.

use crate::meter::Ticker;
use crate::wire::Writing;
use porthole_wire::{Answer, AskId, EMIT_WINDOW, EmitError, FromSandbox, Question, TaskId};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

/// The questions of one task.
pub(crate) struct Questions {
    task: TaskId,
    next: AskId,
    writing: Arc<Writing>,
    answers: Receiver<(AskId, Answer)>,
    ticker: Arc<Ticker>,
    /// Batches without an answer, oldest first.
    window: VecDeque<AskId>,
    /// Answers to batches that nobody has looked at yet.
    early: BTreeMap<AskId, Result<(), EmitError>>,
    /// The broker refused a batch.
    refused: Option<EmitError>,
}

impl Questions {
    pub(crate) fn new(
        task: TaskId,
        writing: Arc<Writing>,
        answers: Receiver<(AskId, Answer)>,
        ticker: Arc<Ticker>,
    ) -> Self {
        let (window, early) = (VecDeque::new(), BTreeMap::new());
        Self { task, next: 0, writing, answers, ticker, window, early, refused: None }
    }

    /// Asks and waits.
    pub(crate) fn ask(&mut self, question: Question) -> Answer {
        let ask = self.send(question);
        loop {
            match self.wait() {
                (id, answer) if id == ask => return answer,
                (id, answer) => self.keep(id, answer),
            }
        }
    }

    /// Sends a batch. Waits only while the window is full.
    pub(crate) fn emit(&mut self, batch: Vec<u8>) -> Result<(), EmitError> {
        if self.window.len() >= EMIT_WINDOW {
            self.settle_oldest();
        }
        match &self.refused {
            Some(refused) => Err(refused.clone()),
            None => {
                let ask = self.send(Question::Emit(batch));
                self.window.push_back(ask);
                Ok(())
            }
        }
    }

    /// Waits for every batch. A refusal that the guest didn't live to see comes back here.
    pub(crate) fn settle(&mut self) -> Option<EmitError> {
        while !self.window.is_empty() {
            self.settle_oldest();
        }
        self.refused.clone()
    }

    fn settle_oldest(&mut self) {
        let Some(oldest) = self.window.front().copied() else { return };
        let result = loop {
            if let Some(result) = self.early.remove(&oldest) {
                break result;
            }
            let (id, answer) = self.wait();
            self.keep(id, answer);
        };
        self.window.pop_front();
        if let (Err(e), None) = (result, &self.refused) {
            self.refused = Some(e);
        }
    }

    fn send(&mut self, question: Question) -> AskId {
        let ask = self.next;
        self.next += 1;
        self.writing.send(&FromSandbox::Ask { task: self.task, ask, question });
        ask
    }

    fn wait(&self) -> (AskId, Answer) {
        self.ticker.leave();
        let answer = self.answers.recv();
        self.ticker.enter();
        // The reader drops the sending half only when the process ends.
        answer.unwrap_or_else(|_| std::process::exit(crate::sandbox::EXIT_CLOSED))
    }

    fn keep(&mut self, id: AskId, answer: Answer) {
        match answer {
            Answer::Emitted(result) if self.window.contains(&id) => {
                self.early.insert(id, result);
            }
            _ => crate::sandbox::broker_is_wrong(),
        }
    }
}
