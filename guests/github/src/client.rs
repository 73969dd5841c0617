//! The operations of `manifest.toml`, one function each. Account, host, paging size and credentials are the manifest's and
//! the host's; what is left to say is little.

use crate::convert::Owner;
use crate::kind::{ACCOUNT, REPO, TEAM};
use porthole_sdk::{Call, Cx, StepError, Stored};
use serde::Deserialize;

/// The credential slot.
const SLOT: &str = "api";

/// The account as a person or organisation.
#[must_use]
pub fn get_account() -> Call {
    call("get-account")
}

/// What an organisation adds.
#[must_use]
pub fn get_organization() -> Call {
    call("get-organization")
}

/// The account's repositories.
#[must_use]
pub fn list_repos(owner: Owner) -> Call {
    call(match owner {
        Owner::Organization => "list-org-repos",
        Owner::User => "list-user-repos",
    })
}

/// The members of the organisation (GraphQL). Which organisation is fixed by the manifest.
#[must_use]
pub fn list_members() -> Call {
    call("list-members")
}

/// Those who work in its repositories without being members.
#[must_use]
pub fn list_outside_collaborators() -> Call {
    call("list-outside-collaborators")
}

/// The organisation's teams.
#[must_use]
pub fn list_teams() -> Call {
    call("list-teams")
}

/// Those members of a team that have the role: a reply doesn't say it, so there is a list for each.
#[must_use]
pub fn list_team_members(slug: &str, role: &str) -> Call {
    call("list-team-members").arg("team", slug).arg("role", role)
}

/// The repositories that a team may use.
#[must_use]
pub fn list_team_repos(slug: &str) -> Call {
    call("list-team-repos").arg("team", slug)
}

/// Those who were given a repository directly, not through a team or the organisation.
#[must_use]
pub fn list_collaborators(repo: &str) -> Call {
    call("list-collaborators").arg("repo", repo)
}

fn call(operation: &'static str) -> Call {
    Call::new(operation).credential(SLOT)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccountProperties {
    account_type: Option<String>,
}

/// The properties of a team that later steps need.
#[derive(Debug, Deserialize)]
pub struct TeamProperties {
    /// The name in its address.
    pub slug: String,
}

/// The properties of a repository that later steps need.
#[derive(Debug, Deserialize)]
pub struct RepoProperties {
    /// The name within its account.
    pub name: String,
}

/// The account that the first step emitted: its key and what it is.
///
/// # Errors
/// When that step found none; it has said why.
pub fn read_account(cx: &Cx<'_>) -> Result<(String, Owner), StepError> {
    let none = || StepError::Other("the step `account` found no account".to_owned());
    let account = cx.entities::<AccountProperties>(ACCOUNT.name).next().ok_or_else(none)??;
    let owner = Owner::parse(account.properties.account_type.as_deref()).map_err(StepError::Unexpected)?;
    Ok((account.key, owner))
}

/// The teams that an earlier step emitted.
pub fn read_teams<'a>(cx: &'a Cx<'_>) -> impl Iterator<Item = Result<Stored<TeamProperties>, StepError>> + use<'a> {
    cx.entities(TEAM.name)
}

/// The repositories that an earlier step emitted.
pub fn read_repos<'a>(cx: &'a Cx<'_>) -> impl Iterator<Item = Result<Stored<RepoProperties>, StepError>> + use<'a> {
    cx.entities(REPO.name)
}
