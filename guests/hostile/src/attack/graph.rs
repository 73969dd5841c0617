//! Attacks on the graph: too much, and objects that are wrong. A wrong object stands between two good ones, which must
//! arrive: it is set aside alone.

use super::{emit, other};
use crate::Task;
use crate::bindings::exports::porthole::integration::steps::StepError;
use crate::bindings::porthole::integration::graph::{self as host, EmitError};

/// Emits objects until it is told to stop, and claims to be complete. Must end as the limit `emit-objects`.
pub(crate) fn objects_flood(task: &Task) -> Result<(), StepError> {
    let batch = (0..1000).map(|n| task.thing(&format!("thing:{n}"))).collect::<String>();
    loop {
        match host::emit(batch.as_bytes()) {
            Ok(()) => {}
            Err(EmitError::Limit(_)) => return Ok(()),
            Err(e) => return Err(other(format!("{e:?}"))),
        }
    }
}

/// Emits large objects until it is told to stop, and claims to be complete. Must end as the limit `emit-bytes`.
pub(crate) fn bytes_flood(task: &Task) -> Result<(), StepError> {
    let text = "x".repeat(200_000);
    let line = [properties(task, &format!(r#"{{"text":"{text}"}}"#)), b"\n".to_vec()].concat();
    loop {
        match host::emit(&line) {
            Ok(()) => {}
            Err(EmitError::Limit(_)) => return Ok(()),
            Err(e) => return Err(other(format!("{e:?}"))),
        }
    }
}

/// Emits one object of 300 kB. Must be refused with `too-large`, and the step must not count as finished.
pub(crate) fn giant_line(task: &Task) -> Result<(), StepError> {
    expect_too_large(&properties(task, &format!(r#"{{"text":"{}"}}"#, "x".repeat(300_000))))
}

/// Emits a batch of 2 MiB. Must be refused with `too-large`, and the step must not count as finished.
pub(crate) fn giant_batch(task: &Task) -> Result<(), StepError> {
    expect_too_large(task.thing("thing:many").repeat(2 * 1024 * 1024 / 60).as_bytes())
}

fn expect_too_large(batch: &[u8]) -> Result<(), StepError> {
    match host::emit(batch) {
        Err(EmitError::TooLarge(_)) => Ok(()),
        answer => Err(other(format!("{answer:?}"))),
    }
}

/// Emits a wrong line between two good ones.
fn among_good(task: &Task, line: &[u8]) -> Result<(), StepError> {
    let good = [task.thing("good:before"), task.thing("good:after")];
    emit(&[good[0].as_bytes(), line, b"\n", good[1].as_bytes()].concat())
}

/// An entity of the step's type with these properties.
fn properties(task: &Task, properties: &str) -> Vec<u8> {
    let entity_type = task.entity_type();
    format!(r#"{{"e":"{entity_type}","k":"bad","c":["Record"],"n":"bad","p":{properties}}}"#).into_bytes()
}

/// A line that is no JSON.
pub(crate) fn no_json(task: &Task) -> Result<(), StepError> {
    let whole = properties(task, "{}");
    among_good(task, whole.split_at(whole.len() / 2).0)
}

/// A type that the step doesn't declare.
pub(crate) fn undeclared_type(task: &Task) -> Result<(), StepError> {
    among_good(task, br#"{"e":"okta_user","k":"bad","c":["User"],"n":"bad","p":{"username":"root"}}"#)
}

/// A relationship that the step doesn't declare.
pub(crate) fn undeclared_relationship(task: &Task) -> Result<(), StepError> {
    among_good(
        task,
        br#"{"r":"hostile_user_owns_github_account","f":"good:before","v":"OWNS","t":"good:after","p":{}}"#,
    )
}

/// A NUL in a value, which no Postgres text holds.
pub(crate) fn nul(task: &Task) -> Result<(), StepError> {
    among_good(task, &properties(task, r#"{"text":"a\u0000b"}"#))
}

/// Half a surrogate pair, which is no character.
pub(crate) fn lone_surrogate(task: &Task) -> Result<(), StepError> {
    among_good(task, &properties(task, r#"{"text":"\ud800"}"#))
}

/// Bytes that are no UTF-8.
pub(crate) fn bad_utf8(task: &Task) -> Result<(), StepError> {
    let mut line = properties(task, r#"{"text":"?"}"#);
    line.iter_mut().filter(|byte| **byte == b'?').for_each(|byte| *byte = 0xff);
    among_good(task, &line)
}

/// Eight bytes that a database would write out as 131 kB.
pub(crate) fn huge_exponent(task: &Task) -> Result<(), StepError> {
    among_good(task, &properties(task, r#"{"n":1e131071}"#))
}

/// A number of 10,000 digits.
pub(crate) fn long_number(task: &Task) -> Result<(), StepError> {
    among_good(task, &properties(task, &format!(r#"{{"n":{}}}"#, "9".repeat(10_000))))
}

/// The same property twice, so that two readers see two objects.
pub(crate) fn duplicate_property(task: &Task) -> Result<(), StepError> {
    among_good(task, &properties(task, r#"{"admin":false,"\u0061dmin":true}"#))
}

/// The same key twice, with different content.
pub(crate) fn duplicate_object(task: &Task) -> Result<(), StepError> {
    among_good(task, &[properties(task, r#"{"n":1}"#), b"\n".to_vec(), properties(task, r#"{"n":2}"#)].concat())
}

/// Lists in lists, 10,000 deep, for a parser that recurses.
pub(crate) fn too_deep(task: &Task) -> Result<(), StepError> {
    among_good(task, &properties(task, &format!(r#"{{"a":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000))))
}

/// A key of 2 kB, longer than an index takes.
pub(crate) fn long_key(task: &Task) -> Result<(), StepError> {
    among_good(task, task.thing(&"k".repeat(2_000)).trim_end().as_bytes())
}

/// A class that the type doesn't have.
pub(crate) fn wrong_class(task: &Task) -> Result<(), StepError> {
    let entity_type = task.entity_type();
    let line = format!(r#"{{"e":"{entity_type}","k":"bad","c":["User"],"n":"bad","p":{{"username":"root"}}}}"#);
    among_good(task, line.as_bytes())
}

/// A user without the property that every user has.
pub(crate) fn missing_property(task: &Task) -> Result<(), StepError> {
    among_good(task, br#"{"e":"hostile_user","k":"bad","c":["User"],"n":"bad","p":{}}"#)
}

/// A property with the name of one of the host's own columns.
pub(crate) fn foreign_property(task: &Task) -> Result<(), StepError> {
    among_good(task, &properties(task, r#"{"_key":"root","_class":["Admin"],"tenant_id":"other"}"#))
}
