//! What the identity policies of the account say about assuming roles: of each user and role, with what its groups have and
//! what its permissions boundary leaves. Only what speaks of assuming roles is asked about further.

use crate::attachments::{ATTACHED, NAMES};
use crate::delegation::{self, Grant};
use crate::engine::Run;
use crate::iam::{GROUP, INLINE_POLICIES, MANAGED_POLICY, ROLE, USER};
use crate::path::{self, Item};
use crate::policy;
use crate::spec::{Ask, Detail, ask_with, detail};
use porthole_sdk::StepError;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The document of a policy that was found.
const VERSION: Detail = detail(
    "version",
    "iam:GetPolicyVersion",
    &[("PolicyArn", "{KEY}"), ("VersionId", "{found/GetPolicyResult/Policy/DefaultVersionId}")],
    "",
);

/// What the identity policies of the account say about assuming roles.
#[derive(Default)]
pub struct Identities {
    /// By user, role or group.
    pub grants: BTreeMap<String, Vec<Grant>>,
    /// Of every managed policy that was collected.
    managed: BTreeMap<String, Vec<Grant>>,
    /// The boundaries of roles.
    boundaries: BTreeMap<String, String>,
    /// The names of users by key.
    users: BTreeMap<String, String>,
}

/// Reads them back, and asks to whom they are attached. `roles` are the keys of roles by name.
///
/// # Errors
/// When something can't be read back, or the run ended.
pub fn identities(run: &Run<'_>, roles: &BTreeMap<String, String>) -> Result<Identities, StepError> {
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

/// The permissions boundaries of those who have one: what it allows of assuming roles. Of a user only AWS's description of
/// it alone says which.
///
/// # Errors
/// The run's end.
pub fn boundaries<'k>(
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
