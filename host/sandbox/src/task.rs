//! One task: a step for one partition, in a store of its own. What the store holds, and the counting that every host
//! function begins with.

use crate::limits;
use crate::memory::Memory;
use crate::meter::thread_cpu;
use crate::question::Questions;
use crate::stop::{Stop, cut};
use crate::wire::Writing;
use porthole_wire::{FromSandbox, Limits, Task, Usage};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use wasmtime::component::ResourceTable;

/// What a guest's handle points at: the name of a slot. The secret is elsewhere, and there is no type for it here.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Credential {
    pub(crate) slot: String,
}

/// The run was cancelled, and when.
#[derive(Debug, Default)]
pub(crate) struct Cancellation {
    cancelled: AtomicBool,
    since: OnceLock<Instant>,
}

impl Cancellation {
    pub(crate) fn cancel(&self) {
        self.since.get_or_init(Instant::now);
        self.cancelled.store(true, Ordering::Release);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    fn is_overdue(&self) -> bool {
        self.is_cancelled() && self.since.get().is_some_and(|t| t.elapsed() > limits::CANCEL_GRACE)
    }
}

/// The data of a store.
pub(crate) struct TaskState {
    pub(crate) task: Task,
    pub(crate) limits: Limits,
    pub(crate) usage: Usage,
    pub(crate) memory: Memory,
    pub(crate) handles: ResourceTable,
    pub(crate) questions: Questions,
    pub(crate) cancellation: Arc<Cancellation>,
    writing: Arc<Writing>,
    progress: Progress,
    log_lines: u64,
    /// The sandbox refused something by itself and gave the guest an error. The broker never saw it, so the task must
    /// not end as finished: what was refused may be missing in the graph.
    refused: Option<Stop>,
    cpu_at_start: Duration,
}

#[derive(Default)]
struct Progress {
    sent_at: Option<Instant>,
    pending: Option<(u64, Option<u64>)>,
}

impl TaskState {
    pub(crate) fn new(
        task: Task,
        limits: Limits,
        questions: Questions,
        writing: Arc<Writing>,
        cancellation: Arc<Cancellation>,
    ) -> Self {
        let mut handles = ResourceTable::new();
        handles.set_max_capacity(limits.handles as usize);
        Self {
            task,
            limits,
            usage: Usage::default(),
            memory: Memory::new(limits.memory_bytes),
            handles,
            questions,
            cancellation,
            writing,
            progress: Progress::default(),
            log_lines: 0,
            refused: None,
            cpu_at_start: thread_cpu(),
        }
    }

    /// Counts one host call. Every host function begins here.
    pub(crate) fn count(&mut self) -> Result<(), Stop> {
        if self.usage.host_calls >= self.limits.host_calls {
            let message = format!("{} host calls are allowed in one task", self.limits.host_calls);
            return Err(Stop::new("host-calls", message));
        }
        self.usage.host_calls += 1;
        Ok(())
    }

    /// Looks at a computing guest, at every tick.
    pub(crate) fn check_time(&self) -> Result<(), Stop> {
        if self.cpu() > Duration::from_millis(self.limits.cpu_ms) {
            let message = format!("{} ms of CPU time are allowed in one task", self.limits.cpu_ms);
            return Err(Stop::new("cpu", message));
        }
        if self.cancellation.is_overdue() {
            let message =
                format!("the run was cancelled and the step went on for {} s", limits::CANCEL_GRACE.as_secs());
            return Err(Stop::new("cancelled", message));
        }
        Ok(())
    }

    /// CPU time so far. Only the lane's own thread may ask.
    fn cpu(&self) -> Duration {
        thread_cpu().saturating_sub(self.cpu_at_start)
    }

    /// Remembers the first refusal that the broker didn't see.
    pub(crate) fn refuse(&mut self, limit: &'static str, message: &str) {
        self.refused.get_or_insert_with(|| Stop::new(limit, message));
    }

    /// The first refusal that the broker didn't see.
    pub(crate) fn refused(&self) -> Option<&Stop> {
        self.refused.as_ref()
    }

    /// Writes a log line, or counts it as dropped.
    pub(crate) fn log(&mut self, level: u8, message: String) {
        if self.log_lines >= self.limits.log_lines {
            self.usage.log_dropped += 1;
            return;
        }
        self.log_lines += 1;
        self.writing.send(&FromSandbox::Log { task: self.task.id, level, message: cut(message) });
    }

    /// Passes progress on, but not more often than anyone can look.
    pub(crate) fn progress(&mut self, done: u64, total: Option<u64>) {
        self.progress.pending = Some((done, total));
        if self.progress.sent_at.is_none_or(|t| t.elapsed() >= limits::PROGRESS_INTERVAL) {
            self.flush_progress();
        }
    }

    /// Sends the progress that was held back.
    pub(crate) fn flush_progress(&mut self) {
        if let Some((done, total)) = self.progress.pending.take() {
            self.progress.sent_at = Some(Instant::now());
            self.writing.send(&FromSandbox::Progress { task: self.task.id, done, total });
        }
    }

    /// What the task used.
    pub(crate) fn usage(&self) -> Usage {
        let cpu_us = u64::try_from(self.cpu().as_micros()).unwrap_or(u64::MAX);
        Usage { cpu_us, memory_bytes: self.memory.peak(), ..self.usage }
    }
}
