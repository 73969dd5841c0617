//! A bought token: kept until shortly before it expires, bought once however many ask at the same time.

use super::Clock;
use super::fault::CredentialFault;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use zeroize::Zeroizing;

/// How long before its end a token is replaced: longer than any request and its retries take, and than clocks differ.
const MARGIN: Duration = Duration::from_secs(5 * 60);
/// How long a new token is kept though requests are refused. Eight requests under way with an old token bring eight
/// 401s; only the first of them may throw a token away.
const SETTLED: Duration = Duration::from_secs(10);

/// A bought token. Wiped when dropped.
pub(super) struct Token {
    value: Zeroizing<String>,
    bought_at: SystemTime,
    use_until: SystemTime,
}

impl Token {
    /// A token that lives this long from now.
    pub(super) fn new(value: Zeroizing<String>, now: SystemTime, lifetime: Duration) -> Self {
        let use_for = lifetime - MARGIN.min(lifetime / 2);
        // A lifetime past the end of time is as good as a day.
        let use_until = now.checked_add(use_for).unwrap_or(now + Duration::from_secs(24 * 60 * 60));
        Self { value, bought_at: now, use_until }
    }

    pub(super) fn value(&self) -> &str {
        &self.value
    }
}

/// The token of one slot.
#[derive(Default)]
pub(super) struct TokenCache {
    current: Mutex<Option<Arc<Token>>>,
    /// Held by the one who buys; holds how the last purchase failed.
    buying: tokio::sync::Mutex<Option<CredentialFault>>,
    /// Counts purchases that have ended.
    purchases: AtomicU64,
}

impl TokenCache {
    /// The token, bought with `fetch` if there is none that can be used. Whoever waited for somebody else's purchase
    /// takes its result, the fault too: a refused secret isn't tried once for each of them.
    pub(super) async fn get<F, R>(&self, clock: &Clock, fetch: F) -> Result<Arc<Token>, CredentialFault>
    where
        F: FnOnce() -> R,
        R: Future<Output = Result<Token, CredentialFault>>,
    {
        if let Some(token) = self.usable(clock()) {
            return Ok(token);
        }
        let before = self.purchases.load(Ordering::Acquire);
        let mut failed = self.buying.lock().await;
        if let Some(token) = self.usable(clock()) {
            return Ok(token);
        }
        if let Some(fault) = failed.as_ref().filter(|_| self.purchases.load(Ordering::Acquire) != before) {
            return Err(fault.clone());
        }
        // If our caller goes away here, the lock is free again and the next one buys.
        let bought = fetch().await.map(Arc::new);
        *failed = bought.as_ref().err().cloned();
        *self.current() = bought.as_ref().ok().cloned();
        self.purchases.fetch_add(1, Ordering::Release);
        bought
    }

    /// Drops the token, unless it is so new that the refusal must have been its predecessor's.
    pub(super) fn rejected(&self, now: SystemTime) {
        let settled = |token: &mut Arc<Token>| now.duration_since(token.bought_at).is_ok_and(|age| age >= SETTLED);
        self.current().take_if(settled);
    }

    fn usable(&self, now: SystemTime) -> Option<Arc<Token>> {
        self.current().as_ref().filter(|token| now < token.use_until).cloned()
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Option<Arc<Token>>> {
        // Nothing panics while it is held; and if it did, a token is whole or absent.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
