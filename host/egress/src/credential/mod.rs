//! Credentials of one run: from a sealed secret to the headers of one request, and back from a reply to a reply that
//! doesn't give the secret away.
//!
//! A [`Credentials`] opens a secret when a request first needs it and holds it, wiped at the end, until the run is over.
//! It has to: the replies of the whole run are searched for the secret, so the plaintext is needed anyway, and a key
//! service need not be asked for every request. The tenant's key itself is gone as soon as the secret is open.
//!
//! One file per kind: [`header`], [`basic`], [`bearer`] put the secret into a header; [`oauth2_client_credentials`],
//! [`oauth2_refresh_token`] and [`jwt_exchange`] buy a token with it first.

mod basic;
mod bearer;
mod exchange;
mod fault;
mod header;
mod jwt_exchange;
mod needle;
mod oauth2_client_credentials;
mod oauth2_refresh_token;
mod reflection;
mod search;
mod token;
mod token_url;
mod transport;

pub use fault::CredentialFault;
pub use oauth2_refresh_token::RotationPort;
pub use transport::{SecretHeader, TokenReply, TokenTransport};

use crate::secret::{Binding, OpenSecret, Sealed, SecretError, Vault, WrappedKey, rsa};
use exchange::Exchange;
use oauth2_refresh_token::Rotation;
use porthole_model::id::Slot;
use porthole_model::manifest::{CredentialKind, CredentialMethod};
use porthole_model::operation::{Config, PreparedRequest};
use reflection::Reflections;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;
use token::TokenCache;
use tokio::sync::OnceCell;

/// Tells the time. A test hands in one that it can turn.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// A sealed secret, and all it takes to use it. Holds nothing in the clear.
#[derive(Debug, Clone)]
pub struct BoundCredential {
    /// The place it is sealed for.
    pub binding: Binding,
    /// The method of the manifest that it was given for.
    pub method: CredentialMethod,
    /// The tenant's data key, wrapped.
    pub tenant_key: WrappedKey,
    /// The secret, sealed.
    pub sealed: Sealed,
}

/// The credentials of one run. Clones share what they hold.
#[derive(Clone)]
pub struct Credentials {
    inner: Arc<Inner>,
}

struct Inner {
    vault: Arc<Vault>,
    config: Config,
    clock: Clock,
    rotation: Option<Arc<dyn RotationPort>>,
    slots: HashMap<Slot, BoundSlot>,
    reflections: Reflections,
}

/// One slot: the sealed secret and what was made of it in this run.
struct BoundSlot {
    bound: BoundCredential,
    open: OnceCell<OpenSecret>,
    token: TokenCache,
    rotated: Rotation,
}

impl Credentials {
    /// The credentials that are bound to an instance's slots.
    #[must_use]
    pub fn new(vault: Arc<Vault>, bound: Vec<BoundCredential>, config: Config) -> Self {
        Self::with(vault, bound, config, Arc::new(SystemTime::now), None)
    }

    /// As [`Credentials::new`], with a clock, and with somebody who keeps the refresh tokens that providers rotate.
    #[must_use]
    pub fn with(
        vault: Arc<Vault>,
        bound: Vec<BoundCredential>,
        config: Config,
        clock: Clock,
        rotation: Option<Arc<dyn RotationPort>>,
    ) -> Self {
        let slot = |bound: BoundCredential| {
            let name = bound.binding.slot.clone();
            let rotated = Rotation::default();
            (name, BoundSlot { bound, open: OnceCell::new(), token: TokenCache::default(), rotated })
        };
        let slots = bound.into_iter().map(slot).collect();
        let reflections = Reflections::default();
        Self { inner: Arc::new(Inner { vault, config, clock, rotation, slots, reflections }) }
    }

    /// Is there a credential in this slot?
    #[must_use]
    pub fn is_bound(&self, slot: &Slot) -> bool {
        self.inner.slots.contains_key(slot)
    }

    /// The headers that sign a request. Buys a token first where the kind needs one; concurrent callers share the one
    /// purchase.
    ///
    /// Call this after the request has been recorded and hand the headers to nothing but the request. The request itself
    /// is for kinds that sign its parts.
    ///
    /// # Errors
    /// When nothing is bound, the secret doesn't open, or no token is to be had.
    pub async fn authorize(
        &self,
        slot: &Slot,
        _request: &PreparedRequest,
        transport: &dyn TokenTransport,
    ) -> Result<Vec<SecretHeader>, CredentialFault> {
        let inner = &*self.inner;
        let state = inner.slots.get(slot).ok_or_else(|| CredentialFault::NotBound { slot: slot.clone() })?;
        let secret = state.open.get_or_try_init(|| inner.open(&state.bound)).await?;
        let exchange = Exchange {
            slot,
            secret,
            config: &inner.config,
            now: (inner.clock)(),
            transport,
            reflections: &inner.reflections,
        };
        let fetched = match &state.bound.method.kind {
            CredentialKind::Header { header, format } => return header::headers(slot, header, format, secret),
            CredentialKind::Basic => return basic::headers(slot, secret),
            CredentialKind::Bearer => return bearer::headers(slot, secret),
            CredentialKind::Oauth2ClientCredentials { token_url, scope } => {
                let fetch = || oauth2_client_credentials::fetch(&exchange, token_url, scope);
                state.token.get(&inner.clock, fetch).await?
            }
            CredentialKind::Oauth2RefreshToken { token_url } => {
                let fetch = || oauth2_refresh_token::fetch(&exchange, token_url, state, || inner.keep_rotated(state));
                state.token.get(&inner.clock, fetch).await?
            }
            CredentialKind::JwtExchange { token_url, url_fields, token, expires_at } => {
                let fetch = || jwt_exchange::fetch(&exchange, token_url, url_fields, token, expires_at);
                state.token.get(&inner.clock, fetch).await?
            }
        };
        Ok(vec![bearer::header(fetched.value())])
    }

    /// The provider answered 401: a bought token is dropped, and the next request buys another. A token that is only
    /// seconds old stays, because the refused request was sent with the one before it.
    pub fn rejected(&self, slot: &Slot) {
        if let Some(state) = self.inner.slots.get(slot) {
            state.token.rejected((self.inner.clock)());
        }
    }

    /// Blanks every secret and token of this run in a reply, in whatever common encoding it stands there, and says how
    /// many places there were. A body without any is handed back as it came.
    #[must_use]
    pub fn scrub_reflections(&self, body: Vec<u8>) -> (Vec<u8>, u32) {
        self.inner.reflections.scrub(body)
    }

    /// The same for a message that will be logged or stored.
    #[must_use]
    pub fn scrub_text(&self, text: &str) -> String {
        self.inner.reflections.scrub_text(text)
    }
}

impl Inner {
    /// Opens a secret. From here on replies are searched for it.
    async fn open(&self, bound: &BoundCredential) -> Result<OpenSecret, CredentialFault> {
        let BoundCredential { binding, method, tenant_key, sealed } = bound;
        let unreadable = |source| CredentialFault::Unreadable { slot: binding.slot.clone(), source: Arc::new(source) };
        if method.slot != binding.slot {
            return Err(unreadable(SecretError::Content));
        }
        let secret = self.vault.open(tenant_key, binding, method, sealed).await.map_err(unreadable)?;
        for field in secret_fields(&method.kind, &secret) {
            self.reflections.add_secret(secret.get(field).unwrap_or_default());
        }
        if let Some(line) = secret.get("private_key").and_then(rsa::one_line) {
            self.reflections.add_secret(&line);
        }
        Ok(secret)
    }
}

/// The fields that nobody may read. The others (user names, client ids, the number of an app) are identifiers that
/// providers rightly put into their replies; blanking them would damage what is collected.
fn secret_fields(kind: &CredentialKind, secret: &OpenSecret) -> &'static [&'static str] {
    match kind {
        CredentialKind::Header { .. } | CredentialKind::Bearer => &["token"],
        // Some providers take an API key as the user name and a filler as the password.
        CredentialKind::Basic if secret.get("password").is_some_and(|p| p.len() < needle::MIN_SECRET_BYTES) => {
            &["username"]
        }
        CredentialKind::Basic => &["password"],
        CredentialKind::Oauth2ClientCredentials { .. } => &["client_secret"],
        CredentialKind::Oauth2RefreshToken { .. } => &["client_secret", "refresh_token"],
        CredentialKind::JwtExchange { .. } => &["private_key"],
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("slots", &self.inner.slots.keys()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
