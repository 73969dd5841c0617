//! An AWS account of any size that needs no account: a loopback server that makes every page on the fly.
//!
//! It is for load. It has the operations of the services that are always collected, in their own wire forms, with their own
//! page sizes; it checks no signature (`tests/aws` has a bed that does). What is where follows from numbers alone, so nothing
//! is kept and [`FakeAws::expected`] knows how much there is.
//!
//! Start reading at `server` (which operation is asked) and `world` (what there is).

mod ec2;
mod iam;
mod json;
mod reply;
mod s3;
mod server;
#[cfg(test)]
mod tests;
mod world;

pub use server::Stats;
pub use world::{ACCOUNT, Expected, REGIONS, SECRET, Shape};

use server::Shared;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Services with one host for all regions.
const GLOBAL: [&str; 3] = ["iam", "sts", "organizations"];
/// Services with a host in each region.
const REGIONAL: [&str; 9] =
    ["ec2", "s3", "lambda", "apigateway", "config", "sts", "organizations", "monitoring", "kms"];

/// A running fake. It ends when this is dropped.
pub struct FakeAws {
    addr: SocketAddr,
    shared: Arc<Shared>,
    /// Dropping it tells the server to end.
    _stop: oneshot::Sender<()>,
}

impl FakeAws {
    /// Starts an account of this shape on loopback; `port` 0 is any free one. Every answer takes at least `latency`.
    ///
    /// # Errors
    /// When the port can't be listened on.
    pub async fn start(shape: Shape, port: u16, latency: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared::new(shape, latency));
        let routes = axum::Router::new().fallback(server::handle).with_state(Arc::clone(&shared));
        let (stop, stopped) = oneshot::channel::<()>();
        let server = axum::serve(listener, routes);
        tokio::spawn(async move {
            // Neither a message nor a failure comes: the sender is dropped with the fake.
            let stopped = async move { drop(stopped.await) };
            drop(server.with_graceful_shutdown(stopped).await);
        });
        Ok(Self { addr, shared, _stop: stop })
    }

    /// Where it listens: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Every host of the provider that this fake answers for.
    #[must_use]
    pub fn hosts() -> Vec<String> {
        let global = GLOBAL.iter().map(|service| format!("{service}.amazonaws.com"));
        let regional = REGIONS.iter().flat_map(|r| REGIONAL.iter().map(move |s| format!("{s}.{r}.amazonaws.com")));
        global.chain(regional).collect()
    }

    /// A configuration's `[endpoints]` that maps all of them to this fake.
    #[must_use]
    pub fn endpoints(&self) -> String {
        let lines = Self::hosts().into_iter().map(|host| format!("\"{host}\" = \"{}\"\n", self.url()));
        format!("[endpoints]\n{}", lines.collect::<String>())
    }

    /// How much of each type a complete collection finds.
    #[must_use]
    pub fn expected(&self) -> Expected {
        self.shared.shape().expected()
    }

    /// What was asked so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }
}
