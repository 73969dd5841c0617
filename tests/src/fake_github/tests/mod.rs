//! The fake has to be right before anything can be measured with it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod auth;
mod faults;
mod graphql;
mod oracle;
mod paging;

use super::{Builder, FakeGithub};
use crate::raw_http::{Answer, send};
use serde_json::Value;

async fn start(builder: Builder) -> FakeGithub {
    builder.start().await.unwrap()
}

impl FakeGithub {
    /// A request with the token and a name, as a decent client sends it.
    async fn ask(&self, method: &str, target: &str, body: &[u8]) -> Option<Answer> {
        let authorization = format!("Bearer {}", self.token());
        send(self.addr(), method, target, &[("authorization", &authorization), ("user-agent", "tests")], body).await
    }

    async fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, b"").await.unwrap_or_else(|| panic!("no answer to {target}"))
    }

    /// Follows `next` from the first page on.
    async fn walk(&self, target: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut next = Some(target.to_owned());
        while let Some(target) = next {
            let page = self.get(&target).await;
            assert_eq!(page.status, 200, "{target}: {}", String::from_utf8_lossy(&page.body));
            items.extend(page.json().as_array().unwrap().iter().cloned());
            next = page.link("next").map(|url| url.strip_prefix(&self.url()).unwrap().to_owned());
        }
        items
    }

    async fn graphql(&self, query: &str, variables: Value) -> Value {
        let body = serde_json::json!({"query": query, "variables": variables}).to_string();
        let answer = self.ask("POST", "/graphql", body.as_bytes()).await.unwrap();
        assert_eq!(answer.status, 200);
        answer.json()
    }
}
