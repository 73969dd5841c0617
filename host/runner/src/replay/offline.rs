//! Runs a module without network and without a database. The process that runs it is the one of every run, locked down
//! as in every run.

use super::replayer::ReplayFault;
use crate::answers::Answers;
use crate::broker::{Broker, BrokerError};
use crate::collected::Collected;
use crate::collector::{Collector, Types};
use crate::compile::{CompileError, Compiler};
use crate::index::Index;
use crate::journal::Journal;
use crate::prepare::{chain, step_types};
use crate::process::{Sandbox, SandboxError};
use crate::schedule::Schedule;
use crate::sink::Sink;
use crate::spool::Spool;
use crate::transcript::{Header, RecordError, Recording, TranscriptError};
use porthole_model::id::{ModuleDigest, StepId};
use porthole_model::manifest::{Manifest, Step};
use porthole_model::parse::StepTypes;
use porthole_store::log::NewLine;
use porthole_wire::Isolation;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// One task at a time: then not even two partitions that emit the same object make two replays differ.
const LANES: u32 = 1;
/// The most memory that a transcript may ask for its tasks, in bytes: all that a guest of 32 bits can address.
const MAX_MEMORY_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// The most CPU time that a transcript may ask for a task, in milliseconds: six times what a run gives it.
const MAX_CPU_MS: u64 = 3_600_000;
/// The most handles that a transcript may ask for a task.
const MAX_HANDLES: u32 = 65_536;

/// Why a module can't be replayed at all, or did something else than in the run.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The module isn't admitted.
    #[error("the module is not admitted: {0}")]
    NotAdmitted(String),
    /// The transcript is of another module.
    #[error("the transcript is of module {transcript}, and the file is {file}")]
    WrongModule {
        /// The module that ran.
        transcript: ModuleDigest,
        /// The module of the file.
        file: ModuleDigest,
    },
    /// The transcript speaks of what the module doesn't have, or asks for too much.
    #[error("the transcript doesn't fit the module: {0}")]
    Misfit(String),
    /// The transcript.
    #[error(transparent)]
    Transcript(#[from] TranscriptError),
    /// The guest did something else than in the run.
    #[error(transparent)]
    Fault(#[from] ReplayFault),
    /// Compiling.
    #[error("the module can't be compiled")]
    Compile(#[from] CompileError),
    /// The sandbox.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The rest of what can go wrong while a module runs.
    #[error(transparent)]
    Broker(BrokerError),
    /// A transcript that is being made.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A temporary file.
    #[error("no temporary file")]
    Temporary(#[source] io::Error),
    /// Too long.
    #[error("it took longer than {0:?}")]
    Wall(Duration),
}

impl From<BrokerError> for ReplayError {
    fn from(error: BrokerError) -> Self {
        match error {
            BrokerError::Replay(fault) => Self::Fault(fault),
            other => Self::Broker(other),
        }
    }
}

impl ReplayError {
    /// The guest did something else than in the run: an answer, and no mishap.
    #[must_use]
    pub fn is_difference(&self) -> bool {
        matches!(self, Self::Fault(fault) if !matches!(fault, ReplayFault::Transcript(_) | ReplayFault::TooMuch { .. }))
    }
}

/// What it takes to run a module here.
#[derive(Clone)]
pub struct Tools {
    /// Compiled code.
    pub compiler: Arc<Compiler>,
    /// The sandbox program.
    pub sandbox: PathBuf,
    /// Go on where the kernel can't isolate.
    pub allow_weak_isolation: bool,
}

/// An admitted module.
pub struct Module {
    /// Its digest.
    pub digest: ModuleDigest,
    /// What it asks for.
    pub manifest: Arc<Manifest>,
    component: Vec<u8>,
}

impl Module {
    /// Admits a packed module, as before every run.
    ///
    /// # Errors
    /// When it isn't admitted.
    pub fn admit(component: Vec<u8>) -> Result<Self, ReplayError> {
        let admitted = porthole_registry::admit(&component).map_err(|findings| {
            let list: Vec<String> = findings.iter().map(ToString::to_string).collect();
            ReplayError::NotAdmitted(list.join("; "))
        })?;
        Ok(Self { digest: admitted.digest, manifest: Arc::new(admitted.manifest), component })
    }

    /// Size of the packed component, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.component.len() as u64
    }

    /// Has it compiled, unless it is already. The result is the size of the code, in bytes.
    ///
    /// # Errors
    /// When the compiler refuses it.
    pub async fn compile(&self, tools: &Tools) -> Result<u64, ReplayError> {
        Ok(tools.compiler.code(self.digest, &self.component).await?.len() as u64)
    }

    /// Name and version, for people.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}", self.manifest.module.name, self.manifest.module.version)
    }
}

/// What a module is run with.
pub struct Input<'a> {
    /// What the guest can perceive besides its calls; the transcript that is made begins with it.
    pub header: Header,
    /// The steps, in the order in which they may start.
    pub steps: Vec<&'a Step>,
    /// Who answers its calls.
    pub answers: Answers,
    /// Where its objects go.
    pub sink: Sink,
    /// The longest time.
    pub wall: Duration,
}

/// What came of it.
pub struct Replayed {
    /// Slices and listings.
    pub collected: Collected,
    /// Over everything that was accepted.
    pub graph_digest: String,
    /// Over everything that was asked and answered.
    pub transcript_digest: String,
    /// Where its objects went.
    pub sink: Sink,
    /// What held around the guest.
    pub isolation: Isolation,
    /// The first log lines.
    pub lines: Vec<NewLine>,
}

impl Replayed {
    /// Objects that were accepted.
    #[must_use]
    pub fn objects(&self) -> u64 {
        self.collected.slices.iter().map(|s| s.tally.accepted).sum()
    }
}

/// The steps of a module by their ids.
///
/// # Errors
/// When it lacks one.
pub fn steps_of<'m>(manifest: &'m Manifest, ids: &[StepId]) -> Result<Vec<&'m Step>, ReplayError> {
    let find = |id: &StepId| {
        let step = manifest.step(id.as_str());
        step.ok_or_else(|| ReplayError::Misfit(format!("the module has no step `{id}`")))
    };
    ids.iter().map(find).collect()
}

/// Runs a module from its first step to its last.
///
/// # Errors
/// When it can't be run, or did something else than in the run that is replayed.
pub async fn run(tools: &Tools, module: &Module, input: Input<'_>) -> Result<Replayed, ReplayError> {
    let wall = input.wall;
    tokio::time::timeout(wall, run_to_end(tools, module, input)).await.unwrap_or(Err(ReplayError::Wall(wall)))
}

async fn run_to_end(tools: &Tools, module: &Module, input: Input<'_>) -> Result<Replayed, ReplayError> {
    let Input { header, steps, answers, sink, .. } = input;
    let limits = checked_limits(&header)?;
    let code = tools.compiler.code(module.digest, &module.component).await?;
    let (mut sandbox, isolation) = Sandbox::start(&tools.sandbox, limits, tools.allow_weak_isolation).await?;
    sandbox.load(&code).await?;
    let spool = Spool::new(&module.manifest).map_err(ReplayError::Temporary)?;
    let collector = Arc::new(Mutex::new(Collector::new(Index::default(), Types::default(), sink, spool)));
    let recording = Arc::new(Recording::begin(&header, None).await?);
    let mut types = step_types(&module.manifest);
    for step in &steps {
        // The smoke run asks for a step that isn't there. It may emit nothing.
        types.entry(step.id.clone()).or_insert_with(|| Arc::new(StepTypes::new(step, &|_| Vec::new())));
    }
    let broker = Broker {
        journal: Journal::memory(),
        manifest: Arc::clone(&module.manifest),
        types,
        config_json: serde_json::to_string(&header.config).map_err(RecordError::from)?,
        started_at_ms: header.started_at_ms,
        answers,
        recording: Arc::clone(&recording),
        collector: Arc::clone(&collector),
        lanes: LANES as usize,
    };
    let collected = broker.run(&mut sandbox, Schedule::new(steps.into_iter())).await;
    sandbox.stop().await;
    let lines = broker.into_journal().into_lines();
    let collected = collected?;
    // The tasks that held on to these have ended with the sandbox; who still runs has nothing left to do.
    let gone = || ReplayError::Broker(BrokerError::Protocol("the run ended and something of it still runs".to_owned()));
    let collector = Arc::into_inner(collector).map(Mutex::into_inner).ok_or_else(gone)?;
    let recording = Arc::into_inner(recording).ok_or_else(gone)?;
    let graph_digest = collector.digest_text().map_err(BrokerError::from)?;
    let sink = collector.into_sink();
    Ok(Replayed { collected, graph_digest, transcript_digest: recording.finish().await?, sink, isolation, lines })
}

/// A transcript is a file that anyone may have made: its limits are those of a run, or less than what could hurt.
fn checked_limits(header: &Header) -> Result<porthole_wire::Limits, ReplayError> {
    let limits = header.limits;
    for (name, value, most) in [
        ("memory-bytes", limits.memory_bytes, MAX_MEMORY_BYTES),
        ("cpu-ms", limits.cpu_ms, MAX_CPU_MS),
        ("handles", limits.handles.into(), MAX_HANDLES.into()),
    ] {
        if value > most {
            return Err(ReplayError::Misfit(format!("its limit `{name}` is {value}, and at most {most} are given")));
        }
    }
    Ok(limits.with_lanes(LANES))
}

/// An error and its causes, on one line, for whoever shows it.
#[must_use]
pub fn told(error: &ReplayError) -> String {
    chain(error)
}
