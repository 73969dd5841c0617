//! The lines of a transcript, and the way between them and the frames. The names here are the format: changing one takes
//! a new version.

use super::TRANSCRIPT_VERSION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use porthole_model::grant::Layer;
use porthole_model::id::{ModuleDigest, Partition, RunId, Slot, StepId};
use porthole_model::run::SliceKey;
use porthole_wire::{AskId, Call, CallError, Response, TaskEnd, TaskKind};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Line<'a> {
    Begin(Header),
    Call(CallLine<'a>),
    Body(BodyLine<'a>),
    Task(TaskLine),
    End(EndLine),
}

/// What a guest could perceive besides its calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Header {
    /// The version of the format.
    pub porthole_transcript: u32,
    /// The run; none for one that is in no ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The module.
    pub module: ModuleDigest,
    /// The configuration as the guest saw it, derived fields and all.
    pub config: BTreeMap<String, String>,
    /// When the run started, in milliseconds since 1970.
    pub started_at_ms: u64,
    /// The steps that were on, in the order in which they could start.
    pub steps: Vec<StepId>,
    /// The slots that had a credential, sorted.
    pub bound: Vec<Slot>,
    /// The limits of the sandbox.
    pub limits: Limits,
}

/// The limits that a guest can notice, each for one task, in the units of [`porthole_wire::Limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Limits {
    /// Linear memory.
    pub memory_bytes: u64,
    /// CPU time.
    pub cpu_ms: u64,
    /// Objects.
    pub emit_objects: u64,
    /// Bytes of objects.
    pub emit_bytes: u64,
    /// Host calls.
    pub host_calls: u64,
    /// Log lines.
    pub log_lines: u64,
    /// Open handles.
    pub handles: u32,
}

impl Limits {
    /// Of a sandbox's limits, those that a guest can notice.
    pub(crate) fn of(all: &porthole_wire::Limits) -> Self {
        Self {
            memory_bytes: all.memory_bytes,
            cpu_ms: all.cpu_ms,
            emit_objects: all.emit_objects,
            emit_bytes: all.emit_bytes,
            host_calls: all.host_calls,
            log_lines: all.log_lines,
            handles: all.handles,
        }
    }

    /// A sandbox's limits, with so many lanes.
    pub(crate) fn with_lanes(self, lanes: u32) -> porthole_wire::Limits {
        porthole_wire::Limits {
            memory_bytes: self.memory_bytes,
            cpu_ms: self.cpu_ms,
            emit_objects: self.emit_objects,
            emit_bytes: self.emit_bytes,
            host_calls: self.host_calls,
            log_lines: self.log_lines,
            handles: self.handles,
            lanes,
        }
    }
}

impl Header {
    /// The header of a transcript of this version.
    #[must_use]
    pub fn new(module: ModuleDigest, config: BTreeMap<String, String>, limits: &porthole_wire::Limits) -> Self {
        Self {
            porthole_transcript: TRANSCRIPT_VERSION,
            run: None,
            module,
            config,
            started_at_ms: 0,
            steps: Vec::new(),
            bound: Vec::new(),
            limits: Limits::of(limits),
        }
    }
}

/// What a task did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskWork {
    /// Listed the partitions of a step.
    Partitions,
    /// Ran a step for a partition.
    Run,
}

impl From<TaskKind> for TaskWork {
    fn from(kind: TaskKind) -> Self {
        match kind {
            TaskKind::Partitions => Self::Partitions,
            TaskKind::Run => Self::Run,
        }
    }
}

/// A task, by what it was for: unlike its number, that is the same in every run and replay.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey {
    /// The step.
    pub step: StepId,
    /// The partition; empty while partitions are listed.
    pub partition: Partition,
    /// What it did.
    pub work: TaskWork,
}

impl fmt::Display for TaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slice = SliceKey { step: self.step.clone(), partition: self.partition.clone() };
        match self.work {
            TaskWork::Run => slice.fmt(f),
            TaskWork::Partitions => write!(f, "partitions of {}", self.step),
        }
    }
}

/// A call and its answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct CallLine<'a> {
    pub(super) step: StepId,
    pub(super) partition: Partition,
    pub(super) task: TaskWork,
    /// The number of the question.
    pub(super) ask: AskId,
    /// The place of the call in the question.
    pub(super) place: u32,
    pub(super) call: RecordedCall<'a>,
    pub(super) answer: RecordedAnswer<'a>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RecordedCall<'a> {
    Begin {
        operation: Cow<'a, str>,
        arguments: Cow<'a, [(String, String)]>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credential: Option<Cow<'a, str>>,
    },
    Next(u64),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RecordedAnswer<'a> {
    Response {
        status: u16,
        #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
        headers: Cow<'a, [(String, String)]>,
        /// None when it is empty.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<BodyHash>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        empty: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<u64>,
    },
    Denied {
        layer: Layer,
        reason: Cow<'a, str>,
        remedy: Cow<'a, str>,
    },
    Fault {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        code: Cow<'a, str>,
        message: Cow<'a, str>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        permission: Option<Cow<'a, str>>,
    },
    Limit(Cow<'a, str>),
    BadToken,
    Cancelled,
}

/// What stands for a body in its call's line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct BodyHash {
    bytes: u64,
    sha256: String,
}

impl BodyHash {
    pub(super) fn of(body: &[u8]) -> Self {
        let sha256 = hex::encode(ring::digest::digest(&ring::digest::SHA256, body));
        Self { bytes: body.len() as u64, sha256 }
    }
}

/// A body, right after its call.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum BodyLine<'a> {
    Text(Cow<'a, str>),
    Base64(String),
}

impl<'a> BodyLine<'a> {
    pub(super) fn of(body: &'a [u8]) -> Self {
        match std::str::from_utf8(body) {
            Ok(text) => Self::Text(Cow::Borrowed(text)),
            Err(_) => Self::Base64(STANDARD.encode(body)),
        }
    }

    /// None when it isn't what it claims to be.
    pub(super) fn into_bytes(self) -> Option<Vec<u8>> {
        match self {
            Self::Text(text) => Some(text.into_owned().into_bytes()),
            Self::Base64(base64) => STANDARD.decode(base64).ok(),
        }
    }
}

/// The end of a task.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct TaskLine {
    pub(super) step: StepId,
    pub(super) partition: Partition,
    pub(super) task: TaskWork,
    pub(super) ended: Ended,
    pub(super) calls: u64,
    pub(super) sha256: String,
}

/// How a task ended. No message: a crash's has a stack in it, whose form is the engine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ended {
    Finished,
    Failed,
    Trapped,
    Limit,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Trapped => "trapped",
            Self::Limit => "limit",
        })
    }
}

impl From<&TaskEnd> for Ended {
    fn from(end: &TaskEnd) -> Self {
        match end {
            TaskEnd::Finished | TaskEnd::Partitions(_) => Self::Finished,
            TaskEnd::Failed { .. } => Self::Failed,
            TaskEnd::Trapped { .. } => Self::Trapped,
            TaskEnd::Limit { .. } => Self::Limit,
        }
    }
}

/// The end of the transcript.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct EndLine {
    pub(super) tasks: u64,
    pub(super) calls: u64,
    pub(super) digest: String,
}

impl<'a> RecordedCall<'a> {
    pub(super) fn of(call: &'a Call) -> Self {
        match call {
            Call::Begin { operation, arguments, credential } => Self::Begin {
                operation: operation.into(),
                arguments: arguments.into(),
                credential: credential.as_deref().map(Cow::Borrowed),
            },
            Call::Next { token } => Self::Next(*token),
        }
    }

    pub(super) fn into_wire(self) -> Call {
        match self {
            Self::Begin { operation, arguments, credential } => Call::Begin {
                operation: operation.into_owned(),
                arguments: arguments.into_owned(),
                credential: credential.map(Cow::into_owned),
            },
            Self::Next(token) => Call::Next { token },
        }
    }
}

impl<'a> RecordedAnswer<'a> {
    pub(super) fn of(answer: &'a Result<Response, CallError>) -> Self {
        let optional = |text: &'a Option<String>| text.as_deref().map(Cow::Borrowed);
        match answer {
            Ok(response) => Self::Response {
                status: response.status,
                headers: (&response.headers).into(),
                body: (!response.body.is_empty()).then(|| BodyHash::of(&response.body)),
                empty: response.empty,
                next: response.next,
            },
            Err(CallError::Denied { layer, reason, remedy }) => {
                Self::Denied { layer: layer_of(*layer), reason: reason.into(), remedy: remedy.into() }
            }
            Err(CallError::Fault { status, code, message, permission }) => Self::Fault {
                status: *status,
                code: code.into(),
                message: message.into(),
                permission: optional(permission),
            },
            Err(CallError::Limit(message)) => Self::Limit(message.into()),
            Err(CallError::BadToken) => Self::BadToken,
            Err(CallError::Cancelled) => Self::Cancelled,
        }
    }

    /// The hash of its body, if it has one.
    pub(super) fn body(&self) -> Option<&BodyHash> {
        match self {
            Self::Response { body, .. } => body.as_ref(),
            _ => None,
        }
    }

    /// With the body that follows.
    pub(super) fn into_wire(self, body: Vec<u8>) -> Result<Response, CallError> {
        match self {
            Self::Response { status, headers, empty, next, .. } => {
                Ok(Response { status, headers: headers.into_owned(), body, empty, next })
            }
            Self::Denied { layer, reason, remedy } => Err(CallError::Denied {
                layer: crate::calls::layer_number(layer),
                reason: reason.into_owned(),
                remedy: remedy.into_owned(),
            }),
            Self::Fault { status, code, message, permission } => Err(CallError::Fault {
                status,
                code: code.into_owned(),
                message: message.into_owned(),
                permission: permission.map(Cow::into_owned),
            }),
            Self::Limit(message) => Err(CallError::Limit(message.into_owned())),
            Self::BadToken => Err(CallError::BadToken),
            Self::Cancelled => Err(CallError::Cancelled),
        }
    }
}

/// Of a frame's number.
pub(crate) fn layer_of(number: u8) -> Layer {
    match number {
        1 => Layer::Granted,
        2 => Layer::Ceiling,
        _ => Layer::Requested,
    }
}
