//! Three owners, one answer: what the manifest requested, what the tenant granted, what the operator's ceiling leaves.
//! A use must pass all three, and a denial names the layer that refused and what would allow it.

use crate::id::{Name, OperationId, StepId};
use crate::manifest::Manifest;
use crate::operation::{Arguments, Checked, CompiledOperation, Config, PreparedRequest, TemplateError};
use crate::rule::Rule;
use crate::text::{shell_word, shown_bytes};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
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

/// The three owners' answer for one run, compiled once: what they say of an operation stands with the operation. A
/// decision looks up and matches; what it allows allocates nothing.
#[derive(Debug)]
pub struct Policy {
    instance: Name,
    config: Config,
    operations: HashMap<OperationId, Ruled>,
    grant_limits: Limits,
    ceiling_limits: Limits,
}

/// Rules by argument.
type Limits = BTreeMap<String, Vec<Rule>>;

/// An operation, and what the three owners say of it.
#[derive(Debug)]
struct Ruled {
    compiled: CompiledOperation,
    /// The steps that declare that they use it: a handful at most.
    steps: Vec<StepId>,
    /// One of these is on.
    on: bool,
    granted: bool,
    under_ceiling: bool,
}

/// A use that all three owners allow.
#[derive(Debug, Clone, Copy)]
pub struct Allowed<'a> {
    policy: &'a Policy,
    checked: Checked<'a>,
}

impl Allowed<'_> {
    /// The operation.
    #[must_use]
    pub fn operation(&self) -> &CompiledOperation {
        self.checked.operation()
    }

    /// Puts the request together.
    ///
    /// # Errors
    /// A denial, when the values make a URL that can't be sent.
    pub fn request(&self) -> Result<PreparedRequest, Denial> {
        let Self { policy, checked } = self;
        checked.request(&policy.config).map_err(|e| requested(checked.operation().declared.id.as_str(), e.to_string()))
    }
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
        let mut operations = HashMap::with_capacity(manifest.operations.len());
        for declared in &manifest.operations {
            let id = &declared.id;
            let compiled = CompiledOperation::new(declared, &config)
                .map_err(|source| PolicyError { operation: id.clone(), source })?;
            let uses = manifest.steps.iter().filter(|step| step.uses.contains(id));
            let steps: Vec<_> = uses.map(|step| step.id.clone()).collect();
            let ruled = Ruled {
                compiled,
                on: steps.iter().any(|step| !grant.steps_off.contains(step)),
                steps,
                granted: grant.operations.contains(id),
                under_ceiling: !ceiling.deny.contains(id),
            };
            operations.insert(id.clone(), ruled);
        }
        Ok(Self { instance, config, operations, grant_limits: grant.limits, ceiling_limits: ceiling.limits })
    }

    /// A declared operation, whether granted or not.
    #[must_use]
    pub fn operation(&self, id: &str) -> Option<&CompiledOperation> {
        self.operations.get(id).map(|ruled| &ruled.compiled)
    }

    /// What the provider's access management has to allow for all that the three owners leave: the permissions of the
    /// operations that some step which is on may use. A session that is narrowed to these can do what the policy allows and no more.
    #[must_use]
    pub fn actions(&self) -> BTreeSet<&str> {
        let left = self.operations.values().filter(|r| r.granted && r.under_ceiling && r.on);
        left.filter_map(|ruled| ruled.compiled.declared.action.as_deref()).collect()
    }

    /// The checked configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// May this step perform this operation with these arguments?
    ///
    /// # Errors
    /// The denial, with the layer that refused.
    pub fn decide<'a>(
        &'a self,
        step: &StepId,
        operation: &str,
        arguments: &'a Arguments,
    ) -> Result<Allowed<'a>, Denial> {
        let Some(ruled) = self.operations.get(operation) else {
            return Err(requested(operation, "the manifest declares no such operation".to_owned()));
        };
        if !ruled.steps.contains(step) {
            return Err(requested(operation, format!("step `{step}` doesn't declare that it uses it")));
        }
        let checked = ruled.compiled.check(arguments).map_err(|e| requested(operation, e.to_string()))?;
        if !ruled.granted {
            return Err(self.not_granted(operation));
        }
        if let Some(outside) = outside(&self.grant_limits, &ruled.compiled, arguments) {
            return Err(self.outside_grant(operation, &outside));
        }
        if !ruled.under_ceiling {
            return Err(above_ceiling(operation));
        }
        if let Some(outside) = outside(&self.ceiling_limits, &ruled.compiled, arguments) {
            return Err(outside_ceiling(operation, &outside));
        }
        Ok(Allowed { policy: self, checked })
    }

    fn not_granted(&self, operation: &str) -> Denial {
        let instance = &self.instance;
        let reason = format!("instance `{instance}` was not granted it");
        deny(Layer::Granted, operation, reason, format!("porthole grant set {instance} --allow {operation}"))
    }

    fn outside_grant(&self, operation: &str, outside: &Outside<'_>) -> Denial {
        let (instance, name) = (&self.instance, outside.name);
        let remedy = match outside.value {
            Some(value) => {
                format!("porthole grant set {instance} --limit {}", shell_word(&format!("{name}=={value}")))
            }
            None => format!("the module gives `{name}`, or the grant of `{instance}` no longer limits it"),
        };
        deny(Layer::Granted, operation, outside.reason("the grant"), remedy)
    }
}

fn deny(layer: Layer, operation: &str, reason: String, remedy: String) -> Denial {
    Denial { layer, operation: shown_bytes(operation, MAX_OPERATION_BYTES), reason, remedy }
}

fn requested(operation: &str, reason: String) -> Denial {
    let remedy = "the module's manifest has to ask for it: a new version, and its review".to_owned();
    deny(Layer::Requested, operation, reason, remedy)
}

fn above_ceiling(operation: &str) -> Denial {
    let remedy = format!("the operator removes `{operation}` from [ceiling] deny in porthole.toml");
    deny(Layer::Ceiling, operation, "the operator's ceiling denies it".to_owned(), remedy)
}

fn outside_ceiling(operation: &str, outside: &Outside<'_>) -> Denial {
    let name = outside.name;
    let remedy = match outside.value {
        Some(value) => {
            let rule = format!("={value}");
            format!("the operator adds {rule:?} to [ceiling.limits] {name} in porthole.toml")
        }
        None => format!("the module gives `{name}`, or the operator removes it from [ceiling.limits]"),
    };
    deny(Layer::Ceiling, operation, outside.reason("the operator's ceiling"), remedy)
}

/// An argument that breaks a limit.
struct Outside<'a> {
    name: &'a str,
    /// None when it wasn't given.
    value: Option<&'a str>,
}

impl Outside<'_> {
    fn reason(&self, owner: &str) -> String {
        let name = self.name;
        match self.value {
            Some(value) => format!("{owner} limits argument `{name}` and {value:?} is outside"),
            None => format!("{owner} limits argument `{name}` and it was not given"),
        }
    }
}

/// The first argument that a limit speaks of and none of its rules allows. What the manifest fixes is sent as well and
/// counts like a given value. An argument that is left out breaks the limit too: the provider would take its default,
/// which for `visibility` or `owner` is "all of them".
fn outside<'a>(limits: &'a Limits, compiled: &'a CompiledOperation, arguments: &'a Arguments) -> Option<Outside<'a>> {
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

#[cfg(test)]
#[path = "grant_tests.rs"]
mod tests;
