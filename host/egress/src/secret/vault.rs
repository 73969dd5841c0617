//! Envelope encryption: each tenant has a data key, wrapped by the key-encryption key; secrets are sealed with the data
//! key and bound to the one place they are for.

use super::aead;
use super::error::{SecretError, cut};
use super::fields::{OpenSecret, SecretFields};
use super::key::{KeyContext, KeyPort, KeyRing, TenantKey, WrappedKey};
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
    /// Those that wrapped before: they unwrap until everything is wrapped by `key`.
    former: Vec<Arc<dyn KeyPort>>,
}

impl Vault {
    /// A vault whose tenant keys are wrapped by this key.
    #[must_use]
    pub fn new(key: Arc<dyn KeyPort>) -> Self {
        Self { key, former: Vec::new() }
    }

    /// The same, for an operator who moves from one place of keys to another: what the former one wrapped still unwraps,
    /// and [`Vault::rewrap`] moves it over.
    #[must_use]
    pub fn with_former(mut self, key: Arc<dyn KeyPort>) -> Self {
        self.former.push(key);
        self
    }

    /// The id of the key that wraps new tenant keys.
    ///
    /// # Errors
    /// When the key file can't be read or the key service fails.
    pub async fn key_id(&self) -> Result<String, SecretError> {
        self.key.ring().await?.current.ok_or(SecretError::Seal)
    }

    /// The places of keys with the ids of their keys, the one that wraps first.
    ///
    /// # Errors
    /// When a key file can't be read or a key service fails.
    pub async fn rings(&self) -> Result<Vec<KeyRing>, SecretError> {
        let mut rings = vec![self.key.ring().await?];
        for port in &self.former {
            rings.push(KeyRing { current: None, ..port.ring().await? });
        }
        Ok(rings)
    }

    /// Makes a new key-encryption key and returns its id. What is wrapped with the others stays as it is until it is
    /// [re-wrapped](Vault::rewrap).
    ///
    /// # Errors
    /// When the key file can't be replaced or the key service fails.
    pub async fn rotate(&self) -> Result<String, SecretError> {
        self.key.rotate().await
    }

    /// Gives up a key-encryption key: nothing that it wrapped can be unwrapped any more. The caller has made sure that it
    /// wraps nothing. In a place that retires older keys with it, those are given up as well.
    ///
    /// # Errors
    /// When it is the current one, or the key file or the key service fails.
    pub async fn retire(&self, key_id: &str) -> Result<(), SecretError> {
        if self.key.is_mine(key_id) {
            return self.key.retire(key_id).await;
        }
        match self.former.iter().find(|port| port.is_mine(key_id)) {
            // Of a former place even the key that was current there has no more use.
            Some(port) => port.retire(key_id).await,
            None => Err(SecretError::UnknownKey { wanted: cut(key_id, 64), known: "none of that form".to_owned() }),
        }
    }

    /// A new tenant's data key, wrapped.
    ///
    /// # Errors
    /// When there is no randomness or the key service fails.
    pub async fn new_tenant_key(&self, tenant: TenantId) -> Result<WrappedKey, SecretError> {
        self.key.wrap(&TenantKey::random()?, &KeyContext { tenant }).await
    }

    /// Wraps a tenant's data key with the current key-encryption key; what it sealed stays as it is.
    ///
    /// # Errors
    /// When the key it is wrapped with isn't there any more, or the key service fails.
    pub async fn rewrap(&self, tenant: TenantId, key: &WrappedKey) -> Result<WrappedKey, SecretError> {
        let context = KeyContext { tenant };
        if self.key.is_mine(&key.key_id) {
            return self.key.rewrap(key, &context).await;
        }
        self.key.wrap(&self.unwrap(key, &context).await?, &context).await
    }

    pub(super) async fn unwrap(&self, key: &WrappedKey, context: &KeyContext) -> Result<TenantKey, SecretError> {
        let former = self.former.iter().find(|port| port.is_mine(&key.key_id));
        let port = if self.key.is_mine(&key.key_id) { &self.key } else { former.unwrap_or(&self.key) };
        port.unwrap(key, context).await
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
        let key = self.unwrap(tenant_key, &KeyContext { tenant: binding.tenant }).await?;
        let bytes = aead::seal(key.bytes(), &binding.to_bytes(), &secret.pack())?;
        Ok(Sealed { bytes })
    }

    /// Gets ready to move a tenant's secrets from one of its data keys to another.
    ///
    /// # Errors
    /// When one of the keys can't be unwrapped.
    pub async fn resealer(
        &self,
        tenant: TenantId,
        from: &WrappedKey,
        to: &WrappedKey,
    ) -> Result<Resealer, SecretError> {
        let context = KeyContext { tenant };
        let (from, to) = (self.unwrap(from, &context).await?, self.unwrap(to, &context).await?);
        Ok(Resealer { tenant, from, to })
    }

    /// Opens a secret, for a request that is about to be sent.
    pub(crate) async fn open(
        &self,
        tenant_key: &WrappedKey,
        binding: &Binding,
        method: &CredentialMethod,
        sealed: &Sealed,
    ) -> Result<OpenSecret, SecretError> {
        let key = self.unwrap(tenant_key, &KeyContext { tenant: binding.tenant }).await?;
        let packed = aead::open(key.bytes(), &binding.to_bytes(), &sealed.bytes, "secret")?;
        OpenSecret::unpack(&packed, method)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({:?})", self.key)
    }
}

/// Moves secrets of one tenant from one data key to another. What is in them is seen by nobody: a sealed secret goes in
/// and a sealed secret comes out.
pub struct Resealer {
    tenant: TenantId,
    from: TenantKey,
    to: TenantKey,
}

impl Resealer {
    /// Seals a secret with the other key, for the same place.
    ///
    /// # Errors
    /// When it doesn't open: it was changed, or the key or the place are not its own.
    pub fn reseal(&self, binding: &Binding, sealed: &Sealed) -> Result<Sealed, SecretError> {
        if binding.tenant != self.tenant {
            return Err(SecretError::Open("secret"));
        }
        let about = binding.to_bytes();
        let plaintext = aead::open(self.from.bytes(), &about, &sealed.bytes, "secret")?;
        Ok(Sealed { bytes: aead::seal(self.to.bytes(), &about, &plaintext)? })
    }
}

impl fmt::Debug for Resealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resealer({}, [redacted])", self.tenant)
    }
}

#[cfg(test)]
#[path = "vault_tests.rs"]
mod tests;
