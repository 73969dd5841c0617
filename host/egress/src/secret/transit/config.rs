//! What an operator says about a transit key service, checked.

use crate::secret::SecretError;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use url::{Host, Url};

/// The mount that `vault secrets enable transit` makes.
pub const DEFAULT_MOUNT: &str = "transit";
/// The key's name when the operator says nothing else.
pub const DEFAULT_NAME: &str = "porthole";
/// The longest mount, name and namespace, in bytes each. They stand in URLs, headers and the ids of keys.
const MAX_PART_BYTES: usize = 128;

/// What an operator says about a transit key service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransitConfig {
    /// Where it is: `https://HOST[:PORT][/PREFIX]`; `http://` only on this machine.
    pub url: String,
    /// Where its transit engine is mounted; [`DEFAULT_MOUNT`].
    pub mount: String,
    /// The name of the key; [`DEFAULT_NAME`].
    pub name: String,
    /// The namespace, where the service has any.
    pub namespace: Option<String>,
    /// The file with the token, readable by its owner alone. It is read again when it changes.
    pub token_file: PathBuf,
}

/// The same, accepted.
pub(super) struct Place {
    /// The URL up to and without `/v1`.
    pub(super) base: Url,
    pub(super) mount: String,
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    pub(super) token_file: PathBuf,
    /// Where `localhost` is, whatever the resolver would say.
    pub(super) pinned: Vec<SocketAddr>,
}

impl Place {
    pub(super) fn new(config: TransitConfig) -> Result<Self, SecretError> {
        let refuse = |setting, rule| SecretError::KeySetting { setting, rule };
        let base = Url::parse(&config.url).map_err(|_| refuse("url", "is no URL"))?;
        if !base.username().is_empty() || base.password().is_some() {
            return Err(refuse("url", "may not hold a user or a password; the token is in `token-file`"));
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(refuse("url", "may not have a query or a fragment"));
        }
        if base.path().trim_end_matches('/').ends_with("/v1") {
            return Err(refuse("url", "ends before `/v1`"));
        }
        let pinned = match base.scheme() {
            "https" => Vec::new(),
            "http" => {
                loopback(&base).ok_or_else(|| refuse("url", "has to be https: tenants' keys and a token go there"))?
            }
            _ => return Err(refuse("url", "has to be https")),
        };
        if !config.mount.split('/').all(is_segment) {
            return Err(refuse("mount", "may hold letters, digits, `_`, `-`, `.` and, between them, `/`"));
        }
        if !is_segment(&config.name) {
            return Err(refuse("name", "may hold letters, digits, `_`, `-` and `.`"));
        }
        if config.namespace.as_ref().is_some_and(|n| !n.trim_end_matches('/').split('/').all(is_segment)) {
            return Err(refuse("namespace", "may hold letters, digits, `_`, `-`, `.` and, between them, `/`"));
        }
        let TransitConfig { mount, name, namespace, token_file, .. } = config;
        Ok(Self { base, mount, name, namespace, token_file, pinned })
    }

    /// The URL of an operation on the key: `encrypt/NAME`, `keys/NAME/rotate`.
    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/v1/{}/{path}", self.base.path().trim_end_matches('/'), self.mount));
        url
    }

    /// `transit/porthole`: how ids of keys begin.
    pub(super) fn key(&self) -> String {
        format!("{}/{}", self.mount, self.name)
    }
}

/// A name of Vault's: what its own routes accept, without anything that a URL could read otherwise.
fn is_segment(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    let dots = text.bytes().all(|b| b == b'.');
    !text.is_empty() && text.len() <= MAX_PART_BYTES && text.bytes().all(inner) && !dots
}

/// The addresses of a URL that stays on this machine; empty when its host is one. None when it leaves it.
fn loopback(url: &Url) -> Option<Vec<SocketAddr>> {
    let port = url.port_or_known_default()?;
    match url.host()? {
        Host::Ipv4(v4) if v4.is_loopback() => Some(Vec::new()),
        Host::Ipv6(v6) if v6.is_loopback() => Some(Vec::new()),
        Host::Domain("localhost") => Some(vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn config(url: &str) -> TransitConfig {
        TransitConfig {
            url: url.to_owned(),
            mount: DEFAULT_MOUNT.to_owned(),
            name: DEFAULT_NAME.to_owned(),
            namespace: None,
            token_file: PathBuf::from("token"),
        }
    }

    #[test]
    fn urls_are_https_or_stay_on_this_machine() {
        for url in ["https://vault.example", "https://10.1.2.3:8200/", "http://127.0.0.1:8200", "http://[::1]:8200"] {
            assert!(Place::new(config(url)).is_ok(), "{url}");
        }
        let pinned = Place::new(config("http://localhost:8200")).map(|place| place.pinned).unwrap_or_default();
        assert!(pinned.len() == 2 && pinned.iter().all(|a| a.ip().is_loopback() && a.port() == 8200));
        for url in [
            "http://vault.example:8200",
            "http://10.1.2.3:8200",
            "http://localhost.example",
            "http://127.0.0.1.example",
            "ftp://127.0.0.1",
            "https://user:pw@vault.example",
            "https://vault.example/?a",
            "https://vault.example/v1/",
            "vault",
        ] {
            assert!(matches!(Place::new(config(url)), Err(SecretError::KeySetting { setting: "url", .. })), "{url}");
        }
    }

    #[test]
    fn parts_of_paths_are_what_vault_accepts() {
        let place = Place::new(TransitConfig { mount: "a/b-c".to_owned(), ..config("https://h/prefix/") }).unwrap();
        assert_eq!(place.url("encrypt/porthole").as_str(), "https://h/prefix/v1/a/b-c/encrypt/porthole");
        assert_eq!(place.key(), "a/b-c/porthole");
        for bad in ["", "a//b", "/a", "a/", "..", "a/../b", "a b", "a?b", "a%2fb", "\u{e4}"] {
            assert!(Place::new(TransitConfig { mount: bad.to_owned(), ..config("https://h") }).is_err(), "{bad}");
            assert!(Place::new(TransitConfig { name: bad.to_owned(), ..config("https://h") }).is_err(), "{bad}");
        }
        assert!(Place::new(TransitConfig { name: "a/b".to_owned(), ..config("https://h") }).is_err());
        let namespace = |n: &str| Place::new(TransitConfig { namespace: Some(n.to_owned()), ..config("https://h") });
        assert!(namespace("team/a/").is_ok() && namespace("team\r\nx: y").is_err());
    }
}
