//! Many runs at once, all of them waiting for their provider, on few connections: a run that waits holds none.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use axum::Router;
use porthole_model::grant::Grant;
use porthole_model::id::Name;
use porthole_model::run::{Outcome, RunMode, RunState};
use porthole_registry::{pack, read_manifest};
use porthole_runner::worker;
use porthole_store::instances::{self, NewInstance};
use porthole_store::runs::{self, NewRun};
use porthole_store::{Store, grants};
use porthole_tests::world::{WORKER, WorldBuilder, guest_file, op};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Runs at once.
const RUNS: usize = 50;
/// Connections of the worker.
const CONNECTIONS: u32 = 4;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// A provider that answers nothing until it is told to.
async fn slow() -> (String, Arc<AtomicUsize>, watch::Sender<bool>) {
    let (tell, told) = watch::channel(false);
    let waiting = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&waiting);
    let answer = move || {
        let (mut told, counter) = (told.clone(), Arc::clone(&counter));
        async move {
            counter.fetch_add(1, Ordering::Relaxed);
            let _ = told.wait_for(|told| *told).await;
            axum::Json(Vec::<String>::new())
        }
    };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    (url, waiting, tell)
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_waiting_runs_share_four_connections_and_all_finish() {
    let text = std::fs::read_to_string("../guests/bench-items/manifest.toml").unwrap();
    let packed = pack(&std::fs::read(guest_file("bench_items").unwrap()).unwrap(), &read_manifest(&text).unwrap());
    let packed = packed.unwrap();
    let digest = packed.digest;
    let (url, waiting, tell) = slow().await;
    let builder = WorldBuilder::new(packed).endpoint("items.example", &url).unwrap();
    let mut world = builder.build().await.unwrap();
    let off = ["items", "made"].into_iter().map(|step| step.parse().unwrap()).collect();
    let grant = Grant { steps_off: off, ..Grant::all_of(&world.manifest) };
    let mut tx = world.store().tenant(world.tenant).await.unwrap();
    let mut queued = Vec::new();
    for at in 0..RUNS {
        let name = Name::new(format!("items-{at}")).unwrap();
        let new = NewInstance { name: &name, module: digest, config: &BTreeMap::new() };
        let instance = instances::create(&op(), &mut tx, new).await.unwrap().id;
        grants::set(&op(), &mut tx, instance, &grant).await.unwrap();
        let new = NewRun { instance, mode: RunMode::Apply, reason: "test" };
        queued.push(runs::create(&op(), &mut tx, new).await.unwrap().id);
    }
    tx.commit().await.unwrap();

    let mut options = world.database.options();
    options.max_connections = CONNECTIONS;
    let store = Store::connect(&options).await.unwrap();
    world.parts.store = store.clone();
    let stop = CancellationToken::new();
    let working = tokio::spawn({
        let (parts, stop) = (world.parts.clone(), stop.clone());
        async move { worker::work(&parts, WORKER, RUNS, stop).await }
    });
    let end = Instant::now() + PATIENCE;
    while waiting.load(Ordering::Relaxed) < RUNS {
        assert!(Instant::now() < end, "only {} runs wait", waiting.load(Ordering::Relaxed));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // All of them wait, and whoever needs a connection gets one.
    let asked = Instant::now();
    store.begin().await.unwrap().rollback().await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(5), "a connection took {:?}", asked.elapsed());

    tell.send_replace(true);
    for id in queued {
        let run = loop {
            let run = world.get(id).await.unwrap();
            if run.state == RunState::Finished {
                break run;
            }
            assert!(Instant::now() < end + PATIENCE, "run {id} is {}", run.state);
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert_eq!(run.outcome, Some(Outcome::Succeeded), "{}", run.message);
    }
    stop.cancel();
    working.await.unwrap().unwrap();
    store.close().await;
}
