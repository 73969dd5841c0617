//! How a task ends, and what a host function raises to end one early.

use crate::task::TaskState;
use porthole_wire::{MAX_LOG_BYTES, TaskEnd};
use wasmtime::{Trap, WasmBacktrace};

/// Raised in a host function or at a tick: the guest is over. Everything else that ends a guest is its own trap.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Stop {
    /// The stable name of the limit.
    pub(crate) limit: &'static str,
    /// In words.
    pub(crate) message: String,
}

impl Stop {
    pub(crate) fn new(limit: &'static str, message: impl Into<String>) -> Self {
        Self { limit, message: message.into() }
    }
}

impl From<Stop> for TaskEnd {
    fn from(stop: Stop) -> Self {
        Self::Limit { limit: stop.limit.to_owned(), message: cut(stop.message) }
    }
}

/// What a failed call of an export was: a limit of ours, or a trap of the guest.
pub(crate) fn of_error(error: &wasmtime::Error, state: &TaskState) -> TaskEnd {
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return stop.clone().into();
    }
    let told = tell(error);
    // A guest that was refused memory usually traps by itself, in its allocator. Then the refusal is the cause.
    if let Some(refused) = state.memory.refused() {
        return Stop::new("memory", format!("{refused}; {told}")).into();
    }
    // Wasmtime has no type for this one; its text is held by a test.
    if told.contains("fuel allocated for hostcalls has been exhausted") {
        return Stop::new("transfer", format!("more than {} bytes in one call; {told}", crate::limits::HOSTCALL_BYTES))
            .into();
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => Stop::new("stack", told).into(),
        _ => TaskEnd::Trapped { message: cut(told) },
    }
}

/// The cause and the guest's stack, innermost frame first. Wasmtime demangles the names when it prints them.
fn tell(error: &wasmtime::Error) -> String {
    let cause = error.root_cause();
    match error.downcast_ref::<WasmBacktrace>() {
        Some(trace) => format!("{cause}\n{trace}"),
        None => cause.to_string(),
    }
}

/// Cuts a text to [`MAX_LOG_BYTES`], at the end of a character.
pub(crate) fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_LOG_BYTES));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_never_splits_a_character() {
        assert_eq!(cut("short".to_owned()), "short");
        let long = cut("ä".repeat(MAX_LOG_BYTES));
        assert_eq!(long.len(), MAX_LOG_BYTES);
        let odd = cut(format!("x{}", "ä".repeat(MAX_LOG_BYTES)));
        assert_eq!(odd.len(), MAX_LOG_BYTES - 1);
    }
}
