//! The broker's side of one run: starts tasks as the schedule allows, answers the guest's questions, and collects what
//! it emits. Everything that arrives from the sandbox is hostile: an unknown task, a question of an ended task or a
//! frame out of turn ends the run.

use crate::calls::{Caller, TaskCalls};
use crate::collector::{CollectError, Collector, TaskTally};
use crate::process::{Sandbox, SandboxError, Sender};
use crate::schedule::{Ready, Schedule};
use porthole_model::id::{Partition, StepId};
use porthole_model::manifest::Manifest;
use porthole_model::parse::StepTypes;
use porthole_model::run::{Claim, Outcome, SliceKey};
use porthole_model::slice::Verdict;
use porthole_store::log::{self, Level, NewLine, Source};
use porthole_store::rejections::{self, Rejection};
use porthole_store::run_slices::{self, SliceProgress};
use porthole_store::{Store, StoreError, slices};
use porthole_wire::{
    Answer, AskId, EMIT_WINDOW, FromSandbox, MAX_CALLS_AT_ONCE, OpenError, Question, ReadError, Task, TaskEnd, TaskId,
    TaskKind, ToSandbox, Usage,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};

/// How often progress is written for people who watch.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// Guest log lines that wait for the next write; a guest that logs faster than that loses lines to the count.
const LOG_BUFFER_LINES: usize = 1_000;

/// Why a run can't go on.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The sandbox failed.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// Collecting failed.
    #[error(transparent)]
    Collect(#[from] CollectError),
    /// The database failed.
    #[error("the database failed")]
    Store(#[from] StoreError),
    /// The sandbox said something that a sandbox doesn't say.
    #[error("the sandbox broke the protocol: {0}")]
    Protocol(String),
}

/// How one slice ended.
#[derive(Debug)]
pub struct SliceEnd {
    /// Which.
    pub key: SliceKey,
    /// Its id in the store.
    pub slice: i32,
    /// How the guest ended it.
    pub outcome: Outcome,
    /// Complete or not, from the wire.
    pub verdict: Verdict,
    /// What it emitted.
    pub tally: TaskTally,
    /// What it used.
    pub usage: Usage,
}

/// What the tasks of a run came to.
#[derive(Debug, Default)]
pub struct Collected {
    /// Every slice that ran.
    pub slices: Vec<SliceEnd>,
    /// Partitioned steps: which partitions the guest listed, and whether that list was complete.
    pub listings: BTreeMap<StepId, (Vec<Partition>, bool)>,
    /// The listings that failed, with the reason.
    pub failed_listings: BTreeMap<StepId, String>,
    /// Steps of which something is missing; what builds on them is incomplete as well.
    pub incomplete: BTreeSet<StepId>,
}

/// What the broker needs of a run.
pub struct Broker {
    /// The store.
    pub store: Store,
    /// The run.
    pub claim: Claim,
    /// What the module asks for.
    pub manifest: Arc<Manifest>,
    /// Types by step.
    pub types: HashMap<StepId, Arc<StepTypes>>,
    /// The configuration, as JSON.
    pub config_json: String,
    /// When the run started, in milliseconds since 1970.
    pub started_at_ms: u64,
    /// The calls.
    pub caller: Arc<Caller>,
    /// The collector, shared with the tasks that answer questions.
    pub collector: Arc<Mutex<Collector>>,
    /// Tasks at once.
    pub lanes: usize,
}

struct Running {
    calls: Arc<TaskCalls>,
    kind: TaskKind,
    slice: i32,
    emits: mpsc::Sender<(AskId, Vec<u8>)>,
    /// Questions under way. A guest waits for its answer, so an honest sandbox has one at a time.
    asking: Arc<AtomicU32>,
    progress: (u64, Option<u64>),
}

/// What the helpers of a run report to its loop.
enum Event {
    Failed(BrokerError),
}

/// Log lines and progress that wait to be written.
#[derive(Default)]
struct Notes {
    lines: Vec<NewLine>,
    written: i64,
    rejections: Vec<Rejection>,
    rejected: i64,
    dropped: u64,
}

impl Notes {
    fn push(&mut self, source: Source, level: u8, slice: Option<SliceKey>, message: String) {
        if self.lines.len() >= LOG_BUFFER_LINES {
            self.dropped += 1;
            return;
        }
        let level = match level {
            0 => Level::Debug,
            1 => Level::Info,
            2 => Level::Warn,
            _ => Level::Error,
        };
        self.written += 1;
        self.lines.push(NewLine { seq: self.written, level, source, slice, message });
    }

    fn host(&mut self, calls: &TaskCalls, level: u8, message: String) {
        self.push(Source::Host, level, Some(calls.slice()), message);
    }

    fn set_aside(&mut self, calls: &TaskCalls, tally: &TaskTally) {
        for aside in &tally.rejections {
            self.rejected += 1;
            self.rejections.push(Rejection {
                seq: self.rejected,
                slice: calls.slice(),
                object_type: aside.object_type.clone(),
                object_key: aside.key.clone(),
                reason: aside.reason.clone(),
            });
        }
        if tally.rejected > 0 {
            let text =
                format!("{} objects were set aside as invalid; `porthole runs show` has reasons", tally.rejected);
            self.host(calls, 2, text);
        }
    }
}

impl Broker {
    /// Runs every step of the schedule to its end.
    ///
    /// # Errors
    /// When the sandbox, the store or the collector fails. What goes wrong in a step is no error; it is in the result.
    pub async fn run(&self, sandbox: &mut Sandbox, mut schedule: Schedule) -> Result<Collected, BrokerError> {
        let sender = sandbox.sender();
        let (events, mut failures) = mpsc::unbounded_channel();
        let mut tasks: HashMap<TaskId, Running> = HashMap::new();
        let mut collected = Collected::default();
        let mut notes = Notes::default();
        let mut next_id: TaskId = 1;
        let mut tick = tokio::time::interval(PROGRESS_EVERY);
        let mut told = false;
        // Frames are read in one future that lives across the loop, because dropping it midway would cut a frame.
        let (frames, mut inbox) = mpsc::channel(64);
        let mut reader = std::pin::pin!(read_frames(sandbox, frames));
        loop {
            while tasks.len() < self.lanes {
                let Some(ready) = schedule.pop() else { break };
                let running = self.start(&sender, next_id, ready, &collected.incomplete, &events).await?;
                tasks.insert(next_id, running);
                next_id += 1;
            }
            if schedule.is_over() && tasks.is_empty() {
                self.write_notes(&mut notes, &tasks).await?;
                return Ok(collected);
            }
            let frame = tokio::select! {
                frame = inbox.recv() => match frame {
                    Some(frame) => frame,
                    None => return Err(BrokerError::Protocol("the socket was closed".to_owned())),
                },
                error = &mut reader => return Err(error.into()),
                Some(Event::Failed(error)) = failures.recv() => return Err(error),
                _ = tick.tick() => {
                    self.write_notes(&mut notes, &tasks).await?;
                    continue;
                }
                () = self.caller.cancelled.cancelled(), if !told => {
                    told = true;
                    sender.send(&ToSandbox::Cancel).await?;
                    continue;
                }
            };
            match frame {
                FromSandbox::Ask { task, ask, question } => {
                    let running = tasks.get(&task).ok_or_else(|| stray(task, "asked"))?;
                    self.answer(running, task, ask, question, &sender, &events)?;
                }
                FromSandbox::Log { task, level, message } => {
                    let running = tasks.get(&task).ok_or_else(|| stray(task, "logged"))?;
                    notes.push(Source::Guest, level, Some(running.calls.slice()), message);
                }
                FromSandbox::Progress { task, done, total } => {
                    let running = tasks.get_mut(&task).ok_or_else(|| stray(task, "made progress"))?;
                    running.progress = (done, total);
                }
                FromSandbox::Done { task, end, usage } => {
                    let running = tasks.remove(&task).ok_or_else(|| stray(task, "ended"))?;
                    self.end(task, running, end, usage, &mut schedule, &mut collected, &mut notes).await?;
                }
                FromSandbox::Ready { .. } | FromSandbox::Loaded | FromSandbox::LoadFailed { .. } => {
                    return Err(SandboxError::OutOfTurn("a starting frame").into());
                }
            }
        }
    }

    async fn start(
        &self,
        sender: &Sender,
        id: TaskId,
        ready: Ready,
        incomplete: &BTreeSet<StepId>,
        events: &mpsc::UnboundedSender<Event>,
    ) -> Result<Running, BrokerError> {
        let key = SliceKey { step: ready.step.clone(), partition: ready.partition.clone() };
        let mut slice = 0;
        if ready.kind == TaskKind::Run {
            let mut tx = self.store.tenant(self.claim.tenant).await?;
            let ids = slices::ensure(&mut tx, self.claim.instance, std::slice::from_ref(&key)).await?;
            slice = ids.get(&key).copied().unwrap_or_default();
            run_slices::start(&mut tx, &self.claim, &key).await?;
            tx.commit().await?;
            let types = self.types.get(&ready.step).cloned();
            let types = types.ok_or_else(|| BrokerError::Protocol(format!("step `{}` has no types", ready.step)))?;
            self.collector.lock().await.open(id, slice, key.to_string(), types);
        }
        let (emits, batches) = mpsc::channel(EMIT_WINDOW);
        let collecting = collect(Arc::clone(&self.collector), id, batches, sender.clone(), events.clone());
        tokio::spawn(collecting);
        let task = Task {
            id,
            kind: ready.kind,
            step: ready.step.to_string(),
            partition: ready.partition.to_string(),
            config: self.config_json.clone(),
            started_at_ms: self.started_at_ms,
        };
        sender.send(&ToSandbox::Task(task)).await?;
        let calls = Arc::new(TaskCalls::new(id, ready.step, ready.partition));
        let needs = self.manifest.step(calls.step.as_str()).map(|s| s.needs.as_slice()).unwrap_or_default();
        if let Some(need) = needs.iter().find(|need| incomplete.contains(*need)) {
            calls.ledger().builds_on_incomplete(need);
        }
        Ok(Running { calls, kind: ready.kind, slice, emits, asking: Arc::default(), progress: (0, None) })
    }

    fn answer(
        &self,
        running: &Running,
        task: TaskId,
        ask: AskId,
        question: Question,
        sender: &Sender,
        events: &mpsc::UnboundedSender<Event>,
    ) -> Result<(), BrokerError> {
        if let Question::Emit(batch) = question {
            // The sandbox holds the window; this channel is as long.
            let refused = |_| BrokerError::Protocol(format!("task {task} emitted beyond its window"));
            return running.emits.try_send((ask, batch)).map_err(refused);
        }
        let too_many = matches!(&question, Question::Calls(list) if list.len() > MAX_CALLS_AT_ONCE);
        if too_many || running.asking.fetch_add(1, Ordering::Relaxed) > 0 {
            return Err(BrokerError::Protocol(format!("task {task} asked too much at once")));
        }
        let asking = Arc::clone(&running.asking);
        let (caller, collector) = (Arc::clone(&self.caller), Arc::clone(&self.collector));
        let (calls, sender, events) = (Arc::clone(&running.calls), sender.clone(), events.clone());
        let declares = |slot: &str| self.manifest.credentials.iter().any(|c| c.slot.as_str() == slot);
        let opened = match &question {
            Question::Open { slot } if !declares(slot) => Err(OpenError::UnknownSlot),
            Question::Open { slot } if !caller.bound.iter().any(|b| b.as_str() == slot) => Err(OpenError::NotBound),
            _ => Ok(()),
        };
        tokio::spawn(async move {
            let answer = match question {
                Question::Open { .. } => Answer::Open(opened),
                Question::Calls(list) => Answer::Calls(caller.many(&calls, ask, list).await),
                Question::Entities { entity_type, cursor } => {
                    let page = collector.lock().await.read(calls.step.as_str(), &entity_type, cursor);
                    Answer::Entities(match page {
                        Ok(Some(page)) => Ok(page),
                        Ok(None) => Err(ReadError::Undeclared),
                        Err(e) => Err(ReadError::Other(e.to_string())),
                    })
                }
                Question::Emit(_) => return,
            };
            asking.store(0, Ordering::Relaxed);
            if let Err(e) = sender.send(&ToSandbox::Answer { task, ask, answer }).await {
                // Nobody listens when the run has ended already.
                let _ = events.send(Event::Failed(e.into()));
            }
        });
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the loop's state, which only this function and the loop see")]
    async fn end(
        &self,
        task: TaskId,
        running: Running,
        end: TaskEnd,
        usage: Usage,
        schedule: &mut Schedule,
        collected: &mut Collected,
        notes: &mut Notes,
    ) -> Result<(), BrokerError> {
        let step = running.calls.step.clone();
        let failure = match &end {
            TaskEnd::Finished | TaskEnd::Partitions(_) => None,
            TaskEnd::Failed { kind, message } => Some(format!("the step failed ({kind}): {message}")),
            TaskEnd::Trapped { message } => Some(format!("the guest crashed: {message}")),
            TaskEnd::Limit { limit, message } => Some(format!("limit `{limit}`: {message}")),
        };
        if let Some(message) = &failure {
            notes.host(&running.calls, 3, message.clone());
        }
        if usage.log_dropped > 0 {
            let text = format!("{} log lines beyond the limit were dropped", usage.log_dropped);
            notes.host(&running.calls, 2, text);
        }
        if running.kind == TaskKind::Partitions {
            let listed = self.listed(&running, end, failure, collected);
            // People who watch see at once how many there will be.
            let key = |partition: &Partition| SliceKey { step: step.clone(), partition: partition.clone() };
            let slices: Vec<SliceKey> = listed.iter().map(key).collect();
            let mut tx = self.store.tenant(self.claim.tenant).await?;
            run_slices::announce(&mut tx, &self.claim, &slices).await?;
            tx.commit().await?;
            schedule.listed(&step, &listed);
            return Ok(());
        }
        let tally = self.collector.lock().await.close(task);
        notes.set_aside(&running.calls, &tally);
        let (verdict, outcome) = {
            let mut ledger = running.calls.ledger();
            ledger.emitted(tally.accepted, tally.rejected, tally.unidentified);
            ledger.ended(failure.as_deref().map_or(Ok(()), Err));
            (ledger.verdict(), ledger.outcome())
        };
        if let Some(reason) = &verdict.reason {
            notes.host(&running.calls, 2, format!("incomplete: {reason}"));
        }
        let key = running.calls.slice();
        let slice = SliceEnd { key, slice: running.slice, outcome, verdict, tally, usage };
        let mut tx = self.store.tenant(self.claim.tenant).await?;
        run_slices::finish(&mut tx, &self.claim, &slice.key, &slice_row(&slice)).await?;
        tx.commit().await?;
        if !slice.verdict.complete {
            collected.incomplete.insert(step.clone());
        }
        collected.slices.push(slice);
        schedule.ended(&step);
        Ok(())
    }

    /// The partitions of a step, in the guest's order. A list that is not proved complete retires nothing.
    fn listed(
        &self,
        running: &Running,
        end: TaskEnd,
        failure: Option<String>,
        collected: &mut Collected,
    ) -> Vec<Partition> {
        let step = &running.calls.step;
        let names = match end {
            TaskEnd::Partitions(names) => names,
            _ => Vec::new(),
        };
        let mut listed: Vec<Partition> = Vec::with_capacity(names.len());
        let mut bad = None;
        let mut seen = std::collections::HashSet::new();
        for name in names {
            match Partition::new(name) {
                Ok(partition) if seen.insert(partition.clone()) => listed.push(partition),
                Ok(_) => {}
                Err(e) => bad = Some(e.to_string()),
            }
        }
        let mut ledger = running.calls.ledger();
        ledger.ended(failure.or(bad).as_deref().map_or(Ok(()), Err));
        let verdict = ledger.verdict();
        if let Some(reason) = &verdict.reason {
            collected.failed_listings.insert(step.clone(), reason.clone());
            collected.incomplete.insert(step.clone());
        }
        collected.listings.insert(step.clone(), (listed.clone(), verdict.complete));
        listed
    }

    async fn write_notes(&self, notes: &mut Notes, tasks: &HashMap<TaskId, Running>) -> Result<(), BrokerError> {
        let waiting = {
            let waiting = self.caller.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            waiting.clone()
        };
        let progress: Vec<SliceProgress> = tasks
            .values()
            .filter(|r| r.kind == TaskKind::Run)
            .map(|r| SliceProgress {
                slice: r.calls.slice(),
                done: r.progress.0,
                total: r.progress.1,
                note: waiting.clone().unwrap_or_default(),
            })
            .collect();
        if progress.is_empty() && notes.lines.is_empty() && notes.rejections.is_empty() {
            return Ok(());
        }
        let mut tx = self.store.tenant(self.claim.tenant).await?;
        log::append(&mut tx, &self.claim, &notes.lines).await?;
        rejections::append(&mut tx, &self.claim, &notes.rejections).await?;
        run_slices::progress(&mut tx, &self.claim, &progress).await?;
        tx.commit().await?;
        notes.rejections.clear();
        notes.lines.clear();
        if notes.dropped > 0 {
            let text = format!("{} log lines came too fast and were dropped", notes.dropped);
            notes.dropped = 0;
            notes.push(Source::Host, 2, None, text);
        }
        Ok(())
    }
}

async fn read_frames(sandbox: &mut Sandbox, frames: mpsc::Sender<FromSandbox>) -> SandboxError {
    loop {
        match sandbox.receive().await {
            Ok(frame) => {
                if frames.send(frame).await.is_err() {
                    return SandboxError::Ended("the run is over".to_owned());
                }
            }
            Err(e) => return e,
        }
    }
}

/// Takes in the batches of one task, in order, and acknowledges each.
async fn collect(
    collector: Arc<Mutex<Collector>>,
    task: TaskId,
    mut batches: mpsc::Receiver<(AskId, Vec<u8>)>,
    sender: Sender,
    events: mpsc::UnboundedSender<Event>,
) {
    while let Some((ask, batch)) = batches.recv().await {
        let taken = collector.lock().await.batch(task, &batch).await;
        let sent = match taken {
            Ok(()) => {
                let answer = Answer::Emitted(Ok(()));
                sender.send(&ToSandbox::Answer { task, ask, answer }).await.map_err(BrokerError::from)
            }
            Err(e) => Err(e.into()),
        };
        if let Err(e) = sent {
            // Nobody listens when the run has ended already.
            let _ = events.send(Event::Failed(e));
            return;
        }
    }
}

fn stray(task: TaskId, what: &str) -> BrokerError {
    BrokerError::Protocol(format!("task {task} {what}, and it isn't running"))
}

fn slice_row(end: &SliceEnd) -> run_slices::SliceEnd {
    run_slices::SliceEnd {
        outcome: end.outcome,
        complete: end.verdict.complete,
        reason: end.verdict.reason.clone().unwrap_or_default(),
        counts: end.tally.counts.clone(),
        usage: Some(serde_json::json!({
            "cpu_us": end.usage.cpu_us,
            "memory_bytes": end.usage.memory_bytes,
            "host_calls": end.usage.host_calls,
            "emit_objects": end.usage.emit_objects,
            "emit_bytes": end.usage.emit_bytes,
            "set_aside": end.tally.rejected,
            "missing_permission": end.verdict.missing_permission,
        })),
    }
}
