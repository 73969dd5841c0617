//! How long to wait: what a reply's headers ask for, how far apart retries are, and how much waiting a run may do. Pure:
//! the time is handed in, so the tables below need no sleep.

use reqwest::header::HeaderMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The first retry waits up to this long.
pub const BACKOFF_BASE: Duration = Duration::from_millis(250);
/// No retry waits longer than this: a provider that is down for minutes is for the next run.
pub const BACKOFF_CAP: Duration = Duration::from_secs(30);
/// The first wait after a limit that names no time. Providers that document one ask for a minute at least.
pub const UNNAMED_LIMIT_WAIT: Duration = Duration::from_secs(60);
/// The shortest wait after any limit. `Retry-After: 0` in a loop would be a busy loop.
pub const SHORTEST_LIMIT_WAIT: Duration = Duration::from_millis(500);
/// A wait beyond this is a provider's mistake or an attack; it is cut so that the arithmetic stays far from overflow.
const LONGEST_NAMED_WAIT: Duration = Duration::from_secs(366 * 24 * 3600);
/// Below this a reset is a number of seconds to wait, above it a time: 1,000,000,000 s was in 2001.
const FIRST_PLAUSIBLE_EPOCH: u64 = 1_000_000_000;

/// The spellings of "so many requests are left" and "at this time there are more" that providers use.
const LIMIT_HEADERS: &[(&str, &str)] = &[
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
    ("x-rate-limit-remaining", "x-rate-limit-reset"),
    ("ratelimit-remaining", "ratelimit-reset"),
];

/// What a reply says about the rate limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateSigns {
    /// `Retry-After`, as a wait from now.
    pub retry_after: Option<Duration>,
    /// No request is left.
    pub exhausted: bool,
    /// When there are more requests, as a wait from now.
    pub reset: Option<Duration>,
}

impl RateSigns {
    /// Reads the headers. Times are relative to the reply's own `Date`, so a clock that is off on either side doesn't
    /// matter.
    #[must_use]
    pub fn read(headers: &HeaderMap, now: SystemTime) -> Self {
        let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim);
        let now = text("date").and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(now);
        let limits = LIMIT_HEADERS.iter().find(|(remaining, _)| headers.contains_key(*remaining));
        Self {
            retry_after: text("retry-after").and_then(|value| retry_after(value, now)),
            exhausted: limits.and_then(|(remaining, _)| text(remaining)).is_some_and(|value| value == "0"),
            reset: limits.and_then(|(_, reset)| text(reset)).and_then(|value| reset_after(value, now)),
        }
    }

    /// How long these headers ask to wait, if they do. `Retry-After` is the more exact of the two.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        let reset = if self.exhausted { self.reset } else { None };
        self.retry_after.or(reset).map(|wait| wait.max(SHORTEST_LIMIT_WAIT))
    }

    /// Do these headers make a 403 a rate limit?
    #[must_use]
    pub fn is_limit(&self) -> bool {
        self.retry_after.is_some() || self.exhausted
    }
}

/// `Retry-After` is a number of seconds or a date (RFC 9110, 10.2.3).
fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    match value.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds).min(LONGEST_NAMED_WAIT)),
        Err(_) => httpdate::parse_http_date(value).ok().map(|date| until(date, now)),
    }
}

fn reset_after(value: &str, now: SystemTime) -> Option<Duration> {
    // Some write fractions of a second; the whole second after it is late enough.
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let seconds = whole.parse::<u64>().ok()?.saturating_add(u64::from(!fraction.is_empty()));
    if seconds < FIRST_PLAUSIBLE_EPOCH {
        return Some(Duration::from_secs(seconds).min(LONGEST_NAMED_WAIT));
    }
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).map(|reset| until(reset, now))
}

fn until(then: SystemTime, now: SystemTime) -> Duration {
    then.duration_since(now).unwrap_or_default().min(LONGEST_NAMED_WAIT)
}

/// How long to wait before the next attempt after failure number `failures` (from 1): full jitter over an exponential,
/// so that calls which failed together don't come back together. `fraction` is random, from 0 to 1.
#[must_use]
pub fn backoff(failures: u32, fraction: f64) -> Duration {
    exponential(BACKOFF_BASE, failures).min(BACKOFF_CAP).mul_f64(fraction.clamp(0.0, 1.0))
}

/// How long to wait after limit number `strikes` (from 1) in a row that names no time: a minute, doubling.
#[must_use]
pub fn unnamed_limit(strikes: u32) -> Duration {
    exponential(UNNAMED_LIMIT_WAIT, strikes).min(LONGEST_NAMED_WAIT)
}

fn exponential(base: Duration, count: u32) -> Duration {
    base.saturating_mul(2_u32.saturating_pow(count.saturating_sub(1)))
}

/// Why a wait isn't worth beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Longer than one wait may be.
    TooLong,
    /// The run's waiting is used up, or would be.
    UsedUp,
}

/// How much waiting a run may do. Calls that wait side by side are charged once: what counts is the time during which
/// the run was held up.
#[derive(Debug, Clone)]
pub struct WaitBudget {
    left: Duration,
    longest: Duration,
    charged_until: Option<Instant>,
}

impl WaitBudget {
    /// A budget for all waits together, and for each of them.
    #[must_use]
    pub fn new(total: Duration, longest: Duration) -> Self {
        Self { left: total, longest, charged_until: None }
    }

    /// Charges a wait that begins now.
    ///
    /// # Errors
    /// When it isn't worth beginning. Nothing is charged then.
    pub fn charge(&mut self, wait: Duration, now: Instant) -> Result<(), Refusal> {
        if wait > self.longest {
            return Err(Refusal::TooLong);
        }
        let end = now.checked_add(wait).ok_or(Refusal::TooLong)?;
        let from = self.charged_until.map_or(now, |until| until.max(now));
        let more = end.saturating_duration_since(from);
        self.left = self.left.checked_sub(more).ok_or(Refusal::UsedUp)?;
        self.charged_until = Some(from.max(end));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    /// Tue, 14 Nov 2023 22:13:20 GMT.
    const NOW: u64 = 1_700_000_000;

    fn signs(headers: &[(&str, &str)]) -> RateSigns {
        let headers = headers
            .iter()
            .map(|(k, v)| (HeaderName::try_from(*k).unwrap(), HeaderValue::try_from(*v).unwrap()))
            .collect();
        RateSigns::read(&headers, UNIX_EPOCH + Duration::from_secs(NOW))
    }

    #[test]
    fn headers_ask_for_the_wait_that_they_mean() {
        type Case = (&'static [(&'static str, &'static str)], Option<u64>);
        const DATE: (&str, &str) = ("date", "Tue, 14 Nov 2023 22:10:00 GMT");
        const CASES: &[Case] = &[
            (&[], None),
            (&[("retry-after", "7")], Some(7)),
            (&[("retry-after", " 7 ")], Some(7)),
            (&[("retry-after", "soon")], None),
            (&[("retry-after", "-1")], None),
            (&[("retry-after", "Tue, 14 Nov 2023 22:13:50 GMT")], Some(30)),
            // The same date, seen from the provider's clock, which is 200 s behind ours.
            (&[("retry-after", "Tue, 14 Nov 2023 22:10:30 GMT"), DATE], Some(30)),
            (&[("retry-after", "18446744073709551615")], Some(366 * 24 * 3600)),
            (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1700000060")], Some(60)),
            (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1699999860"), DATE], Some(60)),
            (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "60")], Some(60)),
            (&[("x-rate-limit-remaining", "0"), ("x-rate-limit-reset", "1700000005.5")], Some(6)),
            (&[("ratelimit-remaining", "0"), ("ratelimit-reset", "9")], Some(9)),
            (&[("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", "1700000060")], None),
            (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "x")], None),
            (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "60"), ("retry-after", "5")], Some(5)),
        ];
        for (headers, wait) in CASES {
            assert_eq!(signs(headers).wait(), wait.map(Duration::from_secs), "{headers:?}");
        }
    }

    #[test]
    fn a_wait_of_nothing_is_still_a_wait() {
        assert_eq!(signs(&[("retry-after", "0")]).wait(), Some(SHORTEST_LIMIT_WAIT));
        assert_eq!(signs(&[("retry-after", "Tue, 14 Nov 2000 22:13:50 GMT")]).wait(), Some(SHORTEST_LIMIT_WAIT));
    }

    #[test]
    fn a_limit_shows_in_the_headers() {
        assert!(signs(&[("retry-after", "7")]).is_limit());
        assert!(signs(&[("x-ratelimit-remaining", "0")]).is_limit());
        assert!(!signs(&[("x-ratelimit-remaining", "4999")]).is_limit());
        assert!(!signs(&[]).is_limit());
    }

    #[test]
    fn retries_move_apart_up_to_a_cap() {
        let waits: Vec<_> = (1..=9).map(|n| backoff(n, 1.0).as_millis()).collect();
        assert_eq!(waits, [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        assert_eq!(backoff(3, 0.0), Duration::ZERO);
        assert_eq!(backoff(3, 0.5), Duration::from_millis(500));
        assert_eq!(backoff(u32::MAX, 1.0), BACKOFF_CAP);
        assert_eq!(unnamed_limit(1), Duration::from_secs(60));
        assert_eq!(unnamed_limit(3), Duration::from_secs(240));
        assert_eq!(unnamed_limit(u32::MAX), LONGEST_NAMED_WAIT);
    }

    #[test]
    fn waits_side_by_side_are_charged_once() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let s = Duration::from_secs;
        let mut budget = WaitBudget::new(s(100), s(60));
        assert_eq!(budget.charge(s(61), at(0)), Err(Refusal::TooLong));
        assert_eq!(budget.charge(s(60), at(0)), Ok(()));
        assert_eq!(budget.charge(s(50), at(5)), Ok(()), "inside the first wait");
        assert_eq!(budget.left, s(40));
        assert_eq!(budget.charge(s(60), at(20)), Ok(()), "20 s beyond it");
        assert_eq!(budget.left, s(20));
        assert_eq!(budget.charge(s(30), at(200)), Err(Refusal::UsedUp));
        assert_eq!(budget.charge(s(20), at(200)), Ok(()));
        assert_eq!(budget.charge(s(1), at(300)), Err(Refusal::UsedUp));
    }
}
