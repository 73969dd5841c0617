//! Envelope encryption: each tenant has a data key, wrapped by the key-encryption key; secrets are sealed with the data
//! key and bound to the one place they are for.

use super::aead;
use super::error::SecretError;
use super::fields::{OpenSecret, SecretFields};
use super::key::{KeyContext, KeyPort, TenantKey, WrappedKey};
use porthole_model::id::{InstanceId, Slot, TenantId};
use porthole_model::manifest::CredentialMethod;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The one place a secret is for. It is authenticated with the ciphertext: copied into another tenant's, instance's or
/// slot's row, or put back after it was replaced, a secret doesn't open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The tenant.
    pub tenant: TenantId,
    /// The instance.
    pub instance: InstanceId,
    /// The slot.
    pub slot: Slot,
    /// Counts the secrets that this slot has had.
    pub version: i32,
}

impl Binding {
    /// As bytes. Everything but the last part has a fixed length, so no two bindings have the same bytes.
    fn to_bytes(&self) -> Vec<u8> {
        [
            b"porthole credential v1\0",
            self.tenant.0.as_bytes().as_slice(),
            self.instance.0.as_bytes(),
            &self.version.to_be_bytes(),
            self.slot.as_str().as_bytes(),
        ]
        .concat()
    }
}

/// A sealed secret: version byte, nonce, ciphertext, tag.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The envelope.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.bytes.len())
    }
}

/// Seals secrets; and opens them, inside this crate alone.
#[derive(Clone)]
pub struct Vault {
    key: Arc<dyn KeyPort>,
}

impl Vault {
    /// A vault whose tenant keys are wrapped by this key.
    #[must_use]
    pub fn new(key: Arc<dyn KeyPort>) -> Self {
        Self { key }
    }

    /// The id of the key that wraps new tenant keys.
    #[must_use]
    pub fn key_id(&self) -> String {
        self.key.id()
    }

    /// A new tenant's data key, wrapped.
    ///
    /// # Errors
    /// When there is no randomness or the key service fails.
    pub async fn new_tenant_key(&self, tenant: TenantId) -> Result<WrappedKey, SecretError> {
        self.key.wrap(&TenantKey::random()?, &KeyContext { tenant }).await
    }

    /// Wraps a tenant's data key with the current key-encryption key; what it sealed stays as it is. None when it is
    /// wrapped with the current key already.
    ///
    /// # Errors
    /// When the key it is wrapped with isn't there any more, or the key service fails.
    pub async fn rewrap(&self, tenant: TenantId, key: &WrappedKey) -> Result<Option<WrappedKey>, SecretError> {
        if key.key_id == self.key.id() {
            return Ok(None);
        }
        let context = KeyContext { tenant };
        let open = self.key.unwrap(key, &context).await?;
        self.key.wrap(&open, &context).await.map(Some)
    }

    /// Seals a secret for the place it is bound to.
    ///
    /// # Errors
    /// When fields are missing, or the tenant's key can't be unwrapped.
    pub async fn seal(
        &self,
        tenant_key: &WrappedKey,
        binding: &Binding,
        secret: SecretFields,
    ) -> Result<Sealed, SecretError> {
        secret.check_complete()?;
        let key = self.key.unwrap(tenant_key, &KeyContext { tenant: binding.tenant }).await?;
        let bytes = aead::seal(key.bytes(), &binding.to_bytes(), &secret.pack())?;
        Ok(Sealed { bytes })
    }

    /// Opens a secret, for a request that is about to be sent.
    pub(crate) async fn open(
        &self,
        tenant_key: &WrappedKey,
        binding: &Binding,
        method: &CredentialMethod,
        sealed: &Sealed,
    ) -> Result<OpenSecret, SecretError> {
        let key = self.key.unwrap(tenant_key, &KeyContext { tenant: binding.tenant }).await?;
        let packed = aead::open(key.bytes(), &binding.to_bytes(), &sealed.bytes, "secret")?;
        OpenSecret::unpack(&packed, method)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({})", self.key.id())
    }
}

#[cfg(test)]
#[path = "vault_tests.rs"]
mod tests;
