//! Rules that make some answers wrong. A rule says which requests, which hits of those, and what happens instead.
//!
//! Written in Rust with [`Fault::on`], or posted as JSON to `/_fake/faults`, flat:
//! `{"path": "^/orgs/acme/repos$", "page": 2, "nth": 1, "action": {"kind": "cut_body"}}`. For the commonest action there
//! is a short form, `"status": 403` with an optional `"body"`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// One rule.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "FaultJson")]
pub struct Fault {
    /// For the statistics; a rule without a name goes by its action.
    pub name: String,
    /// Which requests.
    pub when: When,
    /// Which of those.
    pub hits: Hits,
    /// What happens.
    pub action: Action,
}

/// Which requests a rule is about: those that match all that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct When {
    /// The method.
    pub method: Option<String>,
    /// A regular expression for the path, without `/api/v3`. The path by names is tried as well when a request used
    /// numbers (`/organizations/...`), as every request for a further page does.
    pub path: Option<String>,
    /// The page, from 1. GraphQL counts by cursor.
    pub page: Option<u64>,
    /// The name of the GraphQL operation.
    pub operation: Option<String>,
}

/// Which of the matching requests are hit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Hits {
    /// Every one.
    #[default]
    Always,
    /// This one, from 1.
    Nth(u64),
    /// The first so many.
    First(u64),
    /// All but the first so many.
    After(u64),
    /// Each with this probability, decided by the seed and its number.
    Chance {
        /// From 0 to 1.
        probability: f64,
        /// The seed.
        seed: u64,
    },
}

/// How `Retry-After` is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// As a number of seconds.
    Seconds(u64),
    /// As a date so many seconds from now.
    Date(u64),
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Another status, with the error body of the real API for it unless a body is given.
    Status {
        /// The status.
        status: u16,
        /// The body: a text as it is, anything else as JSON.
        #[serde(default)]
        body: Option<Value>,
        /// More headers.
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    /// 404, as the real API hides what may not be seen.
    NotFound,
    /// 403: the app's installation lacks the permission.
    ForbiddenIntegration,
    /// 403: the token's user is no administrator of the repository.
    MustHaveAdmin,
    /// 403: the secondary limit, whose budget headers look healthy.
    SecondaryLimit {
        /// When to come back, if that is said.
        #[serde(default)]
        retry_after: Option<RetryAfter>,
    },
    /// 429.
    TooManyRequests {
        /// When to come back, if that is said.
        #[serde(default)]
        retry_after: Option<RetryAfter>,
    },
    /// The budget of the primary limit is gone from now until the reset, for this and all later requests.
    RateLimitExhausted {
        /// Seconds until the reset.
        reset_seconds: u64,
    },
    /// The right answer, later.
    Delay {
        /// How much later.
        millis: u64,
    },
    /// The right answer up to the middle of its body, then the connection ends.
    CutBody,
    /// The connection ends without an answer.
    Close,
    /// The right page, and a `next` link that never ends.
    EndlessNext,
    /// The right page, and a `next` link to itself.
    SelfNext,
    /// The right page, and a `next` link to this URL.
    ForeignNext {
        /// The URL.
        url: String,
    },
    /// The right answer with a syntax error in it.
    MalformedJson,
    /// A JSON array of this length.
    Oversized {
        /// Bytes of the body.
        bytes: u64,
    },
    /// A redirect.
    Redirect {
        /// Where to.
        location: String,
        /// The status; 302 if not given.
        #[serde(default = "found")]
        status: u16,
    },
    /// A small body that gzip makes this large.
    GzipBomb {
        /// Bytes of the decompressed body.
        bytes: u64,
    },
    /// A body that repeats the `Authorization` header: as it is, in base64, in hex and percent-encoded.
    ReflectAuthorization {
        /// The status; 200 if not given.
        #[serde(default = "ok")]
        status: u16,
    },
}

/// A rule as it is posted.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FaultJson {
    name: String,
    method: Option<String>,
    path: Option<String>,
    page: Option<u64>,
    operation: Option<String>,
    nth: Option<u64>,
    first: Option<u64>,
    after: Option<u64>,
    probability: Option<f64>,
    seed: u64,
    action: Option<Action>,
    status: Option<u16>,
    body: Option<Value>,
}

impl TryFrom<FaultJson> for Fault {
    type Error = &'static str;

    fn try_from(json: FaultJson) -> Result<Self, Self::Error> {
        let hits = match (json.nth, json.first, json.after, json.probability) {
            (None, None, None, None) => Hits::Always,
            (Some(n), None, None, None) => Hits::Nth(n),
            (None, Some(n), None, None) => Hits::First(n),
            (None, None, Some(n), None) => Hits::After(n),
            (None, None, None, Some(probability)) => Hits::Chance { probability, seed: json.seed },
            _ => return Err("only one of `nth`, `first`, `after` and `probability` may be given"),
        };
        let action = match (json.action, json.status) {
            (Some(action), None) if json.body.is_none() => action,
            (None, Some(status)) => Action::Status { status, body: json.body, headers: BTreeMap::new() },
            _ => return Err("either `action` or `status` (with or without `body`) has to be given"),
        };
        let when = When { method: json.method, path: json.path, page: json.page, operation: json.operation };
        Ok(Self { name: json.name, when, hits, action })
    }
}

fn found() -> u16 {
    302
}

fn ok() -> u16 {
    200
}

impl Action {
    /// The error body of the real API under another status.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Status { status, body: None, headers: BTreeMap::new() }
    }

    pub(super) fn kind(&self) -> String {
        let kind = serde_json::to_value(self).ok().and_then(|v| Some(v.get("kind")?.as_str()?.to_owned()));
        kind.unwrap_or_default()
    }
}

impl Fault {
    /// A rule for every request whose path matches the regular expression.
    #[must_use]
    pub fn on(path: impl Into<String>, action: Action) -> Self {
        let when = When { path: Some(path.into()), ..When::default() };
        Self { name: String::new(), when, hits: Hits::Always, action }
    }

    /// A rule for every request of a GraphQL operation.
    #[must_use]
    pub fn on_operation(name: impl Into<String>, action: Action) -> Self {
        let when = When { operation: Some(name.into()), ..When::default() };
        Self { name: String::new(), when, hits: Hits::Always, action }
    }

    /// Only this page.
    #[must_use]
    pub fn page(mut self, page: u64) -> Self {
        self.when.page = Some(page);
        self
    }

    /// Only this method.
    #[must_use]
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.when.method = Some(method.into());
        self
    }

    /// Only these hits.
    #[must_use]
    pub fn hits(mut self, hits: Hits) -> Self {
        self.hits = hits;
        self
    }

    /// A name for the statistics.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn rules_read_as_the_documentation_writes_them() {
        let read = |json: &str| serde_json::from_str::<Fault>(json);
        let json = r#"{"path": "^/orgs/acme/repos$", "page": 2, "nth": 1, "action": {"kind": "cut_body"}}"#;
        let fault = Fault::on("^/orgs/acme/repos$", Action::CutBody).page(2).hits(Hits::Nth(1));
        assert_eq!(read(json).unwrap(), fault);
        assert_eq!(read(r#"{"path": "x", "status": 500}"#).unwrap(), Fault::on("x", Action::status(500)));
        assert!(read(r#"{"path": "x"}"#).is_err());
        assert!(read(r#"{"path": "x", "nth": 1, "first": 1, "status": 500}"#).is_err());
        assert!(read(r#"{"pth": "x", "status": 500}"#).is_err());
        assert!(serde_json::from_str::<Fault>(r#"{"action": {"kind": "explode"}}"#).is_err());
    }
}
