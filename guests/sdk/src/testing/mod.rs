//! A host in memory, for the unit tests of a guest. It keeps the real host's limits on calls, page tokens and batches,
//! so that a guest which breaks them fails natively.

mod host;
mod record;

pub use record::{EmittedEntity, EmittedFar, EmittedRelationship, LogLine};

use crate::call::{Call, Header};
use crate::cx::Cx;
use crate::error::{Cause, Denial, EmitError, Fault, StepError};
use crate::guest::Steps;
use record::Record;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// An operation and its arguments, sorted.
type Key = (String, Vec<(String, String)>);

/// A canned page.
#[derive(Debug, Clone)]
struct Page {
    status: u16,
    headers: Vec<Header>,
    body: Vec<u8>,
    empty: bool,
}

/// A host in memory: canned answers in, emitted objects and calls out.
///
/// Answers are found by operation and arguments, in any order of the arguments. A call without a canned answer fails with
/// a fault of code `no-canned-answer` that prints what was asked for.
#[derive(Debug)]
pub struct MemoryHost {
    config: Value,
    started_at_ms: u64,
    cancelled: bool,
    refuse_emit: Option<EmitError>,
    answers: BTreeMap<Key, Vec<Result<Page, Cause>>>,
    stored: BTreeMap<String, Vec<Value>>,
    record: RefCell<Record>,
}

impl Default for MemoryHost {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryHost {
    /// An empty configuration, no answers, and a run that started at 2024-01-01T00:00:00Z.
    #[must_use]
    pub fn new() -> Self {
        Self {
            config: json!({}),
            started_at_ms: 1_704_067_200_000,
            cancelled: false,
            refuse_emit: None,
            answers: BTreeMap::new(),
            stored: BTreeMap::new(),
            record: RefCell::default(),
        }
    }

    /// The configuration, a JSON object.
    #[must_use]
    pub fn config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    /// When the run started.
    #[must_use]
    pub fn started_at_ms(mut self, ms: u64) -> Self {
        self.started_at_ms = ms;
        self
    }

    /// One page is the whole answer.
    #[must_use]
    pub fn reply(self, operation: &str, arguments: &[(&str, &str)], body: Value) -> Self {
        self.pages(operation, arguments, [body])
    }

    /// A list of pages.
    #[must_use]
    pub fn pages(self, operation: &str, arguments: &[(&str, &str)], pages: impl IntoIterator<Item = Value>) -> Self {
        let pages = pages.into_iter().map(|body| Ok(page(200, body.to_string().into_bytes()))).collect();
        self.answer(operation, arguments, pages)
    }

    /// Pages, and then a page that fails.
    #[must_use]
    pub fn pages_then(
        self,
        operation: &str,
        arguments: &[(&str, &str)],
        pages: impl IntoIterator<Item = Value>,
        cause: impl Into<Cause>,
    ) -> Self {
        let pages = pages.into_iter().map(|body| Ok(page(200, body.to_string().into_bytes())));
        let pages = pages.chain([Err(cause.into())]).collect();
        self.answer(operation, arguments, pages)
    }

    /// A status of the operation's `empty-on`.
    #[must_use]
    pub fn empty(self, operation: &str, arguments: &[(&str, &str)], status: u16) -> Self {
        self.answer(operation, arguments, vec![Ok(Page { empty: true, ..page(status, Vec::new()) })])
    }

    /// A body as it is, with the declared response headers.
    #[must_use]
    pub fn raw(self, operation: &str, arguments: &[(&str, &str)], headers: &[(&str, &str)], body: &[u8]) -> Self {
        let header = |(name, value): &(&str, &str)| Header { name: (*name).to_owned(), value: (*value).to_owned() };
        let headers = headers.iter().map(header).collect();
        self.answer(operation, arguments, vec![Ok(Page { headers, ..page(200, body.to_vec()) })])
    }

    /// The call is denied.
    #[must_use]
    pub fn deny(self, operation: &str, arguments: &[(&str, &str)], denial: Denial) -> Self {
        self.fail(operation, arguments, denial)
    }

    /// The call fails.
    #[must_use]
    pub fn fault(self, operation: &str, arguments: &[(&str, &str)], fault: Fault) -> Self {
        self.fail(operation, arguments, fault)
    }

    /// The call has no response, for any cause.
    #[must_use]
    pub fn fail(self, operation: &str, arguments: &[(&str, &str)], cause: impl Into<Cause>) -> Self {
        self.answer(operation, arguments, vec![Err(cause.into())])
    }

    /// Declares that the step may read a type back, of which there is none yet.
    #[must_use]
    pub fn reads(mut self, entity_type: &str) -> Self {
        self.stored.entry(entity_type.to_owned()).or_default();
        self
    }

    /// An entity that an earlier step emitted.
    #[must_use]
    pub fn stored(mut self, entity_type: &str, key: &str, properties: Value) -> Self {
        self.stored.entry(entity_type.to_owned()).or_default().push(json!({"k": key, "p": properties}));
        self
    }

    /// The run was cancelled.
    #[must_use]
    pub fn cancel(mut self) -> Self {
        self.cancelled = true;
        self
    }

    /// Every batch is refused.
    #[must_use]
    pub fn refuse_emit(mut self, error: EmitError) -> Self {
        self.refuse_emit = Some(error);
        self
    }

    /// Runs a step, as the host would.
    ///
    /// # Errors
    /// What the step returns.
    pub fn run(&self, steps: &dyn Steps, step: &str, partition: &str) -> Result<(), StepError> {
        steps.run(&Cx::new(self)?, step, partition)
    }

    /// Asks for the partitions of a step, as the host would.
    ///
    /// # Errors
    /// What the guest returns.
    pub fn partitions(&self, steps: &dyn Steps, step: &str) -> Result<Vec<String>, StepError> {
        steps.partitions(&Cx::new(self)?, step)
    }

    /// The emitted entities of a type, in order.
    #[must_use]
    pub fn entities(&self, entity_type: &str) -> Vec<EmittedEntity> {
        self.record.borrow().entities.iter().filter(|e| e.entity_type == entity_type).cloned().collect()
    }

    /// The emitted relationships of a type, in order.
    #[must_use]
    pub fn relationships(&self, relationship_type: &str) -> Vec<EmittedRelationship> {
        let record = self.record.borrow();
        record.relationships.iter().filter(|r| r.relationship_type == relationship_type).cloned().collect()
    }

    /// The types of everything that was emitted, sorted, each once: entity types with their classes, and relationship
    /// types with the verb.
    #[must_use]
    pub fn emitted_types(&self) -> Vec<String> {
        let record = self.record.borrow();
        let entities = record.entities.iter().map(|e| format!("{} {}", e.entity_type, e.class.join(",")));
        let relationships = record.relationships.iter().map(|r| format!("{} {}", r.relationship_type, r.verb));
        let mut types: Vec<_> = entities.chain(relationships).collect();
        types.sort();
        types.dedup();
        types
    }

    /// The sizes of the batches, in bytes.
    #[must_use]
    pub fn batches(&self) -> Vec<usize> {
        self.record.borrow().batches.clone()
    }

    /// The calls that began, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.record.borrow().calls.clone()
    }

    /// The most calls that were made at once.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
        self.record.borrow().most_at_once
    }

    /// Page tokens that were handed out and never used. The real host leaves the slice incomplete for one.
    #[must_use]
    pub fn unfollowed_pages(&self) -> usize {
        self.record.borrow().tokens.len()
    }

    /// The run log.
    #[must_use]
    pub fn logs(&self) -> Vec<LogLine> {
        self.record.borrow().logs.clone()
    }

    /// The last progress.
    #[must_use]
    pub fn last_progress(&self) -> Option<(u64, Option<u64>)> {
        self.record.borrow().progress
    }

    fn answer(mut self, operation: &str, arguments: &[(&str, &str)], pages: Vec<Result<Page, Cause>>) -> Self {
        self.answers.insert(key(operation, arguments.iter().copied()), pages);
        self
    }
}

fn page(status: u16, body: Vec<u8>) -> Page {
    Page { status, headers: Vec::new(), body, empty: false }
}

fn key<'a>(operation: &str, arguments: impl Iterator<Item = (&'a str, &'a str)>) -> Key {
    let mut arguments: Vec<_> = arguments.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    arguments.sort();
    (operation.to_owned(), arguments)
}
