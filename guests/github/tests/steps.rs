//! Every step against a host in memory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use porthole_github::Github;
use porthole_github::steps::bucket;
use porthole_sdk::testing::{EmittedRelationship, MemoryHost};
use porthole_sdk::{Denial, Fault, Layer, Level, StepError};
use serde_json::{Value, json};

fn acme() -> MemoryHost {
    MemoryHost::new().config(json!({"login": "acme", "host": "api.github.com", "rest": "", "graphql": "/graphql"}))
}

fn organization() -> MemoryHost {
    acme().stored("github_account", "github:account:1", json!({"accountType": "organization"}))
}

fn user() -> MemoryHost {
    acme().stored("github_account", "github:account:1", json!({"accountType": "user"}))
}

fn keys(relationships: &[EmittedRelationship]) -> Vec<&str> {
    relationships.iter().map(|r| r.key.as_str()).collect()
}

fn forbidden(permission: &str) -> Fault {
    Fault { permission: Some(permission.to_owned()), ..Fault::status(403, "forbidden") }
}

fn run(host: &MemoryHost, step: &str) -> Result<(), StepError> {
    host.run(&Github, step, "")
}

#[test]
fn an_organisation_is_an_account_with_its_settings() {
    let host = acme()
        .reply("get-account", &[], json!({"id": 1, "login": "acme", "type": "Organization", "name": "Acme Inc."}))
        .reply("get-organization", &[], json!({"id": 1, "two_factor_requirement_enabled": true, "email": ""}));
    run(&host, "account").unwrap();
    let accounts = host.entities("github_account");
    assert_eq!(accounts.len(), 1);
    assert_eq!((accounts[0].key.as_str(), accounts[0].name.as_str()), ("github:account:1", "Acme Inc."));
    assert_eq!(accounts[0].class, ["Account"]);
    assert_eq!(accounts[0].properties["accountType"], "organization");
    assert_eq!(accounts[0].properties["twoFactorRequired"], true);
    assert!(!accounts[0].properties.contains_key("email"));
    assert!(host.calls().iter().all(|c| c.credential_slot() == Some("api")));
}

#[test]
fn a_user_is_an_account_without_asking_for_an_organisation() {
    let host = acme().reply("get-account", &[], json!({"id": 1, "login": "jo", "type": "User", "name": null}));
    run(&host, "account").unwrap();
    let accounts = host.entities("github_account");
    assert_eq!((accounts[0].name.as_str(), &accounts[0].properties["name"]), ("jo", &json!("jo")));
    assert_eq!(host.calls().len(), 1);
}

#[test]
fn an_account_of_another_kind_or_without_id_is_refused() {
    for reply in [json!({"id": 1, "login": "x", "type": "Bot"}), json!({"login": "x", "type": "User"}), json!({})] {
        let host = acme().reply("get-account", &[], reply);
        assert!(matches!(run(&host, "account"), Err(StepError::Unexpected(_))));
        assert!(host.entities("github_account").is_empty());
    }
}

#[test]
fn repositories_of_all_pages_are_owned_by_the_account() {
    let pages = [json!([{"id": 10, "name": "a", "full_name": "acme/a"}]), json!([{"id": 11, "name": "b"}])];
    for (host, operation) in [(organization(), "list-org-repos"), (user(), "list-user-repos")] {
        let host = host.pages(operation, &[], pages.clone());
        run(&host, "repos").unwrap();
        let repos = host.entities("github_repo");
        assert_eq!(repos.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["acme/a", "b"]);
        let owns = host.relationships("github_account_owns_github_repo");
        let expected = ["github:account:1|OWNS|github:repo:10", "github:account:1|OWNS|github:repo:11"];
        assert_eq!(keys(&owns), expected);
        assert_eq!(host.unfollowed_pages(), 0);
    }
}

#[test]
fn a_repository_that_is_not_understood_fails_the_step_after_the_others() {
    let host = organization().reply("list-org-repos", &[], json!([{"name": "no id"}, {"id": 2, "name": "b"}]));
    let error = run(&host, "repos").unwrap_err();
    assert_eq!(error, StepError::Unexpected("1 left out, for example: repository without id".into()));
    assert_eq!(host.entities("github_repo").len(), 1);
}

#[test]
fn a_page_that_fails_fails_the_step_and_keeps_what_came_before() {
    let host = organization().pages_then(
        "list-org-repos",
        &[],
        [json!([{"id": 10, "name": "a"}])],
        forbidden("Metadata: read"),
    );
    let error = run(&host, "repos").unwrap_err();
    assert_eq!(error.to_string(), "`list-org-repos`: status (403): forbidden; it needs Metadata: read");
    assert_eq!(host.entities("github_repo").len(), 1);
}

#[test]
fn steps_without_an_account_say_so() {
    for step in ["repos", "members", "teams"] {
        let host = acme().reads("github_account");
        assert!(run(&host, step).unwrap_err().to_string().contains("found no account"), "{step}");
    }
}

fn members(edges: Value) -> Value {
    let page = json!({"pageInfo": {"hasNextPage": false, "endCursor": null}, "edges": edges});
    json!({"data": {"organization": {"membersWithRole": page}}})
}

fn member(id: u64, login: &str, role: Value) -> Value {
    json!({"role": role, "hasTwoFactorEnabled": null, "node": {"databaseId": id, "login": login, "name": ""}})
}

const NOBODY: [Value; 1] = [Value::Array(Vec::new())];

#[test]
fn members_have_a_role_and_outside_collaborators_are_not_the_accounts() {
    let host = organization()
        .pages(
            "list-members",
            &[],
            [members(json!([member(5, "jo", json!("ADMIN"))])), members(json!([member(6, "al", json!("MEMBER"))]))],
        )
        .pages("list-outside-collaborators", &[], [json!([{"id": 7, "login": "ext", "site_admin": false}])]);
    run(&host, "members").unwrap();
    let users = host.entities("github_user");
    let shown: Vec<_> = users.iter().map(|u| (u.key.as_str(), u.properties["role"].as_str().unwrap())).collect();
    assert_eq!(shown, [("github:user:5", "admin"), ("github:user:6", "member"), ("github:user:7", "outside")]);
    assert!(users.iter().all(|u| u.class == ["User"] && u.properties.contains_key("username")));
    let has = host.relationships("github_account_has_github_user");
    assert_eq!(keys(&has), ["github:account:1|HAS|github:user:5", "github:account:1|HAS|github:user:6"]);
    assert_eq!(has[0].properties["role"], "admin");
}

#[test]
fn members_whose_role_is_hidden_are_not_all_members() {
    let host = organization().reply("list-members", &[], members(json!([member(5, "jo", Value::Null), null]))).pages(
        "list-outside-collaborators",
        &[],
        NOBODY,
    );
    let message = run(&host, "members").unwrap_err().to_string();
    assert!(message.starts_with("2 left out") && message.contains("can't see all members"), "{message}");
    assert!(host.entities("github_user").is_empty());
}

#[test]
fn an_organisation_that_is_hidden_is_no_organisation_without_members() {
    for reply in [json!({"data": {"organization": null}}), json!({"data": null}), json!({})] {
        let host = organization().reply("list-members", &[], reply);
        assert!(matches!(run(&host, "members"), Err(StepError::Unexpected(_))));
    }
}

#[test]
fn a_users_account_has_no_members_teams_or_collaborators() {
    let host = user().reads("github_team");
    for step in ["members", "teams"] {
        run(&host, step).unwrap();
    }
    for step in ["team-members", "team-repos", "collaborators"] {
        assert_eq!(host.partitions(&Github, step).unwrap(), [""; 0]);
    }
    assert!(host.calls().is_empty() && host.emitted_types().is_empty());
}

#[test]
fn teams_are_the_accounts() {
    let host = organization().pages(
        "list-teams",
        &[],
        [
            json!([{"id": 20, "name": "Core", "slug": "core", "privacy": "closed", "parent": null}]),
            json!([{"id": 21, "name": "Web", "slug": "web", "parent": {"id": 20, "slug": "core"}}]),
        ],
    );
    run(&host, "teams").unwrap();
    let teams = host.entities("github_team");
    assert_eq!(teams[1].properties["parentSlug"], "core");
    assert_eq!(teams[0].class, ["UserGroup"]);
    let has = host.relationships("github_account_has_github_team");
    assert_eq!(keys(&has), ["github:account:1|HAS|github:team:20", "github:account:1|HAS|github:team:21"]);
}

fn teams() -> MemoryHost {
    ["core", "web", "ops"].iter().zip(20..).fold(organization(), |host, (slug, id)| {
        host.stored("github_team", &format!("github:team:{id}"), json!({"slug": slug}))
    })
}

#[test]
fn the_partitions_of_team_steps_are_the_teams() {
    for step in ["team-members", "team-repos"] {
        assert_eq!(teams().partitions(&Github, step).unwrap(), ["core", "web", "ops"]);
    }
    assert!(teams().partitions(&Github, "teams").is_err());
    assert!(teams().partitions(&Github, "no-such-step").is_err());
}

#[test]
fn people_are_in_a_team_with_their_role() {
    let host = teams()
        .pages("list-team-members", &[("team", "web"), ("role", "maintainer")], [json!([{"id": 5, "login": "jo"}])])
        .pages("list-team-members", &[("team", "web"), ("role", "member")], [json!([{"id": 6}]), json!([{"id": 7}])]);
    host.run(&Github, "team-members", "web").unwrap();
    let has = host.relationships("github_team_has_github_user");
    let shown: Vec<_> = has.iter().map(|r| (r.to_key.as_str(), r.properties["role"].as_str().unwrap())).collect();
    assert_eq!(shown, [("github:user:5", "maintainer"), ("github:user:6", "member"), ("github:user:7", "member")]);
    assert!(has.iter().all(|r| r.from_key == "github:team:21"));
}

#[test]
fn a_team_that_cannot_be_read_fails_its_own_slice() {
    let host = teams()
        .pages("list-team-members", &[("team", "web"), ("role", "maintainer")], [json!([{"id": 5}])])
        .fault("list-team-members", &[("team", "web"), ("role", "member")], forbidden("Members: read"));
    let message = host.run(&Github, "team-members", "web").unwrap_err().to_string();
    assert_eq!(message, "`list-team-members`: status (403): forbidden; it needs Members: read");
    assert_eq!(host.relationships("github_team_has_github_user").len(), 1);
    assert!(host.run(&Github, "team-members", "gone").unwrap_err().to_string().contains("`gone`"));
}

#[test]
fn a_team_may_use_repositories_with_a_permission() {
    let repos = json!([
        {"id": 10, "name": "a", "role_name": "maintain", "permissions": {"admin": false}},
        {"id": 11, "name": "b", "permissions": {"pull": true, "push": true}},
        {"id": 12, "name": "c", "role_name": "Release Captain"},
        {"id": 13, "name": "d"},
    ]);
    let host = teams().reply("list-team-repos", &[("team", "core")], repos);
    let error = host.run(&Github, "team-repos", "core").unwrap_err();
    assert_eq!(error, StepError::Unexpected("1 left out, for example: access without a permission".into()));
    let allows = host.relationships("github_team_allows_github_repo");
    let shown: Vec<_> =
        allows.iter().map(|r| (r.to_key.as_str(), r.properties["permission"].as_str().unwrap())).collect();
    let expected = [("github:repo:10", "maintain"), ("github:repo:11", "write"), ("github:repo:12", "Release Captain")];
    assert_eq!(shown, expected);
}

fn repos(count: u64) -> MemoryHost {
    (0..count).fold(organization(), |host, id| {
        host.stored("github_repo", &format!("github:repo:{id}"), json!({"name": format!("r{id}")}))
    })
}

#[test]
fn collaborators_are_collected_once_over_32_stable_buckets() {
    let mut host = repos(100);
    for id in 0..100 {
        let page = |user: u64| json!([{"id": user, "login": "x", "role_name": "write"}]);
        host = host.pages("list-collaborators", &[("repo", &format!("r{id}"))], [page(1000 + id), page(2000 + id)]);
    }
    let partitions = host.partitions(&Github, "collaborators").unwrap();
    assert_eq!((partitions.len(), partitions[0].as_str(), partitions[31].as_str()), (32, "00", "31"));
    for partition in &partitions {
        host.run(&Github, "collaborators", partition).unwrap();
    }
    let allows = host.relationships("github_user_allows_github_repo");
    let mut seen = keys(&allows);
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 200);
    assert_eq!(host.calls().len(), 100);
    assert_eq!(host.unfollowed_pages(), 0);
    assert!(allows.iter().all(|r| r.properties["permission"] == "write"));
    assert!(host.last_progress().is_some_and(|(done, total)| Some(done) == total));
}

#[test]
fn a_repository_stays_in_its_bucket() {
    // Changing these moves every relationship to another slice.
    let buckets = ["github:repo:1", "github:repo:2", "github:repo:1296269"].map(bucket);
    assert_eq!(buckets, ["06", "15", "22"]);
}

#[test]
fn buckets_are_about_equally_full() {
    let mut counts = std::collections::BTreeMap::new();
    for id in 0..20_000 {
        *counts.entry(bucket(&format!("github:repo:{}", 300_000_007_u64 + id * 11))).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 32);
    assert!(counts.values().all(|count| (450..800).contains(count)), "{counts:?}");
}

#[test]
fn a_repository_that_cannot_be_read_does_not_stop_the_others() {
    let same: Vec<u64> = (0..200).filter(|id| bucket(&format!("github:repo:{id}")) == "07").take(3).collect();
    let name = |n: usize| format!("r{}", same[n]);
    let denial = Denial { layer: Layer::Ceiling, reason: "limited".into(), remedy: "ask".into() };
    let host = repos(200);
    let count = (0..200).filter(|id| bucket(&format!("github:repo:{id}")) == "07").count();
    let mut host = host.fault("list-collaborators", &[("repo", &name(0))], forbidden("Metadata: read")).deny(
        "list-collaborators",
        &[("repo", &name(1))],
        denial,
    );
    for id in (0..200).filter(|id| !same[..2].contains(id)) {
        host =
            host.reply("list-collaborators", &[("repo", &format!("r{id}"))], json!([{"id": id, "role_name": "read"}]));
    }
    host.run(&Github, "collaborators", "07").unwrap();
    assert_eq!(host.relationships("github_user_allows_github_repo").len(), count - 2);
    let logs = host.logs();
    assert_eq!(logs.len(), 2);
    assert!(logs.iter().all(|l| l.level == Level::Warn) && logs[0].message.contains("Metadata: read"));
}

#[test]
fn when_no_repository_can_be_read_the_step_fails() {
    let mut host = repos(100);
    for id in 0..100 {
        host = host.fault("list-collaborators", &[("repo", &format!("r{id}"))], forbidden("Metadata: read"));
    }
    assert!(matches!(host.run(&Github, "collaborators", "07"), Err(StepError::Call(_))));
}

#[test]
fn a_cancelled_run_ends_every_step() {
    let host = repos(100).cancel();
    for (step, partition) in [("account", ""), ("repos", ""), ("members", ""), ("teams", ""), ("collaborators", "07")] {
        let message = host.run(&Github, step, partition).unwrap_err().to_string();
        assert!(message.contains("cancelled"), "{step}: {message}");
    }
}
