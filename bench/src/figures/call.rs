//! What one operation call costs beyond its request. The broker's whole path (decision, record, credential, checks,
//! limits, scrubbing, transcript, the record's completion) against the same request by the HTTP client alone, with the
//! same settings, in the same process, from the same provider; 64 at once, each sending its next when the last is done.

use super::call_world::{Broker, Plain};
use crate::bench::{Bench, Figure};
use crate::measure::{cpu_seconds, folder_cpu_seconds, median, percentile};
use crate::provider::directory::{self, Options};
use crate::row::{Goal, Row};
use anyhow::Result;
use futures_util::FutureExt as _;
use sqlx::Executor as _;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Calls under way at once.
const AT_ONCE: usize = 64;
/// Calls of one turn, broker and client alone taking turns.
const TURN: usize = 12_800;
/// Turns of each.
const TURNS: usize = 5;
/// How long a provider takes that isn't made for a benchmark, milliseconds; quick ones answer in 20 to 200.
const USUAL_DELAY_MS: u64 = 20;
/// Commits whose time is taken.
const COMMITS: usize = 500;
/// Users of the provider: the paths differ.
pub(super) const USERS: u64 = 1_000;
/// More than an allocation, less than a bad day.
const ALLOWED_US: f64 = 150.0;

/// See the module's documentation.
pub(crate) const FIGURE: Figure = Figure {
    name: "call",
    about: "one operation call, 64 at once, beyond its request",
    limit: Duration::from_secs(120),
    run: |bench| measure(bench).boxed(),
};

/// One turn.
#[derive(Debug, Default)]
struct Turn {
    p50_us: f64,
    p99_us: f64,
    /// Processor time of each call in this process, µs.
    cpu_us: f64,
    /// And in the database's.
    database_us: f64,
}

/// All turns of one way, by what they measure.
#[derive(Debug, Default)]
struct Turns(Vec<Turn>);

impl Turns {
    fn median(&self, of: fn(&Turn) -> f64) -> f64 {
        median(&mut self.0.iter().map(of).collect::<Vec<_>>())
    }
}

async fn measure(bench: Bench) -> Result<Vec<Row>> {
    let mut rows = compare(&bench, 0).await?;
    rows.extend(compare(&bench, USUAL_DELAY_MS).await?);
    Ok(rows)
}

async fn compare(bench: &Bench, delay: u64) -> Result<Vec<Row>> {
    let provider = Options { users: USERS, groups: 1, apps: 1, delay }.start()?;
    let bench = Bench { work: bench.folder(&format!("delay-{delay}"))?, ..bench.clone() };
    let broker = Arc::new(Broker::start(&bench, directory::HOST, &provider.url()).await?);
    let plain = Arc::new(Plain::new(&provider.url())?);
    let database = bench.work.as_path();
    // A delay of 20 ms allows for 3,200 calls a second.
    let calls = bench.size(if delay == 0 { TURN } else { TURN / 2 });
    let through = {
        let broker = Arc::clone(&broker);
        move |n: usize| {
            let broker = Arc::clone(&broker);
            async move { broker.call(n).await }
        }
    };
    let alone = move |n: usize| {
        let plain = Arc::clone(&plain);
        async move { plain.call(n).await }
    };
    // Connections, plans and caches are made before anything counts.
    turn(calls / 4, database, through.clone()).await?;
    turn(calls / 4, database, alone.clone()).await?;
    let (mut ours, mut theirs) = (Turns::default(), Turns::default());
    for _ in 0..TURNS {
        ours.0.push(turn(calls, database, through.clone()).await?);
        theirs.0.push(turn(calls, database, alone.clone()).await?);
    }
    drop(through);
    let mut rows = rows(delay, calls, &ours, &theirs);
    if delay > 0 {
        rows.push(commit(&broker).await?);
    }
    broker.stop().await?;
    Ok(rows)
}

/// What a record that is durable before its call costs at the very least: one row, one commit, nobody else.
async fn commit(broker: &Broker) -> Result<Row> {
    let mut admin = broker.admin().await?;
    admin.execute("CREATE TABLE public.bench_commit (n bigint, facts text)").await?;
    let mut samples = Vec::with_capacity(COMMITS);
    for _ in 0..COMMITS {
        let insert = sqlx::query("INSERT INTO public.bench_commit VALUES (1, repeat('x', 300))");
        let started = Instant::now();
        insert.execute(&mut admin).await?;
        samples.push(started.elapsed());
    }
    let p50 = percentile(&mut samples, 0.5).as_secs_f64() * 1e6;
    let row = Row::new("one row made durable, nothing else under way, p50", p50, "µs");
    Ok(row.note("a floor under the rows above: a call is sent when its record is on the disk, and not before"))
}

fn rows(delay: u64, calls: usize, ours: &Turns, theirs: &Turns) -> Vec<Row> {
    let wait = if delay == 0 { "answers at once".to_owned() } else { format!("takes {delay} ms") };
    let (p99, plain_p99) = (ours.median(|t| t.p99_us), theirs.median(|t| t.p99_us));
    let note = format!(
        "{TURNS} turns of {calls} calls; p99 {p99:.0} against {plain_p99:.0} µs; the client alone has no durable record, no limiter and no checks"
    );
    let mut rows = vec![
        Row::new(
            &format!("one operation call at 64 concurrent, p50, the provider {wait}"),
            ours.median(|t| t.p50_us),
            "µs",
        )
        .against("reqwest alone", theirs.median(|t| t.p50_us))
        .goal(Goal::AboveYardstick(ALLOWED_US))
        .note(note),
    ];
    if delay == 0 {
        let database = ours.median(|t| t.database_us);
        rows.push(
            Row::new("processor time of one operation call", ours.median(|t| t.cpu_us), "µs")
                .against("reqwest alone", theirs.median(|t| t.cpu_us))
                .note(format!("in the calling process; Postgres {database:.1} µs more")),
        );
    }
    rows
}

/// So many calls, 64 at once.
async fn turn<F, C>(calls: usize, folder: &Path, call: F) -> Result<Turn>
where
    F: Fn(usize) -> C + Clone + Send + 'static,
    C: Future<Output = Result<()>> + Send,
{
    let (cpu, database) = (cpu_seconds(std::process::id())?, folder_cpu_seconds(folder));
    let callers = (0..AT_ONCE).map(|caller| {
        let call = call.clone();
        tokio::spawn(async move {
            let mut samples = Vec::with_capacity(calls / AT_ONCE);
            for n in 0..calls / AT_ONCE {
                let started = Instant::now();
                call(n * AT_ONCE + caller).await?;
                samples.push(started.elapsed());
            }
            anyhow::Ok(samples)
        })
    });
    let mut samples = Vec::new();
    for caller in callers.collect::<Vec<_>>() {
        samples.append(&mut caller.await??);
    }
    let each = |seconds: f64| seconds * 1e6 / samples.len().max(1) as f64;
    let (cpu_us, database_us) =
        (each(cpu_seconds(std::process::id())? - cpu), each(folder_cpu_seconds(folder) - database));
    let micros = |took: Duration| took.as_secs_f64() * 1e6;
    let p50_us = micros(percentile(&mut samples, 0.5));
    Ok(Turn { p50_us, p99_us: micros(percentile(&mut samples, 0.99)), cpu_us, database_us })
}
