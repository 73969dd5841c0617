//! A guest that tries to be another one the second time. It has no clock and no randomness, so all that it can go by is
//! what it is told: when the run started, and how it is configured. A replay tells it the same; where someone edited that
//! in a transcript, these steps do something else, and the replay must say so.

use super::calls::{credential, request};
use super::{emit, other};
use crate::Task;
use crate::bindings::exports::porthole::integration::steps::StepError;
use crate::bindings::porthole::integration::operations::call;
use crate::bindings::porthole::integration::run;

/// Asks for another thing when the run started in another millisecond, and asks once more in every other one.
pub(crate) fn calls(task: &Task) -> Result<(), StepError> {
    let credential = credential()?;
    let at = run::started_at();
    let get = |id: &str| {
        let answer = call(&request("get-thing", &[("id", id)], Some(&credential)));
        answer.map(drop).map_err(|e| StepError::Call(format!("{e:?}")))
    };
    get(&mode())?;
    get(&(at % 1_000).to_string())?;
    if at.is_multiple_of(2) {
        get("even")?;
    }
    emit(task.thing(&format!("mode:{}", mode())).as_bytes())
}

/// Emits another object when the run started at another time, without a call.
pub(crate) fn objects(task: &Task) -> Result<(), StepError> {
    let entity_type = task.entity_type();
    let (at, mode) = (run::started_at(), mode());
    let line = format!(
        "{{\"e\":\"{entity_type}\",\"k\":\"vary\",\"c\":[\"Record\"],\"n\":\"vary\",\"p\":{{\"at\":{at},\"mode\":\"{mode}\"}}}}\n"
    );
    emit(line.as_bytes())
}

/// Lists another partition when the run started at another time.
pub(crate) fn partitions() -> Vec<String> {
    vec![format!("p{}", run::started_at() % 2)]
}

/// What those partitions do.
pub(crate) fn partition(task: &Task) -> Result<(), StepError> {
    if task.partition.is_empty() {
        return Err(other("a partition has a name"));
    }
    emit(task.thing(&task.partition).as_bytes())
}

/// The configuration's `mode`; the host checked it, so a look is enough.
fn mode() -> String {
    let config = run::config();
    let value = config.split_once("\"mode\":\"").and_then(|(_, rest)| rest.split_once('"'));
    value.map_or_else(|| "0".to_owned(), |(mode, _)| mode.to_owned())
}
