//! Permission policies as people have them: the JSON of a policy, or what the AWS command line prints around it.

use super::glob::matches;
use serde::Deserialize;
use serde_json::Value;

/// The most text of all policies of a role, in bytes. Ten managed policies of 6,144 characters and inline policies of
/// 10,240 are 72 kB without whitespace; this leaves room for indentation.
pub const MAX_POLICY_BYTES: usize = 1024 * 1024;
/// The most actions and patterns in them: what fits into 72 kB at some ten characters each.
pub const MAX_PATTERNS: usize = 8_000;
/// How deep a policy may stand in what the command line prints: `{"PolicyVersion": {"Document": …}}` in a list.
const MAX_WRAPPERS: usize = 4;

/// Why policies can't be checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// Too much text.
    #[error("the policies have {0} bytes; all policies of a role have less than {MAX_POLICY_BYTES}")]
    TooLong(usize),
    /// Too many actions.
    #[error("the policies name more than {MAX_PATTERNS} actions")]
    TooMany,
    /// No JSON.
    #[error("policy {number}: {what} (hint: save what `aws iam get-policy-version` or `get-role-policy` prints)")]
    NotJson {
        /// Which of the texts, from 1.
        number: usize,
        /// What the reader says, with line and column.
        what: String,
    },
    /// JSON, and not a permission policy.
    #[error("policy {number}, statement {statement}: {what}")]
    Statement {
        /// Which of the texts, from 1.
        number: usize,
        /// Which of its statements, from 1.
        statement: usize,
        /// What is wrong.
        what: String,
    },
    /// Another document.
    #[error("policy {number}: it has no `Statement` (hint: give the permission policies of the role, as JSON)")]
    NoPolicy {
        /// Which of the texts, from 1.
        number: usize,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Effect {
    Allow,
    Deny,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RawStatement {
    #[serde(rename = "Sid")]
    _sid: Option<String>,
    effect: Effect,
    action: Option<OneOrMany>,
    not_action: Option<OneOrMany>,
    resource: Option<OneOrMany>,
    not_resource: Option<OneOrMany>,
    condition: Option<Value>,
    principal: Option<Value>,
    not_principal: Option<Value>,
}

/// A statement, as far as it is decided here.
pub(super) struct Statement {
    pub(super) effect: Effect,
    /// The patterns name what it is not about.
    pub(super) inverted: bool,
    /// As they are written.
    pub(super) patterns: Vec<String>,
    lower: Vec<String>,
    /// For every resource and without a condition.
    pub(super) always: bool,
}

impl Statement {
    /// Is it about this action, given in lower case?
    pub(super) fn is_about(&self, action: &str) -> bool {
        self.lower.iter().any(|pattern| matches(pattern, action)) != self.inverted
    }
}

/// The statements of all texts.
pub(super) fn statements(policies: &[&str]) -> Result<Vec<Statement>, CheckError> {
    let bytes = policies.iter().map(|p| p.len()).sum();
    if bytes > MAX_POLICY_BYTES {
        return Err(CheckError::TooLong(bytes));
    }
    let mut all = Vec::new();
    for (policy, number) in policies.iter().zip(1..) {
        let value = serde_json::from_str(policy).map_err(|e| CheckError::NotJson { number, what: e.to_string() })?;
        let mut found = Vec::new();
        unwrap(value, MAX_WRAPPERS, &mut found);
        if found.is_empty() {
            return Err(CheckError::NoPolicy { number });
        }
        for (raw, statement) in found.into_iter().zip(1..) {
            let fail = |what: String| CheckError::Statement { number, statement, what };
            let raw: RawStatement = serde_json::from_value(raw).map_err(|e| fail(e.to_string()))?;
            all.push(read(raw).map_err(|what| fail(what.to_owned()))?);
        }
    }
    if all.iter().map(|s| s.patterns.len()).sum::<usize>() > MAX_PATTERNS {
        return Err(CheckError::TooMany);
    }
    Ok(all)
}

/// Collects the statements of every policy in a value.
fn unwrap(value: Value, depth: usize, found: &mut Vec<Value>) {
    match value {
        Value::Array(many) if depth > 0 => many.into_iter().for_each(|one| unwrap(one, depth - 1, found)),
        Value::Object(mut object) => {
            let wrapped = ["PolicyVersion", "Document", "PolicyDocument"].into_iter().find_map(|k| object.remove(k));
            match (object.remove("Statement"), wrapped) {
                (Some(Value::Array(many)), _) => found.extend(many),
                (Some(one), _) => found.push(one),
                (None, Some(inner)) if depth > 0 => unwrap(inner, depth - 1, found),
                (None, _) => {}
            }
        }
        _ => {}
    }
}

fn read(raw: RawStatement) -> Result<Statement, &'static str> {
    if raw.principal.is_some() || raw.not_principal.is_some() {
        return Err(
            "it names a principal: this is a trust policy or a resource's policy (hint: give the permission policies of the role)",
        );
    }
    let (inverted, patterns) = match (raw.action, raw.not_action) {
        (Some(patterns), None) => (false, patterns.into_vec()),
        (None, Some(patterns)) => (true, patterns.into_vec()),
        _ => return Err("it takes `Action` or `NotAction`, and not both"),
    };
    let everywhere = match (raw.resource, raw.not_resource) {
        (Some(resources), None) => resources.into_vec().iter().any(|resource| resource == "*"),
        (None, Some(_)) => false,
        _ => return Err("it takes `Resource` or `NotResource`, and not both"),
    };
    let lower = patterns.iter().map(|pattern| pattern.to_ascii_lowercase()).collect();
    Ok(Statement { effect: raw.effect, inverted, patterns, lower, always: everywhere && raw.condition.is_none() })
}
