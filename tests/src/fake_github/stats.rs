//! What was asked: counts by route, how much at once, and every request that wasn't a GET.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most entries of the log of non-GET requests.
const WRITES_MAX: usize = 10_000;

/// What was asked so far. Requests to `/_fake/` don't count.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// All requests.
    pub requests: u64,
    /// Requests by method and kind of path: `GET /orgs/{org}/repos`.
    pub routes: BTreeMap<String, u64>,
    /// Answers by status. An answer that never came counts as 0.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests for paths that the fake doesn't know, by path; the first hundred.
    pub unknown: BTreeMap<String, u64>,
    /// Accepted connections.
    pub connections: u64,
    /// The most requests that were being answered at the same time.
    pub peak_concurrency: u64,
    /// Bytes of all bodies that were made, before compression.
    pub body_bytes: u64,
    /// How often each fault fired, by its name.
    pub faults: BTreeMap<String, u64>,
    /// Every request that wasn't a GET or HEAD, in order: what proves that a collector only reads.
    pub non_get: Vec<NonGet>,
    #[serde(skip)]
    pub(super) running: u64,
}

/// A request that wasn't a GET or HEAD.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NonGet {
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The kind of GraphQL operation (`query`, `mutation`, `subscription`), when it was one.
    pub graphql: Option<String>,
    /// The name of the GraphQL operation.
    pub operation: Option<String>,
}

impl NonGet {
    /// Could this request have changed something at the real provider? A GraphQL query couldn't, and neither could the
    /// exchange of an app's JWT for a token.
    #[must_use]
    pub fn is_write(&self) -> bool {
        let exchange = self.method == "POST" && self.path.ends_with("/access_tokens");
        !exchange && self.graphql.as_deref() != Some("query")
    }
}

/// The most unknown paths that are kept.
const UNKNOWN_MAX: usize = 100;

impl Stats {
    /// How many requests of one kind there were, such as `GET /orgs/{org}/repos`.
    #[must_use]
    pub fn count(&self, route: &str) -> u64 {
        self.routes.get(route).copied().unwrap_or(0)
    }

    /// The requests that could have changed something.
    pub fn writes(&self) -> impl Iterator<Item = &NonGet> {
        self.non_get.iter().filter(|request| request.is_write())
    }

    pub(super) fn begin(&mut self, method: &str, template: &str, path: &str) -> u64 {
        self.requests += 1;
        self.running += 1;
        self.peak_concurrency = self.peak_concurrency.max(self.running);
        *self.routes.entry(format!("{method} {template}")).or_default() += 1;
        if template == "(unknown)" && (self.unknown.len() < UNKNOWN_MAX || self.unknown.contains_key(path)) {
            *self.unknown.entry(path.to_owned()).or_default() += 1;
        }
        self.running
    }

    pub(super) fn end(&mut self, status: u16, bytes: usize) {
        self.running = self.running.saturating_sub(1);
        self.body_bytes += u64::try_from(bytes).unwrap_or(0);
        *self.statuses.entry(status).or_default() += 1;
    }

    pub(super) fn log(&mut self, request: NonGet) {
        if self.non_get.len() < WRITES_MAX {
            self.non_get.push(request);
        }
    }

    /// Forgets what was, but not what is still running.
    pub(super) fn reset(&mut self) {
        *self = Self { running: self.running, ..Self::default() };
    }
}
