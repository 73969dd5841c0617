//! Attacks on completeness: the guest claims that it has seen everything. The host must know better, or objects that still
//! exist are deleted. And the one step that tells the truth.

use super::calls::{credential, request};
use super::{emit, other};
use crate::Task;
use crate::bindings::exports::porthole::integration::steps::StepError;
use crate::bindings::porthole::integration::graph;
use crate::bindings::porthole::integration::operations::{Invocation, call};

/// Does what a module should: follows every page, emits one object for each. Must finish and be complete.
pub(crate) fn honest(task: &Task) -> Result<(), StepError> {
    let credential = credential()?;
    let mut next = Some(request("list-things", &[], Some(&credential)));
    let mut pages = 0;
    while let Some(invocation) = next {
        let response = call(&invocation).map_err(|e| StepError::Call(format!("{e:?}")))?;
        emit(task.thing(&format!("page:{pages}")).as_bytes())?;
        pages += 1;
        next = response.next.map(Invocation::Next);
    }
    Ok(())
}

/// Is denied, and claims that all is well. The slice must be incomplete.
pub(crate) fn after_denial(task: &Task) -> Result<(), StepError> {
    let credential = credential()?;
    let _ = call(&request("delete-things", &[], Some(&credential)));
    emit(task.thing("lie:denial").as_bytes())
}

/// Asks for what the provider answers with an error, and claims that all is well. The slice must be incomplete.
pub(crate) fn after_fault(task: &Task) -> Result<(), StepError> {
    let credential = credential()?;
    let _ = call(&request("get-thing", &[("id", "500")], Some(&credential)));
    emit(task.thing("lie:fault").as_bytes())
}

/// Reads the first page and leaves the rest. The slice must be incomplete.
pub(crate) fn unread_page(task: &Task) -> Result<(), StepError> {
    let credential = credential()?;
    match call(&request("list-things", &[], Some(&credential))) {
        Ok(first) if first.next.is_some() => emit(task.thing("lie:page").as_bytes()),
        answer => Err(other(format!("the attack needs a list of two pages: {answer:?}"))),
    }
}

/// Emits a batch that is refused as a whole, and claims that all is well. Must end as the limit `emit-size`.
pub(crate) fn after_refused_batch(task: &Task) -> Result<(), StepError> {
    let _ = graph::emit(&vec![b'x'; 300_000]);
    emit(task.thing("lie:batch").as_bytes())
}

/// Asks nothing, emits nothing, and claims to be complete. The host can't know better here; this is what the brake on
/// large deletions is for.
pub(crate) fn empty(_: &Task) -> Result<(), StepError> {
    Ok(())
}
