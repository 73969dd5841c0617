//! The oracle: the graph that a complete collection must find, computed from the seed and the overlay without a
//! request, a page or a line of JSON.

use super::nouns::{AccountKind, OrgRole, Permission, Person, TeamRole};
use super::world::World;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The whole expected graph.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Expected {
    /// Every entity.
    pub entities: BTreeSet<ExpectedEntity>,
    /// Every relationship.
    pub relationships: BTreeSet<ExpectedRelationship>,
}

/// An entity: its type and what identifies it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ExpectedEntity {
    /// `github_account`, `github_user`, `github_repo` or `github_team`.
    pub entity_type: &'static str,
    /// The provider's numeric id.
    pub id: u64,
    /// The provider's node id.
    pub node_id: String,
    /// Login, full name of the repository, or slug of the team.
    pub name: String,
    /// True for people who collaborate from outside the organisation. Whether those become entities is the module's
    /// decision.
    pub outside: bool,
}

/// A relationship: its ends and what it says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ExpectedRelationship {
    /// The type of the near end.
    pub from_type: &'static str,
    /// The numeric id of the near end.
    pub from_id: u64,
    /// `OWNS`, `HAS` or `ALLOWS`.
    pub verb: &'static str,
    /// The type of the far end.
    pub to_type: &'static str,
    /// The numeric id of the far end.
    pub to_id: u64,
    /// What the relationship says beyond its existence.
    pub detail: Detail,
}

/// What a relationship says beyond its existence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detail {
    /// Nothing.
    None,
    /// A member's role in the organisation.
    OrgRole(OrgRole),
    /// A member's role in a team.
    TeamRole(TeamRole),
    /// What may be done with a repository.
    Permission(Permission),
}

const ACCOUNT: &str = "github_account";
const USER: &str = "github_user";
const REPO: &str = "github_repo";
const TEAM: &str = "github_team";

impl Expected {
    /// How many entities there are of each type.
    #[must_use]
    pub fn entity_counts(&self) -> BTreeMap<&'static str, usize> {
        self.entities.iter().fold(BTreeMap::new(), |mut counts, entity| {
            *counts.entry(entity.entity_type).or_default() += 1;
            counts
        })
    }

    /// How many relationships there are of each kind, as `github_team ALLOWS github_repo`.
    #[must_use]
    pub fn relationship_counts(&self) -> BTreeMap<String, usize> {
        self.relationships.iter().fold(BTreeMap::new(), |mut counts, r| {
            *counts.entry(format!("{} {} {}", r.from_type, r.verb, r.to_type)).or_default() += 1;
            counts
        })
    }

    /// The entities of one type, by numeric id.
    #[must_use]
    pub fn of_type(&self, entity_type: &str) -> BTreeMap<u64, &ExpectedEntity> {
        self.entities.iter().filter(|e| e.entity_type == entity_type).map(|e| (e.id, e)).collect()
    }

    fn relate(&mut self, from: (&'static str, u64), verb: &'static str, to: (&'static str, u64), detail: Detail) {
        self.relationships.insert(ExpectedRelationship {
            from_type: from.0,
            from_id: from.1,
            verb,
            to_type: to.0,
            to_id: to.1,
            detail,
        });
    }
}

impl World {
    pub(super) fn expected(&self) -> Expected {
        let mut expected = Expected::default();
        let account = self.account();
        let from = (ACCOUNT, account.id);
        expected.entities.insert(ExpectedEntity {
            entity_type: ACCOUNT,
            id: account.id,
            node_id: account.node_id,
            name: account.login,
            outside: false,
        });
        for repo in self.repos(0) {
            let id = super::nouns::repo_id(repo);
            expected.entities.insert(ExpectedEntity {
                entity_type: REPO,
                id,
                node_id: super::nouns::repo_node_id(repo),
                name: format!("{}/{}", self.shape.org, self.repo_name(repo)),
                outside: false,
            });
            expected.relate(from, "OWNS", (REPO, id), Detail::None);
            for (person, permission) in self.collaborators(repo) {
                if matches!(person, Person::Outside(_)) {
                    expected.entities.insert(self.expect_person(person));
                }
                expected.relate((USER, person.id()), "ALLOWS", (REPO, id), Detail::Permission(permission));
            }
        }
        if self.shape.kind == AccountKind::Organization {
            self.expect_members(&mut expected, from);
            self.expect_teams(&mut expected, from);
        }
        expected
    }

    fn expect_person(&self, person: Person) -> ExpectedEntity {
        ExpectedEntity {
            entity_type: USER,
            id: person.id(),
            node_id: person.node_id(),
            name: self.login(person),
            outside: matches!(person, Person::Outside(_)),
        }
    }

    fn expect_members(&self, expected: &mut Expected, from: (&'static str, u64)) {
        for person in self.members(0) {
            expected.entities.insert(self.expect_person(person));
            expected.relate(from, "HAS", (USER, person.id()), Detail::OrgRole(self.user(person).role));
        }
    }

    fn expect_teams(&self, expected: &mut Expected, from: (&'static str, u64)) {
        for index in self.teams(0) {
            let team = self.team(index);
            expected.relate(from, "HAS", (TEAM, team.id), Detail::None);
            for (person, role) in self.team_members(index) {
                expected.relate((TEAM, team.id), "HAS", (USER, person.id()), Detail::TeamRole(role));
            }
            for (repo, permission) in self.team_repos(index) {
                let to = (REPO, super::nouns::repo_id(repo));
                expected.relate((TEAM, team.id), "ALLOWS", to, Detail::Permission(permission));
            }
            expected.entities.insert(ExpectedEntity {
                entity_type: TEAM,
                id: team.id,
                node_id: team.node_id,
                name: team.slug,
                outside: false,
            });
        }
    }
}
