//! One claimed run from its claim to its outcome: prepare, start, steps, reconcile. Whatever happens on the way, the run
//! ends with an outcome, whose fault it was, and a message; and the graph is as it was, or as the run found it, never
//! half.

use crate::answers::Answers;
use crate::broker::Broker;
use crate::calls::Caller;
use crate::collected::Collected;
use crate::collector::{CollectError, Collector, Types};
use crate::compile::Compiler;
use crate::error::RunError;
use crate::finish::{self, Ending, Results};
use crate::index::Index;
use crate::journal::Journal;
use crate::limits::RunLimits;
use crate::prepare::{PrepareError, Prepared, chain, prepare};
use crate::process::{Peaks, Sandbox, peak_memory_of};
use crate::recorder::Recorder;
use crate::schedule::Schedule;
use crate::sink::Sink;
use crate::spool::Spool;
use crate::stored_replies::{Opening, StoredReplies};
use crate::transcript::{Header, Recording};
use crate::trust::Judge;
use crate::warm::{Recipe, Warm};
use jiff::Timestamp;
use porthole_egress::credential::{Credentials, Means};
use porthole_egress::scrub::ScrubRules;
use porthole_egress::secret::{PlatformKey, Vault};
use porthole_egress::{Egress, SessionConfig};
use porthole_model::grant::Ceiling;
use porthole_model::run::{Claim, RunMode};
use porthole_model::session_policy;
use porthole_store::runs::{RunStart, record_start};
use porthole_store::staging::StagingWriter;
use porthole_store::{Store, StoreError, index};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// How long a cancelled run's guest has to return before its sandbox is killed. Its calls are answered at once, so this
/// is only for what it is computing.
const CANCEL_GRACE: Duration = Duration::from_secs(10);
/// Runs of a worker that reconcile at once. Each holds a connection for as long as that takes, so this is half of the
/// pool: heartbeats and records of calls always find one.
const FINISHING: usize = 8;

/// What every run of a worker shares.
#[derive(Clone)]
pub struct Parts {
    /// The store.
    pub store: Store,
    /// The way out.
    pub egress: Egress,
    /// Opens credentials, inside egress.
    pub vault: Arc<Vault>,
    /// The platform's own key, which assumes roles.
    pub platform: Option<PlatformKey>,
    /// Compiled code.
    pub compiler: Arc<Compiler>,
    /// The sandbox program.
    pub sandbox: PathBuf,
    /// Sandboxes that wait for a run.
    pub warm: Arc<Warm>,
    /// Room to reconcile.
    pub finishing: Arc<Semaphore>,
    /// What the operator leaves, by module name.
    pub ceilings: Arc<BTreeMap<String, Ceiling>>,
    /// Says which modules may run.
    pub judge: Arc<Judge>,
    /// The limits of a run.
    pub limits: RunLimits,
    /// Go on where the kernel can't isolate.
    pub allow_weak_isolation: bool,
    /// How long a claim holds without a heartbeat.
    pub lease: Duration,
}

impl Parts {
    /// What its sandboxes are started with.
    #[must_use]
    pub fn recipe(&self) -> Recipe {
        let (limits, allow_weak_isolation) = (self.limits.sandbox, self.allow_weak_isolation);
        Recipe { program: self.sandbox.clone(), limits, allow_weak_isolation }
    }
}

/// Room for the runs of one process to reconcile.
#[must_use]
pub fn finishing() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(FINISHING))
}

/// What is to be done.
pub struct Order<'f> {
    /// The claim.
    pub claim: Claim,
    /// Apply or only show.
    pub mode: RunMode,
    /// When the run started.
    pub started_at: Timestamp,
    /// Where its transcript is kept, if anyone wants it.
    pub record: Option<&'f Path>,
    /// Given back when the run has begun: its sandbox has its code.
    pub start: Option<OwnedSemaphorePermit>,
}

/// Signals from whoever keeps the lease to the run.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    /// A person wants it to end.
    pub cancel: CancellationToken,
    /// The lease is lost: another worker may have the run already. Nothing more may be written.
    pub lost: CancellationToken,
}

/// Runs a claimed run to its end. The result says how it ended; an error means that not even that could be written.
///
/// # Errors
/// When the outcome can't be written: the database is gone, or the lease was lost.
pub async fn execute(parts: &Parts, order: Order<'_>, signals: &Signals) -> Result<Ending, StoreError> {
    let claim = order.claim;
    let run = run(parts, order, signals);
    let ended = tokio::select! {
        biased;
        // First: a run that has just ended has no lease any more either.
        ended = run => ended,
        () = signals.lost.cancelled() => Err(RunError::Lost),
        () = tokio::time::sleep(parts.limits.wall) => Err(RunError::Wall(parts.limits.wall)),
    };
    match ended {
        Ok(ending) => Ok(ending),
        Err(RunError::Lost) => Err(StoreError::StaleClaim(claim.run)),
        Err(error) => {
            let (outcome, fault) = error.ending();
            let message = chain(&error);
            tracing::warn!(run = %claim.run, %outcome, %message, "the run ended without a reconcile");
            finish::fail(&parts.store, claim, outcome, fault, &message).await
        }
    }
}

async fn run(parts: &Parts, order: Order<'_>, signals: &Signals) -> Result<Ending, RunError> {
    let Order { claim, mode, started_at, record: record_to, start } = order;
    let exceptions = parts.egress.exceptions();
    let mut prepared = prepare(&parts.store, claim, &parts.ceilings, exceptions, &parts.limits, &parts.judge).await?;
    let plan = serde_json::to_value(&prepared.plan).ok();
    let planned = RunStart {
        plan,
        exceptions: serde_json::to_value(&prepared.exceptions).ok(),
        isolation: None,
        grant: prepared.grant.take(),
        ceiling: prepared.ceiling.take(),
    };
    record(&parts.store, claim, planned).await?;
    let code = parts.compiler.code(prepared.digest, &prepared.component).await?;
    let (mut sandbox, isolation) = match parts.warm.take() {
        Some(idle) => idle,
        None => parts.recipe().start().await?,
    };
    let isolation = serde_json::to_value(&isolation).ok();
    record(&parts.store, claim, RunStart { isolation, ..RunStart::default() }).await?;
    // Asked again with the bytes at hand: since the plan, the version may have been yanked, its key ended, its row changed.
    let component = std::mem::take(&mut prepared.component);
    parts.judge.check(&parts.store, prepared.digest, &component).await.map_err(PrepareError::from)?;
    drop(component);
    sandbox.load(&code).await?;
    drop((code, start));

    let (recorder, records) = Recorder::start(parts.store.clone(), claim);
    let header = header(parts, claim, &prepared, started_at);
    let recording = Arc::new(Recording::begin(&header, record_to).await?);
    let (replies, stored) = StoredReplies::open(Opening {
        store: &parts.store,
        vault: &parts.vault,
        claim,
        manifest: &prepared.manifest,
        credentials: &prepared.bound,
        max_bytes: parts.limits.stored_reply_bytes,
        max_body_bytes: parts.limits.calls.max_body_bytes,
    })
    .await;
    let caller = Arc::new(caller(parts, claim, &mut prepared, (recorder, replies), signals)?);
    let (collector, generation) = collector(parts, claim, &prepared).await?;
    let collector = Arc::new(Mutex::new(collector));
    let schedule = Schedule::new(on_steps(&prepared));
    let broker = Broker {
        journal: Journal::Store { store: parts.store.clone(), claim },
        manifest: Arc::clone(&prepared.manifest),
        types: std::mem::take(&mut prepared.types),
        config_json: std::mem::take(&mut prepared.config_json),
        started_at_ms: header.started_at_ms,
        answers: Answers::Live(Arc::clone(&caller)),
        recording: Arc::clone(&recording),
        collector: Arc::clone(&collector),
        lanes: usize::try_from(parts.limits.sandbox.lanes).unwrap_or(1),
    };
    let collected = steps(&broker, &mut sandbox, schedule, signals).await;
    let peaks = Peaks { sandbox: sandbox.peak_memory(), worker: peak_memory_of("/proc/self/status") };
    sandbox.stop().await;
    let usage = caller.usage().clone();
    if collected.is_ok() {
        caller.replies.through();
    }
    drop(broker);
    drop(caller);
    // A cache: how it ends is no part of how the run ends.
    let _ = stored.await;
    // Every record has its end before the run has its own.
    let written = records.await;
    let collected = collected?;
    written.map_err(|_| RunError::Lost)?.map_err(RunError::Records)?;
    let collector = Arc::into_inner(collector).map(Mutex::into_inner).ok_or(RunError::Lost)?;
    let recording = Arc::into_inner(recording).ok_or(RunError::Lost)?;
    let transcript_digest = recording.finish().await?;
    let results = Results { prepared, collected, collector, generation, usage, peaks, transcript_digest };
    let _room = parts.finishing.acquire().await;
    finish::finish(&parts.store, claim, mode, results).await
}

async fn record(store: &Store, claim: Claim, start: RunStart) -> Result<(), StoreError> {
    let mut tx = store.tenant(claim.tenant).await?;
    record_start(&mut tx, &claim, &start).await?;
    tx.commit().await
}

async fn steps(
    broker: &Broker,
    sandbox: &mut Sandbox,
    schedule: Schedule,
    signals: &Signals,
) -> Result<Collected, RunError> {
    let grace = async {
        signals.cancel.cancelled().await;
        tokio::time::sleep(CANCEL_GRACE).await;
    };
    let collected = tokio::select! {
        collected = broker.run(sandbox, schedule) => collected?,
        () = grace => return Err(RunError::Cancelled),
    };
    if signals.cancel.is_cancelled() { Err(RunError::Cancelled) } else { Ok(collected) }
}

/// What the guest can perceive besides its calls.
fn header(parts: &Parts, claim: Claim, prepared: &Prepared, started_at: Timestamp) -> Header {
    let mut header = Header::new(prepared.digest, prepared.config.values.clone(), &parts.limits.sandbox);
    header.run = Some(claim.run);
    header.started_at_ms = u64::try_from(started_at.as_millisecond()).unwrap_or(0);
    header.steps = on_steps(prepared).map(|s| s.id.clone()).collect();
    let bound: BTreeSet<_> = prepared.credentials.iter().map(|c| c.binding.slot.clone()).collect();
    header.bound = bound.into_iter().collect();
    header
}

fn on_steps(prepared: &Prepared) -> impl Iterator<Item = &porthole_model::manifest::Step> {
    let on = prepared.plan.steps.iter().filter(|s| s.is_on());
    on.filter_map(|s| prepared.manifest.step(s.id.as_str()))
}

fn caller(
    parts: &Parts,
    claim: Claim,
    prepared: &mut Prepared,
    (recorder, replies): (Recorder, StoredReplies),
    signals: &Signals,
) -> Result<Caller, RunError> {
    let bound = prepared.credentials.iter().map(|c| c.binding.slot.clone()).collect();
    let policy = prepared.policy.take().ok_or(RunError::Lost)?;
    let sessions = session_policy::pack(&policy.actions()).map_err(RunError::Sessions)?;
    let means = Means { platform: parts.platform.clone(), sessions, ..Means::default() };
    let bound_here = std::mem::take(&mut prepared.credentials);
    let credentials = Credentials::new(Arc::clone(&parts.vault), bound_here, prepared.config.clone(), means);
    let session = parts.egress.session(SessionConfig {
        account: format!("{}/{}", claim.tenant, claim.instance),
        rate: prepared.manifest.rate,
        credentials,
        scrub: ScrubRules::new(&prepared.manifest.scrub),
        limits: parts.limits.calls,
    });
    Ok(Caller {
        policy,
        session,
        recorder,
        replies,
        bound,
        cancelled: signals.cancel.clone(),
        sequence: AtomicI64::new(1),
        max_calls: parts.limits.max_calls,
        calls: AtomicU64::new(0),
        response_bytes: AtomicU64::new(0),
        usage: std::sync::Mutex::default(),
        waiting: Arc::default(),
    })
}

/// The collector over the graph as it is now, and the generation that it is of.
async fn collector(parts: &Parts, claim: Claim, prepared: &Prepared) -> Result<(Collector, i64), RunError> {
    let (mut known, mut types) = (Index::default(), Types::default());
    let mut failed = None;
    let mut tx = parts.store.tenant(claim.tenant).await?;
    let generation = index::stream_index(&mut tx, claim.instance, |row| {
        let number = types.number(row.object_type);
        if let Err(e) = known.load(row.key_hash, row.content_hash, row.slice, number, row.kind) {
            failed = Some(e);
        }
    })
    .await?;
    tx.commit().await?;
    if let Some(failed) = failed {
        return Err(CollectError::Index(failed).into());
    }
    known.seal().map_err(CollectError::Index)?;
    let spool = Spool::new(&prepared.manifest).map_err(RunError::Spool)?;
    let sink = Sink::Staging(StagingWriter::new(&parts.store, claim));
    Ok((Collector::new(known, types, sink, spool), generation))
}
