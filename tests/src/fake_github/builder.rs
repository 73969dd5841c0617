//! The description of a fake before it runs.

use super::FakeGithub;
use super::auth::{App, Auth};
use super::connection::{Listening, Switch};
use super::nouns::AccountKind;
use super::rate::Rate;
use super::server::{Options, Shared, handle};
use super::world::{Shape, World};
use axum::Router;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// The requests per window: far more than the real 5,000, so that only tests of the limit meet it.
const RATE_LIMIT_DEFAULT: u64 = 1_000_000;
/// The window of the primary limit, as at the real provider.
const RATE_WINDOW_DEFAULT: Duration = Duration::from_secs(3600);

/// A description of a fake. Whatever isn't said is small: 12 repositories, 6 members, 3 teams.
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder {
    shape: Shape,
    outside: Option<u32>,
    tokens: Vec<String>,
    app: Option<App>,
    rate: (u64, Duration),
    options: Options,
    port: u16,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            shape: Shape {
                kind: AccountKind::Organization,
                org: "acme".to_owned(),
                seed: 1,
                repos: 12,
                members: 6,
                outside: 0,
                teams: 3,
            },
            outside: None,
            tokens: Vec::new(),
            app: None,
            rate: (RATE_LIMIT_DEFAULT, RATE_WINDOW_DEFAULT),
            options: Options::default(),
            port: 0,
        }
    }
}

impl Builder {
    /// The login of the account.
    pub fn org(mut self, login: impl Into<String>) -> Self {
        self.shape.org = login.into();
        self
    }

    /// The account is a person: no members, no teams.
    pub fn user_account(mut self) -> Self {
        self.shape.kind = AccountKind::User;
        self
    }

    /// What everything is made from.
    pub fn seed(mut self, seed: u64) -> Self {
        self.shape.seed = seed;
        self
    }

    /// How many repositories.
    pub fn repos(mut self, count: u32) -> Self {
        self.shape.repos = count;
        self
    }

    /// How many members.
    pub fn members(mut self, count: u32) -> Self {
        self.shape.members = count;
        self
    }

    /// How many people outside may collaborate; a tenth of the members if not said.
    pub fn outside(mut self, count: u32) -> Self {
        self.outside = Some(count);
        self
    }

    /// How many teams.
    pub fn teams(mut self, count: u32) -> Self {
        self.shape.teams = count;
        self
    }

    /// A token that is accepted. Without one, the seed makes one: [`FakeGithub::token`].
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.tokens.push(token.into());
        self
    }

    /// A GitHub App with an installation.
    pub fn app(mut self, app: App) -> Self {
        self.app = Some(app);
        self
    }

    /// The primary limit: so many requests per window, for REST and GraphQL each.
    pub fn rate_limit(mut self, requests: u64, window: Duration) -> Self {
        self.rate = (requests, window);
        self
    }

    /// More requests at once than this meet the secondary limit, with `Retry-After: 1`.
    pub fn concurrency_max(mut self, requests: u64) -> Self {
        self.options.concurrency_max = Some(requests);
        self
    }

    /// How long every answer takes at least.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.options.latency = latency;
        self
    }

    /// Compress for clients that accept gzip.
    pub fn gzip(mut self, gzip: bool) -> Self {
        self.options.gzip = gzip;
        self
    }

    /// The origin that links and bodies name, without a slash at the end. If not said, it follows the `Host` header:
    /// `http` for loopback, `https` for any other name.
    pub fn public_url(mut self, origin: impl Into<String>) -> Self {
        self.options.public_url = Some(origin.into());
        self
    }

    /// The port; 0, the default, is any free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Starts the fake on the loopback address.
    ///
    /// # Errors
    /// When the port can't be listened on.
    pub async fn start(self) -> io::Result<FakeGithub> {
        let mut shape = self.shape;
        shape.outside = self.outside.unwrap_or_else(|| shape.members.div_ceil(10));
        if shape.kind == AccountKind::User {
            (shape.members, shape.teams) = (0, 0);
        }
        let tokens = if self.tokens.is_empty() { vec![Auth::default_token(shape.seed)] } else { self.tokens };
        let org = shape.org.clone();
        let auth = Auth::new(shape.seed, tokens.clone(), self.app);
        let rate = Rate::new(self.rate.0, self.rate.1);
        let shared = Arc::new(Shared::new(World::new(shape), auth, rate, self.options));
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))).await?;
        let addr = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let service = Router::new()
            .fallback(handle)
            .with_state(Arc::clone(&shared))
            .into_make_service_with_connect_info::<Switch>();
        let server = axum::serve(Listening { listener, shared: Arc::clone(&shared) }, service);
        tokio::spawn(async move {
            // Neither a message nor a failure comes: the sender is dropped with the fake.
            let stopped = async move { drop(stopped.await) };
            drop(server.with_graceful_shutdown(stopped).await);
        });
        Ok(FakeGithub { addr, org, tokens, shared, _stop: stop })
    }
}
