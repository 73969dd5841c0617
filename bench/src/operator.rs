//! `porthole bench provider`: the whole path on an operator's own machine, on a provider of the size they expect.

use crate::bench::Bench;
use crate::driver::Size;
use crate::measure;
use crate::provider::items;
use crate::report;
use crate::row::Row;
use crate::runs::{Runs, Told};
use crate::stage::Stage;
use anyhow::Result;
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What is measured, and where.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    provider: items::Options,
    /// Where the private Postgres has its files meanwhile: a folder on the disk that is to be measured [default: the
    /// temporary folder].
    #[arg(long, value_name = "FOLDER")]
    disk: Option<PathBuf>,
    /// Rows as JSON.
    #[arg(long)]
    json: bool,
}

/// Measures; see the module's documentation.
///
/// # Errors
/// When the programs or the guest aren't there, or a run doesn't succeed.
pub(crate) async fn run(guests: &Path, options: Options) -> Result<ExitCode> {
    let disk = options.disk.unwrap_or_else(std::env::temp_dir);
    let (_folder, bench) = Bench::in_folder(&disk, guests, Size { quick: false, full: false })?;
    report::note(format!(
        "{} items in {} parts, pages of {}",
        options.provider.items, options.provider.parts, options.provider.page
    ));
    let provider = options.provider.start()?;
    let stage = Stage::start(&bench, &provider.endpoints())?;
    stage.module("bench-items")?;
    stage.porthole(&["tenant", "create", "acme"])?;
    stage.porthole(&["instance", "create", "acme/items", "--module", "bench-items", "--set", "made=0"])?;
    let runs = Runs::join(stage, provider, "acme").await?;
    let mut rows = Vec::new();
    for name in ["first load", "nothing changed"] {
        report::note(name);
        rows.extend(told(name, &runs.run("acme/items").await?));
    }
    rows.push(Row::new("peak memory of the worker", measure::peak_mib(runs.stage.worker()), "MiB"));
    runs.close().await?;
    if options.json {
        report::rows(&rows)?
    } else {
        report::print(&rows)?
    }
    Ok(ExitCode::SUCCESS)
}

fn told(name: &str, told: &Told) -> [Row; 5] {
    let counts = told.counts;
    let objects = (counts.created + counts.updated + counts.unchanged) as f64;
    let cost =
        |who: &str, seconds: f64| Row::new(&format!("{name}: {who}"), seconds * 1e6 / objects, "µs CPU an object");
    [
        Row::new(name, objects / told.wall, "objects/s"),
        Row::new(&format!("{name}: wall"), told.wall, "s"),
        cost("worker", told.used.worker),
        cost("sandbox", told.used.sandbox),
        cost("database", told.used.database),
    ]
}
