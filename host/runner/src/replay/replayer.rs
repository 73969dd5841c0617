//! Answers calls from a transcript, in one of two ways. [`Strict`]: the module is the one that ran, so it must ask for
//! the same in the same order, and the first difference ends the replay. [`Lenient`]: another version may ask for other
//! things in another order; what the transcript has it gets, the rest is noted.

use super::lenient::Lenient;
use super::strict::Strict;
use crate::task_calls::TaskCalls;
use crate::transcript::TranscriptError;
use porthole_model::grant::Denial;
use porthole_model::id::Slot;
use porthole_model::slice::SliceLedger;
use porthole_wire::{AskId, Call, CallError, MAX_TO_SANDBOX_BYTES, Response, TaskEnd};
use tokio_util::sync::CancellationToken;

/// How much of an argument is shown, in characters.
const SHOWN_CHARS: usize = 60;

/// The guest did something else than in the run. Tasks are named by step and partition, calls counted from 1.
#[derive(Debug, thiserror::Error)]
pub enum ReplayFault {
    /// Another call than the next one.
    #[error("{task}, call {number}: the module asks for {asked}, and in the run it asked for {recorded}")]
    Different {
        /// The task.
        task: String,
        /// The call.
        number: usize,
        /// What it asks for now.
        asked: String,
        /// What the transcript has.
        recorded: String,
    },
    /// The same call at another place among its questions.
    #[error("{task}, call {number}: the module asks for {asked} as question {now}, and in the run as question {then}")]
    Elsewhere {
        /// The task.
        task: String,
        /// The call.
        number: usize,
        /// What it asks for.
        asked: String,
        /// The question now. Batches that it emits and slots that it opens count as well.
        now: AskId,
        /// The question then.
        then: AskId,
    },
    /// A call too many.
    #[error("{task}, call {number}: the module asks for {asked}, and in the run it made no further call")]
    Extra {
        /// The task.
        task: String,
        /// The call.
        number: usize,
        /// What it asks for.
        asked: String,
    },
    /// Calls that it didn't make.
    #[error("{task} ended after {made} calls, and in the run it made {recorded}; the next would have been {next}")]
    Left {
        /// The task.
        task: String,
        /// Calls made.
        made: usize,
        /// Calls of the run.
        recorded: usize,
        /// The first of those that are left.
        next: String,
    },
    /// Another end.
    #[error("{task} ended as `{now}`, and in the run as `{then}`")]
    Ended {
        /// The task.
        task: String,
        /// Now.
        now: String,
        /// Then.
        then: String,
    },
    /// A task that the run didn't have: another partition.
    #[error("{0} runs here and didn't in the run: the module lists other partitions")]
    NewTask(String),
    /// A task that the run had.
    #[error("{0} ran in the run and doesn't here: the module lists other partitions")]
    NoTask(String),
    /// The bodies of one question are more than a sandbox is sent.
    #[error("{task}: the transcript answers one question with more than {max} bytes", max = MAX_TO_SANDBOX_BYTES)]
    TooMuch {
        /// The task.
        task: String,
    },
    /// The transcript.
    #[error(transparent)]
    Transcript(#[from] TranscriptError),
}

/// See the module's documentation.
pub enum Replayer {
    /// For the module that ran.
    Strict(Strict),
    /// For another version.
    Lenient(Box<Lenient>),
}

impl Replayer {
    /// Answers the calls of one question. The file is read where this is called: a replay has nothing else to do.
    pub(crate) fn many(
        &self,
        task: &TaskCalls,
        ask: AskId,
        calls: &[Call],
    ) -> Result<Vec<Result<Response, CallError>>, ReplayFault> {
        match self {
            Self::Strict(strict) => strict.many(task, ask, calls),
            Self::Lenient(lenient) => lenient.many(task, ask, calls),
        }
    }

    pub(crate) fn ended(&self, task: &TaskCalls, end: &TaskEnd) -> Result<(), ReplayFault> {
        match self {
            Self::Strict(strict) => strict.ended(&task.key(), end),
            Self::Lenient(_) => Ok(()),
        }
    }

    pub(crate) fn finished(&self) -> Result<(), ReplayFault> {
        match self {
            Self::Strict(strict) => strict.finished(),
            Self::Lenient(_) => Ok(()),
        }
    }

    pub(crate) fn bound(&self) -> &[Slot] {
        match self {
            Self::Strict(strict) => strict.bound(),
            Self::Lenient(lenient) => lenient.bound(),
        }
    }

    pub(crate) fn cancelled(&self) -> &CancellationToken {
        match self {
            Self::Strict(strict) => &strict.cancelled,
            Self::Lenient(lenient) => &lenient.cancelled,
        }
    }
}

/// Tells the ledger of a slice what an answer means, as the wire told it in the run. The pages are the caller's.
pub(super) fn note(ledger: &mut SliceLedger, call: &Call, answer: &Result<Response, CallError>) {
    match answer {
        Ok(_) => ledger.called(),
        Err(CallError::Denied { layer, reason, remedy }) => {
            let operation = match call {
                Call::Begin { operation, .. } => operation.chars().take(128).collect(),
                Call::Next { .. } => "next page".to_owned(),
            };
            let layer = crate::transcript::layer_of(*layer);
            ledger.denied(&Denial { layer, operation, reason: reason.clone(), remedy: remedy.clone() });
        }
        Err(CallError::Fault { code, message, permission, .. }) => {
            ledger.called();
            ledger.faulted(code, message, permission.as_deref());
        }
        Err(CallError::Limit(message)) => ledger.faulted("limit", message, None),
        Err(CallError::BadToken) => {}
        Err(CallError::Cancelled) => ledger.cancelled(),
    }
}

/// The answers to one question. A transcript may be made to unpack to more than there is memory; what doesn't fit a frame
/// is refused before it is together.
pub(super) struct Together {
    answers: Vec<Result<Response, CallError>>,
    bytes: usize,
}

impl Together {
    /// With room for so many.
    pub(super) fn new(calls: usize) -> Self {
        Self { answers: Vec::with_capacity(calls), bytes: 0 }
    }

    pub(super) fn push(&mut self, task: &TaskCalls, answer: Result<Response, CallError>) -> Result<(), ReplayFault> {
        self.bytes += answer.as_ref().map_or(0, |response| response.body.len());
        if self.bytes > MAX_TO_SANDBOX_BYTES {
            return Err(ReplayFault::TooMuch { task: task.key().to_string() });
        }
        self.answers.push(answer);
        Ok(())
    }

    pub(super) fn into_answers(self) -> Vec<Result<Response, CallError>> {
        self.answers
    }
}

/// A call for people: `list-things(filter=x)`.
pub(super) fn shown(call: &Call) -> String {
    match call {
        Call::Begin { operation, arguments, .. } => {
            let short = |text: &str| -> String {
                let plain = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
                plain.take(SHOWN_CHARS).collect()
            };
            let arguments: Vec<String> =
                arguments.iter().map(|(name, value)| format!("{}={}", short(name), short(value))).collect();
            format!("`{}({})`", short(operation), arguments.join(", "))
        }
        Call::Next { token } => format!("the next page, token {token}"),
    }
}
