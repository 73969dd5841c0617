//! The plan of a run: what the three owners leave of what the manifest asks for. It is made before anything runs, stored
//! with the run, and is what a reviewer reads.

use crate::grant::{Ceiling, Grant, Layer};
use crate::id::{ModuleDigest, Name, OperationId, Slot, StepId};
use crate::manifest::{Manifest, Method, Operation, Step};
use crate::operation::{Config, Part, Template, TemplateError};
use crate::rule::Rule;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What a plan is made of, besides the manifest.
#[derive(Debug, Clone, Copy)]
pub struct PlanInput<'a> {
    /// The instance's name.
    pub instance: &'a Name,
    /// The module's digest.
    pub digest: ModuleDigest,
    /// The checked configuration.
    pub config: &'a Config,
    /// What the tenant granted.
    pub grant: &'a Grant,
    /// What the operator leaves.
    pub ceiling: &'a Ceiling,
    /// The operator's exceptions to the address rules, and mapped hosts, as they are printed.
    pub exceptions: &'a [String],
    /// The limits of the run by name, the unit last: `memory_bytes`.
    pub limits: &'a BTreeMap<String, u64>,
}

/// What a run may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The instance's name.
    pub instance: Name,
    /// The module.
    pub module: PlannedModule,
    /// The steps in the order in which they may start: each after those it needs, else as in the manifest.
    pub steps: Vec<PlannedStep>,
    /// The operations that some step that is on may perform, in the order of the manifest.
    pub operations: Vec<PlannedOperation>,
    /// Limits on arguments, by argument and owner.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub argument_limits: Vec<ArgumentLimit>,
    /// The hosts that those operations reach. A variable that the guest fills in stands in braces.
    pub hosts: BTreeSet<String>,
    /// The hosts where credentials of those operations may be exchanged for tokens.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub token_hosts: BTreeSet<String>,
    /// The operator's exceptions to the address rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<String>,
    /// The limits of the run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, u64>,
}

/// Which module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedModule {
    /// Its digest.
    pub digest: ModuleDigest,
    /// Its name.
    pub name: Name,
    /// Its version.
    pub version: String,
}

/// A step, and what it may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// Its id.
    pub id: StepId,
    /// Why it is off, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub off: Option<OffReason>,
    /// It runs once for each partition.
    pub partitioned: bool,
    /// The steps that must have ended before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<StepId>,
    /// The operations it may perform.
    pub operations: Vec<OperationId>,
    /// The operations it asks for and doesn't get. The step runs without them and stays incomplete where it needs them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedOperation>,
}

impl PlannedStep {
    /// The step runs.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.off.is_none()
    }
}

/// Why a step is off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "step", rename_all = "kebab-case")]
pub enum OffReason {
    /// The grant switches it off.
    SwitchedOff,
    /// It needs a step that is off.
    Needs(StepId),
}

impl fmt::Display for OffReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SwitchedOff => f.write_str("switched off by the grant"),
            Self::Needs(step) => write!(f, "needs step `{step}`, which is off"),
        }
    }
}

/// An operation that a step asks for and doesn't get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedOperation {
    /// The operation.
    pub operation: OperationId,
    /// The owner that refuses it.
    pub layer: Layer,
}

/// An operation that the run may perform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedOperation {
    /// Its id.
    pub id: OperationId,
    /// Its method.
    pub method: Method,
    /// Its URL, with the configuration filled in and the arguments in braces.
    pub url: String,
    /// The credential slot that signs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Slot>,
    /// What the provider's administrator has to grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
}

/// A limit on an argument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArgumentLimit {
    /// The argument.
    pub argument: String,
    /// Whose limit it is.
    pub layer: Layer,
    /// A value must keep one of these.
    pub rules: Vec<Rule>,
}

/// Why there can be no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Two steps or two operations of one name.
    #[error("the manifest declares `{0}` twice")]
    Twice(String),
    /// A step needs a step that isn't there.
    #[error("step `{step}` needs step `{needs}`, which the manifest doesn't declare")]
    UnknownStep {
        /// The step.
        step: StepId,
        /// What it needs.
        needs: StepId,
    },
    /// A step uses an operation that isn't there.
    #[error("step `{step}` uses operation `{operation}`, which the manifest doesn't declare")]
    UnknownOperation {
        /// The step.
        step: StepId,
        /// What it uses.
        operation: OperationId,
    },
    /// Steps that wait for each other.
    #[error("the steps {0} wait for each other")]
    Cycle(String),
    /// An operation's template doesn't fit.
    #[error("operation `{operation}`")]
    Template {
        /// The operation.
        operation: OperationId,
        /// What is wrong.
        source: TemplateError,
    },
}

/// Makes the plan. Steps that the grant switches off are off, and so is whatever needs them.
///
/// # Errors
/// When the manifest contradicts itself or doesn't fit the configuration.
pub fn plan(manifest: &Manifest, input: PlanInput<'_>) -> Result<Plan, PlanError> {
    unique(manifest.operations.iter().map(|o| o.id.as_str()))?;
    unique(manifest.steps.iter().map(|s| s.id.as_str()))?;
    let mut steps: Vec<PlannedStep> = Vec::with_capacity(manifest.steps.len());
    for step in in_order(&manifest.steps)? {
        let off = off_reason(step, input.grant, &steps);
        steps.push(planned_step(manifest, step, off, input)?);
    }
    let used: BTreeSet<_> = steps.iter().filter(|s| s.is_on()).flat_map(|s| &s.operations).collect();
    let effective: Vec<_> = manifest.operations.iter().filter(|o| used.contains(&o.id)).collect();
    let operations = effective.iter().map(|o| planned_operation(o, input.config)).collect::<Result<Vec<_>, _>>()?;
    let hosts = operations.iter().filter_map(|o| host_of(&o.url)).collect();
    let slots = effective.iter().filter_map(|o| o.auth.as_ref()).collect();
    Ok(Plan {
        instance: input.instance.clone(),
        module: PlannedModule {
            digest: input.digest,
            name: manifest.module.name.clone(),
            version: manifest.module.version.clone(),
        },
        operations,
        argument_limits: argument_limits(input.grant, input.ceiling),
        hosts,
        token_hosts: token_hosts(manifest, &slots, input.config),
        exceptions: input.exceptions.to_vec(),
        limits: input.limits.clone(),
        steps,
    })
}

fn unique<'m>(mut names: impl Iterator<Item = &'m str>) -> Result<(), PlanError> {
    let mut seen = BTreeSet::new();
    match names.find(|name| !seen.insert(*name)) {
        Some(twice) => Err(PlanError::Twice(twice.to_owned())),
        None => Ok(()),
    }
}

/// Each step after those it needs; among steps that may both start, the one that stands first in the manifest.
fn in_order(steps: &[Step]) -> Result<Vec<&Step>, PlanError> {
    let known: BTreeSet<_> = steps.iter().map(|s| &s.id).collect();
    for step in steps {
        if let Some(needs) = step.needs.iter().find(|n| !known.contains(n)) {
            return Err(PlanError::UnknownStep { step: step.id.clone(), needs: needs.clone() });
        }
    }
    let mut waiting: Vec<&Step> = steps.iter().collect();
    let mut done: BTreeSet<&StepId> = BTreeSet::new();
    let mut order = Vec::with_capacity(steps.len());
    while !waiting.is_empty() {
        let Some(at) = waiting.iter().position(|s| s.needs.iter().all(|n| done.contains(n))) else {
            let names: Vec<_> = waiting.iter().map(|s| format!("`{}`", s.id)).collect();
            return Err(PlanError::Cycle(names.join(", ")));
        };
        let step = waiting.remove(at);
        done.insert(&step.id);
        order.push(step);
    }
    Ok(order)
}

fn off_reason(step: &Step, grant: &Grant, before: &[PlannedStep]) -> Option<OffReason> {
    if grant.steps_off.contains(&step.id) {
        return Some(OffReason::SwitchedOff);
    }
    let is_off = |id: &&StepId| before.iter().any(|s| s.id == **id && !s.is_on());
    step.needs.iter().find(is_off).map(|id| OffReason::Needs(id.clone()))
}

fn planned_step(
    manifest: &Manifest,
    step: &Step,
    off: Option<OffReason>,
    input: PlanInput<'_>,
) -> Result<PlannedStep, PlanError> {
    let (mut operations, mut refused) = (Vec::new(), Vec::new());
    for id in &step.uses {
        if manifest.operation(id.as_str()).is_none() {
            return Err(PlanError::UnknownOperation { step: step.id.clone(), operation: id.clone() });
        }
        let layer = if !input.grant.operations.contains(id) {
            Some(Layer::Granted)
        } else if input.ceiling.deny.contains(id) {
            Some(Layer::Ceiling)
        } else {
            None
        };
        match layer {
            Some(layer) => refused.push(RefusedOperation { operation: id.clone(), layer }),
            None => operations.push(id.clone()),
        }
    }
    Ok(PlannedStep {
        id: step.id.clone(),
        off,
        partitioned: step.partitioned,
        needs: step.needs.clone(),
        operations,
        refused,
    })
}

fn planned_operation(operation: &Operation, config: &Config) -> Result<PlannedOperation, PlanError> {
    let fail = |source| PlanError::Template { operation: operation.id.clone(), source };
    let template = Template::parse(&operation.request).map_err(fail)?;
    let mut url = "https://".to_owned();
    for part in template.host.iter().chain(&template.path) {
        match part {
            Part::Text(text) => url.push_str(text),
            Part::Config(field) => {
                let value = config.values.get(field).ok_or_else(|| fail(TemplateError::NoConfig(field.clone())))?;
                url.push_str(value);
            }
            Part::Argument(name) => {
                // A fixed argument is as good as text.
                match operation.path.get(name).map(|a| &a.rule) {
                    Some(Rule::Fixed(value)) => url.push_str(value),
                    _ => url.extend(["{", name, "}"]),
                }
            }
        }
    }
    Ok(PlannedOperation {
        id: operation.id.clone(),
        method: template.method,
        url,
        auth: operation.auth.clone(),
        permission: operation.permission.clone(),
    })
}

/// The text between `https://` and the path.
fn host_of(url: &str) -> Option<String> {
    let rest = url.strip_prefix("https://")?;
    Some(rest.split('/').next().unwrap_or(rest).to_owned())
}

fn argument_limits(grant: &Grant, ceiling: &Ceiling) -> Vec<ArgumentLimit> {
    let of = |limits: &BTreeMap<String, Vec<Rule>>, layer| {
        let limit = |(argument, rules): (&String, &Vec<Rule>)| ArgumentLimit {
            argument: argument.clone(),
            layer,
            rules: rules.clone(),
        };
        limits.iter().map(limit).collect::<Vec<_>>()
    };
    [of(&grant.limits, Layer::Granted), of(&ceiling.limits, Layer::Ceiling)].concat()
}

/// Where the credentials of these slots may be exchanged. Every method counts: which one the tenant bound is a secret's
/// business, not the plan's.
fn token_hosts(manifest: &Manifest, slots: &BTreeSet<&Slot>, config: &Config) -> BTreeSet<String> {
    let methods = manifest.credentials.iter().filter(|method| slots.contains(&method.slot));
    methods
        .filter_map(|method| method.kind.token_url())
        .filter_map(|url| {
            let mut url = url.to_owned();
            for (field, value) in &config.values {
                url = url.replace(&format!("{{config.{field}}}"), value);
            }
            host_of(&url)
        })
        .collect()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
