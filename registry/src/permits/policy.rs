//! Permission policies with exactly the granted actions, cut so that each fits where it has to.

use super::PermitError;
use porthole_model::session_policy::pack_within;
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// The longest managed policy, in characters without whitespace. Source: IAM quotas.
pub const MAX_POLICY_CHARS: usize = 6_144;
/// Managed policies that a role takes, unless its account has a higher quota. Source: IAM quotas.
pub const MAX_MANAGED_POLICIES: usize = 10;
/// The version of the policy language.
pub(super) const LANGUAGE: &str = "2012-10-17";
/// The managed policy of AWS that [`Base::SecurityAudit`] builds on, after `arn:PARTITION:iam::aws:policy/`.
pub(super) const SECURITY_AUDIT: &str = "SecurityAudit";

/// What the policies build on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// Nothing: the policies are exactly the grant.
    Nothing,
    /// AWS's managed policy for auditors, which allows many more reads than the grant; a run's session is narrowed to the
    /// grant all the same. For accounts where auditors have it already.
    SecurityAudit,
}

/// The policies of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permits {
    /// What they build on.
    pub base: Base,
    /// The policies of our own, the least that hold the actions.
    pub policies: Vec<Policy>,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its number, from 1.
    pub number: usize,
    /// What it allows, and nothing else.
    pub actions: BTreeSet<String>,
}

/// A policy of one statement, in the order that people write it in.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Document<S> {
    pub(super) version: &'static str,
    pub(super) statement: [S; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement<'a> {
    effect: &'static str,
    action: &'a BTreeSet<String>,
    resource: &'static str,
}

impl Policy {
    /// The policy as JSON for people.
    #[must_use]
    pub fn json(&self) -> String {
        let statement = Statement { effect: "Allow", action: &self.actions, resource: "*" };
        crate::text::json_file(&Document { version: LANGUAGE, statement: [statement] })
    }
}

static AUDITED: LazyLock<BTreeSet<&str>> = LazyLock::new(|| {
    let rows = include_str!("../../readonly/aws-security-audit.tsv").lines();
    rows.filter_map(|line| line.strip_suffix("\tyes")).collect()
});

/// The policies for a set of actions.
///
/// # Errors
/// When there are none, one isn't an action, or a role couldn't hold them.
pub fn permits(actions: &BTreeSet<&str>, base: Base) -> Result<Permits, PermitError> {
    if actions.is_empty() {
        return Err(PermitError::NoActions);
    }
    let own: BTreeSet<&str> = match base {
        Base::Nothing => actions.clone(),
        Base::SecurityAudit => actions.iter().copied().filter(|action| !AUDITED.contains(action)).collect(),
    };
    let packed = pack_within(&own, MAX_POLICY_CHARS)?;
    let needed = packed.len() + usize::from(base == Base::SecurityAudit);
    if needed > MAX_MANAGED_POLICIES {
        return Err(PermitError::TooManyPolicies { needed });
    }
    let policies = packed.into_iter().zip(1..).map(|(packed, number)| Policy { number, actions: packed.actions });
    Ok(Permits { base, policies: policies.collect() })
}
