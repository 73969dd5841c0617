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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

#[derive(Clone)]
struct Rotated {
    refresh_token: Arc<Zeroizing<String>>,
    version: i32,
    is_kept: bool,
}

impl Rotation {
    fn latest(&self) -> Option<Rotated> {
        self.lock().clone()
    }

    /// A new refresh token. In this run it is used whatever comes of storing it: the one before it is void.
    fn set(&self, refresh_token: Zeroizing<String>, stored_version: i32) {
        let mut latest = self.lock();
        let version = match &*latest {
            // The one before it was never stored; its version is free.
            Some(rotated) if !rotated.is_kept => rotated.version,
            Some(rotated) => rotated.version.saturating_add(1),
            None => stored_version.saturating_add(1),
        };
        *latest = Some(Rotated { refresh_token: Arc::new(refresh_token), version, is_kept: false });
    }

    fn set_kept(&self, version: i32) {
        if let Some(rotated) = self.lock().as_mut().filter(|rotated| rotated.version == version) {
            rotated.is_kept = true;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Rotated>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Buys a token. `keep` stores a refresh token that came and isn't stored yet.
pub(super) async fn fetch<R>(
    exchange: &Exchange<'_>,
    template: &str,
    state: &BoundSlot,
    keep: impl Fn() -> R,
) -> Result<Token, CredentialFault>
where
    R: Future<Output = Result<(), CredentialFault>>,
{
    let url = token_url(exchange, template, &[])?;
    // Storing may have failed the last time.
    keep().await?;
    let authorization = client_header(exchange.field("client_id")?, exchange.field("client_secret")?);
    let latest = state.rotated.latest();
    let refresh_token = match &latest {
        Some(rotated) => rotated.refresh_token.as_str(),
        None => exchange.field("refresh_token")?,
    };
    let body = form(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]);
    let reply = exchange.post(url, authorization, Some(body)).await?;
    if let Some(fresh) = reply.string("/refresh_token").filter(|fresh| !fresh.is_empty() && **fresh != refresh_token) {
        exchange.reflections.add_token(&fresh);
        state.rotated.set(fresh, state.bound.binding.version);
        keep().await?;
    }
    let (token, lifetime) = reply.access_token()?;
    Ok(Token::new(token, exchange.now, lifetime))
}

impl Inner {
    /// Seals a rotated refresh token as the next version of the credential, and has it stored. Nothing to do when there is
    /// none, or when it is stored already.
    pub(super) async fn keep_rotated(&self, state: &BoundSlot) -> Result<(), CredentialFault> {
        let slot = &state.bound.binding.slot;
        let Some(rotated) = state.rotated.latest().filter(|rotated| !rotated.is_kept) else { return Ok(()) };
        let failed = |reason: String| CredentialFault::NotKept { slot: slot.clone(), reason };
        if let Some(port) = &self.means.rotation {
            let mut credential = state.bound.clone();
            credential.binding.version = rotated.version;
            let secret = state.open.get().ok_or_else(|| failed("the secret is not open".to_owned()))?;
            let fields =
                with_refresh_token(&credential, secret, &rotated.refresh_token).map_err(|e| failed(e.to_string()))?;
            let sealed = self.vault.seal(&credential.tenant_key, &credential.binding, fields).await;
            credential.sealed = sealed.map_err(|e| failed(e.to_string()))?;
            port.keep(credential).await.map_err(failed)?;
        } else {
            tracing::warn!(%slot, "the provider replaced the refresh token and nobody stores the new one");
        }
        state.rotated.set_kept(rotated.version);
        Ok(())
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
