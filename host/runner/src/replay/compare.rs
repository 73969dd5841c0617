//! What would another version of a module have done on the real input of a run? Both versions run from its transcript;
//! what they ask for and what they emit is laid side by side. This is the test evidence of an upgrade.

use super::call_key::{CallIndex, CallKey};
use super::lenient::Lenient;
use super::objects::{Objects, TypeDiff, diff};
use super::offline::{self, Input, Module, ReplayError, Replayed, Tools};
use super::replayer::Replayer;
use super::verify::replay_into;
use crate::answers::Answers;
use crate::limits::RunLimits;
use crate::prepare::chain;
use crate::sink::Sink;
use crate::transcript::{Header, Transcript};
use porthole_model::grant::{Ceiling, Grant, Policy};
use porthole_model::id::{ModuleDigest, Name, StepId};
use porthole_model::manifest::Step;
use porthole_model::operation::Config;
use porthole_model::plan::{PlanInput, plan};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What two versions do on the same input.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// The digest of the transcript.
    pub transcript: String,
    /// The old version.
    pub old: Side,
    /// The new version.
    pub new: Side,
    /// Calls that only the new version makes. Where the transcript doesn't have them, they were answered with a fault.
    pub calls_added: Vec<CallCount>,
    /// Calls that only the old version makes.
    pub calls_dropped: Vec<CallCount>,
    /// Calls that both make.
    pub calls_same: u64,
    /// Objects, by type. Types without a difference are in it as well.
    pub objects: BTreeMap<String, TypeDiff>,
}

/// One version.
#[derive(Debug, Clone, Serialize)]
pub struct Side {
    /// Name and version.
    pub module: String,
    /// Its digest.
    pub digest: ModuleDigest,
    /// It is the module that ran, and did exactly what it did then.
    pub ran: bool,
    /// What it collected.
    pub graph_digest: String,
    /// Its slices.
    pub slices: u64,
    /// The slices, and listings of partitions, that are incomplete: each with its reason.
    pub incomplete: BTreeMap<String, String>,
}

/// A call, and how often more than in the other version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CallCount {
    /// The call.
    #[serde(flatten)]
    pub call: CallKey,
    /// How often.
    pub count: u64,
}

impl Comparison {
    /// Both versions ask for the same and emit the same.
    #[must_use]
    pub fn is_same(&self) -> bool {
        let objects_same = self.objects.values().all(|t| t.added + t.changed + t.gone == 0);
        self.calls_added.is_empty() && self.calls_dropped.is_empty() && objects_same
    }
}

/// Runs two versions from one transcript and compares what they do. `set` are configuration values for fields that the
/// run didn't have.
///
/// # Errors
/// When one of them can't be run, or the old one is the module that ran and does something else than then.
pub async fn compare(
    tools: &Tools,
    old: &Module,
    new: &Module,
    transcript: Transcript,
    set: &BTreeMap<String, String>,
) -> Result<Comparison, ReplayError> {
    let transcript = Arc::new(transcript);
    let (mut then, old_side, old_calls) = one(tools, old, &transcript, set, &BTreeSet::new()).await?;
    let off = switched_off(old, transcript.header());
    let (mut now, new_side, new_calls) = one(tools, new, &transcript, set, &off).await?;
    let more = |a: &BTreeMap<CallKey, u64>, b: &BTreeMap<CallKey, u64>| {
        let more = a.iter().map(|(call, n)| (call, n.saturating_sub(b.get(call).copied().unwrap_or(0))));
        more.filter(|(_, n)| *n > 0).map(|(call, count)| CallCount { call: call.clone(), count }).collect::<Vec<_>>()
    };
    let same = old_calls.iter().map(|(call, n)| (*n).min(new_calls.get(call).copied().unwrap_or(0))).sum();
    Ok(Comparison {
        transcript: transcript.digest().to_owned(),
        old: old_side,
        new: new_side,
        calls_added: more(&new_calls, &old_calls),
        calls_dropped: more(&old_calls, &new_calls),
        calls_same: same,
        objects: diff(&mut then, &mut now).map_err(ReplayError::Temporary)?,
    })
}

/// The steps of the old version that were off in the run. If it isn't the version that ran, nobody knows; then none.
fn switched_off(old: &Module, header: &Header) -> BTreeSet<StepId> {
    if old.digest != header.module {
        return BTreeSet::new();
    }
    old.manifest.steps.iter().map(|s| &s.id).filter(|id| !header.steps.contains(id)).cloned().collect()
}

async fn one(
    tools: &Tools,
    module: &Module,
    transcript: &Arc<Transcript>,
    set: &BTreeMap<String, String>,
    off: &BTreeSet<StepId>,
) -> Result<(Objects, Side, BTreeMap<CallKey, u64>), ReplayError> {
    let sink = Sink::Objects(Objects::new().map_err(ReplayError::Temporary)?);
    let ran = transcript.header().module == module.digest;
    let (replayed, calls) = if ran {
        let replayed = replay_into(tools, module, Arc::clone(transcript), sink).await?;
        (replayed, CallIndex::of(transcript)?.counts())
    } else {
        other(tools, module, transcript, set, off, sink).await?
    };
    let side = Side {
        module: module.name(),
        digest: module.digest,
        ran,
        graph_digest: replayed.graph_digest.clone(),
        slices: replayed.collected.slices.len() as u64,
        incomplete: incomplete(&replayed),
    };
    let Sink::Objects(objects) = replayed.sink else {
        return Err(ReplayError::Misfit("the objects of a replay went astray".to_owned()));
    };
    Ok((objects, side, calls))
}

/// Runs a version that isn't the one that ran.
async fn other(
    tools: &Tools,
    module: &Module,
    transcript: &Arc<Transcript>,
    set: &BTreeMap<String, String>,
    off: &BTreeSet<StepId>,
    sink: Sink,
) -> Result<(Replayed, BTreeMap<CallKey, u64>), ReplayError> {
    let config = config(module, transcript.header(), set)?;
    let grant = Grant { steps_off: off.clone(), ..Grant::all_of(&module.manifest) };
    let steps = steps(module, &config, &grant)?;
    let misfit = |e: &dyn std::error::Error| ReplayError::Misfit(chain(e));
    let name = instance()?;
    let policy = Policy::new(name, &module.manifest, config.clone(), grant, Ceiling::default());
    let lenient = Lenient::new(Arc::clone(transcript), policy.map_err(|e| misfit(&e))?)?;
    let replayer = Arc::new(Replayer::Lenient(Box::new(lenient)));
    let mut header = transcript.header().clone();
    header.module = module.digest;
    header.config = config.values;
    header.steps = steps.iter().map(|s| s.id.clone()).collect();
    let answers = Answers::Replay(Arc::clone(&replayer));
    let wall = RunLimits::default().wall;
    let replayed = offline::run(tools, module, Input { header, steps, answers, sink, wall }).await?;
    let Replayer::Lenient(lenient) = &*replayer else { return Ok((replayed, BTreeMap::new())) };
    Ok((replayed, lenient.asked()))
}

/// The run's configuration, as far as this version has such fields, and what was said on top.
fn config(module: &Module, header: &Header, set: &BTreeMap<String, String>) -> Result<Config, ReplayError> {
    let settable = |name: &String| module.manifest.config.get(name).is_some_and(|field| field.derive.is_none());
    let mut given: BTreeMap<String, String> =
        header.config.iter().filter(|(name, _)| settable(name)).map(|(n, v)| (n.clone(), v.clone())).collect();
    given.extend(set.iter().filter(|(name, _)| settable(name)).map(|(n, v)| (n.clone(), v.clone())));
    porthole_registry::resolve_config(&module.manifest, &given).map_err(|findings| {
        let list: Vec<String> = findings.iter().map(ToString::to_string).collect();
        ReplayError::Misfit(format!(
            "{} needs other configuration than the run had: {}",
            module.name(),
            list.join("; ")
        ))
    })
}

/// The steps that are on, in the order in which a run would start them.
fn steps<'m>(module: &'m Module, config: &Config, grant: &Grant) -> Result<Vec<&'m Step>, ReplayError> {
    let input = PlanInput {
        instance: &instance()?,
        digest: module.digest,
        config,
        grant,
        ceiling: &Ceiling::default(),
        exceptions: &[],
        limits: &BTreeMap::new(),
    };
    let planned = plan(&module.manifest, input).map_err(|e| ReplayError::Misfit(chain(&e)))?;
    let on = planned.steps.iter().filter(|s| s.is_on());
    Ok(on.filter_map(|s| module.manifest.step(s.id.as_str())).collect())
}

/// What denials call the instance.
fn instance() -> Result<Name, ReplayError> {
    Name::new("replay").map_err(|e| ReplayError::Misfit(e.to_string()))
}

fn incomplete(replayed: &Replayed) -> BTreeMap<String, String> {
    let collected = &replayed.collected;
    let slices = collected.slices.iter().filter(|s| !s.verdict.complete);
    let slices = slices.map(|s| (s.key.to_string(), s.verdict.reason.clone().unwrap_or_default()));
    let listings = collected.failed_listings.iter();
    slices.chain(listings.map(|(step, reason)| (format!("partitions of {step}"), reason.clone()))).collect()
}
