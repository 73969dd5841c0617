//! GraphQL: any query over what is there, and the real server's errors for the rest.

use super::start;
use crate::fake_github::FakeGithub;
use serde_json::json;

#[tokio::test]
async fn aliases_fragments_and_nested_lists_are_answered() {
    let github = start(FakeGithub::builder().members(12).teams(4).repos(9)).await;
    let query = "
        query Q($org: String!) {
          rateLimit { limit remaining cost }
          o: organization(login: $org) { ...O membersWithRole(first: 5) { totalCount nodes { login } } }
        }
        fragment O on Organization {
          __typename databaseId
          teams(first: 2) { edges { node { slug members(first: 3) { totalCount edges { role node { ... on User { login } ... on Team { slug } } } } } } }
        }";
    let data = github.graphql(query, json!({"org": "ACME"})).await;
    assert!(data.get("errors").is_none(), "{data}");
    let organization = &data["data"]["o"];
    assert_eq!(organization["__typename"], "Organization");
    assert_eq!(organization["membersWithRole"]["totalCount"], 12);
    assert_eq!(organization["membersWithRole"]["nodes"].as_array().unwrap().len(), 5);
    let team = &organization["teams"]["edges"][0]["node"];
    assert_eq!((&team["slug"], &team["members"]["totalCount"]), (&json!("everyone-0"), &json!(12)));
    let node = &team["members"]["edges"][0]["node"];
    assert!(node.get("login").is_some() && node.get("slug").is_none(), "{node}");
}

#[tokio::test]
async fn what_the_real_server_refuses_is_refused() {
    let github = start(FakeGithub::builder()).await;
    for (query, message) in [
        ("{ organization(login: \"acme\") { membersWithRole { nodes { id } } } }", "You must provide a `first`"),
        (
            "{ organization(login: \"acme\") { membersWithRole(first: 101) { nodes { id } } } }",
            "exceeds the `first` limit",
        ),
        (
            "{ organization(login: \"acme\") { membersWithRole(first: 1, after: \"x\") { nodes { id } } } }",
            "valid cursor",
        ),
        ("{ organization(login: \"acme\") { colour } }", "Field 'colour' doesn't exist on type 'Organization'"),
        ("{ organization(login: \"acme\") }", "must have selections"),
        ("{ organization(login: \"none\") { id } }", "Could not resolve to an Organization with the login of 'none'."),
        ("query($a: String!) { organization(login: $a) { id } }", "Variable $a of type String!"),
        ("mutation { deleteRepository(input: {}) { clientMutationId } }", "queries only"),
        ("{", "Parse error"),
    ] {
        let answer = github.graphql(query, json!({})).await;
        let shown = answer["errors"][0]["message"].as_str().unwrap_or_default();
        assert!(shown.contains(message), "{query}: {answer}");
    }
    let stats = github.stats();
    let writes: Vec<_> = stats.writes().filter(|w| w.graphql.is_some()).collect();
    assert_eq!(writes.len(), 1, "the mutation is recorded as what it is");
    assert_eq!(writes[0].graphql.as_deref(), Some("mutation"));
}
