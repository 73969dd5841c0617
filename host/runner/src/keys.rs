//! Keys of secrets, where the database and the room for secrets meet: which key seals, replacing a tenant's data key,
//! wrapping data keys with another key-encryption key, and what may be retired.
//!
//! None of it needs a pause. A run under way holds its sealed secrets and its wrapped key as they were, and both still
//! open; a run that begins reads them in one statement, before or after. Everything can be killed at any moment and run
//! again: a data key is replaced in one transaction, and key-encryption keys wrap one data key at a time, each as good as
//! the other until the old one is retired.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use porthole_egress::secret::{Binding, KeyRing, Sealed, SecretError, Vault, WrappedKey};
use porthole_model::audit::{Action, Entry, Object};
use porthole_model::context::OpContext;
use porthole_model::id::{InstanceId, Slot, TenantId};
use porthole_store::credentials::{self, SealingKey};
use porthole_store::keys::{self, DataKey};
use porthole_store::tenants::{self, Tenant};
use porthole_store::{Store, StoreError, TenantTx, audit};

/// Tenants whose keys are wrapped anew at once: enough to hide the way to a key service, and half of the connections that
/// a process has to the database.
const REWRAPS_AT_ONCE: usize = 8;
/// How often a key is read again that others change in the meantime. Each time one of them has come further.
const MAX_TRIES: u32 = 10;

/// Why keys were not replaced.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key file or the key service.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A stored key that isn't one.
    #[error("data key v{key_id} of tenant {tenant} can't be read from its row")]
    Stored {
        /// The tenant.
        tenant: TenantId,
        /// The number of the key.
        key_id: i32,
        /// Why.
        source: serde_json::Error,
    },
    /// One secret doesn't open, so the key that sealed it can't go.
    #[error(
        "the secret in slot `{slot}` of instance {instance} doesn't open, so nothing was changed; set it anew with \
         `porthole credential set`, or remove it"
    )]
    Unreadable {
        /// The instance.
        instance: InstanceId,
        /// The slot.
        slot: Slot,
        /// Why.
        source: Box<SecretError>,
    },
    /// There is nothing to rotate.
    #[error("tenant {0} has no data key; its first credential makes one")]
    NoKey(TenantId),
    /// Others change the same key all the time.
    #[error("the data keys of tenant {0} are being changed by others; try again")]
    Busy(TenantId),
    /// A key-encryption key that nobody knows.
    #[error("there is no key-encryption key `{wanted}`; there are: {known}")]
    UnknownKey {
        /// What was asked for.
        wanted: String,
        /// The ids of those there are.
        known: String,
    },
    /// A key-encryption key that still wraps something.
    #[error("key `{key}` still wraps {keys} data keys, of {tenants}: run `porthole key rotate` first")]
    InUse {
        /// The key, or an older one that would go with it.
        key: String,
        /// How many it wraps.
        keys: usize,
        /// Whose.
        tenants: String,
    },
}

/// A tenant's data keys, live and ended.
#[derive(Debug, Clone)]
pub struct TenantKeys {
    /// The tenant.
    pub tenant: Tenant,
    /// Newest first, each with the id of the key-encryption key that wraps it; none for one that ended.
    pub keys: Vec<(DataKey, Option<String>)>,
}

/// What became of a tenant's data keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// The number of the new key.
    pub to: i32,
    /// Secrets that it seals now.
    pub resealed: usize,
    /// Keys that ended, because nothing needs them any more.
    pub ended: Vec<i32>,
}

/// How far a re-wrapping came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rewrapped {
    /// Tenants that were looked at.
    pub tenants: usize,
    /// Data keys that were wrapped anew.
    pub keys: usize,
}

/// A data key as the vault takes it.
pub(crate) fn open(tenant: TenantId, key: &keys::WrappedKey) -> Result<WrappedKey, KeysError> {
    let stored = |source| KeysError::Stored { tenant, key_id: key.key_id, source };
    serde_json::from_value(key.wrapped.clone()).map_err(stored)
}

fn close(tenant: TenantId, key_id: i32, key: &WrappedKey) -> Result<keys::WrappedKey, KeysError> {
    let wrapped = serde_json::to_value(key).map_err(|source| KeysError::Stored { tenant, key_id, source })?;
    Ok(keys::WrappedKey { key_id, wrapped })
}

/// The data key that seals a tenant's secrets, and its number. The tenant's first secret makes it. It stays live until
/// the transaction ends.
///
/// # Errors
/// When the database, the key file or the key service fails.
pub async fn sealing_key(ctx: &OpContext, tx: &mut TenantTx, vault: &Vault) -> Result<(i32, WrappedKey), KeysError> {
    let tenant = tx.tenant();
    for _ in 0..MAX_TRIES {
        if let Some(current) = keys::current(tx).await? {
            return Ok((current.key_id, open(tenant, &current)?));
        }
        let key = vault.new_tenant_key(tenant).await?;
        let row = close(tenant, keys::next_id(tx).await?, &key)?;
        match keys::add(ctx, tx, &row).await {
            Ok(()) => return Ok((row.key_id, key)),
            // Two first secrets at once: the other one's key is the tenant's.
            Err(StoreError::Changed { .. }) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Err(KeysError::Busy(tenant))
}

/// Gives a tenant a new data key and moves all its secrets to it, in one transaction. Nobody sees a secret; nobody enters
/// one again.
///
/// # Errors
/// When one of the secrets doesn't open (nothing is changed then), or the database, the key file or the key service fails.
pub async fn rotate_tenant(
    ctx: &OpContext,
    store: &Store,
    vault: &Vault,
    tenant: TenantId,
) -> Result<Rotated, KeysError> {
    // Before the lock, because a key service may take its time.
    let new = vault.new_tenant_key(tenant).await?;
    let mut tx = store.tenant(tenant).await?;
    if keys::lock(&mut tx).await?.is_empty() {
        return Err(KeysError::NoKey(tenant));
    }
    let row = close(tenant, keys::next_id(&mut tx).await?, &new)?;
    keys::add(ctx, &mut tx, &row).await?;
    let mut resealed = 0;
    let mut resealer = None;
    for secret in credentials::sealed(&mut tx, None).await? {
        // What was shredded stays what it is.
        let SealingKey::Wrapped(wrapped) = secret.key else { continue };
        let of = secret.credential;
        let same = resealer.take().filter(|(key_id, _)| *key_id == of.key_id);
        let ready = match same {
            Some(ready) => ready,
            None => {
                let from = open(tenant, &keys::WrappedKey { key_id: of.key_id, wrapped })?;
                (of.key_id, vault.resealer(tenant, &from, &new).await?)
            }
        };
        let binding = Binding { tenant, instance: of.instance, slot: of.slot.clone(), version: of.version };
        let sealed = ready.1.reseal(&binding, &Sealed { bytes: secret.sealed }).map_err(|source| {
            KeysError::Unreadable { instance: of.instance, slot: of.slot.clone(), source: Box::new(source) }
        })?;
        resealer = Some(ready);
        // One that was removed a moment ago needs no seal.
        resealed += usize::from(credentials::reseal(&mut tx, &of, row.key_id, &sealed.bytes).await?);
    }
    let ended = keys::end_unused(ctx, &mut tx, row.key_id, resealed).await?;
    tx.commit().await?;
    Ok(Rotated { to: row.key_id, resealed, ended })
}

/// The data keys of all tenants, or of one.
///
/// # Errors
/// When the database fails.
pub async fn uses(store: &Store, only: Option<TenantId>) -> Result<Vec<TenantKeys>, KeysError> {
    let mut tx = store.begin().await?;
    let tenants = tenants::list(&mut tx).await?;
    tx.commit().await?;
    let wanted = tenants.into_iter().filter(|tenant| only.is_none_or(|only| only == tenant.id));
    let all = stream::iter(wanted).map(|tenant| uses_of(store, tenant)).buffered(REWRAPS_AT_ONCE);
    all.try_collect().await
}

async fn uses_of(store: &Store, tenant: Tenant) -> Result<TenantKeys, KeysError> {
    let mut tx = store.tenant(tenant.id).await?;
    let list = keys::list(&mut tx).await?;
    tx.commit().await?;
    let mut all = Vec::with_capacity(list.len());
    for key in list {
        let wrapped = key.wrapped.clone().map(|wrapped| keys::WrappedKey { key_id: key.key_id, wrapped });
        let wrapped_with = wrapped.map(|wrapped| open(tenant.id, &wrapped)).transpose()?.map(|wrapped| wrapped.key_id);
        all.push((key, wrapped_with));
    }
    Ok(TenantKeys { tenant, keys: all })
}

/// Begins a rotation of the key-encryption key, or goes on with one: when something is wrapped with an older key, there is
/// nothing new to make, only the rest to be done. (So it is when a key service rotated by itself.) Returns the key to wrap
/// with, and whether it is new. Its record is there before anything is wrapped with it.
///
/// # Errors
/// When the database, the key file or the key service fails.
pub async fn begin_rotation(ctx: &OpContext, store: &Store, vault: &Vault) -> Result<(String, bool), KeysError> {
    let uses = uses(store, None).await?;
    let current = vault.key_id().await?;
    let mut all = uses.iter().flat_map(|of| &of.keys).filter_map(|(_, with)| with.as_ref());
    let is_new = !all.any(|with| *with != current);
    let current = if is_new { vault.rotate().await? } else { current };
    let mut tx = store.begin().await?;
    let entry = Entry::new(Action::KeyRotated, kek(&current)).count("continued", u64::from(!is_new));
    audit::append(ctx, &mut tx, entry).await?;
    tx.commit().await?;
    Ok((current, is_new))
}

/// The object of a record about a key-encryption key.
fn kek(id: &str) -> Object {
    Object::new("key-encryption-key", id)
}

/// Wraps every tenant's data keys with the current key-encryption key, `current` by its id. Those that are wrapped with
/// it already are left alone, so this goes on where one that was killed stopped.
///
/// # Errors
/// When the database, the key file or the key service fails. What is done stays done.
pub async fn rewrap_all(ctx: &OpContext, store: &Store, vault: &Vault, current: &str) -> Result<Rewrapped, KeysError> {
    let mut tx = store.begin().await?;
    let tenants = tenants::list(&mut tx).await?;
    tx.commit().await?;
    let mut done = stream::iter(tenants)
        .map(|tenant| rewrap_tenant(ctx, store, vault, current, tenant.id))
        .buffer_unordered(REWRAPS_AT_ONCE);
    let mut total = Rewrapped::default();
    while let Some(keys) = done.try_next().await? {
        total.tenants += 1;
        total.keys += keys;
    }
    Ok(total)
}

/// Wraps one tenant's data keys with the current key-encryption key, and says how many it were. The key service is asked
/// without a lock on anything; a key that someone else changed meanwhile is looked at again.
async fn rewrap_tenant(
    ctx: &OpContext,
    store: &Store,
    vault: &Vault,
    current: &str,
    tenant: TenantId,
) -> Result<usize, KeysError> {
    let mut done = 0;
    for _ in 0..MAX_TRIES {
        let mut tx = store.tenant(tenant).await?;
        let live = keys::live(&mut tx).await?;
        tx.commit().await?;
        let mut changed = false;
        for key in live {
            let former = open(tenant, &key)?;
            if former.key_id == current {
                continue;
            }
            let wrapped = close(tenant, key.key_id, &vault.rewrap(tenant, &former).await?)?;
            let mut tx = store.tenant(tenant).await?;
            if keys::rewrap(ctx, &mut tx, &key, &wrapped.wrapped).await? {
                tx.commit().await?;
                done += 1;
            } else {
                tx.rollback().await?;
                changed = true;
            }
        }
        if !changed {
            return Ok(done);
        }
    }
    Err(KeysError::Busy(tenant))
}

/// Which data keys are wrapped with these key-encryption keys: how many, and whose.
#[must_use]
pub fn wrapped_with<'u>(uses: &'u [TenantKeys], ids: &[String]) -> (usize, Vec<&'u Tenant>) {
    let mut tenants = Vec::new();
    let mut count = 0;
    for of in uses {
        let wrapped = of.keys.iter().filter(|(_, with)| with.as_ref().is_some_and(|with| ids.contains(with))).count();
        if wrapped > 0 {
            count += wrapped;
            tenants.push(&of.tenant);
        }
    }
    (count, tenants)
}

/// The keys of a ring that go when this one is retired: itself, and all older ones where a place can't do otherwise.
#[must_use]
pub fn goes_with(ring: &KeyRing, id: &str) -> Vec<String> {
    let from = ring.ids.iter().position(|known| known == id);
    let ids = from.and_then(|from| ring.ids.get(from..)).unwrap_or_default();
    ids.iter().take(if ring.retires_older { ids.len() } else { 1 }).cloned().collect()
}

/// Gives up a key-encryption key that wraps nothing any more. Returns the ids that went.
///
/// # Errors
/// When there is no such key, it is the current one, or it still wraps a data key; when the database, the key file or the
/// key service fails.
pub async fn retire(ctx: &OpContext, store: &Store, vault: &Vault, id: &str) -> Result<Vec<String>, KeysError> {
    let rings = vault.rings().await?;
    let Some(ring) = rings.iter().find(|ring| ring.ids.iter().any(|known| known == id)) else {
        let known = rings.iter().flat_map(|ring| &ring.ids).cloned().collect::<Vec<_>>().join(", ");
        return Err(KeysError::UnknownKey { wanted: id.to_owned(), known });
    };
    if ring.current.as_deref() == Some(id) {
        return Err(SecretError::CurrentKey(id.to_owned()).into());
    }
    let gone = goes_with(ring, id);
    let uses = uses(store, None).await?;
    let (keys, tenants) = wrapped_with(&uses, &gone);
    if keys > 0 {
        // Enough to know where to look.
        let mut names: Vec<_> = tenants.iter().take(5).map(|tenant| tenant.name.to_string()).collect();
        if tenants.len() > names.len() {
            names.push(format!("{} more", tenants.len() - names.len()));
        }
        return Err(KeysError::InUse { key: id.to_owned(), keys, tenants: names.join(", ") });
    }
    // The record comes first: there is no way back, and what can't be recorded isn't done.
    let mut tx = store.begin().await?;
    let entries = gone.iter().map(|id| Entry::new(Action::KeyRetired, kek(id))).collect();
    audit::append_all(ctx, &mut tx, entries).await?;
    tx.commit().await?;
    vault.retire(id).await?;
    Ok(gone)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn ring(retires_older: bool) -> KeyRing {
        let ids = ["c", "b", "a"].map(str::to_owned).to_vec();
        KeyRing { place: String::new(), current: Some("c".to_owned()), ids, retires_older }
    }

    #[test]
    fn a_place_with_a_lowest_version_retires_the_older_ones_too() {
        assert_eq!(goes_with(&ring(false), "b"), ["b"]);
        assert_eq!(goes_with(&ring(true), "b"), ["b", "a"]);
        assert!(goes_with(&ring(true), "x").is_empty());
    }
}
