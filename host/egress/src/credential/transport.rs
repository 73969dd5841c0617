//! What goes between a credential and the socket.

use super::fault::CredentialFault;
use futures_util::future::BoxFuture;
use std::fmt;
use url::Url;
use zeroize::Zeroizing;

/// A header with a secret in it. Its value is for the request alone, and wiped with it.
pub struct SecretHeader {
    /// The name, lower case.
    pub name: String,
    value: Zeroizing<String>,
}

impl SecretHeader {
    pub(crate) fn new(name: &str, value: Zeroizing<String>) -> Self {
        Self { name: name.to_ascii_lowercase(), value }
    }

    /// The value: visible ASCII and spaces.
    pub(crate) fn value(&self) -> &str {
        &self.value
    }
}

impl fmt::Debug for SecretHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: [redacted]", self.name)
    }
}

/// Sends a request to a token endpoint: addresses vetted, no redirects, the reply capped.
///
/// The URL may hold fields of the secret (the number of an installation, say): record its host, not its path.
pub trait TokenTransport: Send + Sync {
    /// One POST. Every status is a reply; a fault is only what prevented one.
    fn post<'a>(
        &'a self,
        url: Url,
        headers: Vec<SecretHeader>,
        content_type: Option<&'static str>,
        body: Option<Zeroizing<Vec<u8>>>,
    ) -> BoxFuture<'a, Result<TokenReply, CredentialFault>>;
}

/// The reply of a token endpoint.
pub struct TokenReply {
    /// The HTTP status.
    pub status: u16,
    body: Zeroizing<Vec<u8>>,
}

impl TokenReply {
    /// A reply as it came.
    #[must_use]
    pub fn new(status: u16, body: Zeroizing<Vec<u8>>) -> Self {
        Self { status, body }
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }
}

impl fmt::Debug for TokenReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenReply({}, [redacted])", self.status)
    }
}
