//! A guest's calls: decide, record, send, complete, page. The order is the point: the decision and its record are
//! durable before the first byte leaves, and what the ledger says of a slice comes from here, from the wire, not from
//! the guest.

use crate::recorder::Recorder;
use crate::stored_replies::{Spot, StoredReplies};
use crate::task_calls::{Pending, TaskCalls, page_token};
use porthole_egress::{CallFault, Condition, Observer, Reply, ReplyRules, Session};
use porthole_model::grant::{Denial, Layer, Policy};
use porthole_model::id::{OperationId, Slot};
use porthole_model::manifest::Body;
use porthole_model::operation::PreparedRequest;
use porthole_model::page::{NextPage, PageChain, next_page};
use porthole_model::stored_reply::ReplyKey;
use porthole_model::usage::OperationUse;
use porthole_store::calls::{CallEnd, DeniedCall, NewCall};
use porthole_wire::{AskId, Call, CallError, Response};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Calls that one run may make. The largest organisation we know needs some 100,000. A denied call counts as well: its
/// record is a durable row like any other.
pub const MAX_CALLS: u64 = 2_000_000;
/// Answer bytes that one run may take in: 64 GiB, a hundred times a large organisation's.
pub const MAX_RESPONSE_BYTES: u64 = 64 * 1024 * 1024 * 1024;

/// What a provider says of a reply that still holds.
const NOT_MODIFIED: u16 = 304;

/// Performs the calls of one run.
pub struct Caller {
    /// The three owners' answer.
    pub policy: Policy,
    /// The way out.
    pub session: Session,
    /// Where calls are recorded.
    pub recorder: Recorder,
    /// What the provider can be asked about instead of for.
    pub replies: StoredReplies,
    /// The slots that have a credential.
    pub bound: Vec<Slot>,
    /// Cancelled runs send nothing more.
    pub cancelled: CancellationToken,
    /// Counts the run's records.
    pub sequence: AtomicI64,
    /// The most calls of this run.
    pub max_calls: u64,
    /// Calls so far.
    pub calls: AtomicU64,
    /// Answer bytes so far.
    pub response_bytes: AtomicU64,
    /// Use by operation.
    pub usage: Mutex<BTreeMap<OperationId, OperationUse>>,
    /// Says what the run is waiting for.
    pub waiting: Arc<Mutex<Option<String>>>,
}

impl Observer for Caller {
    fn waiting(&self, operation: &OperationId, wait: Duration, reason: &str) {
        let text = format!("waiting {:.1} s before `{operation}`: {reason}", wait.as_secs_f32());
        tracing::info!("{text}");
        *self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(text);
    }
}

impl Caller {
    /// Performs the calls of one question, at once; answers in their order.
    pub async fn many(&self, task: &TaskCalls, ask: AskId, calls: &[Call]) -> Vec<Result<Response, CallError>> {
        let calls = calls.iter().cloned().enumerate().map(|(i, call)| self.one(task, page_token(ask, i), call));
        futures_util::future::join_all(calls).await
    }

    async fn one(&self, task: &TaskCalls, token: u64, call: Call) -> Result<Response, CallError> {
        // First of all: what is denied costs a record too, and must not go on without end.
        if let Some(limit) = self.over_limit() {
            task.ledger().faulted("limit", &limit, None);
            return Err(CallError::Limit(limit));
        }
        let Pending { operation, arguments, credential, chain, before } = match call {
            Call::Begin { operation, arguments, credential } => match OperationId::new(operation.clone()) {
                Ok(id) => Pending { operation: id, arguments, credential, chain: None, before: None },
                Err(_) => {
                    let denial = self.policy.decide(&task.step, &operation, &arguments).err();
                    return Err(self.denied(task, denial.unwrap_or_else(|| unknown(&operation))).await);
                }
            },
            Call::Next { token } => {
                let pending = task.pages().remove(&token).ok_or(CallError::BadToken)?;
                task.ledger().page_followed(token);
                pending
            }
        };
        if self.cancelled.is_cancelled() {
            task.ledger().cancelled();
            return Err(CallError::Cancelled);
        }
        let decided = self.policy.decide(&task.step, operation.as_str(), &arguments);
        let request = match decided.and_then(|allowed| allowed.request()) {
            Ok(request) => request,
            Err(denial) => return Err(self.denied(task, denial).await),
        };
        if let Err(denial) = check_credential(&request, credential.as_deref(), &self.bound) {
            return Err(self.denied(task, denial).await);
        }
        self.used(&operation, &arguments);
        task.ledger().called();
        let spot = self.replies.spot(&self.session, &request);
        let reply = match self.send(task, &request, spot).await {
            Ok(reply) => reply,
            // A cursor of a stored page may lead nowhere by now.
            Err(error) => return Err(self.doubt(before, error).await),
        };
        let stored = spot.filter(|_| reply.reused.is_some()).map(|spot| spot.key);
        let list = Pending { operation, arguments, credential, chain, before: stored };
        let next = match self.next(task, token, list, &request.url, &reply) {
            Ok(next) => next,
            Err(error) => return Err(self.doubt(stored, error).await),
        };
        self.replies.ended(spot, &reply).await;
        Ok(Response { status: reply.status, headers: reply.headers, body: reply.body.into(), empty: reply.empty, next })
    }

    /// Records, sends, completes.
    async fn send(&self, task: &TaskCalls, request: &PreparedRequest, spot: Option<Spot>) -> Result<Reply, CallError> {
        let seq = self.sequence.fetch_add(1, Ordering::Relaxed);
        let call = NewCall { request_bytes: bytes_of(request), ..new_call(task, seq, request.operation.as_str()) };
        let begun = match self.recorder.begin(call).await {
            Ok(begun) => begun,
            Err(e) => {
                task.ledger().faulted("record", &e.to_string(), None);
                return Err(CallError::Limit(e.to_string()));
            }
        };
        let rules = self.rules(&request.operation);
        let question = self.replies.question(spot);
        let question = question.as_ref().map(|question| question as &dyn Condition);
        let sent = tokio::select! {
            sent = self.session.send_if(request, &rules, question, self) => sent,
            () = self.cancelled.cancelled() => {
                self.recorder.end(begun, never_answered()).await;
                task.ledger().cancelled();
                return Err(CallError::Cancelled);
            }
        };
        *self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
        self.recorder.end(begun, call_end(&sent)).await;
        self.count(&request.operation, &sent);
        sent.map_err(|fault| {
            task.ledger().faulted(fault.code.as_str(), &fault.message, fault.permission.as_deref());
            CallError::Fault {
                status: fault.status,
                code: fault.code.as_str().to_owned(),
                message: fault.message,
                permission: fault.permission,
            }
        })
    }

    /// A page that follows a stored one failed: what led there is fetched anew by the next run.
    async fn doubt(&self, stored: Option<ReplyKey>, error: CallError) -> CallError {
        if let (Some(key), CallError::Fault { .. }) = (stored, &error) {
            self.replies.forget(key).await;
        }
        error
    }

    /// Finds the page after this reply, and keeps it for the guest to ask for.
    fn next(
        &self,
        task: &TaskCalls,
        token: u64,
        list: Pending,
        url: &url::Url,
        reply: &Reply,
    ) -> Result<Option<u64>, CallError> {
        let Pending { operation, arguments, credential, chain, before } = list;
        let Some(compiled) = self.policy.operation(operation.as_str()) else { return Ok(None) };
        if reply.empty || compiled.declared.pages.is_none() {
            return Ok(None);
        }
        // Only a link can lead somewhere else.
        let origins = if reply.link.is_some() { self.session.origins(url) } else { Vec::new() };
        let next = next_page(compiled, &origins, &arguments, reply.link.as_deref(), &reply.body);
        let fault = match next {
            NextPage::Last => return Ok(None),
            NextPage::Next(arguments_of_next) => {
                let mut chain = chain.unwrap_or_else(|| PageChain::new(&arguments));
                match chain.follow(&arguments_of_next) {
                    Ok(()) => {
                        task.ledger().page_opened(token);
                        let chain = Some(chain);
                        let pending = Pending { operation, arguments: arguments_of_next, credential, chain, before };
                        task.pages().insert(token, pending);
                        return Ok(Some(token));
                    }
                    Err(fault) => fault,
                }
            }
            NextPage::Broken(fault) => fault,
        };
        let message = format!("`{operation}`: {fault}");
        task.ledger().faulted(fault.code(), &message, None);
        Err(CallError::Fault { status: Some(reply.status), code: fault.code().to_owned(), message, permission: None })
    }

    async fn denied(&self, task: &TaskCalls, denial: Denial) -> CallError {
        task.ledger().denied(&denial);
        let seq = self.sequence.fetch_add(1, Ordering::Relaxed);
        let denied = DeniedCall { call: new_call(task, seq, &denial.operation), denial: denial.clone() };
        if let Err(e) = self.recorder.deny(denied).await {
            return CallError::Limit(e.to_string());
        }
        if let Ok(id) = OperationId::new(denial.operation.clone()) {
            self.usage().entry(id).or_default().denied += 1;
        }
        CallError::Denied { layer: layer_number(denial.layer), reason: denial.reason, remedy: denial.remedy }
    }

    fn over_limit(&self) -> Option<String> {
        if self.calls.fetch_add(1, Ordering::Relaxed) >= self.max_calls {
            return Some(format!("a run makes at most {} calls", self.max_calls));
        }
        (self.response_bytes.load(Ordering::Relaxed) >= MAX_RESPONSE_BYTES)
            .then(|| format!("a run takes in at most {MAX_RESPONSE_BYTES} bytes"))
    }

    fn rules(&self, operation: &OperationId) -> ReplyRules {
        let Some(compiled) = self.policy.operation(operation.as_str()) else { return ReplyRules::default() };
        let declared = &compiled.declared;
        ReplyRules {
            empty_on: declared.empty_on.clone(),
            response_headers: declared.response_headers.clone(),
            permission: declared.permission.clone().or_else(|| declared.action.clone()),
            graphql: matches!(declared.body, Some(Body::Graphql { .. })),
            revalidate: declared.revalidate,
        }
    }

    /// Notes what an allowed call was given, for whoever narrows the grant later.
    fn used(&self, operation: &OperationId, arguments: &[(String, String)]) {
        let Some(compiled) = self.policy.operation(operation.as_str()) else { return };
        self.usage().entry(operation.clone()).or_default().called_with(&compiled.declared, arguments);
    }

    fn count(&self, operation: &OperationId, sent: &Result<Reply, CallFault>) {
        let stats = match sent {
            Ok(reply) => &reply.stats,
            Err(fault) => &fault.stats,
        };
        // What a guest gets counts, also where the provider didn't send it.
        let reused = sent.as_ref().ok().filter(|reply| reply.reused.is_some());
        let brought = reused.map_or(0, |reply| reply.body.len() as u64);
        self.response_bytes.fetch_add(stats.received_bytes.saturating_add(brought), Ordering::Relaxed);
        let mut usage = self.usage();
        let entry = usage.entry(operation.clone()).or_default();
        entry.calls += 1;
        entry.faults += u64::from(sent.is_err());
        entry.reused += u64::from(reused.is_some());
        entry.response_bytes += stats.received_bytes;
        entry.waited_ms += stats.waited_ms;
    }

    /// Use by operation so far.
    pub fn usage(&self) -> MutexGuard<'_, BTreeMap<OperationId, OperationUse>> {
        self.usage.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The guest must point at the credential that the operation names: a request goes out with the authority that its
/// author meant, or not at all.
pub(crate) fn check_credential(request: &PreparedRequest, given: Option<&str>, bound: &[Slot]) -> Result<(), Denial> {
    let deny = |layer, reason, remedy| Denial { layer, operation: request.operation.to_string(), reason, remedy };
    match (&request.auth, given) {
        (None, None) => Ok(()),
        (Some(slot), Some(given)) if slot.as_str() == given => {
            if bound.contains(slot) {
                return Ok(());
            }
            Err(deny(
                Layer::Granted,
                format!("no credential is bound to slot `{slot}`"),
                format!("porthole credential set INSTANCE --slot {slot}"),
            ))
        }
        (Some(slot), _) => Err(deny(
            Layer::Requested,
            format!("it needs the credential of slot `{slot}`"),
            format!("the guest passes the handle of `{slot}`"),
        )),
        (None, Some(given)) => Err(deny(
            Layer::Requested,
            format!("it takes no credential, and the guest passed `{given}`"),
            "the operation declares `auth` in the manifest, or the guest passes no handle".to_owned(),
        )),
    }
}

fn unknown(operation: &str) -> Denial {
    Denial {
        layer: Layer::Requested,
        operation: operation.chars().take(128).collect(),
        reason: "no operation has such a name".to_owned(),
        remedy: "the module's manifest has to ask for it: a new version, and its review".to_owned(),
    }
}

/// As the frames have it.
pub(crate) fn layer_number(layer: Layer) -> u8 {
    match layer {
        Layer::Requested => 0,
        Layer::Granted => 1,
        Layer::Ceiling => 2,
    }
}

fn new_call(task: &TaskCalls, seq: i64, operation: &str) -> NewCall {
    NewCall { seq, slice: task.slice(), operation: operation.to_owned(), request_bytes: 0 }
}

/// URL, headers and body, without the credential.
fn bytes_of(request: &PreparedRequest) -> u64 {
    let headers: usize = request.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    let body = request.body.as_ref().map_or(0, Vec::len);
    (request.url.as_str().len() + headers + body) as u64
}

fn call_end(sent: &Result<Reply, CallFault>) -> CallEnd {
    let reused = sent.as_ref().is_ok_and(|reply| reply.reused.is_some());
    let (status, fault, stats) = match sent {
        // As the provider said it, not as the guest sees it.
        Ok(reply) => (Some(if reused { NOT_MODIFIED } else { reply.status }), None, &reply.stats),
        Err(fault) => (fault.status, Some(fault.code.as_str().to_owned()), &fault.stats),
    };
    CallEnd {
        status,
        fault_code: fault,
        reused,
        attempts: stats.attempts,
        response_bytes: stats.received_bytes,
        waited_ms: stats.waited_ms,
        elapsed_ms: stats.elapsed_ms,
    }
}

fn never_answered() -> CallEnd {
    let fault_code = Some("cancelled".to_owned());
    let (status, reused) = (None, false);
    CallEnd { status, fault_code, reused, attempts: 0, response_bytes: 0, waited_ms: 0, elapsed_ms: 0 }
}
