//! Conversions, with replies as api.github.com sends them (shortened, with made-up people).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use porthole_github::convert::{self, Owner};
use porthole_github::reply::{Account, Member, MemberEdge, Organization, Permissions, Person, Repo, Team};
use porthole_sdk::Entity;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn fixture<T: DeserializeOwned>(name: &str) -> T {
    let path = format!("{}/tests/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn assert_props(entity: &Entity, expected: Value) {
    for (name, value) in expected.as_object().unwrap() {
        let expected = (!value.is_null()).then_some(value);
        assert_eq!(entity.get(name).as_ref(), expected, "{name}");
    }
}

#[test]
fn an_organisation() {
    let (account, organization): (Account, Organization) = (fixture("account"), fixture("organization"));
    let entity = convert::account(&account, Some(&organization)).unwrap();
    assert_eq!((entity.entity_type(), entity.key()), ("github_account", "github:account:9919"));
    assert_props(
        &entity,
        json!({
            "name": "Example Works", "login": "example-works", "accountType": "organization", "accountId": "9919",
            "twoFactorRequired": true, "defaultRepositoryPermission": "read", "plan": "team", "verified": true,
            "membersCanCreatePublicRepositories": false, "company": null, "email": null,
            "createdAt": "2008-05-11T04:37:31Z",
        }),
    );
}

#[test]
fn a_repository_without_its_secret_and_its_counters() {
    let reply: Repo = fixture("repo");
    let entity = convert::repo(&reply).unwrap();
    assert_eq!((entity.entity_type(), entity.key()), ("github_repo", "github:repo:1296269"));
    assert_props(
        &entity,
        json!({
            "name": "hello-world", "fullName": "example-works/hello-world", "visibility": "private", "public": false,
            "archived": false, "defaultBranch": "main", "topics": ["api", "demo"], "license": "MIT",
            "pushedAt": "2024-01-26T19:06:43Z", "description": null, "stars": null,
        }),
    );
    assert!(!format!("{entity:?}").contains("ABCDEFSECRET"));
}

#[test]
fn a_repository_of_an_older_server() {
    let reply = Repo { id: Some(1), name: Some("a".into()), private: Some(true), ..Repo::default() };
    assert_props(&convert::repo(&reply).unwrap(), json!({"visibility": "private", "public": false, "topics": null}));
    let reply = Repo { private: None, ..reply };
    assert_props(&convert::repo(&reply).unwrap(), json!({"visibility": null, "public": null}));
}

#[test]
fn a_member_with_what_the_credential_may_see() {
    let edge: MemberEdge = fixture("member");
    let (entity, role) = convert::member(&edge).unwrap();
    assert_eq!((entity.key(), role.as_str()), ("github:user:1283884", "admin"));
    assert_props(
        &entity,
        json!({"username": "sam-example", "name": "Sam Example", "mfaEnabled": true, "siteAdmin": false, "company": null}),
    );
    let hidden = MemberEdge { has_two_factor_enabled: None, ..edge };
    assert_props(&convert::member(&hidden).unwrap().0, json!({"mfaEnabled": null}));
}

#[test]
fn what_an_object_cannot_be_without() {
    let named = |id, name: Option<&str>| Repo { id, name: name.map(Into::into), ..Repo::default() };
    assert!(convert::repo(&named(None, Some("a"))).is_err());
    assert!(convert::repo(&named(Some(1), None)).is_err());
    assert!(convert::outside_collaborator(&Person { id: Some(1), ..Person::default() }).is_err());
    assert!(convert::team(&Team { id: Some(1), name: Some("x".into()), ..Team::default() }).is_err());
    let member = |node, role: Option<&str>| MemberEdge { node, role: role.map(Into::into), ..MemberEdge::default() };
    let person = || Member { database_id: Some(1), login: Some("x".into()), ..Member::default() };
    assert!(convert::member(&member(Some(person()), Some("MEMBER"))).is_ok());
    assert!(convert::member(&member(Some(person()), None)).is_err());
    assert!(convert::member(&member(None, Some("MEMBER"))).is_err());
    assert!(convert::member(&member(Some(Member { database_id: None, ..person() }), Some("MEMBER"))).is_err());
}

#[test]
fn permissions_by_name_or_by_flags() {
    let flags = |text: &str| serde_json::from_str::<Permissions>(text).unwrap();
    let cases = [
        (Some("triage"), None, Some("triage")),
        (Some("custom role"), Some(r#"{"admin":true}"#), Some("custom role")),
        (None, Some(r#"{"admin":true,"push":true,"pull":true}"#), Some("admin")),
        (None, Some(r#"{"maintain":true,"push":true,"pull":true}"#), Some("maintain")),
        (None, Some(r#"{"push":true,"pull":true}"#), Some("write")),
        (None, Some(r#"{"triage":true,"pull":true}"#), Some("triage")),
        (Some(""), Some(r#"{"pull":true}"#), Some("read")),
        (None, Some("{}"), None),
        (None, None, None),
    ];
    for (role, permissions, expected) in cases {
        assert_eq!(convert::permission(role, permissions.map(flags)).ok(), expected, "{role:?} {permissions:?}");
    }
}

#[test]
fn owners_are_organisations_or_users() {
    for (text, owner) in [("Organization", Owner::Organization), ("User", Owner::User)] {
        assert_eq!(Owner::parse(Some(text)), Ok(owner));
        assert_eq!(Owner::parse(Some(owner.as_str())), Ok(owner), "the property reads back");
    }
    assert!(Owner::parse(Some("Mannequin")).is_err() && Owner::parse(None).is_err());
}

#[test]
fn unknown_fields_and_nulls_are_tolerated() {
    let text =
        r#"{"id": 1, "name": "a", "new_field": {"x": [1]}, "license": null, "topics": null, "permissions": null}"#;
    assert!(convert::repo(&serde_json::from_str(text).unwrap()).is_ok());
    let text = r#"{"role": "MEMBER", "node": {"databaseId": 1, "login": "x", "name": null, "more": 1}}"#;
    assert!(convert::member(&serde_json::from_str(text).unwrap()).is_ok());
}
