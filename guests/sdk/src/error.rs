//! What can go wrong, from one call to a whole step. The host knows all of this already; a guest's errors are for people.

use std::borrow::Cow;
use std::fmt;

/// A call that has no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{operation}`: {cause}")]
pub struct CallError {
    /// The operation that was called.
    pub operation: Cow<'static, str>,
    /// Why.
    pub cause: Cause,
}

impl CallError {
    /// Further calls will fail the same way: the run was cancelled or has used up a limit.
    #[must_use]
    pub fn ends_run(&self) -> bool {
        matches!(self.cause, Cause::Limit(_) | Cause::Cancelled)
    }
}

/// Why a call has no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// One of the three owners refused. The slice is incomplete; the step may go on.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// It was sent, or tried, and failed. The host has retried what is worth retrying.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// A limit of the run.
    #[error("a limit of the run is used up: {0}")]
    Limit(String),
    /// The page token was used already, or belongs to another step.
    #[error("the page token is not valid any more")]
    BadToken,
    /// Someone cancelled the run.
    #[error("the run was cancelled")]
    Cancelled,
    /// The credential can't be opened.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// The owner that refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// The manifest doesn't declare it, or not with such an argument.
    Requested,
    /// The tenant has not granted it.
    Granted,
    /// The operator's ceiling is below it.
    Ceiling,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requested => "requested",
            Self::Granted => "granted",
            Self::Ceiling => "ceiling",
        })
    }
}

/// A refused use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("denied ({layer}): {reason}; what would allow it: {remedy}")]
pub struct Denial {
    /// Who refused.
    pub layer: Layer,
    /// Why.
    pub reason: String,
    /// What would allow it.
    pub remedy: String,
}

/// A call that was sent, or tried, and failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Fault {
    /// The HTTP status, when there was a response.
    pub status: Option<u16>,
    /// The host's stable code: `status`, `rate-limited`, `timeout`, `graphql`, …
    pub code: String,
    /// What happened.
    pub message: String,
    /// What the provider's administrator has to grant.
    pub permission: Option<String>,
}

impl Fault {
    /// A provider's answer that is a fault.
    #[must_use]
    pub fn status(status: u16, message: impl Into<String>) -> Self {
        Self { status: Some(status), code: "status".to_owned(), message: message.into(), permission: None }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "{} ({status}): {}", self.code, self.message)?,
            None => write!(f, "{}: {}", self.code, self.message)?,
        }
        match &self.permission {
            Some(permission) => write!(f, "; it needs {permission}"),
            None => Ok(()),
        }
    }
}

/// Why a credential can't be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The manifest declares no such slot.
    #[error("the manifest declares no credential slot `{0}`")]
    UnknownSlot(String),
    /// The tenant has bound nothing to it.
    #[error("no credential is bound to the slot `{0}`")]
    NotBound(String),
    /// Anything else.
    #[error("credential: {0}")]
    Other(String),
}

/// Why a batch of objects was refused as a whole. One bad object doesn't fail its batch: the host sets it aside.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmitError {
    /// An object, or the batch, is too long.
    #[error("too large: {0}")]
    TooLarge(String),
    /// The step may emit no more.
    #[error("a limit of the run is used up: {0}")]
    Limit(String),
    /// Someone cancelled the run.
    #[error("the run was cancelled")]
    Cancelled,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// Why earlier steps' entities can't be read back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The step's `reads` doesn't name the type.
    #[error("the step's `reads` doesn't name `{0}`")]
    Undeclared(String),
    /// Anything else.
    #[error("reading `{0}` back: {1}")]
    Other(String, String),
}

/// Why a step couldn't finish.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// A call failed in a way that the step can't go on from.
    #[error("{0}")]
    Call(String),
    /// The provider sent something that the step doesn't understand.
    #[error("{0}")]
    Unexpected(String),
    /// The configuration can't work.
    #[error("{0}")]
    Config(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl StepError {
    /// The host asked for a step that the guest doesn't have: manifest and code differ.
    #[must_use]
    pub fn unknown_step(step: &str) -> Self {
        Self::Other(format!("this guest has no step `{step}`"))
    }

    /// The host asked for the partitions of a step that has none.
    #[must_use]
    pub fn not_partitioned(step: &str) -> Self {
        Self::Other(format!("step `{step}` has no partitions"))
    }
}

impl From<CallError> for StepError {
    fn from(e: CallError) -> Self {
        Self::Call(e.to_string())
    }
}

impl From<EmitError> for StepError {
    fn from(e: EmitError) -> Self {
        Self::Other(format!("emit: {e}"))
    }
}

impl From<ReadError> for StepError {
    fn from(e: ReadError) -> Self {
        Self::Other(e.to_string())
    }
}
