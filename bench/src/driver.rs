//! Runs figures, each in a process of its own with an end to its time.

use crate::bench::{Bench, Figure};
use crate::figures;
use crate::report;
use crate::row::Row;
use anyhow::{Context as _, Result, bail};
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Instant;
use tokio::process::Command;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// A tenth.
    pub(crate) quick: bool,
    /// All, also where it takes longer than the bench has.
    pub(crate) full: bool,
}

fn find(name: &str) -> Result<&'static Figure> {
    let names: Vec<&str> = figures::ALL.iter().map(|f| f.name).collect();
    let found = figures::ALL.iter().find(|f| f.name == name);
    found.with_context(|| format!("there is no figure `{name}`; there are {}", names.join(", ")))
}

/// Measures the named figures, or all. The exit code says whether all of them could be measured: a goal that is missed is
/// a result, not a failure.
///
/// # Errors
/// When a name is unknown or the results can't be written.
pub(crate) async fn run(guests: &Path, size: Size, names: &[String], out: Option<&Path>) -> Result<ExitCode> {
    let chosen: Vec<&Figure> = match names {
        [] => figures::ALL.iter().collect(),
        names => names.iter().map(|n| find(n)).collect::<Result<_>>()?,
    };
    let started = Instant::now();
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for (at, figure) in chosen.iter().enumerate() {
        report::note(format!("[{}/{}] {}: {}", at + 1, chosen.len(), figure.name, figure.about));
        let began = Instant::now();
        match child(guests, size, figure).await {
            Ok(measured) => {
                for row in &measured {
                    report::note(format!("      {}", report::line(row)));
                }
                report::note(format!("      took {:.1} s", began.elapsed().as_secs_f64()));
                rows.extend(measured);
            }
            Err(error) => {
                report::note(format!("      failed: {error:#}"));
                failed.push(figure.name);
            }
        }
    }
    report::print(&rows)?;
    if let Some(out) = out {
        report::write(out, rows, started.elapsed())?;
    }
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    report::note(format!("could not be measured: {}", failed.join(", ")));
    Ok(ExitCode::FAILURE)
}

async fn child(guests: &Path, size: Size, figure: &Figure) -> Result<Vec<Row>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("figure").arg(figure.name).arg("--guests").arg(guests);
    if size.quick {
        command.arg("--quick");
    }
    if size.full {
        command.arg("--full");
    }
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let output = tokio::time::timeout(figure.limit, child.wait_with_output());
    let output = output.await.with_context(|| format!("it took more than {} s", figure.limit.as_secs()))??;
    if !output.status.success() {
        bail!("it ended with {}", output.status);
    }
    let mut rows: Vec<Row> = serde_json::from_slice(&output.stdout).context("its rows")?;
    for row in &mut rows {
        figure.name.clone_into(&mut row.group);
    }
    Ok(rows)
}

/// Measures one figure in this process.
///
/// # Errors
/// When it can't be measured.
pub(crate) async fn figure(guests: &Path, size: Size, name: &str) -> Result<ExitCode> {
    let figure = find(name)?;
    let (_folder, bench) = Bench::in_folder(&std::env::temp_dir(), guests, size)?;
    let rows = (figure.run)(bench).await?;
    report::rows(&rows)?;
    Ok(ExitCode::SUCCESS)
}
