//! Pages, links, addresses and names.

use super::start;
use crate::fake_github::{FakeGithub, Mutation, TEMP_CLONE_TOKEN_PREFIX};
use crate::raw_http::send;
use std::collections::BTreeSet;

#[tokio::test]
async fn pages_of_any_size_sum_to_the_same_list() {
    let github = start(FakeGithub::builder().seed(3).repos(205).members(7).teams(2)).await;
    let names = |items: Vec<serde_json::Value>| -> Vec<String> {
        items.iter().map(|i| i["name"].as_str().unwrap().to_owned()).collect()
    };
    let wanted = github.repo_names();
    assert_eq!(wanted.len(), 205);
    for query in ["", "?per_page=1000", "?per_page=100&type=all", "?per_page=41", "?page=1&per_page=7"] {
        assert_eq!(names(github.walk(&format!("/orgs/acme/repos{query}")).await), wanted, "{query}");
    }
    assert_eq!(wanted.iter().collect::<BTreeSet<_>>().len(), 205, "no name twice");
}

#[tokio::test]
async fn the_parts_of_a_filtered_list_are_the_list() {
    let github = start(FakeGithub::builder().repos(60).members(40)).await;
    let count = async |target: &str| github.walk(target).await.len();
    let repos = count("/orgs/acme/repos?type=public").await + count("/orgs/acme/repos?type=private").await;
    assert_eq!(repos, 60);
    assert_eq!(count("/orgs/acme/repos?type=forks").await + count("/orgs/acme/repos?type=sources").await, 60);
    let members = count("/orgs/acme/members?role=admin").await + count("/orgs/acme/members?role=member").await;
    assert_eq!(members, 40);
    assert!((1..40).contains(&count("/orgs/acme/members?filter=2fa_disabled").await));
}

#[tokio::test]
async fn links_lead_over_the_numeric_address() {
    let github = start(FakeGithub::builder().repos(40)).await;
    let id = github.get("/orgs/acme").await.json()["id"].as_u64().unwrap();
    let page = github.get("/orgs/acme/repos?per_page=20&type=all").await;
    let base = format!("{}/organizations/{id}/repos?per_page=20&type=all&page=2", github.url());
    assert_eq!(page.header("link"), Some(format!("<{base}>; rel=\"next\", <{base}>; rel=\"last\"").as_str()));
    let by_number = github.get(&format!("/organizations/{id}/repos?per_page=20&type=all&page=1")).await;
    assert_eq!(by_number.body, page.body);
    assert!(github.get("/orgs/acme/repos?per_page=40").await.header("link").is_none());
}

#[tokio::test]
async fn enterprise_paths_stay_enterprise_paths() {
    let github = start(FakeGithub::builder().repos(40)).await;
    let page = github.get("/api/v3/orgs/acme/repos").await;
    assert!(page.link("next").unwrap().starts_with(&format!("{}/api/v3/organizations/", github.url())));
    let url = page.json()[0]["url"].as_str().unwrap().to_owned();
    assert!(url.starts_with(&format!("{}/api/v3/repos/acme/", github.url())), "{url}");
    let body = br#"{"query": "{ organization(login: \"acme\") { login } }"}"#;
    let answer = github.ask("POST", "/api/graphql", body).await.unwrap();
    assert_eq!(answer.json()["data"]["organization"]["login"], "acme");
}

#[tokio::test]
async fn addresses_follow_the_host_that_was_asked() {
    let github = start(FakeGithub::builder().repos(40)).await;
    let authorization = format!("token {}", github.token());
    let headers = [("host", "api.github.com"), ("authorization", authorization.as_str()), ("user-agent", "tests")];
    let page = send(github.addr(), "GET", "/orgs/acme/repos", &headers, b"").await.unwrap();
    assert!(page.link("next").unwrap().starts_with("https://api.github.com/organizations/"));
    assert!(page.json()[0]["html_url"].as_str().unwrap().starts_with("https://github.com/acme/"));
    let named = start(FakeGithub::builder().repos(40).public_url("https://ghe.example")).await;
    assert!(named.get("/orgs/acme/repos").await.link("next").unwrap().starts_with("https://ghe.example/"));
}

#[tokio::test]
async fn whatever_is_not_there_is_a_404_with_the_real_body() {
    let github = start(FakeGithub::builder().repos(3).teams(2)).await;
    for path in [
        "/orgs/other",
        "/orgs/other/repos",
        "/organizations/1/repos",
        "/users/nobody",
        "/orgs/acme/teams/none/members",
        "/repos/acme/none/collaborators",
        "/repos/acme/.github/contents/README.md",
        "/app/installations",
    ] {
        let answer = github.get(path).await;
        assert_eq!((answer.status, &answer.json()["message"]), (404, &"Not Found".into()), "{path}");
    }
    assert_eq!(github.stats().unknown["/repos/acme/.github/contents/README.md"], 1);
}

#[tokio::test]
async fn one_seed_makes_one_organisation() {
    let target = "/orgs/acme/repos?per_page=100";
    let page = async |seed: u64| {
        let github = start(FakeGithub::builder().seed(seed).repos(100).public_url("https://x.example")).await;
        github.get(target).await.body
    };
    let (first, again, other) = (page(5).await, page(5).await, page(6).await);
    assert_eq!(first, again);
    assert_ne!(first, other);
    let bytes = first.len() / 100;
    assert!((3_000..8_000).contains(&bytes), "a repository has {bytes} bytes, the real ones about 5,000");
    assert!(String::from_utf8(first).unwrap().contains(TEMP_CLONE_TOKEN_PREFIX));
}

#[tokio::test]
async fn a_change_shows_in_lists_and_leaves_ids_alone() {
    let github = start(FakeGithub::builder().seed(2).repos(30).members(12).teams(6)).await;
    let before = github.expected();
    let names = github.repo_names();
    let slugs = github.team_slugs();
    let logins = github.member_logins();
    let json = serde_json::json!({
        "add_repos": 2, "remove_repos": [names[4]], "rename_repos": {&names[5]: "new-name"},
        "add_members": 1, "remove_members": [logins[3]], "rename_members": {&logins[4]: "new-login"},
        "change_roles": {&logins[5]: "admin"},
        "add_teams": 1, "rename_teams": {&slugs[1]: "New Team"}, "remove_teams": [slugs[4]],
        "team_repos": [{"team": slugs[0], "repo": names[6], "permission": "admin"},
                       {"team": slugs[0], "repo": names[7]}],
        "team_members": [{"team": slugs[0], "login": logins[6]}],
        "collaborators": [{"repo": names[8], "login": logins[0], "permission": "maintain"}],
    });
    let answer = github.ask("POST", "/_fake/mutate", json.to_string().as_bytes()).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.json());
    assert_eq!(answer.json()["repos"].as_array().unwrap().len(), 2);
    let after = github.expected();
    let (old, new) = (before.of_type("github_repo"), after.of_type("github_repo"));
    assert_eq!((old.len(), new.len()), (30, 31));
    let renamed = new.values().find(|repo| repo.name == "acme/new-name").unwrap();
    assert_eq!(old[&renamed.id].name, format!("acme/{}", names[5]));
    assert_eq!(github.get("/orgs/acme/teams/new-team").await.status, 200);
    assert_eq!(github.get(&format!("/repos/acme/{}", names[4])).await.status, 404);
    assert_eq!(github.get("/users/new-login").await.status, 200);

    // A wrong name anywhere: nothing of it happens.
    let wrong = Mutation { add_repos: 5, remove_teams: ["none"].into(), ..Mutation::default() };
    assert_eq!(github.mutate(&wrong).unwrap_err().to_string(), "the fake organisation has no team `none`");
    assert_eq!(github.expected(), after);

    let wrong = Mutation { rename_repos: [(names[6].clone(), "a\"b".to_owned())].into(), ..Mutation::default() };
    assert!(github.mutate(&wrong).is_err());

    // The short form: so many of them, and not the very first.
    let count = br#"{"add_repos": 2, "remove_repos": 1}"#;
    assert_eq!(github.ask("POST", "/_fake/mutate", count).await.unwrap().status, 200);
    assert_eq!(github.repo_names().len(), 32);
    assert_eq!(github.repo_names()[0], ".github");
}
