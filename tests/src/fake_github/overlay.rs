//! What changed since the seed: the difference between a first and a second run.

use super::nouns::{OrgRole, Permission, Person, TeamRole};
use super::world::World;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Additions, removals and new names of one kind of thing.
#[derive(Debug, Clone, Default)]
pub(super) struct Changes {
    pub(super) added: u32,
    pub(super) removed: BTreeSet<u32>,
    pub(super) renamed: BTreeMap<u32, String>,
}

/// Everything that is not as the seed says. `None` in an edge means that it was taken away.
#[derive(Debug, Clone, Default)]
pub(super) struct Overlay {
    pub(super) repos: Changes,
    pub(super) members: Changes,
    pub(super) teams: Changes,
    pub(super) archived: BTreeSet<u32>,
    pub(super) roles: BTreeMap<u32, OrgRole>,
    pub(super) team_members: BTreeMap<(u32, Person), Option<TeamRole>>,
    pub(super) team_repos: BTreeMap<(u32, u32), Option<Permission>>,
    pub(super) collaborators: BTreeMap<(u32, Person), Option<Permission>>,
}

/// A change of the organisation. All of it happens, or none of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mutation {
    /// How many repositories to add. They have no team; some have collaborators.
    pub add_repos: u32,
    /// Repositories to delete, by name.
    pub remove_repos: Which,
    /// New names of repositories. Their ids stay.
    pub rename_repos: BTreeMap<String, String>,
    /// Repositories to archive, by name.
    pub archive_repos: Vec<String>,
    /// How many members to add. They are in no team.
    pub add_members: u32,
    /// Members who leave, by login. They leave their teams and repositories as well.
    pub remove_members: Which,
    /// New logins. The ids stay.
    pub rename_members: BTreeMap<String, String>,
    /// New roles of members, by login.
    pub change_roles: BTreeMap<String, OrgRole>,
    /// How many teams to add. They have members and repositories from the seed.
    pub add_teams: u32,
    /// Teams to delete, by slug. A child team goes with its parent.
    pub remove_teams: Which,
    /// New names of teams, by slug. The slug follows the name; the id stays.
    pub rename_teams: BTreeMap<String, String>,
    /// What teams may do with repositories.
    pub team_repos: Vec<TeamRepo>,
    /// Who is in teams.
    pub team_members: Vec<TeamMember>,
    /// What people may do with repositories.
    pub collaborators: Vec<Collaborator>,
}

/// Things to remove.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Which {
    /// So many, the fake chooses.
    Count(usize),
    /// These.
    Names(Vec<String>),
}

impl Default for Which {
    fn default() -> Self {
        Self::Count(0)
    }
}

impl<const N: usize> From<[&str; N]> for Which {
    fn from(names: [&str; N]) -> Self {
        Self::Names(names.map(ToOwned::to_owned).to_vec())
    }
}

impl Which {
    /// The chosen ones: by name, or the first that are left behind the very first.
    fn choose<T>(
        &self,
        left: impl Iterator<Item = T>,
        find: impl Fn(&str) -> Result<T, MutationError>,
    ) -> Result<Vec<T>, MutationError> {
        match self {
            Self::Count(count) => Ok(left.skip(1).take(*count).collect()),
            Self::Names(names) => names.iter().map(|name| find(name)).collect(),
        }
    }
}

/// A team's access to a repository.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeamRepo {
    /// The team's slug.
    pub team: String,
    /// The repository's name.
    pub repo: String,
    /// The new permission; nothing takes the access away.
    #[serde(default)]
    pub permission: Option<Permission>,
}

/// A person's place in a team.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeamMember {
    /// The team's slug.
    pub team: String,
    /// The person's login.
    pub login: String,
    /// The new role; nothing takes the person out.
    #[serde(default)]
    pub role: Option<TeamRole>,
}

/// A person's own access to a repository.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collaborator {
    /// The repository's name.
    pub repo: String,
    /// The person's login.
    pub login: String,
    /// The new permission; nothing takes the access away.
    #[serde(default)]
    pub permission: Option<Permission>,
}

/// What a change made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Mutated {
    /// The names of the new repositories.
    pub repos: Vec<String>,
    /// The logins of the new members.
    pub members: Vec<String>,
    /// The slugs of the new teams.
    pub teams: Vec<String>,
}

/// Why a change can't be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MutationError {
    /// It names something that isn't there.
    #[error("the fake organisation has no {kind} `{name}`")]
    Missing {
        /// What it would be.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// It gives a name that the real provider would refuse.
    #[error("`{0}` is no name: letters of ASCII, digits and . _ - only")]
    Name(String),
}

impl MutationError {
    fn missing(kind: &'static str, name: &str) -> Self {
        Self::Missing { kind, name: name.to_owned() }
    }
}

fn checked(name: &str) -> Result<String, MutationError> {
    let fits = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if fits { Ok(name.to_owned()) } else { Err(MutationError::Name(name.to_owned())) }
}

impl World {
    /// Changes the organisation.
    pub(super) fn mutate(&mut self, mutation: &Mutation) -> Result<Mutated, MutationError> {
        // On a copy, so that a wrong name in the last line leaves the first line undone as well.
        let mut next = self.clone();
        let mutated = next.apply(mutation)?;
        *self = next;
        Ok(mutated)
    }

    fn apply(&mut self, mutation: &Mutation) -> Result<Mutated, MutationError> {
        let mutated = self.add(mutation);
        for (login, role) in &mutation.change_roles {
            let index = self.need_member(login)?;
            self.overlay.roles.insert(index, *role);
        }
        for name in &mutation.archive_repos {
            let index = self.need_repo(name)?;
            self.overlay.archived.insert(index);
        }
        self.change_edges(mutation)?;
        // Names last but one, so that the other parts speak of what was there before.
        for (name, new) in &mutation.rename_repos {
            let index = self.need_repo(name)?;
            self.overlay.repos.renamed.insert(index, checked(new)?);
        }
        for (login, new) in &mutation.rename_members {
            let index = self.need_member(login)?;
            self.overlay.members.renamed.insert(index, checked(new)?);
        }
        for (slug, new) in &mutation.rename_teams {
            let index = self.need_team(slug)?;
            self.overlay.teams.renamed.insert(index, new.clone());
        }
        self.remove(mutation)?;
        Ok(mutated)
    }

    fn add(&mut self, mutation: &Mutation) -> Mutated {
        let (repos, members, teams) = (self.repo_end(), self.member_end(), self.team_end());
        self.overlay.repos.added += mutation.add_repos;
        self.overlay.members.added += mutation.add_members;
        self.overlay.teams.added += mutation.add_teams;
        Mutated {
            repos: (repos..self.repo_end()).map(|index| self.repo_name(index)).collect(),
            members: (members..self.member_end()).map(|index| self.login(Person::Member(index))).collect(),
            teams: (teams..self.team_end()).map(|index| self.team(index).slug).collect(),
        }
    }

    fn remove(&mut self, mutation: &Mutation) -> Result<(), MutationError> {
        let repos = mutation.remove_repos.choose(self.repos(0), |name| self.need_repo(name))?;
        let members = self.members(0).filter_map(|person| match person {
            Person::Member(index) => Some(index),
            Person::Outside(_) => None,
        });
        let members = mutation.remove_members.choose(members, |login| self.need_member(login))?;
        let teams = mutation.remove_teams.choose(self.teams(0), |slug| self.need_team(slug))?;
        let children: Vec<u32> = teams.iter().filter_map(|team| self.child(*team)).collect();
        self.overlay.repos.removed.extend(repos);
        self.overlay.members.removed.extend(members);
        self.overlay.teams.removed.extend(teams.into_iter().chain(children));
        Ok(())
    }

    fn change_edges(&mut self, mutation: &Mutation) -> Result<(), MutationError> {
        for change in &mutation.team_repos {
            let key = (self.need_team(&change.team)?, self.need_repo(&change.repo)?);
            self.overlay.team_repos.insert(key, change.permission);
        }
        for change in &mutation.team_members {
            let key = (self.need_team(&change.team)?, self.need_person(&change.login)?);
            self.overlay.team_members.insert(key, change.role);
        }
        for change in &mutation.collaborators {
            let key = (self.need_repo(&change.repo)?, self.need_person(&change.login)?);
            self.overlay.collaborators.insert(key, change.permission);
        }
        Ok(())
    }

    fn need_repo(&self, name: &str) -> Result<u32, MutationError> {
        self.find_repo(name).ok_or_else(|| MutationError::missing("repository", name))
    }

    fn need_team(&self, slug: &str) -> Result<u32, MutationError> {
        self.find_team(slug).ok_or_else(|| MutationError::missing("team", slug))
    }

    fn need_person(&self, login: &str) -> Result<Person, MutationError> {
        self.find_person(login).ok_or_else(|| MutationError::missing("person", login))
    }

    fn need_member(&self, login: &str) -> Result<u32, MutationError> {
        match self.find_person(login) {
            Some(Person::Member(index)) => Ok(index),
            _ => Err(MutationError::missing("member", login)),
        }
    }
}
