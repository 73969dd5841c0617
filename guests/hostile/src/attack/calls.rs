//! Attacks on what may be asked of the provider. None of them may reach it.

use super::other;
use crate::Task;
use crate::bindings::exports::porthole::integration::steps::StepError;
use crate::bindings::porthole::integration::credentials::{self, Credential};
use crate::bindings::porthole::integration::graph;
use crate::bindings::porthole::integration::operations::{
    Argument, CallError, Invocation, Request, Response, call, call_many,
};

/// Opens the one slot that exists.
pub(super) fn credential() -> Result<Credential, StepError> {
    credentials::open("api").map_err(|e| other(format!("{e:?}")))
}

/// A request with arguments.
pub(super) fn request<'a>(operation: &str, arguments: &[(&str, &str)], with: Option<&'a Credential>) -> Invocation<'a> {
    let argument = |(name, value): &(&str, &str)| Argument { name: (*name).to_owned(), value: (*value).to_owned() };
    Invocation::Begin(Request {
        operation: operation.to_owned(),
        arguments: arguments.iter().map(argument).collect(),
        credential: with,
    })
}

/// Makes a call and hands back its error as text, so that the host's test can look at it.
fn expect_refusal(result: Result<Response, CallError>) -> Result<(), StepError> {
    match result {
        Ok(response) => Err(other(format!("let through: {response:?}"))),
        Err(e) => Err(StepError::Call(format!("{e:?}"))),
    }
}

/// Names an operation that no manifest declares. Must be denied by the layer `requested`.
pub(crate) fn undeclared(_: &Task) -> Result<(), StepError> {
    let credential = credential()?;
    expect_refusal(call(&request("delete-things", &[], Some(&credential))))
}

/// Names an operation that the manifest declares for another step. Must be denied by the layer `requested`.
pub(crate) fn foreign(_: &Task) -> Result<(), StepError> {
    let credential = credential()?;
    expect_refusal(call(&request("get-secret", &[("id", "1")], Some(&credential))))
}

/// Names an operation of its own step that a tenant may leave out of the grant. Must be denied by the layer `granted` then.
pub(crate) fn ungranted(task: &Task) -> Result<(), StepError> {
    foreign(task)
}

/// Gives arguments outside their pattern: a path that climbs, a host, a header, one that isn't declared. Each must be
/// denied by the layer `requested`.
pub(crate) fn argument(_: &Task) -> Result<(), StepError> {
    const VALUES: &[(&str, &str)] = &[
        ("id", "../admin"),
        ("id", ".."),
        ("id", "%2e%2e"),
        ("id", ""),
        ("id", "1?role=admin"),
        ("id", "1#"),
        ("id", "1/../../secrets"),
        ("id", "1\r\nx-evil: 1"),
        ("id", "1\0"),
        ("url", "https://169.254.169.254/latest/meta-data/"),
        ("method", "DELETE"),
        ("host", "evil.example"),
    ];
    let credential = credential()?;
    for (name, value) in VALUES {
        match call(&request("get-thing", &[(name, value)], Some(&credential))) {
            Err(CallError::Denied(_)) => {}
            answer => return Err(other(format!("{name}={value:?} was not denied: {answer:?}"))),
        }
    }
    Err(StepError::Call("each was denied".to_owned()))
}

/// Makes 65 calls at once. Each must be refused with `limit`, and the step must not count as finished.
pub(crate) fn many_65(_: &Task) -> Result<(), StepError> {
    let credential = credential()?;
    let calls: Vec<_> = (0..65).map(|_| request("list-things", &[], Some(&credential))).collect();
    let answers = call_many(&calls);
    match answers.iter().find(|answer| !matches!(answer, Err(CallError::Limit(_)))) {
        None if answers.len() == 65 => Ok(()),
        odd => Err(other(format!("{} answers, {odd:?}", answers.len()))),
    }
}

/// Gives arguments of 200 kB. Must be refused with `limit`.
pub(crate) fn giant(_: &Task) -> Result<(), StepError> {
    let long = "x".repeat(200_000);
    expect_refusal(call(&request("list-things", &[("filter", &long)], None)))
}

/// Calls without end. Must be stopped by the run's budget of calls.
pub(crate) fn flood(_: &Task) -> Result<(), StepError> {
    let credential = credential()?;
    loop {
        match call(&request("list-things", &[], Some(&credential))) {
            Err(CallError::Limit(message)) => return Err(StepError::Call(message)),
            Err(CallError::Cancelled) => return Err(StepError::Call("cancelled".to_owned())),
            _ => {}
        }
    }
}

/// Calls what is denied, without end. Each denial is a durable record, so the run's budget of calls must stop it too.
pub(crate) fn denied_flood(_: &Task) -> Result<(), StepError> {
    loop {
        match call(&request("delete-things", &[], None)) {
            Err(CallError::Denied(_)) => {}
            Err(CallError::Limit(message)) => return Err(StepError::Call(message)),
            answer => return Err(other(format!("neither denied nor stopped: {answer:?}"))),
        }
    }
}

/// Makes page tokens up. Each must be `bad-token`.
pub(crate) fn token_invented(_: &Task) -> Result<(), StepError> {
    for token in [0, 1, 2, 3, 64, 0xdead_beef, u64::MAX] {
        match call(&Invocation::Next(token)) {
            Err(CallError::BadToken) => {}
            answer => return Err(other(format!("token {token}: {answer:?}"))),
        }
    }
    Err(StepError::Call("each was refused".to_owned()))
}

/// Uses the page token of another task: the one that the partition names, and every small number. Must be `bad-token`.
pub(crate) fn token_foreign(task: &Task) -> Result<(), StepError> {
    for token in task.partition.parse::<u64>().into_iter().chain(0..256) {
        match call(&Invocation::Next(token)) {
            Err(CallError::BadToken) => {}
            answer => return Err(other(format!("token {token}: {answer:?}"))),
        }
    }
    Err(StepError::Call("each was refused".to_owned()))
}

/// Uses a page token of its own a second time. Must be `bad-token`.
pub(crate) fn token_twice(_: &Task) -> Result<(), StepError> {
    let credential = credential()?;
    let first = call(&request("list-things", &[], Some(&credential))).map_err(|e| other(format!("{e:?}")))?;
    let Some(token) = first.next else { return Err(other("the list has one page; the attack needs two")) };
    let _ = call(&Invocation::Next(token));
    expect_refusal(call(&Invocation::Next(token)))
}

/// Opens a slot that the manifest doesn't declare. Must be `unknown-slot`.
pub(crate) fn slot_unknown(_: &Task) -> Result<(), StepError> {
    slot("root")
}

/// Opens a slot with a name of 1 MB. Must be `unknown-slot`.
pub(crate) fn slot_giant(_: &Task) -> Result<(), StepError> {
    slot(&"a".repeat(1_000_000))
}

fn slot(name: &str) -> Result<(), StepError> {
    match credentials::open(name) {
        Ok(_) => Err(other("opened")),
        Err(e) => Err(StepError::Call(format!("{e:?}"))),
    }
}

/// Calls an operation that needs a credential without one. Must be denied or be a fault; it may not go out unsigned.
pub(crate) fn credential_missing(_: &Task) -> Result<(), StepError> {
    expect_refusal(call(&request("list-things", &[], None)))
}

/// Reads entities that the step doesn't declare to read. Must be `undeclared`.
pub(crate) fn read_undeclared(_: &Task) -> Result<(), StepError> {
    for entity_type in ["hostile_honest", "github_user", "", "hostile_honest' OR '1'='1"] {
        match graph::entities(entity_type, 0) {
            Err(graph::ReadError::Undeclared) => {}
            answer => return Err(other(format!("{entity_type:?}: {answer:?}"))),
        }
    }
    Err(StepError::Call("each was refused".to_owned()))
}
