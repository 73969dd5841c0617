//! Session policies of a role (SigV4, AssumeRole with an inline policy): what narrows a session to exactly the actions of
//! a plan, whatever the role itself may do. Pure: from a set of actions to as few policies as possible.
//!
//! A policy names every action in full. Wildcards would be shorter, and would allow what nobody granted.

use std::collections::{BTreeMap, BTreeSet};

/// The longest inline session policy, in characters. Source: the API reference of AssumeRole, parameter `Policy`.
pub const MAX_SESSION_POLICY_CHARS: usize = 2_048;
/// The longest action, in characters, the service's prefix included. The longest that exist have about 100; this bounds
/// what a manifest can make a policy of.
pub const MAX_ACTION_CHARS: usize = 128;
/// What a policy is, around its actions. Its language has one version with this name, of which no feature is used.
const HEAD: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["#;
const TAIL: &str = r#"],"Resource":"*"}]}"#;
/// The characters that an action needs besides its own: two quotes and a comma.
const AROUND_ACTION: usize = 3;

/// One policy, for one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionPolicy {
    /// The policy, as JSON without whitespace.
    pub json: String,
    /// The actions that it allows, and no others.
    pub actions: BTreeSet<String>,
}

/// Why there is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionPolicyError {
    /// What isn't an action could be a wildcard, or end the list it stands in.
    #[error(
        "`{0}` is no action: it takes a service's prefix, a colon and a name of letters and digits, such as `iam:ListUsers`, of at most {MAX_ACTION_CHARS} characters"
    )]
    NotAnAction(String),
}

/// Packs actions into session policies of at most [`MAX_SESSION_POLICY_CHARS`]: as few as possible, and of those ways one
/// that keeps the actions of a service together where they fit. Equal sets give equal policies.
///
/// No action gives no policy. That means no session: a session without a policy may do all that its role may.
///
/// # Errors
/// When something in the set isn't an action.
pub fn pack(actions: &BTreeSet<&str>) -> Result<Vec<SessionPolicy>, SessionPolicyError> {
    pack_within(actions, MAX_SESSION_POLICY_CHARS)
}

/// The same within another limit, for policies that are kept elsewhere. Room for one action is always taken.
///
/// # Errors
/// As [`pack`].
pub fn pack_within(actions: &BTreeSet<&str>, max_chars: usize) -> Result<Vec<SessionPolicy>, SessionPolicyError> {
    if let Some(bad) = actions.iter().find(|action| !is_action(action)) {
        return Err(SessionPolicyError::NotAnAction((*bad).chars().take(MAX_ACTION_CHARS).collect()));
    }
    // The last action has no comma.
    let room = (max_chars + 1).saturating_sub(HEAD.len() + TAIL.len());
    let single: Vec<Group<'_>> = actions.iter().map(|action| vec![*action]).collect();
    let services = services(actions, room);

    // Splitting services at will needs the fewest; whole services are taken if they need no more.
    let (fewest, _) = place(Vec::new(), single.clone(), room, usize::MAX);
    let (mut bins, left) = place(Vec::new(), services, room, fewest.len());
    if !left.is_empty() {
        let left = left.into_iter().flatten().map(|action| vec![action]).collect();
        (bins, _) = place(bins, left, room, usize::MAX);
    }
    if bins.len() > fewest.len() {
        bins = fewest;
    }
    let mut policies: Vec<_> = bins.into_iter().map(policy).collect();
    policies.sort_by(|a, b| a.actions.cmp(&b.actions));
    Ok(policies)
}

/// A service's prefix, a colon, a name. Nothing that is special in JSON or in a policy.
#[must_use]
pub fn is_action(text: &str) -> bool {
    let word = |part: &str, also: fn(u8) -> bool| !part.is_empty() && part.bytes().all(also);
    text.len() <= MAX_ACTION_CHARS
        && text.split_once(':').is_some_and(|(service, name)| {
            word(service, |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && word(name, |b| b.is_ascii_alphanumeric())
        })
}

type Group<'a> = Vec<&'a str>;

fn size(group: &[&str]) -> usize {
    group.iter().map(|action| action.len() + AROUND_ACTION).sum()
}

/// The actions of each service. What doesn't fit into one policy is cut into groups that do.
fn services<'a>(actions: &BTreeSet<&'a str>, room: usize) -> Vec<Group<'a>> {
    let mut services: BTreeMap<&str, Vec<Group<'a>>> = BTreeMap::new();
    for action in actions {
        let prefix = action.split(':').next().unwrap_or_default();
        let groups = services.entry(prefix).or_default();
        match groups.last_mut().filter(|last| size(last) + size(&[action]) <= room) {
            Some(last) => last.push(action),
            None => groups.push(vec![action]),
        }
    }
    services.into_values().flatten().collect()
}

/// First fit, the largest first, into at most `most` bins; and what found no room.
fn place<'a>(
    mut bins: Vec<Group<'a>>,
    mut groups: Vec<Group<'a>>,
    room: usize,
    most: usize,
) -> (Vec<Group<'a>>, Vec<Group<'a>>) {
    groups.sort_by(|a, b| size(b).cmp(&size(a)).then_with(|| a.cmp(b)));
    let mut left = Vec::new();
    for group in groups {
        let used = bins.len();
        match bins.iter_mut().find(|bin| size(bin) + size(&group) <= room) {
            Some(bin) => bin.extend(group),
            None if used < most => bins.push(group),
            None => left.push(group),
        }
    }
    (bins, left)
}

fn policy(mut actions: Vec<&str>) -> SessionPolicy {
    actions.sort_unstable();
    let quoted: Vec<String> = actions.iter().map(|action| format!("\"{action}\"")).collect();
    SessionPolicy {
        json: [HEAD, &quoted.join(","), TAIL].concat(),
        actions: actions.into_iter().map(str::to_owned).collect(),
    }
}

#[cfg(test)]
#[path = "session_policy_tests.rs"]
mod tests;
