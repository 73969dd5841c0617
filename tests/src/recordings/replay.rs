//! Serves recorded exchanges on the loopback address.

use super::Exchange;
use super::matching::{Wanted, candidates, shape};
use crate::fake_github::origin;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use url::form_urlencoded;

/// The largest request body.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;

/// A description of a replay before it runs.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Builder {
    exchanges: Vec<Exchange>,
    ignored: HashSet<String>,
}

/// A running replay. It ends when this is dropped.
pub struct Replay {
    addr: SocketAddr,
    shared: Arc<Shared>,
    /// Dropping it tells the server to end.
    _stop: oneshot::Sender<()>,
}

/// A request that was answered, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The recorded exchange that answered, by its number; nothing when there is none.
    pub exchange: Option<usize>,
}

struct Shared {
    exchanges: Vec<Exchange>,
    ignored: HashSet<String>,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    served: Vec<Served>,
    /// How often each list of candidates was asked, by its first member.
    asked: HashMap<usize, usize>,
}

impl Builder {
    /// Leaves a query argument out of the comparison: a page size, say, that the recorder chose differently.
    pub fn ignore_query(mut self, name: impl Into<String>) -> Self {
        self.ignored.insert(name.into());
        self
    }

    /// Starts serving.
    ///
    /// # Errors
    /// When the loopback address can't be listened on.
    pub async fn start(self) -> io::Result<Replay> {
        let shared = Arc::new(Shared {
            exchanges: self.exchanges,
            ignored: self.ignored,
            progress: Mutex::new(Progress::default()),
        });
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let addr = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let service = Router::new().fallback(handle).with_state(Arc::clone(&shared));
        tokio::spawn(async move {
            // Neither a message nor a failure comes: the sender is dropped with the replay.
            let stopped = async move { drop(stopped.await) };
            drop(axum::serve(listener, service).with_graceful_shutdown(stopped).await);
        });
        Ok(Replay { addr, shared, _stop: stop })
    }
}

impl Replay {
    /// Begins with what is to be served. Several answers to one request come in the order of their recording; the last
    /// one stays.
    pub fn of(exchanges: Vec<Exchange>) -> Builder {
        Builder { exchanges, ..Builder::default() }
    }

    /// Where it listens: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Every request so far, in order.
    #[must_use]
    pub fn served(&self) -> Vec<Served> {
        self.shared.lock().served.clone()
    }

    /// The requests that no recording answers. They got status 501, which no provider sends and no module takes for an
    /// answer.
    #[must_use]
    pub fn misses(&self) -> Vec<Served> {
        self.served().into_iter().filter(|served| served.exchange.is_none()).collect()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn choose(&self, wanted: &Wanted<'_>, target: &str) -> Option<&Exchange> {
        let candidates = candidates(&self.exchanges, wanted, &self.ignored);
        let mut progress = self.lock();
        let chosen = candidates.first().map(|first| {
            let asked = progress.asked.entry(*first).or_default();
            let turn = (*asked).min(candidates.len() - 1);
            *asked += 1;
            candidates.get(turn).copied().unwrap_or(*first)
        });
        progress.served.push(Served { method: wanted.method.to_owned(), target: target.to_owned(), exchange: chosen });
        self.exchanges.get(chosen?)
    }
}

async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, REQUEST_BYTES_MAX).await else {
        return answer(413, &[], b"{\"message\":\"Payload too large\"}".to_vec());
    };
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let query = form_urlencoded::parse(parts.uri.query().unwrap_or("").as_bytes()).into_owned().collect();
    let wanted = Wanted { method: parts.method.as_str(), path: parts.uri.path(), query, body: &body };
    let Some(exchange) = shared.choose(&wanted, target) else {
        let message = serde_json::json!({"message": format!("no recording answers {} {target}", parts.method)});
        return answer(501, &[], message.to_string().into_bytes());
    };
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let base = origin(host);
    let text = shape(&wanted, exchange).unwrap_or_else(|| exchange.body.clone());
    let headers: Vec<(String, String)> =
        exchange.headers.iter().map(|(name, value)| (name.clone(), value.replace(&exchange.origin, &base))).collect();
    let body = match String::from_utf8(text) {
        Ok(text) => text.replace(&exchange.origin, &base).into_bytes(),
        Err(binary) => binary.into_bytes(),
    };
    answer(exchange.status, &headers, body)
}

fn answer(status: u16, headers: &[(String, String)], body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    for (name, value) in headers {
        // A header that can't be one is left out.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}
