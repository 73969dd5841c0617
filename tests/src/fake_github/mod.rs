//! A GitHub that needs no account: a loopback server for an organisation of any size, made from a seed.
//!
//! What it does as the real one does: shapes and headers of replies, `Link` paging over numeric paths, authentication
//! (tokens, GitHub Apps), rate limits, the bodies of errors, GraphQL over the same data, and all of it once more under
//! `/api/v3` as GitHub Enterprise Server has it. What it does on demand: [`Fault`]s and [`Mutation`]s. What it never
//! does: keep the organisation in memory, or change anything because of a request outside `/_fake/`.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use porthole_tests::fake_github::{Action, FakeGithub, Fault};
//! let github = FakeGithub::builder().org("acme").seed(1).repos(50).members(20).teams(5).start().await?;
//! github.fault(Fault::on("^/orgs/acme/repos$", Action::CutBody).page(2)).expect("a regular expression");
//! let wanted = github.expected();
//! # Ok(()) }
//! ```
//!
//! Start reading at `server` (one request's way) and `world` (where everything comes from).

mod admin;
mod auth;
mod builder;
mod connection;
pub(crate) mod document;
mod edges;
mod expected;
mod faults;
mod graphql;
mod graphql_fields;
mod jwt;
mod nouns;
mod overlay;
mod page;
mod rate;
mod reply;
mod rest;
mod route;
mod rules;
mod sabotage;
mod seed;
mod send;
mod server;
mod shapes;
mod stats;
#[cfg(test)]
mod tests;
mod world;
mod write;

pub use auth::App;
pub use builder::Builder;
pub use expected::{Detail, Expected, ExpectedEntity, ExpectedRelationship};
pub use faults::{Action, Fault, Hits, RetryAfter, When};
pub use nouns::{AccountKind, OrgRole, Permission, TeamRole};
pub use overlay::{Collaborator, Mutated, Mutation, MutationError, TeamMember, TeamRepo, Which};
pub use rules::FaultError;
pub use stats::{NonGet, Stats};
pub use world::TEMP_CLONE_TOKEN_PREFIX;

pub(crate) use server::origin;

use server::Shared;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::oneshot;

/// A running fake. It ends when this is dropped.
pub struct FakeGithub {
    addr: SocketAddr,
    org: String,
    tokens: Vec<String>,
    shared: Arc<Shared>,
    /// Dropping it tells the server to end.
    _stop: oneshot::Sender<()>,
}

impl FakeGithub {
    /// Begins a description of a fake.
    pub fn builder() -> Builder {
        Builder::default()
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

    /// The login of the account.
    #[must_use]
    pub fn org(&self) -> &str {
        &self.org
    }

    /// A token that is accepted.
    #[must_use]
    pub fn token(&self) -> &str {
        self.tokens.first().map_or("", String::as_str)
    }

    /// The graph that a complete collection has to find, as the organisation is now.
    #[must_use]
    pub fn expected(&self) -> Expected {
        self.shared.lock().world.expected()
    }

    /// Adds a rule.
    ///
    /// # Errors
    /// When the rule's path isn't a regular expression.
    pub fn fault(&self, fault: Fault) -> Result<(), FaultError> {
        self.shared.lock().faults.add(fault)
    }

    /// Takes all rules away.
    pub fn clear_faults(&self) {
        self.shared.lock().faults.clear();
    }

    /// Changes the organisation.
    ///
    /// # Errors
    /// When the change names something that isn't there; then nothing has changed.
    pub fn mutate(&self, mutation: &Mutation) -> Result<Mutated, MutationError> {
        self.shared.lock().world.mutate(mutation)
    }

    /// What was asked so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Forgets what was asked.
    pub fn reset_stats(&self) {
        self.shared.lock().stats.reset();
    }

    /// The full names of all repositories, in the order of the lists.
    #[must_use]
    pub fn repo_names(&self) -> Vec<String> {
        let state = self.shared.lock();
        state.world.repos(0).map(|index| state.world.repo_name(index)).collect()
    }

    /// The slugs of all teams, in the order of the lists.
    #[must_use]
    pub fn team_slugs(&self) -> Vec<String> {
        let state = self.shared.lock();
        state.world.teams(0).map(|index| state.world.team(index).slug).collect()
    }

    /// The logins of all members, in the order of the lists.
    #[must_use]
    pub fn member_logins(&self) -> Vec<String> {
        let state = self.shared.lock();
        state.world.members(0).map(|person| state.world.login(person)).collect()
    }
}
