//! Replay: what goes in comes out, with the addresses of the replay.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

use super::{Exchange, Replay, folder, har};
use crate::raw_http::send;
use serde_json::json;

fn exchange(method: &str, path: &str, query: &[(&str, &str)], request: &str, body: &str) -> Exchange {
    Exchange {
        origin: "https://api.github.com".to_owned(),
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        request: request.as_bytes().to_vec(),
        status: 200,
        headers: vec![("link".to_owned(), "<https://api.github.com/x?page=2>; rel=\"next\"".to_owned())],
        body: body.as_bytes().to_vec(),
    }
}

#[tokio::test]
async fn a_rest_answer_goes_by_path_and_query_in_any_order() {
    let body = r#"{"url":"https://api.github.com/a"}"#;
    let replay = Replay::of(vec![exchange("GET", "/x", &[("a", "1"), ("b", "2 3")], "", body)]).start().await.unwrap();
    let answer = send(replay.addr(), "GET", "/x?b=2+3&a=1", &[], b"").await.unwrap();
    assert_eq!(answer.json(), json!({"url": format!("{}/a", replay.url())}));
    assert_eq!(answer.link("next"), Some(format!("{}/x?page=2", replay.url())));
    // Under the recorded host's name the addresses stay what they are.
    let named = send(replay.addr(), "GET", "/x?a=1&b=2%203", &[("host", "api.github.com")], b"").await.unwrap();
    assert_eq!(named.body, body.as_bytes());
    for miss in ["/x", "/x?a=1", "/y?a=1&b=2+3"] {
        assert_eq!(send(replay.addr(), "GET", miss, &[], b"").await.unwrap().status, 501, "{miss}");
    }
    assert_eq!(send(replay.addr(), "POST", "/x?a=1&b=2+3", &[], b"").await.unwrap().status, 501);
    assert_eq!((replay.served().len(), replay.misses().len()), (6, 4));
}

#[tokio::test]
async fn answers_to_the_same_request_come_in_order_and_the_last_stays() {
    let recorded = vec![exchange("GET", "/x", &[], "", "1"), exchange("GET", "/x", &[("per_page", "3")], "", "2")];
    let replay = Replay::of(recorded).ignore_query("per_page").start().await.unwrap();
    let mut bodies = Vec::new();
    for target in ["/x", "/x?per_page=100", "/x"] {
        bodies.push(send(replay.addr(), "GET", target, &[], b"").await.unwrap().json());
    }
    assert_eq!(bodies, [json!(1), json!(2), json!(2)]);
}

#[tokio::test]
async fn a_graphql_answer_goes_by_lists_and_variables_and_is_cut_to_what_was_asked() {
    let recorded = |cursor: Option<&str>, login: &str| {
        let request = json!({
            "query": "query($login: String!, $maxLimit: Int!, $c: String) { organization(login: $login) { id
                membersWithRole(first: $maxLimit, after: $c) { edges { role node { id login } } } } ...on Query { rateLimit { cost } } }",
            "variables": {"login": "Acme", "maxLimit": 100, "c": cursor},
        });
        let answer = json!({"data": {
            "organization": {"id": "O", "membersWithRole": {"edges": [{"role": "ADMIN", "node": {"id": "U", "login": login}}]}},
            "rateLimit": {"cost": 1},
        }});
        exchange("POST", "/graphql", &[], &request.to_string(), &answer.to_string())
    };
    let account = exchange(
        "POST",
        "/graphql",
        &[],
        &json!({"query": "{ organization(login: \"Acme\") { id } }"}).to_string(),
        r#"{"data":{"organization":{"id":"O"}}}"#,
    );
    let recorded = vec![account, recorded(None, "first"), recorded(Some("abc"), "second")];
    let replay = Replay::of(recorded).start().await.unwrap();
    let ask = async |after: Option<&str>, field: &str| {
        let query = format!(
            "query Members($org: String!, $after: String) {{ organization(login: $org) {{ membersWithRole(first: 50, \
             after: $after) {{ edges {{ node {{ name: {field} createdAt }} }} }} }} }}"
        );
        let body = json!({"query": query, "variables": {"org": "acme", "after": after}}).to_string();
        send(replay.addr(), "POST", "/graphql", &[], body.as_bytes()).await.unwrap()
    };
    let edges = |name: &str| json!({"data": {"organization": {"membersWithRole": {"edges": [{"node": {"name": name, "createdAt": null}}]}}}});
    assert_eq!(ask(None, "login").await.json(), edges("first"));
    assert_eq!(ask(Some("abc"), "login").await.json(), edges("second"));
    assert_eq!(ask(Some("other"), "login").await.status, 501);
}

/// Serves every entry of an archive and compares. Bodies are compared with the addresses put back.
async fn serves_every_entry(exchanges: Vec<Exchange>) {
    let replay = Replay::of(exchanges.clone()).start().await.unwrap();
    let base = replay.url();
    for exchange in &exchanges {
        let mut target = exchange.path.clone();
        if !exchange.query.is_empty() {
            let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&exchange.query).finish();
            target = format!("{target}?{query}");
        }
        let answer = send(replay.addr(), &exchange.method, &target, &[], &exchange.request).await.unwrap();
        assert_eq!(answer.status, exchange.status, "{} {target}", exchange.method);
        let back = String::from_utf8_lossy(&answer.body).replace(&base, &exchange.origin);
        match serde_json::from_slice::<serde_json::Value>(&exchange.body) {
            Ok(json) => assert_eq!(serde_json::from_str::<serde_json::Value>(&back).unwrap(), json, "{target}"),
            Err(_) => assert_eq!(back, String::from_utf8_lossy(&exchange.body), "{target}"),
        }
    }
    assert!(replay.misses().is_empty());
}

#[tokio::test]
async fn recorded_archives_are_served_entry_by_entry() {
    let Some(folder) = folder("graph-github") else { return };
    // By file: each is one session, in which the same request may have had another answer.
    let mut files = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let exchanges = har::load(&entry.unwrap().path()).unwrap();
        assert!(!exchanges.is_empty());
        serves_every_entry(exchanges).await;
        files += 1;
    }
    assert!(files > 0);
    assert!(har::load_folder(&folder).unwrap().len() > files);
}

#[tokio::test]
async fn our_own_member_query_finds_the_recorded_members() {
    let Some(folder) = folder("graph-github") else { return };
    let exchanges = har::load(&folder.join("members.har")).unwrap();
    let token = exchanges.iter().find(|e| e.path.ends_with("/access_tokens")).unwrap();
    let account = exchanges.iter().find(|e| e.path.starts_with("/app/installations/")).unwrap();
    let account: serde_json::Value = serde_json::from_slice(&account.body).unwrap();
    let login = account["account"]["login"].as_str().unwrap().to_lowercase();
    let (token_path, replay) = (token.path.clone(), Replay::of(exchanges.clone()).start().await.unwrap());
    assert_eq!(send(replay.addr(), "POST", &token_path, &[], b"").await.unwrap().status, 201);
    let query = "query Members($login: String!, $after: String) { organization(login: $login) {
        membersWithRole(first: 100, after: $after) { pageInfo { endCursor hasNextPage }
          edges { role node { databaseId login name } } } } }";
    let body = json!({"query": query, "variables": {"login": login}}).to_string();
    let answer = send(replay.addr(), "POST", "/graphql", &[], body.as_bytes()).await.unwrap().json();
    let edges = answer["data"]["organization"]["membersWithRole"]["edges"].as_array().unwrap().clone();
    assert!(!edges.is_empty());
    for edge in edges {
        assert!(edge["node"]["databaseId"].is_u64() && edge["role"].is_string(), "every field was recorded");
        assert_eq!(edge["node"].as_object().unwrap().len(), 3, "and nothing more is sent");
    }
}

#[test]
fn a_broken_or_absent_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.har");
    std::fs::write(&path, "{}").unwrap();
    let error = har::load(&path).unwrap_err().to_string();
    assert!(error.ends_with("is no HTTP archive"), "{error}");
    assert!(har::load(&folder.path().join("b.har")).is_err());
}
