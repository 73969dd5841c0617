//! Seals stored replies. They are no secrets, but they are a tenant's data: what a provider said about its people and
//! machines is in the database in the clear only as the graph that was made of it.
//!
//! Their keys are derived (HKDF, RFC 5869) from the tenant's data key, one for the instance and from that one for each
//! run that seals. So the key that seals credentials never comes near the number of messages that random nonces allow,
//! however many pages there are; what a run holds while it is under way opens one instance's replies and nothing else; and
//! without the tenant's key none of them opens.

use super::aead::{self, KeyBytes};
use super::error::SecretError;
use super::key::{KeyContext, TenantKey, WrappedKey};
use super::vault::{Sealed, Vault};
use porthole_model::id::{InstanceId, RunId, TenantId};
use porthole_model::stored_reply::ReplyKey;
use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use std::fmt;
use zeroize::Zeroizing;

/// What distinguishes these keys from others that may once be derived from a tenant's key.
const PURPOSE: &[u8] = b"porthole stored replies v1";

/// The two parts of a stored reply. The validator is needed for each request, the reply only after a 304.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyPart {
    /// What the provider is asked with.
    Validator,
    /// The reply.
    Reply,
}

/// The one place that a part is for. It is authenticated with the ciphertext: copied into another tenant's, instance's or
/// request's row, it doesn't open. Its run decides the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyPlace {
    /// Which of the tenant's data keys.
    pub key_id: i32,
    /// The run that sealed it.
    pub run: RunId,
    /// The request.
    pub key: ReplyKey,
}

/// Seals and opens the stored replies of one instance.
pub struct ReplyKeys {
    tenant: TenantId,
    instance: InstanceId,
    keys: Vec<(i32, KeyBytes)>,
}

impl Vault {
    /// Gets ready to seal and open the stored replies of an instance, with these of the tenant's data keys, each with its
    /// number.
    ///
    /// # Errors
    /// When a key can't be unwrapped.
    pub async fn reply_keys(
        &self,
        tenant: TenantId,
        instance: InstanceId,
        keys: &[(i32, WrappedKey)],
    ) -> Result<ReplyKeys, SecretError> {
        let mut derived = Vec::with_capacity(keys.len());
        for (key_id, wrapped) in keys {
            let key = self.unwrap(wrapped, &KeyContext { tenant }).await?;
            derived.push((*key_id, of_instance(&key, tenant, instance)?));
        }
        Ok(ReplyKeys { tenant, instance, keys: derived })
    }
}

fn of_instance(key: &TenantKey, tenant: TenantId, instance: InstanceId) -> Result<KeyBytes, SecretError> {
    let prk = Salt::new(HKDF_SHA256, PURPOSE).extract(&key.bytes()[..]);
    expand(&prk, &[b"instance", tenant.0.as_bytes(), instance.0.as_bytes()])
}

fn expand(prk: &Prk, info: &[&[u8]]) -> Result<KeyBytes, SecretError> {
    let mut key: KeyBytes = Zeroizing::new([0; 32]);
    prk.expand(info, HKDF_SHA256).and_then(|okm| okm.fill(&mut *key)).map_err(|_| SecretError::Seal)?;
    Ok(key)
}

impl ReplyKeys {
    /// Seals a part.
    ///
    /// # Errors
    /// When there is no such key, or no randomness.
    pub fn seal(&self, place: &ReplyPlace, part: ReplyPart, plaintext: &[u8]) -> Result<Sealed, SecretError> {
        let bytes = aead::seal(&self.key(place)?, &self.about(place, part), plaintext)?;
        Ok(Sealed { bytes })
    }

    /// Opens a part.
    ///
    /// # Errors
    /// When there is no such key (any more), or it was changed or is another place's.
    pub fn open(&self, place: &ReplyPlace, part: ReplyPart, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        aead::open(&self.key(place)?, &self.about(place, part), sealed, "stored reply")
    }

    /// The key of a run. A few microseconds; so none is kept.
    fn key(&self, place: &ReplyPlace) -> Result<KeyBytes, SecretError> {
        let (_, key) = self.keys.iter().find(|(id, _)| *id == place.key_id).ok_or(SecretError::Open("stored reply"))?;
        expand(&Prk::new_less_safe(HKDF_SHA256, &key[..]), &[b"run", place.run.0.as_bytes()])
    }

    /// Everything has a fixed length, so no two places have the same bytes.
    fn about(&self, place: &ReplyPlace, part: ReplyPart) -> Vec<u8> {
        let part: &[u8] = match part {
            ReplyPart::Validator => b"v",
            ReplyPart::Reply => b"r",
        };
        [
            b"porthole stored reply v1\0",
            self.tenant.0.as_bytes().as_slice(),
            self.instance.0.as_bytes(),
            place.run.0.as_bytes(),
            &place.key.0,
            part,
        ]
        .concat()
    }
}

impl fmt::Debug for ReplyKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplyKeys({}, {} keys, [redacted])", self.instance, self.keys.len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::secret::KeyFile;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_part_opens_at_its_own_place_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::new(Arc::new(KeyFile::open_or_create(&folder.path().join("kek")).unwrap()));
        let (tenant, instance) = (TenantId::new(), InstanceId::new());
        let wrapped = vault.new_tenant_key(tenant).await.unwrap();
        let keys = vault.reply_keys(tenant, instance, &[(1, wrapped.clone())]).await.unwrap();
        let place = ReplyPlace { key_id: 1, run: RunId::new(), key: ReplyKey([7; 16]) };
        let sealed = keys.seal(&place, ReplyPart::Reply, b"a page").unwrap().bytes;
        assert!(memchr::memmem::find(&sealed, b"a page").is_none());
        assert_eq!(keys.open(&place, ReplyPart::Reply, &sealed).unwrap().as_slice(), b"a page");
        // The same keys, unwrapped by another worker.
        let again = vault.reply_keys(tenant, instance, &[(1, wrapped.clone())]).await.unwrap();
        assert_eq!(again.open(&place, ReplyPart::Reply, &sealed).unwrap().as_slice(), b"a page");

        assert!(keys.open(&place, ReplyPart::Validator, &sealed).is_err(), "another part");
        for other in [
            ReplyPlace { key_id: 2, ..place },
            ReplyPlace { run: RunId::new(), ..place },
            ReplyPlace { key: ReplyKey([8; 16]), ..place },
        ] {
            assert!(keys.open(&other, ReplyPart::Reply, &sealed).is_err(), "{other:?}");
        }
        let elsewhere = vault.reply_keys(tenant, InstanceId::new(), &[(1, wrapped.clone())]).await.unwrap();
        assert!(elsewhere.open(&place, ReplyPart::Reply, &sealed).is_err(), "another instance");
        assert!(vault.reply_keys(TenantId::new(), instance, &[(1, wrapped)]).await.is_err(), "another tenant");
        let new = vault.new_tenant_key(tenant).await.unwrap();
        let rotated = vault.reply_keys(tenant, instance, &[(1, new)]).await.unwrap();
        assert!(rotated.open(&place, ReplyPart::Reply, &sealed).is_err(), "another data key");
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(keys.open(&place, ReplyPart::Reply, &changed).is_err());
        assert!(keys.open(&place, ReplyPart::Reply, b"").is_err());
        assert!(!format!("{keys:?}").contains("[1"));
    }
}
