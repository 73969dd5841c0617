//! Sandboxes that wait for a run: each serves one and is gone, a dead one is replaced, and none outlives its worker.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use porthole_model::run::Outcome;
use porthole_runner::warm::{Recipe, Warm};
use porthole_tests::fake_github::FakeGithub;
use porthole_tests::world::{World, WorldBuilder, bin_dir, program};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Idle sandboxes in these tests.
const STOCK: usize = 2;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// It runs, or nobody has waited for it yet.
fn is_there(id: u32) -> bool {
    Path::new(&format!("/proc/{id}")).exists()
}

fn kill(id: u32) {
    let pid = Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
}

/// A small world whose stock is full, and what keeps it so.
async fn stocked() -> (World, CancellationToken, JoinHandle<()>) {
    let fake = FakeGithub::builder().org("acme").repos(2).members(1).token("ghp_0123456789abcdef");
    let fake = fake.start().await.unwrap();
    let mut world = WorldBuilder::github(&fake).unwrap().build().await.unwrap();
    // The fake lives as long as the process.
    std::mem::forget(fake);
    world.parts.warm = Arc::new(Warm::new(STOCK));
    let (parts, stop) = (world.parts.clone(), CancellationToken::new());
    let keeping = tokio::spawn({
        let stop = stop.clone();
        async move { parts.warm.keep(&parts.recipe(), &stop).await }
    });
    full(&world).await;
    (world, stop, keeping)
}

async fn full(world: &World) {
    until("a full stock", || world.parts.warm.idle() == STOCK).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_run_takes_one_that_is_never_used_again() {
    let (world, stop, keeping) = stocked().await;
    let mut used = BTreeSet::new();
    for _ in 0..4 {
        full(&world).await;
        let oldest = *world.parts.warm.ids().first().unwrap();
        let run = world.run().await.unwrap();
        assert_eq!(run.outcome, Some(Outcome::Succeeded), "{}", run.message);
        assert!(!world.parts.warm.ids().contains(&oldest), "it was put back");
        assert!(!is_there(oldest), "it outlived its run");
        assert!(used.insert(oldest), "one process served two runs");
        // What the run says of its isolation is what this one reported before it had any code.
        let isolation: porthole_wire::Isolation = serde_json::from_value(run.isolation.unwrap()).unwrap();
        assert!(isolation.is_full(), "{isolation:?}");
    }
    full(&world).await;
    let idle = world.parts.warm.ids();
    stop.cancel();
    keeping.await.unwrap();
    assert!(world.parts.warm.take().is_none());
    assert!(idle.into_iter().all(|id| !is_there(id)), "an idle one outlived the stock");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_died_is_not_given_to_a_run_and_is_replaced() {
    let (world, stop, keeping) = stocked().await;
    let dead = world.parts.warm.ids();
    dead.iter().for_each(|id| kill(*id));
    // At once, before anybody has looked after them: a run then starts its own, or gets a new one.
    let run = world.run().await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Succeeded), "{}", run.message);
    let warm = &world.parts.warm;
    until("new ones", || warm.idle() == STOCK && warm.ids().iter().all(|id| !dead.contains(id))).await;
    let dead = *warm.ids().first().unwrap();
    kill(dead);
    until("a new one without a run", || warm.idle() == STOCK && !warm.ids().contains(&dead)).await;
    stop.cancel();
    keeping.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_of_none_starts_nothing() {
    let program = bin_dir().unwrap().join("porthole-sandbox");
    let recipe = Recipe { program, limits: porthole_wire::Limits::default(), allow_weak_isolation: false };
    let (none, stop) = (Warm::none(), CancellationToken::new());
    // It returns at once: there is nothing to keep.
    tokio::select! {
        () = none.keep(&recipe, &stop) => {}
        () = tokio::time::sleep(PATIENCE) => panic!("it keeps something"),
    }
    assert!(none.take().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn none_outlives_a_worker_that_is_killed() {
    let fake = FakeGithub::builder().org("acme").token("ghp_0123456789abcdef").start().await.unwrap();
    let world = WorldBuilder::github(&fake).unwrap().build().await.unwrap();
    let config = world.path().join("porthole.toml");
    let text = format!("[worker]\nwarm = 3\nkey-file = \"{}\"\n", world.path().join("kek").display());
    std::fs::write(&config, text).unwrap();
    let mut worker = program(&world.path().join("data"))
        .unwrap()
        .arg("work")
        .env("DATABASE_URL", world.database.url())
        .env("PORTHOLE_CONFIG", &config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let id = worker.id();
    until("three idle sandboxes", || sandboxes(id).len() == 3).await;
    let idle = sandboxes(id);
    worker.kill().unwrap();
    worker.wait().unwrap();
    until("their end", || !idle.iter().any(|id| is_sandbox(*id))).await;
}

fn is_sandbox(id: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.starts_with("porthole-sandbo"))
}

/// The sandboxes that a worker has started.
fn sandboxes(worker: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{worker}/task")).into_iter().flatten().flatten();
    let children = tasks.filter_map(|t| std::fs::read_to_string(t.path().join("children")).ok());
    let children = children.collect::<Vec<_>>().join(" ");
    children.split_whitespace().filter_map(|id| id.parse().ok()).filter(|id| is_sandbox(*id)).collect()
}
