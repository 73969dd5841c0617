//! How a credential reaches its token endpoint: the same policy, the same client and the same caps as any other request.

use crate::body::BodyFault;
use crate::client::{Clients, Outgoing, Traffic, WireFault};
use crate::credential::{CredentialFault, SecretHeader, TokenReply, TokenTransport};
use crate::headers;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use porthole_model::manifest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use std::time::Duration;
use url::Url;
use zeroize::Zeroizing;

/// The longest reply of a token endpoint, in bytes. A token with its claims is a few KiB.
const MAX_TOKEN_REPLY_BYTES: usize = 256 * 1024;

/// Sends the requests of one session's credentials.
pub(crate) struct Transport<'a> {
    pub(crate) clients: &'a Clients,
    pub(crate) timeout: Duration,
}

impl TokenTransport for Transport<'_> {
    fn post<'a>(
        &'a self,
        url: Url,
        headers: Vec<SecretHeader>,
        content_type: Option<&'static str>,
        body: Option<Zeroizing<Vec<u8>>>,
    ) -> BoxFuture<'a, Result<TokenReply, CredentialFault>> {
        Box::pin(async move {
            let refuse = |message: String| CredentialFault::TokenConnection { message, retryable: false };
            let target = self.clients.policy().check_url(&url).map_err(|denial| refuse(denial.to_string()))?;
            let mut map = HeaderMap::new();
            headers::add_secrets(&mut map, &headers).map_err(|header| refuse(header.to_string()))?;
            if let Some(content_type) = content_type {
                map.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            }
            let out = Outgoing {
                method: Method::Post,
                target: &target,
                headers: map,
                // The client's copy is wiped as well.
                body: Some(body.map_or_else(Bytes::new, Bytes::from_owner)),
                max_body_bytes: MAX_TOKEN_REPLY_BYTES,
                timeout: self.timeout,
            };
            let reply = self.clients.exchange(out, &mut Traffic::default()).await.map_err(|fault| fault_of(&fault))?;
            Ok(TokenReply::new(reply.status, Zeroizing::new(reply.body)))
        })
    }
}

fn fault_of(fault: &WireFault) -> CredentialFault {
    let retryable = match fault {
        WireFault::Connect(_) | WireFault::Broken(_) | WireFault::Timeout(_) => true,
        WireFault::Body(_, BodyFault::Cut(_)) => true,
        WireFault::Body(_, BodyFault::TooLarge(_)) => false,
        WireFault::Refused(_) | WireFault::Tls(_) | WireFault::Request(_) => false,
    };
    CredentialFault::TokenConnection { message: fault.to_string(), retryable }
}
