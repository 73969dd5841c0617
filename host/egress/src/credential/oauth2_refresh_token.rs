//! The kind `oauth2-refresh-token` (RFC 6749, 6): a refresh token buys an access token.
//!
//! A provider may hand out a new refresh token with it, and the old one is void then. The new one is sealed and handed to
//! a [`RotationPort`] before anything is done with the access token: a crash in between would leave only the void one.

use super::exchange::{Exchange, client_header, form};
use super::fault::CredentialFault;
use super::token::Token;
use super::token_url::token_url;
use super::{BoundCredential, BoundSlot, Inner};
use crate::secret::{OpenSecret, SecretFields, SecretText};
use futures_util::future::BoxFuture;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

/// Keeps a credential whose secret the provider has replaced.
pub trait RotationPort: Send + Sync {
    /// Stores the new version of a credential, durably, in place of the version before it. The error is a short fact for
    /// the run log.
    fn keep<'a>(&'a self, credential: BoundCredential) -> BoxFuture<'a, Result<(), String>>;
}

/// What the provider has rotated in this run.
#[derive(Default)]
pub(super) struct Rotation(Mutex<Option<Rotated>>);

struct Rotated {
    refresh_token: Arc<Zeroizing<String>>,
    version: i32,
}

impl Rotation {
    fn latest(&self) -> Option<Arc<Zeroizing<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|r| Arc::clone(&r.refresh_token))
    }

    fn version(&self) -> Option<i32> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|r| r.version)
    }

    fn set(&self, refresh_token: Arc<Zeroizing<String>>, version: i32) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Rotated { refresh_token, version });
    }
}

pub(super) async fn fetch<K, R>(
    exchange: &Exchange<'_>,
    template: &str,
    rotation: &Rotation,
    keep: K,
) -> Result<Token, CredentialFault>
where
    K: FnOnce(Zeroizing<String>) -> R,
    R: Future<Output = Result<(), CredentialFault>>,
{
    let url = token_url(exchange, template, &[])?;
    let authorization = client_header(exchange.field("client_id")?, exchange.field("client_secret")?);
    let latest = rotation.latest();
    let refresh_token = match &latest {
        Some(rotated) => rotated.as_str(),
        None => exchange.field("refresh_token")?,
    };
    let body = form(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]);
    let reply = exchange.post(url, authorization, Some(body)).await?;
    if let Some(fresh) = reply.string("/refresh_token").filter(|fresh| !fresh.is_empty() && **fresh != refresh_token) {
        exchange.reflections.add_token(&fresh);
        keep(fresh).await?;
    }
    let (token, lifetime) = reply.access_token()?;
    Ok(Token::new(token, exchange.now, lifetime))
}

impl Inner {
    /// Seals a new refresh token as the next version of the credential, and has it kept.
    pub(super) async fn keep_rotated(&self, state: &BoundSlot, fresh: Zeroizing<String>) -> Result<(), CredentialFault> {
        let slot = &state.bound.binding.slot;
        let fresh = Arc::new(fresh);
        let version = state.rotated.version().unwrap_or(state.bound.binding.version).saturating_add(1);
        // In this run the new one is used whatever comes of storing it: the old one is void.
        state.rotated.set(Arc::clone(&fresh), version);
        let Some(port) = &self.rotation else {
            tracing::warn!(%slot, "the provider replaced the refresh token and nobody keeps the new one");
            return Ok(());
        };
        let failed = |reason: String| CredentialFault::NotKept { slot: slot.clone(), reason };
        let mut credential = state.bound.clone();
        credential.binding.version = version;
        let secret = state.open.get().ok_or_else(|| failed("the secret is not open".to_owned()))?;
        let fields = with_refresh_token(&credential, secret, &fresh).map_err(|e| failed(e.to_string()))?;
        credential.sealed = self
            .vault
            .seal(&credential.tenant_key, &credential.binding, fields)
            .await
            .map_err(|e| failed(e.to_string()))?;
        port.keep(credential).await.map_err(failed)
    }
}

fn with_refresh_token(
    credential: &BoundCredential,
    secret: &OpenSecret,
    fresh: &str,
) -> Result<SecretFields, crate::secret::SecretError> {
    let mut fields = SecretFields::new(&credential.method)?;
    for (name, _) in credential.method.kind.fields() {
        let value = if name == "refresh_token" { fresh } else { secret.get(name).unwrap_or_default() };
        fields.set(name, SecretText::new(value.to_owned()))?;
    }
    Ok(fields)
}
