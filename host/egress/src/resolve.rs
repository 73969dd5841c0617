//! From a name to addresses. What comes out of here is a claim of someone else's server; [`crate::policy`] vets it.

use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// How long a lookup may take: the resolver library's own default is 5 s for each of two servers.
pub const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
/// The most addresses of one answer that are looked at. No provider we know has more than some dozen.
pub const MAX_ADDRESSES: usize = 64;

/// A name that has no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ResolveError(pub String);

/// Looks names up.
pub trait Resolve: Send + Sync {
    /// The addresses of a name, in the order in which they should be tried.
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>>;
}

/// The system's own resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>> {
        Box::pin(async move {
            // The port plays no part in a lookup.
            let found = tokio::time::timeout(LOOKUP_TIMEOUT, tokio::net::lookup_host((name, 0)))
                .await
                .map_err(|_| ResolveError(format!("no answer within {} s", LOOKUP_TIMEOUT.as_secs())))?
                .map_err(|e| ResolveError(e.to_string()))?;
            Ok(distinct(found.map(|socket| socket.ip())))
        })
    }
}

/// Addresses given by hand: `--resolve`, and tests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StaticResolver {
    names: BTreeMap<String, Vec<IpAddr>>,
}

/// Why a `--resolve` was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not NAME=ADDR[,ADDR] (`*` as the name stands for every name)")]
pub struct OverrideError(String);

impl StaticResolver {
    /// Reads `NAME=ADDR[,ADDR]` items; `*` stands for every name that has no item of its own. Items of one name add up.
    ///
    /// # Errors
    /// When an item has another form, or one of its addresses is none.
    pub fn parse<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> Result<Self, OverrideError> {
        let mut resolver = Self::default();
        for item in items {
            let item = item.as_ref();
            let refuse = || OverrideError(item.chars().take(120).collect());
            let (name, addresses) = item.split_once('=').ok_or_else(refuse)?;
            let name = name.trim();
            if name.is_empty() || addresses.trim().is_empty() {
                return Err(refuse());
            }
            for address in addresses.split(',') {
                let address = address.trim();
                let bare = address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(address);
                resolver.add(name, bare.parse().map_err(|_| refuse())?);
            }
        }
        Ok(resolver)
    }

    /// Adds an address to a name.
    pub fn add(&mut self, name: &str, address: IpAddr) {
        self.names.entry(key(name)).or_default().push(address);
    }

    /// The addresses given for a name, or for `*`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[IpAddr]> {
        self.names.get(&key(name)).or_else(|| self.names.get("*")).map(Vec::as_slice)
    }
}

impl Resolve for StaticResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>> {
        let found = match self.get(name) {
            Some(addresses) => Ok(distinct(addresses.iter().copied())),
            None => Err(ResolveError("no such name".to_owned())),
        };
        Box::pin(std::future::ready(found))
    }
}

fn key(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Each address once, in the order of its first appearance.
fn distinct(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut seen = BTreeSet::new();
    addresses.filter(|address| seen.insert(*address)).take(MAX_ADDRESSES).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn overrides_are_read_as_written() {
        let resolver = StaticResolver::parse(["Api.Example.=1.1.1.1,[2606:4700::1]", "*=10.0.0.1"]).unwrap();
        assert_eq!(resolver.get("api.example").unwrap().len(), 2);
        assert_eq!(resolver.get("API.EXAMPLE.").unwrap().len(), 2);
        assert_eq!(resolver.get("other").unwrap(), ["10.0.0.1".parse::<IpAddr>().unwrap()]);
        for bad in ["", "name", "=1.1.1.1", "name=", "name=1.1.1", "name=1.1.1.1,", "name:443:1.1.1.1"] {
            assert!(StaticResolver::parse([bad]).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_name_without_an_override_is_unknown() {
        let resolver = StaticResolver::parse(["a.example=1.1.1.1,1.1.1.1"]).unwrap();
        assert_eq!(resolver.resolve("a.example").await.unwrap().len(), 1);
        assert!(resolver.resolve("b.example").await.is_err());
    }
}
