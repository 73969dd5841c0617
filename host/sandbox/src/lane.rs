//! A lane: one thread that runs one task after the other, each in a fresh store.

use crate::bindings::v0_1::IntegrationPre;
use crate::bindings::v0_1::exports::porthole::integration::steps::StepError;
use crate::limits;
use crate::meter::Ticker;
use crate::question::Questions;
use crate::stop::{self, Stop, cut};
use crate::task::{Cancellation, TaskState};
use crate::wire::Writing;
use porthole_wire::{Answer, AskId, EmitError, FromSandbox, Limits, Task, TaskEnd, TaskId, TaskKind, Usage};
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use wasmtime::{Engine, Store, UpdateDeadline};

/// What all lanes and the reader share.
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) writing: Arc<Writing>,
    pub(crate) ticker: Arc<Ticker>,
    pub(crate) cancellation: Arc<Cancellation>,
    /// Set once, before the first task is queued.
    pub(crate) module: OnceLock<IntegrationPre<TaskState>>,
    pub(crate) queue: Queue,
}

/// A task that waits for a lane, with the place where its answers arrive.
type Waiting = (Task, Receiver<(AskId, Answer)>);

/// Tasks that wait for a lane, and the way to those that run.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: Mutex<VecDeque<Waiting>>,
    arrived: Condvar,
    running: Mutex<HashMap<TaskId, Sender<(AskId, Answer)>>>,
}

/// A task with this id waits or runs already.
#[derive(Debug)]
pub(crate) struct DuplicateTask;

impl Queue {
    /// Queues a task.
    pub(crate) fn push(&self, task: Task) -> Result<(), DuplicateTask> {
        let (sender, receiver) = channel();
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.contains_key(&task.id) {
            return Err(DuplicateTask);
        }
        running.insert(task.id, sender);
        drop(running);
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back((task, receiver));
        self.arrived.notify_one();
        Ok(())
    }

    /// Hands an answer to the task that waits for it. An answer to a task that has ended is dropped: a guest that was
    /// stopped doesn't wait.
    pub(crate) fn answer(&self, task: TaskId, ask: AskId, answer: Answer) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = running.get(&task) {
            let _ = sender.send((ask, answer));
        }
    }

    fn next(&self) -> Waiting {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match waiting.pop_front() {
                Some(next) => return next,
                None => waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn ended(&self, task: TaskId) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&task);
    }
}

/// The lane's thread.
pub(crate) fn run(shared: &Shared) -> Infallible {
    loop {
        let (task, answers) = shared.queue.next();
        let id = task.id;
        shared.ticker.enter();
        let (end, usage, store) = run_task(shared, task, answers);
        shared.ticker.leave();
        shared.queue.ended(id);
        shared.writing.send(&FromSandbox::Done { task: id, end, usage });
        // The task's memory is cleaned here, while the broker learns of its end, and before this lane takes the next task.
        drop(store);
    }
}

fn run_task(shared: &Shared, task: Task, answers: Receiver<(AskId, Answer)>) -> (TaskEnd, Usage, Store<TaskState>) {
    let Some(module) = shared.module.get() else { crate::sandbox::broker_is_wrong() };
    let writing = Arc::clone(&shared.writing);
    let questions = Questions::new(task.id, Arc::clone(&writing), answers, Arc::clone(&shared.ticker));
    let state = TaskState::new(task, shared.limits, questions, writing, Arc::clone(&shared.cancellation));
    let mut store = store(module.engine(), state);
    let end = match call(module, &mut store) {
        Ok(end) => end,
        Err(e) => stop::of_error(&e, store.data()),
    };
    let state = store.data_mut();
    let unseen = state.questions.settle();
    state.flush_progress();
    let (end, usage) = (settled(end, unseen, state.refused()), state.usage());
    (end, usage, store)
}

pub(crate) fn store(engine: &Engine, state: TaskState) -> Store<TaskState> {
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.memory);
    store.set_hostcall_fuel(limits::HOSTCALL_BYTES);
    store.set_max_component_handles(limits::COMPONENT_HANDLES);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|store| {
        store.data().check_time()?;
        Ok(UpdateDeadline::Continue(1))
    });
    store
}

/// Instantiates and calls the export.
pub(crate) fn call(module: &IntegrationPre<TaskState>, store: &mut Store<TaskState>) -> wasmtime::Result<TaskEnd> {
    let guest = module.instantiate(&mut *store)?;
    let steps = guest.porthole_integration_steps();
    let Task { kind, step, partition, .. } = store.data().task.clone();
    Ok(match kind {
        TaskKind::Run => match steps.call_run(store, &step, &partition)? {
            Ok(()) => TaskEnd::Finished,
            Err(e) => failed(e),
        },
        TaskKind::Partitions => match steps.call_partitions(store, &step)? {
            Ok(names) => partitions(names),
            Err(e) => failed(e),
        },
    })
}

fn failed(error: StepError) -> TaskEnd {
    let (kind, message) = match error {
        StepError::Call(message) => ("call", message),
        StepError::Unexpected(message) => ("unexpected", message),
        StepError::Config(message) => ("config", message),
        StepError::Other(message) => ("other", message),
    };
    TaskEnd::Failed { kind: kind.to_owned(), message: cut(message) }
}

/// Accepts the guest's partitions, or says what is wrong with them.
fn partitions(names: Vec<String>) -> TaskEnd {
    let bytes: usize = names.iter().map(String::len).sum();
    let longest = names.iter().map(String::len).max().unwrap_or(0);
    let wrong = if names.len() > limits::MAX_PARTITIONS {
        format!("{} partitions, at most {} are allowed", names.len(), limits::MAX_PARTITIONS)
    } else if longest > limits::MAX_PARTITION_BYTES {
        format!("a partition of {longest} bytes, at most {} are allowed", limits::MAX_PARTITION_BYTES)
    } else if bytes > limits::MAX_PARTITIONS_BYTES {
        format!("partitions of {bytes} bytes together, at most {} are allowed", limits::MAX_PARTITIONS_BYTES)
    } else {
        return TaskEnd::Partitions(names);
    };
    TaskEnd::Failed { kind: "unexpected".to_owned(), message: wrong }
}

/// A task is finished only if nothing was refused on the way, whatever the guest says. The first cause counts.
fn settled(end: TaskEnd, unseen: Option<EmitError>, refused: Option<&Stop>) -> TaskEnd {
    if !matches!(end, TaskEnd::Finished | TaskEnd::Partitions(_)) {
        return end;
    }
    match (refused, unseen) {
        (Some(stop), _) => stop.clone().into(),
        (None, Some(EmitError::TooLarge(m))) => Stop::new("emit-size", m).into(),
        (None, Some(EmitError::Limit(m))) => Stop::new("emit", m).into(),
        (None, Some(EmitError::Cancelled)) => Stop::new("cancelled", "the run was cancelled").into(),
        (None, None) => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_was_refused_something_has_not_finished() {
        let stop = Stop::new("emit-size", "too long");
        assert!(
            matches!(settled(TaskEnd::Finished, None, Some(&stop)), TaskEnd::Limit { limit, .. } if limit == "emit-size")
        );
        let unseen = Some(EmitError::Limit("enough".to_owned()));
        assert!(matches!(settled(TaskEnd::Finished, unseen, None), TaskEnd::Limit { limit, .. } if limit == "emit"));
        assert_eq!(settled(TaskEnd::Finished, None, None), TaskEnd::Finished);
        let trapped = TaskEnd::Trapped { message: "unreachable".to_owned() };
        assert_eq!(settled(trapped.clone(), None, Some(&stop)), trapped);
    }

    #[test]
    fn partitions_are_limited_in_number_and_length() {
        let names = |n: usize, text: &str| std::iter::repeat_n(text.to_owned(), n).collect::<Vec<_>>();
        assert!(matches!(partitions(names(limits::MAX_PARTITIONS, "a")), TaskEnd::Partitions(_)));
        assert!(matches!(partitions(names(limits::MAX_PARTITIONS + 1, "a")), TaskEnd::Failed { .. }));
        assert!(matches!(partitions(names(1, &"a".repeat(257))), TaskEnd::Failed { .. }));
        assert!(matches!(partitions(names(50_000, &"a".repeat(200))), TaskEnd::Failed { .. }));
    }
}
