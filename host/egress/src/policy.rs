//! Where a request may go. Two pure decisions, one before and one after the lookup, and between them the one lookup:
//!
//! 1. [`Policy::check`]: the URL. Parsed once, put together anew from its parts, so that what was looked at is what is
//!    sent.
//! 2. [`Policy::admit`]: the addresses of its host. The bad ones are dropped; only the rest may be dialled.
//!
//! [`locate`] ties them together. A run and `porthole egress check` both go through it.

use crate::address::{self, Refusal};
use crate::config::{EgressConfig, Endpoint, Exception, Reserved};
use crate::resolve::Resolve;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use url::{Host, Url};

/// Why a request may not go out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// Not a URL, or one that other readers would read differently.
    #[error("malformed URL: {0}")]
    Malformed(String),
    /// Neither `https` nor `http`.
    #[error("scheme `{0}` is not https")]
    Scheme(String),
    /// `user:password@` in front of the host.
    #[error("the URL carries user information")]
    Userinfo,
    /// No host.
    #[error("the URL has no host")]
    NoHost,
    /// A name that means this machine.
    #[error("`{0}` names this machine")]
    LocalName(String),
    /// A peer of the operator's own.
    #[error("`{0}` is the operator's key service, which no guest's request reaches")]
    Reserved(String),
    /// Port 0.
    #[error("port 0 can't be dialled")]
    Port,
    /// Every address was refused.
    #[error("{}", list(.0))]
    Addresses(Vec<Refused>),
    /// The name has no address. The lookup may work later.
    #[error("`{name}` has no address: {reason}")]
    Unresolved {
        /// The name.
        name: String,
        /// What the resolver said.
        reason: String,
    },
}

/// Why one address was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It isn't public.
    Special(Refusal),
    /// It is, but the request has no TLS.
    Cleartext(IpAddr),
    /// It is a peer of the operator's own.
    Reserved(IpAddr),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Special(refusal) => refusal.fmt(f),
            Self::Cleartext(address) => write!(f, "{address} is no operator exception, so it takes https"),
            Self::Reserved(address) => {
                write!(f, "{address} is the operator's key service, which no guest's request reaches")
            }
        }
    }
}

fn list(refused: &[Refused]) -> String {
    // Enough to understand the answer of a hostile name server; not as much as it may send.
    let shown: Vec<_> = refused.iter().take(4).map(ToString::to_string).collect();
    let more = if refused.len() > 4 { format!("; and {} more", refused.len() - 4) } else { String::new() };
    format!("{}{more}", shown.join("; "))
}

/// A URL that passed. What is sent is built from this and from nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    url: Url,
    host: Host<String>,
    port: u16,
    /// The provider's authority and the endpoint's text, when an operator mapped it.
    mapped: Option<(String, String)>,
}

impl Target {
    /// The URL to send.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Its host: a name in lower case without a final dot, or an address.
    #[must_use]
    pub fn host(&self) -> &Host<String> {
        &self.host
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Does it use TLS?
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The provider's `host[:port]`, when the operator mapped it to another endpoint.
    #[must_use]
    pub fn mapped_from(&self) -> Option<&str> {
        self.mapped.as_ref().map(|(authority, _)| authority.as_str())
    }

    /// The address, when the host is one.
    #[must_use]
    pub fn literal(&self) -> Option<IpAddr> {
        match self.host {
            Host::Ipv4(v4) => Some(v4.into()),
            Host::Ipv6(v6) => Some(v6.into()),
            Host::Domain(_) => None,
        }
    }
}

/// What may be dialled: at least one address, each with its reason, and what was dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// In the order of the lookup.
    pub sockets: Vec<SocketAddr>,
    /// Why the first may be dialled.
    pub reason: String,
    /// The addresses that may not.
    pub dropped: Vec<Refused>,
}

/// The rules of one operator.
#[derive(Debug, Clone)]
pub struct Policy {
    allow: Vec<Exception>,
    endpoints: Vec<Endpoint>,
    reserved: Vec<Reserved>,
}

impl Policy {
    /// Takes the exceptions and endpoints of a configuration.
    #[must_use]
    pub fn new(config: &EgressConfig) -> Self {
        let mut endpoints = config.endpoints.clone();
        endpoints.sort_by_key(Endpoint::precedence);
        Self { allow: config.allow.clone(), endpoints, reserved: config.reserved.clone() }
    }

    /// Checks a URL as text.
    ///
    /// # Errors
    /// When it isn't one that may go out, whatever its host's addresses are.
    pub fn check(&self, text: &str) -> Result<Target, Denial> {
        plain(text)?;
        let url = Url::parse(text).map_err(|e| Denial::Malformed(e.to_string()))?;
        self.check_url(&url)
    }

    /// Checks a URL that was parsed already.
    ///
    /// # Errors
    /// As [`Policy::check`].
    pub fn check_url(&self, url: &Url) -> Result<Target, Denial> {
        let target = self.locate_url(url)?;
        if self.reserved.iter().any(|reserved| reserved.is(&target.host, target.port)) {
            return Err(Denial::Reserved(target.host.to_string()));
        }
        Ok(target)
    }

    fn locate_url(&self, url: &Url) -> Result<Target, Denial> {
        let (url, host, port) = parts(url)?;
        let borrowed = borrow(&host);
        if let Some(endpoint) = self.endpoints.iter().find(|e| url.scheme() == "https" && e.maps(&borrowed, port)) {
            return mapped(endpoint, &url);
        }
        if let Host::Domain(name) = &host
            && (name == "localhost" || name.ends_with(".localhost"))
        {
            return Err(Denial::LocalName(name.clone()));
        }
        Ok(Target { url, host, port, mapped: None })
    }

    /// Vets every address that the target's host has.
    ///
    /// # Errors
    /// When none may be dialled; the denial says why for each.
    pub fn admit(&self, target: &Target, addresses: &[IpAddr]) -> Result<Admitted, Denial> {
        let (mut sockets, mut first, mut dropped) = (Vec::new(), None, Vec::new());
        for &address in addresses {
            match self.vet(target, address) {
                Ok(reason) => {
                    sockets.push(SocketAddr::new(address, target.port));
                    first.get_or_insert(reason);
                }
                Err(refused) => dropped.push(refused),
            }
        }
        match first {
            Some(reason) => Ok(Admitted { sockets, reason, dropped }),
            None if dropped.is_empty() => {
                Err(Denial::Unresolved { name: target.host.to_string(), reason: "the answer is empty".to_owned() })
            }
            None => Err(Denial::Addresses(dropped)),
        }
    }

    fn vet(&self, target: &Target, address: IpAddr) -> Result<String, Refused> {
        // Before every exception: a name of a guest's choice may lead here.
        if self.reserved.iter().any(|reserved| reserved.covers(SocketAddr::new(address, target.port))) {
            return Err(Refused::Reserved(address));
        }
        if let Some((provider, base)) = &target.mapped {
            return Ok(format!("endpoint of {provider}: {base}"));
        }
        let socket = SocketAddr::new(address, target.port);
        if let Some(exception) = self.allow.iter().find(|e| e.covers(socket)) {
            return Ok(format!("operator exception {exception}"));
        }
        if self.endpoints.iter().any(|e| e.socket() == Some(socket)) {
            return Ok(format!("operator endpoint {socket}"));
        }
        address::vet(address).map_err(Refused::Special)?;
        if target.is_secure() { Ok("public address".to_owned()) } else { Err(Refused::Cleartext(address)) }
    }
}

/// Finds what may be dialled for a target: the host itself when it is an address, else what the resolver says.
///
/// # Errors
/// When the lookup fails or no address is admitted.
pub async fn locate(policy: &Policy, resolver: &dyn Resolve, target: &Target) -> Result<Admitted, Denial> {
    let addresses = match &target.host {
        Host::Domain(name) => resolver
            .resolve(name)
            .await
            .map_err(|e| Denial::Unresolved { name: name.clone(), reason: e.to_string() })?,
        Host::Ipv4(v4) => vec![IpAddr::V4(*v4)],
        Host::Ipv6(v6) => vec![IpAddr::V6(*v6)],
    };
    policy.admit(target, &addresses)
}

/// Refuses texts that the URL standard reads generously and other readers differently: it drops tabs and newlines, turns
/// `\` into `/`, skips extra slashes and adds missing ones.
fn plain(text: &str) -> Result<(), Denial> {
    let malformed = |why: &str| Err(Denial::Malformed(why.to_owned()));
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return malformed("it contains white space or control characters");
    }
    if text.contains('\\') {
        return malformed("it contains a backslash");
    }
    let Some((scheme, rest)) = text.split_once(':') else { return malformed("it has no scheme") };
    if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
        return Err(Denial::Scheme(scheme.chars().take(40).collect()));
    }
    let Some(rest) = rest.strip_prefix("//") else { return Err(Denial::NoHost) };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority {
        "" => Err(Denial::NoHost),
        a if a.contains('@') => Err(Denial::Userinfo),
        _ => Ok(()),
    }
}

/// Takes a URL apart, checks each part, and puts together what will be sent.
fn parts(url: &Url) -> Result<(Url, Host<String>, u16), Denial> {
    if !matches!(url.scheme(), "https" | "http") {
        return Err(Denial::Scheme(url.scheme().to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Denial::Userinfo);
    }
    let host = url.host_str().ok_or(Denial::NoHost)?;
    // `example.com.` and `example.com` are the same machine; one spelling means one decision.
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.is_empty() {
        return Err(Denial::NoHost);
    }
    let mut text = format!("{}://{host}", url.scheme());
    if let Some(port) = url.port() {
        text.push_str(&format!(":{port}"));
    }
    text.push_str(url.path());
    if let Some(query) = url.query() {
        text.push('?');
        text.push_str(query);
    }
    let rebuilt = Url::parse(&text).map_err(|e| Denial::Malformed(e.to_string()))?;
    if rebuilt.as_str() != text {
        return Err(Denial::Malformed("it doesn't parse back to its parts".to_owned()));
    }
    let host = rebuilt.host().ok_or(Denial::NoHost)?.to_owned();
    if let Host::Domain(name) = &host
        && name.split('.').any(str::is_empty)
    {
        return Err(Denial::Malformed("the host has an empty label".to_owned()));
    }
    let port = rebuilt.port_or_known_default().filter(|port| *port != 0).ok_or(Denial::Port)?;
    Ok((rebuilt, host, port))
}

/// The same path and query at the operator's endpoint.
fn mapped(endpoint: &Endpoint, url: &Url) -> Result<Target, Denial> {
    let mut to = endpoint.base().clone();
    let path = format!("{}{}", to.path().trim_end_matches('/'), url.path());
    to.set_path(&path);
    to.set_query(url.query());
    let (to, host, port) = parts(&to)?;
    let provider = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    };
    let base = endpoint.base().as_str().trim_end_matches('/').to_owned();
    Ok(Target { url: to, host, port, mapped: Some((provider, base)) })
}

fn borrow(host: &Host<String>) -> Host<&str> {
    match host {
        Host::Domain(name) => Host::Domain(name),
        Host::Ipv4(v4) => Host::Ipv4(*v4),
        Host::Ipv6(v6) => Host::Ipv6(*v6),
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
