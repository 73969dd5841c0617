//! Who is in which team, and who may do what with which repository.

use super::nouns::{AccountKind, Permission, Person, TeamRole};
use super::seed::{Salt, hash, spread};
use super::world::World;
use std::collections::BTreeMap;

/// The largest ordinary team.
const TEAM_MEMBERS_MAX: u32 = 24;
/// The most repositories of an ordinary team.
const TEAM_REPOS_MAX: u32 = 40;
/// The repositories of the first team: enough for three pages of the largest page size.
const FIRST_TEAM_REPOS: u32 = 250;

impl World {
    /// The people of a team, with those of its child, as the API lists them.
    pub(super) fn team_members(&self, team: u32) -> BTreeMap<Person, TeamRole> {
        let mut members = self.child(team).map(|child| self.own_members(child)).unwrap_or_default();
        // Who comes from a child team is a member here, whatever they are there.
        for role in members.values_mut() {
            *role = TeamRole::Member;
        }
        members.extend(self.own_members(team));
        members
    }

    fn own_members(&self, team: u32) -> BTreeMap<Person, TeamRole> {
        let n = self.shape.members;
        let h = hash(self.shape.seed, Salt::TeamMembers, u64::from(team));
        let take = match team {
            // The first team has everyone: more than one page in a large organisation.
            0 => n,
            // Empty teams exist.
            t if t % 11 == 7 => 0,
            _ => 1 + u32::try_from(h % u64::from(n.clamp(1, TEAM_MEMBERS_MAX))).unwrap_or(0),
        };
        let mut members: BTreeMap<Person, TeamRole> = spread(n, take, h)
            .enumerate()
            .map(|(j, index)| (Person::Member(index), if j % 9 == 0 { TeamRole::Maintainer } else { TeamRole::Member }))
            .collect();
        for ((_, person), role) in self.overlay.team_members.range((team, Person::Member(0))..=(team, LAST_PERSON)) {
            match role {
                Some(role) => members.insert(*person, *role),
                None => members.remove(person),
            };
        }
        members.retain(|person, _| self.has_person(*person));
        members
    }

    /// The repositories of a team, with those it has from its parent, as the API lists them.
    pub(super) fn team_repos(&self, team: u32) -> BTreeMap<u32, Permission> {
        let mut repos = self.own_repos(team);
        if let Some(parent) = self.parent(team) {
            for (repo, permission) in self.own_repos(parent) {
                let have = repos.entry(repo).or_insert(permission);
                *have = permission.max(*have);
            }
        }
        repos
    }

    fn own_repos(&self, team: u32) -> BTreeMap<u32, Permission> {
        let n = self.shape.repos;
        let h = hash(self.shape.seed, Salt::TeamRepos, u64::from(team));
        let take = match team {
            0 => n.min(FIRST_TEAM_REPOS),
            _ => u32::try_from(h % (u64::from(n.min(TEAM_REPOS_MAX)) + 1)).unwrap_or(0),
        };
        let mut repos: BTreeMap<u32, Permission> = spread(n, take, h)
            .map(|repo| {
                let key = (u64::from(team) << 32) | u64::from(repo);
                (repo, Permission::from_hash(hash(self.shape.seed, Salt::TeamRepoPermission, key)))
            })
            .collect();
        for ((_, repo), permission) in self.overlay.team_repos.range((team, 0)..=(team, u32::MAX)) {
            match permission {
                Some(permission) => repos.insert(*repo, *permission),
                None => repos.remove(repo),
            };
        }
        repos.retain(|repo, _| self.has_repo(*repo));
        repos
    }

    /// The teams of a repository.
    pub(super) fn repo_teams(&self, repo: u32) -> BTreeMap<u32, Permission> {
        self.teams(0)
            .filter_map(|team| self.team_repos(team).get(&repo).map(|permission| (team, *permission)))
            .collect()
    }

    /// The people with access of their own to a repository: members and people from outside.
    pub(super) fn collaborators(&self, repo: u32) -> BTreeMap<Person, Permission> {
        let (members, outside) = (self.shape.members, self.shape.outside);
        let h = hash(self.shape.seed, Salt::Collaborators, u64::from(repo));
        let take = match h % 8 {
            0..=3 => 0,
            4 | 5 => 1,
            6 => 2,
            _ => 3,
        };
        let mut people = BTreeMap::new();
        for j in 0..take {
            let h = hash(self.shape.seed, Salt::CollaboratorPermission, (u64::from(repo) << 8) | j);
            let person = match (outside, members) {
                (0, 0) => continue,
                (outside, members) if outside > 0 && (h.is_multiple_of(3) || members == 0) => {
                    Person::Outside(below(h >> 16, outside))
                }
                (_, members) => Person::Member(below(h >> 16, members)),
            };
            people.insert(person, Permission::from_hash(h >> 4));
        }
        for ((_, person), permission) in
            self.overlay.collaborators.range((repo, Person::Member(0))..=(repo, LAST_PERSON))
        {
            match permission {
                Some(permission) => people.insert(*person, *permission),
                None => people.remove(person),
            };
        }
        people.retain(|person, _| self.has_person(*person));
        people
    }

    /// The people from outside who have access to a repository that exists.
    pub(super) fn outside_collaborators(&self) -> Vec<Person> {
        if self.shape.kind == AccountKind::User || self.shape.outside == 0 {
            return Vec::new();
        }
        let mut people: Vec<Person> = self
            .repos(0)
            .flat_map(|repo| self.collaborators(repo).into_keys())
            .filter(|person| matches!(person, Person::Outside(_)))
            .collect();
        people.sort_unstable();
        people.dedup();
        people
    }
}

const LAST_PERSON: Person = Person::Outside(u32::MAX);

fn below(hash: u64, end: u32) -> u32 {
    u32::try_from(hash % u64::from(end.max(1))).unwrap_or(0)
}
