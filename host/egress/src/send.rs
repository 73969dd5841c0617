//! One call, from the recorded request to the scrubbed reply. The decisions are made elsewhere; this file puts them in
//! order, and the order is the point:
//!
//! gate → place → credential → send → cap → meaning → scrub.
//!
//! The gate comes before the place, so that a call which waits for the provider holds nothing that another could use; the
//! credential comes after every wait, so that a token is fresh when it leaves; scrubbing comes last and covers all that
//! goes back, messages included.

use crate::body::BodyFault;
use crate::client::{Incoming, Outgoing, Traffic, WireFault};
use crate::credential::SecretHeader;
use crate::error_code;
use crate::fault::{CallFault, CallStats, FaultCode, human};
use crate::headers;
use crate::limiter::Place;
use crate::pace::{RateSigns, Refusal, backoff};
use crate::policy::Target;
use crate::session::{Observer, Reply, Reused, SessionInner};
use crate::status::{ReplyRules, Verdict, judge};
use crate::stored_reply::{self, Condition, StoredReply};
use crate::token::Transport;
use crate::validator::{self, Validator};
use bytes::Bytes;
use porthole_model::id::Slot;
use porthole_model::operation::PreparedRequest;
use porthole_model::page::names_next;
use reqwest::header::HeaderMap;
use std::sync::PoisonError;
use std::time::{Duration, Instant, SystemTime};

/// Waits for the declared pace that are shorter than this are not told to the observer.
const TOLD_PACE: Duration = Duration::from_secs(1);
/// The share of a wait for the gate that is added at random, so that the calls of several workers don't come back in one
/// instant; and its most.
const GATE_JITTER: (f64, Duration) = (0.1, Duration::from_secs(1));
/// What a server says that can't do with a condition: bad request, precondition failed, header too large.
const OBJECTIONS: [u16; 3] = [400, 412, 431];

/// Performs a call.
pub(crate) async fn call(
    session: &SessionInner,
    request: &PreparedRequest,
    rules: &ReplyRules,
    condition: Option<&dyn Condition>,
    observer: &dyn Observer,
) -> Result<Reply, CallFault> {
    let began = now();
    let mut call = Call { session, request, rules, condition, observer, stats: CallStats::default(), renewed: false };
    let ended = call.run().await;
    let mut stats = call.stats;
    stats.elapsed_ms = millis(now().saturating_duration_since(began));
    let outcome = match &ended {
        Ok(_) => "ok",
        Err(failure) => failure.code.as_str(),
    };
    tracing::debug!(operation = %request.operation, outcome, attempts = stats.attempts, elapsed_ms = stats.elapsed_ms);
    match ended {
        Ok(reply) => Ok(Reply { stats, ..reply }),
        Err(Failure { code, status, message, permission }) => {
            let message = session.config.credentials.scrub_text(&message);
            Err(CallFault { code, status, message, permission, stats })
        }
    }
}

struct Call<'a> {
    session: &'a SessionInner,
    request: &'a PreparedRequest,
    rules: &'a ReplyRules,
    /// The stored reply that the provider is asked about; none when there is none, or asking was of no use.
    condition: Option<&'a dyn Condition>,
    observer: &'a dyn Observer,
    stats: CallStats,
    /// The credential was renewed after a 401, which is worth one more try and no second one.
    renewed: bool,
}

/// A fault without its statistics.
struct Failure {
    code: FaultCode,
    status: Option<u16>,
    message: String,
    permission: Option<String>,
}

impl Failure {
    fn new(code: FaultCode, status: Option<u16>, message: impl Into<String>) -> Self {
        Self { code, status, message: message.into(), permission: None }
    }
}

/// How one attempt ended.
enum Attempt {
    Done(Reply),
    Failed(Failure),
    /// Worth another try after a pause; the provider may have named its least length.
    Again(Failure, Option<Duration>),
    /// The gate is closed now; worth another try when it opens.
    Limited(Failure),
    /// Worth another try at once: with another credential, or without a condition. Once for each.
    Renewed,
}

impl Call<'_> {
    async fn run(&mut self) -> Result<Reply, Failure> {
        let refuse = |message: String| Failure::new(FaultCode::AddressRefused, None, message);
        let policy = self.session.clients.policy();
        let target = policy.check_url(&self.request.url).map_err(|denial| refuse(denial.to_string()))?;
        let declared = headers::declared(&self.request.headers).map_err(|header| refuse(header.to_string()))?;
        let (mut tries, mut failures) = (0, 0);
        loop {
            let place = self.enter().await?;
            let attempt = self.attempt(&target, &declared).await;
            drop(place);
            tries += 1;
            let last = tries >= self.session.config.limits.max_attempts;
            match attempt {
                Attempt::Done(reply) => return Ok(reply),
                Attempt::Failed(failure) => return Err(failure),
                Attempt::Again(failure, _) | Attempt::Limited(failure) if last => return Err(gave_up(failure, tries)),
                Attempt::Again(failure, least) => {
                    failures += 1;
                    let pause = backoff(failures, rand::random()).max(least.unwrap_or_default());
                    self.pause(pause, failure).await?;
                }
                // `enter` waits for the gate, and says what stands in the way when it may not.
                Attempt::Limited(_) | Attempt::Renewed => {}
            }
        }
    }

    /// Waits for the pace, the gate and a place, and holds the last alone.
    async fn enter(&mut self) -> Result<Place, Failure> {
        let (account, rate) = (&self.session.account, &self.session.config.rate);
        if let Some(wait) = account.pace(rate, now()) {
            if wait >= TOLD_PACE {
                self.observer.waiting(&self.request.operation, wait, "pace that the module declares");
            }
            self.sleep(wait).await;
        }
        loop {
            if let Some(hold) = account.hold(now()) {
                let jitter = hold.wait.mul_f64(GATE_JITTER.0 * rand::random::<f64>()).min(GATE_JITTER.1);
                if let Err(refusal) = self.charge(hold.wait) {
                    return Err(self.limited(&hold.reason, hold.wait, refusal));
                }
                self.observer.waiting(&self.request.operation, hold.wait, &hold.reason);
                self.sleep(hold.wait + jitter).await;
                continue;
            }
            let place = account.place(rate).await;
            // While we waited for the place, somebody may have been refused.
            if account.hold(now()).is_none() {
                return Ok(place);
            }
        }
    }

    /// Waits before another try.
    async fn pause(&mut self, wait: Duration, failure: Failure) -> Result<(), Failure> {
        if let Err(refusal) = self.charge(wait) {
            let limits = &self.session.config.limits;
            let (code, why) = match refusal {
                Refusal::TooLong => (failure.code, format!("the provider asks to wait {}", human(wait))),
                Refusal::UsedUp => (FaultCode::Budget, used_up(limits.retry_budget)),
            };
            return Err(Failure { code, message: format!("{}; {why}", failure.message), ..failure });
        }
        let reason = self.session.config.credentials.scrub_text(&failure.message);
        self.observer.waiting(&self.request.operation, wait, &reason);
        self.sleep(wait).await;
        Ok(())
    }

    fn charge(&self, wait: Duration) -> Result<(), Refusal> {
        self.session.waits.lock().unwrap_or_else(PoisonError::into_inner).charge(wait, now())
    }

    async fn sleep(&mut self, wait: Duration) {
        tokio::time::sleep(wait).await;
        self.stats.waited_ms = self.stats.waited_ms.saturating_add(millis(wait));
    }

    fn limited(&self, reason: &str, wait: Duration, refusal: Refusal) -> Failure {
        let limits = &self.session.config.limits;
        let (code, why) = match refusal {
            Refusal::TooLong => (FaultCode::RateLimited, format!("one wait may take {}", human(limits.max_wait_one))),
            Refusal::UsedUp => (FaultCode::Budget, used_up(limits.retry_budget)),
        };
        Failure::new(code, None, format!("{reason}: {} to wait, and {why}", human(wait)))
    }

    async fn attempt(&mut self, target: &Target, declared: &HeaderMap) -> Attempt {
        let secrets = match self.authorize().await {
            Ok(secrets) => secrets,
            Err(attempt) => return attempt,
        };
        let mut map = declared.clone();
        if let Err(header) = headers::add_secrets(&mut map, &secrets) {
            return Attempt::Failed(Failure::new(FaultCode::Credential, None, header.to_string()));
        }
        if let Some((name, value)) = self.condition.and_then(|condition| condition.validator().header()) {
            map.insert(name, value);
        }
        let limits = &self.session.config.limits;
        let out = Outgoing {
            method: self.request.method,
            target,
            headers: map,
            body: self.request.body.clone().map(Bytes::from),
            max_body_bytes: limits.max_body_bytes,
            timeout: limits.call_timeout,
        };
        let (sent_at, mut traffic) = (now(), Traffic::default());
        let came = self.session.clients.exchange(out, &mut traffic).await;
        self.count(traffic);
        match came {
            Ok(incoming) => self.weigh(incoming, sent_at, &secrets).await,
            Err(fault) => broken(&fault),
        }
    }

    /// The credential's headers; none for an operation without a slot.
    async fn authorize(&self) -> Result<Vec<SecretHeader>, Attempt> {
        let Some(slot) = &self.request.auth else { return Ok(Vec::new()) };
        let session = self.session;
        let transport = Transport { clients: &session.clients, timeout: session.config.limits.call_timeout };
        session.config.credentials.authorize(slot, self.request, &transport).await.map_err(|fault| {
            let failure = Failure::new(FaultCode::Credential, None, fault.to_string());
            if fault.is_retryable() { Attempt::Again(failure, None) } else { Attempt::Failed(failure) }
        })
    }

    fn count(&mut self, traffic: Traffic) {
        self.stats.attempts += 1;
        self.stats.sent_bytes = self.stats.sent_bytes.saturating_add(traffic.sent_bytes);
        self.stats.received_bytes = self.stats.received_bytes.saturating_add(traffic.received_bytes);
        self.stats.address = traffic.address.or(self.stats.address);
    }

    /// What a complete reply means for this call and for the account.
    async fn weigh(&mut self, incoming: Incoming, sent_at: Instant, secrets: &[SecretHeader]) -> Attempt {
        let Incoming { status, headers, body } = incoming;
        let signs = RateSigns::read(&headers, SystemTime::now());
        let account = &self.session.account;
        if let Some(condition) = self.condition
            && (status == 304 || OBJECTIONS.contains(&status))
        {
            // Before its meaning is judged: a 400 that is about the condition must not be an operation's `empty-on`.
            account.answered(&signs, now());
            self.condition = None;
            return if status == 304 { self.not_modified(condition, &headers).await } else { Attempt::Renewed };
        }
        let verdict = judge(self.rules, status, &headers, &signs, &body);
        match verdict {
            Verdict::RateLimited => account.refused(&signs, sent_at, now()),
            Verdict::Retry(_) => {}
            Verdict::Ok | Verdict::Empty | Verdict::Fault { .. } => account.answered(&signs, now()),
        }
        match verdict {
            Verdict::Ok => Attempt::Done(self.reply(status, &headers, body, false)),
            Verdict::Empty => Attempt::Done(self.reply(status, &headers, Vec::new(), true)),
            Verdict::RateLimited => {
                let message = format!("HTTP {status}: rate limit of the provider");
                Attempt::Limited(Failure::new(FaultCode::RateLimited, Some(status), message))
            }
            Verdict::Retry(message) => {
                Attempt::Again(Failure::new(FaultCode::Status, Some(status), message), signs.retry_after)
            }
            Verdict::Fault { code, message, permission } => match &self.request.auth {
                Some(slot)
                    if (status == 401 || error_code::is_expired(&headers, &body))
                        && self.renew(slot, secrets).await =>
                {
                    Attempt::Renewed
                }
                _ => Attempt::Failed(Failure { code, status: Some(status), message, permission }),
            },
        }
    }

    /// After a 401: is there another credential to try? A bought token may have been revoked before its time; a fixed one
    /// stays what it is, and sending it again would only bring the account nearer to a lock.
    async fn renew(&mut self, slot: &Slot, refused: &[SecretHeader]) -> bool {
        if std::mem::replace(&mut self.renewed, true) {
            return false;
        }
        self.session.config.credentials.rejected(slot);
        let Ok(fresh) = self.authorize().await else { return false };
        let same = fresh.len() == refused.len() && fresh.iter().zip(refused).all(|(a, b)| a.value() == b.value());
        !same
    }

    /// The provider says that what is stored still holds. A 304 that speaks of another reply, or of one that isn't there
    /// any more, is no answer; the request is worth another try without the question.
    async fn not_modified(&mut self, condition: &dyn Condition, headers: &HeaderMap) -> Attempt {
        if !condition.validator().is_meant_by(headers) {
            return Attempt::Renewed;
        }
        let Some(stored) = condition.load().await else { return Attempt::Renewed };
        let link = stored.link(headers);
        let names_next = |link: Option<&String>| link.is_some_and(|link| names_next(link));
        let grown = names_next(link.as_ref()) && !names_next(stored.link.as_ref());
        let outdated = grown || validator::forbids_storing(headers);
        let StoredReply { status, headers: kept, body, .. } = stored;
        let header = |name: &str| match name {
            "link" => link.clone(),
            name => stored_reply::header(&kept, name, headers),
        };
        let reply = self.clean(status, header, body, false);
        Attempt::Done(Reply { reused: Some(Reused { outdated }), ..reply })
    }

    fn reply(&mut self, status: u16, headers: &HeaderMap, body: Vec<u8>, empty: bool) -> Reply {
        let reply = self.clean(status, |name| headers::joined(headers, name), body, empty);
        let may_be_stored = self.rules.revalidate && status == 200 && !empty;
        let validator = if may_be_stored { Validator::of(headers) } else { None };
        // A provider that makes its tag of our token gets no tag back, and nothing is stored under it.
        let credentials = &self.session.config.credentials;
        let validator = validator.filter(|v| credentials.scrub_text(&v.text()) == v.text());
        Reply { validator, ..reply }
    }

    /// Blanks what a guest must not see, in what has just come and in what was stored alike: the rules and the secrets of
    /// today may be others than those of then.
    fn clean(&mut self, status: u16, header: impl Fn(&str) -> Option<String>, body: Vec<u8>, empty: bool) -> Reply {
        let (scrub, credentials) = (&self.session.config.scrub, &self.session.config.credentials);
        let (body, by_rule) = scrub.apply(&self.request.operation, body);
        let (body, reflected) = credentials.scrub_reflections(body);
        let mut scrubbed = by_rule.saturating_add(reflected);
        let mut clean = |name: &str| {
            let value = header(name)?;
            let clean = credentials.scrub_text(&value);
            scrubbed = scrubbed.saturating_add(u32::from(clean != value));
            Some(clean)
        };
        let declared = self.rules.response_headers.iter();
        let headers = declared.filter_map(|name| Some((name.clone(), clean(name)?))).collect();
        let link = clean("link");
        self.stats.scrubbed = scrubbed;
        let (validator, reused) = (None, None);
        Reply { status, headers, link, body: body.into(), empty, validator, reused, stats: CallStats::default() }
    }
}

/// What an exchange without a whole reply means.
fn broken(fault: &WireFault) -> Attempt {
    let failure = |code, status| Failure::new(code, status, fault.to_string());
    match fault {
        WireFault::Refused(_) => Attempt::Failed(failure(FaultCode::AddressRefused, None)),
        WireFault::Tls(_) | WireFault::Request(_) => Attempt::Failed(failure(FaultCode::Connection, None)),
        WireFault::Connect(_) | WireFault::Broken(_) => Attempt::Again(failure(FaultCode::Connection, None), None),
        WireFault::Timeout(_) => Attempt::Again(failure(FaultCode::Timeout, None), None),
        WireFault::Body(status, BodyFault::TooLarge(_)) => Attempt::Failed(failure(FaultCode::TooLarge, Some(*status))),
        WireFault::Body(status, BodyFault::Cut(_)) => Attempt::Again(failure(FaultCode::Cut, Some(*status)), None),
    }
}

fn gave_up(failure: Failure, tries: u32) -> Failure {
    if tries < 2 {
        return failure;
    }
    let message = format!("{}; gave up after {tries} attempts", failure.message);
    Failure { message, ..failure }
}

fn used_up(budget: Duration) -> String {
    format!("the {} that a run may wait are used up", human(budget))
}

/// The runtime's clock, which a test can stop.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "send_tests.rs"]
mod tests;
