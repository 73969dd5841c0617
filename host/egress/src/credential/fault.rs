//! Why a request has no credential. No message holds a secret: what a token endpoint says is searched for secrets first.

use crate::secret::SecretError;
use porthole_model::id::{OperationId, Slot};
use porthole_model::run::Fault;
use std::sync::Arc;

/// Why a request has no credential. Callers who waited for the same token share one fault, so it can be cloned.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialFault {
    /// Nothing is bound to the slot.
    #[error("no credential is bound to slot `{slot}`; set one with `porthole credential set`")]
    NotBound {
        /// The slot.
        slot: Slot,
    },
    /// The stored secret can't be opened.
    #[error("the credential of slot `{slot}` can't be opened: {source}")]
    Unreadable {
        /// The slot.
        slot: Slot,
        /// Why.
        source: Arc<SecretError>,
    },
    /// The manifest's description of the credential can't be followed.
    #[error("the credential of slot `{slot}`: {reason}")]
    Method {
        /// The slot.
        slot: Slot,
        /// What is wrong with the manifest.
        reason: String,
    },
    /// The token endpoint refused.
    #[error("the token endpoint of slot `{slot}` answered {status}: {message}")]
    TokenEndpoint {
        /// The slot.
        slot: Slot,
        /// The HTTP status.
        status: u16,
        /// What it said, cut and scrubbed.
        message: String,
    },
    /// A role that can be assumed without the external id.
    #[error("{reason}")]
    OpenRole {
        /// The slot.
        slot: Slot,
        /// Which role, and what to do.
        reason: String,
    },
    /// The operator has set no key to assume roles with.
    #[error(
        "the credential of slot `{slot}` is a role, and the platform has no key of its own to assume it with; the operator \
         names it as `key-file` of [platform] in porthole.toml"
    )]
    NoPlatformKey {
        /// The slot.
        slot: Slot,
    },
    /// The platform's own key can't be read.
    #[error("{source}")]
    PlatformKey {
        /// Why.
        source: Arc<SecretError>,
    },
    /// The request doesn't say what it is signed for.
    #[error("operation `{operation}` says no service and region to sign it for (`sign`)")]
    NoScope {
        /// The operation.
        operation: OperationId,
    },
    /// The token endpoint can't be reached. Made by the [`TokenTransport`](super::TokenTransport).
    #[error("the token endpoint can't be reached: {message}")]
    TokenConnection {
        /// What failed, without a secret.
        message: String,
        /// Whether another try may help: true for a timeout, false for a refused address.
        retryable: bool,
    },
    /// The token endpoint answered something that is no token.
    #[error("the token endpoint of slot `{slot}` answered what is no token: {reason}")]
    Malformed {
        /// The slot.
        slot: Slot,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The provider replaced the refresh token, and the new one could not be kept. Going on would use up the only copy.
    #[error("the new refresh token of slot `{slot}` can't be stored: {reason}")]
    NotKept {
        /// The slot.
        slot: Slot,
        /// Why.
        reason: String,
    },
}

impl CredentialFault {
    /// A stable word for records.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotBound { .. } => "not-bound",
            Self::Unreadable { .. } => "unreadable",
            Self::Method { .. } => "method",
            Self::TokenEndpoint { .. } => "token-endpoint",
            Self::TokenConnection { .. } => "token-connection",
            Self::Malformed { .. } => "malformed",
            Self::NotKept { .. } => "not-kept",
            Self::OpenRole { .. } => "open-role",
            Self::NoPlatformKey { .. } | Self::PlatformKey { .. } => "platform-key",
            Self::NoScope { .. } => "no-scope",
        }
    }

    /// Whose failure it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::NotBound { .. } => Fault::Tenant,
            Self::Unreadable { source, .. } => match **source {
                SecretError::Content => Fault::Tenant,
                _ => Fault::Host,
            },
            Self::Method { .. } | Self::NoScope { .. } => Fault::Guest,
            Self::OpenRole { .. } => Fault::Tenant,
            Self::TokenEndpoint { .. } if self.is_retryable() => Fault::Provider,
            // A refused secret is the tenant's to replace.
            Self::TokenEndpoint { .. } => Fault::Tenant,
            Self::TokenConnection { .. } | Self::Malformed { .. } => Fault::Provider,
            Self::NotKept { .. } | Self::NoPlatformKey { .. } | Self::PlatformKey { .. } => Fault::Host,
        }
    }

    /// May another try help?
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::TokenEndpoint { status, .. } => matches!(status, 408 | 429 | 500..=599),
            Self::TokenConnection { retryable, .. } => *retryable,
            _ => false,
        }
    }
}
