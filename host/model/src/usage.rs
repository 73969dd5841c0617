//! What a run used of what it was granted: by operation, and of each argument the values, as long as they are few. It is
//! kept with the run, and [`crate::grant_proposal`] reads it again.

use crate::id::{OperationId, StepId};
use crate::manifest::{Argument, Operation};
use crate::operation::Arguments;
use crate::rule::Rule;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Distinct values of one argument that are kept for one run. An argument with more isn't one that a person would limit to
/// a list.
pub const MAX_VALUES: usize = 16;
/// The longest value that is kept, in bytes: names, regions, account numbers. Longer ones are cursors and filters.
pub const MAX_VALUE_BYTES: usize = 128;

/// What a run used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunUse {
    /// By operation. What it called in vain because it was denied is in it as well.
    pub operations: BTreeMap<OperationId, OperationUse>,
    /// Objects that each step emitted and that were good. A step that was off isn't here.
    pub steps: BTreeMap<StepId, u64>,
}

/// How often one operation was used, and with what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OperationUse {
    /// Calls that were sent.
    pub calls: u64,
    /// Calls that were denied.
    pub denied: u64,
    /// Calls that failed.
    pub faults: u64,
    /// Calls that the provider answered with "not modified", and a stored reply took its place.
    #[serde(skip_serializing_if = "is_zero")]
    pub reused: u64,
    /// Bytes of the answers.
    pub response_bytes: u64,
    /// Time spent waiting for rate limits and retries, in milliseconds.
    pub waited_ms: u64,
    /// By argument, those that the guest may choose.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub arguments: BTreeMap<String, ArgumentUse>,
}

/// What one argument of an operation was given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ArgumentUse {
    /// The values; none when there were too many.
    pub values: BTreeSet<String>,
    /// More than [`MAX_VALUES`], or one longer than [`MAX_VALUE_BYTES`].
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub many: bool,
    /// Some call, perhaps for a further page, was made without it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl OperationUse {
    /// Notes the arguments of a call that was allowed.
    pub fn called_with(&mut self, declared: &Operation, given: &Arguments) {
        for (name, _) in declared.arguments().filter(|(_, a)| !matches!(a.rule, Rule::Fixed(_))) {
            let mut values = given.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).peekable();
            if !self.arguments.contains_key(name) {
                self.arguments.insert(name.clone(), ArgumentUse::default());
            }
            let Some(used) = self.arguments.get_mut(name) else { continue };
            used.absent |= values.peek().is_none();
            values.for_each(|value| used.saw(value));
        }
    }
}

impl ArgumentUse {
    /// Notes a value.
    pub fn saw(&mut self, value: &str) {
        if self.many || self.values.contains(value) {
            return;
        }
        if value.len() > MAX_VALUE_BYTES || self.values.len() >= MAX_VALUES {
            self.many = true;
            self.values.clear();
            return;
        }
        self.values.insert(value.to_owned());
    }

    /// Adds what another run, or another operation, gave.
    pub fn add(&mut self, other: &Self) {
        self.absent |= other.absent;
        self.many |= other.many;
        if self.many {
            self.values.clear();
        }
        other.values.iter().for_each(|value| self.saw(value));
    }
}

impl Operation {
    /// All arguments, wherever they go.
    pub fn arguments(&self) -> impl Iterator<Item = (&String, &Argument)> {
        self.path.iter().chain(&self.query).chain(self.body.iter().flat_map(|body| body.arguments()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn few_values_are_kept_and_many_are_many() {
        let mut used = ArgumentUse::default();
        (0..MAX_VALUES).for_each(|n| used.saw(&n.to_string()));
        used.saw("0");
        assert_eq!((used.values.len(), used.many), (MAX_VALUES, false));
        used.saw("one more");
        assert_eq!((used.values.len(), used.many), (0, true));
        used.saw("again");
        assert!(used.values.is_empty());
        let mut long = ArgumentUse::default();
        long.saw(&"x".repeat(MAX_VALUE_BYTES + 1));
        assert!(long.many);
        let mut sum = ArgumentUse::default();
        sum.saw("a");
        sum.add(&ArgumentUse { absent: true, ..ArgumentUse::default() });
        assert!(sum.absent && sum.values.contains("a"));
        sum.add(&long);
        assert!(sum.many && sum.values.is_empty());
    }

    #[test]
    fn what_an_older_run_kept_is_read() {
        let old =
            r#"{"operations":{"list":{"calls":3,"denied":0,"faults":0,"response_bytes":9,"waited_ms":0}},"more":1}"#;
        let read: RunUse = serde_json::from_str(old).unwrap();
        assert_eq!(read.operations.values().next().unwrap().calls, 3);
    }
}
