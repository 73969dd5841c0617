//! The broker's side of one run: starts tasks as the schedule allows, answers the guest's questions, and collects what
//! it emits. Everything that arrives from the sandbox is hostile: an unknown task, a question of an ended task or a
//! frame out of turn ends the run.

use crate::answers::Answers;
use crate::collected::{Collected, SliceEnd, failure, partitions};
use crate::collector::{Checked, CollectError, Collector};
use crate::journal::{Journal, Notes};
use crate::process::{Sandbox, SandboxError, Sender};
use crate::replay::replayer::ReplayFault;
use crate::schedule::{Ready, Schedule};
use crate::task_calls::TaskCalls;
use crate::transcript::{Ended, RecordError, Recording};
use futures_util::{StreamExt as _, stream};
use porthole_model::id::{Partition, StepId};
use porthole_model::manifest::Manifest;
use porthole_model::parse::StepTypes;
use porthole_model::run::SliceKey;
use porthole_store::StoreError;
use porthole_store::run_slices::SliceProgress;
use porthole_wire::{
    Answer, AskId, Call, CallError, EMIT_WINDOW, FromSandbox, MAX_CALLS_AT_ONCE, OpenError, Question, ReadError,
    Response, Task, TaskEnd, TaskId, TaskKind, ToSandbox, Usage,
};
use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinError;
use tokio_util::task::TaskTracker;

/// How often progress is written for people who watch.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// Frames that were read and wait for the loop.
const INBOX_FRAMES: usize = 64;
/// Batches of one task that are checked at once or wait, checked, for their turn.
const CHECKED_AHEAD: usize = 2;

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
    /// The transcript can't be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The guest did something else than in the run that is replayed.
    #[error(transparent)]
    Replay(#[from] ReplayFault),
    /// The sandbox said something that a sandbox doesn't say.
    #[error("the sandbox broke the protocol: {0}")]
    Protocol(String),
}

/// What the broker needs of a run.
pub struct Broker {
    /// Where it tells how it goes.
    pub journal: Journal,
    /// What the module asks for.
    pub manifest: Arc<Manifest>,
    /// Types by step.
    pub types: HashMap<StepId, Arc<StepTypes>>,
    /// The configuration, as JSON.
    pub config_json: String,
    /// When the run started, in milliseconds since 1970.
    pub started_at_ms: u64,
    /// Who answers its calls.
    pub answers: Answers,
    /// What it asks and gets, for the record.
    pub recording: Arc<Recording>,
    /// The collector, shared with the tasks that answer questions.
    pub collector: Arc<Mutex<Collector>>,
    /// Tasks at once.
    pub lanes: usize,
}

impl Broker {
    /// Gives the journal back.
    #[must_use]
    pub fn into_journal(self) -> Journal {
        self.journal
    }

    /// Runs every step of the schedule to its end.
    ///
    /// # Errors
    /// When the sandbox, the store or the collector fails. What goes wrong in a step is no error; it is in the result.
    pub async fn run(&self, sandbox: &mut Sandbox, schedule: Schedule) -> Result<Collected, BrokerError> {
        let (failed, mut failures) = mpsc::unbounded_channel();
        let mut state = Loop {
            broker: self,
            sender: sandbox.sender(),
            failed,
            schedule,
            helpers: TaskTracker::new(),
            tasks: HashMap::new(),
            numbers: HashMap::new(),
            collected: Collected::default(),
            notes: Notes::default(),
            told: Vec::new(),
            next_id: 1,
        };
        let mut tick = tokio::time::interval(PROGRESS_EVERY);
        let mut told = false;
        // Frames are read in one future that lives across the loop, because dropping it midway would cut a frame.
        let (frames, mut inbox) = mpsc::channel(INBOX_FRAMES);
        let mut reader = std::pin::pin!(read_frames(sandbox, frames));
        loop {
            state.start_ready().await?;
            if state.is_over() {
                self.answers.finished()?;
                // They have done their work; whoever comes next owns what they shared.
                state.helpers.close();
                state.helpers.wait().await;
                state.write(None).await?;
                return Ok(state.collected);
            }
            tokio::select! {
                frame = inbox.recv() => match frame {
                    Some(frame) => state.frame(frame).await?,
                    None => return Err(BrokerError::Protocol("the socket was closed".to_owned())),
                },
                error = &mut reader => return Err(error.into()),
                Some(error) = failures.recv() => return Err(error),
                _ = tick.tick() => state.write(None).await?,
                () = self.answers.cancelled().cancelled(), if !told => {
                    told = true;
                    state.sender.send(&ToSandbox::Cancel).await?;
                }
            }
        }
    }
}

/// A task that runs.
struct Running {
    calls: Arc<TaskCalls>,
    slice: i32,
    emits: mpsc::Sender<(AskId, Vec<u8>)>,
    /// Questions under way. A guest waits for its answer, so an honest sandbox has one at a time.
    asking: Arc<AtomicU32>,
    progress: (u64, Option<u64>),
}

/// The state of [`Broker::run`].
struct Loop<'b> {
    broker: &'b Broker,
    sender: Sender,
    /// The way of what runs beside the loop to end it.
    failed: mpsc::UnboundedSender<BrokerError>,
    /// What runs beside the loop. Not ended with it: a call under way completes its record.
    helpers: TaskTracker,
    schedule: Schedule,
    tasks: HashMap<TaskId, Running>,
    /// Numbers of the slices that were announced.
    numbers: HashMap<SliceKey, i32>,
    collected: Collected,
    notes: Notes,
    /// The progress that was written last.
    told: Vec<SliceProgress>,
    next_id: TaskId,
}

impl Loop<'_> {
    fn is_over(&self) -> bool {
        self.schedule.is_over() && self.tasks.is_empty()
    }

    async fn start_ready(&mut self) -> Result<(), BrokerError> {
        while self.tasks.len() < self.broker.lanes {
            let Some(ready) = self.schedule.pop() else { return Ok(()) };
            let id = self.next_id;
            self.next_id += 1;
            let running = self.start(id, ready).await?;
            self.tasks.insert(id, running);
        }
        Ok(())
    }

    async fn start(&mut self, id: TaskId, ready: Ready) -> Result<Running, BrokerError> {
        let broker = self.broker;
        let calls = Arc::new(TaskCalls::new(id, ready.step, ready.partition, ready.kind));
        let (mut slice, mut types) = (0, Arc::default());
        if ready.kind == TaskKind::Run {
            let key = calls.slice();
            slice = self.number(&key).await?;
            let declared = broker.types.get(&key.step).cloned();
            types = declared.ok_or_else(|| BrokerError::Protocol(format!("step `{}` has no types", key.step)))?;
            broker.collector.lock().await.open(id, slice, key.to_string());
            self.notes.begin(key);
        }
        let (emits, batches) = mpsc::channel(EMIT_WINDOW);
        let collector = Arc::clone(&broker.collector);
        let collecting = collect(collector, id, types, batches, self.sender.clone(), self.failed.clone());
        self.helpers.spawn(collecting);
        let task = Task {
            id,
            kind: ready.kind,
            step: calls.step.to_string(),
            partition: calls.partition.to_string(),
            config: broker.config_json.clone(),
            started_at_ms: broker.started_at_ms,
        };
        self.sender.send(&ToSandbox::Task(task)).await?;
        let needs = broker.manifest.step(calls.step.as_str()).map(|s| s.needs.as_slice()).unwrap_or_default();
        if let Some(need) = needs.iter().find(|need| self.collected.incomplete.contains(*need)) {
            calls.ledger().builds_on_incomplete(need);
        }
        Ok(Running { calls, slice, emits, asking: Arc::default(), progress: (0, None) })
    }

    /// The number of a slice. Those of a partitioned step were announced together, when its partitions were known.
    async fn number(&mut self, key: &SliceKey) -> Result<i32, BrokerError> {
        if !self.numbers.contains_key(key) {
            self.announce(std::slice::from_ref(key)).await?;
        }
        Ok(self.numbers.get(key).copied().unwrap_or_default())
    }

    async fn announce(&mut self, keys: &[SliceKey]) -> Result<(), BrokerError> {
        self.numbers.extend(self.broker.journal.announce(keys).await?);
        Ok(())
    }

    async fn frame(&mut self, frame: FromSandbox) -> Result<(), BrokerError> {
        match frame {
            FromSandbox::Ask { task, ask, question } => {
                let running = self.tasks.get(&task).ok_or_else(|| stray(task, "asked"))?;
                self.answer(running, task, ask, question)
            }
            FromSandbox::Log { task, level, message } => {
                let running = self.tasks.get(&task).ok_or_else(|| stray(task, "logged"))?;
                self.notes.guest(running.calls.slice(), level, message);
                Ok(())
            }
            FromSandbox::Progress { task, done, total } => {
                let running = self.tasks.get_mut(&task).ok_or_else(|| stray(task, "made progress"))?;
                running.progress = (done, total);
                Ok(())
            }
            FromSandbox::Done { task, end, usage } => {
                let running = self.tasks.remove(&task).ok_or_else(|| stray(task, "ended"))?;
                self.end(task, running, end, usage).await
            }
            FromSandbox::Ready { .. } | FromSandbox::Loaded | FromSandbox::LoadFailed { .. } => {
                Err(SandboxError::OutOfTurn("a starting frame").into())
            }
        }
    }

    fn answer(&self, running: &Running, task: TaskId, ask: AskId, question: Question) -> Result<(), BrokerError> {
        if let Question::Emit(batch) = question {
            // The sandbox holds the window; this channel is as long.
            let refused = |_| BrokerError::Protocol(format!("task {task} emitted beyond its window"));
            return running.emits.try_send((ask, batch)).map_err(refused);
        }
        let too_many = matches!(&question, Question::Calls(list) if list.len() > MAX_CALLS_AT_ONCE);
        if too_many || running.asking.fetch_add(1, Ordering::Relaxed) > 0 {
            return Err(BrokerError::Protocol(format!("task {task} asked too much at once")));
        }
        let broker = self.broker;
        let asking = Arc::clone(&running.asking);
        let (answers, recording) = (broker.answers.clone(), Arc::clone(&broker.recording));
        let collector = Arc::clone(&broker.collector);
        let (calls, sender, failed) = (Arc::clone(&running.calls), self.sender.clone(), self.failed.clone());
        let declares = |slot: &str| broker.manifest.credentials.iter().any(|c| c.slot.as_str() == slot);
        let opened = match &question {
            Question::Open { slot } if !declares(slot) => Err(OpenError::UnknownSlot),
            Question::Open { slot } if !answers.is_bound(slot) => Err(OpenError::NotBound),
            _ => Ok(()),
        };
        self.helpers.spawn(async move {
            let answer = match question {
                Question::Open { .. } => Answer::Open(opened),
                Question::Calls(list) => match answer_calls(&answers, &recording, &calls, ask, &list).await {
                    Ok(answers) => Answer::Calls(answers),
                    Err(e) => {
                        // Nobody listens when the run has ended already.
                        let _ = failed.send(e);
                        return;
                    }
                },
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
                let _ = failed.send(e.into());
            }
        });
        Ok(())
    }

    async fn end(&mut self, task: TaskId, running: Running, end: TaskEnd, usage: Usage) -> Result<(), BrokerError> {
        let broker = self.broker;
        broker.answers.ended(&running.calls, &end)?;
        broker.recording.ended(running.calls.key(), &running.calls.heard, Ended::from(&end)).await?;
        let key = running.calls.slice();
        let failure = failure(&end);
        self.collected.task_ended(running.calls.key(), failure.as_deref());
        if let Some(message) = &failure {
            self.notes.host(key.clone(), 3, message.clone());
        }
        if usage.log_dropped > 0 {
            let text = format!("{} log lines beyond the limit were dropped", usage.log_dropped);
            self.notes.host(key.clone(), 2, text);
        }
        if running.calls.kind == TaskKind::Partitions {
            return self.listed(&running.calls, end, failure).await;
        }
        let tally = broker.collector.lock().await.close(task);
        self.notes.set_aside(&key, &tally);
        let (verdict, outcome) = {
            let mut ledger = running.calls.ledger();
            ledger.emitted(tally.accepted, tally.rejected, tally.unidentified);
            ledger.ended(failure.as_deref().map_or(Ok(()), Err));
            (ledger.verdict(), ledger.outcome())
        };
        if let Some(reason) = &verdict.reason {
            self.notes.host(key.clone(), 2, format!("incomplete: {reason}"));
        }
        let slice = SliceEnd { key, slice: running.slice, outcome, verdict, tally, usage };
        self.write(Some(&slice)).await?;
        let step = slice.key.step.clone();
        if !slice.verdict.complete {
            self.collected.incomplete.insert(step.clone());
        }
        self.collected.slices.push(slice);
        self.schedule.ended(&step);
        Ok(())
    }

    /// A step's partitions are known. A list that is not proved complete retires nothing.
    async fn listed(&mut self, calls: &TaskCalls, end: TaskEnd, failure: Option<String>) -> Result<(), BrokerError> {
        let step = calls.step.clone();
        let (listed, bad) = partitions(end);
        let verdict = {
            let mut ledger = calls.ledger();
            ledger.ended(failure.or(bad).as_deref().map_or(Ok(()), Err));
            ledger.verdict()
        };
        if let Some(reason) = &verdict.reason {
            self.collected.failed_listings.insert(step.clone(), reason.clone());
            self.collected.incomplete.insert(step.clone());
        }
        // People who watch see at once how many there will be.
        let key = |partition: &Partition| SliceKey { step: step.clone(), partition: partition.clone() };
        let keys: Vec<SliceKey> = listed.iter().map(key).collect();
        self.announce(&keys).await?;
        self.schedule.listed(&step, &listed);
        self.collected.listings.insert(step, (listed, verdict.complete));
        Ok(())
    }

    /// Writes what has come together, how far each slice is, and the slice that has just ended.
    async fn write(&mut self, ended: Option<&SliceEnd>) -> Result<(), BrokerError> {
        let progress = match ended {
            // The next tick is soon enough for the others.
            Some(_) => Vec::new(),
            None => self.news(),
        };
        Ok(self.broker.journal.write(&mut self.notes, &progress, ended).await?)
    }

    /// What of the progress isn't written yet: a run that waits for its provider has nothing to tell, twice a second.
    fn news(&mut self) -> Vec<SliceProgress> {
        let progress = self.progress();
        let news = progress.iter().filter(|now| !self.told.contains(now)).cloned().collect();
        self.told = progress;
        news
    }

    fn progress(&self) -> Vec<SliceProgress> {
        let waiting = self.broker.answers.waiting();
        let slices = self.tasks.values().filter(|r| r.calls.kind == TaskKind::Run);
        let progress = slices.map(|r| SliceProgress {
            slice: r.calls.slice(),
            done: r.progress.0,
            total: r.progress.1,
            note: waiting.clone().unwrap_or_default(),
        });
        progress.collect()
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

/// Has a question's calls answered, and writes down what the guest will get before it gets it.
///
/// # Errors
/// When a replay finds another question than the run's, or the transcript can't be written.
pub async fn answer_calls(
    answers: &Answers,
    recording: &Recording,
    task: &TaskCalls,
    ask: AskId,
    calls: &[Call],
) -> Result<Vec<Result<Response, CallError>>, BrokerError> {
    let answers = answers.many(task, ask, calls).await?;
    recording.answered(&task.key(), &task.heard, ask, calls, &answers).await?;
    Ok(answers)
}

/// Takes in the batches of one task, in order, and acknowledges each. The next ones are checked while one is compared and
/// staged.
async fn collect(
    collector: Arc<Mutex<Collector>>,
    task: TaskId,
    types: Arc<StepTypes>,
    batches: mpsc::Receiver<(AskId, Vec<u8>)>,
    sender: Sender,
    failed: mpsc::UnboundedSender<BrokerError>,
) {
    let batches = stream::unfold(batches, |mut batches| async { batches.recv().await.map(|batch| (batch, batches)) });
    let checked = batches.map(|(ask, batch)| {
        let types = Arc::clone(&types);
        // Half a MiB of JSON is a millisecond of computing: too long for a thread that others wait for.
        let checking = tokio::task::spawn_blocking(move || Checked::of(&batch, types));
        async move { (ask, checking.await) }
    });
    let mut checked = std::pin::pin!(checked.buffered(CHECKED_AHEAD));
    while let Some((ask, batch)) = checked.next().await {
        let batch = match batch.map_err(JoinError::try_into_panic) {
            Ok(batch) => batch,
            Err(Ok(panic)) => resume_unwind(panic),
            // The process is ending.
            Err(Err(_)) => return,
        };
        let taken = collector.lock().await.take(task, batch).await;
        let sent = match taken {
            Ok(()) => {
                let answer = Answer::Emitted(Ok(()));
                sender.send(&ToSandbox::Answer { task, ask, answer }).await.map_err(BrokerError::from)
            }
            Err(e) => Err(e.into()),
        };
        if let Err(e) = sent {
            // Nobody listens when the run has ended already.
            let _ = failed.send(e);
            return;
        }
    }
}

fn stray(task: TaskId, what: &str) -> BrokerError {
    BrokerError::Protocol(format!("task {task} {what}, and it isn't running"))
}
