//! Following lists to their end: one at a time, or many at once.

use crate::call::{Call, Request, Response};
use crate::cx::Cx;
use crate::error::{CallError, Cause, StepError};
use crate::host::Host;

/// The most calls that the host takes at once.
pub const CALLS_AT_ONCE: usize = 64;
/// Failed lists of one `pages_many` that get a line of the run log each. When a permission is missing, every list fails
/// in the same way, and the first few say all there is to say.
const MAX_WARNINGS: u64 = 10;

/// The pages of one list, in order. Ends after the last page or after an error.
pub struct Pages<'a> {
    host: &'a dyn Host,
    next: Option<Request>,
}

impl<'a> Pages<'a> {
    pub(crate) fn new(host: &'a dyn Host, call: Call) -> Self {
        Self { host, next: Some(Request::Begin(call)) }
    }
}

impl Iterator for Pages<'_> {
    type Item = Result<Response, CallError>;

    fn next(&mut self) -> Option<Self::Item> {
        let answer = one(self.host, self.next.take()?);
        Some(answer.map(|mut response| {
            self.next = response.next.take().map(Request::Next);
            response
        }))
    }
}

/// Performs one request.
pub(crate) fn one(host: &dyn Host, request: Request) -> Result<Response, CallError> {
    let operation = request.operation().clone();
    let no_answer = || CallError { operation, cause: Cause::Other("the host gave no answer".to_owned()) };
    host.call_many(vec![request]).pop().unwrap_or_else(|| Err(no_answer()))
}

/// How [`Cx::pages_many`] went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[must_use]
pub struct ManyOutcome {
    /// Lists that were followed to their end.
    pub complete: u64,
    /// Lists that failed: each was said in the run log (the first ones), and the host leaves the slice incomplete.
    pub failed: u64,
}

/// Follows many lists, up to [`CALLS_AT_ONCE`] at a time. Lists that have begun go before lists that have not, so no more
/// than that many are ever open.
pub(crate) fn many<T>(
    cx: &Cx<'_>,
    lists: impl IntoIterator<Item = (T, Call)>,
    mut each: impl FnMut(&T, &Response) -> Result<(), StepError>,
) -> Result<ManyOutcome, StepError> {
    let mut waiting = lists.into_iter().map(|(tag, call)| (tag, Request::Begin(call))).fuse();
    let mut open: Vec<(T, Request)> = Vec::new();
    let mut outcome = ManyOutcome::default();
    loop {
        open.extend(waiting.by_ref().take(CALLS_AT_ONCE.saturating_sub(open.len())));
        if open.is_empty() {
            break;
        }
        let (tags, requests): (Vec<T>, Vec<Request>) = open.drain(..).unzip();
        for (tag, answer) in tags.into_iter().zip(cx.host().call_many(requests)) {
            match answer {
                Ok(mut response) => {
                    each(&tag, &response)?;
                    match response.next.take() {
                        Some(token) => open.push((tag, Request::Next(token))),
                        None => outcome.complete += 1,
                    }
                }
                Err(e) if e.ends_run() => return Err(e.into()),
                Err(e) => {
                    outcome.failed += 1;
                    if outcome.failed <= MAX_WARNINGS {
                        cx.warn(&e.to_string());
                    }
                }
            }
        }
    }
    if outcome.failed > MAX_WARNINGS {
        cx.warn(&format!("{} more lists failed", outcome.failed - MAX_WARNINGS));
    }
    Ok(outcome)
}
