//! Tenant keys, and the port to whatever wraps them.

use super::aead::{self, KeyBytes};
use super::error::SecretError;
use futures_util::future::BoxFuture;
use porthole_model::id::TenantId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A tenant's data key, in the clear. It exists while something is sealed or opened; nothing outside this crate can read
/// it, so an implementation of [`KeyPort`] lives in this crate too.
pub struct TenantKey(KeyBytes);

impl TenantKey {
    pub(super) fn random() -> Result<Self, SecretError> {
        aead::new_key().map(Self)
    }

    pub(super) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes: [u8; 32]| Self(bytes.into()))
    }

    pub(super) fn bytes(&self) -> &KeyBytes {
        &self.0
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

/// Whoever holds the key-encryption key: a key file, or a key service over the network.
pub trait KeyPort: Send + Sync {
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

    /// The id of the current key.
    fn id(&self) -> String;
}
