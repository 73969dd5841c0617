//! One request's way: which service and region it was signed for, which operation it asks for, the answer, the count.

use super::reply::{Arguments, Reply};
use super::world::{ACCOUNT, REGIONS, Shape};
use super::{ec2, iam, json, s3};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header, request::Parts};
use axum::response::Response;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The largest request body, in bytes.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// The most different requests without an answer that are remembered.
const UNKNOWN_MAX: usize = 100;

/// What was asked so far.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// All requests.
    pub requests: u64,
    /// Requests by operation: `iam:ListUsers`, `GET s3:acl`.
    pub operations: BTreeMap<String, u64>,
    /// Requests that have no answer here, by what they asked.
    pub unknown: BTreeMap<String, u64>,
    /// The most requests that were being answered at once.
    pub peak_concurrency: u64,
    /// Bytes of all answers' bodies.
    pub body_bytes: u64,
    running: u64,
}

/// What all requests share.
pub(super) struct Shared {
    shape: Shape,
    latency: Duration,
    stats: Mutex<Stats>,
}

impl Shared {
    pub(super) fn new(shape: Shape, latency: Duration) -> Self {
        Self { shape, latency, stats: Mutex::default() }
    }

    pub(super) fn shape(&self) -> &Shape {
        &self.shape
    }

    pub(super) fn stats(&self) -> Stats {
        self.lock().clone()
    }

    /// A request that panicked must not end every later one.
    fn lock(&self) -> MutexGuard<'_, Stats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request whose service is known.
pub(super) struct Ask<'a> {
    pub(super) shape: &'a Shape,
    /// The region's place in [`REGIONS`].
    pub(super) region: usize,
    /// What is asked: an action, the name behind a target, or method and path.
    pub(super) name: String,
    pub(super) arguments: Arguments,
}

impl Ask<'_> {
    pub(super) fn argument(&self, name: &str) -> &str {
        self.arguments.get(name).map_or("", String::as_str)
    }

    pub(super) fn region_name(&self) -> &'static str {
        REGIONS.get(self.region).copied().unwrap_or("us-east-1")
    }
}

/// Answers one request.
pub(super) async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let running = Running::begin(&shared);
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, REQUEST_BYTES_MAX).await.unwrap_or_default();
    if !shared.latency.is_zero() {
        tokio::time::sleep(shared.latency).await;
    }
    let (operation, reply) = answer(&shared.shape, &parts, &body);
    let reply = running.count(operation, reply);
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.kind));
    response
}

/// The operation, and its answer; [`None`] when nobody here has one.
fn answer(shape: &Shape, parts: &Parts, body: &[u8]) -> (String, Option<Reply>) {
    let header = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let Some((service, region)) = scope(header("authorization")) else {
        let reply = Reply::xml_error(403, "MissingAuthenticationToken", "Request is missing Authentication Token");
        return ("unsigned".to_owned(), Some(reply));
    };
    let Some(region) = REGIONS.iter().position(|known| *known == region) else {
        return (format!("{service} in {region}"), Some(Reply::json_error(403, "UnrecognizedClientException")));
    };
    let query = parts.uri.query().unwrap_or_default();
    let path = parts.uri.path();
    let target = header("x-amz-target").rsplit_once('.').map(|(_, name)| name.to_owned());
    let mut ask = Ask { shape, region, name: format!("{} {path}", parts.method), arguments: form(query.as_bytes()) };
    if let Some(target) = target {
        (ask.name, ask.arguments) = (target, members(body));
    } else if parts.method == axum::http::Method::POST {
        ask.arguments.extend(form(body));
        ask.name = ask.argument("Action").to_owned();
    }
    let reply = match service {
        "iam" => iam::answer(&ask),
        "sts" => sts(&ask),
        "ec2" => ec2::answer(&ask),
        "s3" => s3::answer(&ask, path),
        _ => json::answer(&ask, service, path),
    };
    let operation = match service {
        "s3" => format!("GET s3:{}", query.split(['=', '&']).next().unwrap_or_default()),
        "lambda" | "apigateway" => format!("{service}:{}", ask.name.split('/').take(3).collect::<Vec<_>>().join("/")),
        _ => format!("{service}:{}", ask.name),
    };
    (operation, reply)
}

/// Service and region of a signature.
fn scope(authorization: &str) -> Option<(&str, &str)> {
    let mut parts = authorization.split_once("Credential=")?.1.split(',').next()?.split('/').skip(2);
    let region = parts.next()?;
    Some((parts.next()?, region))
}

fn form(text: &[u8]) -> Arguments {
    url::form_urlencoded::parse(text).into_owned().collect()
}

/// The texts, numbers and truths at the top of a JSON object.
fn members(body: &[u8]) -> Arguments {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body).unwrap_or_default();
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    object.into_iter().map(|(name, value)| (name, text(value))).collect()
}

fn sts(ask: &Ask<'_>) -> Option<Reply> {
    let result = match ask.name.as_str() {
        "AssumeRole" => format!(
            "<Credentials><AccessKeyId>ASIAFAKEFAKEFAKEFAKE</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>\
             <SessionToken>{token}</SessionToken><Expiration>{expires}</Expiration></Credentials><AssumedRoleUser>\
             <AssumedRoleId>AROAFAKE:{session}</AssumedRoleId>\
             <Arn>arn:aws:sts::{ACCOUNT}:assumed-role/porthole/{session}</Arn></AssumedRoleUser>",
            secret = "fake/fake+fake".repeat(3),
            token = "fake/token+".repeat(20),
            expires = jiff::Timestamp::now() + Duration::from_secs(3600),
            session = ask.argument("RoleSessionName"),
        ),
        "GetCallerIdentity" => format!(
            "<Arn>arn:aws:sts::{ACCOUNT}:assumed-role/porthole/it</Arn><UserId>AROAFAKE:it</UserId>\
             <Account>{ACCOUNT}</Account>"
        ),
        _ => return None,
    };
    let name = &ask.name;
    Some(Reply::xml(format!(
        "<{name}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{name}Result>{result}</{name}Result>\
         </{name}Response>"
    )))
}

/// A request that is being answered; it is over when it is dropped, even if the client left in between.
struct Running<'a>(&'a Shared);

impl<'a> Running<'a> {
    fn begin(shared: &'a Shared) -> Self {
        let mut stats = shared.lock();
        stats.requests += 1;
        stats.running += 1;
        stats.peak_concurrency = stats.peak_concurrency.max(stats.running);
        Self(shared)
    }

    /// Counts the answer; a request without one gets an error that says so.
    fn count(&self, operation: String, reply: Option<Reply>) -> Reply {
        let mut stats = self.0.lock();
        let reply = reply.unwrap_or_else(|| {
            if stats.unknown.len() < UNKNOWN_MAX || stats.unknown.contains_key(&operation) {
                *stats.unknown.entry(operation.clone()).or_default() += 1;
            }
            Reply::json_error(501, "NotOfThisFake")
        });
        *stats.operations.entry(operation).or_default() += 1;
        stats.body_bytes += u64::try_from(reply.body.len()).unwrap_or(0);
        reply
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut stats = self.0.lock();
        stats.running = stats.running.saturating_sub(1);
    }
}
