//! What an operator sets: exceptions to the address rules, and endpoints that stand in for a provider's host. Both widen
//! what may be dialled, so both are printed in every run record.

use crate::address;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use url::{Host, Url};

/// What Porthole calls itself when the operator says nothing else.
pub const USER_AGENT: &str = concat!("porthole/", env!("CARGO_PKG_VERSION"));

/// The part of `porthole.toml` that concerns outbound traffic. Other tables of the file are ignored here.
///
/// ```toml
/// [egress]
/// allow = ["127.0.0.1:9000", "10.1.0.0/16:443"]
///
/// [endpoints]
/// "api.provider.example" = "http://127.0.0.1:9000"
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Tables")]
pub struct EgressConfig {
    /// Addresses that may be dialled although the rules refuse them, and without TLS.
    pub allow: Vec<Exception>,
    /// Other places for a provider's host, for development.
    pub endpoints: Vec<Endpoint>,
    /// The `user-agent` of every request.
    pub user_agent: String,
    /// Peers of the operator's own, such as the key service: no guest's request goes there, whatever it is mapped to and
    /// whatever is allowed. Not from these tables; whoever configures such a peer adds it.
    pub reserved: Vec<Reserved>,
}

/// A host and port that no guest's request reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserved {
    host: Host<String>,
    port: u16,
}

impl Reserved {
    /// The host and port of a URL. None when it has none.
    #[must_use]
    pub fn of(url: &Url) -> Option<Self> {
        Some(Self { host: url.host()?.to_owned(), port: url.port_or_known_default()? })
    }

    /// Is it this host and port?
    #[must_use]
    pub fn is(&self, host: &Host<String>, port: u16) -> bool {
        let same = match (&self.host, host) {
            (Host::Domain(a), Host::Domain(b)) => a.trim_end_matches('.').eq_ignore_ascii_case(b),
            (a, b) => a == b,
        };
        same && self.port == port
    }

    /// Is it this address? A name is known by its name alone; `localhost` is every address of this machine's own.
    #[must_use]
    pub fn covers(&self, socket: SocketAddr) -> bool {
        let same = match &self.host {
            Host::Ipv4(v4) => socket.ip().to_canonical() == IpAddr::V4(*v4),
            Host::Ipv6(v6) => socket.ip().to_canonical() == IpAddr::V6(*v6).to_canonical(),
            Host::Domain(name) => name == "localhost" && socket.ip().to_canonical().is_loopback(),
        };
        same && self.port == socket.port()
    }
}

impl Default for EgressConfig {
    fn default() -> Self {
        Self { allow: Vec::new(), endpoints: Vec::new(), user_agent: USER_AGENT.to_owned(), reserved: Vec::new() }
    }
}

impl EgressConfig {
    /// Every widening as a line of text, for the run record.
    #[must_use]
    pub fn exceptions(&self) -> Vec<String> {
        let allow = self.allow.iter().map(|exception| format!("allow {exception}"));
        allow.chain(self.endpoints.iter().map(|endpoint| format!("endpoint {endpoint}"))).collect()
    }
}

#[derive(Deserialize)]
struct Tables {
    #[serde(default)]
    egress: EgressTable,
    #[serde(default)]
    endpoints: Endpoints,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct EgressTable {
    #[serde(default)]
    allow: Vec<Exception>,
    user_agent: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>")]
struct Endpoints(Vec<Endpoint>);

impl TryFrom<BTreeMap<String, String>> for Endpoints {
    type Error = ConfigError;
    fn try_from(table: BTreeMap<String, String>) -> Result<Self, ConfigError> {
        table.iter().map(|(host, base)| Endpoint::new(host, base)).collect::<Result<_, _>>().map(Self)
    }
}

impl From<Tables> for EgressConfig {
    fn from(tables: Tables) -> Self {
        let user_agent = tables.egress.user_agent.unwrap_or_else(|| USER_AGENT.to_owned());
        Self { allow: tables.egress.allow, endpoints: tables.endpoints.0, user_agent, reserved: Vec::new() }
    }
}

/// Why a setting was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No address or range.
    #[error(
        "`{0}` is no exception; write IP, IP:PORT, CIDR or CIDR:PORT, such as `127.0.0.1:9000` or `10.1.0.0/16:443`"
    )]
    Exception(String),
    /// The part that names the provider's host.
    #[error("`{0}` is no host; write HOST or HOST:PORT, such as `api.provider.example`")]
    Host(String),
    /// The part that says where to go instead.
    #[error("`{0}` is no endpoint; write http:// or https://, a host and perhaps a port and a path")]
    Base(String),
}

/// Addresses that an operator lets through: an address or a range, on one port or on all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Exception {
    net: IpNet,
    port: Option<u16>,
}

impl Exception {
    /// Does it let this address through on this port? A range never opens a cloud's metadata address, because nobody who
    /// writes `169.254.0.0/16` or `0.0.0.0/0` means to hand out the machine's own credentials; name the address alone.
    #[must_use]
    pub fn covers(&self, socket: SocketAddr) -> bool {
        let address = socket.ip();
        let alone = self.net.prefix_len() == self.net.max_prefix_len();
        let port_fits = self.port.is_none_or(|port| port == socket.port());
        port_fits && self.net.contains(&address) && (alone || !address::is_metadata(address))
    }
}

impl FromStr for Exception {
    type Err = ConfigError;
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        // A bare IPv6 address is full of colons, so the whole text is tried first, then `[…]` and then the last colon.
        if let Some(net) = net(text) {
            return Ok(Self { net, port: None });
        }
        let refuse = || ConfigError::Exception(text.chars().take(80).collect());
        let (before, port) = text.rsplit_once(':').ok_or_else(refuse)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(refuse)?;
        // `::1:80` would be an address with a port or a longer address; brackets say which.
        if before.contains(':') && !before.starts_with('[') {
            return Err(refuse());
        }
        Ok(Self { net: net(before).ok_or_else(refuse)?, port: Some(port) })
    }
}

fn net(text: &str) -> Option<IpNet> {
    // `[2001:db8::1]`, `[2001:db8::]/32` and `[2001:db8::/32]` are all met.
    let bare = match text.strip_prefix('[') {
        Some(rest) => {
            let (inside, after) = rest.split_once(']')?;
            let prefix = after.is_empty() || after.starts_with('/');
            prefix.then(|| format!("{inside}{after}"))?
        }
        None => text.to_owned(),
    };
    bare.parse::<IpNet>().ok().or_else(|| bare.parse::<IpAddr>().ok().map(IpNet::from)).map(|net| net.trunc())
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alone = self.net.prefix_len() == self.net.max_prefix_len();
        let net = if alone { self.net.addr().to_string() } else { self.net.to_string() };
        match (self.port, self.net) {
            (None, _) => f.write_str(&net),
            (Some(port), IpNet::V4(_)) => write!(f, "{net}:{port}"),
            (Some(port), IpNet::V6(_)) => write!(f, "[{net}]:{port}"),
        }
    }
}

impl TryFrom<String> for Exception {
    type Error = ConfigError;
    fn try_from(text: String) -> Result<Self, ConfigError> {
        text.parse()
    }
}

impl From<Exception> for String {
    fn from(exception: Exception) -> String {
        exception.to_string()
    }
}

/// Another place for a provider's host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: Host<String>,
    port: Option<u16>,
    base: Url,
}

impl Endpoint {
    /// Sends what is meant for `host` (or `host:port`) to the base URL; the request's path is added to the base's.
    ///
    /// # Errors
    /// When the host is none, or the base isn't an `http` or `https` URL without user, query and fragment.
    pub fn new(host: &str, base: &str) -> Result<Self, ConfigError> {
        let (provider, port) = provider(host).ok_or_else(|| ConfigError::Host(host.chars().take(80).collect()))?;
        let refuse = || ConfigError::Base(base.chars().take(80).collect());
        let base = Url::parse(base).map_err(|_| refuse())?;
        let plain = base.username().is_empty() && base.password().is_none();
        let bare = base.query().is_none() && base.fragment().is_none();
        if !matches!(base.scheme(), "http" | "https") || !plain || !bare || base.port() == Some(0) {
            return Err(refuse());
        }
        Ok(Self { host: provider, port, base })
    }

    /// Is this where the provider's host and port are mapped? Without a port it maps the port of `https` alone. `*.` at the
    /// beginning of its host stands for one or more labels.
    #[must_use]
    pub fn maps(&self, host: &Host<&str>, port: u16) -> bool {
        if self.port.unwrap_or(443) != port {
            return false;
        }
        match (self.domain(), host) {
            (Some(domain), Host::Domain(name)) => {
                let name = name.to_ascii_lowercase();
                name.strip_suffix(&domain).is_some_and(|labels| labels.len() > 1 && labels.ends_with('.'))
            }
            (Some(_), _) => false,
            (None, host) => self.host.to_string().eq_ignore_ascii_case(&host.to_string()),
        }
    }

    /// The domain whose hosts it maps, when it begins with `*.`.
    fn domain(&self) -> Option<String> {
        self.host.to_string().strip_prefix("*.").map(str::to_ascii_lowercase)
    }

    /// How narrow it is: an exact host before domains, a longer domain before a shorter one.
    #[must_use]
    pub fn precedence(&self) -> usize {
        self.domain().map_or(0, |domain| usize::MAX - domain.len())
    }

    /// Where requests go instead.
    #[must_use]
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// The socket address of the base, when its host is an address.
    #[must_use]
    pub fn socket(&self) -> Option<SocketAddr> {
        let address = match self.base.host()? {
            Host::Ipv4(v4) => IpAddr::V4(v4),
            Host::Ipv6(v6) => IpAddr::V6(v6),
            Host::Domain(_) => return None,
        };
        Some(SocketAddr::new(address, self.base.port_or_known_default()?))
    }
}

/// Reads HOST or HOST:PORT through the one URL parser.
fn provider(text: &str) -> Option<(Host<String>, Option<u16>)> {
    if text.contains(['/', '@', '?', '#', '\\']) || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return None;
    }
    // A scheme without a default port keeps `:443` visible.
    let url = Url::parse(&format!("https://{}/", text.strip_suffix('.').unwrap_or(text))).ok()?;
    Some((url.host()?.to_owned(), url.port()))
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, " -> {}", self.base.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn covers(exception: &str, socket: &str) -> bool {
        exception.parse::<Exception>().unwrap().covers(socket.parse().unwrap())
    }

    #[test]
    fn exceptions_cover_what_they_say_and_no_more() {
        assert!(covers("127.0.0.1:9000", "127.0.0.1:9000"));
        assert!(!covers("127.0.0.1:9000", "127.0.0.1:9001"));
        assert!(!covers("127.0.0.1:9000", "127.0.0.2:9000"));
        assert!(!covers("127.0.0.1:9000", "[::ffff:127.0.0.1]:9000"));
        assert!(covers("127.0.0.1", "127.0.0.1:1"));
        assert!(covers("10.1.0.0/16:443", "10.1.255.3:443"));
        assert!(!covers("10.1.0.0/16:443", "10.2.0.0:443"));
        assert!(covers("::1", "[::1]:80"));
        assert!(covers("[::1]:80", "[::1]:80"));
        assert!(covers("[fd00::]/8:443", "[fd12::1]:443"));
        assert!(!covers("169.254.0.0/16", "169.254.169.254:80"));
        assert!(covers("169.254.169.254:80", "169.254.169.254:80"));
    }

    #[test]
    fn exceptions_are_printed_as_they_are_read() {
        for text in
            ["127.0.0.1:9000", "127.0.0.1", "10.1.0.0/16:443", "10.1.0.0/16", "::1", "[::1]:80", "[fd00::/8]:443"]
        {
            assert_eq!(text.parse::<Exception>().unwrap().to_string(), text);
        }
        for text in ["", "localhost:9000", "127.0.0.1:0", "127.0.0.1:99999", "10.0.0.0/33", "1.2.3", "[::1", "::1:x"] {
            assert!(text.parse::<Exception>().is_err(), "{text}");
        }
    }

    #[test]
    fn endpoints_map_a_host_and_its_port() {
        let endpoint = Endpoint::new("Api.Example.", "http://127.0.0.1:9000").unwrap();
        assert!(endpoint.maps(&Host::Domain("api.example"), 443));
        assert!(!endpoint.maps(&Host::Domain("api.example"), 8443));
        assert!(!endpoint.maps(&Host::Domain("other.example"), 443));
        assert_eq!(endpoint.to_string(), "api.example -> http://127.0.0.1:9000");
        assert!(
            Endpoint::new("api.example:8443", "http://[::1]:1/x").unwrap().maps(&Host::Domain("api.example"), 8443)
        );
        for (host, base) in [("a/b", "http://x"), ("", "http://x"), ("a", "ftp://x"), ("a", "http://u@x"), ("a", "x")] {
            assert!(Endpoint::new(host, base).is_err(), "{host} {base}");
        }
    }

    #[test]
    fn the_file_is_read_and_other_tables_are_left_alone() {
        let file = serde_json::json!({
            "egress": { "allow": ["127.0.0.1:9000"] },
            "endpoints": { "api.example": "http://127.0.0.1:9000" },
            "database": { "url": "x" },
        });
        let config: EgressConfig = serde_json::from_value(file).unwrap();
        assert_eq!(config.exceptions(), ["allow 127.0.0.1:9000", "endpoint api.example -> http://127.0.0.1:9000"]);
        assert_eq!(config.user_agent, USER_AGENT);
        assert!(
            serde_json::from_value::<EgressConfig>(serde_json::json!({"egress": {"allow": ["localhost"]}})).is_err()
        );
        let empty: EgressConfig = serde_json::from_value(serde_json::json!({})).unwrap();
        assert_eq!(empty, EgressConfig::default());
    }
}
