//! The linter of a tenant's role: does what its policies say allow the granted actions, and what else do they allow?
//!
//! Only what a person can decide from the policies alone is decided. Conditions and resources other than `*` aren't
//! evaluated: an action behind one is reported, not guessed. Boundaries, session policies and the policies of an
//! organisation stand elsewhere and aren't seen.

mod document;
mod glob;

use crate::readonly::actions;
use crate::text::closest;
use document::{Effect, Statement, statements};
use glob::matches;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

pub use document::{CheckError, MAX_PATTERNS, MAX_POLICY_BYTES};

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Granted actions that the policies don't allow, or not surely.
    pub missing: Vec<Missing>,
    /// Actions that they allow and nobody granted, changes first.
    pub needless: Vec<Needless>,
    /// Names in them that fit no action.
    pub unknown: Vec<Unknown>,
    /// What they allow of services that no granted action belongs to and our table doesn't know, as they write it.
    pub beyond: Vec<String>,
}

impl Report {
    /// Exactly the granted actions, and no wrong name.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        *self == Self::default()
    }
}

/// A granted action that isn't surely allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The action.
    pub action: String,
    /// Why.
    pub why: Why,
}

/// Why an action isn't surely allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// No statement allows it.
    NotAllowed,
    /// A statement denies it.
    Denied,
    /// It is allowed for some resources or under a condition only.
    AllowedInPart,
    /// It is denied for some resources or under a condition.
    DeniedInPart,
}

impl Why {
    /// For people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAllowed => "no statement allows it",
            Self::Denied => "a statement denies it",
            Self::AllowedInPart => "it is allowed for some resources or under a condition only",
            Self::DeniedInPart => "it is denied for some resources or under a condition",
        }
    }
}

/// An action that is allowed and not granted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Needless {
    /// It changes something, or returns what a module may not read.
    pub harmful: bool,
    /// The action.
    pub action: String,
    /// How AWS classifies it.
    pub level: &'static str,
}

/// A name that fits no action.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unknown {
    /// As the policy has it.
    pub action: String,
    /// What was probably meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub right: Option<String>,
    /// Why it fits none.
    pub why: String,
}

/// An action that isn't called so.
struct Correction {
    right: Option<&'static str>,
    why: &'static str,
}

static CORRECTIONS: LazyLock<BTreeMap<String, Correction>> = LazyLock::new(|| {
    let rows =
        include_str!("../../readonly/aws-action-corrections.tsv").lines().filter(|l| !l.starts_with('#')).skip(1);
    rows.filter_map(|line| {
        let (wrong, rest) = line.split_once('\t')?;
        let (right, why) = rest.split_once('\t')?;
        Some((wrong.to_ascii_lowercase(), Correction { right: (right != "-").then_some(right), why }))
    })
    .collect()
});

/// Every action that we know, in lower case. What has no level may not exist: the table calls it like its operation.
static KNOWN: LazyLock<BTreeMap<String, Known>> = LazyLock::new(|| {
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    for row in actions::rows().iter().filter(|row| row.level != actions::Level::Unknown) {
        let entry = Known { action: row.action, level: row.level, passes: false };
        let entry = known.entry(row.action.to_ascii_lowercase()).or_insert(entry);
        entry.passes |= row.passes().is_ok();
    }
    known
});

struct Known {
    action: &'static str,
    level: actions::Level,
    /// Some operation that needs it passes.
    passes: bool,
}

/// Checks the policies of a role, each a JSON text, against the granted actions. The text may also be what the AWS command
/// line prints about a policy, or a list of policies.
///
/// # Errors
/// When a text isn't a permission policy.
pub fn check(policies: &[&str], granted: &BTreeSet<&str>) -> Result<Report, CheckError> {
    let statements = statements(policies)?;
    let missing = granted.iter().filter_map(|action| {
        let why = missing(&statements, action)?;
        Some(Missing { action: (*action).to_owned(), why })
    });
    let (unknown, beyond) = names(&statements);
    Ok(Report { missing: missing.collect(), needless: needless(&statements, granted), unknown, beyond })
}

fn missing(statements: &[Statement], action: &str) -> Option<Why> {
    let lower = action.to_ascii_lowercase();
    let of = |effect: Effect| statements.iter().filter(move |s| s.effect == effect).filter(|s| s.is_about(&lower));
    if of(Effect::Deny).any(|s| s.always) {
        return Some(Why::Denied);
    }
    if of(Effect::Allow).next().is_none() {
        return Some(Why::NotAllowed);
    }
    if !of(Effect::Allow).any(|s| s.always) {
        return Some(Why::AllowedInPart);
    }
    of(Effect::Deny).next().map(|_| Why::DeniedInPart)
}

fn needless(statements: &[Statement], granted: &BTreeSet<&str>) -> Vec<Needless> {
    let granted: BTreeSet<String> = granted.iter().map(|action| action.to_ascii_lowercase()).collect();
    let mut needless: Vec<_> = KNOWN
        .iter()
        .filter(|(lower, _)| !granted.contains(*lower))
        .filter(|(lower, _)| !matches!(missing(statements, lower), Some(Why::NotAllowed | Why::Denied)))
        .map(|(_, known)| Needless {
            harmful: !known.passes,
            action: known.action.to_owned(),
            level: known.level.as_str(),
        })
        .collect();
    needless.sort_by(|a, b| b.harmful.cmp(&a.harmful).then_with(|| a.action.cmp(&b.action)));
    needless
}

/// What statements that allow something name and we don't know: names that are wrong, and other services.
fn names(statements: &[Statement]) -> (Vec<Unknown>, Vec<String>) {
    let (mut unknown, mut beyond) = (BTreeSet::new(), BTreeSet::new());
    for statement in statements.iter().filter(|s| s.effect == Effect::Allow) {
        if statement.inverted {
            beyond.insert("everything but what NotAction names".to_owned());
            continue;
        }
        for pattern in &statement.patterns {
            let lower = pattern.to_ascii_lowercase();
            let service = lower.split(':').next().unwrap_or_default();
            let of_service = || KNOWN.range(format!("{service}:")..format!("{service};")).map(|(lower, _)| lower);
            if let Some(correction) = CORRECTIONS.get(&lower) {
                let right = correction.right.map(str::to_owned);
                unknown.insert(Unknown { action: pattern.clone(), right, why: correction.why.to_owned() });
            } else if service.contains(['*', '?']) || of_service().next().is_none() {
                beyond.insert(pattern.clone());
            } else if !of_service().any(|known| matches(&lower, known)) {
                let right = closest(&lower, of_service().map(String::as_str)).and_then(|lower| KNOWN.get(lower));
                unknown.insert(Unknown {
                    action: pattern.clone(),
                    right: right.map(|known| known.action.to_owned()),
                    why: "no action that we know is called so".to_owned(),
                });
            }
        }
    }
    (unknown.into_iter().collect(), beyond.into_iter().collect())
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
