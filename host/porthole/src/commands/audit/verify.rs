//! The check of a log file, offline.

use super::keys::{KeyArgs, opened};
use crate::output;
use anyhow::{Context as _, Result};
use clap::Args;
use porthole_audit::checkpoint::Checkpoint;
use porthole_audit::export::{Fault, Options, Report, verify};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A log that holds together in its signatures and not in what its records tell.
const SIGNED_BUT_ODD: u8 = 2;

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The log file.
    file: PathBuf,
    #[command(flatten)]
    keys: KeyArgs,
    /// A checkpoint that is known from before or from elsewhere; the log has to contain it. May be given several times.
    #[arg(long = "checkpoint", value_name = "FILE")]
    known: Vec<PathBuf>,
    /// Write the newest checkpoint here, to hold the log to it next time.
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
    /// Pass over signatures of keys that aren't known here.
    #[arg(long)]
    allow_unknown_signatures: bool,
}

impl Verify {
    pub(super) fn run(self) -> Result<ExitCode> {
        let (trust, names) = self.keys.trust()?;
        let mut options = Options::new(trust);
        options.allow_unknown_signatures = self.allow_unknown_signatures;
        for path in &self.known {
            options.known.push(read_checkpoint(&options, path)?);
        }
        let file = File::open(&self.file).with_context(|| format!("can't read {}", self.file.display()))?;
        let report = verify(BufReader::new(file), &options)?;
        let other = report.origin.as_ref().map(|origin| opened(&names, origin)).transpose().err();
        self.tell(&report, other)
    }

    fn tell(&self, report: &Report, other: Option<anyhow::Error>) -> Result<ExitCode> {
        let file = self.file.display();
        let origin = report.origin.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string);
        output::line(format!("log {origin}"));
        output::line(format!(
            "  {} records, {} covered by signatures, {} checkpoints, {} runs",
            output::number(report.leaves),
            output::number(report.covered),
            output::number(report.checkpoints),
            output::number(report.runs)
        ));
        if let Some(newest) = &report.newest {
            output::line(format!(
                "  newest checkpoint: {} records, root {}",
                newest.checkpoint.size, newest.checkpoint.root
            ));
            for witness in &newest.cosigned {
                output::line(format!("  co-signed by {}", witness.witness));
            }
        }
        list("FAULT", &report.faults, report.faults_left_out);
        if let Some(other) = &other {
            output::line(format!("  FAULT {other}"));
        }
        list("ODD", &report.oddities, report.oddities_left_out);
        if !report.is_authentic() || other.is_some() {
            output::line(format!("{file} does NOT hold"));
            return Ok(ExitCode::FAILURE);
        }
        if let (Some(path), Some(newest)) = (&self.keep, &report.newest) {
            std::fs::write(path, newest.note.to_string()).with_context(|| format!("can't write {}", path.display()))?;
        }
        if !report.holds() {
            output::line(format!("{file} is as it was signed, but its records don't fit together"));
            return Ok(ExitCode::from(SIGNED_BUT_ODD));
        }
        output::line(format!("{file} holds: nothing is missing, added, moved or changed since it was signed"));
        Ok(ExitCode::SUCCESS)
    }
}

fn list(word: &str, faults: &[Fault], left_out: u64) {
    for fault in faults {
        output::line(format!("  {word} {}", output::plain(&fault.to_string())));
    }
    if left_out > 0 {
        output::line(format!("  {word} and {left_out} more"));
    }
}

fn read_checkpoint(options: &Options, path: &Path) -> Result<Checkpoint> {
    let bytes = std::fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
    let opened = options.trust.open(&bytes).with_context(|| format!("{} is not to be believed", path.display()))?;
    Ok(opened.checkpoint)
}
