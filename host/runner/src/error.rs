//! Why a run ends without a reconcile, and whose fault that is.

use crate::broker::BrokerError;
use crate::collector::CollectError;
use crate::compile::CompileError;
use crate::index::IndexError;
use crate::prepare::{PrepareError, Refusal};
use crate::process::SandboxError;
use crate::transcript::RecordError;
use porthole_model::run::{Fault, Outcome};
use porthole_model::session_policy::SessionPolicyError;
use porthole_store::StoreError;
use std::sync::Arc;
use std::time::Duration;

/// Why a run ends without a reconcile.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Not allowed to start, or can't.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database.
    #[error("the database failed")]
    Store(#[from] StoreError),
    /// Compiling.
    #[error("the module can't be compiled")]
    Compile(#[from] CompileError),
    /// The sandbox.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The broker.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// Collecting.
    #[error(transparent)]
    Collect(#[from] CollectError),
    /// A permission that can't stand in a session policy.
    #[error("the run's permissions make no session policy")]
    Sessions(#[source] SessionPolicyError),
    /// The spool.
    #[error("no temporary file for what later steps read back")]
    Spool(#[source] std::io::Error),
    /// The transcript.
    #[error(transparent)]
    Transcript(#[from] RecordError),
    /// The last records of calls.
    #[error("the records of the run's calls can't be completed")]
    Records(#[source] Arc<StoreError>),
    /// Too long.
    #[error("the run took longer than {0:?}")]
    Wall(Duration),
    /// A person.
    #[error("the run was cancelled")]
    Cancelled,
    /// The lease is gone.
    #[error("the lease was lost; another worker may have the run")]
    Lost,
}

impl From<PrepareError> for RunError {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Store(e) => Self::Store(e),
            PrepareError::Refused(e) => Self::Refused(e),
        }
    }
}

impl RunError {
    /// How the run ends, and whose fault it was.
    pub(crate) fn ending(&self) -> (Outcome, Fault) {
        match self {
            Self::Refused(refusal) => (refusal.outcome, refusal.fault),
            Self::Cancelled => (Outcome::Cancelled, Fault::Tenant),
            Self::Wall(_) => (Outcome::TimedOut, Fault::Provider),
            Self::Sessions(_)
            | Self::Sandbox(SandboxError::Load(_))
            | Self::Compile(CompileError::Refused(_))
            | Self::Broker(BrokerError::Sandbox(SandboxError::Ended(_) | SandboxError::Frame(_)))
            | Self::Broker(BrokerError::Protocol(_))
            | Self::Collect(CollectError::Index(IndexError::Full))
            | Self::Broker(BrokerError::Collect(CollectError::Index(IndexError::Full))) => {
                (Outcome::Failed, Fault::Guest)
            }
            _ => (Outcome::Failed, Fault::Host),
        }
    }
}
