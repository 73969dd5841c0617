//! The attacks, by what they attack.

mod calls;
mod graph;
mod lies;
mod resources;
mod vary;

use crate::bindings::exports::porthole::integration::steps::StepError;
use crate::bindings::porthole::integration::graph as host;
use crate::{Attack, Task};

/// Step by step, as in the manifest.
pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    ("honest", lies::honest),
    ("memory-bomb", resources::memory_bomb),
    ("cpu-loop", resources::cpu_loop),
    ("stack-overflow", resources::stack_overflow),
    ("stack-in-memory", resources::stack_in_memory),
    ("trap-memory", resources::trap_memory),
    ("unreachable", resources::unreachable),
    ("panic", resources::panic),
    ("log-flood", resources::log_flood),
    ("log-giant", resources::log_giant),
    ("progress-flood", resources::progress_flood),
    ("host-call-flood", resources::host_call_flood),
    ("handle-leak", resources::handle_leak),
    ("transfer-giant", resources::transfer_giant),
    ("cancel-wait", resources::cancel_wait),
    ("partitions-flood", nothing),
    ("partitions-giant", nothing),
    ("partitions-heavy", nothing),
    ("call-undeclared", calls::undeclared),
    ("call-foreign", calls::foreign),
    ("call-ungranted", calls::ungranted),
    ("call-argument", calls::argument),
    ("call-many-65", calls::many_65),
    ("call-giant", calls::giant),
    ("call-flood", calls::flood),
    ("denied-flood", calls::denied_flood),
    ("token-invented", calls::token_invented),
    ("token-foreign", calls::token_foreign),
    ("token-twice", calls::token_twice),
    ("slot-unknown", calls::slot_unknown),
    ("slot-giant", calls::slot_giant),
    ("credential-missing", calls::credential_missing),
    ("read-undeclared", calls::read_undeclared),
    ("emit-objects-flood", graph::objects_flood),
    ("emit-bytes-flood", graph::bytes_flood),
    ("emit-giant-line", graph::giant_line),
    ("emit-giant-batch", graph::giant_batch),
    ("emit-no-json", graph::no_json),
    ("emit-undeclared-type", graph::undeclared_type),
    ("emit-undeclared-relationship", graph::undeclared_relationship),
    ("emit-nul", graph::nul),
    ("emit-lone-surrogate", graph::lone_surrogate),
    ("emit-bad-utf8", graph::bad_utf8),
    ("emit-huge-exponent", graph::huge_exponent),
    ("emit-long-number", graph::long_number),
    ("emit-duplicate-property", graph::duplicate_property),
    ("emit-duplicate-object", graph::duplicate_object),
    ("emit-too-deep", graph::too_deep),
    ("emit-long-key", graph::long_key),
    ("emit-wrong-class", graph::wrong_class),
    ("emit-missing-property", graph::missing_property),
    ("emit-foreign-property", graph::foreign_property),
    ("lie-after-denial", lies::after_denial),
    ("lie-after-fault", lies::after_fault),
    ("lie-unread-page", lies::unread_page),
    ("lie-after-refused-batch", lies::after_refused_batch),
    ("lie-empty", lies::empty),
    ("vary-calls", vary::calls),
    ("vary-objects", vary::objects),
    ("vary-partitions", vary::partition),
];

/// The attack is in `partitions`.
fn nothing(_: &Task) -> Result<(), StepError> {
    Ok(())
}

/// What the partitioned steps return: too many, too long, too much together. The step must fail, and no partition of it
/// may run.
pub(crate) fn partitions(step: &str) -> Result<Vec<String>, StepError> {
    match step {
        "partitions-flood" => Ok((0..150_000).map(|n| n.to_string()).collect()),
        "partitions-giant" => Ok(vec!["x".repeat(257)]),
        "partitions-heavy" => Ok((0..40_000).map(|n| format!("{n:0>200}")).collect()),
        "vary-partitions" => Ok(vary::partitions()),
        _ => Ok(vec!["a".to_owned(), "b".to_owned()]),
    }
}

/// A step error with a text.
fn other(text: impl Into<String>) -> StepError {
    StepError::Other(text.into())
}

/// Emits bytes and says what the host said.
fn emit(batch: &[u8]) -> Result<(), StepError> {
    host::emit(batch).map_err(|e| other(format!("{e:?}")))
}
