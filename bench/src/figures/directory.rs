//! A directory of 10,000 users, 100 groups and 50 applications, in whole, through the release programs: some 20,000
//! requests and 75,000 objects, against a loop that fetches the same pages at the same time and drops them.

use super::call_world::plain_client;
use crate::bench::{Bench, Figure};
use crate::measure::{cpu_seconds, folder_cpu_seconds, median, peak_mib};
use crate::provider::Provider;
use crate::provider::directory::Options;
use crate::row::{Goal, Row};
use crate::stage::Stage;
use anyhow::{Context as _, Result, bail, ensure};
use futures_util::FutureExt as _;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Users; ten times what the quick one has.
const USERS: usize = 10_000;
/// Groups and applications.
const GROUPS: u64 = 100;
const APPS: u64 = 50;
/// Requests under way at once: `rate.concurrent` of the guest's manifest.
const AT_ONCE: usize = 64;
/// Times that both are done, taking turns. Ours is another instance each time, so that each is a first collection.
const TURNS: usize = 3;
/// How often the run is looked at. Each look starts a program.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The credential; its length is what counts.
const TOKEN: &str = "00pRj5N1oSecretOfTheBench8uW2vXzK4mQ";

/// See the module's documentation.
pub(crate) const FIGURE: Figure = Figure {
    name: "directory",
    about: "a directory of 10,000 users, 20,000 requests, from wire to row",
    limit: Duration::from_secs(180),
    run: |bench| measure(bench).boxed(),
};

/// One collection.
struct Collected {
    seconds: f64,
    objects: u64,
    calls: u64,
    worker_cpu: f64,
    database_cpu: f64,
    provider_cpu: f64,
    sandbox_peak_mib: f64,
    worker_peak_mib: f64,
}

async fn measure(bench: Bench) -> Result<Vec<Row>> {
    let options = Options { users: bench.size(USERS) as u64, groups: GROUPS, apps: APPS, delay: 0 };
    let provider = options.start()?;
    let stage = Arc::new(prepare(&bench, &provider)?);
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        plain.push(fetch_all(&provider).await?);
        ours.push(collect(&bench, &stage, &provider, turn)?);
    }
    let requests = plain.first().map_or(0, |p| p.requests);
    let one = ours.first().context("a collection")?;
    ensure!(one.calls == requests, "we made {} calls, the loop {requests} requests", one.calls);
    let of = |get: fn(&Collected) -> f64| median(&mut ours.iter().map(get).collect::<Vec<_>>());
    let plain_seconds = median(&mut plain.iter().map(|p| p.seconds).collect::<Vec<_>>());
    let plain_cpu = median(&mut plain.iter().map(|p| p.cpu).collect::<Vec<_>>());
    let (worker, sandbox) = (of(|c| c.worker_peak_mib), of(|c| c.sandbox_peak_mib));
    let note = format!(
        "{requests} requests, {} objects, {AT_ONCE} at once; from start to finish as the run's record has it; CPU: worker \
         {:.2} s, Postgres {:.2} s, provider {:.2} s; the loop {plain_cpu:.2} s",
        one.objects,
        of(|c| c.worker_cpu),
        of(|c| c.database_cpu),
        of(|c| c.provider_cpu),
    );
    Ok(vec![
        Row::new("directory of 10,000 users: wall", of(|c| c.seconds), "s")
            .against("the same pages by reqwest, dropped", plain_seconds)
            .goal(Goal::RatioAtMost(2.0))
            .note(note),
        Row::new("directory of 10,000 users: peak memory of worker and sandbox", worker + sandbox, "MiB")
            .goal(Goal::AtMost(200.0))
            .note(format!("peak resident memory: worker {worker:.0} MiB, over its life; sandbox {sandbox:.0} MiB")),
    ])
}

fn prepare(bench: &Bench, provider: &Provider) -> Result<Stage> {
    let stage = Stage::start(bench, &provider.endpoints())?;
    stage.module("bench-directory")?;
    stage.porthole(&["tenant", "create", "acme"])?;
    std::fs::write(bench.work.join("token"), TOKEN)?;
    Ok(stage)
}

/// What `runs list --json` says of a run, as far as it is read.
#[derive(Deserialize)]
struct Shown {
    outcome: Option<String>,
    started_at: Option<jiff::Timestamp>,
    finished_at: Option<jiff::Timestamp>,
    counts: BTreeMap<String, Value>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Usage {
    operations: BTreeMap<String, Value>,
    peak_memory_bytes: Peaks,
}

#[derive(Deserialize)]
struct Peaks {
    sandbox: f64,
    worker: f64,
}

/// Has the worker run an instance, and waits for the end.
fn run(stage: &Stage, instance: &str) -> Result<Shown> {
    stage.porthole(&["run", instance, "--detach"])?;
    loop {
        std::thread::sleep(LOOK_EVERY);
        let runs: Vec<Shown> =
            serde_json::from_value(stage.json(&["runs", "list", instance, "--limit", "1", "--json"])?)?;
        match runs.into_iter().next() {
            Some(run) if run.finished_at.is_some() => return Ok(run),
            _ => {}
        }
    }
}

fn collect(bench: &Bench, stage: &Stage, provider: &Provider, turn: usize) -> Result<Collected> {
    let instance = format!("acme/directory-{turn}");
    let token = bench.work.join("token").display().to_string();
    stage.porthole(&["instance", "create", &instance, "--module", "bench-directory"])?;
    stage.porthole(&["credential", "set", &instance, "--slot", "api", "--method", "token", "--file", &token])?;
    let cpu = || anyhow::Ok((cpu_seconds(stage.worker())?, folder_cpu_seconds(stage.data()), provider.cpu_seconds()?));
    let before = cpu()?;
    let shown = run(stage, &instance)?;
    let after = cpu()?;
    let outcome = shown.outcome.unwrap_or_default();
    ensure!(outcome == "succeeded", "the run ended as {outcome}");
    let (Some(started), Some(finished)) = (shown.started_at, shown.finished_at) else { bail!("a run without times") };
    let usage = shown.usage.context("a run without usage")?;
    let sum = |of: &BTreeMap<String, Value>, name: &str| of.values().filter_map(|c| c.get(name)?.as_u64()).sum();
    Ok(Collected {
        seconds: finished.duration_since(started).as_secs_f64(),
        objects: sum(&shown.counts, "created"),
        calls: sum(&usage.operations, "calls"),
        worker_cpu: after.0 - before.0,
        database_cpu: after.1 - before.1,
        provider_cpu: after.2 - before.2,
        sandbox_peak_mib: usage.peak_memory_bytes.sandbox / 1024.0 / 1024.0,
        worker_peak_mib: peak_mib(stage.worker()).max(usage.peak_memory_bytes.worker / 1024.0 / 1024.0),
    })
}

/// The yardstick.
struct Fetched {
    seconds: f64,
    requests: u64,
    cpu: f64,
}

/// Fetches every page as a collection has to: the lists first, then what they name.
async fn fetch_all(provider: &Provider) -> Result<Fetched> {
    let fetch = Arc::new(Fetch { client: plain_client()?, base: provider.url(), state: Mutex::default() });
    let cpu = cpu_seconds(std::process::id())?;
    let started = Instant::now();
    fetch.run(["org", "users?limit=200", "groups?limit=200", "apps?limit=200"].map(str::to_owned)).await?;
    let found = std::mem::take(&mut fetch.state.lock().unwrap_or_else(PoisonError::into_inner).found);
    let each = found.iter().flat_map(|(kind, id)| match kind.as_str() {
        "users" => vec![format!("users/{id}/factors"), format!("users/{id}/roles")],
        kind => vec![format!("{kind}/{id}/users?limit=200")],
    });
    fetch.run(each).await?;
    let requests = fetch.state.lock().unwrap_or_else(PoisonError::into_inner).requests;
    let cpu = cpu_seconds(std::process::id())? - cpu;
    Ok(Fetched { seconds: started.elapsed().as_secs_f64(), requests, cpu })
}

struct Fetch {
    client: reqwest::Client,
    base: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<String>,
    under_way: usize,
    requests: u64,
    found: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Id<'a> {
    id: &'a str,
}

impl Fetch {
    async fn run(self: &Arc<Self>, targets: impl IntoIterator<Item = String>) -> Result<()> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).waiting.extend(targets);
        let fetchers: Vec<_> = (0..AT_ONCE).map(|_| tokio::spawn(Arc::clone(self).fetch())).collect();
        for fetcher in fetchers {
            fetcher.await??;
        }
        Ok(())
    }

    async fn fetch(self: Arc<Self>) -> Result<()> {
        loop {
            let next = {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                let next = state.waiting.pop_front();
                state.under_way += usize::from(next.is_some());
                if next.is_none() && state.under_way == 0 {
                    return Ok(());
                }
                next
            };
            match next {
                Some(target) => self.one(&target).await?,
                // A list that is under way may have another page.
                None => tokio::time::sleep(Duration::from_micros(200)).await,
            }
        }
    }

    async fn one(&self, target: &str) -> Result<()> {
        let url = format!("{}/api/v1/{target}", self.base);
        let response = self.client.get(url).header("authorization", format!("SSWS {TOKEN}")).send().await?;
        ensure!(response.status() == 200, "the provider answered {} to {target}", response.status());
        let links = response.headers().get_all("link").iter().filter_map(|link| link.to_str().ok());
        let next = links.filter(|link| link.ends_with("rel=\"next\"")).find_map(|link| {
            let (_, rest) = link.split_once("/api/v1/")?;
            Some(rest.split_once('>')?.0.to_owned())
        });
        let body = response.bytes().await?;
        // The ids of what is asked for next are read; nothing else is.
        let kind = target.split_once('?').map_or(target, |(kind, _)| kind);
        let ids: Vec<Id<'_>> = match kind {
            "users" | "groups" | "apps" => serde_json::from_slice(&body)?,
            _ => Vec::new(),
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.found.extend(ids.iter().map(|id| (kind.to_owned(), id.id.to_owned())));
        state.waiting.extend(next);
        state.requests += 1;
        state.under_way -= 1;
        Ok(())
    }
}
