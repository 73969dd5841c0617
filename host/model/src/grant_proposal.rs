//! The narrower grant that would have sufficed for what the last runs did. Pure: the runs' use goes in, a grant comes out,
//! and what it leaves away stands beside it.
//!
//! It is a proposal about the past. A limit to the values that were seen denies the next new one, so values are proposed
//! only where they are few, and never for what a provider chooses (page numbers, cursors). Steps are never switched off:
//! one that found nothing so far may find something tomorrow, and what it would find is what it is there for.

use crate::grant::Grant;
use crate::id::{OperationId, StepId};
use crate::manifest::{Argument, Body, Manifest, Operation, Pages};
use crate::operation::config_reference;
use crate::rule::Rule;
use crate::text::shell_word;
use crate::usage::{ArgumentUse, RunUse};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Arguments with more distinct values than this get no limit: a list that long follows the data (teams, repositories),
/// not a decision.
pub const PROPOSED_VALUES: usize = 5;

/// What would have sufficed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proposal {
    /// The whole grant.
    pub grant: Grant,
    /// Granted and never used.
    pub unused: BTreeSet<OperationId>,
    /// Granted, and the module doesn't ask for it any more.
    pub stale: BTreeSet<OperationId>,
    /// Arguments that get a limit, or a narrower one.
    pub limits: BTreeMap<String, BTreeSet<String>>,
    /// Steps that were on and emitted nothing in any of the runs. They stay on.
    pub idle: BTreeSet<StepId>,
    /// How many runs this is from.
    pub runs: usize,
}

impl Proposal {
    /// There is nothing to leave away.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.unused.is_empty() && self.stale.is_empty() && self.limits.is_empty()
    }

    /// The command that sets it, to be pasted into a shell; `instance` as people write it. None when nothing changes.
    #[must_use]
    pub fn command(&self, instance: &str, current: &Grant) -> Option<String> {
        if self.is_empty() {
            return None;
        }
        let mut command = format!("porthole grant set {instance}");
        for operation in self.unused.iter().chain(&self.stale) {
            command.push_str(&format!(" --deny {operation}"));
        }
        for (argument, values) in &self.limits {
            if current.limits.contains_key(argument) {
                command.push_str(&format!(" --unlimit {}", shell_word(argument)));
            }
            for value in values {
                command.push_str(&format!(" --limit {}", shell_word(&format!("{argument}=={value}"))));
            }
        }
        Some(command)
    }
}

/// Proposes the narrower grant. `config` is the instance's checked configuration, for arguments that it fixes.
#[must_use]
pub fn propose(manifest: &Manifest, config: &BTreeMap<String, String>, grant: &Grant, runs: &[RunUse]) -> Proposal {
    let called = |id: &OperationId| runs.iter().any(|r| r.operations.get(id).is_some_and(|o| o.calls > 0));
    let (used, rest): (BTreeSet<_>, BTreeSet<_>) = grant.operations.iter().cloned().partition(called);
    let (unused, stale) = rest.into_iter().partition(|id| manifest.operation(id.as_str()).is_some());
    let operations: Vec<&Operation> = used.iter().filter_map(|id| manifest.operation(id.as_str())).collect();
    let mut limits = BTreeMap::new();
    for name in operations.iter().flat_map(|o| o.arguments()).map(|(name, _)| name).collect::<BTreeSet<_>>() {
        let Some(values) = limit(name, &operations, config, runs) else { continue };
        let rules: Vec<Rule> = values.iter().cloned().map(Rule::Fixed).collect();
        let same = |current: &Vec<Rule>| current.len() == rules.len() && rules.iter().all(|r| current.contains(r));
        if !grant.limits.get(name).is_some_and(same) {
            limits.insert(name.clone(), values);
        }
    }
    let mut proposed = Grant { operations: used, ..grant.clone() };
    for (name, values) in &limits {
        proposed.limits.insert(name.clone(), values.iter().cloned().map(Rule::Fixed).collect());
    }
    Proposal { grant: proposed, unused, stale, limits, idle: idle(runs), runs: runs.len() }
}

/// The values to limit an argument to; none when a limit makes no sense or can't be known to suffice.
fn limit(
    name: &str,
    operations: &[&Operation],
    config: &BTreeMap<String, String>,
    runs: &[RunUse],
) -> Option<BTreeSet<String>> {
    let declaring: Vec<(&Operation, &Argument)> =
        operations.iter().filter_map(|o| o.arguments().find(|(n, _)| *n == name).map(|(_, a)| (*o, a))).collect();
    // What the manifest fixes everywhere can't become narrower.
    if declaring.iter().all(|(_, a)| matches!(a.rule, Rule::Fixed(_))) {
        return None;
    }
    let mut seen = ArgumentUse::default();
    for (operation, argument) in &declaring {
        match &argument.rule {
            // A limit holds for what is fixed as well, so the fixed value has to be in it.
            Rule::Fixed(value) => seen.saw(match config_reference(&argument.rule) {
                Some(field) => config.get(field)?,
                None => value,
            }),
            Rule::Int(_) | Rule::Bool => return None,
            Rule::Text(_) | Rule::Pattern(_) if is_cursor(operation, name) => return None,
            Rule::Text(_) | Rule::Pattern(_) => {
                let uses = runs.iter().filter_map(|r| r.operations.get(&operation.id)).filter(|o| o.calls > 0);
                for of_run in uses {
                    // A run from before arguments were noted says nothing.
                    seen.add(of_run.arguments.get(name)?);
                }
            }
        }
    }
    let few = !seen.many && !seen.absent && (1..=PROPOSED_VALUES).contains(&seen.values.len());
    let narrower = declaring.iter().any(|(_, a)| !names_all(&a.rule, &seen.values));
    (few && narrower).then_some(seen.values)
}

fn is_cursor(operation: &Operation, name: &str) -> bool {
    matches!(&operation.pages, Pages::Cursor { argument, .. } if argument == name)
}

/// The rule is a plain list of words, `^(a|b)$`, and these are all of them.
fn names_all(rule: &Rule, values: &BTreeSet<String>) -> bool {
    let words = match rule {
        Rule::Fixed(value) => BTreeSet::from([value.clone()]),
        Rule::Pattern(pattern) => {
            let source = pattern.source().trim_start_matches('^').trim_end_matches('$');
            let inner =
                source.strip_prefix("(?:").or_else(|| source.strip_prefix('(')).and_then(|s| s.strip_suffix(')'));
            let plain = |word: &str| word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
            match inner {
                Some(inner) if inner.split('|').all(plain) => inner.split('|').map(str::to_owned).collect(),
                _ => return false,
            }
        }
        _ => return false,
    };
    words.is_subset(values)
}

/// Steps that were on in some run and emitted nothing in any.
fn idle(runs: &[RunUse]) -> BTreeSet<StepId> {
    let mut objects: BTreeMap<&StepId, u64> = BTreeMap::new();
    for (step, n) in runs.iter().flat_map(|r| &r.steps) {
        *objects.entry(step).or_default() += n;
    }
    objects.into_iter().filter(|(_, n)| *n == 0).map(|(step, _)| step.clone()).collect()
}

impl Body {
    /// The arguments that go into the body.
    #[must_use]
    pub fn arguments(&self) -> &BTreeMap<String, Argument> {
        match self {
            Self::Form { arguments } | Self::Json { arguments, .. } => arguments,
            Self::Graphql { variables, .. } => variables,
        }
    }
}

#[cfg(test)]
#[path = "grant_proposal_tests.rs"]
mod tests;
