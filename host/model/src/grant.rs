//! Three owners, one answer: what the manifest requested, what the tenant granted, what the operator's ceiling leaves.
//! A use must pass all three, and a denial names the layer that refused and what would allow it.

use crate::id::{Name, OperationId, StepId};
use crate::manifest::Manifest;
use crate::operation::{Arguments, CompiledOperation, Config, PreparedRequest, TemplateError};
use crate::rule::Rule;
use crate::text::{shell_word, shown_bytes};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;

/// How much of a guest's word for an operation is kept in a denial, in bytes: an operation id has at most as many.
const MAX_OPERATION_BYTES: usize = 128;

/// What a tenant lets an instance do: never more than the manifest requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Grant {
    /// The operations that are allowed. A new version's new operations are not in it until someone adds them.
    pub operations: BTreeSet<OperationId>,
    /// Values that arguments are limited to, by argument name, for every operation that has such an argument. It must be
    /// given, and each value must keep one of the rules.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, Vec<Rule>>,
    /// Steps that are switched off.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub steps_off: BTreeSet<StepId>,
}

impl Grant {
    /// The grant that gives a module all it requests.
    #[must_use]
    pub fn all_of(manifest: &Manifest) -> Self {
        Self { operations: manifest.operations.iter().map(|o| o.id.clone()).collect(), ..Self::default() }
    }
}

/// What the operator leaves to a module, whatever a tenant grants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Ceiling {
    /// Operations that nobody may use.
    pub deny: BTreeSet<OperationId>,
    /// Values that arguments are limited to, as in [`Grant::limits`].
    pub limits: BTreeMap<String, Vec<Rule>>,
}

/// The owner that refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// The manifest doesn't ask for it.
    Requested,
    /// The tenant has not granted it.
    Granted,
    /// The operator's ceiling is below it.
    Ceiling,
}

impl Layer {
    /// As it stands in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Granted => "granted",
            Self::Ceiling => "ceiling",
        }
    }
}

/// A refused use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// Who refused.
    pub layer: Layer,
    /// The operation, as the guest named it (cut to 128 bytes).
    pub operation: String,
    /// Why, as a short fact.
    pub reason: String,
    /// What would allow it.
    pub remedy: String,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` denied ({}): {}", self.operation, self.layer.as_str(), self.reason)
    }
}

/// Why a policy can't be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("operation `{operation}`")]
pub struct PolicyError {
    operation: OperationId,
    source: TemplateError,
}

/// The three owners' answer for one run, compiled once. A decision looks up, matches and builds; it allocates the
/// request and nothing else.
#[derive(Debug)]
pub struct Policy {
    instance: Name,
    config: Config,
    operations: HashMap<OperationId, CompiledOperation>,
    uses: HashMap<StepId, HashSet<OperationId>>,
    grant: Grant,
    ceiling: Ceiling,
}

impl Policy {
    /// Compiles the operations of a manifest for an instance.
    ///
    /// # Errors
    /// When an operation's template doesn't fit its rules or the configuration.
    pub fn new(
        instance: Name,
        manifest: &Manifest,
        config: Config,
        grant: Grant,
        ceiling: Ceiling,
    ) -> Result<Self, PolicyError> {
        let mut operations = HashMap::new();
        for declared in &manifest.operations {
            let compiled = CompiledOperation::new(declared, &config)
                .map_err(|source| PolicyError { operation: declared.id.clone(), source })?;
            operations.insert(declared.id.clone(), compiled);
        }
        let uses = manifest.steps.iter().map(|s| (s.id.clone(), s.uses.iter().cloned().collect())).collect();
        Ok(Self { instance, config, operations, uses, grant, ceiling })
    }

    /// A declared operation, whether granted or not.
    #[must_use]
    pub fn operation(&self, id: &str) -> Option<&CompiledOperation> {
        self.operations.get(id)
    }

    /// The checked configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// May this step perform this operation with these arguments? The answer is the request, or the denial.
    ///
    /// # Errors
    /// The denial, with the layer that refused.
    pub fn decide(&self, step: &StepId, operation: &str, arguments: &Arguments) -> Result<PreparedRequest, Denial> {
        let deny = |layer, reason: String, remedy: String| Denial {
            layer,
            operation: shown_bytes(operation, MAX_OPERATION_BYTES),
            reason,
            remedy,
        };
        let requested = |reason: String| {
            deny(
                Layer::Requested,
                reason,
                "the module's manifest has to ask for it: a new version, and its review".to_owned(),
            )
        };
        let Some(compiled) = self.operations.get(operation) else {
            return Err(requested("the manifest declares no such operation".to_owned()));
        };
        if !self.uses.get(step).is_some_and(|uses| uses.contains(operation)) {
            return Err(requested(format!("step `{step}` doesn't declare that it uses it")));
        }
        let request = compiled.prepare(arguments, &self.config).map_err(|e| requested(e.to_string()))?;
        let instance = &self.instance;
        if !self.grant.operations.contains(operation) {
            return Err(deny(
                Layer::Granted,
                format!("instance `{instance}` was not granted it"),
                format!("porthole grant set {instance} --allow {operation}"),
            ));
        }
        if let Some(Outside { name, value }) = outside(&self.grant.limits, compiled, arguments) {
            let remedy = match value {
                Some(value) => {
                    format!("porthole grant set {instance} --limit {}", shell_word(&format!("{name}=={value}")))
                }
                None => format!("the module gives `{name}`, or the grant of `{instance}` no longer limits it"),
            };
            return Err(deny(Layer::Granted, outside_reason("the grant", name, value), remedy));
        }
        if self.ceiling.deny.contains(operation) {
            return Err(deny(
                Layer::Ceiling,
                "the operator's ceiling denies it".to_owned(),
                format!("the operator removes `{operation}` from [ceiling] deny in porthole.toml"),
            ));
        }
        if let Some(Outside { name, value }) = outside(&self.ceiling.limits, compiled, arguments) {
            let remedy = match value {
                Some(value) => {
                    let rule = format!("={value}");
                    format!("the operator adds {rule:?} to [ceiling.limits] {name} in porthole.toml")
                }
                None => format!("the module gives `{name}`, or the operator removes it from [ceiling.limits]"),
            };
            return Err(deny(Layer::Ceiling, outside_reason("the operator's ceiling", name, value), remedy));
        }
        Ok(request)
    }
}

/// An argument that breaks a limit.
struct Outside<'a> {
    name: &'a str,
    /// None when it wasn't given.
    value: Option<&'a str>,
}

/// The first argument that a limit speaks of and none of its rules allows. What the manifest fixes is sent as well and
/// counts like a given value. An argument that is left out breaks the limit too: the provider would take its default,
/// which for `visibility` or `owner` is "all of them".
fn outside<'a>(
    limits: &'a BTreeMap<String, Vec<Rule>>,
    compiled: &'a CompiledOperation,
    arguments: &'a Arguments,
) -> Option<Outside<'a>> {
    for (name, rules) in limits {
        let Some(argument) = compiled.argument(name) else { continue };
        let allowed = |value: &str| rules.iter().any(|rule| rule.allows(value));
        let mut given = arguments.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).peekable();
        let fixed = match &argument.rule {
            Rule::Fixed(value) => Some(value.as_str()),
            _ => None,
        };
        if given.peek().is_none() && fixed.is_none() {
            return Some(Outside { name, value: None });
        }
        if let Some(value) = fixed.into_iter().chain(given).find(|value| !allowed(value)) {
            return Some(Outside { name, value: Some(value) });
        }
    }
    None
}

fn outside_reason(owner: &str, name: &str, value: Option<&str>) -> String {
    match value {
        Some(value) => format!("{owner} limits argument `{name}` and {value:?} is outside"),
        None => format!("{owner} limits argument `{name}` and it was not given"),
    }
}

#[cfg(test)]
#[path = "grant_tests.rs"]
mod tests;
