//! The key-encryption key in a key service over HTTP that speaks the transit API of HashiCorp Vault and OpenBao:
//! <https://developer.hashicorp.com/vault/api-docs/secret/transit>.
//!
//! The key has to be one with **derivation**: `vault write -f transit/keys/porthole type=aes256-gcm96 derived=true`. Each
//! request carries the tenant as `context`, from which the service derives the key that it really uses; so one tenant's
//! wrapped key doesn't open as another's, whoever asks. `associated_data` would bind as well, but `rewrap` has no such
//! parameter, and without `rewrap` every rotation would bring all tenants' keys here in the clear. A key without
//! derivation ignores the context in silence, so what kind of key it is is asked first.
//!
//! The token's policy needs `update` on `MOUNT/encrypt/NAME`, `MOUNT/decrypt/NAME`, `MOUNT/rewrap/NAME` and `read` on
//! `MOUNT/keys/NAME`; who runs `porthole key rotate` and `retire` needs `update` on `MOUNT/keys/NAME/rotate` and
//! `MOUNT/keys/NAME/config` too.

mod config;
mod http;

pub use config::{DEFAULT_MOUNT, DEFAULT_NAME, TransitConfig};

use super::cache::KeyCache;
use super::error::{KeyServiceFault, SecretError};
use super::json;
use super::key::{KeyContext, KeyPort, KeyRing, TenantKey, WrappedKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use config::Place;
use futures_util::future::BoxFuture;
use http::{Ask, Service};
use std::fmt;
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

/// Kinds of keys that wrap with 256 bits and authenticate what they wrap.
const KINDS: [&str; 3] = ["aes256-gcm96", "chacha20-poly1305", "xchacha20-poly1305"];
/// The longest wrapped key, in bytes: 32 bytes with nonce and tag in base64 have about 100.
const MAX_WRAPPED_BYTES: usize = 512;
/// How ids that this API gives begin.
const PREFIX: &str = "vault:v";

/// A key-encryption key that a transit service keeps.
pub struct Transit {
    service: Service,
    /// The key has been found fit. A key can't be changed into an unfit one.
    fit: OnceCell<()>,
    cache: KeyCache,
}

/// What the service tells about a key, as far as it matters here.
#[derive(serde::Deserialize)]
struct KeyInfo {
    #[serde(rename = "type")]
    kind: String,
    derived: bool,
    latest_version: u32,
    #[serde(default)]
    min_decryption_version: u32,
    #[serde(default)]
    min_available_version: u32,
}

impl Transit {
    /// A key service. It isn't asked anything yet.
    ///
    /// # Errors
    /// When the settings can't be used, or TLS can't be set up.
    pub fn new(config: TransitConfig) -> Result<Self, SecretError> {
        let service = Service::new(Place::new(config)?)?;
        Ok(Self { service, fit: OnceCell::new(), cache: KeyCache::default() })
    }

    /// The id of one version of the key: `transit/porthole:v3`.
    fn id(&self, version: u32) -> String {
        format!("{}:v{version}", self.service.place.key())
    }

    /// The version that an id names. None when it is another key's.
    fn version(&self, key_id: &str) -> Option<u32> {
        key_id.strip_prefix(&self.service.place.key())?.strip_prefix(":v")?.parse().ok()
    }

    async fn info(&self, what: &'static str) -> Result<KeyInfo, SecretError> {
        let path = format!("keys/{}", self.service.place.name);
        let ask = Ask { what, path: &path, capability: "read", body: None, is_idempotent: true };
        let text = self.service.ask(ask).await?;
        let malformed = || self.service.failed(what, KeyServiceFault::Malformed("it doesn't describe a key"));
        let info: KeyInfo =
            serde_json::from_str(json::pointer(&text, "/data").ok_or_else(malformed)?).map_err(|_| malformed())?;
        let rule = if !KINDS.contains(&info.kind.as_str()) {
            "is of a type that doesn't wrap with 256 bits and authenticate what it wraps"
        } else if !info.derived {
            "has no derivation, so it wouldn't tell tenants apart"
        } else if info.latest_version == 0 {
            "has no version"
        } else {
            return Ok(info);
        };
        let fault = KeyServiceFault::UnfitKey { rule, create: self.service.create() };
        Err(self.service.failed(what, fault))
    }

    async fn check(&self, what: &'static str) -> Result<(), SecretError> {
        self.fit.get_or_try_init(|| async { self.info(what).await.map(drop) }).await.map(drop)
    }

    /// Asks for an operation that takes one value and gives one back.
    async fn convert(
        &self,
        what: &'static str,
        verb: &str,
        (field, value): (&str, &str),
        context: &KeyContext,
        wanted: &str,
    ) -> Result<Zeroizing<String>, SecretError> {
        self.check(what).await?;
        let context = STANDARD.encode(context.to_bytes());
        // All of it is base64 or `vault:v1:` with base64: nothing has to be escaped.
        let parts = ["{\"", field, "\":\"", value, "\",\"context\":\"", &context, "\"}"];
        let mut body = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
        parts.iter().for_each(|part| body.extend_from_slice(part.as_bytes()));
        let path = format!("{verb}/{}", self.service.place.name);
        let ask = Ask { what, path: &path, capability: "update", body: Some(body), is_idempotent: true };
        let text = self.service.ask(ask).await?;
        let found = json::pointer(&text, wanted).and_then(json::string);
        found.ok_or_else(|| self.service.failed(what, KeyServiceFault::Malformed("the value is missing")))
    }

    /// `vault:v3:…` as a wrapped key.
    fn accept(&self, what: &'static str, ciphertext: &str) -> Result<WrappedKey, SecretError> {
        let malformed = || self.service.failed(what, KeyServiceFault::Malformed("the wrapped key has another form"));
        let version = version_of(ciphertext).ok_or_else(malformed)?;
        Ok(WrappedKey { key_id: self.id(version), bytes: ciphertext.as_bytes().to_vec() })
    }

    /// The text of what [`Transit::accept`] took. Its version has to be the one of its id: retiring goes by the id.
    fn ciphertext<'w>(&self, wrapped: &'w WrappedKey) -> Result<&'w str, SecretError> {
        let text = std::str::from_utf8(&wrapped.bytes).map_err(|_| SecretError::Open("tenant key"))?;
        let version = self.version(&wrapped.key_id).ok_or_else(|| SecretError::UnknownKey {
            wanted: super::cut(&wrapped.key_id, 64),
            known: format!("versions of {}", self.service.place.key()),
        })?;
        if version_of(text) == Some(version) { Ok(text) } else { Err(SecretError::Open("tenant key")) }
    }

    async fn wrap_with(&self, key: &TenantKey, context: &KeyContext) -> Result<WrappedKey, SecretError> {
        const WHAT: &str = "wrap a tenant key";
        let plaintext = Zeroizing::new(STANDARD.encode(**key.bytes()));
        let made = self.convert(WHAT, "encrypt", ("plaintext", &plaintext), context, "/data/ciphertext").await?;
        self.accept(WHAT, &made)
    }

    async fn unwrap_with(&self, wrapped: &WrappedKey, context: &KeyContext) -> Result<TenantKey, SecretError> {
        const WHAT: &str = "unwrap a tenant key";
        if let Some(key) = self.cache.get(wrapped, context) {
            return Ok(key);
        }
        let ciphertext = self.ciphertext(wrapped)?;
        let text = self.convert(WHAT, "decrypt", ("ciphertext", ciphertext), context, "/data/plaintext").await?;
        // Room for a key and for what the decoder wants beside it; anything longer is no key.
        let mut bytes = Zeroizing::new([0; 64]);
        let length = STANDARD.decode_slice(text.as_bytes(), &mut *bytes).unwrap_or(0);
        let key = bytes.get(..length).and_then(TenantKey::from_slice);
        let key =
            key.ok_or_else(|| self.service.failed(WHAT, KeyServiceFault::Malformed("it is no key of 32 bytes")))?;
        self.cache.put(wrapped, context, &key);
        Ok(key)
    }

    async fn rewrap_with(&self, wrapped: &WrappedKey, context: &KeyContext) -> Result<WrappedKey, SecretError> {
        const WHAT: &str = "re-wrap a tenant key";
        let ciphertext = self.ciphertext(wrapped)?;
        let made = self.convert(WHAT, "rewrap", ("ciphertext", ciphertext), context, "/data/ciphertext").await?;
        self.accept(WHAT, &made)
    }

    async fn rotate_key(&self) -> Result<String, SecretError> {
        const WHAT: &str = "make a new version of the key";
        self.check(WHAT).await?;
        let path = format!("keys/{}/rotate", self.service.place.name);
        let body = Some(Zeroizing::new(b"{}".to_vec()));
        self.service.ask(Ask { what: WHAT, path: &path, capability: "update", body, is_idempotent: false }).await?;
        Ok(self.id(self.info(WHAT).await?.latest_version))
    }

    /// Raises the lowest version that the service still decrypts. The older ones can be destroyed with `trim` then; until
    /// that is done, an administrator of the service can lower it again.
    async fn retire_version(&self, key_id: &str) -> Result<(), SecretError> {
        const WHAT: &str = "retire a version of the key";
        let unknown = || SecretError::UnknownKey { wanted: super::cut(key_id, 64), known: self.service.place.key() };
        let version = self.version(key_id).ok_or_else(unknown)?;
        let info = self.info(WHAT).await?;
        if version >= info.latest_version {
            return Err(SecretError::CurrentKey(key_id.to_owned()));
        }
        let path = format!("keys/{}/config", self.service.place.name);
        let body = format!("{{\"min_decryption_version\":{}}}", version + 1);
        let body = Some(Zeroizing::new(body.into_bytes()));
        self.service
            .ask(Ask { what: WHAT, path: &path, capability: "update", body, is_idempotent: true })
            .await
            .map(drop)
    }
}

/// The version of `vault:v3:…`, if that is what it is.
fn version_of(ciphertext: &str) -> Option<u32> {
    let (version, rest) = ciphertext.strip_prefix(PREFIX)?.split_once(':')?;
    let is_base64 = |b: u8| b.is_ascii_alphanumeric() || b"+/=".contains(&b);
    let whole = ciphertext.len() <= MAX_WRAPPED_BYTES && !rest.is_empty() && rest.bytes().all(is_base64);
    version.parse().ok().filter(|version| whole && *version > 0)
}

impl KeyPort for Transit {
    fn wrap<'a>(
        &'a self,
        key: &'a TenantKey,
        context: &'a KeyContext,
    ) -> BoxFuture<'a, Result<WrappedKey, SecretError>> {
        Box::pin(self.wrap_with(key, context))
    }

    fn unwrap<'a>(
        &'a self,
        wrapped: &'a WrappedKey,
        context: &'a KeyContext,
    ) -> BoxFuture<'a, Result<TenantKey, SecretError>> {
        Box::pin(self.unwrap_with(wrapped, context))
    }

    /// The service does it: nothing is in the clear here.
    fn rewrap<'a>(
        &'a self,
        wrapped: &'a WrappedKey,
        context: &'a KeyContext,
    ) -> BoxFuture<'a, Result<WrappedKey, SecretError>> {
        Box::pin(self.rewrap_with(wrapped, context))
    }

    fn is_mine(&self, key_id: &str) -> bool {
        self.version(key_id).is_some()
    }

    fn ring(&self) -> BoxFuture<'_, Result<KeyRing, SecretError>> {
        Box::pin(async move {
            let info = self.info("list the versions of the key").await?;
            let oldest = info.min_decryption_version.max(info.min_available_version).max(1);
            let ids: Vec<_> = (oldest..=info.latest_version).rev().map(|version| self.id(version)).collect();
            Ok(KeyRing { place: self.service.name(), current: ids.first().cloned(), ids, retires_older: true })
        })
    }

    fn rotate(&self) -> BoxFuture<'_, Result<String, SecretError>> {
        Box::pin(self.rotate_key())
    }

    fn retire<'a>(&'a self, key_id: &'a str) -> BoxFuture<'a, Result<(), SecretError>> {
        Box::pin(self.retire_version(key_id))
    }
}

impl fmt::Debug for Transit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transit({}, [redacted])", self.service.name())
    }
}
