//! Who can assume which role. Every edge carries the end that it comes from: that may be another account's, or nobody's.
//!
//! A role's trust policy says it ([`crate::trust`]). Where it leaves it to the account, the identity policies of the
//! account's users and roles say it ([`crate::delegation`]): only then are the attachments of policies that speak of
//! assuming roles, and the members of groups that have such policies, asked for.

use crate::account;
use crate::carried;
use crate::delegation::{self, Grant, Verdict};
use crate::engine::Run;
use crate::iam::{GROUP, MANAGED_POLICY, ROLE, USER};
use crate::identities::{self, Identities};
use crate::policy;
use crate::spec::{Code, Link, Place, Step, Work, from};
use crate::trust::{self, Demands, Denied, Source, Who};
use porthole_sdk::{Emitter, Relationship, StepError};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The verb.
const VERB: &str = "CAN_ASSUME";

/// The types that edges come from, and their classes.
const SOURCES: &[(&str, &[&str])] = &[
    (USER, &["User"]),
    (ROLE, &["AccessRole"]),
    ("aws_account", &["Account"]),
    ("everyone", &["UserGroup", "Everyone"]),
    ("aws_apigateway", &["Service"]),
    ("aws_config", &["Service"]),
    ("aws_ec2", &["Service"]),
    ("aws_lambda", &["Service"]),
    ("aws_s3", &["Service"]),
    ("aws_service", &["Service"]),
    ("aws_iam_saml_provider", &["Service"]),
    ("aws_iam_oidc_provider", &["Service"]),
    ("federated_provider", &["Service"]),
];

/// Services that have a node of their own: the principal's first label, and the node's type.
const NODES: &[(&str, &str)] = &[
    ("apigateway", "aws_apigateway"),
    ("config", "aws_config"),
    ("ec2", "aws_ec2"),
    ("lambda", "aws_lambda"),
    ("s3", "aws_s3"),
];

/// The step.
pub const STEP: Step = Step {
    id: "iam-trust",
    title: "Who can assume which role",
    place: Place::Account,
    needs: &[
        "iam-users",
        "iam-groups",
        "iam-roles",
        "iam-managed-policies",
        "iam-user-policies",
        "iam-group-policies",
        "iam-role-policies",
    ],
    work: Work::Code(Code {
        uses: &["iam:ListEntitiesForPolicy", "iam:GetGroup", "iam:GetUser", "iam:GetPolicy", "iam:GetPolicyVersion"],
        reads: &[
            (USER, &["username"]),
            (GROUP, &["name"]),
            (ROLE, &["name", "trustPolicy", "permissionsBoundaryArn"]),
            (MANAGED_POLICY, &["policy"]),
            ("aws_iam_user_policy", &["principalArn", "policy"]),
            ("aws_iam_group_policy", &["principalArn", "policy"]),
            ("aws_iam_role_policy", &["principalArn", "policy"]),
        ],
        entities: Vec::new,
        links,
        run,
    }),
};

fn links() -> Vec<(&'static str, Link)> {
    SOURCES.iter().map(|(kind, class)| (ROLE, from(VERB, kind, ".", "").carried(class))).collect()
}

/// A role that trusts the root of its own account, and what that trust demands.
struct Delegating {
    arn: String,
    document: Value,
    demands: Demands,
}

fn run(run: &Run<'_>) -> Result<(), StepError> {
    let own_root = account::key(&run.names.partition, &run.names.account);
    let by_name = run.keys_by("name", ROLE)?;
    let (mut delegating, mut direct) = (Vec::new(), BTreeSet::new());
    let mut out = run.cx.emitter();
    run.stored(ROLE, &mut |roles| {
        for role in roles {
            let arn = role.text("KEY");
            let Ok(document) = policy::read(&role.text("trustPolicy")) else {
                run.skip(format!("role `{arn}` without a trust policy"));
                continue;
            };
            for (key, (source, demands, session)) in edges(&arn, &document, &by_name) {
                if key == own_root {
                    delegating.push(Delegating { arn: arn.clone(), document: document.clone(), demands });
                }
                let edge = edge(run, &source, &key, &arn, demands);
                out.relationship(edge.prop("sessionName", session))?;
                direct.insert((key, arn.clone()));
            }
        }
        Ok(())
    })?;
    if !delegating.is_empty() {
        let identities = identities::identities(run, &by_name)?;
        delegated(run, &mut out, &delegating, &identities, &direct)?;
    }
    Ok(out.finish()?)
}

/// Where an edge comes from, its demands, and the only session that may use it.
type Edge = (Who, Demands, Option<String>);

/// The edges of one role by the key that they come from: sessions of a role are edges of that role.
fn edges(arn: &str, document: &Value, by_name: &BTreeMap<String, String>) -> BTreeMap<String, Edge> {
    let mut edges: BTreeMap<String, Edge> = BTreeMap::new();
    for (Source { who, session }, demands) in trust::evaluate(arn, document).sources {
        // A session doesn't name the path of its role; of the account's own roles it is known.
        let own = session.is_some() && who.account() == trust::account_of(arn);
        let known = own.then(|| by_name.get(trust::role_name(&who.key()))).flatten();
        let (who, key) = match known {
            Some(key) => (Who::Role(key.clone()), key.clone()),
            None => (who.clone(), who.key()),
        };
        match edges.get_mut(&key) {
            None => drop(edges.insert(key, (who, demands, session))),
            Some((_, known, name)) => {
                *known = known.or(demands);
                *name = name.take().zip(session).map(|(a, b)| if a == b { a } else { format!("{a},{b}") });
            }
        }
    }
    edges
}

/// The type of who an edge comes from, and its key: a service that has a node is that node.
fn node(run: &Run<'_>, who: &Who, key: &str) -> (&'static str, String) {
    let kind = match who {
        Who::User(_) => USER,
        Who::Role(_) => ROLE,
        Who::Account(_) => account::ACCOUNT,
        Who::Everyone => "everyone",
        Who::Saml(_) => "aws_iam_saml_provider",
        Who::Oidc(_) => "aws_iam_oidc_provider",
        Who::Federated(_) => "federated_provider",
        Who::Service(principal) => {
            let name = principal.strip_suffix(".amazonaws.com").or_else(|| principal.strip_suffix(".amazonaws.com.cn"));
            match NODES.iter().find(|(label, _)| Some(*label) == name) {
                Some((_, node)) => return (node, format!("{node}:{}", run.names.account)),
                None => "aws_service",
            }
        }
    };
    (kind, key.to_owned())
}

fn edge(run: &Run<'_>, who: &Who, key: &str, role: &str, demands: Demands) -> Relationship {
    let (kind, key) = node(run, who, key);
    let class = SOURCES.iter().find(|(name, _)| *name == kind).map(|(_, class)| *class).unwrap_or_default();
    let link = from(VERB, kind, ".", "").carried(class);
    let account = who.account();
    carried::relationship(ROLE, &link, &key, role)
        .prop("conditional", demands.conditional)
        .prop("externalIdRequired", yes(demands.external_id))
        .prop("mfaRequired", yes(demands.mfa))
        .prop("conditionalDeny", yes(demands.conditional_deny))
        .prop("crossAccount", account.map(|account| Some(account) != trust::account_of(role)))
}

/// What isn't so isn't said.
fn yes(is: bool) -> Option<bool> {
    is.then_some(true)
}

/// The edges of those whose identity policies let them in.
fn delegated(
    run: &Run<'_>,
    out: &mut Emitter<'_>,
    roles: &[Delegating],
    known: &Identities,
    direct: &BTreeSet<(String, String)>,
) -> Result<(), StepError> {
    let lets_in = |grants: &[Grant]| roles.iter().any(|r| delegation::decide(grants.iter(), &r.arn) > Verdict::No);
    let candidates: Vec<_> = known.grants.iter().filter(|(key, grants)| is_actor(key) && lets_in(grants)).collect();
    let boundaries = identities::boundaries(run, candidates.iter().map(|(key, _)| key.as_str()), known)?;
    for (key, grants) in candidates {
        let who = if key.contains(":role/") { Who::Role(key.clone()) } else { Who::User(key.clone()) };
        let source = Source { who: who.clone(), session: None };
        for role in roles.iter().filter(|role| !direct.contains(&(key.clone(), role.arn.clone()))) {
            let mut verdict = delegation::decide(grants.iter(), &role.arn);
            if let Some(boundary) = boundaries.get(key) {
                verdict = verdict.min(delegation::decide(boundary.iter(), &role.arn));
            }
            let denied = trust::denied(&role.document, &source);
            if verdict == Verdict::No || denied == Denied::Yes {
                continue;
            }
            let perhaps = denied == Denied::Perhaps;
            let demands = Demands {
                conditional: role.demands.conditional || verdict == Verdict::Perhaps || perhaps,
                conditional_deny: role.demands.conditional_deny || perhaps,
                ..role.demands
            };
            out.relationship(edge(run, &who, key, &role.arn, demands).prop("via", "identity-policy"))?;
        }
    }
    Ok(())
}

/// A user or a role: a group acts through its members.
fn is_actor(key: &str) -> bool {
    key.contains(":user/") || key.contains(":role/")
}
