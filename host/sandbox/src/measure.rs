//! For the benchmarks: how a task begins, in the caller's own process. The very functions of a lane, without the walls;
//! nothing here is reachable from the programs.

use crate::bindings::v0_1::IntegrationPre;
use crate::code::{Code, CodePages};
use crate::lane;
use crate::load::Loader;
use crate::meter::Ticker;
use crate::question::Questions;
use crate::task::{Cancellation, TaskState};
use crate::wire::{Writing, halves};
use porthole_wire::{Limits, Task, TaskEnd, TaskKind};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use wasmtime::component::{ComponentExportIndex, InstancePre, Linker};
use wasmtime::{Engine, Store};

/// Why something can't be measured.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct MeasureError(String);

impl From<wasmtime::Error> for MeasureError {
    fn from(e: wasmtime::Error) -> Self {
        Self(format!("{e:#}"))
    }
}

fn frozen(code: &[u8]) -> Result<Code, MeasureError> {
    CodePages::of(code).freeze().map_err(|e| MeasureError(e.to_string()))
}

/// A loaded guest.
pub struct Guest {
    module: IntegrationPre<TaskState>,
    limits: Limits,
    writing: Arc<Writing>,
    ticker: Arc<Ticker>,
    cancellation: Arc<Cancellation>,
    /// The broker's end, on which nobody listens.
    _broker: UnixStream,
}

impl Guest {
    /// Loads compiled code as a sandbox does.
    ///
    /// # Errors
    /// When it doesn't load.
    pub fn load(code: &[u8], limits: Limits) -> Result<Self, MeasureError> {
        let loader = Loader::pooled(&limits).map_err(|e| MeasureError(crate::told(&e)))?;
        let module = loader.load(&frozen(code)?).map_err(|e| MeasureError(crate::told(&e)))?;
        let (broker, ours) = UnixStream::pair().map_err(|e| MeasureError(e.to_string()))?;
        let (_, writing) = halves(File::from(OwnedFd::from(ours)));
        let (ticker, cancellation) = (Arc::default(), Arc::default());
        Ok(Self { module, limits, writing: Arc::new(writing), ticker, cancellation, _broker: broker })
    }

    /// Its tasks take their memory from the pool.
    #[must_use]
    pub fn is_pooled(&self) -> bool {
        self.module.engine().pooling_allocator_metrics().is_some()
    }

    /// From nothing to the end of a step: store, instance, the guest's calls. The step has to ask the broker for nothing.
    ///
    /// # Errors
    /// When the step doesn't finish.
    pub fn step(&self, step: &str, config: &str) -> Result<Duration, MeasureError> {
        let task = Task {
            id: 1,
            kind: TaskKind::Run,
            step: step.to_owned(),
            partition: String::new(),
            config: config.to_owned(),
            started_at_ms: 0,
        };
        let (_answers, answered) = channel();
        let started = Instant::now();
        let questions = Questions::new(task.id, Arc::clone(&self.writing), answered, Arc::clone(&self.ticker));
        let (writing, cancellation) = (Arc::clone(&self.writing), Arc::clone(&self.cancellation));
        let state = TaskState::new(task, self.limits, questions, writing, cancellation);
        let mut store = lane::store(self.module.engine(), state);
        let end = lane::call(&self.module, &mut store)?;
        let took = started.elapsed();
        if end == TaskEnd::Finished { Ok(took) } else { Err(MeasureError(format!("the step ended with {end:?}"))) }
    }
}

/// A component that imports a function `host` and exports a function `run`, which calls it and returns: what wasmtime
/// costs alone, with the same engine.
pub struct Bare {
    engine: Engine,
    module: InstancePre<()>,
    run: ComponentExportIndex,
}

impl Bare {
    /// Loads compiled code.
    ///
    /// # Errors
    /// When it isn't such a component.
    pub fn load(code: &[u8]) -> Result<Self, MeasureError> {
        let engine = crate::engine::pooled(&Limits::default())?;
        let component = frozen(code)?.deserialize(&engine)?;
        let run = component.get_export_index(None, "run").ok_or_else(|| MeasureError("no export `run`".to_owned()))?;
        let mut linker = Linker::new(&engine);
        linker.root().func_wrap("host", |_, (): ()| Ok(()))?;
        Ok(Self { module: linker.instantiate_pre(&component)?, engine, run })
    }

    /// From nothing to the end of `run`.
    ///
    /// # Errors
    /// When it fails.
    pub fn run(&self) -> Result<Duration, MeasureError> {
        let started = Instant::now();
        let mut store = Store::new(&self.engine, ());
        store.set_epoch_deadline(1);
        let instance = self.module.instantiate(&mut store)?;
        let run = instance.get_typed_func::<(), ()>(&mut store, self.run)?;
        run.call(&mut store, ())?;
        Ok(started.elapsed())
    }
}
