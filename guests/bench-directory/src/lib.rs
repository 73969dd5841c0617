//! A directory of users, groups and applications, for the benchmarks: one request for each user's factors and one for
//! their roles, as such providers ask for. `manifest.toml` says the operations and steps; the provider is a subcommand of
//! `porthole-bench`.

mod convert;
mod reply;

use porthole_sdk::{Call, Cx, Entity, Relationship, Skipped, StepError, Steps, Stored};
use reply::{Assignment, Id, Org};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Parts of the steps that ask for each user. Never change it: every object would move to another slice.
const PARTS: u64 = 4;

/// The integration.
pub struct Directory;

porthole_sdk::export!(Directory);

impl Steps for Directory {
    fn run(&self, cx: &Cx<'_>, step: &str, part: &str) -> Result<(), StepError> {
        match step {
            "account" => account(cx),
            "users" => list(cx, "list-users", convert::user),
            "groups" => list(cx, "list-groups", convert::group),
            "apps" => list(cx, "list-apps", convert::app),
            "group-members" => group_members(cx),
            "app-users" => app_users(cx),
            "factors" => of_users(cx, part, "list-factors", convert::factor),
            "roles" => of_users(cx, part, "list-roles", convert::role),
            other => Err(StepError::unknown_step(other)),
        }
    }

    fn partitions(&self, _cx: &Cx<'_>, _step: &str) -> Result<Vec<String>, StepError> {
        Ok((0..PARTS).map(|part| part.to_string()).collect())
    }
}

fn call(operation: &'static str) -> Call {
    Call::new(operation).credential("api")
}

fn account(cx: &Cx<'_>) -> Result<(), StepError> {
    let org: Org = cx.call(call("get-org"))?.json()?;
    let mut out = cx.emitter();
    out.entity(convert::account(&org).map_err(StepError::Unexpected)?)?;
    Ok(out.finish()?)
}

#[derive(Deserialize)]
struct Nothing {}

/// A list of things that the account has.
fn list<T: DeserializeOwned>(
    cx: &Cx<'_>,
    operation: &'static str,
    convert: fn(&T) -> Result<Entity, String>,
) -> Result<(), StepError> {
    let none = || StepError::Other("the step `account` found no account".to_owned());
    let account: Stored<Nothing> = cx.entities("dir_account").next().ok_or_else(none)??;
    let (mut out, mut skipped) = (cx.emitter(), Skipped::default());
    for page in cx.pages(call(operation)) {
        for reply in page?.list::<T>()? {
            let Some(entity) = skipped.unless(convert(&reply)) else { continue };
            let to = entity.entity_type().to_owned();
            out.relationship(Relationship::new("dir_account", "HAS", &to, &account.key, entity.key()))?;
            out.entity(entity)?;
        }
        cx.progress(out.objects() / 2, None);
    }
    out.finish()?;
    skipped.finish()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupProperties {
    group_id: String,
}

fn group_members(cx: &Cx<'_>) -> Result<(), StepError> {
    let groups: Vec<Stored<GroupProperties>> = cx.entities("dir_group").collect::<Result<_, _>>()?;
    let lists = groups.into_iter().map(|group| {
        let call = call("list-group-members").arg("group", &group.properties.group_id);
        (group.key, call)
    });
    let (mut out, mut skipped) = (cx.emitter(), Skipped::default());
    let outcome = cx.pages_many(lists, |group, page| {
        for reply in page.list::<Id>()? {
            let Some(user) = skipped.unless(convert::user_key(&reply)) else { continue };
            out.relationship(Relationship::new("dir_group", "HAS", "dir_user", group, user))?;
        }
        Ok(())
    })?;
    out.finish()?;
    skipped.finish()?;
    some_complete(outcome.complete, outcome.failed)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AppProperties {
    app_id: String,
}

fn app_users(cx: &Cx<'_>) -> Result<(), StepError> {
    let apps: Vec<Stored<AppProperties>> = cx.entities("dir_app").collect::<Result<_, _>>()?;
    let lists = apps.into_iter().map(|app| {
        let call = call("list-app-users").arg("app", &app.properties.app_id);
        (app.key, call)
    });
    let (mut out, mut skipped) = (cx.emitter(), Skipped::default());
    let outcome = cx.pages_many(lists, |app, page| {
        for reply in page.list::<Assignment>()? {
            if let Some(assignment) = skipped.unless(convert::assignment(app, &reply)) {
                out.relationship(assignment)?;
            }
        }
        Ok(())
    })?;
    out.finish()?;
    skipped.finish()?;
    some_complete(outcome.complete, outcome.failed)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserProperties {
    user_id: String,
}

/// What each user of one part has.
fn of_users<T: DeserializeOwned>(
    cx: &Cx<'_>,
    part: &str,
    operation: &'static str,
    convert: fn(&str, &T) -> Result<Entity, String>,
) -> Result<(), StepError> {
    let mut users = Vec::new();
    for user in cx.entities::<UserProperties>("dir_user") {
        let user = user?;
        if part_of(&user.key) == part {
            users.push(user);
        }
    }
    let total = users.len() as u64;
    let lists = users.into_iter().map(|user| {
        let call = call(operation).arg("user", &user.properties.user_id);
        (user.key, call)
    });
    let (mut out, mut skipped, mut done) = (cx.emitter(), Skipped::default(), 0);
    let outcome = cx.pages_many(lists, |user, page| {
        done += 1;
        cx.progress(done, Some(total));
        for reply in page.list::<T>()? {
            let Some(entity) = skipped.unless(convert(user, &reply)) else { continue };
            let to = entity.entity_type().to_owned();
            out.relationship(Relationship::new("dir_user", "HAS", &to, user, entity.key()))?;
            out.entity(entity)?;
        }
        Ok(())
    })?;
    out.finish()?;
    skipped.finish()?;
    some_complete(outcome.complete, outcome.failed)
}

/// The part of a user: FNV-1a of its key, folded because its low bits alone mix badly.
fn part_of(key: &str) -> String {
    let hash = key
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    ((hash ^ (hash >> 32)) % PARTS).to_string()
}

fn some_complete(complete: u64, failed: u64) -> Result<(), StepError> {
    if complete == 0 && failed > 0 {
        return Err(StepError::Call(format!("none of {failed} lists could be read; see the run log")));
    }
    Ok(())
}
