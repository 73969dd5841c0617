//! Every fault does what it says, and nothing else changes.

use super::start;
use crate::fake_github::{Action, FakeGithub, Fault, Hits, RetryAfter};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::io::Read as _;
use std::time::{Duration, Instant};

const REPOS: &str = "/orgs/acme/repos?per_page=20";

async fn fake(action: Action) -> FakeGithub {
    let github = start(FakeGithub::builder().repos(50)).await;
    github.fault(Fault::on("^/orgs/acme/repos$", action)).unwrap();
    github
}

#[tokio::test]
async fn errors_have_the_bodies_of_the_real_api() {
    let retry = Some(RetryAfter::Seconds(7));
    for (action, status, message) in [
        (Action::NotFound, 404, "Not Found"),
        (Action::ForbiddenIntegration, 403, "Resource not accessible by integration"),
        (Action::MustHaveAdmin, 403, "Must have admin rights to Repository."),
        (Action::SecondaryLimit { retry_after: retry }, 403, "You have exceeded a secondary rate limit."),
        (Action::TooManyRequests { retry_after: retry }, 429, "Too Many Requests"),
        (Action::status(500), 500, "Server Error"),
    ] {
        let answer = fake(action.clone()).await.get(REPOS).await;
        assert_eq!(answer.status, status);
        assert!(answer.json()["message"].as_str().unwrap().starts_with(message), "{}", answer.json());
        if let Action::SecondaryLimit { .. } | Action::TooManyRequests { .. } = action {
            assert_eq!(answer.header("retry-after"), Some("7"));
            assert_ne!(answer.header("x-ratelimit-remaining"), Some("0"), "this isn't the primary limit");
        }
    }
    let silent = fake(Action::SecondaryLimit { retry_after: None }).await.get(REPOS).await;
    assert!(silent.header("retry-after").is_none());
    let date = fake(Action::TooManyRequests { retry_after: Some(RetryAfter::Date(60)) }).await.get(REPOS).await;
    assert!(httpdate::parse_http_date(date.header("retry-after").unwrap()).is_ok());
    let page = fake(Action::status(503)).await.get(REPOS).await;
    assert_eq!(page.header("content-type"), Some("text/html"));
}

#[tokio::test]
async fn a_rule_for_one_page_leaves_the_others_alone() {
    let github = start(FakeGithub::builder().repos(50)).await;
    github
        .fault(Fault::on("^/orgs/acme/repos$", Action::status(502)).page(2).hits(Hits::First(1)).named("gateway"))
        .unwrap();
    let first = github.get(REPOS).await;
    let second = first.link("next").unwrap().replace(&github.url(), "");
    assert_eq!(github.get(&second).await.status, 502, "over the numeric address");
    assert_eq!(github.get(&second).await.status, 200, "once only");
    assert_eq!(github.stats().faults["gateway"], 1);
    github.clear_faults();
    assert!(github.stats().faults.is_empty());
}

#[tokio::test]
async fn connections_end_where_they_should() {
    let github = fake(Action::Close).await;
    assert!(github.ask("GET", REPOS, b"").await.is_none());
    assert_eq!(github.get("/orgs/acme").await.status, 200, "other paths are well");
    assert_eq!(github.stats().statuses[&0], 1);

    let whole = start(FakeGithub::builder().repos(50)).await.get(REPOS).await;
    let half = fake(Action::CutBody).await.get(REPOS).await;
    assert_eq!(half.status, 200);
    assert!(half.cut && !half.body.is_empty() && half.body.len() < whole.body.len());
}

#[tokio::test]
async fn links_lead_nowhere_good() {
    let github = fake(Action::EndlessNext).await;
    let far = github.get("/orgs/acme/repos?per_page=20&page=9999").await;
    assert!(far.link("next").unwrap().ends_with("per_page=20&page=10000"));
    let itself = fake(Action::SelfNext).await.get("/orgs/acme/repos?per_page=20&page=2").await;
    assert!(itself.link("next").unwrap().ends_with("/repos?per_page=20&page=2"));
    let foreign = fake(Action::ForeignNext { url: "https://evil.example/".to_owned() }).await.get(REPOS).await;
    assert_eq!(foreign.link("next").as_deref(), Some("https://evil.example/"));
    let moved = Action::Redirect { location: "http://169.254.169.254/".to_owned(), status: 307 };
    let moved = fake(moved).await.get(REPOS).await;
    assert_eq!((moved.status, moved.header("location")), (307, Some("http://169.254.169.254/")));
}

#[tokio::test]
async fn bodies_are_wrong_in_the_way_that_was_asked_for() {
    let broken = fake(Action::MalformedJson).await.get(REPOS).await;
    assert!(broken.status == 200 && serde_json::from_slice::<serde_json::Value>(&broken.body).is_err());

    let large = fake(Action::Oversized { bytes: 3_000_000 }).await.get(REPOS).await;
    assert_eq!(large.body.len(), 3_000_000);
    assert!(large.json().is_array());

    let bomb = fake(Action::GzipBomb { bytes: 20_000_000 }).await.get(REPOS).await;
    assert_eq!(bomb.header("content-encoding"), Some("gzip"));
    assert!(bomb.body.len() < 200_000, "{} bytes", bomb.body.len());
    let mut blown = Vec::new();
    flate2::read::GzDecoder::new(bomb.body.as_slice()).read_to_end(&mut blown).unwrap();
    assert_eq!(blown.len(), 20_000_002);
}

#[tokio::test]
async fn a_reflected_secret_comes_back_in_every_disguise() {
    let github = fake(Action::ReflectAuthorization { status: 200 }).await;
    let text = String::from_utf8(github.get(REPOS).await.body).unwrap();
    let token = github.token();
    for disguise in [token.to_owned(), BASE64_STANDARD.encode(token), hex::encode(token)] {
        assert!(text.contains(&disguise), "{disguise} in {text}");
    }
}

#[tokio::test]
async fn a_spent_budget_comes_back_at_its_reset() {
    let github = start(FakeGithub::builder()).await;
    github.fault(Fault::on("repos", Action::RateLimitExhausted { reset_seconds: 1 }).hits(Hits::Nth(1))).unwrap();
    let spent = github.get(REPOS).await;
    assert_eq!((spent.status, spent.header("x-ratelimit-remaining")), (403, Some("0")));
    assert_eq!(github.get("/orgs/acme").await.status, 403, "for every path");
    let reset: i64 = spent.header("x-ratelimit-reset").unwrap().parse().unwrap();
    assert!((0..=2).contains(&(reset - jiff::Timestamp::now().as_second())));
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(github.get(REPOS).await.status, 200);
}

#[tokio::test]
async fn a_delay_is_only_late() {
    let github = fake(Action::Delay { millis: 120 }).await;
    github.fault(Fault::on("repos", Action::NotFound)).unwrap();
    let before = Instant::now();
    assert_eq!(github.get(REPOS).await.status, 404, "a delay goes with another fault");
    assert!(before.elapsed() >= Duration::from_millis(120));
}

#[tokio::test]
async fn faults_and_numbers_go_over_http_as_well() {
    let github = start(FakeGithub::builder().members(3)).await;
    let rules = br#"[{"path": "/teams/[^/]+/members", "nth": 1, "status": 403, "body": "{\"message\":\"Resource not accessible by integration\"}"},
                     {"operation": "Members", "page": 1, "action": {"kind": "delay", "millis": 1}}]"#;
    assert_eq!(github.ask("POST", "/_fake/faults", rules).await.unwrap().json()["added"], 2);
    let slug = github.team_slugs()[0].clone();
    let refused = github.get(&format!("/orgs/acme/teams/{slug}/members")).await;
    assert_eq!((refused.status, &refused.json()["message"]), (403, &"Resource not accessible by integration".into()));
    github.graphql("query Members { viewer { login } }", serde_json::json!({})).await;
    let stats = github.get("/_fake/stats").await.json();
    assert_eq!((&stats["faults"]["status"], &stats["faults"]["delay"]), (&1.into(), &1.into()));
    assert_eq!(stats["routes"]["GET /orgs/{org}/teams/{slug}/members"], 1);
    assert_eq!(stats["requests"], 2, "what is asked of the fake itself doesn't count");
    let wrong = github.ask("POST", "/_fake/faults", br#"{"path": "(", "status": 1}"#).await.unwrap();
    assert_eq!(wrong.status, 422);
    assert_eq!(github.ask("DELETE", "/_fake/faults", b"").await.unwrap().status, 204);
    assert_eq!(github.get(&format!("/orgs/acme/teams/{slug}/members")).await.status, 200);
    assert_eq!(github.get("/_fake/counts").await.json()["entities"]["github_team"], 3);
}

#[tokio::test]
async fn many_at_once_are_counted_and_capped() {
    let github = start(FakeGithub::builder().latency(Duration::from_millis(80)).concurrency_max(4)).await;
    let answers = futures_util::future::join_all((0..10).map(|_| github.get("/orgs/acme"))).await;
    assert!(github.stats().peak_concurrency >= 5);
    let limited: Vec<_> = answers.iter().filter(|a| a.status == 403).collect();
    assert!(!limited.is_empty() && limited.iter().all(|a| a.header("retry-after") == Some("1")));
}
