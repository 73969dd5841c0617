//! Do the records of a log fit together? Signatures show that nobody changed them; this shows what was never written, or
//! was written wrongly: gaps in the calls of a run, ends without a beginning, runs that go on after their end.
//!
//! One pass in the order of the log. What is kept of a run is its state and its open calls.

use porthole_model::audit::{Action, CallEnded, CallMade, Record};
use porthole_model::id::RunId;
use std::collections::{BTreeSet, HashMap, HashSet};

/// What the last record of a run counts, by the words it has for it.
const CALLS: &str = "calls";
const DENIED: &str = "calls-denied";
const LOST: &str = "calls-lost";
const FAULTS: &str = "faults";
const BYTES: &str = "response-bytes";
/// The fault of a call whose end nobody knows: its worker was lost, or its run ended before it.
const LOST_FAULT: &str = "lost";

/// What doesn't fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Oddity {
    /// A record that a run has in a state in which it can't.
    #[error("run {run}: `{action}` can't follow, because the run {state}")]
    State {
        /// The run.
        run: RunId,
        /// What is said to have happened.
        action: Action,
        /// Where the run stands, as the end of a sentence.
        state: &'static str,
    },
    /// Numbers of calls without a record. A call is recorded before it is sent; a number whose call was given up before
    /// that is missing rightly, which is rare enough to be looked at.
    #[error("run {run}: {missing} of its calls have no record, the first is call {first}")]
    MissingCalls {
        /// The run.
        run: RunId,
        /// The first of them.
        first: i64,
        /// How many.
        missing: u64,
    },
    /// A call that was recorded before.
    #[error("run {run}: call {seq} was recorded before")]
    CallTwice {
        /// The run.
        run: RunId,
        /// The call.
        seq: i64,
    },
    /// A call's number that is none.
    #[error("run {run}: {seq} is no number of a call")]
    CallNumber {
        /// The run.
        run: RunId,
        /// The number.
        seq: i64,
    },
    /// An end of a call that is not open.
    #[error("run {run}: call {seq} ends, and it {why}")]
    EndWithoutCall {
        /// The run.
        run: RunId,
        /// The call.
        seq: i64,
        /// Why it isn't open, as the end of a sentence.
        why: &'static str,
    },
    /// A record about a run that doesn't say which.
    #[error("`{0}` says nothing of which run")]
    NoRun(Action),
    /// A run's last record ends the calls that are open; these it forgot.
    #[error("run {run}: it is over, and {count} of its calls never ended, the first is call {first}")]
    OpenCalls {
        /// The run.
        run: RunId,
        /// The first of them.
        first: i64,
        /// How many.
        count: u64,
    },
    /// The totals are not the sum.
    #[error("run {run}: its last record tells of {said} {what}, and the log has {found}")]
    Totals {
        /// The run.
        run: RunId,
        /// What was counted.
        what: &'static str,
        /// What the record says.
        said: u64,
        /// What the log has.
        found: u64,
    },
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unknown,
    Queued,
    Running,
    Held,
    Confirmed,
    Over,
}

impl State {
    fn told(self) -> &'static str {
        match self {
            Self::Unknown => "was never queued",
            Self::Queued => "waits for a worker",
            Self::Running => "is running",
            Self::Held => "is held",
            Self::Confirmed => "was confirmed and waits for a worker",
            Self::Over => "is over",
        }
    }

    /// Where it stands after this; none if this can't be.
    fn after(self, action: Action) -> Option<Self> {
        let (may, then) = match action {
            Action::RunQueued => (self == Self::Unknown, Self::Queued),
            Action::RunStarted => (matches!(self, Self::Queued | Self::Confirmed), Self::Running),
            Action::RunPlanned | Action::CallsBegun | Action::CallsDenied => (self == Self::Running, self),
            Action::RunHeld => (self == Self::Running, Self::Held),
            Action::RunConfirmed => (self == Self::Held, Self::Confirmed),
            Action::RunFinished | Action::RunSwept => (!matches!(self, Self::Unknown | Self::Over), Self::Over),
            // Whoever asks for the end may be a moment late.
            _ => (self != Self::Unknown, self),
        };
        may.then_some(then)
    }
}

/// What is known of one run.
#[derive(Debug)]
struct Run {
    state: State,
    /// All calls below have a record.
    next: i64,
    /// Calls above that have one: calls that are made at the same time are recorded in any order.
    ahead: BTreeSet<i64>,
    /// Calls that were begun and have not ended.
    open: HashSet<i64>,
    totals: Totals,
}

/// What the leaves of a run come to.
#[derive(Debug, Default)]
struct Totals {
    begun: u64,
    denied: u64,
    lost: u64,
    faults: u64,
    bytes: u64,
}

impl Default for Run {
    fn default() -> Self {
        let (ahead, open) = (BTreeSet::new(), HashSet::new());
        Self { state: State::Unknown, next: 1, ahead, open, totals: Totals::default() }
    }
}

/// Where a check of a log's records stands.
#[derive(Debug, Default)]
pub struct Semantics {
    runs: HashMap<RunId, Run>,
}

impl Semantics {
    /// Takes the next record of the log and tells what doesn't fit.
    pub fn take(&mut self, record: &Record, mut tell: impl FnMut(Oddity)) {
        let action = record.action;
        if !is_of_a_run(action) {
            return;
        }
        let Some(id) = record.run else { return tell(Oddity::NoRun(action)) };
        let run = self.runs.entry(id).or_default();
        match run.state.after(action) {
            Some(state) => run.state = state,
            None => tell(Oddity::State { run: id, action, state: run.state.told() }),
        }
        for call in &record.calls {
            run.made(id, call, action == Action::CallsDenied, &mut tell);
        }
        for end in &record.ends {
            run.ended(id, end, &mut tell);
        }
        if run.state == State::Over && matches!(action, Action::RunFinished | Action::RunSwept) {
            run.finish(id, record, &mut tell);
        }
    }

    /// Runs seen so far.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.runs.len() as u64
    }
}

/// These change a run or tell of its calls. Others may mention a run.
fn is_of_a_run(action: Action) -> bool {
    use Action as A;
    matches!(
        action,
        A::RunQueued
            | A::RunStarted
            | A::RunPlanned
            | A::RunHeld
            | A::RunConfirmed
            | A::RunCancelRequested
            | A::RunFinished
            | A::RunSwept
            | A::CallsBegun
            | A::CallsDenied
            | A::CallsEnded
    )
}

impl Run {
    fn made(&mut self, run: RunId, call: &CallMade, denied: bool, tell: &mut impl FnMut(Oddity)) {
        let seq = call.seq;
        if seq < 1 {
            return tell(Oddity::CallNumber { run, seq });
        }
        if seq < self.next || !self.ahead.insert(seq) {
            return tell(Oddity::CallTwice { run, seq });
        }
        while self.ahead.first() == Some(&self.next) {
            self.ahead.pop_first();
            self.next += 1;
        }
        if denied {
            self.totals.denied += 1;
        } else {
            self.totals.begun += 1;
            self.open.insert(seq);
        }
    }

    fn ended(&mut self, run: RunId, end: &CallEnded, tell: &mut impl FnMut(Oddity)) {
        let seq = end.seq;
        if self.open.remove(&seq) {
            self.totals.lost += u64::from(end.fault.as_deref() == Some(LOST_FAULT));
            self.totals.faults += u64::from(end.fault.is_some());
            self.totals.bytes = self.totals.bytes.saturating_add(end.bytes);
            return;
        }
        let recorded = (1..self.next).contains(&seq) || self.ahead.contains(&seq);
        let why = if recorded { "was refused or has ended before" } else { "was never begun" };
        tell(Oddity::EndWithoutCall { run, seq, why });
    }

    fn finish(&mut self, run: RunId, record: &Record, tell: &mut impl FnMut(Oddity)) {
        if let Some(last) = self.ahead.last() {
            // What lies between the first gap and the last call, less what is there.
            let missing = (last - self.next + 1) as u64 - self.ahead.len() as u64;
            tell(Oddity::MissingCalls { run, first: self.next, missing });
        }
        if let Some(first) = self.open.iter().min() {
            tell(Oddity::OpenCalls { run, first: *first, count: self.open.len() as u64 });
        }
        let Totals { begun, denied, lost, faults, bytes } = self.totals;
        for (what, found) in [(CALLS, begun), (DENIED, denied), (LOST, lost), (FAULTS, faults), (BYTES, bytes)] {
            if let Some(said) = record.counts.get(what).copied().filter(|said| *said != found) {
                tell(Oddity::Totals { run, what, said, found });
            }
        }
        // Nothing that needs these can follow.
        (self.ahead, self.open) = (BTreeSet::new(), HashSet::new());
    }
}

#[cfg(test)]
#[path = "semantics_tests.rs"]
mod tests;
