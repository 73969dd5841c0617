//! Runs once more, from their transcripts: what an auditor, a reviewer of an upgrade and an admission do with them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use porthole_model::grant::Grant;
use porthole_model::run::Outcome;
use porthole_runner::replay::offline::{Module, ReplayError, Replayed};
use porthole_runner::replay::verify::{self, RunRecord};
use porthole_runner::transcript::Transcript;
use porthole_store::runs::Run;
use porthole_tests::fake_github::{Action, FakeGithub, Fault, Hits};
use porthole_tests::world::{World, WorldBuilder, packed};
use std::path::{Path, PathBuf};

async fn fake() -> FakeGithub {
    let fake = FakeGithub::builder().org("acme").seed(7).repos(40).members(20).outside(3).teams(6);
    fake.token("ghp_0123456789abcdef").start().await.unwrap()
}

fn transcript_of(world: &World) -> PathBuf {
    world.path().join("run.transcript")
}

/// The record of a run as `--json` prints it.
fn record_of(run: &Run) -> RunRecord {
    RunRecord::parse(&serde_json::to_vec(run).unwrap()).unwrap()
}

async fn replay(world: &World, module: &[u8], file: &Path) -> Result<Replayed, ReplayError> {
    let module = Module::admit(module.to_vec()).unwrap();
    verify::replay(&world.tools(), &module, Transcript::open(file)?).await
}

/// Replays a run and demands that everything is as it was.
async fn replays(world: &World, module: &[u8], run: &Run, file: &Path) -> Replayed {
    let transcript = Transcript::open(file).unwrap();
    assert_eq!(Some(transcript.digest()), run.transcript_digest.as_deref());
    let header = transcript.header().clone();
    let again = replay(world, module, file).await.unwrap();
    let differences = record_of(run).differences(&header, &again.graph_digest, &again.transcript_digest);
    assert_eq!(differences, []);
    assert!(again.isolation.is_full(), "the same walls: {:?}", again.isolation);
    again
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_has_the_graph_and_the_transcript_of_its_run() {
    let fake = fake().await;
    let world = WorldBuilder::github(&fake).unwrap().build().await.unwrap();
    let module = packed("github").unwrap().bytes;
    let file = transcript_of(&world);
    let run = world.record(&file).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Succeeded), "{}", run.message);
    let asked = fake.stats().requests;
    let first = replays(&world, &module, &run, &file).await;
    let second = replays(&world, &module, &run, &file).await;
    assert_eq!((&first.graph_digest, &first.transcript_digest), (&second.graph_digest, &second.transcript_digest));
    assert!(first.collected.slices.iter().all(|s| s.verdict.complete));
    let created: u64 = run.counts.values().map(|c| c.created).sum();
    assert_eq!(first.objects(), created);
    assert_eq!(fake.stats().requests, asked, "nobody was asked again");
    // A run of which no file was kept has its digest all the same.
    assert!(world.run().await.unwrap().transcript_digest.unwrap().starts_with("sha256:"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_went_wrong_in_a_run_goes_wrong_in_its_replay() {
    let fake = fake().await;
    let world = WorldBuilder::github(&fake).unwrap().limits(|l| l.calls.max_attempts = 2).build().await.unwrap();
    let module = packed("github").unwrap().bytes;
    // Objects that were there before, a denial, a 403, a body that is cut.
    world.run().await.unwrap();
    world.set_grant(|g| assert!(g.operations.remove("list-team-repos"))).await.unwrap();
    let closed = fake.team_slugs()[0].clone();
    fake.fault(Fault::on(format!("/teams/{closed}/members$"), Action::status(403)).hits(Hits::Always)).unwrap();
    fake.fault(Fault::on("outside_collaborators", Action::CutBody).hits(Hits::Always)).unwrap();
    let file = transcript_of(&world);
    let run = world.record(&file).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Partial), "{}", run.message);
    let again = replays(&world, &module, &run, &file).await;
    let slices = world.slices(run.id).await.unwrap();
    assert!(slices.values().any(|s| !s.complete));
    for slice in &again.collected.slices {
        let then = &slices[&slice.key.to_string()];
        assert_eq!((slice.verdict.complete, slice.outcome), (then.complete, then.outcome.unwrap()), "{}", slice.key);
    }
}

/// Every attack that ends by itself, in one run.
#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_run_is_replayed_to_the_same_end() {
    let packed = packed("hostile").unwrap();
    let mut grant = Grant::all_of(&packed.manifest);
    let off = ["cpu-loop", "cancel-wait", "call-flood", "host-call-flood", "emit-objects-flood", "emit-bytes-flood"];
    grant.steps_off = off.iter().map(|s| s.parse().unwrap()).collect();
    let module = packed.bytes.clone();
    let builder = WorldBuilder::new(packed).endpoint("api.hostile.example", "http://127.0.0.1:1").unwrap();
    let builder = builder.secret("api", "token", "hunter2-0123").grant(grant).limits(|l| {
        l.calls.max_attempts = 1;
        l.sandbox.memory_bytes = 64 << 20;
        l.sandbox.handles = 16;
    });
    let world = builder.build().await.unwrap();
    let file = transcript_of(&world);
    let run = world.record(&file).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Partial), "{}", run.message);
    let again = replays(&world, &module, &run, &file).await;
    assert!(again.collected.slices.len() > 40);
}
