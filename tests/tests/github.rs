//! The main job, end to end: the GitHub module in the production sandbox against a fake GitHub, into Postgres.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

use porthole_model::rule::Rule;
use porthole_model::run::{Fault as WhoseFault, Outcome, RunState};
use porthole_tests::fake_github::{Action, FakeGithub, Fault, Hits, Mutation, Which};
use porthole_tests::world::{WorldBuilder, expected_facts};
use std::collections::BTreeSet;

async fn fake() -> FakeGithub {
    FakeGithub::builder()
        .org("acme")
        .seed(7)
        .repos(40)
        .members(20)
        .outside(3)
        .teams(6)
        .token("ghp_0123456789abcdef")
        .start()
        .await
        .unwrap()
}

/// Facts on one side and not on the other, readable when a test fails.
fn difference(found: &BTreeSet<String>, expected: &BTreeSet<String>) -> Vec<String> {
    let extra = found.difference(expected).map(|f| format!("extra:   {f}"));
    let missing = expected.difference(found).map(|f| format!("missing: {f}"));
    extra.chain(missing).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_becomes_exactly_its_graph() {
    let fake = fake().await;
    let world = WorldBuilder::github(&fake).unwrap().build().await.unwrap();
    let run = world.run().await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Succeeded), "{}", run.message);
    let found = world.facts().await.unwrap();
    assert_eq!(difference(&found, &expected_facts(&fake.expected())), Vec::<String>::new());
    assert!(world.slices(run.id).await.unwrap().values().all(|s| s.complete));
    // The provider saw reads: the one POST that isn't a read would stand here.
    let stats = fake.stats();
    assert_eq!(stats.writes().collect::<Vec<_>>(), Vec::<&porthole_tests::fake_github::NonGet>::new());
    // Every call was recorded and completed, and says what was decided.
    let calls = world.calls(run.id).await.unwrap();
    assert!(calls.len() > 20 && calls.iter().all(|c| c.decision == "allowed" && c.completed_at.is_some()));
    // Full isolation, in the record.
    let isolation: serde_json::Value = run.isolation.unwrap();
    assert_eq!((&isolation["seccomp"], &isolation["no_new_privs"]), (&true.into(), &true.into()));
    assert!(run.exceptions.unwrap().to_string().contains("127.0.0.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_on_unchanged_data_writes_no_row() {
    let fake = fake().await;
    let world = WorldBuilder::github(&fake).unwrap().build().await.unwrap();
    let first = world.run().await.unwrap();
    let before = world.graph().await.unwrap();
    let second = world.run().await.unwrap();
    assert_eq!(second.outcome, Some(Outcome::Succeeded), "{}", second.message);
    assert_eq!(first.graph_digest, second.graph_digest);
    for (name, counts) in &second.counts {
        assert_eq!((counts.created, counts.updated, counts.deleted), (0, 0, 0), "{name}");
        assert_eq!(counts.unchanged, first.counts[name].created, "{name}");
    }
    // Not one row was rewritten: each still carries the first run and its time.
    let after = world.graph().await.unwrap();
    assert!(after.values().all(|d| d.entity.run == first.id));
    let times = |g: &std::collections::BTreeMap<_, porthole_store::graph::EntityDetail>| {
        g.values().map(|d| d.entity.updated_at).collect::<Vec<_>>()
    };
    assert_eq!(times(&before), times(&after));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_organisation_changes_the_graph_changes() {
    let fake = fake().await;
    let world = WorldBuilder::github(&fake).unwrap().build().await.unwrap();
    world.run().await.unwrap();
    let mutation = Mutation { add_repos: 2, remove_repos: Which::Count(1), add_members: 1, ..Mutation::default() };
    fake.mutate(&mutation).unwrap();
    let run = world.run().await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Succeeded), "{}", run.message);
    let repos = run.counts["github_repo"];
    assert_eq!((repos.created, repos.deleted), (2, 1));
    let found = world.facts().await.unwrap();
    assert_eq!(difference(&found, &expected_facts(&fake.expected())), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_403_on_one_team_leaves_its_slice_and_sweeps_the_rest() {
    let fake = fake().await;
    let world = WorldBuilder::github(&fake).unwrap().build().await.unwrap();
    world.run().await.unwrap();
    let teams = fake.team_slugs();
    let (closed, shrunk) = (&teams[0], &teams[1]);
    let before = world.facts().await.unwrap();
    let members_of = |facts: &BTreeSet<String>, id: u64| {
        facts.iter().filter(|f| f.starts_with(&format!("github:team:{id} HAS "))).count()
    };
    let id = |slug: &str| {
        fake.expected().entities.iter().find(|e| e.entity_type == "github_team" && e.name == slug).unwrap().id
    };
    let (closed_id, shrunk_id) = (id(closed), id(shrunk));
    let had = members_of(&before, closed_id);
    assert!(had > 0);
    // Both teams lose a member; one of them can't be read any more.
    for (slug, team_id) in [(closed, closed_id), (shrunk, shrunk_id)] {
        let member =
            before.iter().find_map(|f| f.strip_prefix(&format!("github:team:{team_id} HAS github:user:"))).unwrap();
        let expected = fake.expected();
        let login = expected.of_type("github_user")[&member.parse().unwrap()].name.clone();
        let leave = porthole_tests::fake_github::TeamMember { team: slug.clone(), login, role: None };
        fake.mutate(&Mutation { team_members: vec![leave], ..Mutation::default() }).unwrap();
    }
    fake.fault(Fault::on(format!("/teams/{closed}/members$"), Action::status(403)).hits(Hits::Always)).unwrap();
    let run = world.run().await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Partial));
    assert_eq!(run.fault, Some(WhoseFault::Tenant));
    let slices = world.slices(run.id).await.unwrap();
    let incomplete: Vec<_> = slices.iter().filter(|(_, s)| !s.complete).map(|(name, _)| name.clone()).collect();
    assert_eq!(incomplete, [format!("team-members/{closed}")]);
    assert!(run.message.contains("Members"), "the message names the missing permission: {}", run.message);
    let after = world.facts().await.unwrap();
    assert_eq!(members_of(&after, closed_id), had, "nothing of the closed team is deleted");
    assert_eq!(members_of(&after, shrunk_id), members_of(&before, shrunk_id) - 1, "the other team is swept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_is_gone_takes_its_slices_with_it() {
    let fake = fake().await;
    let world = WorldBuilder::github(&fake).unwrap().build().await.unwrap();
    world.run().await.unwrap();
    fake.mutate(&Mutation { remove_teams: Which::Count(1), ..Mutation::default() }).unwrap();
    let run = world.run().await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Succeeded), "{}", run.message);
    let found = world.facts().await.unwrap();
    assert_eq!(difference(&found, &expected_facts(&fake.expected())), Vec::<String>::new());
    assert!(run.counts["github_team_has_github_user"].deleted > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_was_not_granted_is_denied_and_deletes_nothing() {
    let fake = fake().await;
    let world = WorldBuilder::github(&fake).unwrap().build().await.unwrap();
    world.run().await.unwrap();
    let before = world.facts().await.unwrap();
    world.set_grant(|g| assert!(g.operations.remove("list-team-members"))).await.unwrap();
    let run = world.run().await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Partial));
    let denials = world.denials(run.id).await.unwrap();
    assert_eq!(denials.len(), 1, "{denials:?}");
    assert_eq!(denials[0].layer.as_deref(), Some("granted"));
    assert_eq!(denials[0].remedy, "porthole grant set it --allow list-team-members");
    assert_eq!(world.facts().await.unwrap(), before);
    assert!(world.slices(run.id).await.unwrap()["repos"].complete, "the run went on");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_argument_outside_the_grants_limit_is_denied() {
    let fake = fake().await;
    let team = fake.team_slugs()[0].clone();
    let world = WorldBuilder::github(&fake).unwrap().build().await.unwrap();
    world.set_grant(|g| drop(g.limits.insert("team".to_owned(), vec![Rule::Fixed(team.clone())]))).await.unwrap();
    let run = world.run().await.unwrap();
    let denials = world.denials(run.id).await.unwrap();
    assert!(!denials.is_empty() && denials.iter().all(|d| d.layer.as_deref() == Some("granted")), "{denials:?}");
    let slices = world.slices(run.id).await.unwrap();
    assert!(slices[&format!("team-members/{team}")].complete, "within the limit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_shows_the_diff_and_commits_nothing() {
    let fake = fake().await;
    let world = WorldBuilder::github(&fake).unwrap().build().await.unwrap();
    let plan = world.plan().await.unwrap();
    assert_eq!(plan.state, RunState::Finished);
    assert_eq!(plan.counts["github_repo"].created, 40);
    assert!(world.facts().await.unwrap().is_empty());
    let run = world.run().await.unwrap();
    assert_eq!(run.counts["github_repo"].created, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusual_deletion_is_held_until_a_person_confirms() {
    let fake = FakeGithub::builder()
        .org("acme")
        .seed(3)
        .repos(120)
        .members(5)
        .teams(1)
        .token("ghp_0123456789abcdef")
        .start()
        .await
        .unwrap();
    let world = WorldBuilder::github(&fake).unwrap().build().await.unwrap();
    world.run().await.unwrap();
    let before = world.facts().await.unwrap();
    fake.mutate(&Mutation { remove_repos: Which::Count(100), ..Mutation::default() }).unwrap();
    let run = world.run().await.unwrap();
    assert_eq!(run.state, RunState::Held, "{}", run.message);
    assert!(run.message.contains("100 of 120 github_repo"), "{}", run.message);
    assert_eq!(world.facts().await.unwrap(), before, "nothing is deleted while it is held");
    let mut tx = world.store().tenant(world.tenant).await.unwrap();
    porthole_store::runs::confirm(&porthole_tests::world::op(), &mut tx, run.id).await.unwrap();
    tx.commit().await.unwrap();
    let run = world.work_on(run.id).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Succeeded), "{}", run.message);
    let found = world.facts().await.unwrap();
    assert_eq!(difference(&found, &expected_facts(&fake.expected())), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_credential_nothing_is_sent() {
    let fake = fake().await;
    let world = WorldBuilder::github(&fake).unwrap().without_secrets().build().await.unwrap();
    let run = world.run().await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Failed));
    assert_eq!(fake.stats().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_fails_the_run_and_deletes_nothing() {
    let fake = fake().await;
    let world =
        WorldBuilder::github(&fake).unwrap().secret("api", "pat", "ghp_wrong_wrong_wrong").build().await.unwrap();
    let run = world.run().await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Failed));
    assert!(run.message.contains("401"), "{}", run.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_bodies_loops_and_nonsense_leave_the_slice_incomplete() {
    let fake = fake().await;
    let world = WorldBuilder::github(&fake).unwrap().limits(|l| l.calls.max_attempts = 2).build().await.unwrap();
    world.run().await.unwrap();
    let before = world.facts().await.unwrap();
    let actions = [Action::CutBody, Action::SelfNext, Action::MalformedJson];
    for action in actions {
        fake.clear_faults();
        let shown = format!("{action:?}");
        fake.fault(Fault::on("/orgs(anizations)?/[^/]+/repos", action).hits(Hits::Always)).unwrap();
        let run = world.run().await.unwrap();
        let slices = world.slices(run.id).await.unwrap();
        assert!(!slices["repos"].complete, "{shown}: {}", run.message);
        assert_eq!(difference(&world.facts().await.unwrap(), &before), Vec::<String>::new(), "{shown}");
        // What builds on the repositories is in doubt with them.
        assert!(slices.iter().filter(|(name, _)| name.starts_with("collaborators/")).all(|(_, s)| !s.complete));
    }
}
