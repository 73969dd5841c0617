//! The table of steps in the code and the manifest say the same.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use porthole_github::client;
use porthole_github::convert::Owner;
use porthole_github::kind::Kind;
use porthole_github::steps::{STEPS, Step};
use std::collections::BTreeSet;
use toml::Value;

fn manifest() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/manifest.toml");
    toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn list<'a>(table: &'a Value, key: &str) -> Vec<&'a Value> {
    table.get(key).map(|v| v.as_array().unwrap().iter().collect()).unwrap_or_default()
}

fn text<'a>(table: &'a Value, key: &str) -> &'a str {
    table.get(key).and_then(Value::as_str).unwrap_or_else(|| panic!("{key} in {table:?}"))
}

/// A step as one line.
fn declared(step: &Value) -> String {
    let class =
        |e: &Value| list(e, "class").iter().map(|c| c.as_str().unwrap().to_owned()).collect::<Vec<_>>().join(",");
    let entities: Vec<_> = list(step, "entities").iter().map(|e| format!("{}:{}", text(e, "type"), class(e))).collect();
    let link = |r: &&Value| format!("{} {} {}", text(r, "from"), text(r, "verb"), text(r, "to"));
    let links: Vec<_> = list(step, "relationships").iter().map(link).collect();
    let partitioned = step.get("partitioned").and_then(Value::as_bool).unwrap_or(false);
    format!("{} {entities:?} {links:?} {partitioned}", text(step, "id"))
}

fn coded(step: &Step) -> String {
    let entity = |k: &Kind| format!("{}:{}", k.name, k.class);
    let entities: Vec<_> = step.entities.iter().map(entity).collect();
    let links: Vec<_> =
        step.relationships.iter().map(|l| format!("{} {} {}", l.from.name, l.verb, l.to.name)).collect();
    format!("{} {entities:?} {links:?} {}", step.id, step.partitions.is_some())
}

#[test]
fn the_table_of_steps_is_the_manifests() {
    let manifest = manifest();
    let declared: Vec<_> = list(&manifest, "steps").into_iter().map(declared).collect();
    let coded: Vec<_> = STEPS.iter().map(coded).collect();
    assert_eq!(coded, declared);
}

#[test]
fn every_operation_is_used_and_every_use_is_declared() {
    let manifest = manifest();
    let operations: BTreeSet<_> = list(&manifest, "operations").into_iter().map(|o| text(o, "id")).collect();
    let steps = list(&manifest, "steps");
    let used: BTreeSet<_> = steps.iter().flat_map(|s| list(s, "uses")).map(|u| u.as_str().unwrap()).collect();
    assert_eq!(used, operations);
}

#[test]
fn every_call_gives_what_its_operation_declares() {
    let calls = [
        client::get_account(),
        client::get_organization(),
        client::list_repos(Owner::Organization),
        client::list_repos(Owner::User),
        client::list_members(),
        client::list_outside_collaborators(),
        client::list_teams(),
        client::list_team_members("core", "member"),
        client::list_team_repos("core"),
        client::list_collaborators("a"),
    ];
    let manifest = manifest();
    let mut called = BTreeSet::new();
    for call in &calls {
        let operations = list(&manifest, "operations");
        let operation = operations.into_iter().find(|o| text(o, "id") == call.operation()).unwrap();
        called.insert(call.operation());
        assert_eq!(call.credential_slot(), Some(text(operation, "auth")));
        let given: BTreeSet<_> = call.arguments().map(|(name, _)| name).collect();
        let tables =
            ["path", "query", "variables"].into_iter().filter_map(|t| Some((t, operation.get(t)?.as_table()?)));
        for (table, name, rule) in tables.flat_map(|(t, rules)| rules.iter().map(move |(name, rule)| (t, name, rule))) {
            let fixed = rule.as_str().is_some_and(|r| r.starts_with('='));
            let required = table == "path" || rule.get("required").is_some();
            assert!(!(fixed && given.contains(name.as_str())), "{} fixes {name}", call.operation());
            assert!(!required || given.contains(name.as_str()), "{} needs {name}", call.operation());
        }
        let declared = |name: &str| {
            ["path", "query", "variables"].iter().any(|t| operation.get(t).and_then(|t| t.get(name)).is_some())
        };
        assert!(given.iter().all(|name| declared(name)), "{}: {given:?}", call.operation());
    }
    assert_eq!(called.len(), list(&manifest, "operations").len());
}

#[test]
fn every_operation_stays_at_the_configured_host_and_account() {
    for operation in list(&manifest(), "operations") {
        let request = text(operation, "request");
        assert!(request.contains(" https://{config.host}{config."), "{request}");
        assert!(request.contains("{config.login}") || operation.get("graphql").is_some(), "{request}");
        assert_eq!(text(operation, "auth"), "api");
        assert!(!text(operation, "permission").is_empty());
    }
}

#[test]
fn nothing_here_can_read_source_code() {
    for operation in list(&manifest(), "operations") {
        let request = text(operation, "request");
        for word in ["contents", "git/", "zipball", "tarball", "commits", "readme", "blob", "logs", "artifacts", "raw"]
        {
            assert!(!request.contains(word), "{request}");
        }
        let document = operation.get("graphql").and_then(Value::as_str).unwrap_or_default();
        assert!(!document.contains("object(") && !document.contains("Blob"), "{document}");
    }
}

#[test]
fn a_404_never_means_none() {
    for operation in list(&manifest(), "operations") {
        assert!(operation.get("empty-on").is_none(), "{}", text(operation, "id"));
    }
}
