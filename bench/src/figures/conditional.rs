//! Conditional requests: what a second run of an organisation costs in which nothing has changed, with replies that are
//! asked about again and with replies that are fetched anew.
//!
//! Both are the GitHub module against the same fake in this process, each in a database of its own; the one that fetches
//! anew is given no room for stored replies. No goal: how much of a provider's page changes between two runs is the
//! provider's.

use crate::bench::{Bench, Figure, repository};
use crate::measure::median;
use crate::row::Row;
use anyhow::{Context as _, Result, ensure};
use futures_util::FutureExt as _;
use porthole_model::run::Outcome;
use porthole_tests::fake_github::FakeGithub;
use porthole_tests::world::{World, WorldBuilder};
use std::time::{Duration, Instant};

/// Repositories of the organisation: each has a list of collaborators of its own, so there are as many short lists.
const REPOS: usize = 2_000;
/// Second runs of each kind, in turn.
const ROUNDS: usize = 3;

/// See the module's documentation.
pub(crate) const FIGURE: Figure = Figure {
    name: "conditional",
    about: "a second run of an unchanged organisation, asked about and fetched anew",
    limit: Duration::from_secs(180),
    run: |bench| measure(bench).boxed(),
};

/// What one run cost.
struct Cost {
    wall: f64,
    received: f64,
    charged: f64,
}

async fn measure(bench: Bench) -> Result<Vec<Row>> {
    let repos = u32::try_from(bench.size(REPOS))?;
    let fake = FakeGithub::builder().org("acme").seed(1).repos(repos).members(repos / 10).teams(repos / 50).gzip(true);
    let fake = fake.start().await?;
    let (asked, anew) = (world(&bench, &fake, true).await?, world(&bench, &fake, false).await?);
    let first_anew = run(&anew, &fake).await?;
    let first_asked = run(&asked, &fake).await?;
    let (mut about, mut fetched) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        about.push(run(&asked, &fake).await?);
        fetched.push(run(&anew, &fake).await?);
    }
    let middle = |costs: &[Cost], of: fn(&Cost) -> f64| median(&mut costs.iter().map(of).collect::<Vec<_>>());
    let row = |what: &str, unit: &str, of: fn(&Cost) -> f64| {
        Row::new(what, middle(&about, of), unit).against("fetched anew", middle(&fetched, of))
    };
    let wall = row("second run of an unchanged organisation, asked about", "s", |c| c.wall).note(format!(
        "{repos} repositories; medians of {ROUNDS}, in turn; the provider is a fake in the same process that makes each \
         page also to say 304; a database without fsync"
    ));
    let first = Row::new("first run, storing its replies", first_asked.wall, "s")
        .against("without storing", first_anew.wall)
        .note("once each; the one without storing went first");
    Ok(vec![
        wall,
        row("bytes received in it", "kB", |c| c.received).note("headers and bodies, compressed by the provider"),
        row("requests in it that the provider charges", "requests", |c| c.charged).note("a 304 is free at GitHub"),
        first,
    ])
}

async fn world(bench: &Bench, fake: &FakeGithub, stores: bool) -> Result<World> {
    let manifest = std::fs::read_to_string(repository().join("guests/github/manifest.toml"))?;
    let manifest = porthole_registry::read_manifest(&manifest).map_err(|findings| anyhow::anyhow!("{findings:?}"))?;
    let packed = porthole_registry::pack(&std::fs::read(bench.guest("github"))?, &manifest)?;
    let builder = WorldBuilder::new(packed).config("login", fake.org()).endpoint("api.github.com", &fake.url())?;
    let builder = builder.secret("api", "pat", fake.token());
    builder.limits(|limits| limits.stored_reply_bytes *= u64::from(stores)).build().await
}

async fn run(world: &World, fake: &FakeGithub) -> Result<Cost> {
    fake.reset_stats();
    let began = Instant::now();
    let run = world.run().await?;
    let wall = began.elapsed().as_secs_f64();
    ensure!(run.outcome == Some(Outcome::Succeeded), "the run should succeed: {}", run.message);
    let operations = run.usage.as_ref().and_then(|usage| usage.get("operations")?.as_object());
    let bytes = |of: &serde_json::Value| of.get("response_bytes").and_then(serde_json::Value::as_f64).unwrap_or(0.0);
    let received = operations.context("a run without its use")?.values().map(bytes).sum::<f64>() / 1_000.0;
    let stats = fake.stats();
    let free = stats.statuses.get(&304).copied().unwrap_or(0);
    Ok(Cost { wall, received, charged: (stats.requests - free) as f64 })
}
