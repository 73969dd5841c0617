//! Who can assume a role: its trust policy, evaluated. Pure.
//!
//! An upper bound: the guards of an organisation and the identity policies of other accounts can't be seen from here. What
//! a condition demands is said as a property and never decided.

use crate::policy;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The key of everybody with credentials of AWS.
pub const EVERYONE: &str = "global:everyone";

/// For accounts of a Deny that are written as a number: they are compared by it.
const ANY_PARTITION: &str = "aws";

/// Who a principal is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// A user, by its ARN.
    User(String),
    /// A role, by its ARN; of a session the one of its role, as far as the session says it.
    Role(String),
    /// An account, by the ARN of its root.
    Account(String),
    /// Everybody.
    Everyone,
    /// A service of AWS, by its principal: `ec2.amazonaws.com`.
    Service(String),
    /// A SAML provider, by its ARN.
    Saml(String),
    /// An OpenID Connect provider, by its ARN.
    Oidc(String),
    /// An identity provider that AWS knows by name: `accounts.google.com`.
    Federated(String),
}

impl Who {
    /// The key of its entity. The role of a session has no path: see [`Source::session`].
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::User(key) | Self::Role(key) | Self::Account(key) | Self::Saml(key) | Self::Oidc(key) => key.clone(),
            Self::Federated(host) => host.clone(),
            Self::Service(principal) => format!("service:{principal}"),
            Self::Everyone => EVERYONE.to_owned(),
        }
    }

    fn arn(&self) -> Option<&str> {
        match self {
            Self::User(arn) | Self::Role(arn) | Self::Account(arn) | Self::Saml(arn) | Self::Oidc(arn) => Some(arn),
            Self::Everyone | Self::Service(_) | Self::Federated(_) => None,
        }
    }

    /// The account that it belongs to.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        account_of(self.arn()?)
    }

    /// The action that lets it in.
    fn action(&self) -> &'static str {
        match self {
            Self::Saml(_) => "sts:AssumeRoleWithSAML",
            Self::Oidc(_) | Self::Federated(_) => "sts:AssumeRoleWithWebIdentity",
            _ => "sts:AssumeRole",
        }
    }
}

/// The account in an ARN.
#[must_use]
pub fn account_of(arn: &str) -> Option<&str> {
    arn.split(':').nth(4).filter(|account| is_account(account))
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// A principal: who it is, and which of its sessions, if only one is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// Who.
    pub who: Who,
    /// The name of the session.
    pub session: Option<String>,
}

/// What a way in demands, and what is known about it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Demands {
    /// The Allow has a condition.
    pub conditional: bool,
    /// It demands an external id.
    pub external_id: bool,
    /// It demands a second factor.
    pub mfa: bool,
    /// A Deny with a condition speaks of it too.
    pub conditional_deny: bool,
}

impl Demands {
    /// Of two ways in the weaker demand counts. A Deny counts for both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            conditional: self.conditional && other.conditional,
            external_id: self.external_id && other.external_id,
            mfa: self.mfa && other.mfa,
            conditional_deny: self.conditional_deny || other.conditional_deny,
        }
    }
}

/// Who can assume a role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// Each source once, with what its weakest way in demands.
    pub sources: BTreeMap<Source, Demands>,
    /// Principals that name nobody that could be found: the ids of deleted ones, groups, patterns.
    pub unresolved: BTreeSet<String>,
}

/// Evaluates the trust policy of a role.
#[must_use]
pub fn evaluate(role_arn: &str, document: &Value) -> Trust {
    let partition = role_arn.split(':').nth(1).unwrap_or("aws");
    let mut trust = Trust::default();
    for statement in policy::statements(document).into_iter().filter(|s| policy::allows(s)) {
        let mut demands = Demands { conditional: policy::is_conditional(statement), ..Demands::default() };
        (demands.external_id, demands.mfa) = demanded(statement);
        for (kind, name) in principals(statement, "Principal") {
            let Some(source) = source(&kind, name, partition) else {
                if policy::speaks_of(statement, "sts:AssumeRole") {
                    trust.unresolved.insert(name.to_owned());
                }
                continue;
            };
            if !policy::speaks_of(statement, source.who.action()) {
                continue;
            }
            match denied(document, &source) {
                Denied::Yes => {}
                denied => {
                    let demands = Demands { conditional_deny: denied == Denied::Perhaps, ..demands };
                    trust.sources.entry(source).and_modify(|d| *d = d.or(demands)).or_insert(demands);
                }
            }
        }
    }
    trust
}

/// Whether a policy's Deny statements keep somebody out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denied {
    /// They don't.
    No,
    /// Under a condition.
    Perhaps,
    /// They do.
    Yes,
}

/// Whether a trust policy keeps a principal out.
#[must_use]
pub fn denied(document: &Value, source: &Source) -> Denied {
    let statements = policy::statements(document).into_iter();
    let speaking = statements.filter(|s| !policy::allows(s) && policy::speaks_of(s, source.who.action()));
    let covering = speaking.filter(|statement| match statement.get("NotPrincipal") {
        Some(_) => !is_spared(&principals(statement, "NotPrincipal"), source),
        None => principals(statement, "Principal").iter().any(|(kind, name)| covers(kind, name, source)),
    });
    covering.map(|s| if policy::is_conditional(s) { Denied::Perhaps } else { Denied::Yes }).max().unwrap_or(Denied::No)
}

/// The kinds and names of `Principal` or `NotPrincipal`. `"*"` alone is `{"AWS": "*"}`.
fn principals<'v>(statement: &'v Value, field: &str) -> Vec<(String, &'v str)> {
    match statement.get(field) {
        Some(Value::Object(kinds)) => {
            let named = |(kind, names): (&String, &'v Value)| {
                let names = policy::many(names).into_iter().filter_map(Value::as_str);
                names.map(|name| (kind.to_ascii_lowercase(), name)).collect::<Vec<_>>()
            };
            kinds.iter().flat_map(named).collect()
        }
        Some(Value::String(all)) => vec![("aws".to_owned(), all.as_str())],
        _ => Vec::new(),
    }
}

/// Who is meant by a principal, if it is somebody that an edge can come from. An account that is written as a number is of
/// the partition.
fn source(kind: &str, name: &str, partition: &str) -> Option<Source> {
    let alone = |who| Some(Source { who, session: None });
    match kind {
        "service" => alone(Who::Service(name.to_owned())),
        "federated" => match name.split(':').nth(5) {
            Some(path) if path.starts_with("saml-provider/") => alone(Who::Saml(name.to_owned())),
            Some(path) if path.starts_with("oidc-provider/") => alone(Who::Oidc(name.to_owned())),
            Some(_) => None,
            None => alone(Who::Federated(name.to_owned())),
        },
        "aws" if name == "*" => alone(Who::Everyone),
        "aws" if is_account(name) => alone(Who::Account(format!("arn:{partition}:iam::{name}:root"))),
        "aws" if !name.contains(['*', '?']) => {
            let mut parts = name.splitn(6, ':');
            let (Some("arn"), Some(partition), Some(service), Some(_), Some(account), Some(path)) =
                (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
            else {
                return None;
            };
            match (service, path.split_once('/')) {
                ("iam", None) if path == "root" => alone(Who::Account(name.to_owned())),
                ("iam", Some(("user", _))) => alone(Who::User(name.to_owned())),
                ("iam", Some(("role", _))) => alone(Who::Role(name.to_owned())),
                ("sts", Some(("assumed-role", session))) => {
                    let (role, session) = session.split_once('/')?;
                    let who = Who::Role(format!("arn:{partition}:iam::{account}:role/{role}"));
                    Some(Source { who, session: Some(session.to_owned()) })
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// A principal of a Deny means this source: the same, everybody, or the account that it belongs to.
fn covers(kind: &str, name: &str, source: &Source) -> bool {
    let Some(meant) = self::source(kind, name, ANY_PARTITION) else { return false };
    match &meant.who {
        Who::Everyone => true,
        Who::Account(_) => is_principal(&source.who) && meant.who.account() == source.who.account(),
        _ => is_same(&meant, source),
    }
}

/// `NotPrincipal` spares only those whom it lists, and a user or role only if it lists its account as well.
fn is_spared(listed: &[(String, &str)], source: &Source) -> bool {
    let listed: Vec<_> = listed.iter().filter_map(|(kind, name)| self::source(kind, name, ANY_PARTITION)).collect();
    if listed.iter().any(|l| l.who == Who::Everyone) {
        return true;
    }
    let named = listed.iter().any(|l| is_same(l, source) || is_account_of(&l.who, &source.who));
    match source.who {
        Who::User(_) | Who::Role(_) => {
            let root =
                listed.iter().any(|l| matches!(l.who, Who::Account(_)) && l.who.account() == source.who.account());
            root && listed.iter().any(|l| is_same(l, source))
        }
        _ => named,
    }
}

/// Both are the same account, however each is written.
fn is_account_of(listed: &Who, who: &Who) -> bool {
    matches!((listed, who), (Who::Account(_), Who::Account(_))) && listed.account() == who.account()
}

/// It belongs to an account and acts by itself.
fn is_principal(who: &Who) -> bool {
    matches!(who, Who::User(_) | Who::Role(_) | Who::Account(_))
}

/// The same principal. A role means each of its sessions too; a session names its role without the path.
fn is_same(meant: &Source, source: &Source) -> bool {
    match (&meant.who, &source.who, &meant.session, &source.session) {
        (Who::Role(_), Who::Role(_), Some(a), Some(b)) => a == b && meant.who == source.who,
        (Who::Role(_), Who::Role(_), Some(_), None) => false,
        (Who::Role(a), Who::Role(b), None, Some(_)) => account_of(a) == account_of(b) && role_name(a) == role_name(b),
        (a, b, ..) => a == b,
    }
}

/// The last part of a role's ARN.
#[must_use]
pub fn role_name(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// Whether the condition demands an external id, and whether it demands a second factor.
fn demanded(statement: &Value) -> (bool, bool) {
    let operators = statement.get("Condition").and_then(Value::as_object).into_iter().flatten();
    let mut demands = (false, false);
    for (operator, keys) in operators {
        let operator = operator.to_ascii_lowercase();
        // `ForAnyValue:` demands a value; `ForAllValues:` and `…IfExists` are content without one.
        let operator = operator.strip_prefix("foranyvalue:").unwrap_or(&operator);
        for (key, value) in keys.as_object().into_iter().flatten() {
            let key = key.to_ascii_lowercase();
            let is_text = matches!(operator, "stringequals" | "stringequalsignorecase" | "stringlike");
            demands.0 |= is_text && key == policy::EXTERNAL_ID;
            demands.1 |= operator == "bool" && key == "aws:multifactorauthpresent" && is_true(value);
        }
    }
    demands
}

fn is_true(value: &Value) -> bool {
    let one = |v: &&Value| v.as_bool() == Some(true) || v.as_str().is_some_and(|t| t.eq_ignore_ascii_case("true"));
    policy::many(value).iter().all(one)
}
