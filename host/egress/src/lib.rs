//! The only outbound sockets, and the one room for secrets.
//!
//! A request comes in as a `PreparedRequest`, which holds nothing secret and has been recorded. It leaves only towards an
//! address that was vetted, with a credential that nothing outside this crate can read; the reply goes back capped and
//! scrubbed. Nothing here follows a redirect, reads a proxy variable or dials an address that [`policy`] has not
//! admitted.
//!
//! Start reading at [`Session::send`]. The decisions are pure and stand alone: [`address`] and [`policy`] (where to),
//! [`status`] (what a reply means), [`pace`] (how long to wait). Only `client` and [`resolve`] touch the network.

pub mod address;
mod body;
pub mod check;
mod client;
pub mod config;
pub mod credential;
mod error_code;
pub mod fault;
mod headers;
mod limiter;
pub mod pace;
pub mod policy;
pub mod resolve;
pub mod scrub;
pub mod secret;
mod send;
pub mod session;
pub mod status;
mod stored_reply;
mod tls;
mod token;
mod validator;
mod windows;

pub use check::{CheckLine, Checker, Decision};
pub use client::CONNECT_TIMEOUT;
pub use config::{ConfigError, EgressConfig, Endpoint, Exception, Reserved};
pub use fault::{CallFault, CallStats, FaultCode};
pub use resolve::{Resolve, StaticResolver, SystemResolver};
pub use session::{CallLimits, Egress, EgressError, Observer, Reply, Reused, Session, SessionConfig};
pub use status::ReplyRules;
pub use stored_reply::{Condition, StoredReply};
pub use validator::Validator;
