//! One request's way: read it, count it, let a fault have its say, check who asks and how often, answer, send.

use super::admin;
use super::auth::Auth;
use super::connection::Switch;
use super::document::Document;
use super::faults::Action;
use super::graphql::{Answerer, read_cursor};
use super::nouns::AccountKind;
use super::page::Query;
use super::rate::{Rate, Resource};
use super::reply::Reply;
use super::rest::{Ask, installation_repos};
use super::route::Route;
use super::rules::{Decision, Faults, Seen};
use super::sabotage;
use super::send::{Sending, etag, send};
use super::shapes::{self, Urls};
use super::stats::{NonGet, Stats};
use super::world::World;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The largest request body.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// Where GitHub Enterprise Server has its REST API.
const ENTERPRISE_PREFIX: &str = "/api/v3";

/// Everything that changes while the fake runs.
pub(super) struct Live {
    pub(super) world: World,
    pub(super) faults: Faults,
    pub(super) stats: Stats,
    auth: Auth,
    rate: Rate,
}

/// What all requests share.
pub(super) struct Shared {
    state: Mutex<Live>,
    options: Options,
}

/// How the fake behaves whatever is asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Options {
    pub(super) public_url: Option<String>,
    pub(super) latency: Duration,
    pub(super) gzip: bool,
    pub(super) concurrency_max: Option<u64>,
}

impl Shared {
    pub(super) fn new(world: World, auth: Auth, rate: Rate, options: Options) -> Self {
        let state = Live { world, faults: Faults::default(), stats: Stats::default(), auth, rate };
        Self { state: Mutex::new(state), options }
    }

    /// A request that panicked must not end every later one.
    pub(super) fn lock(&self) -> MutexGuard<'_, Live> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count_connection(&self) {
        self.lock().stats.connections += 1;
    }

    pub(super) fn stats(&self) -> Stats {
        let state = self.lock();
        Stats { faults: state.faults.fired(), ..state.stats.clone() }
    }
}

/// A request that was read.
struct Asked {
    method: Method,
    path: String,
    query: Query,
    headers: HeaderMap,
    urls: Urls,
    graphql: Option<Result<Document, String>>,
    graphql_page: u64,
}

/// The body of a GraphQL request.
#[derive(Deserialize)]
struct GraphqlBody {
    query: String,
    #[serde(default, rename = "operationName")]
    operation: Option<String>,
    #[serde(default)]
    variables: Option<Map<String, Value>>,
}

/// Answers one request.
pub(super) async fn handle(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(switch): ConnectInfo<Switch>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, REQUEST_BYTES_MAX).await else {
        return send(Reply::error(413, "Payload too large"), &Sending::plain(&switch)).await;
    };
    if let Some(path) = parts.uri.path().strip_prefix("/_fake/") {
        let reply = admin::answer(&shared, &parts.method, path, &body);
        return send(reply, &Sending::plain(&switch)).await;
    }
    let asked = Asked::read(&shared.options, parts, &body);
    let (route, running, decision) = shared.begin(&asked);
    // Counts the request as over when it is, even if the client left in between.
    let mut guard = Running { shared: &shared, status: 0, bytes: 0 };
    tokio::time::sleep(shared.options.latency + Duration::from_millis(decision.delay_millis)).await;
    let action = decision.action;
    let mut reply = match action.as_ref().and_then(|action| sabotage::instead(action, &asked.headers)) {
        Some(reply) => reply,
        None => shared.answer(&asked, route, running, action.as_ref()),
    };
    if let Some(action) = &action {
        sabotage::bend(action, &asked.query, &mut reply);
    }
    // A fault that spoils bodies needs one.
    let spoils = matches!(action, Some(Action::CutBody | Action::GzipBomb { .. } | Action::Oversized { .. }));
    if reply.status == 200 && !spoils && asked.has(&etag(&reply.body)) {
        shared.not_modified(&asked, &mut reply);
    }
    shared.finish(&asked, &mut reply);
    if !matches!(action, Some(Action::Close)) {
        (guard.status, guard.bytes) = (reply.status, reply.body.len());
    }
    let zip = shared.options.gzip
        && asked.headers.get(header::ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).is_some_and(|v| v.contains("gzip"));
    send(reply, &Sending { switch: &switch, action, gzip: zip }).await
}

impl Asked {
    fn read(options: &Options, parts: axum::http::request::Parts, body: &[u8]) -> Self {
        let full = parts.uri.path();
        let (prefix, path) = match full.strip_prefix(ENTERPRISE_PREFIX) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => (ENTERPRISE_PREFIX, rest),
            _ if full == "/api/graphql" => (ENTERPRISE_PREFIX, "/graphql"),
            _ => ("", full),
        };
        let host = parts.headers.get(header::HOST).and_then(|h| h.to_str().ok());
        let origin = options.public_url.clone().unwrap_or_else(|| origin(host.unwrap_or("api.github.com")));
        let html = match (prefix, origin.as_str()) {
            ("", "https://api.github.com") => "https://github.com".to_owned(),
            _ => origin.clone(),
        };
        let graphql: Option<GraphqlBody> = if path == "/graphql" { serde_json::from_slice(body).ok() } else { None };
        let variables = graphql.as_ref().and_then(|g| g.variables.clone()).unwrap_or_default();
        Self {
            path: if path.is_empty() { "/".to_owned() } else { path.to_owned() },
            query: Query::parse(parts.uri.query()),
            urls: Urls { api: format!("{origin}{prefix}"), html },
            graphql_page: cursor_page(&variables),
            graphql: graphql
                .map(|g| Document::parse(&g.query, g.operation.as_deref(), &variables).map_err(|e| e.to_string())),
            method: parts.method,
            headers: parts.headers,
        }
    }

    /// Does the client have the answer with this tag?
    fn has(&self, etag: &str) -> bool {
        self.headers.get(header::IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == etag.as_bytes())
    }

    fn document(&self) -> Option<&Document> {
        self.graphql.as_ref().and_then(|g| g.as_ref().ok())
    }

    fn resource(&self) -> Resource {
        if self.path == "/graphql" { Resource::Graphql } else { Resource::Core }
    }
}

impl Shared {
    /// Counts a request and asks the faults.
    fn begin(&self, asked: &Asked) -> (Route, u64, Decision) {
        let mut state = self.lock();
        let state = &mut *state;
        let route = Route::parse(&asked.path, &state.world);
        let running = state.stats.begin(asked.method.as_str(), route.template(), &asked.path);
        let operation = asked.document().and_then(|d| d.name.as_deref());
        if asked.method != Method::GET && asked.method != Method::HEAD {
            state.stats.log(NonGet {
                method: asked.method.to_string(),
                path: asked.path.clone(),
                graphql: asked.document().map(|d| d.kind.to_owned()),
                operation: operation.map(ToOwned::to_owned),
            });
        }
        let canonical = route.canonical(&state.world);
        let page = match route {
            Route::Graphql => asked.graphql_page,
            _ => asked.query.get("page").and_then(|p| p.parse().ok()).filter(|p| *p > 0).unwrap_or(1),
        };
        let decision = state.faults.decide(Seen {
            method: asked.method.as_str(),
            path: &asked.path,
            canonical: canonical.as_deref(),
            page,
            operation,
        });
        (route, running, decision)
    }

    fn answer(&self, asked: &Asked, route: Route, running: u64, action: Option<&Action>) -> Reply {
        let now = Timestamp::now();
        let second = u64::try_from(now.as_second()).unwrap_or(0);
        let mut state = self.lock();
        let state = &mut *state;
        if !asked.headers.contains_key(header::USER_AGENT) {
            return Reply::user_agent_required();
        }
        if let Route::AccessTokens(id) = route
            && asked.method == Method::POST
        {
            return state.auth.issue(&asked.headers, id, now);
        }
        if matches!(route, Route::App | Route::Installations | Route::Installation(_)) {
            return app(state, asked, route, now);
        }
        let by_app = match state.auth.check(&asked.headers, now) {
            Ok(by_app) => by_app,
            Err(reply) => return reply,
        };
        if route == Route::RateLimit {
            return state.rate.overview(second);
        }
        if self.options.concurrency_max.is_some_and(|max| running > max) {
            return Reply::secondary_limit().with_header("retry-after", "1");
        }
        if let Some(Action::RateLimitExhausted { reset_seconds }) = action {
            state.rate.exhaust(asked.resource(), second, *reset_seconds);
        }
        if !state.rate.take(asked.resource(), second) {
            return Reply::primary_limit(403);
        }
        let reply = respond(state, asked, route, by_app, second);
        if by_app { reply } else { reply.with_header("x-oauth-scopes", "read:org, repo") }
    }

    /// Nothing to send again, and nothing to count: a 304 isn't charged to the primary limit.
    fn not_modified(&self, asked: &Asked, reply: &mut Reply) {
        reply.set("etag", etag(&reply.body));
        (reply.status, reply.body) = (304, Vec::new());
        let second = u64::try_from(Timestamp::now().as_second()).unwrap_or(0);
        self.lock().rate.give_back(asked.resource(), second);
    }

    /// The headers that every answer has.
    fn finish(&self, asked: &Asked, reply: &mut Reply) {
        let second = u64::try_from(Timestamp::now().as_second()).unwrap_or(0);
        let mut state = self.lock();
        let number = state.stats.requests;
        state.rate.headers(reply, asked.resource(), second);
        reply.set("x-github-request-id", format!("FAKE:{number:04X}:{second:X}"));
        if asked.urls.api.ends_with(ENTERPRISE_PREFIX) {
            reply.set("x-github-enterprise-version", "3.14.2".to_owned());
        }
    }
}

/// The answers of the few paths where an app speaks for itself.
fn app(state: &Live, asked: &Asked, route: Route, now: Timestamp) -> Reply {
    let app = match state.auth.check_app(&asked.headers, now) {
        Ok(app) => app,
        Err(reply) => return reply,
    };
    let mut account = String::new();
    shapes::simple_owner(&mut account, &asked.urls, &state.world.account());
    let kind = if state.world.shape.kind == AccountKind::Organization { "Organization" } else { "User" };
    let installation = Auth::installation(app, &asked.urls.api, &account, kind);
    match route {
        Route::Installation(id) if id == app.installation_id => Reply::json(200, installation),
        Route::Installations => Reply::json(200, format!("[{installation}]")),
        Route::App => {
            let id = app.app_id.parse::<u64>().unwrap_or(0);
            Reply::json(200, format!("{{\"id\":{id},\"slug\":\"porthole\",\"owner\":{account},\"name\":\"Porthole\"}}"))
        }
        _ => Reply::not_found(),
    }
}

fn respond(state: &mut Live, asked: &Asked, route: Route, by_app: bool, second: u64) -> Reply {
    let world = &state.world;
    if route == Route::Graphql && asked.method == Method::POST {
        let rate = state.rate.show(Resource::Graphql, second);
        return match &asked.graphql {
            None => Reply::error(400, "Problems parsing JSON"),
            Some(Err(error)) => Reply::json(200, serde_json::json!({"errors": [{"message": error}]}).to_string()),
            Some(Ok(document)) => {
                Reply::json(200, Answerer { world, urls: &asked.urls, rate }.answer(document).to_string())
            }
        };
    }
    if asked.method != Method::GET && asked.method != Method::HEAD {
        return Reply::error(403, "This fake GitHub is read-only; the request was recorded.");
    }
    let ask = Ask { world, route, query: &asked.query, urls: &asked.urls };
    match route {
        Route::InstallationRepos if by_app => installation_repos(&ask),
        // An installation is no user.
        Route::InstallationRepos | Route::Myself if by_app || route == Route::InstallationRepos => {
            Reply::forbidden_integration()
        }
        _ => ask.answer(),
    }
}

/// The address that a client used, as the replies repeat it. Loopback has no TLS; everything else does.
pub(crate) fn origin(host: &str) -> String {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    // Goes into JSON and headers as it is.
    if !host.bytes().all(|b| b.is_ascii_alphanumeric() || b".:-_[]".contains(&b)) {
        return "https://api.github.com".to_owned();
    }
    let loopback = name == "localhost" || name.starts_with("127.") || name == "[::1]";
    format!("{}://{host}", if loopback { "http" } else { "https" })
}

/// Which page a GraphQL request asks for, by the one variable that is a cursor.
fn cursor_page(variables: &Map<String, Value>) -> u64 {
    let size = ["first", "limit", "n", "size", "count"].iter().find_map(|name| variables.get(*name)?.as_u64());
    let before = variables.values().filter_map(Value::as_str).find_map(read_cursor).unwrap_or(0);
    let before = u64::try_from(before).unwrap_or(0);
    before.div_ceil(size.unwrap_or(100).max(1)) + 1
}

/// A request that is being answered.
struct Running<'a> {
    shared: &'a Shared,
    status: u16,
    bytes: usize,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.shared.lock().stats.end(self.status, self.bytes);
    }
}
