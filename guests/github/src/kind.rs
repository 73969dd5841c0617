//! The types of objects, and their keys.

/// An entity type and its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// The type, such as `github_user`.
    pub name: &'static str,
    /// The class, such as `User`.
    pub class: &'static str,
    /// The middle of its keys.
    noun: &'static str,
}

impl Kind {
    /// The key of one: `github:user:583231`.
    #[must_use]
    pub fn key(&self, id: u64) -> String {
        format!("github:{}:{id}", self.noun)
    }
}

/// An organisation, or a person who owns repositories.
pub const ACCOUNT: Kind = Kind { name: "github_account", class: "Account", noun: "account" };
/// A repository.
pub const REPO: Kind = Kind { name: "github_repo", class: "CodeRepo", noun: "repo" };
/// A person: a member or an outside collaborator.
pub const USER: Kind = Kind { name: "github_user", class: "User", noun: "user" };
/// A team.
pub const TEAM: Kind = Kind { name: "github_team", class: "UserGroup", noun: "team" };

/// A relationship type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Where it comes from.
    pub from: Kind,
    /// `HAS`, `OWNS`, `ALLOWS`.
    pub verb: &'static str,
    /// Where it goes.
    pub to: Kind,
}

/// The account owns the repository.
pub const ACCOUNT_OWNS_REPO: Link = Link { from: ACCOUNT, verb: "OWNS", to: REPO };
/// The person is a member, with a role.
pub const ACCOUNT_HAS_USER: Link = Link { from: ACCOUNT, verb: "HAS", to: USER };
/// The team is the account's.
pub const ACCOUNT_HAS_TEAM: Link = Link { from: ACCOUNT, verb: "HAS", to: TEAM };
/// The person is in the team, with a role.
pub const TEAM_HAS_USER: Link = Link { from: TEAM, verb: "HAS", to: USER };
/// The team may use the repository, with a permission.
pub const TEAM_ALLOWS_REPO: Link = Link { from: TEAM, verb: "ALLOWS", to: REPO };
/// The person may use the repository directly, with a permission.
pub const USER_ALLOWS_REPO: Link = Link { from: USER, verb: "ALLOWS", to: REPO };
