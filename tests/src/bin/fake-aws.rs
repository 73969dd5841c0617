//! A large AWS account on loopback, for load: see `porthole_tests::fake_aws`. Ends on SIGTERM or SIGINT, and then prints what
//! was asked.

use anyhow::{Context as _, Result};
use clap::Parser;
use porthole_tests::fake_aws::{FakeAws, Shape};
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// A fake AWS account of any size.
#[derive(Debug, Parser)]
struct Arguments {
    /// Port to listen on; 0 is any free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Write the port into this file once it listens.
    #[arg(long, value_name = "FILE")]
    port_file: Option<PathBuf>,
    /// Write the `[endpoints]` of a configuration into this file: every host of the provider, and this address.
    #[arg(long, value_name = "FILE")]
    endpoints_file: Option<PathBuf>,
    /// How many resources, over all regions.
    #[arg(long, default_value_t = 50_000)]
    resources: usize,
    /// How long every answer takes at least, in milliseconds.
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let shape = Shape::of(arguments.resources);
    let latency = Duration::from_millis(arguments.latency_ms);
    let aws = FakeAws::start(shape, arguments.port, latency).await.context("can't listen on the loopback address")?;
    let url = aws.url();
    if let Some(path) = &arguments.endpoints_file {
        write(path, &aws.endpoints())?;
    }
    if let Some(path) = &arguments.port_file {
        write(path, url.rsplit(':').next().unwrap_or_default())?;
    }
    let mut out = std::io::stdout();
    writeln!(out, "{url}")?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    let (stats, expected) = (aws.stats(), aws.expected());
    writeln!(out, "{} requests, {} at once, {} bytes", stats.requests, stats.peak_concurrency, stats.body_bytes)?;
    for (what, count) in expected.entities.iter().chain(&expected.relationships) {
        writeln!(out, "expected {what}: {count}")?;
    }
    for (operation, count) in &stats.operations {
        writeln!(out, "asked {operation}: {count}")?;
    }
    for (operation, count) in &stats.unknown {
        writeln!(out, "unknown {operation}: {count}")?;
    }
    Ok(())
}

/// Whoever waits for the file finds all of it or nothing.
fn write(path: &PathBuf, text: &str) -> Result<()> {
    let partial = path.with_extension("partial");
    fs::write(&partial, text)
        .and_then(|()| fs::rename(&partial, path))
        .with_context(|| format!("can't write `{}`", path.display()))
}
