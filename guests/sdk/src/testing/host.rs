//! The host's side of [`MemoryHost`].

use super::{Key, LogLine, MemoryHost, key};
use crate::call::{PageToken, Request, Response};
use crate::emit::{MAX_BATCH_BYTES, MAX_LINE_BYTES};
use crate::error::{CallError, Cause, EmitError, Fault, ReadError};
use crate::host::{EntityPage, Host, Level};
use crate::page::CALLS_AT_ONCE;
use std::borrow::Cow;

/// Entities of one page of `entities`: few, so that every test of reading back turns a page.
const STORED_PAGE: usize = 2;

impl MemoryHost {
    fn perform(&self, request: Request) -> Result<Response, CallError> {
        let operation = request.operation().clone();
        self.find(request)
            .and_then(|(key, index)| self.page(operation.clone(), key, index))
            .map_err(|cause| CallError { operation, cause })
    }

    /// The canned list and the page of it.
    fn find(&self, request: Request) -> Result<(Key, usize), Cause> {
        if self.cancelled {
            return Err(Cause::Cancelled);
        }
        let mut record = self.record.borrow_mut();
        match request {
            Request::Next(token) => record.tokens.remove(&token.id()).ok_or(Cause::BadToken),
            Request::Begin(call) => {
                let key = key(call.operation(), call.arguments());
                record.calls.push(call);
                Ok((key, 0))
            }
        }
    }

    fn page(&self, operation: Cow<'static, str>, key: Key, index: usize) -> Result<Response, Cause> {
        let no_answer = || Fault {
            status: None,
            code: "no-canned-answer".to_owned(),
            message: format!("the test has no answer for {key:?}"),
            permission: None,
        };
        let pages = self.answers.get(&key).ok_or_else(no_answer)?;
        let page = pages.get(index).ok_or_else(no_answer)?.clone()?;
        let next = (index + 1 < pages.len()).then(|| {
            let mut record = self.record.borrow_mut();
            record.last_token += 1;
            let id = record.last_token;
            record.tokens.insert(id, (key.clone(), index + 1));
            PageToken::new(operation.clone(), id)
        });
        let (status, headers, body, empty) = (page.status, page.headers, page.body, page.empty);
        Ok(Response { operation, status, headers, body, empty, next })
    }
}

impl Host for MemoryHost {
    fn call_many(&self, requests: Vec<Request>) -> Vec<Result<Response, CallError>> {
        let count = requests.len();
        if count > CALLS_AT_ONCE {
            let cause = Cause::Limit(format!("{count} calls at once, at most {CALLS_AT_ONCE}"));
            let refuse = |r: Request| Err(CallError { operation: r.operation().clone(), cause: cause.clone() });
            return requests.into_iter().map(refuse).collect();
        }
        let most = self.record.borrow().most_at_once.max(count);
        self.record.borrow_mut().most_at_once = most;
        requests.into_iter().map(|r| self.perform(r)).collect()
    }

    fn emit(&self, batch: &[u8]) -> Result<(), EmitError> {
        if let Some(error) = &self.refuse_emit {
            return Err(error.clone());
        }
        if batch.len() > MAX_BATCH_BYTES {
            return Err(EmitError::TooLarge(format!("a batch of {} bytes", batch.len())));
        }
        let mut record = self.record.borrow_mut();
        record.batches.push(batch.len());
        for line in batch.split_inclusive(|b| *b == b'\n') {
            if line.len() > MAX_LINE_BYTES {
                return Err(EmitError::TooLarge(format!("a line of {} bytes", line.len())));
            }
            // The real host sets a malformed line aside; here it is a mistake in the guest or the SDK.
            let malformed = |e: serde_json::Error| EmitError::Other(format!("malformed line: {e}"));
            if line.starts_with(br#"{"e":"#) {
                record.entities.push(serde_json::from_slice(line).map_err(malformed)?);
            } else {
                record.relationships.push(serde_json::from_slice(line).map_err(malformed)?);
            }
        }
        Ok(())
    }

    fn entities(&self, entity_type: &str, cursor: u64) -> Result<EntityPage, ReadError> {
        let stored = self.stored.get(entity_type).ok_or_else(|| ReadError::Undeclared(entity_type.to_owned()))?;
        let start = usize::try_from(cursor).unwrap_or(usize::MAX);
        let lines = stored.iter().skip(start).take(STORED_PAGE).map(|entity| format!("{entity}\n"));
        let end = start.saturating_add(STORED_PAGE);
        Ok(EntityPage {
            lines: lines.collect::<String>().into_bytes(),
            next: (end < stored.len()).then_some(end as u64),
        })
    }

    fn config(&self) -> String {
        self.config.to_string()
    }

    fn started_at_ms(&self) -> u64 {
        self.started_at_ms
    }

    fn log(&self, level: Level, message: &str) {
        self.record.borrow_mut().logs.push(LogLine { level, message: message.to_owned() });
    }

    fn progress(&self, done: u64, total: Option<u64>) {
        self.record.borrow_mut().progress = Some((done, total));
    }

    fn cancelled(&self) -> bool {
        self.cancelled
    }
}
