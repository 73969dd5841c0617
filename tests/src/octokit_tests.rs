//! The real GitHub's answers, served again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

use super::{package, scenario, scenarios};
use crate::raw_http::send;
use crate::recordings::Replay;

#[tokio::test]
async fn every_scenario_loads_and_its_reads_are_served() {
    let Some(package) = package() else { return };
    let names = scenarios(&package).unwrap();
    assert!(names.len() >= 20, "{names:?}");
    for name in names {
        let exchanges = scenario(&package, &name).unwrap();
        assert!(!exchanges.is_empty(), "{name}");
        let replay = Replay::of(exchanges.clone()).start().await.unwrap();
        for exchange in exchanges.iter().filter(|e| e.method == "GET" && e.origin == "https://api.github.com") {
            let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&exchange.query).finish();
            let target = format!("{}?{query}", exchange.path);
            let answer = send(replay.addr(), "GET", &target, &[], b"").await.unwrap();
            assert_eq!(answer.status, exchange.status, "{name}: {target}");
        }
        assert!(replay.misses().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn the_recorded_links_lead_through_the_replay() {
    let Some(package) = package() else { return };
    let replay = Replay::of(scenario(&package, "paginate-issues").unwrap()).start().await.unwrap();
    let mut next = Some(format!("{}/repos/octokit-fixture-org/paginate-issues/issues?per_page=3", replay.url()));
    let mut issues = 0;
    while let Some(url) = next {
        let answer = send(replay.addr(), "GET", url.strip_prefix(&replay.url()).unwrap(), &[], b"").await.unwrap();
        assert_eq!(answer.status, 200);
        issues += answer.json().as_array().unwrap().len();
        next = answer.link("next");
    }
    assert_eq!(issues, 13);
    assert_eq!(replay.served().len(), 5);
}
