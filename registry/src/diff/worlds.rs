//! Both versions as one tenant would have configured them, so that their requests can be made, by the model itself, and
//! compared.

use super::inclusion::samples;
use super::recognise::could_make;
use crate::config::resolve_config;
use porthole_model::id::OperationId;
use porthole_model::manifest::{Argument, Body, ConfigField, Manifest, Operation};
use porthole_model::operation::{CompiledOperation, Config, PreparedRequest, Template};
use porthole_model::rule::Rule;
use std::collections::BTreeMap;

/// The most values of one argument that are tried for an example.
const MAX_TRIES: usize = 8;

/// A version with a configuration that it accepts.
pub(super) struct World<'a> {
    pub(super) manifest: &'a Manifest,
    pub(super) config: Config,
    compiled: BTreeMap<OperationId, CompiledOperation>,
}

impl<'a> World<'a> {
    /// A version with the fields that it knows of what a tenant gave.
    pub(super) fn new(manifest: &'a Manifest, given: &BTreeMap<String, String>) -> Option<Self> {
        let is_known = |name: &str| manifest.config.get(name).is_some_and(|f| f.derive.is_none());
        let given = given.iter().filter(|(n, _)| is_known(n)).map(|(n, v)| (n.clone(), v.clone())).collect();
        let config = resolve_config(manifest, &given).ok()?;
        let compile = |o: &Operation| Some((o.id.clone(), CompiledOperation::new(o, &config).ok()?));
        let compiled = manifest.operations.iter().filter_map(compile).collect();
        Some(Self { manifest, config, compiled })
    }

    /// Could this operation of this version make the request?
    pub(super) fn could_make_as(&self, id: &OperationId, request: &PreparedRequest) -> bool {
        self.compiled.get(id).is_some_and(|c| could_make(c, &self.config, request))
    }

    /// The first operation of this version that could make the request.
    pub(super) fn could_make(&self, request: &PreparedRequest) -> Option<&OperationId> {
        self.compiled.iter().find(|(_, c)| could_make(c, &self.config, request)).map(|(id, _)| id)
    }

    /// Requests of an operation: the arguments that must be given, and those in `set`, of which a value may be tried after
    /// the other. `like` is the operation whose rules the other values keep too, if they can.
    pub(super) fn requests(&self, id: &OperationId, set: &[Set<'_>], like: Option<&Operation>) -> Vec<PreparedRequest> {
        let Some(compiled) = self.compiled.get(id) else { return Vec::new() };
        let mut base = Vec::new();
        let mut choices: Vec<(String, Vec<String>)> = Vec::new();
        for (name, argument) in needed(&compiled.declared) {
            if set.iter().any(|s| s.name == name) {
                continue;
            }
            let other = like.and_then(|o| rule_of(o, name));
            choices.push((name.to_owned(), samples(&argument.rule, other)));
        }
        for Set { name, values, times } in set {
            match values.as_slice() {
                [] => {}
                [value] => base.extend(std::iter::repeat_n(((*name).to_owned(), value.clone()), *times)),
                many if *times == 1 => choices.push(((*name).to_owned(), many.to_vec())),
                many => base.extend(many.iter().take(*times).map(|v| ((*name).to_owned(), v.clone()))),
            }
        }
        // Each round takes the next value of every choice that has one; a value that can't be sent is passed over.
        let rounds = choices.iter().map(|(_, values)| values.len()).max().unwrap_or(1).clamp(1, MAX_TRIES * 2);
        let mut requests: Vec<PreparedRequest> = Vec::new();
        for round in 0..rounds {
            let mut arguments = base.clone();
            for (name, values) in &choices {
                let Some(value) = values.get(round.min(values.len().saturating_sub(1))) else { return requests };
                arguments.push((name.clone(), value.clone()));
            }
            if let Ok(request) = compiled.prepare(&arguments, &self.config)
                && !requests.contains(&request)
            {
                requests.push(request);
            }
            if requests.len() >= MAX_TRIES {
                break;
            }
        }
        requests
    }
}

/// An argument of an example.
pub(super) struct Set<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// Values to try, one after the other; none leaves the argument out.
    pub(super) values: Vec<String>,
    /// How often it is given.
    pub(super) times: usize,
}

/// What must be given for there to be a request.
fn needed(operation: &Operation) -> impl Iterator<Item = (&str, &Argument)> {
    let names: Vec<String> =
        Template::parse(&operation.request).map(|t| t.arguments().map(str::to_owned).collect()).unwrap_or_default();
    crate::check::arguments(operation).filter_map(move |(table, name, argument)| {
        let is_fixed = matches!(argument.rule, Rule::Fixed(_));
        let is_needed = if table == "path" { names.iter().any(|n| n == name) } else { argument.required };
        (is_needed && !is_fixed).then_some((name, argument))
    })
}

/// The rule of an argument of an operation, if it isn't a configuration field.
fn rule_of<'a>(operation: &'a Operation, name: &str) -> Option<&'a Rule> {
    let found = crate::check::arguments(operation).find(|(_, n, _)| *n == name)?;
    let rule = &found.2.rule;
    porthole_model::operation::config_reference(rule).is_none().then_some(rule)
}

/// Both versions with the same configuration.
pub(super) struct Worlds<'a> {
    pub(super) old: World<'a>,
    pub(super) new: World<'a>,
    given: BTreeMap<String, String>,
}

impl<'a> Worlds<'a> {
    /// Fills in both versions with values that both take, where there are any.
    pub(super) fn new(old: &'a Manifest, new: &'a Manifest) -> Option<Self> {
        let names = new.config.keys().chain(old.config.keys());
        let mut given = BTreeMap::new();
        for name in names {
            if given.contains_key(name) {
                continue;
            }
            let mut values = candidates(name, new.config.get(name), old.config.get(name));
            // A field from which others follow needs a value for which there is a case.
            values.retain(|v| follows(new, name, v) && follows(old, name, v));
            if let Some(value) = values.into_iter().next() {
                given.insert(name.clone(), value);
            }
        }
        Self::with(old, new, given)
    }

    fn with(old: &'a Manifest, new: &'a Manifest, given: BTreeMap<String, String>) -> Option<Self> {
        Some(Self { old: World::new(old, &given)?, new: World::new(new, &given)?, given })
    }

    /// The new version with another value of one field.
    pub(super) fn reconfigured(&self, field: &str, value: &str) -> Option<World<'a>> {
        let mut given = self.given.clone();
        given.insert(field.to_owned(), value.to_owned());
        World::new(self.new.manifest, &given)
    }

    /// Both versions with another value of one field, or without it.
    pub(super) fn both_with(&self, field: &str, value: Option<&str>) -> Option<Self> {
        let mut given = self.given.clone();
        match value {
            Some(value) => drop(given.insert(field.to_owned(), value.to_owned())),
            None => drop(given.remove(field)),
        }
        Self::with(self.old.manifest, self.new.manifest, given)
    }

    /// A request of an operation of the new version that the operation `instead_of` of the old one could not make, and,
    /// if there is one, no operation of the old one.
    pub(super) fn only_new(
        &self,
        id: &OperationId,
        instead_of: Option<&Operation>,
        set: &[Set<'_>],
    ) -> Option<OnlyNew> {
        let mut second = None;
        for request in self.new.requests(id, set, instead_of) {
            match (self.old.could_make(&request), instead_of) {
                (None, _) => return Some(OnlyNew { request, as_other: None }),
                (Some(other), Some(same)) if !self.old.could_make_as(&same.id, &request) => {
                    second = second.or(Some(OnlyNew { request, as_other: Some(other.clone()) }));
                }
                (Some(_), _) => {}
            }
        }
        second
    }

    /// Some request of an operation of the new version.
    pub(super) fn any(&self, id: &OperationId, like: Option<&Operation>) -> Option<PreparedRequest> {
        self.new.requests(id, &[], like).into_iter().next()
    }
}

/// A request that is new.
pub(super) struct OnlyNew {
    pub(super) request: PreparedRequest,
    /// The operation as which the old version could make it.
    pub(super) as_other: Option<OperationId>,
}

fn candidates(name: &str, new: Option<&ConfigField>, old: Option<&ConfigField>) -> Vec<String> {
    let settable = |field: Option<&ConfigField>| field.filter(|f| f.derive.is_none()).cloned();
    let (new, old) = (settable(new), settable(old));
    let rule = |field: &Option<ConfigField>| field.as_ref().and_then(|f| f.rule.clone());
    let default = |field: &Option<ConfigField>| field.as_ref().and_then(|f| f.default.clone());
    let (new_rule, old_rule) = (rule(&new), rule(&old));
    let (Some(first), second) = (match new_rule.clone() {
        Some(rule) => (Some(rule), old_rule.clone()),
        None => (old_rule.clone(), None),
    }) else {
        return Vec::new();
    };
    let mut values: Vec<String> = default(&new).into_iter().chain(default(&old)).collect();
    // The field's own name says more than `acme`: `https://api.example.com/orgs/login`.
    values.extend(samples(&first, second.as_ref()));
    values.extend(first.allows(name).then(|| name.to_owned()));
    values.retain(|v| first.allows(v));
    values.sort_by_key(|v| !second.as_ref().is_none_or(|r| r.allows(v)));
    values
}

/// Every field that follows from this one has a case for the value.
fn follows(manifest: &Manifest, name: &str, value: &str) -> bool {
    let derived = manifest.config.values().filter_map(|f| f.derive.as_ref()).filter(|d| d.from == name);
    derived.into_iter().all(|d| d.cases.iter().any(|(rule, _)| rule.allows(value)))
}

/// A request as one line for a person: as it would be sent, without its credential.
pub(super) fn shown(request: &PreparedRequest, declared: &Operation, show: Show) -> String {
    let mut text = format!("{} {}", request.method.as_str(), request.url);
    if show == Show::Headers {
        for (name, value) in &request.headers {
            text.push_str(&format!(" -H '{name}: {value}'"));
        }
    }
    let body = request.body.as_deref().map(String::from_utf8_lossy);
    match (&declared.body, body) {
        // The document stands in the manifest; what is new is beside it.
        (Some(Body::Graphql { .. }), Some(body)) if show != Show::Document => {
            let sent: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
            let variables = sent.get("variables").cloned().unwrap_or_default();
            text.push_str(&format!(" {{\"query\":…,\"variables\":{variables}}}"));
        }
        (_, Some(body)) => text.extend([" ", &body]),
        (_, None) => {}
    }
    match &request.auth {
        Some(_) => {}
        None => text.push_str(" (without a credential)"),
    }
    text
}

/// What an example has to show besides the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    /// The URL and the body, without a GraphQL document.
    Usual,
    /// The headers too.
    Headers,
    /// The GraphQL document too.
    Document,
}
