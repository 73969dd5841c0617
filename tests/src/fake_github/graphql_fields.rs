//! The plain fields of the schema's objects.

use super::graphql::{PageInfo, Thing};
use super::nouns::{AccountKind, Person};
use super::shapes::Urls;
use super::world::World;
use serde_json::Value;

/// What a field holds.
pub(super) enum Out {
    Value(Value),
    One(Thing),
    Many(Vec<Thing>),
}

impl Out {
    pub(super) fn value(value: impl Into<Value>) -> Self {
        Self::Value(value.into())
    }
}

pub(super) fn account(world: &World, urls: &Urls, name: &str) -> Option<Out> {
    let account = world.account();
    let login = account.login.as_str();
    Some(match name {
        "id" => Out::value(account.node_id.as_str()),
        "databaseId" => Out::value(account.id),
        "login" => Out::value(login),
        "name" => Out::value(account.name.as_str()),
        "description" => Out::value("A seeded organisation"),
        "email" => Out::value(format!("hello@{login}.example")),
        "createdAt" => Out::value(account.created_at.as_str()),
        "updatedAt" => Out::value("2024-05-01T08:00:00Z"),
        "url" => Out::value(format!("{}/{login}", urls.html)),
        "websiteUrl" => Out::value(format!("https://{login}.example")),
        "avatarUrl" => Out::value(format!("https://avatars.githubusercontent.com/u/{}?v=4", account.id)),
        "location" => Out::value("Zürich"),
        "isVerified" if account.kind == AccountKind::Organization => Out::value(true),
        "requiresTwoFactorAuthentication" if account.kind == AccountKind::Organization => Out::value(true),
        _ => return None,
    })
}

pub(super) fn user(world: &World, urls: &Urls, person: Person, name: &str) -> Option<Out> {
    let user = world.user(person);
    Some(match name {
        "id" => Out::value(user.node_id),
        "databaseId" => Out::value(user.id),
        "login" => Out::value(user.login),
        "name" => Out::value(user.name),
        // A hidden address is an empty text in GraphQL, where REST says null.
        "email" => Out::value(user.email.unwrap_or_default()),
        "company" => Out::value(user.company),
        "location" => Out::value(user.location),
        "createdAt" => Out::value(user.created_at),
        "updatedAt" => Out::value("2024-05-01T08:00:00Z"),
        "url" => Out::value(format!("{}/{}", urls.html, user.login)),
        "websiteUrl" | "bio" => Out::Value(Value::Null),
        "avatarUrl" => Out::value(format!("https://avatars.githubusercontent.com/u/{}?v=4", user.id)),
        "isSiteAdmin" | "isEmployee" => Out::value(false),
        _ => return None,
    })
}

pub(super) fn team(world: &World, urls: &Urls, index: u32, name: &str) -> Option<Out> {
    let team = world.team(index);
    let org = &world.shape.org;
    Some(match name {
        "id" => Out::value(team.node_id),
        "databaseId" => Out::value(team.id),
        "name" => Out::value(team.name),
        "slug" => Out::value(team.slug),
        "combinedSlug" => Out::value(format!("{org}/{}", team.slug)),
        "description" => Out::value(team.description),
        "privacy" => Out::value(if team.privacy == "secret" { "SECRET" } else { "VISIBLE" }),
        "url" => Out::value(format!("{}/orgs/{org}/teams/{}", urls.html, team.slug)),
        "createdAt" | "updatedAt" => Out::value(team.created_at),
        "parentTeam" => team.parent.map_or(Out::Value(Value::Null), |parent| Out::One(Thing::Team(parent))),
        "organization" => Out::One(Thing::Account),
        _ => return None,
    })
}

pub(super) fn repo(world: &World, urls: &Urls, index: u32, name: &str) -> Option<Out> {
    let repo = world.repo(index);
    let full = format!("{}/{}", world.shape.org, repo.name);
    Some(match name {
        "id" => Out::value(repo.node_id),
        "databaseId" => Out::value(repo.id),
        "isPrivate" => Out::value(repo.private()),
        "name" => Out::value(repo.name),
        "nameWithOwner" => Out::value(full),
        "description" => Out::value(repo.description),
        "url" => Out::value(format!("{}/{full}", urls.html)),
        "isArchived" => Out::value(repo.archived),
        "isFork" => Out::value(repo.fork),
        "isDisabled" | "isTemplate" | "isLocked" => Out::value(false),
        "visibility" => Out::value(repo.visibility.to_ascii_uppercase()),
        "createdAt" => Out::value(repo.created_at),
        "updatedAt" => Out::value(repo.updated_at),
        "pushedAt" => Out::value(repo.pushed_at),
        "homepageUrl" => Out::Value(Value::Null),
        "diskUsage" => Out::value(repo.size),
        "stargazerCount" => Out::value(repo.stars),
        "forkCount" => Out::value(0),
        "defaultBranchRef" => Out::One(Thing::Named(repo.default_branch)),
        "primaryLanguage" => repo.language.map_or(Out::Value(Value::Null), |name| Out::One(Thing::Named(name))),
        "owner" => Out::One(Thing::Account),
        _ => return None,
    })
}

pub(super) fn page_info(info: &PageInfo, name: &str) -> Option<Out> {
    Some(match name {
        "startCursor" => Out::value(info.start.clone()),
        "endCursor" => Out::value(info.end.clone()),
        "hasNextPage" => Out::value(info.more),
        "hasPreviousPage" => Out::value(info.more_before),
        _ => return None,
    })
}

pub(super) fn rate_limit((limit, used, reset): (u64, u64, u64), name: &str) -> Option<Out> {
    Some(match name {
        "limit" => Out::value(limit),
        "cost" => Out::value(1),
        "nodeCount" => Out::value(100),
        "used" => Out::value(used),
        "remaining" => Out::value(limit.saturating_sub(used)),
        "resetAt" => {
            let at = i64::try_from(reset).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
            Out::value(at.map(|at| at.to_string()))
        }
        _ => return None,
    })
}
