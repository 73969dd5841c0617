//! What callers hold: an [`Egress`] for the process, a [`Session`] for each run.

use crate::client::Clients;
use crate::config::EgressConfig;
use crate::credential::Credentials;
use crate::fault::{CallFault, CallStats};
use crate::limiter::{Account, Accounts};
use crate::pace::WaitBudget;
use crate::policy::Policy;
use crate::resolve::Resolve;
use crate::scrub::ScrubRules;
use crate::send;
use crate::status::ReplyRules;
use crate::stored_reply::Condition;
use crate::validator::Validator;
use bytes::Bytes;
use porthole_model::id::OperationId;
use porthole_model::manifest::Rate;
use porthole_model::operation::PreparedRequest;
use reqwest::header::HeaderValue;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use url::{Origin, Url};

/// Why outbound traffic can't be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    /// Not a header value.
    #[error("user-agent {0:?} is not one line of visible text")]
    UserAgent(String),
}

/// What one call may cost, and what all calls of a run may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// The longest reply, in bytes after decompression. A page of any provider is far below; several are held at once.
    pub max_body_bytes: usize,
    /// How long one attempt may take, from the connection to the end of the body. Providers cut their own work off
    /// after 10 to 30 s.
    pub call_timeout: Duration,
    /// How often a call is tried. Five tries with jittered back-off span some seconds, which outlasts a fail-over.
    pub max_attempts: u32,
    /// How long a run may be held up by rate limits and retries, all in all. Calls that wait side by side count once.
    pub retry_budget: Duration,
    /// The longest single wait. What the provider delays beyond it is for the next run.
    pub max_wait_one: Duration,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            max_body_bytes: 16 * 1024 * 1024,
            call_timeout: Duration::from_secs(30),
            max_attempts: 5,
            retry_budget: Duration::from_secs(30 * 60),
            max_wait_one: Duration::from_secs(15 * 60),
        }
    }
}

/// What a session needs to know.
pub struct SessionConfig {
    /// Whose rate budget is used: sessions with the same key share it.
    pub account: String,
    /// How fast the provider may be asked.
    pub rate: Rate,
    /// The credentials of the run.
    pub credentials: Credentials,
    /// What is blanked in replies.
    pub scrub: ScrubRules,
    /// What calls may cost.
    pub limits: CallLimits,
}

/// Learns of waits before they begin, so that people who watch a run see why nothing happens. Waits for the declared
/// pace that are shorter than a second are not told.
pub trait Observer: Send + Sync {
    /// A call of this operation will wait so long.
    fn waiting(&self, operation: &OperationId, wait: Duration, reason: &str);
}

/// Nobody watches.
impl Observer for () {
    fn waiting(&self, _operation: &OperationId, _wait: Duration, _reason: &str) {}
}

/// A reply, capped and scrubbed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The declared headers that it has, lower case, in the order of the declaration.
    pub headers: Vec<(String, String)>,
    /// Its `Link` headers as one.
    pub link: Option<String>,
    /// The body; empty when `empty` is true.
    pub body: Bytes,
    /// The status is one of the operation's `empty-on`.
    pub empty: bool,
    /// What it can be asked about again with, when it may be stored. Never there for one that was [`Reply::reused`].
    pub validator: Option<Validator>,
    /// The provider said that the stored reply still holds, and this is it.
    pub reused: Option<Reused>,
    /// What the call used.
    pub stats: CallStats,
}

/// What a 304 said besides that nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reused {
    /// What is stored must not be used again: there is a next page now that it doesn't know of, or the provider doesn't
    /// want it stored any more.
    pub outdated: bool,
}

/// The way out of this process. Clones share connections and rate budgets.
#[derive(Clone)]
pub struct Egress {
    exceptions: Arc<[String]>,
    clients: Arc<Clients>,
    accounts: Arc<Accounts>,
}

impl Egress {
    /// Sets outbound traffic up. Opens no connection.
    ///
    /// # Errors
    /// When the user agent can't stand in a header.
    pub fn new(config: EgressConfig, resolver: Arc<dyn Resolve>) -> Result<Self, EgressError> {
        let Ok(user_agent) = HeaderValue::try_from(&config.user_agent) else {
            return Err(EgressError::UserAgent(config.user_agent));
        };
        let policy = Arc::new(Policy::new(&config));
        Ok(Self {
            exceptions: config.exceptions().into(),
            clients: Arc::new(Clients::new(policy, resolver, user_agent)),
            accounts: Arc::default(),
        })
    }

    /// A session for one run.
    #[must_use]
    pub fn session(&self, config: SessionConfig) -> Session {
        let account = self.accounts.open(&config.account, Instant::now());
        let waits = WaitBudget::new(config.limits.retry_budget, config.limits.max_wait_one);
        Session {
            inner: Arc::new(SessionInner {
                clients: Arc::clone(&self.clients),
                accounts: Arc::clone(&self.accounts),
                account,
                waits: Mutex::new(waits),
                config,
            }),
        }
    }

    /// The operator's exceptions and endpoints as lines of text, for the run record.
    #[must_use]
    pub fn exceptions(&self) -> Vec<String> {
        self.exceptions.to_vec()
    }
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Egress").field("exceptions", &self.exceptions).finish_non_exhaustive()
    }
}

/// The calls of one run. Clones share its credentials and its budget of waiting.
#[derive(Clone)]
pub struct Session {
    pub(crate) inner: Arc<SessionInner>,
}

pub(crate) struct SessionInner {
    pub(crate) clients: Arc<Clients>,
    pub(crate) account: Arc<Account>,
    pub(crate) waits: Mutex<WaitBudget>,
    pub(crate) config: SessionConfig,
    accounts: Arc<Accounts>,
}

impl Session {
    /// Performs one call: waits for the provider's limits, signs, sends, retries what is worth retrying, caps and scrubs
    /// the reply. Dropping the future ends the call.
    ///
    /// # Errors
    /// When there is no reply that counts as an answer. The fault says what happened and what it used.
    pub async fn send(
        &self,
        request: &PreparedRequest,
        rules: &ReplyRules,
        observer: &dyn Observer,
    ) -> Result<Reply, CallFault> {
        send::call(&self.inner, request, rules, None, observer).await
    }

    /// The same, for a request whose reply is stored: asks whether that still holds, and answers with it when the
    /// provider says so.
    ///
    /// A 304 is a call like any other: it waits for the declared pace and for a place, and its rate headers are obeyed.
    /// Most providers don't charge it; that shows in those headers, and it is theirs to say, not ours to assume.
    ///
    /// # Errors
    /// As [`Session::send`].
    pub async fn send_if(
        &self,
        request: &PreparedRequest,
        rules: &ReplyRules,
        condition: Option<&dyn Condition>,
        observer: &dyn Observer,
    ) -> Result<Reply, CallFault> {
        send::call(&self.inner, request, rules, condition, observer).await
    }
}

impl Session {
    /// Where a request to this URL is sent: there, or to the endpoint that an operator mapped its host to. None when it
    /// isn't sent at all.
    #[must_use]
    pub fn sent_to(&self, url: &Url) -> Option<Url> {
        self.inner.clients.policy().check_url(url).ok().map(|target| target.url().clone())
    }

    /// The origins that a provider may name as its own in links: that of the URL, and that of the endpoint which an
    /// operator mapped its host to.
    #[must_use]
    pub fn origins(&self, url: &Url) -> Vec<Origin> {
        let mapped = self.inner.clients.policy().check_url(url).ok().map(|target| target.url().origin());
        let mut origins = vec![url.origin()];
        origins.extend(mapped.filter(|origin| *origin != url.origin()));
        origins
    }
}

impl Drop for SessionInner {
    fn drop(&mut self) {
        self.accounts.close(&self.config.account, &self.account, Instant::now());
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("account", &self.inner.config.account).finish_non_exhaustive()
    }
}
