//! Tenant keys, and the port to whatever wraps them.

use super::aead::{self, KeyBytes};
use super::error::SecretError;
use futures_util::future::BoxFuture;
use porthole_model::id::TenantId;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A tenant's data key, in the clear. It exists while something is sealed or opened; nothing outside this crate can read
/// it, so an implementation of [`KeyPort`] lives in this crate too. Wiped when the last holder lets go of it.
pub struct TenantKey(Arc<KeyBytes>);

impl TenantKey {
    pub(super) fn random() -> Result<Self, SecretError> {
        Ok(Self(Arc::new(aead::new_key()?)))
    }

    pub(super) fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut key = KeyBytes::default();
        if bytes.len() != key.len() {
            return None;
        }
        key.copy_from_slice(bytes);
        Some(Self(Arc::new(key)))
    }

    pub(super) fn bytes(&self) -> &KeyBytes {
        &self.0
    }

    /// The same bytes, not a copy of them.
    pub(super) fn share(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl fmt::Debug for TenantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TenantKey([redacted])")
    }
}

/// What a wrapped key belongs to. A key service authenticates it with the key ("encryption context"), so that one
/// tenant's wrapped key can't be unwrapped as another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyContext {
    /// The tenant.
    pub tenant: TenantId,
}

impl KeyContext {
    /// As bytes, one form only. Other uses of the same key start with another word.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        [b"porthole tenant-key v1\0", self.tenant.0.as_bytes().as_slice()].concat()
    }
}

/// A tenant's data key, wrapped. Holds nothing in the clear; dropping it from the database shreds what it sealed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrappedKey {
    /// The key it is wrapped with.
    pub key_id: String,
    /// The wrapped bytes, in the key service's own form.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappedKey({}, {} bytes)", self.key_id, self.bytes.len())
    }
}

/// The key-encryption keys of one place, without the keys themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyRing {
    /// The place, for people: `key file /…`, `https://… transit/porthole`.
    pub place: String,
    /// Their ids, newest first.
    pub ids: Vec<String>,
    /// The one that wraps new tenant keys, when this place is the one that does.
    pub current: Option<String>,
    /// Retiring one retires all that came before it. A transit service only has a lowest version that it decrypts.
    pub retires_older: bool,
}

/// Whoever holds the key-encryption key: a key file, or a key service over the network.
pub trait KeyPort: Send + Sync + fmt::Debug {
    /// Wraps a tenant's key with the current key.
    fn wrap<'a>(
        &'a self,
        key: &'a TenantKey,
        context: &'a KeyContext,
    ) -> BoxFuture<'a, Result<WrappedKey, SecretError>>;

    /// Unwraps a tenant's key. Keys that came before the current one still unwrap.
    fn unwrap<'a>(
        &'a self,
        wrapped: &'a WrappedKey,
        context: &'a KeyContext,
    ) -> BoxFuture<'a, Result<TenantKey, SecretError>>;

    /// Wraps what this port wrapped before with the current key.
    fn rewrap<'a>(
        &'a self,
        wrapped: &'a WrappedKey,
        context: &'a KeyContext,
    ) -> BoxFuture<'a, Result<WrappedKey, SecretError>> {
        Box::pin(async move { self.wrap(&self.unwrap(wrapped, context).await?, context).await })
    }

    /// Is this an id of this port's keys, by its form? The key may be gone all the same.
    fn is_mine(&self, key_id: &str) -> bool;

    /// The keys that there are.
    fn ring(&self) -> BoxFuture<'_, Result<KeyRing, SecretError>>;

    /// Makes a new current key and returns its id. The others stay.
    fn rotate(&self) -> BoxFuture<'_, Result<String, SecretError>>;

    /// Gives up a key that isn't the current one. The caller has made sure that it wraps nothing any more.
    fn retire<'a>(&'a self, key_id: &'a str) -> BoxFuture<'a, Result<(), SecretError>>;
}
