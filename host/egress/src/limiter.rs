//! One provider account's budget, shared by every session that uses the account: how many requests are under way, how far
//! apart they start, and a gate that stays closed until the provider wants to hear from us again.
//!
//! Who waits for the gate or the pace holds no place among the requests under way. [`crate::pace`] knows how long a wait
//! is; this file only keeps what has to be remembered.

use crate::pace::{RateSigns, SHORTEST_LIMIT_WAIT, unnamed_limit};
use porthole_model::manifest::Rate;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The accounts in use. An account is forgotten when its last session ends, unless its gate is still closed.
#[derive(Debug, Default)]
pub(crate) struct Accounts(Mutex<HashMap<String, Entry>>);

#[derive(Debug)]
enum Entry {
    /// Some session uses it.
    Live(Weak<Account>),
    /// No session uses it, but the provider said to stay away.
    Closed(Gate),
}

impl Accounts {
    /// The account of a key.
    pub(crate) fn open(&self, key: &str, now: Instant) -> Arc<Account> {
        let mut accounts = lock(&self.0);
        accounts.retain(|_, entry| match entry {
            Entry::Live(account) => account.strong_count() > 0,
            Entry::Closed(gate) => gate.wait(now).is_some(),
        });
        let gate = match accounts.get(key) {
            Some(Entry::Live(account)) => match account.upgrade() {
                Some(account) => return account,
                None => Gate::default(),
            },
            Some(Entry::Closed(gate)) => gate.clone(),
            None => Gate::default(),
        };
        let account = Arc::new(Account { state: Mutex::new(State { gate, ..State::default() }) });
        accounts.insert(key.to_owned(), Entry::Live(Arc::downgrade(&account)));
        account
    }

    /// A session of the account ends. A closed gate outlives it, so that the next run doesn't knock too early.
    pub(crate) fn close(&self, key: &str, account: &Arc<Account>, now: Instant) {
        let mut accounts = lock(&self.0);
        let gate = lock(&account.state).gate.clone();
        if Arc::strong_count(account) == 1 && gate.wait(now).is_some() {
            accounts.insert(key.to_owned(), Entry::Closed(gate));
        }
    }
}

/// What is remembered about an account.
#[derive(Debug)]
pub(crate) struct Account {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    under_way: u32,
    /// In the order in which they came. None of them could start now: whoever frees a place hands it on.
    waiting: VecDeque<Waiter>,
    next_start: Option<Instant>,
    gate: Gate,
}

/// A call that waits for a place among at most so many.
#[derive(Debug)]
struct Waiter {
    most: u32,
    give: oneshot::Sender<Place>,
}

/// Closed until a time, and why.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate {
    until: Option<Instant>,
    closed_at: Option<Instant>,
    reason: String,
    strikes: u32,
}

/// Why and how long a call has to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) wait: Duration,
    pub(crate) reason: String,
}

impl Gate {
    fn wait(&self, now: Instant) -> Option<Hold> {
        let wait = self.until?.checked_duration_since(now).filter(|wait| !wait.is_zero())?;
        Some(Hold { wait, reason: self.reason.clone() })
    }

    /// The provider refused a request that was sent at `sent_at`. Requests that were under way together are refused
    /// together; only one sent after the gate last closed is a further strike.
    fn refuse(&mut self, signs: &RateSigns, sent_at: Instant, now: Instant) {
        let again = self.closed_at.is_none_or(|closed_at| sent_at > closed_at);
        if again {
            self.strikes = self.strikes.saturating_add(1);
        }
        match signs.wait() {
            Some(wait) => self.close(wait, "rate limit of the provider", now),
            None if again => {
                self.close(unnamed_limit(self.strikes), "rate limit of the provider, which names no time", now)
            }
            // The same incident, and its gate is closed already.
            None => {}
        }
    }

    /// Closes for at least so long. It never opens earlier than it was going to.
    fn close(&mut self, wait: Duration, reason: &str, now: Instant) {
        let until = now.checked_add(wait);
        if until > self.until {
            self.until = until;
            reason.clone_into(&mut self.reason);
        }
        self.closed_at = Some(now);
    }
}

impl Account {
    /// How long a call has to wait before it may start. `None` means now.
    pub(crate) fn hold(&self, now: Instant) -> Option<Hold> {
        lock(&self.state).gate.wait(now)
    }

    /// Takes the next start of the declared pace and says how far away it is.
    pub(crate) fn pace(&self, rate: &Rate, now: Instant) -> Option<Duration> {
        let per_second = rate.per_second.filter(|n| *n > 0)?;
        let mut state = lock(&self.state);
        let start = state.next_start.map_or(now, |next| next.max(now));
        state.next_start = start.checked_add(Duration::from_secs(1) / per_second);
        start.checked_duration_since(now).filter(|wait| !wait.is_zero())
    }

    /// Waits for a place among the requests under way.
    pub(crate) async fn place(self: &Arc<Self>, rate: &Rate) -> Place {
        let most = rate.concurrent.max(1);
        loop {
            let given = {
                let mut state = lock(&self.state);
                if state.under_way < most {
                    state.under_way += 1;
                    return Place(Arc::clone(self));
                }
                let (give, given) = oneshot::channel();
                state.waiting.push_back(Waiter { most, give });
                given
            };
            // The other half is dropped with the account, which is held here.
            if let Ok(place) = given.await {
                return place;
            }
        }
    }

    /// The provider refused for its limit.
    pub(crate) fn refused(&self, signs: &RateSigns, sent_at: Instant, now: Instant) {
        lock(&self.state).gate.refuse(signs, sent_at, now);
    }

    /// The provider answered. Perhaps that was the last request it allows for now.
    pub(crate) fn answered(&self, signs: &RateSigns, now: Instant) {
        let mut state = lock(&self.state);
        state.gate.strikes = 0;
        if signs.exhausted
            && let Some(reset) = signs.reset
        {
            state.gate.close(reset.max(SHORTEST_LIMIT_WAIT), "no request left in the provider's window", now);
        }
    }
}

/// A place among the requests under way; dropping it frees it, and one waiter gets it: waking all of them for each place
/// would cost more than the calls.
#[derive(Debug)]
pub(crate) struct Place(Arc<Account>);

impl Drop for Place {
    fn drop(&mut self) {
        let next = {
            let mut state = lock(&self.0.state);
            state.under_way = state.under_way.saturating_sub(1);
            let under_way = state.under_way;
            // Sessions may allow different numbers, so the first in the row might have to go on waiting.
            let at = state.waiting.iter().position(|waiter| under_way < waiter.most);
            let next = at.and_then(|at| state.waiting.remove(at));
            state.under_way += u32::from(next.is_some());
            next
        };
        if let Some(waiter) = next {
            // A waiter that is gone gives the place back, and so on to the next one.
            drop(waiter.give.send(Place(Arc::clone(&self.0))));
        }
    }
}

/// What is behind these locks is whole after every statement, so a panic elsewhere doesn't spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn retry_after(seconds: u64) -> RateSigns {
        RateSigns { retry_after: Some(s(seconds)), ..RateSigns::default() }
    }

    fn wait(account: &Account, now: Instant) -> Option<u64> {
        account.hold(now).map(|hold| hold.wait.as_secs())
    }

    #[test]
    fn the_gate_opens_when_the_provider_said_and_never_earlier() {
        let start = Instant::now();
        let account = Accounts::default().open("a", start);
        assert_eq!(wait(&account, start), None);
        account.refused(&retry_after(30), start, start);
        assert_eq!(wait(&account, start + s(10)), Some(20));
        account.refused(&retry_after(5), start, start + s(10));
        assert_eq!(wait(&account, start + s(10)), Some(20));
        assert_eq!(wait(&account, start + s(30)), None);
    }

    #[test]
    fn limits_without_a_time_double_once_for_each_incident() {
        let start = Instant::now();
        let account = Accounts::default().open("a", start);
        let unnamed = RateSigns::default();
        // Three requests that were under way together.
        for _ in 0..3 {
            account.refused(&unnamed, start, start + s(1));
        }
        assert_eq!(wait(&account, start + s(1)), Some(60));
        // The first one after the gate opened is refused again.
        account.refused(&unnamed, start + s(62), start + s(63));
        assert_eq!(wait(&account, start + s(63)), Some(120));
        // A success forgets the strikes.
        account.answered(&unnamed, start + s(200));
        account.refused(&unnamed, start + s(201), start + s(202));
        assert_eq!(wait(&account, start + s(202)), Some(60));
    }

    #[test]
    fn the_last_request_of_a_window_closes_the_gate() {
        let start = Instant::now();
        let account = Accounts::default().open("a", start);
        account.answered(&RateSigns { exhausted: true, reset: Some(s(40)), ..RateSigns::default() }, start);
        assert_eq!(wait(&account, start), Some(40));
    }

    #[test]
    fn starts_keep_the_declared_distance() {
        let start = Instant::now();
        let account = Accounts::default().open("a", start);
        let rate = Rate { concurrent: 8, per_second: Some(4) };
        let waits: Vec<_> = (0..4).map(|_| account.pace(&rate, start).map_or(0, |w| w.as_millis())).collect();
        assert_eq!(waits, [0, 250, 500, 750]);
        assert_eq!(account.pace(&rate, start + s(9)), None);
        assert_eq!(account.pace(&Rate { concurrent: 8, per_second: None }, start), None);
    }

    #[tokio::test]
    async fn sessions_of_one_account_share_its_places() {
        let accounts = Accounts::default();
        let now = Instant::now();
        let (a, b, other) = (accounts.open("a", now), accounts.open("a", now), accounts.open("b", now));
        let rate = Rate { concurrent: 2, per_second: None };
        let first = a.place(&rate).await;
        let _second = b.place(&rate).await;
        let _elsewhere = other.place(&rate).await;
        let third = tokio::spawn(async move { b.place(&rate).await });
        tokio::task::yield_now().await;
        assert!(!third.is_finished());
        drop(first);
        assert!(tokio::time::timeout(s(5), third).await.is_ok());
    }

    #[tokio::test]
    async fn a_freed_place_goes_to_the_first_who_may_have_it_and_still_waits() {
        let account = Accounts::default().open("a", Instant::now());
        let (one, three) = (Rate { concurrent: 1, per_second: None }, Rate { concurrent: 3, per_second: None });
        let held = [account.place(&three).await, account.place(&three).await, account.place(&three).await];
        let waits = |rate: Rate| {
            let account = Arc::clone(&account);
            tokio::spawn(async move { account.place(&rate).await })
        };
        let (narrow, gone, wide) = (waits(one), waits(three), waits(three));
        tokio::task::yield_now().await;
        gone.abort();
        assert!(gone.await.is_err());
        let [first, second, third] = held;
        drop(first);
        let wide = tokio::time::timeout(s(5), wide).await.unwrap().unwrap();
        assert!(!narrow.is_finished(), "two are under way, and it allows one");
        drop((second, third, wide));
        assert!(tokio::time::timeout(s(5), narrow).await.is_ok());
        assert_eq!(lock(&account.state).under_way, 0);
    }

    #[test]
    fn a_closed_gate_outlives_its_session() {
        let accounts = Accounts::default();
        let now = Instant::now();
        let account = accounts.open("a", now);
        account.refused(&retry_after(30), now, now);
        accounts.close("a", &account, now);
        drop(account);
        assert_eq!(wait(&accounts.open("a", now), now), Some(30));
        assert_eq!(wait(&accounts.open("b", now), now), None);
    }
}
