//! Unwrapped tenant keys, for a short while: a worker with many instances of one tenant would ask a key service over the
//! network for the same key again and again.
//!
//! An entry belongs to the wrapped bytes and to the tenant. A key that was rotated or re-wrapped has other wrapped bytes;
//! one that was shredded has none, so nobody can ask for it any more.

use super::key::{KeyContext, TenantKey, WrappedKey};
use ring::digest::{Context, SHA256};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a key is kept: runs that begin together share it, and a key that the service no longer gives out is out of
/// use within minutes.
const TTL: Duration = Duration::from_secs(5 * 60);
/// How many are kept: more tenants than a worker runs at once, and no more than a few KiB.
const MAX_ENTRIES: usize = 64;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct KeyCache {
    entries: Mutex<HashMap<[u8; 32], (TenantKey, Instant)>>,
}

impl KeyCache {
    pub(super) fn get(&self, wrapped: &WrappedKey, context: &KeyContext) -> Option<TenantKey> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, (_, since)| since.elapsed() < TTL);
        entries.get(&name(wrapped, context)).map(|(key, _)| key.share())
    }

    pub(super) fn put(&self, wrapped: &WrappedKey, context: &KeyContext, key: &TenantKey) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, (_, since)| since.elapsed() < TTL);
        if entries.len() >= MAX_ENTRIES {
            let oldest = entries.values().map(|(_, since)| *since).min();
            entries.retain(|_, (_, since)| Some(*since) != oldest);
        }
        entries.insert(name(wrapped, context), (key.share(), Instant::now()));
    }
}

/// What an entry is found by. Every part but the last has its length before it, so no two names come from the same bytes.
fn name(wrapped: &WrappedKey, context: &KeyContext) -> [u8; 32] {
    let mut hash = Context::new(&SHA256);
    for part in [wrapped.key_id.as_bytes(), &context.to_bytes(), &wrapped.bytes] {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut name = [0; 32];
    name.copy_from_slice(hash.finish().as_ref());
    name
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use porthole_model::id::TenantId;

    fn wrapped(bytes: &[u8]) -> WrappedKey {
        WrappedKey { key_id: "k".to_owned(), bytes: bytes.to_vec() }
    }

    #[test]
    fn a_key_is_found_by_its_wrapping_and_its_tenant_alone() {
        let (cache, key) = (KeyCache::default(), TenantKey::random().unwrap());
        let (one, other) = (KeyContext { tenant: TenantId::new() }, KeyContext { tenant: TenantId::new() });
        cache.put(&wrapped(b"a"), &one, &key);
        assert_eq!(cache.get(&wrapped(b"a"), &one).unwrap().bytes(), key.bytes());
        assert!(cache.get(&wrapped(b"b"), &one).is_none());
        assert!(cache.get(&wrapped(b"a"), &other).is_none());
        assert!(cache.get(&WrappedKey { key_id: "j".to_owned(), ..wrapped(b"a") }, &one).is_none());
    }

    #[test]
    fn it_stays_small_and_forgets() {
        let (cache, context) = (KeyCache::default(), KeyContext { tenant: TenantId::new() });
        for n in 0..3 * MAX_ENTRIES as u64 {
            cache.put(&wrapped(&n.to_be_bytes()), &context, &TenantKey::random().unwrap());
        }
        assert!(cache.entries.lock().unwrap().len() <= MAX_ENTRIES);
        let past = Instant::now().checked_sub(TTL).unwrap();
        cache.entries.lock().unwrap().values_mut().for_each(|(_, since)| *since = past);
        assert!(cache.get(&wrapped(&(3 * MAX_ENTRIES as u64 - 1).to_be_bytes()), &context).is_none());
        assert!(cache.entries.lock().unwrap().is_empty());
    }
}
