//! From a path to what it is about. Names and numbers lead to the same place: `/orgs/acme/repos` is also
//! `/organizations/9000002/repos`, and that is what `Link` headers say.

use super::nouns::{AccountKind, Person, repo_index, team_id, team_index};
use super::world::World;
use percent_encoding::percent_decode_str;

/// What a path is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    Root,
    RateLimit,
    Myself,
    Graphql,
    Owner { as_org: bool },
    Profile(Person),
    OwnerRepos { as_org: bool },
    Members,
    Member(Person),
    Membership(Person),
    OutsideCollaborators,
    Teams,
    Team(u32),
    ChildTeams(u32),
    TeamMembers(u32),
    TeamRepos(u32),
    Repo(u32),
    Collaborators(u32),
    RepoTeams(u32),
    App,
    Installations,
    Installation(u64),
    AccessTokens(u64),
    InstallationRepos,
    Unknown,
}

impl Route {
    /// Reads a path. `prefix` is the path of the API (empty, or `/api/v3`), already cut off.
    pub(super) fn parse(path: &str, world: &World) -> Self {
        let decoded: Vec<String> = path
            .trim_matches('/')
            .split('/')
            .filter(|part| !part.is_empty())
            .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
            .collect();
        let parts: Vec<&str> = decoded.iter().map(String::as_str).collect();
        Self::of(&parts, world).unwrap_or(Self::Unknown)
    }

    fn of(parts: &[&str], world: &World) -> Option<Self> {
        let account = world.account();
        let is_owner = |login: &str| login.eq_ignore_ascii_case(&account.login);
        let is_org = account.kind == AccountKind::Organization;
        match parts {
            [] => Some(Self::Root),
            ["rate_limit"] => Some(Self::RateLimit),
            ["graphql"] => Some(Self::Graphql),
            ["user"] => Some(Self::Myself),
            ["orgs", login, rest @ ..] if is_org && is_owner(login) => Self::of_org(rest, world),
            ["organizations", id, rest @ ..] if is_org && number(id)? == account.id => Self::of_org(rest, world),
            ["users", login] if is_owner(login) => Some(Self::Owner { as_org: false }),
            ["users", login, "repos"] if is_owner(login) => Some(Self::OwnerRepos { as_org: false }),
            ["users", login] => world.find_person(login).map(Self::Profile),
            ["user", id] if number(id)? == account.id => Some(Self::Owner { as_org: false }),
            ["user", id, "repos"] if number(id)? == account.id => Some(Self::OwnerRepos { as_org: false }),
            ["user", id] => Person::from_id(number(id)?).filter(|p| world.has_person(*p)).map(Self::Profile),
            ["repos", login, name, rest @ ..] if is_owner(login) => Self::of_repo(rest, world.find_repo(name)?),
            ["repositories", id, rest @ ..] => {
                Self::of_repo(rest, repo_index(number(id)?).filter(|index| world.has_repo(*index))?)
            }
            ["app"] => Some(Self::App),
            ["app", "installations"] => Some(Self::Installations),
            ["app", "installations", id] => number(id).map(Self::Installation),
            ["app", "installations", id, "access_tokens"] => number(id).map(Self::AccessTokens),
            ["installation", "repositories"] => Some(Self::InstallationRepos),
            _ => None,
        }
    }

    fn of_org(parts: &[&str], world: &World) -> Option<Self> {
        match parts {
            [] => Some(Self::Owner { as_org: true }),
            ["repos"] => Some(Self::OwnerRepos { as_org: true }),
            ["members"] => Some(Self::Members),
            ["members", login] => world.find_person(login).map(Self::Member),
            ["memberships", login] => world.find_person(login).map(Self::Membership),
            ["outside_collaborators"] => Some(Self::OutsideCollaborators),
            ["installations"] => Some(Self::Installations),
            ["teams"] => Some(Self::Teams),
            ["teams", slug, rest @ ..] => Self::of_team(rest, world.find_team(slug)?),
            ["team", id, rest @ ..] => {
                Self::of_team(rest, team_index(number(id)?).filter(|index| world.has_team(*index))?)
            }
            _ => None,
        }
    }

    fn of_team(parts: &[&str], team: u32) -> Option<Self> {
        match parts {
            [] => Some(Self::Team(team)),
            ["teams"] => Some(Self::ChildTeams(team)),
            ["members"] => Some(Self::TeamMembers(team)),
            ["repos"] => Some(Self::TeamRepos(team)),
            _ => None,
        }
    }

    fn of_repo(parts: &[&str], repo: u32) -> Option<Self> {
        match parts {
            [] => Some(Self::Repo(repo)),
            ["collaborators"] => Some(Self::Collaborators(repo)),
            ["teams"] => Some(Self::RepoTeams(repo)),
            _ => None,
        }
    }

    /// The kind of path, for counting.
    pub(super) fn template(self) -> &'static str {
        match self {
            Self::Root => "/",
            Self::RateLimit => "/rate_limit",
            Self::Myself => "/user",
            Self::Graphql => "/graphql",
            Self::Owner { as_org: true } => "/orgs/{org}",
            Self::Owner { as_org: false } | Self::Profile(_) => "/users/{login}",
            Self::OwnerRepos { as_org: true } => "/orgs/{org}/repos",
            Self::OwnerRepos { as_org: false } => "/users/{login}/repos",
            Self::Members => "/orgs/{org}/members",
            Self::Member(_) => "/orgs/{org}/members/{login}",
            Self::Membership(_) => "/orgs/{org}/memberships/{login}",
            Self::OutsideCollaborators => "/orgs/{org}/outside_collaborators",
            Self::Teams => "/orgs/{org}/teams",
            Self::Team(_) => "/orgs/{org}/teams/{slug}",
            Self::ChildTeams(_) => "/orgs/{org}/teams/{slug}/teams",
            Self::TeamMembers(_) => "/orgs/{org}/teams/{slug}/members",
            Self::TeamRepos(_) => "/orgs/{org}/teams/{slug}/repos",
            Self::Repo(_) => "/repos/{owner}/{repo}",
            Self::Collaborators(_) => "/repos/{owner}/{repo}/collaborators",
            Self::RepoTeams(_) => "/repos/{owner}/{repo}/teams",
            Self::App => "/app",
            Self::Installations => "/app/installations",
            Self::Installation(_) => "/app/installations/{id}",
            Self::AccessTokens(_) => "/app/installations/{id}/access_tokens",
            Self::InstallationRepos => "/installation/repositories",
            Self::Unknown => "(unknown)",
        }
    }

    /// The path by names, whichever form was asked: what a fault's pattern is matched with.
    pub(super) fn canonical(self, world: &World) -> Option<String> {
        let org = &world.shape.org;
        let team = |index: u32, rest: &str| format!("/orgs/{org}/teams/{}{rest}", world.team(index).slug);
        let repo = |index: u32, rest: &str| format!("/repos/{org}/{}{rest}", world.repo_name(index));
        Some(match self {
            Self::OwnerRepos { as_org: true } => format!("/orgs/{org}/repos"),
            Self::OwnerRepos { as_org: false } => format!("/users/{org}/repos"),
            Self::Members => format!("/orgs/{org}/members"),
            Self::OutsideCollaborators => format!("/orgs/{org}/outside_collaborators"),
            Self::Teams => format!("/orgs/{org}/teams"),
            Self::Team(index) => team(index, ""),
            Self::ChildTeams(index) => team(index, "/teams"),
            Self::TeamMembers(index) => team(index, "/members"),
            Self::TeamRepos(index) => team(index, "/repos"),
            Self::Repo(index) => repo(index, ""),
            Self::Collaborators(index) => repo(index, "/collaborators"),
            Self::RepoTeams(index) => repo(index, "/teams"),
            _ => return None,
        })
    }

    /// The path by numbers, which the `Link` headers of the real API use.
    pub(super) fn numeric(self, world: &World) -> String {
        let account = world.account().id;
        let team = |index: u32, rest: &str| format!("/organizations/{account}/team/{}{rest}", team_id(index));
        let repo = |index: u32, rest: &str| format!("/repositories/{}{rest}", super::nouns::repo_id(index));
        match self {
            Self::OwnerRepos { as_org: true } => format!("/organizations/{account}/repos"),
            Self::OwnerRepos { as_org: false } => format!("/user/{account}/repos"),
            Self::Members => format!("/organizations/{account}/members"),
            Self::OutsideCollaborators => format!("/organizations/{account}/outside_collaborators"),
            Self::Teams => format!("/organizations/{account}/teams"),
            Self::ChildTeams(index) => team(index, "/teams"),
            Self::TeamMembers(index) => team(index, "/members"),
            Self::TeamRepos(index) => team(index, "/repos"),
            Self::Collaborators(index) => repo(index, "/collaborators"),
            Self::RepoTeams(index) => repo(index, "/teams"),
            other => other.template().to_owned(),
        }
    }
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok()
}
