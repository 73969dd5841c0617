//! One exchange with a key service, and when it is worth another one.
//!
//! An operator named this peer, so the address rules for guests' requests don't apply to it; nothing that a guest asks
//! for comes near it. It gets a client of its own: no proxy, no redirects, no cookies, its own caps.

use super::config::Place;
use crate::client::chain;
use crate::secret::error::{KeyServiceFault, SecretError, cut};
use crate::secret::private_file::{Kind, PrivateFile, Stamp};
use crate::tls;
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// How long a connection may take to be made. A key service is near.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one answer may take. Wrapping a key takes a service milliseconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How often one request is sent at most.
const MAX_ATTEMPTS: u32 = 4;
/// The wait before the second attempt; it doubles with each. Long enough for a service to elect another node.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// How long all attempts together may take until the last one begins: someone waits for the answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// The longest answer, in bytes: the description of a key lists its versions, some 25 bytes each.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// The longest token file, in bytes. Service tokens have about 100, batch tokens some hundreds.
const TOKEN_KIND: Kind = Kind { name: "token file", max_bytes: 8 * 1024 };
/// How much of what a service says of an error is passed on, in characters.
const MAX_MESSAGE_CHARS: usize = 200;

const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE_HEADER: HeaderName = HeaderName::from_static("x-vault-namespace");
/// Agents in front of the service ask for it, so that a page in a browser can't be made to call them.
const REQUEST_HEADER: HeaderName = HeaderName::from_static("x-vault-request");

/// One thing to ask for.
pub(super) struct Ask<'a> {
    /// For errors: `unwrap a tenant key`.
    pub(super) what: &'static str,
    /// Behind the mount: `decrypt/NAME`.
    pub(super) path: &'a str,
    /// What the token's policy has to allow.
    pub(super) capability: &'static str,
    /// A POST's JSON; none for a GET.
    pub(super) body: Option<Zeroizing<Vec<u8>>>,
    /// Doing it twice does the same as doing it once.
    pub(super) is_idempotent: bool,
}

/// The connection to one key service.
pub(super) struct Service {
    pub(super) place: Place,
    client: reqwest::Client,
    token_file: PrivateFile,
    token: Mutex<Option<(Stamp, Arc<Token>)>>,
}

/// A token as a header's value, wiped when it is no longer used. (The client's own copies live as long as its buffers.)
struct Token(Zeroizing<String>);

impl Service {
    pub(super) fn new(place: Place) -> Result<Self, SecretError> {
        let secure = place.base.scheme() == "https";
        let client = || {
            let tls = if secure { tls::of_the_platform()? } else { tls::of_nobody()? };
            let mut builder = reqwest::Client::builder()
                .tls_backend_preconfigured(tls)
                .https_only(secure)
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                .retry(reqwest::retry::never())
                .connect_timeout(CONNECT_TIMEOUT)
                .user_agent(crate::config::USER_AGENT);
            if !place.pinned.is_empty() {
                builder = builder.resolve_to_addrs("localhost", &place.pinned);
            }
            builder.build().map_err(|e| chain(&e))
        };
        let client = client().map_err(|text| SecretError::KeyService {
            what: "connect",
            service: place.base.to_string(),
            fault: Box::new(KeyServiceFault::Tls(text)),
        })?;
        let token_file = PrivateFile::new(&place.token_file, TOKEN_KIND);
        Ok(Self { place, client, token_file, token: Mutex::default() })
    }

    /// For people: where, and which key.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.place.base.as_str().trim_end_matches('/'), self.place.key())
    }

    /// The command that makes the key as it has to be.
    pub(super) fn create(&self) -> String {
        format!("vault write -f {}/keys/{} type=aes256-gcm96 derived=true", self.place.mount, self.place.name)
    }

    /// Asks, again where that can help, and gives back the answer's body.
    pub(super) async fn ask(&self, ask: Ask<'_>) -> Result<Zeroizing<String>, SecretError> {
        let body = ask.body.as_ref().map(|body| Arc::new(Zeroizing::new(body.to_vec())));
        let started = Instant::now();
        let mut wait = FIRST_WAIT;
        for attempt in 1.. {
            let token = self.token()?;
            let fault = match self.exchange(&ask, body.clone(), &token).await {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            let pause = fault.retry_after.unwrap_or(wait).mul_f64(rand::random_range(0.8..1.2));
            let again = fault.is_retryable(ask.is_idempotent) && started.elapsed() + pause < PATIENCE;
            if attempt >= MAX_ATTEMPTS || !again {
                return Err(self.failed(ask.what, fault.fault));
            }
            tracing::warn!(service = %self.name(), attempt, "can't {}, trying again: {}", ask.what, fault.fault);
            tokio::time::sleep(pause).await;
            wait *= 2;
        }
        Err(self.failed(ask.what, KeyServiceFault::Timeout(PATIENCE.as_secs())))
    }

    pub(super) fn failed(&self, what: &'static str, fault: KeyServiceFault) -> SecretError {
        SecretError::KeyService { what, service: self.name(), fault: Box::new(fault) }
    }

    async fn exchange(
        &self,
        ask: &Ask<'_>,
        body: Option<Arc<Zeroizing<Vec<u8>>>>,
        token: &Token,
    ) -> Result<Zeroizing<String>, Failed> {
        let done = tokio::time::timeout(ANSWER_TIMEOUT, async {
            let request = self.request(ask, body, token)?;
            let response = self.client.execute(request).await.map_err(|e| Failed::connection(&e))?;
            self.answer(ask, response, token).await
        });
        done.await.unwrap_or_else(|_| Err(KeyServiceFault::Timeout(ANSWER_TIMEOUT.as_secs()).into()))
    }

    fn request(
        &self,
        ask: &Ask<'_>,
        body: Option<Arc<Zeroizing<Vec<u8>>>>,
        token: &Token,
    ) -> Result<reqwest::Request, Failed> {
        let method = if body.is_some() { reqwest::Method::POST } else { reqwest::Method::GET };
        let mut request = reqwest::Request::new(method, self.place.url(ask.path));
        let headers = request.headers_mut();
        let mut value = HeaderValue::from_str(&token.0).map_err(|_| KeyServiceFault::Malformed("token"))?;
        value.set_sensitive(true);
        headers.insert(TOKEN_HEADER, value);
        headers.insert(REQUEST_HEADER, HeaderValue::from_static("true"));
        if let Some(namespace) = &self.place.namespace {
            let value = HeaderValue::from_str(namespace).map_err(|_| KeyServiceFault::Malformed("namespace"))?;
            headers.insert(NAMESPACE_HEADER, value);
        }
        if let Some(body) = body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            // The client's copy is this one, wiped with its last holder.
            *request.body_mut() = Some(reqwest::Body::from(Bytes::from_owner(Shared(body))));
        }
        Ok(request)
    }

    async fn answer(
        &self,
        ask: &Ask<'_>,
        mut response: reqwest::Response,
        token: &Token,
    ) -> Result<Zeroizing<String>, Failed> {
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        // One buffer of the full size where a key may be in it: a growing one would leave its earlier selves behind.
        let mut body = Zeroizing::new(Vec::with_capacity(MAX_ANSWER_BYTES));
        while let Some(chunk) = response.chunk().await.map_err(|e| Failed::connection(&e))? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(KeyServiceFault::TooLong(MAX_ANSWER_BYTES).into());
            }
            body.extend_from_slice(&chunk);
        }
        let text = std::str::from_utf8(&body).map_err(|_| KeyServiceFault::Malformed("it is no text"))?;
        if (200..300).contains(&status) {
            return Ok(Zeroizing::new(text.to_owned()));
        }
        let fault = self.fault(status, said(text, token), ask);
        Err(Failed { fault, retry_after, was_refused: matches!(status, 412 | 429 | 503) })
    }

    /// What a status means. <https://developer.hashicorp.com/vault/api-docs#http-status-codes>
    fn fault(&self, status: u16, message: String, ask: &Ask<'_>) -> KeyServiceFault {
        match status {
            300..400 => KeyServiceFault::Redirect(status),
            403 => KeyServiceFault::Forbidden {
                token_file: self.place.token_file.display().to_string(),
                capability: ask.capability,
                path: format!("{}/{}", self.place.mount, ask.path),
            },
            404 => KeyServiceFault::NoKey { create: self.create() },
            // Some versions say it with a 400, which means a bad request otherwise.
            400 if message.contains("encryption key not found") => KeyServiceFault::NoKey { create: self.create() },
            503 if message.to_ascii_lowercase().contains("sealed") => KeyServiceFault::Sealed,
            // 412: a node that hasn't heard yet of what another one wrote. 472 and 473: standbys.
            412 | 429 | 472 | 473 | 500.. => KeyServiceFault::Unavailable { status, message },
            _ => KeyServiceFault::Refused { status, message },
        }
    }

    /// The token, read again when its file is another one than before.
    fn token(&self) -> Result<Arc<Token>, SecretError> {
        let stamp = self.token_file.stamp()?;
        let mut known = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((read, token)) = &*known
            && *read == stamp
        {
            return Ok(Arc::clone(token));
        }
        let (bytes, stamp) = self.token_file.read()?;
        let text = std::str::from_utf8(&bytes).map_err(|_| self.token_file.malformed("is no text"))?.trim();
        if text.is_empty() {
            return Err(self.token_file.malformed("is empty"));
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(self.token_file.malformed("holds more than one token"));
        }
        let token = Arc::new(Token(Zeroizing::new(text.to_owned())));
        *known = Some((stamp, Arc::clone(&token)));
        Ok(token)
    }
}

/// Bytes with several holders.
struct Shared(Arc<Zeroizing<Vec<u8>>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// One attempt that failed.
struct Failed {
    fault: KeyServiceFault,
    retry_after: Option<Duration>,
    /// The service has done nothing.
    was_refused: bool,
}

impl From<KeyServiceFault> for Failed {
    fn from(fault: KeyServiceFault) -> Self {
        Self { fault, retry_after: None, was_refused: false }
    }
}

impl Failed {
    fn connection(error: &reqwest::Error) -> Self {
        let was_refused = error.is_connect();
        Self { fault: KeyServiceFault::Connection(chain(error)), retry_after: None, was_refused }
    }

    fn is_retryable(&self, is_idempotent: bool) -> bool {
        let passing = matches!(
            self.fault,
            KeyServiceFault::Connection(_)
                | KeyServiceFault::Timeout(_)
                | KeyServiceFault::Sealed
                | KeyServiceFault::Unavailable { .. }
        );
        passing && (is_idempotent || self.was_refused)
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// What the service says: `{"errors": [...]}`. It has the token, so what it says is searched for it.
fn said(text: &str, token: &Token) -> String {
    #[derive(serde::Deserialize)]
    struct Errors {
        errors: Vec<String>,
    }
    let errors = serde_json::from_str::<Errors>(text).map(|said| said.errors.join("; ")).unwrap_or_default();
    cut(&errors.replace(token.0.as_str(), "[redacted]"), MAX_MESSAGE_CHARS)
}
