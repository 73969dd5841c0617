//! The oracle and the API are two ways to the same graph: here they meet.

use super::start;
use crate::fake_github::{
    Detail, Expected, ExpectedEntity, ExpectedRelationship, FakeGithub, Mutation, OrgRole, Permission, TeamRole,
};
use serde_json::{Value, json};

const MEMBERS: &str = "query Members($login: String!, $after: String) {
  organization(login: $login) {
    membersWithRole(first: 100, after: $after) {
      pageInfo { endCursor hasNextPage }
      edges { role node { id databaseId login } }
    }
  }
}";

/// Collects everything as a module would, by requests alone.
async fn walk(github: &FakeGithub, is_org: bool) -> Expected {
    let mut found = Expected::default();
    let login = github.org();
    let account = github.get(&format!("/users/{login}")).await.json();
    found.entities.insert(entity("github_account", &account, "login", false));
    let list = if is_org { format!("/orgs/{login}/repos") } else { format!("/users/{login}/repos") };
    for repo in github.walk(&format!("{list}?per_page=100")).await {
        relate(&mut found, ("github_account", &account), "OWNS", ("github_repo", &repo), Detail::None);
        found.entities.insert(entity("github_repo", &repo, "full_name", false));
        let path = format!("/repos/{}/collaborators?affiliation=direct", repo["full_name"].as_str().unwrap());
        for person in github.walk(&path).await {
            let detail = Detail::Permission(permission(&person["permissions"]));
            assert_eq!(person["role_name"], permission(&person["permissions"]).role_name());
            relate(&mut found, ("github_user", &person), "ALLOWS", ("github_repo", &repo), detail);
        }
        let outside = path.replace("direct", "outside");
        for person in github.walk(&outside).await {
            found.entities.insert(entity("github_user", &person, "login", true));
        }
    }
    if is_org {
        walk_members(github, &account, &mut found).await;
        walk_teams(github, &account, &mut found).await;
    }
    found
}

async fn walk_members(github: &FakeGithub, account: &Value, found: &mut Expected) {
    let mut after = Value::Null;
    loop {
        let data = github.graphql(MEMBERS, json!({"login": github.org(), "after": after})).await;
        let list = &data["data"]["organization"]["membersWithRole"];
        for edge in list["edges"].as_array().unwrap() {
            let node = &edge["node"];
            let user = json!({"id": node["databaseId"], "node_id": node["id"], "login": node["login"]});
            let role = if edge["role"] == "ADMIN" { OrgRole::Admin } else { OrgRole::Member };
            found.entities.insert(entity("github_user", &user, "login", false));
            relate(found, ("github_account", account), "HAS", ("github_user", &user), Detail::OrgRole(role));
        }
        if list["pageInfo"]["hasNextPage"] != true {
            break;
        }
        after = list["pageInfo"]["endCursor"].clone();
    }
}

async fn walk_teams(github: &FakeGithub, account: &Value, found: &mut Expected) {
    for team in github.walk(&format!("/orgs/{}/teams", github.org())).await {
        found.entities.insert(entity("github_team", &team, "slug", false));
        relate(found, ("github_account", account), "HAS", ("github_team", &team), Detail::None);
        let base = format!("/orgs/{}/teams/{}", github.org(), team["slug"].as_str().unwrap());
        for (name, role) in [("member", TeamRole::Member), ("maintainer", TeamRole::Maintainer)] {
            for user in github.walk(&format!("{base}/members?role={name}&per_page=100")).await {
                relate(found, ("github_team", &team), "HAS", ("github_user", &user), Detail::TeamRole(role));
            }
        }
        for repo in github.walk(&format!("{base}/repos?per_page=100")).await {
            let detail = Detail::Permission(permission(&repo["permissions"]));
            relate(found, ("github_team", &team), "ALLOWS", ("github_repo", &repo), detail);
        }
    }
}

fn entity(entity_type: &'static str, value: &Value, name: &str, outside: bool) -> ExpectedEntity {
    ExpectedEntity {
        entity_type,
        id: value["id"].as_u64().unwrap(),
        node_id: value["node_id"].as_str().unwrap().to_owned(),
        name: value[name].as_str().unwrap().to_owned(),
        outside,
    }
}

fn relate(
    found: &mut Expected,
    from: (&'static str, &Value),
    verb: &'static str,
    to: (&'static str, &Value),
    detail: Detail,
) {
    let new = found.relationships.insert(ExpectedRelationship {
        from_type: from.0,
        from_id: from.1["id"].as_u64().unwrap(),
        verb,
        to_type: to.0,
        to_id: to.1["id"].as_u64().unwrap(),
        detail,
    });
    assert!(new, "listed twice: {} {verb} {}", from.1["id"], to.1["id"]);
}

fn permission(flags: &Value) -> Permission {
    Permission::ALL.into_iter().rev().find(|p| flags[p.as_str()] == true).unwrap()
}

fn assert_same(found: &Expected, wanted: &Expected) {
    let missing: Vec<_> = wanted.entities.difference(&found.entities).collect();
    let extra: Vec<_> = found.entities.difference(&wanted.entities).collect();
    assert!(missing.is_empty() && extra.is_empty(), "missing {missing:?}, extra {extra:?}");
    let missing: Vec<_> = wanted.relationships.difference(&found.relationships).collect();
    let extra: Vec<_> = found.relationships.difference(&wanted.relationships).collect();
    assert!(missing.is_empty() && extra.is_empty(), "missing {missing:?}, extra {extra:?}");
}

#[tokio::test]
async fn walking_the_api_finds_what_the_oracle_says() {
    for seed in 1..4 {
        let github = start(FakeGithub::builder().seed(seed).repos(140).members(130).teams(16)).await;
        let wanted = github.expected();
        assert_same(&walk(&github, true).await, &wanted);
        let counts = wanted.entity_counts();
        assert_eq!((counts["github_repo"], counts["github_team"], counts["github_account"]), (140, 16, 1));
        assert_eq!(wanted.of_type("github_user").values().filter(|user| !user.outside).count(), 130);
        assert_eq!(wanted.relationship_counts().len(), 6, "every kind of relationship occurs");
        assert_eq!(github.stats().writes().count(), 0);
    }
}

#[tokio::test]
async fn a_changed_organisation_is_what_the_oracle_says() {
    let github = start(FakeGithub::builder().seed(9).repos(40).members(30).teams(10)).await;
    let (repos, members, teams) = (github.repo_names(), github.member_logins(), github.team_slugs());
    let mutation = Mutation {
        add_repos: 3,
        add_members: 2,
        add_teams: 6,
        remove_repos: [repos[1].as_str(), repos[39].as_str()].into(),
        remove_members: [members[2].as_str(), members[29].as_str()].into(),
        // The third has a child, which goes with it.
        remove_teams: [teams[2].as_str()].into(),
        ..Mutation::default()
    };
    github.mutate(&mutation).unwrap();
    let wanted = github.expected();
    assert_same(&walk(&github, true).await, &wanted);
    let counts = wanted.entity_counts();
    assert_eq!((counts["github_repo"], counts["github_team"]), (41, 14));
}

#[tokio::test]
async fn a_persons_account_has_repositories_alone() {
    let github = start(FakeGithub::builder().org("octo").user_account().repos(35).members(9).outside(5)).await;
    assert_same(&walk(&github, false).await, &github.expected());
    assert_eq!(github.get("/users/octo").await.json()["type"], "User");
    assert_eq!(github.get("/orgs/octo").await.status, 404);
}

#[tokio::test]
async fn a_large_organisation_costs_little_to_start_and_to_page() {
    let github = start(FakeGithub::builder().repos(20_000).members(5_000).teams(500)).await;
    let last = github.get("/orgs/acme/repos?per_page=100&page=200").await;
    assert_eq!(last.json().as_array().unwrap().len(), 100);
    assert!(last.link("next").is_none());
    assert_eq!(github.walk("/orgs/acme/teams?per_page=100").await.len(), 500);
    let everyone = github.team_slugs()[0].clone();
    assert_eq!(github.walk(&format!("/orgs/acme/teams/{everyone}/members?per_page=100")).await.len(), 5_000);
}
