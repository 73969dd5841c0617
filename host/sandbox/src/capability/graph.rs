//! `graph`: batches of objects out, objects of earlier steps back. Whether an object is good is the broker's question;
//! here only lengths and counts are.

use crate::bindings::v0_1::porthole::integration::graph::{EmitError, EntityPage, Host, ReadError};
use crate::limits::MAX_NAME_BYTES;
use crate::sandbox::broker_is_wrong;
use crate::task::TaskState;
use porthole_wire as wire;
use porthole_wire::{Answer, MAX_BATCH_BYTES, MAX_LINE_BYTES, Question};

impl Host for TaskState {
    fn emit(&mut self, batch: Vec<u8>) -> wasmtime::Result<Result<(), EmitError>> {
        self.count()?;
        let objects = match lines(&batch) {
            Ok(0) => return Ok(Ok(())),
            Ok(objects) => objects,
            Err(message) => {
                self.refuse("emit-size", &message);
                return Ok(Err(EmitError::TooLarge(message)));
            }
        };
        if let Some((limit, message)) = over_budget(self, objects, batch.len() as u64) {
            self.refuse(limit, &message);
            return Ok(Err(EmitError::Limit(message)));
        }
        self.usage.emit_objects += objects;
        self.usage.emit_bytes += batch.len() as u64;
        Ok(self.questions.emit(batch).map_err(|e| match e {
            wire::EmitError::TooLarge(message) => EmitError::TooLarge(message),
            wire::EmitError::Limit(message) => EmitError::Limit(message),
            wire::EmitError::Cancelled => EmitError::Cancelled,
        }))
    }

    fn entities(&mut self, entity_type: String, cursor: u64) -> wasmtime::Result<Result<EntityPage, ReadError>> {
        self.count()?;
        if entity_type.len() > MAX_NAME_BYTES {
            return Ok(Err(ReadError::Undeclared));
        }
        Ok(match self.questions.ask(Question::Entities { entity_type, cursor }) {
            Answer::Entities(Ok(page)) => Ok(EntityPage { lines: page.lines, next: page.next }),
            Answer::Entities(Err(wire::ReadError::Undeclared)) => Err(ReadError::Undeclared),
            Answer::Entities(Err(wire::ReadError::Other(message))) => Err(ReadError::Other(message)),
            _ => broker_is_wrong(),
        })
    }
}

/// How many lines a batch has, or why it is too large.
fn lines(batch: &[u8]) -> Result<u64, String> {
    if batch.len() > MAX_BATCH_BYTES {
        return Err(format!("a batch of {} bytes, at most {MAX_BATCH_BYTES} are allowed", batch.len()));
    }
    let (mut count, mut from) = (0, 0);
    let last = (!batch.ends_with(b"\n") && !batch.is_empty()).then_some(batch.len());
    for end in memchr::memchr_iter(b'\n', batch).chain(last) {
        let length = end - from;
        if length > MAX_LINE_BYTES {
            return Err(format!("an object of {length} bytes, at most {MAX_LINE_BYTES} are allowed"));
        }
        from = end + 1;
        count += 1;
    }
    Ok(count)
}

/// Which limit these objects would go over, if any.
fn over_budget(state: &TaskState, objects: u64, bytes: u64) -> Option<(&'static str, String)> {
    let limits = &state.limits;
    if state.usage.emit_objects.saturating_add(objects) > limits.emit_objects {
        return Some(("emit-objects", format!("{} objects are allowed in one task", limits.emit_objects)));
    }
    if state.usage.emit_bytes.saturating_add(bytes) > limits.emit_bytes {
        return Some(("emit-bytes", format!("{} bytes of objects are allowed in one task", limits.emit_bytes)));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_with_and_without_a_last_newline() {
        assert_eq!(lines(b""), Ok(0));
        assert_eq!(lines(b"{}\n{}\n"), Ok(2));
        assert_eq!(lines(b"{}\n{}"), Ok(2));
        assert_eq!(lines(b"\n\n{}"), Ok(3));
    }

    #[test]
    fn long_lines_and_long_batches_are_refused() {
        let line = |n: usize| [vec![b'x'; n], b"\n".to_vec()].concat();
        assert_eq!(lines(&line(MAX_LINE_BYTES)), Ok(1));
        assert!(lines(&line(MAX_LINE_BYTES + 1)).is_err());
        assert!(lines(&line(10).repeat(MAX_BATCH_BYTES / 11 + 1)).is_err());
    }
}
