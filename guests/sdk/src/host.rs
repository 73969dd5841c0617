//! The host, as a guest sees it. Two implementations: the real one behind the world's imports, and
//! [`crate::testing::MemoryHost`].

use crate::call::{Request, Response};
use crate::error::{CallError, EmitError, ReadError};

/// How much a line of the run log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For the author.
    Debug,
    /// Worth knowing.
    Info,
    /// Something is missing or odd, and the step goes on.
    Warn,
    /// The step can't go on.
    Error,
}

/// A page of entities that earlier steps emitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityPage {
    /// JSON Lines: `{"k":KEY,"p":{PROPERTIES}}`.
    pub lines: Vec<u8>,
    /// Where to go on.
    pub next: Option<u64>,
}

/// Everything a guest can ask for. Guests use [`crate::Cx`], which is built on it.
pub trait Host {
    /// Performs calls, at most [`crate::CALLS_AT_ONCE`] at once. Answers come in the order of the requests.
    fn call_many(&self, requests: Vec<Request>) -> Vec<Result<Response, CallError>>;

    /// Hands over a batch of objects as JSON Lines.
    ///
    /// # Errors
    /// When the batch as a whole is refused.
    fn emit(&self, batch: &[u8]) -> Result<(), EmitError>;

    /// Reads back what earlier steps of this run emitted, from a cursor on; the first is 0.
    ///
    /// # Errors
    /// When the step's `reads` doesn't name the type.
    fn entities(&self, entity_type: &str, cursor: u64) -> Result<EntityPage, ReadError>;

    /// The configuration, a JSON object.
    fn config(&self) -> String;

    /// When the run started, in milliseconds since 1970. The only clock there is; it stands still.
    fn started_at_ms(&self) -> u64;

    /// Writes to the run log.
    fn log(&self, level: Level, message: &str);

    /// Says how far the step is.
    fn progress(&self, done: u64, total: Option<u64>);

    /// True once the run was cancelled.
    fn cancelled(&self) -> bool;
}
