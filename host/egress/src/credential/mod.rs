//! Credentials of one run: from a sealed secret to the headers of one request, and back from a reply to a reply that
//! doesn't give the secret away.
//!
//! A [`Credentials`] opens a secret when a request first needs it and holds it, wiped at the end, until the run is over.
//! It has to: the replies of the whole run are searched for the secret, so the plaintext is needed anyway, and a key
//! service need not be asked for every request. The tenant's key itself is gone as soon as the secret is open.
//!
//! One file per kind: [`header`], [`basic`], [`bearer`] put the secret into a header; [`oauth2_client_credentials`],
//! [`oauth2_refresh_token`] and [`jwt_exchange`] buy a token with it first; [`sigv4`] signs the request itself, and
//! [`sigv4_role`] buys what to sign with.

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
pub(crate) mod sigv4;
mod sigv4_role;
mod token;
mod token_url;
mod transport;

pub use fault::CredentialFault;
pub use oauth2_refresh_token::RotationPort;
pub use transport::{SecretHeader, TokenReply, TokenTransport};

use crate::secret::{Binding, OpenSecret, PlatformKey, Sealed, SecretError, Vault, WrappedKey, rsa};
use exchange::Exchange;
use oauth2_refresh_token::Rotation;
use porthole_model::id::Slot;
use porthole_model::manifest::{CredentialKind, CredentialMethod};
use porthole_model::operation::{Config, PreparedRequest, SignatureScope};
use porthole_model::session_policy::SessionPolicy;
use reflection::Reflections;
use sigv4::{Keys, Signable};
use sigv4_role::Role;
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
    means: Means,
    slots: HashMap<Slot, BoundSlot>,
    reflections: Reflections,
}

/// What credentials are used with, besides what is bound.
#[derive(Clone)]
pub struct Means {
    /// Tells the time.
    pub clock: Clock,
    /// Keeps the refresh tokens that providers rotate.
    pub rotation: Option<Arc<dyn RotationPort>>,
    /// Assumes roles. Without it a role can't be used.
    pub platform: Option<PlatformKey>,
    /// What sessions of a role are narrowed to: together the actions that the run may use, each in one of them.
    pub sessions: Vec<SessionPolicy>,
}

impl Default for Means {
    fn default() -> Self {
        Self { clock: Arc::new(SystemTime::now), rotation: None, platform: None, sessions: Vec::new() }
    }
}

/// One slot: the sealed secret and what was made of it in this run.
struct BoundSlot {
    bound: BoundCredential,
    open: OnceCell<OpenSecret>,
    token: TokenCache,
    rotated: Rotation,
    /// Whether the role demands the external id: found out once a run, and what is refused stays so.
    demands_id: OnceCell<Result<(), CredentialFault>>,
    /// The temporary credentials of each session; one more for what needs no permission.
    sessions: Vec<TokenCache>,
}

impl Credentials {
    /// The credentials that are bound to an instance's slots.
    #[must_use]
    pub fn new(vault: Arc<Vault>, bound: Vec<BoundCredential>, config: Config, means: Means) -> Self {
        let slot = |bound: BoundCredential| {
            let (name, rotated) = (bound.binding.slot.clone(), Rotation::default());
            let sessions = (0..=means.sessions.len()).map(|_| TokenCache::default()).collect();
            let (open, token, demands_id) = (OnceCell::new(), TokenCache::default(), OnceCell::new());
            (name, BoundSlot { bound, open, token, rotated, demands_id, sessions })
        };
        let slots = bound.into_iter().map(slot).collect();
        let reflections = Reflections::default();
        Self { inner: Arc::new(Inner { vault, config, means, slots, reflections }) }
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
    /// is for kinds that sign its parts: nothing that they sign may change afterwards.
    ///
    /// # Errors
    /// When nothing is bound, the secret doesn't open, or no token is to be had.
    pub async fn authorize(
        &self,
        slot: &Slot,
        request: &PreparedRequest,
        transport: &dyn TokenTransport,
    ) -> Result<Vec<SecretHeader>, CredentialFault> {
        let inner = &*self.inner;
        let state = inner.slots.get(slot).ok_or_else(|| CredentialFault::NotBound { slot: slot.clone() })?;
        let secret = state.open.get_or_try_init(|| inner.open(&state.bound)).await?;
        let exchange = Exchange {
            slot,
            secret,
            config: &inner.config,
            now: (inner.means.clock)(),
            transport,
            reflections: &inner.reflections,
        };
        let clock = &inner.means.clock;
        let fetched = match &state.bound.method.kind {
            CredentialKind::Header { header, format } => return header::headers(slot, header, format, secret),
            CredentialKind::Basic => return basic::headers(slot, secret),
            CredentialKind::Bearer => return bearer::headers(slot, secret),
            CredentialKind::Oauth2ClientCredentials { token_url, scope } => {
                let fetch = || oauth2_client_credentials::fetch(&exchange, token_url, scope);
                state.token.get(clock, fetch).await?
            }
            CredentialKind::Oauth2RefreshToken { token_url } => {
                let fetch = || oauth2_refresh_token::fetch(&exchange, token_url, state, || inner.keep_rotated(state));
                state.token.get(clock, fetch).await?
            }
            CredentialKind::JwtExchange { token_url, url_fields, token, expires_at } => {
                let fetch = || jwt_exchange::fetch(&exchange, token_url, url_fields, token, expires_at);
                state.token.get(clock, fetch).await?
            }
            CredentialKind::Sigv4Keys => {
                let field = |name| exchange.field(name);
                let keys = Keys::new(field("access_key_id")?, field("secret_access_key")?, None);
                let reason = "its key is empty or no visible ASCII".to_owned();
                let keys = keys.ok_or_else(|| CredentialFault::Method { slot: slot.clone(), reason })?;
                return sign(slot, &keys, request, exchange.now);
            }
            CredentialKind::Sigv4Role { token_url, region } => {
                let role = Role { exchange, token_url, region, platform: inner.means.platform.as_ref() };
                let found_out = || async {
                    match role.check_external_id().await {
                        Err(fault @ CredentialFault::OpenRole { .. }) => Ok(Err(fault)),
                        other => other.map(Ok),
                    }
                };
                state.demands_id.get_or_try_init(found_out).await?.clone()?;
                let scope = scope(request)?;
                let (cache, policy) = inner.session(state, slot, scope)?;
                let token = cache.get(clock, || role.fetch(policy)).await?;
                return sign(slot, &sigv4_role::keys(slot, &token)?, request, clock());
            }
        };
        Ok(vec![bearer::header(fetched.value())])
    }

    /// The provider answered 401: a bought token is dropped, and the next request buys another. A token that is only
    /// seconds old stays, because the refused request was sent with the one before it.
    pub fn rejected(&self, slot: &Slot) {
        if let Some(state) = self.inner.slots.get(slot) {
            for cache in state.sessions.iter().chain([&state.token]) {
                cache.rejected((self.inner.means.clock)());
            }
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

/// What a request is signed for.
fn scope(request: &PreparedRequest) -> Result<&SignatureScope, CredentialFault> {
    request.scope.as_ref().ok_or_else(|| CredentialFault::NoScope { operation: request.operation.clone() })
}

fn sign(
    slot: &Slot,
    keys: &Keys,
    request: &PreparedRequest,
    now: SystemTime,
) -> Result<Vec<SecretHeader>, CredentialFault> {
    let scope = scope(request)?;
    let signable = Signable {
        method: request.method.as_str(),
        url: request.url.as_str(),
        headers: &request.headers,
        body: request.body.as_deref().unwrap_or_default(),
        service: &scope.service,
        region: &scope.region,
    };
    sigv4::headers(slot, keys, &signable, now)
}

impl Inner {
    /// The session in which an action is allowed. Every action that a run may use is in one; what isn't has no session.
    fn session<'a>(
        &'a self,
        state: &'a BoundSlot,
        slot: &Slot,
        scope: &SignatureScope,
    ) -> Result<(&'a TokenCache, &'a str), CredentialFault> {
        let sessions = &self.means.sessions;
        let (at, policy) = match &scope.action {
            // Needs no permission, so it gets none.
            None => (sessions.len(), sigv4_role::NOTHING),
            Some(action) => sessions
                .iter()
                .position(|session| session.actions.contains(action))
                .and_then(|at| Some((at, sessions.get(at)?.json.as_str())))
                .ok_or_else(|| CredentialFault::Method {
                    slot: slot.clone(),
                    reason: format!("`{action}` is in no session policy of this run"),
                })?,
        };
        let cache = state.sessions.get(at).unwrap_or(&state.token);
        Ok((cache, policy))
    }

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
        CredentialKind::Sigv4Keys => &["secret_access_key"],
        // Neither opens anything without the platform's own key. Providers name the role in their replies.
        CredentialKind::Sigv4Role { .. } => &["external_id"],
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("slots", &self.inner.slots.keys()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
