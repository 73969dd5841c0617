//! The documents that follow from a grant: what a cloud account's administrator sets up so that the granted operations
//! work, and nothing else does. Pure: from the set of granted actions and the facts about one account to text.
//!
//! The actions come from the same operations that are enforced on the wire, so a document can't ask for more than a run
//! may do. [`check`](mod@check) goes the other way: from what an account allows to what is missing and what is too much.

pub mod check;
mod cloudformation;
mod console;
mod policy;
mod terraform;

pub use check::{Report, check};
pub use policy::{Base, MAX_MANAGED_POLICIES, MAX_POLICY_CHARS, Permits, Policy, permits};

use porthole_model::session_policy::SessionPolicyError;
use serde::Serialize;
use std::collections::BTreeMap;
use std::str::FromStr;

/// The longest name of a role, in characters. Source: IAM quotas.
pub const MAX_ROLE_CHARS: usize = 64;
/// The longest external id, in characters. Source: the API reference of AssumeRole, parameter `ExternalId`.
pub const MAX_EXTERNAL_ID_CHARS: usize = 1_224;
/// The shortest that we take, in characters; AWS takes two. An external id is a name and no secret, but one that can be
/// guessed or repeated doesn't tell two customers apart.
pub const MIN_EXTERNAL_ID_CHARS: usize = 8;
/// The longest path of a user or role that we take as our principal, in characters. Source: IAM quotas (512 for the path,
/// 64 for the name).
const MAX_PRINCIPAL_PATH_CHARS: usize = 576;
/// Digits of an account's number.
const ACCOUNT_DIGITS: usize = 12;

/// Why there is no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PermitError {
    /// A fact about the account that can't be one.
    #[error("the {what} `{value}` is none: {hint}")]
    Fact {
        /// Which fact.
        what: &'static str,
        /// What was given, cut to 100 characters.
        value: String,
        /// What it takes.
        hint: &'static str,
    },
    /// An operation needs something that isn't an action.
    #[error(transparent)]
    Action(#[from] SessionPolicyError),
    /// Nothing is granted.
    #[error("nothing is granted that needs a permission: there is nothing to set up")]
    NoActions,
    /// A role can't hold them.
    #[error(
        "the granted actions fill {needed} managed policies, and a role takes {MAX_MANAGED_POLICIES}: grant less, or let two instances share the work, each with a role of its own"
    )]
    TooManyPolicies {
        /// How many it would take.
        needed: usize,
    },
    /// An unknown kind of document.
    #[error("there is no document `{0}`; there are {all}", all = Format::ALL.map(Format::as_str).join(", "))]
    Format(String),
}

/// What a document has to name besides the actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    partition: String,
    principal: String,
    external_id: String,
    role: String,
}

impl Facts {
    /// Checks the facts: the partition (`aws`), the ARN of the user or role that runs as us, the external id of the
    /// instance, and what the role is to be called.
    ///
    /// # Errors
    /// When one of them could not be what it says, or would be read as something else in a document.
    pub fn new(partition: &str, principal: &str, external_id: &str, role: &str) -> Result<Self, PermitError> {
        let fact = |ok: bool, what, value: &str, hint| match ok {
            true => Ok(value.to_owned()),
            false => Err(PermitError::Fact { what, value: value.chars().take(100).collect(), hint }),
        };
        Ok(Self {
            partition: fact(
                ["aws", "aws-cn", "aws-us-gov"].contains(&partition),
                "partition",
                partition,
                "there are aws, aws-cn and aws-us-gov",
            )?,
            principal: fact(
                is_principal(partition, principal),
                "platform principal",
                principal,
                "it takes the ARN of a user or role of the same partition, such as arn:aws:iam::123456789012:role/porthole",
            )?,
            external_id: fact(
                (MIN_EXTERNAL_ID_CHARS..=MAX_EXTERNAL_ID_CHARS).contains(&external_id.len())
                    && made_of(external_id, "_+=,.@:/-"),
                "external id",
                external_id,
                "it takes 8 to 1,224 letters, digits and _+=,.@:/-",
            )?,
            role: fact(
                (1..=MAX_ROLE_CHARS).contains(&role.len()) && made_of(role, "_+=,.@-"),
                "role name",
                role,
                "it takes 1 to 64 letters, digits and _+=,.@-",
            )?,
        })
    }

    /// The trust policy of the role: this principal, and only with this external id.
    fn trust(&self) -> impl Serialize + '_ {
        let statement = TrustStatement {
            effect: "Allow",
            principal: BTreeMap::from([("AWS", self.principal.as_str())]),
            action: "sts:AssumeRole",
            condition: BTreeMap::from([(
                "StringEquals",
                BTreeMap::from([("sts:ExternalId", self.external_id.as_str())]),
            )]),
        };
        policy::Document { version: policy::LANGUAGE, statement: [statement] }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TrustStatement<'a> {
    effect: &'static str,
    principal: BTreeMap<&'static str, &'a str>,
    action: &'static str,
    condition: BTreeMap<&'static str, BTreeMap<&'static str, &'a str>>,
}

/// Letters, digits and some other characters. None of them ends a string or begins a template in JSON or HCL.
fn made_of(text: &str, also: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c))
}

fn is_principal(partition: &str, arn: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", p, "iam", "", account, resource] = parts.as_slice() else { return false };
    let name = resource.strip_prefix("role/").or_else(|| resource.strip_prefix("user/"));
    *p == partition
        && account.len() == ACCOUNT_DIGITS
        && account.bytes().all(|b| b.is_ascii_digit())
        && name.is_some_and(|n| {
            n.len() <= MAX_PRINCIPAL_PATH_CHARS && !n.is_empty() && !n.ends_with('/') && made_of(n, "_+=,.@-/")
        })
}

/// A kind of document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The policies, with exactly the granted actions.
    Policy,
    /// What AWS's own policy `SecurityAudit` lacks.
    SecurityAudit,
    /// A CloudFormation template.
    CloudFormation,
    /// A Terraform configuration.
    Terraform,
    /// The steps in the console.
    Console,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Policy, Self::SecurityAudit, Self::CloudFormation, Self::Terraform, Self::Console];

    /// As a person writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::SecurityAudit => "security-audit",
            Self::CloudFormation => "cloudformation",
            Self::Terraform => "terraform",
            Self::Console => "console",
        }
    }

    /// Does the document name an account, and so takes [`Facts`]?
    #[must_use]
    pub fn needs_facts(self) -> bool {
        matches!(self, Self::CloudFormation | Self::Terraform | Self::Console)
    }
}

impl FromStr for Format {
    type Err = PermitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|format| format.as_str() == text);
        known.ok_or_else(|| PermitError::Format(text.chars().take(100).collect()))
    }
}

/// A template for CloudFormation, as JSON: the role with its trust policy, and its managed policies.
#[must_use]
pub fn cloudformation(facts: &Facts, permits: &Permits) -> String {
    cloudformation::template(facts, permits)
}

/// The same for Terraform, as HCL.
#[must_use]
pub fn terraform(facts: &Facts, permits: &Permits) -> String {
    terraform::configuration(facts, permits)
}

/// The same as steps for a person in the console.
#[must_use]
pub fn console(facts: &Facts, permits: &Permits) -> String {
    console::steps(facts, permits)
}

#[cfg(test)]
#[path = "permits_tests.rs"]
mod tests;
