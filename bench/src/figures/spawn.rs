//! The start of a sandbox process: spawned, locked down, first instruction of a guest. From nothing, and with one that
//! waited for its run.

use crate::bench::{Bench, Figure};
use crate::figures::instantiate::bench_items;
use crate::measure::{median, percentile, private_mib};
use crate::row::{Goal, Row};
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use futures_util::FutureExt as _;
use porthole_runner::process::Sandbox;
use porthole_runner::warm::{Recipe, Warm};
use porthole_wire::{FromSandbox, Limits, Task, TaskEnd, TaskKind, ToSandbox};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Starts of each kind.
const SAMPLES: usize = 400;
/// Idle sandboxes whose memory is looked at.
const IDLE: usize = 8;
/// How long the stock may take to be full again.
const PATIENCE: Duration = Duration::from_secs(10);

/// See the module's documentation.
pub(crate) const FIGURE: Figure = Figure {
    name: "spawn",
    about: "sandbox process: spawn, lockdown, first guest instruction; from nothing and warm",
    limit: Duration::from_secs(120),
    run: |bench| measure(bench).boxed(),
};

async fn measure(bench: Bench) -> Result<Vec<Row>> {
    let code = bench_items(&bench).await?;
    let program = bench.program("porthole-sandbox");
    let recipe = Recipe { program, limits: Limits::default(), allow_weak_isolation: false };
    let stop = CancellationToken::new();
    let warm = Arc::new(Warm::new(IDLE));
    let keeping = tokio::spawn({
        let (warm, recipe, stop) = (Arc::clone(&warm), recipe.clone(), stop.clone());
        async move { warm.keep(&recipe, &stop).await }
    });
    let (mut cold, mut ready, mut warmed, mut forked) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut idle = Vec::new();
    for _ in 0..bench.size(SAMPLES) {
        full(&warm).await?;
        forked.push(fork_and_exec()?);
        let started = Instant::now();
        let (sandbox, _) = recipe.start().await?;
        ready.push(started.elapsed());
        cold.push(first_instruction(sandbox, &code, started).await?);
        forked.push(fork_and_exec()?);
        let started = Instant::now();
        let (sandbox, _) = warm.take().context("no idle sandbox")?;
        idle.extend(sandbox.id().map(private_mib));
        let looked = started.elapsed();
        warmed.push(first_instruction(sandbox, &code, started).await?.saturating_sub(looked));
    }
    stop.cancel();
    keeping.await?;
    let ms = |times: &mut Vec<Duration>| percentile(times, 0.5).as_secs_f64() * 1e3;
    let forked = ms(&mut forked);
    let row = |name: &str, value: f64, goal: f64| {
        Row::new(name, value, "ms").against("fork + exec + wait of /bin/true", forked).goal(Goal::RatioAtMost(goal))
    };
    let note = format!(
        "spawn, walls up, code handed over ({} KiB) and linked, a task that makes one host call done; {:.2} ms of it until \
         the walls are up",
        code.len() / 1024,
        ms(&mut ready)
    );
    let idle_note = format!(
        "the same without the start of the process. The stock is refilled in between, outside of the measured time; an \
         idle one has {:.2} MiB of its own",
        median(&mut idle)
    );
    Ok(vec![
        row("sandbox: spawn → locked down → first guest instruction, p50", ms(&mut cold), 8.0).note(note),
        row("the same with a warm one, p50", ms(&mut warmed), 2.0).note(idle_note),
        Row::new("private memory of an idle sandbox", median(&mut idle), "MiB"),
    ])
}

/// Waits until the stock is full, and a moment more, so that its start is over.
async fn full(warm: &Warm) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while warm.idle() < IDLE {
        if Instant::now() > end {
            bail!("the stock of sandboxes isn't full after {PATIENCE:?}");
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// Hands over the code and a task that asks for one thing and returns.
async fn first_instruction(mut sandbox: Sandbox, code: &Bytes, started: Instant) -> Result<Duration> {
    sandbox.load(code).await?;
    let task = Task {
        id: 1,
        kind: TaskKind::Run,
        step: "made".to_owned(),
        partition: String::new(),
        config: r#"{"links":"no","made":"0"}"#.to_owned(),
        started_at_ms: 0,
    };
    sandbox.sender().send(&ToSandbox::Task(task)).await?;
    let took = match sandbox.receive().await? {
        FromSandbox::Done { end: TaskEnd::Finished, .. } => started.elapsed(),
        other => bail!("the sandbox said {other:?}"),
    };
    sandbox.stop().await;
    Ok(took)
}

/// As the standard library starts a program: `vfork` and `exec`.
fn fork_and_exec() -> Result<Duration> {
    let mut command = std::process::Command::new("/bin/true");
    command.env_clear().current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let started = Instant::now();
    let status = command.spawn()?.wait()?;
    let took = started.elapsed();
    if status.success() { Ok(took) } else { bail!("/bin/true ended with {status}") }
}
