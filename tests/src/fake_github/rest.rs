//! The REST side: what a route and a query answer. Reads only; there is no code here that could change anything.

use super::nouns::{AccountKind, OrgRole, Permission, Person, TeamRole};
use super::page::{Page, Query};
use super::reply::Reply;
use super::route::Route;
use super::shapes::{self, Urls};
use super::world::World;
use std::collections::BTreeMap;

/// What one REST request is about.
pub(super) struct Ask<'a> {
    pub(super) world: &'a World,
    pub(super) route: Route,
    pub(super) query: &'a Query,
    pub(super) urls: &'a Urls,
}

impl Ask<'_> {
    /// The answer to a GET.
    pub(super) fn answer(&self) -> Reply {
        let (world, urls) = (self.world, self.urls);
        match self.route {
            Route::Root => Reply::json(200, format!("{{\"current_user_url\":\"{}/user\"}}", urls.api)),
            Route::Myself => one(|out| shapes::owner_profile(out, urls, world)),
            Route::Owner { as_org: true } => one(|out| shapes::organization(out, urls, world)),
            Route::Owner { as_org: false } => one(|out| shapes::owner_profile(out, urls, world)),
            Route::Profile(person) => one(|out| shapes::user(out, urls, &world.user(person))),
            Route::OwnerRepos { .. } => self.repos(),
            Route::Members => self.members(),
            Route::Member(Person::Member(_)) => Reply::json(204, ""),
            Route::Membership(person @ Person::Member(index)) => {
                one(|out| shapes::membership(out, urls, world, person, world.role(index)))
            }
            Route::OutsideCollaborators => self.people(&world.outside_collaborators()),
            Route::Teams => self.teams(),
            Route::Team(index) => one(|out| shapes::full_team(out, urls, world, &world.team(index))),
            Route::ChildTeams(index) => {
                let children: Vec<u32> = world.child(index).into_iter().collect();
                self.list(&children, |out, child| shapes::team(out, urls, world, &world.team(*child), None))
            }
            Route::TeamMembers(index) => self.team_members(index),
            Route::TeamRepos(index) => {
                let (account, repos) = (world.account(), pairs(world.team_repos(index)));
                self.list(&repos, |out, (repo, permission)| {
                    shapes::repo(out, urls, &account, &world.repo(*repo), Some(*permission));
                })
            }
            Route::Repo(index) => one(|out| shapes::repo(out, urls, &world.account(), &world.repo(index), None)),
            Route::Collaborators(index) => self.collaborators(index),
            Route::RepoTeams(index) => {
                let teams = pairs(world.repo_teams(index));
                self.list(&teams, |out, (team, permission)| {
                    shapes::team(out, urls, world, &world.team(*team), Some(*permission));
                })
            }
            _ => Reply::not_found(),
        }
    }

    fn repos(&self) -> Reply {
        let world = self.world;
        let wanted = self.query.get("type").unwrap_or("all");
        let account = world.account();
        let write = |out: &mut String, index: u32| {
            shapes::repo(out, self.urls, &account, &world.repo(index), None);
        };
        if wanted == "all" || wanted == "owner" {
            return self.slice(world.repo_count(), |skip, take| world.repos(skip).take(take), write);
        }
        let chosen: Vec<u32> = world
            .repos(0)
            .filter(|index| {
                let repo = world.repo(*index);
                match wanted {
                    "public" | "internal" => repo.visibility == wanted,
                    "private" => repo.private(),
                    "forks" => repo.fork,
                    "sources" => !repo.fork,
                    _ => true,
                }
            })
            .collect();
        self.list(&chosen, |out, index| write(out, *index))
    }

    fn members(&self) -> Reply {
        let world = self.world;
        let wanted = match self.query.get("role") {
            Some("admin") => Some(OrgRole::Admin),
            Some("member") => Some(OrgRole::Member),
            _ => None,
        };
        let weak = self.query.get("filter") == Some("2fa_disabled");
        if wanted.is_none() && !weak {
            let write = |out: &mut String, person| shapes::simple_user(out, self.urls, world, person);
            return self.slice(world.member_count(), |skip, take| world.members(skip).take(take), write);
        }
        let chosen: Vec<Person> = world
            .members(0)
            .filter(|person| {
                let user = world.user(*person);
                wanted.is_none_or(|role| user.role == role) && !(weak && user.two_factor)
            })
            .collect();
        self.people(&chosen)
    }

    fn teams(&self) -> Reply {
        let world = self.world;
        self.slice(
            world.team_count(),
            |skip, take| world.teams(skip).take(take),
            |out, index| shapes::team(out, self.urls, world, &world.team(index), None),
        )
    }

    fn team_members(&self, index: u32) -> Reply {
        let wanted = match self.query.get("role") {
            Some("maintainer") => Some(TeamRole::Maintainer),
            Some("member") => Some(TeamRole::Member),
            _ => None,
        };
        let members = self.world.team_members(index).into_iter();
        let people: Vec<Person> =
            members.filter(|(_, role)| wanted.is_none_or(|w| w == *role)).map(|(person, _)| person).collect();
        self.people(&people)
    }

    fn collaborators(&self, repo: u32) -> Reply {
        let world = self.world;
        let people: BTreeMap<Person, Permission> = match self.query.get("affiliation") {
            Some("direct") => world.collaborators(repo),
            Some("outside") => {
                let direct = world.collaborators(repo).into_iter();
                direct.filter(|(person, _)| matches!(person, Person::Outside(_))).collect()
            }
            _ => everyone_with_access(world, repo),
        };
        self.list(&pairs(people), |out, (person, permission)| {
            shapes::collaborator(out, self.urls, world, *person, *permission);
        })
    }

    fn people(&self, people: &[Person]) -> Reply {
        self.list(people, |out, person| shapes::simple_user(out, self.urls, self.world, *person))
    }

    fn list<T>(&self, items: &[T], write: impl Fn(&mut String, &T)) -> Reply {
        self.slice(items.len(), |skip, take| items.iter().skip(skip).take(take), write)
    }

    /// One page of a list whose items are made only where they are shown.
    fn slice<T, I: Iterator<Item = T>>(
        &self,
        total: usize,
        items: impl FnOnce(usize, usize) -> I,
        write: impl Fn(&mut String, T),
    ) -> Reply {
        let page = Page::of(self.query);
        let mut body = String::from("[");
        for item in items(page.skip(), page.per_page) {
            if body.len() > 1 {
                body.push(',');
            }
            write(&mut body, item);
        }
        body.push(']');
        let base = format!("{}{}", self.urls.api, self.route.numeric(self.world));
        let links = page.links(&base, self.query, total);
        let mut reply = Reply::json(200, body);
        if let Some(links) = links {
            reply.set("link", links);
        }
        reply.list = Some((page, base));
        reply
    }
}

/// Own access, access through teams, and the owners of an organisation.
fn everyone_with_access(world: &World, repo: u32) -> BTreeMap<Person, Permission> {
    let mut people = world.collaborators(repo);
    let mut allow = |person, permission: Permission| {
        let have = people.entry(person).or_insert(permission);
        *have = permission.max(*have);
    };
    for (team, permission) in world.repo_teams(repo) {
        for person in world.team_members(team).into_keys() {
            allow(person, permission);
        }
    }
    if world.shape.kind == AccountKind::Organization {
        for person in world.members(0).filter(|person| world.user(*person).role == OrgRole::Admin) {
            allow(person, Permission::Admin);
        }
    }
    people
}

fn one(write: impl FnOnce(&mut String)) -> Reply {
    let mut body = String::new();
    write(&mut body);
    Reply::json(200, body)
}

fn pairs<K, V>(map: BTreeMap<K, V>) -> Vec<(K, V)> {
    map.into_iter().collect()
}

/// `GET /installation/repositories`, whose list is inside an object.
pub(super) fn installation_repos(ask: &Ask<'_>) -> Reply {
    let mut reply = Ask { route: Route::OwnerRepos { as_org: true }, ..*ask }.answer();
    let inner = String::from_utf8(std::mem::take(&mut reply.body)).unwrap_or_default();
    let total = ask.world.repo_count();
    reply.body =
        format!("{{\"total_count\":{total},\"repository_selection\":\"all\",\"repositories\":{inner}}}").into_bytes();
    if let Some((page, _)) = reply.list {
        let base = format!("{}/installation/repositories", ask.urls.api);
        reply.headers.retain(|(name, _)| name != "link");
        if let Some(links) = page.links(&base, ask.query, total) {
            reply.set("link", links);
        }
        reply.list = Some((page, base));
    }
    reply
}
