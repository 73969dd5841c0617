//! What a step works with.

use crate::call::{Call, Request, Response};
use crate::emit::Emitter;
use crate::error::{CallError, StepError};
use crate::host::{Host, Level};
use crate::page::{self, CALLS_AT_ONCE, ManyOutcome, Pages};
use crate::stored::StoredEntities;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// What a step works with: its configuration, its calls, its objects, its log.
pub struct Cx<'a> {
    host: &'a dyn Host,
    config: Map<String, Value>,
}

impl<'a> Cx<'a> {
    /// Reads the configuration.
    ///
    /// # Errors
    /// When it is no JSON object.
    pub fn new(host: &'a dyn Host) -> Result<Self, StepError> {
        let config = serde_json::from_str(&host.config())
            .map_err(|e| StepError::Config(format!("the configuration is no JSON object: {e}")))?;
        Ok(Self { host, config })
    }

    /// A field of the configuration.
    ///
    /// # Errors
    /// [`StepError::Config`] when there is no such field or it is no text.
    pub fn config(&self, field: &str) -> Result<&str, StepError> {
        let value = self.config.get(field).and_then(Value::as_str);
        value.ok_or_else(|| StepError::Config(format!("the configuration lacks `{field}`")))
    }

    /// Performs one call and returns the first page.
    ///
    /// # Errors
    /// When the call was denied or failed.
    pub fn call(&self, call: Call) -> Result<Response, CallError> {
        page::one(self.host, Request::Begin(call))
    }

    /// Performs many calls, [`CALLS_AT_ONCE`] at a time. Answers come in the order of the calls.
    pub fn call_many(&self, calls: impl IntoIterator<Item = Call>) -> Vec<Result<Response, CallError>> {
        let mut calls = calls.into_iter().map(Request::Begin);
        let mut answers = Vec::new();
        loop {
            let requests: Vec<_> = calls.by_ref().take(CALLS_AT_ONCE).collect();
            if requests.is_empty() {
                return answers;
            }
            answers.append(&mut self.host.call_many(requests));
        }
    }

    /// Follows a list to its end, page by page.
    #[must_use]
    pub fn pages(&self, call: Call) -> Pages<'a> {
        Pages::new(self.host, call)
    }

    /// Follows many lists at once, each to its end; up to [`CALLS_AT_ONCE`] are open at a time. `each` gets every page
    /// with the tag of its list; pages of one list come in order, and the last one has no `next`.
    ///
    /// A list that fails doesn't stop the others: it is said in the run log as a warning, and the host leaves the slice
    /// incomplete. A list is failed from its first failed page on; what came before was handed to `each`.
    ///
    /// # Errors
    /// The first error of `each`, or the run's end (cancelled, or a limit used up).
    pub fn pages_many<T>(
        &self,
        lists: impl IntoIterator<Item = (T, Call)>,
        each: impl FnMut(&T, &Response) -> Result<(), StepError>,
    ) -> Result<ManyOutcome, StepError> {
        page::many(self, lists, each)
    }

    /// Collects objects for the graph.
    #[must_use]
    pub fn emitter(&self) -> Emitter<'a> {
        Emitter::new(self.host)
    }

    /// Reads back what earlier steps of this run emitted, with the properties that the step's `reads` names.
    #[must_use]
    pub fn entities<'b, T: DeserializeOwned>(&'b self, entity_type: &'b str) -> StoredEntities<'b, T> {
        StoredEntities::new(self.host, entity_type)
    }

    /// When the run started, in milliseconds since 1970. The only clock there is; it stands still.
    #[must_use]
    pub fn started_at_ms(&self) -> u64 {
        self.host.started_at_ms()
    }

    /// Writes to the run log, for the author.
    pub fn debug(&self, message: &str) {
        self.host.log(Level::Debug, message);
    }

    /// Writes to the run log: worth knowing.
    pub fn info(&self, message: &str) {
        self.host.log(Level::Info, message);
    }

    /// Writes to the run log: something is missing or odd, and the step goes on.
    pub fn warn(&self, message: &str) {
        self.host.log(Level::Warn, message);
    }

    /// Says how far the step is.
    pub fn progress(&self, done: u64, total: Option<u64>) {
        self.host.progress(done, total);
    }

    /// True once the run was cancelled: hand over what there is and return.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.host.cancelled()
    }

    pub(crate) fn host(&self) -> &'a dyn Host {
        self.host
    }
}
