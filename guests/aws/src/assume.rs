//! Who can assume which role. Every edge carries the end that it comes from: that may be another account's, or nobody's.
//!
//! A role's trust policy says it ([`crate::trust`]). Where it leaves it to the account, the identity policies of the
//! account's users and roles say it ([`crate::delegation`]): only then are the attachments of policies that speak of
//! assuming roles, and the members of groups that have such policies, asked for.

use crate::account;
use crate::attachments::{ATTACHED, NAMES};
use crate::carried;
use crate::delegation::{self, Grant, Verdict};
use crate::engine::Run;
use crate::iam::{GROUP, INLINE_POLICIES, MANAGED_POLICY, ROLE, USER};
use crate::path::{self, Item};
use crate::policy;
use crate::spec::{Ask, Code, Detail, Link, Place, Step, Work, ask_with, detail, from};
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

/// The document of a policy that was found.
const VERSION: Detail = detail(
    "version",
    "iam:GetPolicyVersion",
    &[("PolicyArn", "{KEY}"), ("VersionId", "{found/GetPolicyResult/Policy/DefaultVersionId}")],
    "",
);

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
        let identities = identities(run, &by_name)?;
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

/// What the identity policies of the account say about assuming roles.
#[derive(Default)]
struct Identities {
    /// By user, role or group.
    grants: BTreeMap<String, Vec<Grant>>,
    /// Of every managed policy that was collected.
    managed: BTreeMap<String, Vec<Grant>>,
    /// The boundaries of roles.
    boundaries: BTreeMap<String, String>,
    /// The names of users by key.
    users: BTreeMap<String, String>,
}

fn identities(run: &Run<'_>, roles: &BTreeMap<String, String>) -> Result<Identities, StepError> {
    let mut known = Identities::default();
    for kind in INLINE_POLICIES {
        run.stored(kind, &mut |policies| {
            for policy in policies {
                let grants = grants(&policy);
                if !grants.is_empty() {
                    known.grants.entry(policy.text("principalArn")).or_default().extend(grants);
                }
            }
            Ok(())
        })?;
    }
    let mut speaking = Vec::new();
    run.stored(MANAGED_POLICY, &mut |policies| {
        for policy in policies {
            let (key, grants) = (policy.text("KEY"), grants(&policy));
            if !grants.is_empty() {
                speaking.push(item(&key, ""));
            }
            known.managed.insert(key, grants);
        }
        Ok(())
    })?;
    let (users, groups) = (run.keys_by("username", USER)?, run.keys_by("name", GROUP)?);
    let [of_users, of_groups, of_roles] = NAMES;
    attached(run, speaking, [(of_users, &users), (of_groups, &groups), (of_roles, roles)], &mut known)?;
    inherited(run, &groups, &mut known)?;
    run.stored(ROLE, &mut |roles| {
        known.boundaries.extend(roles.iter().map(|role| (role.text("KEY"), role.text("permissionsBoundaryArn"))));
        Ok(())
    })?;
    known.users = users.into_iter().map(|(name, key)| (key, name)).collect();
    Ok(known)
}

/// The place of the names in the reply, and keys by name.
type Attached<'a> = (&'a str, &'a BTreeMap<String, String>);

/// Users, groups and roles have what is attached to them.
fn attached(
    run: &Run<'_>,
    policies: Vec<Item>,
    kinds: [Attached<'_>; 3],
    known: &mut Identities,
) -> Result<(), StepError> {
    run.each(&ATTACHED, policies, &mut |pages| {
        for page in pages {
            let grants = known.managed.get(&page.text_above("KEY")).cloned().unwrap_or_default();
            for (names, keys) in kinds {
                let named = path::each(&page.value, names).into_iter().filter_map(Value::as_str);
                for key in named.filter_map(|name| keys.get(name)) {
                    known.grants.entry(key.clone()).or_default().extend(grants.iter().cloned());
                }
            }
        }
        Ok(())
    })
}

/// Users have what their groups have.
fn inherited(run: &Run<'_>, groups: &BTreeMap<String, String>, known: &mut Identities) -> Result<(), StepError> {
    const ASK: Ask = ask_with("iam:GetGroup", &[("GroupName", "{name}")], "GetGroupResult/Users/member");
    let granting = groups.iter().filter(|(_, key)| known.grants.contains_key(*key));
    let granting = granting.map(|(name, key)| item(key, name)).collect();
    run.each(&ASK, granting, &mut |members| {
        for member in members {
            let group = member.text_above("KEY");
            let grants = known.grants.get(&group).cloned().unwrap_or_default();
            known.grants.entry(member.text("Arn")).or_default().extend(grants);
        }
        Ok(())
    })
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
    let boundaries = boundaries(run, candidates.iter().map(|(key, _)| key.as_str()), known)?;
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

/// The permissions boundaries of those who have one: what it allows of assuming roles. Of a user only AWS's description of
/// it alone says which.
fn boundaries<'k>(
    run: &Run<'_>,
    keys: impl Iterator<Item = &'k str>,
    known: &Identities,
) -> Result<BTreeMap<String, Vec<Grant>>, StepError> {
    let mut users = Vec::new();
    let mut named: BTreeMap<String, String> = BTreeMap::new();
    for key in keys {
        if let Some(name) = known.users.get(key) {
            users.push(item(key, name));
        } else if let Some(boundary) = known.boundaries.get(key).filter(|arn| !arn.is_empty()) {
            named.insert(key.to_owned(), boundary.clone());
        }
    }
    run.detail(&detail("user", "iam:GetUser", &[("UserName", "{name}")], ""), &mut users)?;
    for user in &users {
        let boundary = path::text(&user.value, "user/GetUserResult/User/PermissionsBoundary/PermissionsBoundaryArn");
        named.extend(boundary.map(|boundary| (user.text("KEY"), boundary.into_owned())));
    }
    let missing: BTreeSet<_> = named.values().filter(|arn| !known.managed.contains_key(*arn)).collect();
    let mut missing: Vec<_> = missing.into_iter().map(|arn| item(arn, "")).collect();
    run.detail(&detail("found", "iam:GetPolicy", &[("PolicyArn", "{KEY}")], ""), &mut missing)?;
    run.detail(&VERSION, &mut missing)?;
    let mut others: BTreeMap<String, Vec<Grant>> = BTreeMap::new();
    for boundary in &missing {
        let text = path::text(&boundary.value, "version/GetPolicyVersionResult/PolicyVersion/Document");
        // What can't be read counts as allowing: the slice is incomplete for it, and the bound stays upper.
        if let Some(document) = text.and_then(|text| policy::read(&text).ok()) {
            others.insert(boundary.text("KEY"), delegation::grants(&document));
        }
    }
    let of = |(key, arn): (String, String)| {
        let grants = known.managed.get(&arn).or_else(|| others.get(&arn))?;
        Some((key, grants.clone()))
    };
    Ok(named.into_iter().filter_map(of).collect())
}

fn grants(policy: &Item) -> Vec<Grant> {
    policy::read(&policy.text("policy")).map(|document| delegation::grants(&document)).unwrap_or_default()
}

fn item(key: &str, name: &str) -> Item {
    Item::new(serde_json::json!({"KEY": key, "name": name}))
}
