//! A directory of users, groups and applications: the provider of the guest `bench-directory`. Its replies look like
//! those of the large ones, are made from numbers alone, and are written when it starts, so that answering is a look-up
//! and a copy.
//!
//! - `GET /api/v1/users` (`groups`, `apps`): pages of 200, with a `Link` to the next one.
//! - `GET /api/v1/users/ID/factors`, `…/roles`: of one user; most have one factor, few have a role.
//! - `GET /api/v1/groups/ID/users`, `/api/v1/apps/ID/users`: pages of 200 again.

use super::Provider;
use super::server::{self, Answer};
use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

/// The host that it stands in for, as the guest's manifest has it.
pub(crate) const HOST: &str = "directory.example";
/// Objects of a page.
const PAGE: usize = 200;
/// One user in so many administers something.
const USERS_PER_ADMIN: u64 = 20;
/// Members of each group, and users of each application, out of 10,000 users; with fewer users, fewer.
const MEMBERS: u64 = 185;
const APP_USERS: u64 = 300;

/// How large it is, and how slow.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Users.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) users: u64,
    /// Groups.
    #[arg(long, default_value_t = 100)]
    pub(crate) groups: u64,
    /// Applications.
    #[arg(long, default_value_t = 50)]
    pub(crate) apps: u64,
    /// Wait so long before each answer, milliseconds.
    #[arg(long, default_value_t = 0)]
    pub(crate) delay: u64,
}

impl Options {
    /// Starts a provider of this size in a process of its own.
    ///
    /// # Errors
    /// When it doesn't start.
    pub(crate) fn start(&self) -> Result<Provider> {
        let sizes = [("users", self.users), ("groups", self.groups), ("apps", self.apps), ("delay", self.delay)];
        let sizes = sizes.into_iter().flat_map(|(name, value)| [format!("--{name}"), value.to_string()]);
        Provider::start(HOST, &std::iter::once("directory".to_owned()).chain(sizes).collect::<Vec<_>>())
    }
}

/// Serves; see the module's documentation.
pub(super) fn serve(options: &Options) -> Result<()> {
    let directory = Directory::new(options);
    let delay = Duration::from_millis(options.delay);
    server::serve(move |target, _, answer| {
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
        directory.answer(target, answer);
    })
}

/// Every reply, by path and the `after` of its page.
struct Directory {
    replies: HashMap<(String, usize), Reply>,
}

struct Reply {
    link: String,
    body: Vec<u8>,
}

impl Directory {
    fn new(options: &Options) -> Self {
        let mut directory = Self { replies: HashMap::new() };
        directory.reply("/api/v1/org", json!({ "id": "00o1", "name": "Example Works", "status": "ACTIVE" }));
        directory.list("/api/v1/users", (0..options.users).map(user));
        directory.list("/api/v1/groups", (0..options.groups).map(group));
        directory.list("/api/v1/apps", (0..options.apps).map(app));
        for n in 0..options.users {
            directory.reply(&format!("/api/v1/users/{}/factors", user_id(n)), json!([factor(n)]));
            let roles = if n.is_multiple_of(USERS_PER_ADMIN) { json!([role(n)]) } else { json!([]) };
            directory.reply(&format!("/api/v1/users/{}/roles", user_id(n)), roles);
        }
        // So many users from a place of each one's own, round and round.
        let some = |from: u64, count: u64| (0..count.min(options.users)).map(move |k| (from * 97 + k) % options.users);
        for n in 0..options.groups {
            directory.list(&format!("/api/v1/groups/00g{n:017}/users"), some(n, MEMBERS).map(user));
        }
        for n in 0..options.apps {
            let users = some(n, APP_USERS).map(|k| assignment(user_id(k)));
            directory.list(&format!("/api/v1/apps/0oa{n:017}/users"), users);
        }
        directory
    }

    fn reply(&mut self, path: &str, body: Value) {
        self.replies.insert((path.to_owned(), 0), Reply { link: String::new(), body: body.to_string().into_bytes() });
    }

    fn list(&mut self, path: &str, all: impl Iterator<Item = Value>) {
        let all: Vec<Value> = all.collect();
        for (page, items) in all.chunks(PAGE).enumerate() {
            let after = (page + 1) * PAGE;
            let mut link = format!("link: <https://{HOST}{path}?limit={PAGE}>; rel=\"self\"\r\n");
            if after < all.len() {
                // Writing to a String can't fail.
                let _ = write!(link, "link: <https://{HOST}{path}?after={after}&limit={PAGE}>; rel=\"next\"\r\n");
            }
            let body = Value::from(items.to_vec()).to_string().into_bytes();
            self.replies.insert((path.to_owned(), page * PAGE), Reply { link, body });
        }
    }

    fn answer(&self, target: &str, answer: &mut Answer) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let after = query.split('&').find_map(|pair| pair.strip_prefix("after="));
        let key = (path.to_owned(), after.and_then(|n| n.parse().ok()).unwrap_or(0));
        match self.replies.get(&key) {
            Some(reply) => {
                answer.headers.push_str("x-rate-limit-limit: 600\r\nx-rate-limit-remaining: 599\r\n");
                answer.headers.push_str("x-rate-limit-reset: 4000000000\r\n");
                answer.headers.push_str(&reply.link);
                answer.body.extend_from_slice(&reply.body);
            }
            None => answer.status = 404,
        }
    }
}

fn user_id(n: u64) -> String {
    format!("00u{n:017}")
}

fn pick(n: u64, from: &[&'static str]) -> &'static str {
    let mixed = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    from.get(usize::try_from(mixed).unwrap_or(0) % from.len()).copied().unwrap_or_default()
}

/// A user, with as much around what is read as such replies have.
fn user(n: u64) -> Value {
    let id = user_id(n);
    let given = pick(n, &["Ada", "Grace", "Margaret", "Katherine", "Hedy", "Radia", "Barbara", "Frances"]);
    let family = pick(n * 7, &["Lovelace", "Hopper", "Hamilton", "Johnson", "Lamarr", "Perlman", "Liskov"]);
    let login = format!("{}.{}.{n}@{HOST}", given.to_lowercase(), family.to_lowercase());
    json!({
        "id": id,
        "status": pick(n * 3, &["ACTIVE", "ACTIVE", "ACTIVE", "STAGED", "SUSPENDED"]),
        "created": "2021-03-04T05:06:07.000Z", "activated": "2021-03-04T06:06:07.000Z",
        "statusChanged": "2021-03-04T06:06:07.000Z", "lastLogin": "2026-01-02T03:04:05.000Z",
        "lastUpdated": "2025-11-12T13:14:15.000Z", "passwordChanged": "2025-10-11T12:13:14.000Z",
        "type": { "id": "oty1fizyyfNVbqCfe0g4" },
        "profile": {
            "login": login, "email": login, "firstName": given, "lastName": family, "secondEmail": null,
            "mobilePhone": "+31 6 00000000", "title": pick(n * 5, &["Engineer", "Analyst", "Director", "Site Lead"]),
            "department": pick(n * 11, &["Platform", "Finance", "Customer Success", "Legal"]),
            "employeeNumber": format!("{n:06}"), "manager": user_id(n / 10), "userType": "Employee",
        },
        "credentials": {
            "password": {}, "emails": [{ "value": login, "status": "VERIFIED", "type": "PRIMARY" }],
            "provider": { "type": "DIRECTORY", "name": "DIRECTORY" },
        },
        "_links": { "self": { "href": format!("https://{HOST}/api/v1/users/{id}") } },
    })
}

fn group(n: u64) -> Value {
    json!({
        "id": format!("00g{n:017}"), "created": "2020-01-02T03:04:05.000Z", "lastUpdated": "2025-01-02T03:04:05.000Z",
        "objectClass": ["directory:user_group"], "type": "OWN_GROUP",
        "profile": { "name": format!("Group {n}"), "description": format!("Those who do what group {n} does") },
    })
}

fn app(n: u64) -> Value {
    json!({
        "id": format!("0oa{n:017}"), "name": format!("app_{n}"), "label": format!("Application {n}"),
        "status": "ACTIVE", "created": "2020-01-02T03:04:05.000Z", "signOnMode": "SAML_2_0",
        "features": ["PUSH_NEW_USERS"], "settings": { "app": { "baseUrl": format!("https://app-{n}.example") } },
    })
}

fn assignment(user: String) -> Value {
    json!({
        "id": user, "scope": "USER", "status": "ACTIVE", "syncState": "DISABLED",
        "created": "2022-01-02T03:04:05.000Z", "lastUpdated": "2025-01-02T03:04:05.000Z",
        "credentials": { "userName": user }, "profile": { "role": "member" },
    })
}

fn factor(n: u64) -> Value {
    json!({
        "id": format!("ufs{n:017}"), "status": "ACTIVE", "provider": "GOOGLE", "vendorName": "GOOGLE",
        "factorType": pick(n, &["token:software:totp", "push", "webauthn"]),
        "created": "2022-01-02T03:04:05.000Z", "lastUpdated": "2025-01-02T03:04:05.000Z",
        "profile": { "credentialId": user_id(n), "deviceType": "SmartPhone_IPhone", "platform": "IOS" },
    })
}

fn role(n: u64) -> Value {
    json!({
        "id": format!("ra1{n:017}"), "label": "Read Only Administrator", "type": "READ_ONLY_ADMIN",
        "status": "ACTIVE", "created": "2022-01-02T03:04:05.000Z", "assignmentType": "USER",
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
    use super::*;

    #[test]
    fn lists_have_an_end_and_every_user_is_asked_for() {
        let directory = Directory::new(&Options { users: 500, groups: 2, apps: 1, delay: 0 });
        let get = |target: &str| {
            let mut answer = Answer::default();
            directory.answer(target, &mut answer);
            (serde_json::from_slice::<Value>(&answer.body).unwrap().as_array().unwrap().clone(), answer.headers)
        };
        let (first, link) = get("/api/v1/users?limit=200");
        assert!(first.len() == 200 && link.contains("?after=200&"), "{link}");
        let (last, link) = get("/api/v1/users?limit=200&after=400");
        assert!(last.len() == 100 && !link.contains("next"), "{link}");
        let id = last[99]["id"].as_str().unwrap();
        assert_eq!(get(&format!("/api/v1/users/{id}/factors")).0.len(), 1);
        assert_eq!(get("/api/v1/apps/0oa00000000000000000/users?after=200").0.len(), 100);
    }
}
