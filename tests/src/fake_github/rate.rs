//! The primary rate limit: so many requests per window, counted for REST and GraphQL apart, as headers tell.

use super::reply::Reply;
use std::time::Duration;

/// The two budgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resource {
    Core,
    Graphql,
}

impl Resource {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Graphql => "graphql",
        }
    }
}

/// One budget.
#[derive(Debug, Clone, Copy)]
struct Window {
    used: u64,
    resets_at: u64,
}

/// Both budgets. The fake has one customer, so all tokens share them.
#[derive(Debug)]
pub(super) struct Rate {
    limit: u64,
    window: Duration,
    core: Window,
    graphql: Window,
}

impl Rate {
    pub(super) fn new(limit: u64, window: Duration) -> Self {
        let fresh = Window { used: 0, resets_at: 0 };
        Self { limit, window, core: fresh, graphql: fresh }
    }

    fn window(&mut self, resource: Resource, now: u64) -> &mut Window {
        let (length, window) = match resource {
            Resource::Core => (self.window, &mut self.core),
            Resource::Graphql => (self.window, &mut self.graphql),
        };
        if window.resets_at <= now {
            *window = Window { used: 0, resets_at: now + length.as_secs().max(1) };
        }
        window
    }

    /// Takes one request from the budget; false when there is none left.
    pub(super) fn take(&mut self, resource: Resource, now: u64) -> bool {
        let limit = self.limit;
        let window = self.window(resource, now);
        if window.used >= limit {
            return false;
        }
        window.used += 1;
        true
    }

    /// Gives one request back.
    pub(super) fn give_back(&mut self, resource: Resource, now: u64) {
        let window = self.window(resource, now);
        window.used = window.used.saturating_sub(1);
    }

    /// Limit, used, and the second of the reset.
    pub(super) fn show(&mut self, resource: Resource, now: u64) -> (u64, u64, u64) {
        let limit = self.limit;
        let window = self.window(resource, now);
        (limit, window.used, window.resets_at)
    }

    /// Spends what is left, with a reset so many seconds from now.
    pub(super) fn exhaust(&mut self, resource: Resource, now: u64, resets_in: u64) {
        let limit = self.limit;
        let window = self.window(resource, now);
        *window = Window { used: limit, resets_at: now + resets_in.max(1) };
    }

    /// The headers of every answer. A header that is set already stays.
    pub(super) fn headers(&mut self, reply: &mut Reply, resource: Resource, now: u64) {
        let (limit, used, resets_at) = self.show(resource, now);
        for (name, value) in [
            ("x-ratelimit-limit", limit.to_string()),
            ("x-ratelimit-remaining", limit.saturating_sub(used).to_string()),
            ("x-ratelimit-reset", resets_at.to_string()),
            ("x-ratelimit-used", used.to_string()),
            ("x-ratelimit-resource", resource.as_str().to_owned()),
        ] {
            if !reply.headers.iter().any(|(have, _)| have == name) {
                reply.set(name, value);
            }
        }
    }

    /// `GET /rate_limit`, which costs nothing.
    pub(super) fn overview(&mut self, now: u64) -> Reply {
        let mut show = |resource| {
            let (limit, used, reset) = self.show(resource, now);
            serde_json::json!({
                "limit": limit, "used": used, "remaining": limit.saturating_sub(used), "reset": reset,
            })
        };
        let (core, graphql) = (show(Resource::Core), show(Resource::Graphql));
        Reply::json(200, serde_json::json!({"resources": {"core": core, "graphql": graphql}, "rate": core}).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_ends_and_comes_back() {
        let mut rate = Rate::new(2, Duration::from_secs(10));
        assert!(rate.take(Resource::Core, 100));
        assert!(rate.take(Resource::Core, 101));
        assert!(!rate.take(Resource::Core, 109));
        assert!(rate.take(Resource::Graphql, 109), "the budgets are apart");
        assert!(rate.take(Resource::Core, 110));
        rate.exhaust(Resource::Core, 110, 5);
        assert!(!rate.take(Resource::Core, 114));
        assert!(rate.take(Resource::Core, 115));
    }
}
