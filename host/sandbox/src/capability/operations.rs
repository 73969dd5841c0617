//! `operations`: calls.

use crate::bindings::v0_1::porthole::integration::operations::{
    CallError, Denial, Fault, Header, Host, Invocation, Layer, Request, Response,
};
use crate::limits::MAX_CALL_BYTES;
use crate::sandbox::broker_is_wrong;
use crate::task::TaskState;
use porthole_wire as wire;
use porthole_wire::{Answer, MAX_CALLS_AT_ONCE, Question};

/// What an argument takes in a frame besides its text, at most, in bytes.
const ARGUMENT_OVERHEAD_BYTES: usize = 8;

type CallResult = Result<Response, CallError>;

impl Host for TaskState {
    fn call(&mut self, call: Invocation) -> wasmtime::Result<CallResult> {
        let mut results = self.call_many(vec![call])?;
        Ok(results.pop().unwrap_or_else(|| broker_is_wrong()))
    }

    fn call_many(&mut self, calls: Vec<Invocation>) -> wasmtime::Result<Vec<CallResult>> {
        self.count()?;
        if let Some(message) = too_much(&calls) {
            self.refuse("calls-at-once", &message);
            return Ok(calls.iter().map(|_| Err(CallError::Limit(message.clone()))).collect());
        }
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        let count = calls.len();
        let calls = calls.into_iter().map(|call| to_wire(self, call)).collect::<wasmtime::Result<_>>()?;
        match self.questions.ask(Question::Calls(calls)) {
            Answer::Calls(results) if results.len() == count => Ok(results.into_iter().map(from_wire).collect()),
            _ => broker_is_wrong(),
        }
    }
}

/// Why these calls can't go out together, if so.
fn too_much(calls: &[Invocation]) -> Option<String> {
    if calls.len() > MAX_CALLS_AT_ONCE {
        return Some(format!("{} calls at once, at most {MAX_CALLS_AT_ONCE} are allowed", calls.len()));
    }
    let longest = calls.iter().map(size).max().unwrap_or(0);
    (longest > MAX_CALL_BYTES).then(|| format!("a call of {longest} bytes, at most {MAX_CALL_BYTES} are allowed"))
}

fn size(call: &Invocation) -> usize {
    match call {
        Invocation::Begin(Request { operation, arguments, .. }) => {
            let argument = |a: &crate::bindings::v0_1::porthole::integration::operations::Argument| {
                a.name.len() + a.value.len() + ARGUMENT_OVERHEAD_BYTES
            };
            operation.len() + arguments.iter().map(argument).sum::<usize>()
        }
        Invocation::Next(_) => 0,
    }
}

fn to_wire(state: &TaskState, call: Invocation) -> wasmtime::Result<wire::Call> {
    Ok(match call {
        Invocation::Next(token) => wire::Call::Next { token },
        Invocation::Begin(request) => wire::Call::Begin {
            operation: request.operation,
            arguments: request.arguments.into_iter().map(|a| (a.name, a.value)).collect(),
            credential: request
                .credential
                .map(|handle| state.handles.get(&handle).map(|c| c.slot.clone()))
                .transpose()?,
        },
    })
}

fn from_wire(result: Result<wire::Response, wire::CallError>) -> CallResult {
    match result {
        Ok(response) => Ok(Response {
            status: response.status,
            headers: response.headers.into_iter().map(|(name, value)| Header { name, value }).collect(),
            body: response.body,
            empty: response.empty,
            next: response.next,
        }),
        Err(wire::CallError::Denied { layer, reason, remedy }) => {
            let layer = match layer {
                1 => Layer::Granted,
                2 => Layer::Ceiling,
                _ => Layer::Requested,
            };
            Err(CallError::Denied(Denial { layer, reason, remedy }))
        }
        Err(wire::CallError::Fault { status, code, message, permission }) => {
            Err(CallError::Fault(Fault { status, code, message, permission }))
        }
        Err(wire::CallError::Limit(message)) => Err(CallError::Limit(message)),
        Err(wire::CallError::BadToken) => Err(CallError::BadToken),
        Err(wire::CallError::Cancelled) => Err(CallError::Cancelled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::v0_1::porthole::integration::operations::Argument;

    fn call(value: usize) -> Invocation {
        let argument = Argument { name: "a".to_owned(), value: "x".repeat(value) };
        Invocation::Begin(Request { operation: "op".to_owned(), arguments: vec![argument], credential: None })
    }

    #[test]
    fn many_calls_and_long_calls_are_refused() {
        assert_eq!(too_much(&[]), None);
        assert_eq!(too_much(&std::iter::repeat_with(|| Invocation::Next(1)).take(64).collect::<Vec<_>>()), None);
        assert!(too_much(&std::iter::repeat_with(|| Invocation::Next(1)).take(65).collect::<Vec<_>>()).is_some());
        assert_eq!(too_much(&[call(90_000)]), None);
        assert!(too_much(&[call(3), call(100_000)]).is_some());
    }

    #[test]
    fn the_most_that_is_let_through_fits_a_frame() {
        let arguments: Vec<_> = std::iter::repeat_n(("ab".to_owned(), "c".to_owned()), MAX_CALL_BYTES / 11).collect();
        let one = wire::Call::Begin { operation: String::new(), arguments, credential: Some("x".repeat(1024)) };
        let calls = Question::Calls(vec![one; MAX_CALLS_AT_ONCE]);
        let frame = wire::FromSandbox::Ask { task: u32::MAX, ask: u64::MAX, question: calls };
        assert!(wire::encode(&frame, wire::MAX_FROM_SANDBOX_BYTES).is_ok());
    }
}
