//! A thousand runs at once, each in a process of its own, all of them waiting for a slow provider.

use crate::bench::{Bench, Figure};
use crate::figures::instantiate::packed_bench_items;
use crate::measure::{cpu_seconds, median, private_mib};
use crate::report;
use crate::row::{Goal, Row};
use crate::slow::Slow;
use crate::stage::Stage;
use anyhow::{Context as _, Result, bail, ensure};
use futures_util::FutureExt as _;
use porthole_model::context::{Actor, OpContext};
use porthole_model::grant::Grant;
use porthole_model::id::{Name, RunId, TenantId};
use porthole_model::run::{Outcome, RunMode, RunState};
use porthole_store::embedded::Embedded;
use porthole_store::instances::{self, NewInstance};
use porthole_store::runs::{self, NewRun};
use porthole_store::{Store, grants, tenants};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sqlx::{ConnectOptions as _, Row as _};
use std::collections::BTreeMap;
use std::str::FromStr as _;
use std::time::{Duration, Instant};

/// Runs at once.
const RUNS: usize = 1_000;
/// Tenants that they belong to.
const TENANTS: usize = 10;
/// How long it may take until all wait, and until all have ended.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is looked whether they do.
const POLL: Duration = Duration::from_millis(100);
/// How long they are watched while they wait.
const WATCHED: Duration = Duration::from_secs(6);

/// See the module's documentation.
pub(crate) const FIGURE: Figure = Figure {
    name: "waiting",
    about: "1,000 runs at once, each in its process, all waiting for a slow provider",
    limit: Duration::from_secs(300),
    run: |bench| measure(bench).boxed(),
};

async fn measure(bench: Bench) -> Result<Vec<Row>> {
    // A thousand connections arrive here.
    let hard = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard })?;
    let slow = Slow::start().await?;
    let count = bench.size(RUNS);
    let config = format!("[endpoints]\n\"items.example\" = \"{}\"\n[worker]\nruns = {count}\n", slow.url());
    let stage = Stage::start(&bench, &config)?;
    stage.module("bench-items")?;
    let server = Embedded::attach(stage.data()).await?.context("the private Postgres is gone")?;
    let bound = server.options().max_connections;
    let store = server.store().await?;
    let started = Instant::now();
    let queued = queue(&bench, &store, count).await?;
    store.close().await;
    while slow.waiting() < count {
        if started.elapsed() > PATIENCE {
            bail!("{} of {count} runs wait for the provider after {} s", slow.waiting(), PATIENCE.as_secs());
        }
        tokio::time::sleep(POLL).await;
    }
    let all_waiting = started.elapsed();
    let watched = watch(&server, &stage).await?;
    let sandboxes = sandboxes(stage.worker());
    ensure!(sandboxes.len() >= count, "{count} runs wait, and there are {} sandboxes", sandboxes.len());
    let mut private: Vec<f64> = sandboxes.iter().map(|pid| private_mib(*pid)).collect();
    let worker = private_mib(stage.worker());
    let answered = Instant::now();
    slow.answer();
    let store = server.store().await?;
    let failed = failures(&store, &queued).await?;
    let ended = answered.elapsed();
    store.close().await;
    drop(stage);
    server.stop().await?;

    let most = private.iter().copied().fold(0.0, f64::max);
    let note = format!(
        "{} sandbox processes, {} tenants; all of them wait {:.1} s after the first was queued, all have ended {:.1} s after \
         the provider answers; the worker has {worker:.0} MiB of its own and uses {:.0} % of a core while they wait",
        sandboxes.len(),
        TENANTS.min(count),
        all_waiting.as_secs_f64(),
        ended.as_secs_f64(),
        watched.worker_share * 100.0,
    );
    let n = report::number(count as f64);
    Ok(vec![
        Row::new(&format!("{n} runs at once, all waiting: failures"), failed as f64, "runs")
            .goal(Goal::AtMost(0.0))
            .note(note),
        Row::new("private memory of a waiting sandbox, the largest", most, "MiB")
            .goal(Goal::AtMost(4.0))
            .note(format!("median {:.2} MiB", median(&mut private))),
        Row::new(&format!("database connections of the worker while {n} runs wait"), watched.connections as f64, "")
            .goal(Goal::AtMost(f64::from(bound)))
            .note(format!("its pool's bound is {bound}; at most {} of them in a transaction", watched.busy)),
    ])
}

/// Instances of as many tenants, and a run of each.
async fn queue(bench: &Bench, store: &Store, count: usize) -> Result<Vec<(TenantId, RunId)>> {
    let packed = packed_bench_items(bench)?;
    let ctx = OpContext::new(Actor::Person("bench".to_owned()));
    let config = BTreeMap::from([("links".to_owned(), "no".to_owned())]);
    // One step, one call.
    let off = ["items", "made"].into_iter().map(str::parse).collect::<std::result::Result<_, _>>()?;
    let grant = Grant { steps_off: off, ..Grant::all_of(&packed.manifest) };
    let mut queued = Vec::new();
    for number in 0..TENANTS.min(count) {
        let mut tx = store.begin().await?;
        let tenant = tenants::create(&ctx, &mut tx, &Name::new(format!("tenant-{number}"))?).await?.id;
        tx.commit().await?;
        let mut tx = store.tenant(tenant).await?;
        for at in (number..count).step_by(TENANTS.min(count)) {
            let name = Name::new(format!("items-{at}"))?;
            let new = NewInstance { name: &name, module: packed.digest, config: &config };
            let instance = instances::create(&ctx, &mut tx, new).await?.id;
            grants::set(&ctx, &mut tx, instance, &grant).await?;
            let new = NewRun { instance, mode: RunMode::Apply, reason: "bench" };
            queued.push((tenant, runs::create(&ctx, &mut tx, new).await?.id));
        }
        tx.commit().await?;
    }
    Ok(queued)
}

/// What the worker does while nothing happens.
struct Watched {
    /// The most connections that it had.
    connections: i64,
    /// The most of them that were in a transaction or a statement.
    busy: i64,
    /// Its share of a core.
    worker_share: f64,
}

async fn watch(server: &Embedded, stage: &Stage) -> Result<Watched> {
    let options = sqlx::postgres::PgConnectOptions::from_str(&server.url())?.application_name("bench");
    let mut connection = options.connect().await?;
    let mut watched = Watched { connections: 0, busy: 0, worker_share: 0.0 };
    let (started, cpu) = (Instant::now(), cpu_seconds(stage.worker())?);
    while started.elapsed() < WATCHED {
        let row = sqlx::query(
            "SELECT count(*) AS connections, count(*) FILTER (WHERE state <> 'idle') AS busy FROM pg_stat_activity \
             WHERE application_name <> 'bench' AND backend_type = 'client backend'",
        )
        .fetch_one(&mut connection)
        .await?;
        watched.connections = watched.connections.max(row.get("connections"));
        watched.busy = watched.busy.max(row.get("busy"));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    watched.worker_share = (cpu_seconds(stage.worker())? - cpu) / started.elapsed().as_secs_f64();
    Ok(watched)
}

/// The sandboxes that a worker has started: all processes that name it as their parent. (A thread's list of children is
/// incomplete while others come and go.)
fn sandboxes(worker: u32) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_sandbox = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let (name, rest) = stat.rsplit_once(") ").unwrap_or_default();
        let parent = rest.split(' ').nth(1).and_then(|parent| parent.parse().ok());
        parent == Some(worker) && name.contains("(porthole-sandbo")
    };
    ids.filter(is_sandbox).collect()
}

/// Waits for the end of each, and counts those that didn't succeed.
async fn failures(store: &Store, queued: &[(TenantId, RunId)]) -> Result<usize> {
    let end = Instant::now() + PATIENCE;
    let mut failed = 0;
    for (tenant, id) in queued {
        let run = loop {
            let mut tx = store.tenant(*tenant).await?;
            let run = runs::get(&mut tx, *id).await?;
            tx.commit().await?;
            if run.state == RunState::Finished {
                break run;
            }
            if Instant::now() > end {
                bail!("run {id} is {} {} s after its provider answered", run.state, PATIENCE.as_secs());
            }
            tokio::time::sleep(POLL).await;
        };
        if run.outcome != Some(Outcome::Succeeded) {
            failed += 1;
            if failed <= 3 {
                report::note(format!("a run ended as {:?}: {}", run.outcome, run.message));
            }
        }
    }
    Ok(failed)
}
