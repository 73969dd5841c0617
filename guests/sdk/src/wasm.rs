//! The real host, behind the world's imports.

use crate::bindings::porthole::integration as wit;
use crate::call::{Header, PageToken, Request, Response};
use crate::error::{CallError, Cause, CredentialError, Denial, EmitError, Fault, Layer, ReadError};
use crate::host::{EntityPage, Host, Level};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use wit::credentials::Credential;

/// The real host. It opens each credential once.
#[derive(Default)]
pub(crate) struct WasmHost {
    credentials: RefCell<BTreeMap<Cow<'static, str>, Credential>>,
}

impl WasmHost {
    /// Opens the credential that a request needs, unless it is open already.
    fn open(&self, request: &Request) -> Result<(), CredentialError> {
        let Request::Begin(call) = request else { return Ok(()) };
        let Some(slot) = &call.credential else { return Ok(()) };
        let mut credentials = self.credentials.borrow_mut();
        if credentials.contains_key(slot) {
            return Ok(());
        }
        let credential = wit::credentials::open(slot).map_err(|e| match e {
            wit::credentials::CredentialError::UnknownSlot => CredentialError::UnknownSlot(slot.to_string()),
            wit::credentials::CredentialError::NotBound => CredentialError::NotBound(slot.to_string()),
            wit::credentials::CredentialError::Other(m) => CredentialError::Other(m),
        })?;
        credentials.insert(slot.clone(), credential);
        Ok(())
    }
}

impl Host for WasmHost {
    fn call_many(&self, requests: Vec<Request>) -> Vec<Result<Response, CallError>> {
        // A request whose credential can't be opened isn't sent; its answer stands here already.
        let opened: Vec<_> = requests.iter().map(|r| (r.operation().clone(), self.open(r))).collect();
        let credentials = self.credentials.borrow();
        let sent = requests.into_iter().zip(&opened).filter(|(_, (_, opened))| opened.is_ok());
        let calls: Vec<_> = sent.map(|(request, _)| lower(request, &credentials)).collect();
        let mut answers = match calls.as_slice() {
            [] => Vec::new(),
            [call] => vec![wit::operations::call(call)],
            calls => wit::operations::call_many(calls),
        }
        .into_iter();
        let answer = |(operation, opened): (Cow<'static, str>, Result<(), CredentialError>)| match opened {
            Err(e) => Err(CallError { operation, cause: e.into() }),
            Ok(()) => match answers.next() {
                Some(Ok(response)) => Ok(lift(operation, response)),
                Some(Err(e)) => Err(CallError { operation, cause: cause(e) }),
                None => Err(CallError { operation, cause: Cause::Other("the host gave no answer".to_owned()) }),
            },
        };
        opened.into_iter().map(answer).collect()
    }

    fn emit(&self, batch: &[u8]) -> Result<(), EmitError> {
        wit::graph::emit(batch).map_err(|e| match e {
            wit::graph::EmitError::TooLarge(m) => EmitError::TooLarge(m),
            wit::graph::EmitError::Limit(m) => EmitError::Limit(m),
            wit::graph::EmitError::Cancelled => EmitError::Cancelled,
            wit::graph::EmitError::Other(m) => EmitError::Other(m),
        })
    }

    fn entities(&self, entity_type: &str, cursor: u64) -> Result<EntityPage, ReadError> {
        match wit::graph::entities(entity_type, cursor) {
            Ok(page) => Ok(EntityPage { lines: page.lines, next: page.next }),
            Err(wit::graph::ReadError::Undeclared) => Err(ReadError::Undeclared(entity_type.to_owned())),
            Err(wit::graph::ReadError::Other(m)) => Err(ReadError::Other(entity_type.to_owned(), m)),
        }
    }

    fn config(&self) -> String {
        wit::run::config()
    }

    fn started_at_ms(&self) -> u64 {
        wit::run::started_at()
    }

    fn log(&self, level: Level, message: &str) {
        let level = match level {
            Level::Debug => wit::run::Level::Debug,
            Level::Info => wit::run::Level::Info,
            Level::Warn => wit::run::Level::Warn,
            Level::Error => wit::run::Level::Error,
        };
        wit::run::log(level, message);
    }

    fn progress(&self, done: u64, total: Option<u64>) {
        wit::run::progress(done, total);
    }

    fn cancelled(&self) -> bool {
        wit::run::cancelled()
    }
}

fn lower<'a>(
    request: Request,
    credentials: &'a BTreeMap<Cow<'static, str>, Credential>,
) -> wit::operations::Invocation<'a> {
    match request {
        Request::Next(token) => wit::operations::Invocation::Next(token.id),
        Request::Begin(call) => {
            let argument = |(name, value): (Cow<'static, str>, String)| {
                let name = name.into_owned();
                wit::operations::Argument { name, value }
            };
            wit::operations::Invocation::Begin(wit::operations::Request {
                operation: call.operation.into_owned(),
                arguments: call.arguments.into_iter().map(argument).collect(),
                credential: call.credential.and_then(|slot| credentials.get(&slot)),
            })
        }
    }
}

fn lift(operation: Cow<'static, str>, response: wit::operations::Response) -> Response {
    let header = |h: wit::operations::Header| Header { name: h.name, value: h.value };
    Response {
        status: response.status,
        headers: response.headers.into_iter().map(header).collect(),
        body: response.body,
        empty: response.empty,
        next: response.next.map(|id| PageToken::new(operation.clone(), id)),
        operation,
    }
}

fn cause(error: wit::operations::CallError) -> Cause {
    use wit::operations::CallError as E;
    match error {
        E::Denied(d) => {
            let layer = match d.layer {
                wit::operations::Layer::Requested => Layer::Requested,
                wit::operations::Layer::Granted => Layer::Granted,
                wit::operations::Layer::Ceiling => Layer::Ceiling,
            };
            Denial { layer, reason: d.reason, remedy: d.remedy }.into()
        }
        E::Fault(f) => Fault { status: f.status, code: f.code, message: f.message, permission: f.permission }.into(),
        E::Limit(m) => Cause::Limit(m),
        E::BadToken => Cause::BadToken,
        E::Cancelled => Cause::Cancelled,
        E::Other(m) => Cause::Other(m),
    }
}
