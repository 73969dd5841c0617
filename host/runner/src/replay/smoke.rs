//! The smoke run of an admission: the module runs twice with nobody to answer its calls, in the sandbox, under tight
//! limits. It shows that the code compiles and loads, that it answers for each step that its manifest declares and for no
//! other, and that it does the same twice. It shows nothing about what it does with a provider's answers.

use super::lenient::Lenient;
use super::offline::{self, Input, Module, ReplayError, Tools, told};
use super::replayer::Replayer;
use crate::answers::Answers;
use crate::sink::Sink;
use crate::transcript::{Header, TaskKey};
use porthole_model::id::{Slot, StepId};
use porthole_model::manifest::{Manifest, Step};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The longest that a smoke run may take, without the compiler.
const WALL: Duration = Duration::from_secs(60);
/// CPU time of one task, in milliseconds. Without a provider there is nothing to compute.
const CPU_MS: u64 = 5_000;
/// Linear memory of one task, in bytes: what interpreters need to start.
const MEMORY_BYTES: u64 = 128 * 1024 * 1024;
/// Objects of one task: a step may know some by itself.
const EMIT_OBJECTS: u64 = 10_000;
/// Bytes of objects of one task.
const EMIT_BYTES: u64 = 16 * 1024 * 1024;
/// Host calls of one task.
const HOST_CALLS: u64 = 100_000;
/// What a configuration field without a default is filled with.
const PLACEHOLDER: &str = "smoke";
/// A step that no manifest should declare.
const UNDECLARED: &str = "porthole-smoke-undeclared";
/// The start of both runs, in milliseconds since 1970: 2026-01-01.
const STARTED_AT_MS: u64 = 1_767_225_600_000;
/// What our SDK says of a step that the guest doesn't have.
const UNKNOWN_STEP: &str = "has no step `";

/// What a smoke run showed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// The code compiles.
    pub compiled: bool,
    /// Size of the compiled code, in bytes.
    pub code_bytes: u64,
    /// Size of the packed component, in bytes.
    pub component_bytes: u64,
    /// The sandbox loads it, and every wall stood.
    pub isolated: bool,
    /// Each task that ran, and how it ended: `finished`, or why not. Without a provider most steps fail.
    pub tasks: BTreeMap<String, String>,
    /// Declared steps that the code doesn't have.
    pub missing_steps: BTreeSet<StepId>,
    /// It finishes a step that its manifest doesn't declare.
    pub answers_undeclared: bool,
    /// Digests over everything that it asked and emitted, of both runs.
    pub digests: Vec<String>,
    /// Why it couldn't be run to the end.
    pub error: Option<String>,
}

/// Runs a module twice with nobody to answer its calls. What goes wrong is in the evidence.
pub async fn smoke(tools: &Tools, module: &Module) -> Evidence {
    let mut evidence = Evidence { component_bytes: module.size(), ..Evidence::default() };
    // The compiler has limits of its own.
    match module.compile(tools).await {
        Ok(size) => (evidence.compiled, evidence.code_bytes) = (true, size),
        Err(e) => {
            evidence.error = Some(told(&e));
            return evidence;
        }
    }
    match tokio::time::timeout(WALL, twice(tools, module, &mut evidence)).await {
        Ok(Ok(())) => {}
        Ok(Err(e)) => evidence.error = Some(told(&e)),
        Err(_) => evidence.error = Some(told(&ReplayError::Wall(WALL))),
    }
    evidence
}

async fn twice(tools: &Tools, module: &Module, evidence: &mut Evidence) -> Result<(), ReplayError> {
    for _ in 0..2 {
        let mut digest = blake3::Hasher::new();
        // First as a run would. Steps with partitions may list none without a provider; so then each once more, alone,
        // and one that isn't there.
        let alone = alone(&module.manifest)?;
        for steps in [module.manifest.steps.iter().collect(), alone.iter().collect()] {
            once(tools, module, steps, evidence, &mut digest).await?;
        }
        evidence.digests.push(format!("blake3:{}", digest.finalize().to_hex()));
    }
    evidence.isolated = true;
    Ok(())
}

async fn once(
    tools: &Tools,
    module: &Module,
    steps: Vec<&Step>,
    evidence: &mut Evidence,
    digest: &mut blake3::Hasher,
) -> Result<(), ReplayError> {
    let header = header(module);
    let replayer = Replayer::Lenient(Box::new(Lenient::nothing(header.bound.clone())));
    let answers = Answers::Replay(Arc::new(replayer));
    let input = Input { header, steps, answers, sink: Sink::Nowhere, wall: WALL };
    let ran = offline::run(tools, module, input).await?;
    digest.update(ran.graph_digest.as_bytes());
    digest.update(ran.transcript_digest.as_bytes());
    for (task, failure) in &ran.collected.ends {
        judge(evidence, task, failure.as_deref());
    }
    Ok(())
}

fn judge(evidence: &mut Evidence, task: &TaskKey, failure: Option<&str>) {
    if task.step.as_str() == UNDECLARED {
        evidence.answers_undeclared |= failure.is_none();
        return;
    }
    if failure.is_some_and(|text| text.contains(UNKNOWN_STEP)) {
        evidence.missing_steps.insert(task.step.clone());
    }
    evidence.tasks.insert(task.to_string(), failure.unwrap_or("finished").to_owned());
}

/// Steps with partitions as if they had none, waiting for nothing; and one that the manifest doesn't declare.
fn alone(manifest: &Manifest) -> Result<Vec<Step>, ReplayError> {
    let id = StepId::new(UNDECLARED).map_err(|e| ReplayError::Misfit(e.to_string()))?;
    let partitioned = manifest.steps.iter().filter(|s| s.partitioned).cloned();
    let undeclared = Step {
        id,
        title: String::new(),
        uses: Vec::new(),
        needs: Vec::new(),
        partitioned: false,
        reads: Vec::new(),
        entities: Vec::new(),
        relationships: Vec::new(),
    };
    let free = |step: Step| Step { partitioned: false, needs: Vec::new(), ..step };
    Ok(partitioned.map(free).chain([undeclared]).collect())
}

/// Every slot looks bound, so that the guest goes on to its first call.
fn header(module: &Module) -> Header {
    let limits = porthole_wire::Limits {
        memory_bytes: MEMORY_BYTES,
        cpu_ms: CPU_MS,
        emit_objects: EMIT_OBJECTS,
        emit_bytes: EMIT_BYTES,
        host_calls: HOST_CALLS,
        ..porthole_wire::Limits::default()
    };
    let mut header = Header::new(module.digest, config(&module.manifest), &limits);
    header.started_at_ms = STARTED_AT_MS;
    let bound: BTreeSet<&Slot> = module.manifest.credentials.iter().map(|c| &c.slot).collect();
    header.bound = bound.into_iter().cloned().collect();
    header
}

/// Defaults, placeholders, and what follows from them. No tenant's rule is asked: nothing is sent.
fn config(manifest: &Manifest) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for (name, field) in manifest.config.iter().filter(|(_, f)| f.derive.is_none()) {
        values.insert(name.clone(), field.default.clone().unwrap_or_else(|| PLACEHOLDER.to_owned()));
    }
    for (name, field) in &manifest.config {
        let Some(derive) = &field.derive else { continue };
        let Some(source) = values.get(&derive.from) else { continue };
        if let Some((_, value)) = derive.cases.iter().find(|(rule, _)| rule.allows(source)) {
            values.insert(name.clone(), value.clone());
        }
    }
    values
}
