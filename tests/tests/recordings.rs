//! The GitHub module reads what the real GitHub sent.
//!
//! Two sources, neither of them kept in this repository; a test says so when its source is absent:
//!
//! - HTTP archives of one organisation, recorded by another collector. It asks by GraphQL where this module asks by REST,
//!   so most of it answers questions that are never put. What it shares with this module is the list of members.
//! - The scenarios of `@octokit/fixtures`. Those that have this module's operations are `get-organization` and
//!   `add-and-remove-repository-collaborator`; `paginate-issues` has the `Link` headers. None of them has a list of
//!   repositories, of teams or of members, and the one in `errors` answers a POST.
//!
//! Where the module can't begin without an answer that nobody recorded, the test puts it together from recorded values
//! and says so. Nothing of the recorded data is printed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

use porthole_model::manifest::Manifest;
use porthole_model::operation::{CompiledOperation, Config};
use porthole_model::page::{NextPage, PageFault, next_page};
use porthole_model::run::Outcome;
use porthole_tests::octokit;
use porthole_tests::recordings::{Exchange, Replay, folder, har};
use porthole_tests::world::{World, WorldBuilder, packed};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const ORIGIN: &str = "https://api.github.com";

/// An answer that wasn't recorded as such.
fn made_up_of(path: &str, body: &Value) -> Exchange {
    Exchange {
        origin: ORIGIN.to_owned(),
        method: "GET".to_owned(),
        path: path.to_owned(),
        query: Vec::new(),
        request: Vec::new(),
        status: 200,
        headers: vec![("content-type".to_owned(), "application/json; charset=utf-8".to_owned())],
        body: body.to_string().into_bytes(),
    }
}

/// Serves exchanges whatever page size and affiliation the recorder asked for.
async fn serve(exchanges: Vec<Exchange>) -> Replay {
    Replay::of(exchanges)
        .ignore_query("per_page")
        .ignore_query("affiliation")
        .ignore_query("type")
        .start()
        .await
        .unwrap()
}

/// A world in which the provider is a replay. What isn't recorded is a 501, and asking again changes nothing.
async fn world(replay: &Replay, login: &str) -> World {
    let builder = WorldBuilder::new(packed("github").unwrap()).config("login", login);
    let builder = builder.endpoint("api.github.com", &replay.url()).unwrap().secret("api", "pat", "ghp_recorded");
    builder.limits(|l| l.calls.max_attempts = 1).build().await.unwrap()
}

/// Which steps have a slice, and which of those are complete.
async fn complete(world: &World, run: porthole_model::id::RunId) -> BTreeMap<String, bool> {
    let slices = world.slices(run).await.unwrap();
    slices.into_iter().map(|(name, slice)| (name, slice.complete)).collect()
}

/// Nothing was sent that could change anything: the only POSTs are queries.
fn reads_only(replay: &Replay) {
    let odd: Vec<_> = replay.served().into_iter().filter(|s| s.method != "GET" && s.target != "/graphql").collect();
    assert!(odd.is_empty(), "{odd:?}");
}

// -- The recorded organisation.

/// The session in which members were recorded, and the organisation's own fields in it.
fn members_session() -> Option<(Vec<Exchange>, Value)> {
    let exchanges = har::load(&folder("graph-github")?.join("members.har")).unwrap();
    let organization = |exchange: &Exchange| {
        let body: Value = serde_json::from_slice(&exchange.body).ok()?;
        Some(body["data"]["organization"].clone()).filter(|o| o["databaseId"].is_u64() && o["login"].is_string())
    };
    let found = exchanges.iter().find_map(organization).expect("the session has the organisation");
    Some((exchanges, found))
}

/// What the archive says of the members: id and role.
fn recorded_members(exchanges: &[Exchange]) -> BTreeMap<u64, String> {
    let mut members = BTreeMap::new();
    for exchange in exchanges {
        let Ok(body) = serde_json::from_slice::<Value>(&exchange.body) else { continue };
        let edges = body["data"]["organization"]["membersWithRole"]["edges"].as_array().cloned().unwrap_or_default();
        for edge in edges {
            let id = edge["node"]["databaseId"].as_u64().unwrap();
            members.insert(id, edge["role"].as_str().unwrap().to_lowercase());
        }
    }
    members
}

/// The account in the shape of REST. The archive has it in that of GraphQL.
fn account_in_rest(organization: &Value) -> [Exchange; 2] {
    let login = organization["login"].as_str().unwrap();
    let account = json!({
        "id": organization["databaseId"], "login": login, "type": "Organization", "name": organization["name"],
        "created_at": organization["createdAt"], "updated_at": organization["updatedAt"], "html_url": organization["url"],
    });
    [made_up_of(&format!("/users/{login}"), &account), made_up_of(&format!("/orgs/{login}"), &account)]
}

#[tokio::test(flavor = "multi_thread")]
async fn of_another_collectors_session_nothing_is_invented() {
    let Some(folder) = folder("graph-github") else { return };
    let (_, organization) = members_session().unwrap();
    let replay = serve(har::load_folder(&folder).unwrap()).await;
    let world = world(&replay, organization["login"].as_str().unwrap()).await;
    let run = world.run().await.unwrap();
    // The account was never asked for by REST, and everything hangs on it.
    assert_eq!(run.outcome, Some(Outcome::Failed), "{}", run.message);
    assert!(run.message.contains("501"), "it says what the provider answered: {}", run.message);
    assert!(complete(&world, run.id).await.values().all(|complete| !complete));
    assert!(world.facts().await.unwrap().is_empty());
    assert!(run.counts.values().all(|c| c.created == 0));
    reads_only(&replay);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recorded_members_become_users_and_what_was_not_recorded_stays_incomplete() {
    let Some((mut exchanges, organization)) = members_session() else { return };
    let members = recorded_members(&exchanges);
    assert!(!members.is_empty());
    exchanges.extend(account_in_rest(&organization));
    let replay = serve(exchanges).await;
    let login = organization["login"].as_str().unwrap();
    let world = world(&replay, login).await;
    let run = world.run().await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Partial), "{}", run.message);

    let account = format!("github:account:{}", organization["databaseId"]);
    let users = members.keys().map(|id| format!("github:user:{id}"));
    let links = members.keys().map(|id| format!("{account} HAS github:user:{id}"));
    let expected: BTreeSet<String> = users.chain(links).chain([account.clone()]).collect();
    assert!(world.facts().await.unwrap() == expected, "exactly the account and its members");
    // Roles are the recorded ones.
    let graph = world.graph().await.unwrap();
    for near in &graph[&account].neighbours {
        let id: u64 = near.other_key.rsplit(':').next().unwrap().parse().unwrap();
        assert_eq!(near.properties["role"].as_str().unwrap().to_lowercase(), members[&id]);
    }
    // Outside collaborators belong to the members' slice and weren't recorded.
    let complete = complete(&world, run.id).await;
    assert!(complete["account"]);
    for step in ["members", "repos", "teams"] {
        assert!(!complete[step], "{step}");
    }
    assert!(complete.iter().filter(|(name, _)| *name != "account").all(|(_, complete)| !complete), "{complete:?}");
    reads_only(&replay);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_no_one_outside_the_recorded_members_are_a_complete_slice() {
    let Some((mut exchanges, organization)) = members_session() else { return };
    let members = recorded_members(&exchanges).len() as u64;
    let login = organization["login"].as_str().unwrap();
    exchanges.extend(account_in_rest(&organization));
    exchanges.push(made_up_of(&format!("/orgs/{login}/outside_collaborators"), &json!([])));
    let replay = serve(exchanges).await;
    let world = world(&replay, login).await;
    let first = world.run().await.unwrap();
    assert!(complete(&world, first.id).await["members"], "{}", first.message);
    assert_eq!(first.counts["github_user"].created, members);
    // The same answers again: nothing is new and nothing goes.
    let second = world.run().await.unwrap();
    let users = second.counts["github_user"];
    assert_eq!((users.created, users.updated, users.unchanged, users.deleted), (0, 0, members, 0));
}

// -- Scenarios of @octokit/fixtures.

fn body(exchanges: &[Exchange], path: &str) -> Value {
    let exchange = exchanges.iter().rfind(|e| e.method == "GET" && e.path == path).expect("the scenario has it");
    serde_json::from_slice(&exchange.body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_organisation_and_recorded_collaborators_are_read() {
    let Some(package) = octokit::package() else { return };
    let (login, repo) = ("octokit-fixture-org", "add-and-remove-repository-collaborator");
    let mut exchanges = octokit::scenario(&package, "get-organization").unwrap();
    let organization = body(&exchanges, &format!("/orgs/{login}"));
    // Of the two recorded lists the one with two people: the other is the same after one of them was removed.
    let collaborators = format!("/repos/{login}/{repo}/collaborators");
    let recorded = octokit::scenario(&package, repo).unwrap();
    exchanges.extend(recorded.into_iter().find(|e| e.method == "GET" && e.path == collaborators));
    let people = body(&exchanges, &collaborators);
    assert_eq!(people.as_array().unwrap().len(), 2);
    // Nobody recorded the account's other address nor a list of repositories: the same organisation, and a recorded
    // repository under the name that the collaborators were recorded for.
    let mut listed =
        body(&octokit::scenario(&package, "get-repository").unwrap(), &format!("/repos/{login}/hello-world"));
    listed["name"] = json!(repo);
    listed["full_name"] = json!(format!("{login}/{repo}"));
    exchanges.push(made_up_of(&format!("/users/{login}"), &organization));
    exchanges.push(made_up_of(&format!("/orgs/{login}/repos"), &json!([listed])));

    let replay = serve(exchanges).await;
    let world = world(&replay, login).await;
    let run = world.run().await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Partial), "{}", run.message);
    let account = format!("github:account:{}", organization["id"]);
    let repo = format!("github:repo:{}", listed["id"]);
    let facts = world.facts().await.unwrap();
    assert_eq!(facts, BTreeSet::from([account.clone(), repo.clone(), format!("{account} OWNS {repo}")]));
    // What the organisation's own address adds.
    let graph = world.graph().await.unwrap();
    let properties = graph[&account].entity.properties.to_string();
    assert!(properties.contains("\"read\"") && properties.contains("\"team\""), "{properties}");
    // Both people are known by what they may do; who they are is for the step `members`, which has no recording.
    assert_eq!(run.counts["github_user_allows_github_repo"].created, 2);
    let complete = complete(&world, run.id).await;
    let mut left: Vec<_> = complete.iter().filter(|(_, complete)| !**complete).map(|(name, _)| name.as_str()).collect();
    left.retain(|name| !name.starts_with("team-"));
    assert_eq!(left, ["members", "teams"]);
    reads_only(&replay);
}

#[test]
fn the_recorded_links_lead_to_the_last_page_and_nowhere_else() {
    let Some(package) = octokit::package() else { return };
    let pages: Vec<_> = octokit::scenario(&package, "paginate-issues").unwrap();
    let manifest: Manifest = packed("github").unwrap().manifest;
    let mut operation = manifest.operation("list-org-repos").unwrap().clone();
    // The scenario's page size.
    operation.query.get_mut("per_page").unwrap().rule = porthole_model::rule::Rule::Fixed("3".to_owned());
    let config = BTreeMap::from([("login", "octokit-fixture-org"), ("host", "api.github.com"), ("rest", "")]);
    let values = config.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let config = Config { values, ..Config::default() };
    let compiled = CompiledOperation::new(&operation, &config).unwrap();
    let origin = [url::Url::parse(ORIGIN).unwrap().origin()];
    let mut arguments = Vec::new();
    for (number, page) in pages.iter().enumerate() {
        let link = page.headers.iter().find(|(name, _)| name == "link").map(|(_, value)| value.as_str());
        let next = next_page(&compiled, &origin, &arguments, link, &page.body);
        // The links change the path to /repositories/ID; only the page number is taken from them.
        match next {
            NextPage::Next(next) => {
                assert_eq!(next, [("page".to_owned(), (number + 2).to_string())]);
                arguments = next;
            }
            last => assert_eq!((last, number), (NextPage::Last, pages.len() - 1)),
        }
        // The same header from anywhere else, or with another page size, isn't followed.
        let elsewhere = [url::Url::parse("https://github.example").unwrap().origin()];
        if number + 1 < pages.len() {
            let refused = next_page(&compiled, &elsewhere, &arguments, link, &page.body);
            assert!(matches!(refused, NextPage::Broken(PageFault::Origin(_))), "{refused:?}");
            let wider = link.unwrap().replace("per_page=3", "per_page=100");
            let refused = next_page(&compiled, &origin, &arguments, Some(&wider), &page.body);
            assert!(matches!(refused, NextPage::Broken(PageFault::Value { .. })), "{refused:?}");
        }
    }
}
