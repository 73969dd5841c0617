//! Attacks on the graph: too much, and objects that are wrong. A wrong object stands between two good ones, which must
//! arrive: it is set aside alone.

use super::{emit, other, thing};
use crate::bindings::exports::porthole::integration::steps::StepError;
use crate::bindings::porthole::integration::graph::{self as host, EmitError};

/// Emits objects until it is told to stop, and claims to be complete. Must end as the limit `emit-objects`.
pub(crate) fn objects_flood(_: &str) -> Result<(), StepError> {
    let batch = (0..1000).map(|n| thing(&format!("thing:{n}"))).collect::<String>();
    loop {
        match host::emit(batch.as_bytes()) {
            Ok(()) => {}
            Err(EmitError::Limit(_)) => return Ok(()),
            Err(e) => return Err(other(format!("{e:?}"))),
        }
    }
}

/// Emits large objects until it is told to stop, and claims to be complete. Must end as the limit `emit-bytes`.
pub(crate) fn bytes_flood(_: &str) -> Result<(), StepError> {
    let text = "x".repeat(200_000);
    let line =
        format!(r#"{{"e":"hostile_thing","k":"large","c":["Record"],"n":"large","p":{{"text":"{text}"}}}}"#) + "\n";
    loop {
        match host::emit(line.as_bytes()) {
            Ok(()) => {}
            Err(EmitError::Limit(_)) => return Ok(()),
            Err(e) => return Err(other(format!("{e:?}"))),
        }
    }
}

/// Emits one object of 300 kB. Must be refused with `too-large`, and the step must not count as finished.
pub(crate) fn giant_line(_: &str) -> Result<(), StepError> {
    expect_too_large(&properties(&format!(r#"{{"text":"{}"}}"#, "x".repeat(300_000))))
}

/// Emits a batch of 2 MiB. Must be refused with `too-large`, and the step must not count as finished.
pub(crate) fn giant_batch(_: &str) -> Result<(), StepError> {
    expect_too_large(thing("thing:many").repeat(2 * 1024 * 1024 / 60).as_bytes())
}

fn expect_too_large(batch: &[u8]) -> Result<(), StepError> {
    match host::emit(batch) {
        Err(EmitError::TooLarge(_)) => Ok(()),
        answer => Err(other(format!("{answer:?}"))),
    }
}

/// Emits a wrong line between two good ones.
fn among_good(line: &[u8]) -> Result<(), StepError> {
    let good = [thing("good:before"), thing("good:after")];
    emit(&[good[0].as_bytes(), line, b"\n", good[1].as_bytes()].concat())
}

/// An entity with these properties.
fn properties(properties: &str) -> Vec<u8> {
    format!(r#"{{"e":"hostile_thing","k":"bad","c":["Record"],"n":"bad","p":{properties}}}"#).into_bytes()
}

/// A line that is no JSON.
pub(crate) fn no_json(_: &str) -> Result<(), StepError> {
    among_good(b"{\"e\":\"hostile_thing\",")
}

/// A type that the step doesn't declare.
pub(crate) fn undeclared_type(_: &str) -> Result<(), StepError> {
    among_good(br#"{"e":"okta_user","k":"bad","c":["User"],"n":"bad","p":{"username":"root"}}"#)
}

/// A relationship that the step doesn't declare.
pub(crate) fn undeclared_relationship(_: &str) -> Result<(), StepError> {
    among_good(br#"{"r":"hostile_thing_owns_github_account","f":"good:before","v":"OWNS","t":"good:after","p":{}}"#)
}

/// A NUL in a value, which no Postgres text holds.
pub(crate) fn nul(_: &str) -> Result<(), StepError> {
    among_good(&properties(r#"{"text":"a\u0000b"}"#))
}

/// Half a surrogate pair, which is no character.
pub(crate) fn lone_surrogate(_: &str) -> Result<(), StepError> {
    among_good(&properties(r#"{"text":"\ud800"}"#))
}

/// Bytes that are no UTF-8.
pub(crate) fn bad_utf8(_: &str) -> Result<(), StepError> {
    among_good(b"{\"e\":\"hostile_thing\",\"k\":\"bad\",\"c\":[\"Record\"],\"n\":\"\xff\xfe\",\"p\":{}}")
}

/// Eight bytes that a database would write out as 131 kB.
pub(crate) fn huge_exponent(_: &str) -> Result<(), StepError> {
    among_good(&properties(r#"{"n":1e131071}"#))
}

/// A number of 10,000 digits.
pub(crate) fn long_number(_: &str) -> Result<(), StepError> {
    among_good(&properties(&format!(r#"{{"n":{}}}"#, "9".repeat(10_000))))
}

/// The same property twice, so that two readers see two objects.
pub(crate) fn duplicate_property(_: &str) -> Result<(), StepError> {
    among_good(&properties(r#"{"admin":false,"\u0061dmin":true}"#))
}

/// The same key twice, with different content.
pub(crate) fn duplicate_object(_: &str) -> Result<(), StepError> {
    among_good(&[properties(r#"{"n":1}"#), b"\n".to_vec(), properties(r#"{"n":2}"#)].concat())
}

/// Lists in lists, 10,000 deep, for a parser that recurses.
pub(crate) fn too_deep(_: &str) -> Result<(), StepError> {
    among_good(&properties(&format!(r#"{{"a":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000))))
}

/// A key of 2 kB, longer than an index takes.
pub(crate) fn long_key(_: &str) -> Result<(), StepError> {
    among_good(thing(&"k".repeat(2_000)).trim_end().as_bytes())
}

/// A class that the type doesn't have.
pub(crate) fn wrong_class(_: &str) -> Result<(), StepError> {
    among_good(br#"{"e":"hostile_thing","k":"bad","c":["User"],"n":"bad","p":{"username":"root"}}"#)
}

/// A user without the property that every user has.
pub(crate) fn missing_property(_: &str) -> Result<(), StepError> {
    among_good(br#"{"e":"hostile_user","k":"bad","c":["User"],"n":"bad","p":{}}"#)
}

/// A property with the name of one of the host's own columns.
pub(crate) fn foreign_property(_: &str) -> Result<(), StepError> {
    among_good(&properties(r#"{"_key":"root","_class":["Admin"],"tenant_id":"other"}"#))
}
