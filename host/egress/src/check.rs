//! `porthole egress check`: what would happen to a URL, without opening a connection. It asks the very functions that a
//! run asks.

use crate::config::EgressConfig;
use crate::policy::{Admitted, Denial, Policy, Target, locate};
use crate::resolve::{Resolve, ResolveError, StaticResolver};
use futures_util::future::BoxFuture;
use serde::Serialize;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Answers for URLs.
pub struct Checker {
    policy: Policy,
    resolver: Overridden,
}

/// The overrides first; DNS for names that have none.
struct Overridden {
    overrides: StaticResolver,
    fallback: Arc<dyn Resolve>,
}

impl Resolve for Overridden {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>> {
        match self.overrides.get(name) {
            Some(_) => self.overrides.resolve(name),
            None => self.fallback.resolve(name),
        }
    }
}

/// The two verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// It would be sent.
    Allow,
    /// It would not.
    Deny,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        })
    }
}

/// The answer for one URL. Prints as `allow`, TAB, the address, TAB, the reason; with `-` for no address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckLine {
    /// The verdict.
    pub verdict: Decision,
    /// The address that would be dialled first.
    pub address: Option<IpAddr>,
    /// The port that would be dialled.
    pub port: Option<u16>,
    /// Why, on one line.
    pub reason: String,
    /// The URL as it was given.
    pub url: String,
}

impl fmt::Display for CheckLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "{}\t{address}\t{}", self.verdict, self.reason),
            None => write!(f, "{}\t-\t{}", self.verdict, self.reason),
        }
    }
}

impl Checker {
    /// A checker with a run's configuration, overrides (`--resolve`) and the resolver for all other names.
    #[must_use]
    pub fn new(config: &EgressConfig, overrides: StaticResolver, fallback: Arc<dyn Resolve>) -> Self {
        Self { policy: Policy::new(config), resolver: Overridden { overrides, fallback } }
    }

    /// What would happen to this URL.
    pub async fn check(&self, url: &str) -> CheckLine {
        match self.decide(url).await {
            Ok((target, admitted)) => CheckLine {
                verdict: Decision::Allow,
                address: admitted.sockets.first().map(std::net::SocketAddr::ip),
                port: Some(target.port()),
                reason: one_line(&reason(&admitted)),
                url: url.to_owned(),
            },
            Err(denial) => CheckLine {
                verdict: Decision::Deny,
                address: None,
                port: None,
                reason: one_line(&denial.to_string()),
                url: url.to_owned(),
            },
        }
    }

    async fn decide(&self, url: &str) -> Result<(Target, Admitted), Denial> {
        let target = self.policy.check(url)?;
        let admitted = locate(&self.policy, &self.resolver, &target).await?;
        Ok((target, admitted))
    }
}

fn reason(admitted: &Admitted) -> String {
    let dropped = admitted.dropped.iter().map(|refused| format!("; dropped: {refused}"));
    std::iter::once(admitted.reason.clone()).chain(dropped).collect()
}

/// A reason quotes hostile text; a line of output stays a line.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    async fn line(url: &str, overrides: &[&str]) -> String {
        let config = EgressConfig { allow: vec!["127.0.0.1:9000".parse().unwrap()], ..EgressConfig::default() };
        let fallback = Arc::new(StaticResolver::default());
        let checker = Checker::new(&config, StaticResolver::parse(overrides).unwrap(), fallback);
        checker.check(url).await.to_string()
    }

    #[tokio::test]
    async fn lines_have_three_fields() {
        assert_eq!(line("https://a.example/", &["a.example=1.1.1.1"]).await, "allow\t1.1.1.1\tpublic address");
        assert_eq!(line("https://a.example/", &["*=2606:4700::1111"]).await, "allow\t2606:4700::1111\tpublic address");
        assert_eq!(line("http://127.0.0.1:9000/", &[]).await, "allow\t127.0.0.1\toperator exception 127.0.0.1:9000");
        assert_eq!(
            line("https://a.example/", &["*=10.0.0.1,1.1.1.1"]).await,
            "allow\t1.1.1.1\tpublic address; dropped: 10.0.0.1 is in 10.0.0.0/8: private network (RFC 1918)"
        );
        assert_eq!(
            line("https://a.example/", &["*=10.0.0.1"]).await,
            "deny\t-\t10.0.0.1 is in 10.0.0.0/8: private network (RFC 1918)"
        );
        assert_eq!(line("https://a.example/", &[]).await, "deny\t-\t`a.example` has no address: no such name");
        assert_eq!(line("x\ty\n://", &[]).await.split('\t').count(), 3);
    }

    #[tokio::test]
    async fn an_override_is_for_names_only() {
        assert!(line("https://127.0.0.1/", &["*=1.1.1.1"]).await.starts_with("deny\t-\t"));
    }

    #[tokio::test]
    async fn scripts_get_the_same_answer() {
        let checker =
            Checker::new(&EgressConfig::default(), StaticResolver::default(), Arc::new(StaticResolver::default()));
        let json = serde_json::to_value(checker.check("https://1.1.1.1/x").await).unwrap();
        assert_eq!(json["verdict"], "allow");
        assert_eq!(json["address"], "1.1.1.1");
        assert_eq!(json["port"], 443);
        assert_eq!(json["url"], "https://1.1.1.1/x");
    }
}
