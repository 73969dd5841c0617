//! The wire: one exchange with one vetted address. No redirect is followed, no proxy variable is read, nothing is retried
//! here.
//!
//! Every origin has an HTTP client of its own, whose resolver is [`locate`] for that very origin. So there is one lookup
//! for a connection, its answer is vetted with the port in hand, and the vetted address is the dialled one; a name server
//! that answers differently the next time (rebinding) is vetted the next time too.

use crate::body::{BodyFault, Collector, Encoding, ends_by_itself};
use crate::policy::{Denial, Policy, Target, locate};
use crate::resolve::Resolve;
use crate::tls;
use bytes::Bytes;
use porthole_model::manifest::Method;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use std::collections::HashMap;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a connection may take to be made, lookup and TLS included. Retries come on top.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept: a little below the 60 s and more after which common servers drop theirs.
const POOL_IDLE: Duration = Duration::from_secs(55);
/// Idle HTTP/1 connections kept for an origin: as many as a module may have requests under way, so that a burst doesn't
/// make new ones each time.
const POOL_IDLE_CONNECTIONS: usize = 64;
/// Origins with a client at once: more than one provider with some forty services in seventeen regions has. Tenants may
/// configure hosts; the one that was used longest ago makes room.
const MAX_ORIGINS: usize = 1_024;
/// Bytes of reply headers over HTTP/2. Providers stay below 16 KiB.
const MAX_HEADER_BYTES: u32 = 64 * 1024;

/// What goes out. The URL is the target's.
pub(crate) struct Outgoing<'a> {
    pub(crate) method: Method,
    pub(crate) target: &'a Target,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    pub(crate) max_body_bytes: usize,
    pub(crate) timeout: Duration,
}

/// What came back, whole.
pub(crate) struct Incoming {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Why nothing whole came back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireFault {
    #[error("refused: {0}")]
    Refused(Denial),
    #[error("no connection: {0}")]
    Connect(String),
    #[error("the connection broke: {0}")]
    Broken(String),
    #[error("no complete reply within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    #[error("{1}")]
    Body(u16, BodyFault),
    #[error("TLS can't be set up: {0}")]
    Tls(String),
    #[error("the request can't be built: {0}")]
    Request(String),
}

/// Bytes of one exchange, as HTTP/1 would write them, and who answered. Filled in as far as the exchange came.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Traffic {
    pub(crate) sent_bytes: u64,
    pub(crate) received_bytes: u64,
    pub(crate) address: Option<SocketAddr>,
}

/// The clients of all origins.
pub(crate) struct Clients {
    policy: Arc<Policy>,
    resolver: Arc<dyn Resolve>,
    user_agent: HeaderValue,
    origins: Mutex<HashMap<Origin, (reqwest::Client, Instant)>>,
    tls: Mutex<Option<rustls::ClientConfig>>,
}

/// What a connection is for. Mapping is part of it: it decides which addresses are admitted.
#[derive(PartialEq, Eq, Hash)]
struct Origin {
    authority: String,
    mapped_from: Option<String>,
}

impl Clients {
    pub(crate) fn new(policy: Arc<Policy>, resolver: Arc<dyn Resolve>, user_agent: HeaderValue) -> Self {
        Self { policy, resolver, user_agent, origins: Mutex::default(), tls: Mutex::default() }
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Sends and collects the whole reply.
    pub(crate) async fn exchange(&self, out: Outgoing<'_>, traffic: &mut Traffic) -> Result<Incoming, WireFault> {
        let limit = out.timeout;
        match tokio::time::timeout(limit, self.exchange_untimed(out, traffic)).await {
            Ok(done) => done,
            Err(_) => Err(WireFault::Timeout(limit)),
        }
    }

    async fn exchange_untimed(&self, out: Outgoing<'_>, traffic: &mut Traffic) -> Result<Incoming, WireFault> {
        // The client asks its resolver about names only, so an address is vetted here.
        if let Some(literal) = out.target.literal() {
            self.policy.admit(out.target, &[literal]).map_err(WireFault::Refused)?;
        }
        let client = self.client(out.target)?;
        let head = out.method == Method::Head;
        let cap = out.max_body_bytes;
        let request = self.request(out)?;
        traffic.sent_bytes = request_bytes(&request);
        let response = client.execute(request).await.map_err(|e| broken(&e))?;
        traffic.address = response.remote_addr();
        traffic.received_bytes = header_bytes(response.headers());
        receive(response, head, cap, traffic).await
    }

    fn request(&self, out: Outgoing<'_>) -> Result<reqwest::Request, WireFault> {
        let method = reqwest::Method::from_bytes(out.method.as_str().as_bytes());
        let method = method.map_err(|e| WireFault::Request(e.to_string()))?;
        let mut request = reqwest::Request::new(method, out.target.url().clone());
        let headers = request.headers_mut();
        *headers = out.headers;
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(reqwest::header::USER_AGENT, self.user_agent.clone());
        if let Some(provider) = out.target.mapped_from() {
            // An endpoint may stand in for several hosts, and has to write their links.
            let provider = HeaderValue::try_from(provider).map_err(|e| WireFault::Request(e.to_string()))?;
            headers.insert("x-forwarded-host", provider);
            headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        }
        *request.body_mut() = out.body.map(reqwest::Body::from);
        Ok(request)
    }

    fn client(&self, target: &Target) -> Result<reqwest::Client, WireFault> {
        let origin = Origin {
            authority: target.url().origin().ascii_serialization(),
            mapped_from: target.mapped_from().map(str::to_owned),
        };
        let now = Instant::now();
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((client, used)) = origins.get_mut(&origin) {
            *used = now;
            return Ok(client.clone());
        }
        if origins.len() >= MAX_ORIGINS {
            let oldest = origins.values().map(|(_, used)| *used).min();
            origins.retain(|_, (_, used)| Some(*used) != oldest);
        }
        let client = self.build(target)?;
        origins.insert(origin, (client.clone(), now));
        Ok(client)
    }

    fn build(&self, target: &Target) -> Result<reqwest::Client, WireFault> {
        let tls = if target.is_secure() { self.tls()? } else { tls::of_nobody().map_err(WireFault::Tls)? };
        let dialer = Dialer {
            policy: Arc::clone(&self.policy),
            resolver: Arc::clone(&self.resolver),
            target: Arc::new(target.clone()),
        };
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(target.is_secure())
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .dns_resolver(Arc::new(dialer))
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(POOL_IDLE_CONNECTIONS)
            .http2_adaptive_window(true)
            .http2_max_header_list_size(MAX_HEADER_BYTES)
            .tcp_nodelay(true)
            .build()
            .map_err(|e| WireFault::Tls(chain(&e)))
    }

    /// The TLS settings, made at the first use: a machine without trusted certificates can still work in cleartext with
    /// an operator's endpoint.
    fn tls(&self) -> Result<rustls::ClientConfig, WireFault> {
        let mut made = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = &*made {
            return Ok(config.clone());
        }
        let config = tls::of_the_platform().map_err(WireFault::Tls)?;
        *made = Some(config.clone());
        Ok(config)
    }
}

/// The resolver of one origin's client.
struct Dialer {
    policy: Arc<Policy>,
    resolver: Arc<dyn Resolve>,
    target: Arc<Target>,
}

impl reqwest::dns::Resolve for Dialer {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let (policy, resolver) = (Arc::clone(&self.policy), Arc::clone(&self.resolver));
        let target = Arc::clone(&self.target);
        Box::pin(async move {
            if !name.as_str().eq_ignore_ascii_case(&target.host().to_string()) {
                let other = format!("`{}` is not the host of this connection", name.as_str());
                return Err(Box::new(Denial::Malformed(other)) as Box<dyn Error + Send + Sync>);
            }
            let admitted = locate(&policy, resolver.as_ref(), &target).await?;
            Ok(Box::new(admitted.sockets.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

async fn receive(
    mut response: reqwest::Response,
    head: bool,
    cap: usize,
    traffic: &mut Traffic,
) -> Result<Incoming, WireFault> {
    let status = response.status().as_u16();
    let headers = std::mem::take(response.headers_mut());
    if head || matches!(status, 204 | 205 | 304) {
        return Ok(Incoming { status, headers, body: Vec::new() });
    }
    let fault = |fault| WireFault::Body(status, fault);
    let text = |name| headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok());
    // A reply that announces more than the cap needn't be read at all.
    let announced = text(CONTENT_LENGTH).and_then(|length| length.trim().parse::<u64>().ok());
    if announced.is_some_and(|length| length > cap as u64) {
        return Err(fault(BodyFault::TooLarge(cap)));
    }
    let encoding = Encoding::read(text(CONTENT_ENCODING)).map_err(fault)?;
    let mut collector = Collector::new(&encoding, announced, cap);
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                traffic.received_bytes = traffic.received_bytes.saturating_add(chunk.len() as u64);
                collector.push(&chunk).map_err(fault)?;
            }
            Ok(None) => break,
            Err(e) => return Err(fault(BodyFault::Cut(chain(&e)))),
        }
    }
    let body = collector.finish().map_err(fault)?;
    let framed = response.version() >= reqwest::Version::HTTP_2
        || headers.contains_key(TRANSFER_ENCODING)
        || announced.is_some()
        || encoding == Encoding::Gzip;
    if !framed && !ends_by_itself(&body) {
        return Err(fault(BodyFault::Cut(
            "it ended with the connection, so nothing proves that it is whole".to_owned(),
        )));
    }
    Ok(Incoming { status, headers, body })
}

/// Sorts an error of the client. Its own texts carry the URL; ours don't.
fn broken(error: &reqwest::Error) -> WireFault {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(e) = source {
        match e.downcast_ref::<Denial>() {
            Some(Denial::Unresolved { name, reason }) => {
                return WireFault::Connect(format!("`{name}` has no address: {reason}"));
            }
            Some(denial) => return WireFault::Refused(denial.clone()),
            None => source = e.source(),
        }
    }
    if error.is_builder() {
        WireFault::Request(chain(error))
    } else if error.is_connect() {
        WireFault::Connect(chain(error))
    } else {
        WireFault::Broken(chain(error))
    }
}

/// The causes of an error, the last one first seen being the one that says what happened.
pub(crate) fn chain(error: &reqwest::Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut source = error.source();
    while let Some(e) = source {
        let text = e.to_string();
        if texts.last().is_none_or(|last| !last.contains(&text)) {
            texts.push(text);
        }
        source = e.source();
    }
    if texts.is_empty() { "unknown cause".to_owned() } else { crate::fault::quote(&texts.join(": ")) }
}

fn request_bytes(request: &reqwest::Request) -> u64 {
    let body = request.body().and_then(reqwest::Body::as_bytes).map_or(0, <[u8]>::len);
    let line = request.method().as_str().len() + request.url().as_str().len() + " HTTP/1.1\r\n\r\n".len();
    header_bytes(request.headers()).saturating_add((line + body) as u64)
}

fn header_bytes(headers: &HeaderMap) -> u64 {
    headers.iter().map(|(name, value)| (name.as_str().len() + value.len() + ": \r\n".len()) as u64).sum()
}
