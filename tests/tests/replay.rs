//! Runs once more, from their transcripts: what an auditor, a reviewer of an upgrade and an admission do with them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use axum::Router;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use porthole_model::grant::Grant;
use porthole_model::grant_proposal::propose;
use porthole_model::run::Outcome;
use porthole_runner::replay::admission;
use porthole_runner::replay::compare::{Comparison, compare};
use porthole_runner::replay::offline::{Module, ReplayError, Replayed};
use porthole_runner::replay::smoke::{Evidence, smoke};
use porthole_runner::replay::verify::{self, RunRecord};
use porthole_runner::transcript::Transcript;
use porthole_store::runs::Run;
use porthole_tests::fake_github::{Action, FakeGithub, Fault, Hits};
use porthole_tests::world::{World, WorldBuilder, packed, packed_with};
use ring::digest::{SHA256, digest};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
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
    // Those that go on until they are stopped take their time.
    let off = ["cpu-loop", "cancel-wait", "call-flood", "denied-flood", "host-call-flood", "emit-bytes-flood"];
    grant.steps_off = off.iter().chain(&["emit-objects-flood"]).map(|s| s.parse().unwrap()).collect();
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

// -- What a transcript is, seen from outside: gzip, JSON Lines, SHA-256, and nothing of ours.

/// The lines of a transcript.
fn unpack(file: &Path) -> Vec<Value> {
    let mut text = String::new();
    MultiGzDecoder::new(std::fs::File::open(file).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Writes lines as a transcript whose hashes all agree, as a forger would.
fn forge(file: &Path, mut lines: Vec<Value>) {
    let sha256 = |bytes: &[u8]| hex::encode(digest(&SHA256, bytes));
    let of = |line: &Value, kind: &str| -> Option<(String, String, String)> {
        let part = |name: &str| line[kind][name].as_str().unwrap().to_owned();
        line.get(kind).map(|_| (part("step"), part("partition"), part("task")))
    };
    let text = |line: &Value| format!("{line}\n");
    let (mut heard, mut tasks, mut calls) = (BTreeMap::new(), BTreeMap::new(), 0);
    // Each body's hash into its call's line.
    for at in 1..lines.len() {
        let Some(body) = lines[at]["body"]["text"].as_str().map(str::to_owned) else { continue };
        let hash = serde_json::json!({ "bytes": body.len(), "sha256": sha256(body.as_bytes()) });
        lines[at - 1]["call"]["answer"]["response"]["body"] = hash;
    }
    for line in &mut lines {
        if let Some(task) = of(line, "call") {
            let (all, n) = heard.entry(task).or_insert((String::new(), 0));
            (*all, *n, calls) = (format!("{all}{}", text(line)), *n + 1, calls + 1);
        } else if let Some(task) = of(line, "task") {
            let (all, n) = heard.remove(&task).unwrap_or_default();
            (line["task"]["calls"], line["task"]["sha256"]) = (n.into(), sha256(all.as_bytes()).into());
            tasks.insert(task, text(line));
        } else if line.get("end").is_some() {
            // The order of the tasks is that of step, partition and what the task was; `partitions` before `run`.
            (line["end"]["tasks"], line["end"]["calls"]) = (tasks.len().into(), calls.into());
        }
    }
    let all: String = text(&lines[0]) + &tasks.values().cloned().collect::<String>();
    lines.last_mut().unwrap()["end"]["digest"] = format!("sha256:{}", sha256(all.as_bytes())).into();
    let mut out = Vec::new();
    for line in &lines {
        let mut member = GzEncoder::new(&mut out, flate2::Compression::fast());
        member.write_all(text(line).as_bytes()).unwrap();
        member.finish().unwrap();
    }
    std::fs::write(file, out).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_transcript_is_found_and_a_forged_one_is_not_the_runs() {
    let fake = FakeGithub::builder().org("acme").seed(5).repos(3).members(2).teams(1);
    let fake = fake.token("ghp_0123456789abcdef").start().await.unwrap();
    let world = WorldBuilder::github(&fake).unwrap().build().await.unwrap();
    let module = packed("github").unwrap().bytes;
    let file = transcript_of(&world);
    let run = world.record(&file).await.unwrap();
    let lines = unpack(&file);
    let at = lines.iter().position(|l| l["call"]["call"]["begin"]["operation"] == "list-org-repos").unwrap();
    // A repository that is said to be private.
    let mut edited = lines.clone();
    let body = edited[at + 1]["body"]["text"].as_str().unwrap().to_owned();
    let mut repos: Vec<Value> = serde_json::from_str(&body).unwrap();
    let private = !repos[0]["private"].as_bool().unwrap();
    (repos[0]["private"], repos[0]["description"]) = (private.into(), "forged".into());
    edited[at + 1]["body"]["text"] = serde_json::to_string(&repos).unwrap().into();
    let path = world.path().join("edited");
    let mut out = Vec::new();
    for line in &edited {
        let mut member = GzEncoder::new(&mut out, flate2::Compression::fast());
        member.write_all(format!("{line}\n").as_bytes()).unwrap();
        member.finish().unwrap();
    }
    std::fs::write(&path, out).unwrap();
    assert!(Transcript::open(&path).unwrap_err().to_string().contains("edited"));
    // With every hash made anew it agrees with itself and replays, and the run's record says that it isn't the run's.
    forge(&path, edited);
    let forged = replay(&world, &module, &path).await.unwrap();
    let header = Transcript::open(&path).unwrap().header().clone();
    let found = record_of(&run).differences(&header, &forged.graph_digest, &forged.transcript_digest);
    assert_eq!(found.iter().map(|d| d.what).collect::<Vec<_>>(), ["graph digest", "transcript digest"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_module_than_the_one_that_ran_is_refused() {
    let world = hostile(&["vary-objects"]).await;
    let file = transcript_of(&world);
    world.record(&file).await.unwrap();
    let mut manifest = packed("hostile").unwrap().manifest;
    manifest.module.version = "0.1.1".to_owned();
    let other = packed_with("hostile", &manifest).unwrap();
    let refused = replay(&world, &other.bytes, &file).await.err().unwrap();
    assert!(matches!(&refused, ReplayError::WrongModule { file, .. } if *file == other.digest), "{refused}");
}

/// The hostile module against a provider that says yes, with these steps on.
async fn hostile(steps: &[&str]) -> World {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(|| async { "{}" })).await });
    let packed = packed("hostile").unwrap();
    let mut grant = Grant::all_of(&packed.manifest);
    let off = packed.manifest.steps.iter().filter(|s| !steps.contains(&s.id.as_str()));
    grant.steps_off = off.map(|s| s.id.clone()).collect();
    let builder = WorldBuilder::new(packed).endpoint("api.hostile.example", &url).unwrap();
    builder.secret("api", "token", "hunter2-0123").grant(grant).build().await.unwrap()
}

/// Edits a recorded transcript, forges its hashes, and replays it.
async fn forged(world: &World, module: &[u8], lines: &[Value], edit: impl FnOnce(&mut Vec<Value>)) -> String {
    let mut lines = lines.to_vec();
    edit(&mut lines);
    let path = world.path().join("forged");
    forge(&path, lines);
    replay(world, module, &path).await.err().expect("a difference").to_string()
}

fn later(lines: &mut [Value], ms: u64) {
    let at = &mut lines[0]["begin"]["started-at-ms"];
    *at = (at.as_u64().unwrap() + ms).into();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_does_something_else_is_caught_at_the_call() {
    let module = packed("hostile").unwrap().bytes;
    let world = hostile(&["vary-calls"]).await;
    let file = transcript_of(&world);
    let run = world.record(&file).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Succeeded), "{}", run.message);
    replays(&world, &module, &run, &file).await;
    let lines = unpack(&file);
    let calls: Vec<usize> = (0..lines.len()).filter(|n| lines[*n].get("call").is_some()).collect();

    // Another start, so another argument.
    let said = forged(&world, &module, &lines, |l| later(l, 1)).await;
    assert!(said.starts_with("vary-calls, call 2: the module asks for `get-thing(id="), "{said}");
    // A call that the transcript doesn't have, and one that it has and nobody makes.
    let last = *calls.last().unwrap();
    let said = forged(&world, &module, &lines, |l| drop(l.drain(last..last + 2))).await;
    let number = calls.len();
    assert!(said.contains(&format!("vary-calls, call {number}: ")) && said.contains("made no further call"), "{said}");
    let said = forged(&world, &module, &lines, |l| {
        let mut more = [l[last].clone(), l[last + 1].clone()];
        more[0]["call"]["ask"] = 99.into();
        l.splice(last + 2..last + 2, more);
    });
    let said = said.await;
    assert!(said.contains(&format!("ended after {number} calls, and in the run it made {}", number + 1)), "{said}");
    // The same call at another place among its questions, and with another credential.
    let said = forged(&world, &module, &lines, |l| l[last]["call"]["ask"] = 50.into()).await;
    assert!(said.contains("and in the run as question 50"), "{said}");
    let said = forged(&world, &module, &lines, |l| l[last]["call"]["call"]["begin"]["credential"] = "x".into()).await;
    assert!(said.contains("in another way"), "{said}");
    // Another end.
    let said = forged(&world, &module, &lines, |l| {
        let task = l.iter_mut().find(|l| l.get("task").is_some()).unwrap();
        task["task"]["ended"] = "trapped".into();
    });
    let said = said.await;
    assert!(said.contains("ended as `finished`, and in the run as `trapped`"), "{said}");
    // A transcript that would hurt whoever replays it.
    let said =
        forged(&world, &module, &lines, |l| l[0]["begin"]["limits"]["memory-bytes"] = (1_u64 << 40).into()).await;
    assert!(said.contains("limit `memory-bytes`"), "{said}");
    let said = forged(&world, &module, &lines, |l| l[0]["begin"]["steps"] = serde_json::json!(["ghost"])).await;
    assert!(said.contains("no step `ghost`"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_goes_by_the_clock_is_caught_without_a_call() {
    let module = packed("hostile").unwrap().bytes;
    let world = hostile(&["vary-partitions"]).await;
    let file = transcript_of(&world);
    let run = world.record(&file).await.unwrap();
    replays(&world, &module, &run, &file).await;
    let said = forged(&world, &module, &unpack(&file), |l| later(l, 1)).await;
    assert!(said.contains("vary-partitions/p") && said.contains("the module lists other partitions"), "{said}");

    let world = hostile(&["vary-objects"]).await;
    let file = transcript_of(&world);
    let run = world.record(&file).await.unwrap();
    replays(&world, &module, &run, &file).await;
    let mut lines = unpack(&file);
    later(&mut lines, 1);
    let path = world.path().join("forged");
    forge(&path, lines);
    let replayed = replay(&world, &module, &path).await.unwrap();
    let header = Transcript::open(&path).unwrap().header().clone();
    let found = record_of(&run).differences(&header, &replayed.graph_digest, &replayed.transcript_digest);
    let what: Vec<_> = found.iter().map(|d| d.what).collect();
    assert_eq!(what, ["started-at-ms", "graph digest", "transcript digest"]);
}

// -- Comparison of two versions.

fn calls_of(calls: &[porthole_runner::replay::compare::CallCount]) -> Vec<String> {
    calls.iter().map(|c| format!("{} {}", c.count, c.call)).collect()
}

async fn compared(world: &World, old: &[u8], new: &[u8], file: &Path, set: &[(&str, &str)]) -> Comparison {
    let (old, new) = (Module::admit(old.to_vec()).unwrap(), Module::admit(new.to_vec()).unwrap());
    let set = set.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    compare(&world.tools(), &old, &new, Transcript::open(file).unwrap(), &set).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_asks_for_less_shows_what_goes_with_it() {
    let fake = fake().await;
    let world = WorldBuilder::github(&fake).unwrap().build().await.unwrap();
    let file = transcript_of(&world);
    let run = world.record(&file).await.unwrap();
    let old = packed("github").unwrap();
    let mut manifest = old.manifest.clone();
    manifest.module.version = "0.2.0".to_owned();
    let same = packed_with("github", &manifest).unwrap();
    let diff = compared(&world, &old.bytes, &same.bytes, &file, &[]).await;
    assert!(diff.is_same() && diff.old.ran && !diff.new.ran, "{diff:?}");
    assert_eq!(Some(&diff.new.graph_digest), run.graph_digest.as_ref());
    assert_eq!(diff.calls_same, world.calls(run.id).await.unwrap().len() as u64);

    // It doesn't ask for outside collaborators any more, and its code still does.
    let members = manifest.steps.iter_mut().find(|s| s.id.as_str() == "members").unwrap();
    members.uses.retain(|o| o.as_str() != "list-outside-collaborators");
    let less = packed_with("github", &manifest).unwrap();
    let diff = compared(&world, &old.bytes, &less.bytes, &file, &[]).await;
    assert_eq!(calls_of(&diff.calls_added), Vec::<String>::new());
    assert_eq!(calls_of(&diff.calls_dropped), ["1 list-outside-collaborators()"]);
    let users = &diff.objects["github_user"];
    assert_eq!((users.added, users.changed, users.gone), (0, 0, 3), "{users:?}");
    assert!(users.gone_keys.iter().all(|key| key.starts_with("github:user:")));
    assert!(diff.new.incomplete["members"].contains("denied (requested)"), "{:?}", diff.new.incomplete);
    assert!(diff.old.incomplete.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_asks_for_something_else_shows_both() {
    let world = hostile(&["vary-calls", "vary-objects"]).await;
    let file = transcript_of(&world);
    world.record(&file).await.unwrap();
    let old = packed("hostile").unwrap();
    let mut manifest = old.manifest.clone();
    manifest.module.version = "0.2.0".to_owned();
    let new = packed_with("hostile", &manifest).unwrap();
    let diff = compared(&world, &old.bytes, &new.bytes, &file, &[("mode", "2")]).await;
    assert_eq!(calls_of(&diff.calls_added), ["1 get-thing(id=2)"]);
    // What has no answer fails the step, so what came after it is gone as well.
    assert!(calls_of(&diff.calls_dropped).contains(&"1 get-thing(id=1)".to_owned()), "{:?}", diff.calls_dropped);
    assert!(diff.new.incomplete["vary-calls"].contains("not-recorded"), "{:?}", diff.new.incomplete);
    assert_eq!(diff.objects["hostile_vary_calls"].gone_keys, ["mode:1"]);
    let changed = &diff.objects["hostile_vary_objects"].changed_objects;
    let pair = (Some("\"1\"".to_owned()), Some("\"2\"".to_owned()));
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert_eq!(changed[0].properties, BTreeMap::from([("mode".to_owned(), pair)]));
    // Steps that were off stay off: nothing of the others ran.
    assert_eq!((diff.old.slices, diff.new.slices), (2, 2));
    let json = serde_json::to_value(&diff).unwrap();
    assert_eq!(json["calls_added"][0]["operation"], "get-thing");
}

// -- The smoke run of an admission.

async fn smoked(world: &World, module: &[u8]) -> Evidence {
    smoke(&world.tools(), &Module::admit(module.to_vec()).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_smoke_run_shows_that_a_module_answers_and_does_the_same_twice() {
    let world = hostile(&["vary-objects"]).await;
    let github = packed("github").unwrap();
    let evidence = smoked(&world, &github.bytes).await;
    assert!(admission::evidence(&evidence).findings().is_empty(), "{evidence:?}");
    assert!(evidence.code_bytes > evidence.component_bytes, "{evidence:?}");
    assert!(evidence.compiled && evidence.isolated && evidence.component_bytes == github.bytes.len() as u64);
    assert!(evidence.digests.len() == 2 && evidence.digests[0] == evidence.digests[1]);
    for step in &github.manifest.steps {
        assert!(evidence.tasks.contains_key(step.id.as_str()), "{}: {:?}", step.id, evidence.tasks);
    }
    assert!(evidence.tasks["account"].contains("not-recorded"), "{:?}", evidence.tasks);

    // A manifest that promises a step that the code doesn't have.
    let mut manifest = github.manifest.clone();
    let mut ghost = manifest.steps[0].clone();
    (ghost.id, ghost.entities, ghost.needs) = ("ghost".parse().unwrap(), Vec::new(), Vec::new());
    manifest.steps.push(ghost);
    let evidence = smoked(&world, &packed_with("github", &manifest).unwrap().bytes).await;
    let findings = admission::evidence(&evidence).findings();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].to_string().starts_with("step `ghost`: is declared, and the code has no such step"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_smoke_run_of_a_hostile_module_ends() {
    let world = hostile(&["vary-objects"]).await;
    let mut manifest = packed("hostile").unwrap().manifest;
    // Those that go on for ever are ended by the clock of the smoke run; a test has no minute for that.
    manifest.steps.retain(|s| !["cpu-loop", "cancel-wait", "call-flood", "denied-flood"].contains(&s.id.as_str()));
    let evidence = smoked(&world, &packed_with("hostile", &manifest).unwrap().bytes).await;
    assert!(evidence.tasks["memory-bomb"].contains("limit `memory`"), "{:?}", evidence.tasks);
    assert!(evidence.tasks["unreachable"].contains("unreachable"), "{:?}", evidence.tasks);
    assert!(!evidence.answers_undeclared && evidence.error.is_none(), "{evidence:?}");
    assert_eq!(evidence.digests[0], evidence.digests[1], "even an attacker does the same twice");
}

// -- The narrower grant.

#[tokio::test(flavor = "multi_thread")]
async fn the_proposed_grant_suffices_for_the_same_graph() {
    let fake = FakeGithub::builder().org("acme").seed(11).repos(12).members(6).outside(2).teams(3);
    let fake = fake.token("ghp_0123456789abcdef").start().await.unwrap();
    let world = WorldBuilder::github(&fake).unwrap().build().await.unwrap();
    let run = world.run().await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Succeeded), "{}", run.message);
    let used = serde_json::from_value(run.usage.clone().unwrap()).unwrap();
    let config = BTreeMap::from([("login".to_owned(), "acme".to_owned())]);
    let all = Grant::all_of(&world.manifest);
    let proposal = propose(&world.manifest, &config, &all, &[used]);
    // An organisation's repositories aren't listed as a user's are; three teams are few.
    assert_eq!(proposal.unused.iter().map(|o| o.as_str()).collect::<Vec<_>>(), ["list-user-repos"]);
    assert_eq!(proposal.limits.keys().map(String::as_str).collect::<Vec<_>>(), ["team"]);
    assert_eq!(proposal.limits["team"], fake.team_slugs().into_iter().collect());
    assert!(proposal.idle.is_empty(), "{:?}", proposal.idle);

    world.set_grant(|g| *g = proposal.grant.clone()).await.unwrap();
    let again = world.run().await.unwrap();
    assert_eq!(again.outcome, Some(Outcome::Succeeded), "{}", again.message);
    assert_eq!(again.graph_digest, run.graph_digest);
    assert!(world.denials(again.id).await.unwrap().is_empty());
    let used = serde_json::from_value(again.usage.unwrap()).unwrap();
    assert!(propose(&world.manifest, &config, &proposal.grant, &[used]).is_empty());
}
