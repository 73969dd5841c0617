//! `porthole module compare`: what a new version would have done on the real input of a run.

use super::diff::module_bytes;
use super::reference::ModuleRef;
use crate::commands::replay::Workshop;
use crate::commands::up::WorkerFlags;
use crate::context::Cx;
use crate::output::{self, number, plain};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use porthole_runner::replay::compare::{CallCount, Comparison, Side, compare};
use porthole_runner::replay::objects::{Changed, TypeDiff};
use porthole_runner::replay::offline::Module;
use porthole_runner::transcript::Transcript;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

/// Calls, objects and slices of each sort that are shown; `--json` has all.
const SHOWN: usize = 5;

#[derive(Debug, Args)]
#[command(
    after_help = "Files need no database, and nothing needs the network. Calls are matched by operation, arguments and \
                        page. A call that the transcript doesn't have is answered with a fault: what the new version \
                        makes of its answer, nobody can know."
)]
pub(crate) struct Compare {
    /// The version that is in use: a packed module, NAME@VERSION or a digest.
    old: ModuleRef,
    /// The version that would take its place.
    new: ModuleRef,
    /// Transcripts of runs, as `porthole run --record` wrote them.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    replay: Vec<PathBuf>,
    /// A value for a configuration field that the run didn't have; may be given several times.
    #[arg(long, value_name = "FIELD=VALUE")]
    set: Vec<String>,
    /// All of it as JSON, one document for each transcript.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    worker: WorkerFlags,
}

impl Compare {
    pub(super) async fn run(self, cx: &Cx) -> Result<ExitCode> {
        let (old, new) = (admit(cx, &self.old).await?, admit(cx, &self.new).await?);
        let mut set = BTreeMap::new();
        for text in &self.set {
            let Some((field, value)) = text.split_once('=') else { bail!("`{text}` is not FIELD=VALUE") };
            set.insert(field.to_owned(), value.to_owned());
        }
        let workshop = Workshop::new(cx, &self.worker)?;
        for file in &self.replay {
            let transcript = Transcript::open(file)?;
            let compared = compare(&workshop.tools, &old, &new, transcript, &set).await;
            let compared = compared.with_context(|| file.display().to_string())?;
            if self.json {
                output::json(&compared)?;
            } else {
                output::line(format!("{} ({})", file.display(), compared.transcript));
                show(&compared);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn admit(cx: &Cx, reference: &ModuleRef) -> Result<Module> {
    Module::admit(module_bytes(cx, reference).await?).with_context(|| reference.to_string())
}

fn show(compared: &Comparison) {
    side("old", &compared.old);
    side("new", &compared.new);
    if compared.is_same() {
        output::line(format!("  the same {} calls, the same objects", number(compared.calls_same)));
    } else {
        let (added, dropped) = (sum(&compared.calls_added), sum(&compared.calls_dropped));
        let same = number(compared.calls_same);
        output::line(format!("  calls: {same} as before, {} added, {} dropped", number(added), number(dropped)));
        calls('+', &compared.calls_added);
        calls('-', &compared.calls_dropped);
        for (name, diff) in &compared.objects {
            of_type(name, diff);
        }
    }
    let fresh = |name: &&String| !compared.old.incomplete.contains_key(*name);
    let fresh: Vec<&String> = compared.new.incomplete.keys().filter(fresh).collect();
    if !fresh.is_empty() {
        output::line(format!(
            "  {} slices are incomplete that were not with the old version:",
            number(fresh.len() as u64)
        ));
        for name in fresh.iter().take(SHOWN) {
            let reason = compared.new.incomplete.get(*name).map(String::as_str).unwrap_or_default();
            output::line(format!("    {}: {}", plain(name), plain(reason)));
        }
        more(fresh.len());
    }
}

fn side(which: &str, side: &Side) {
    let ran = if side.ran { "; it ran, and its replay is exact" } else { "" };
    let incomplete = match side.incomplete.len() {
        0 => String::new(),
        n => format!(", {n} incomplete"),
    };
    output::line(format!("  {which}: {} ({}{ran})", side.module, side.digest));
    output::line(format!("       {} slices{incomplete}, graph digest {}", side.slices, side.graph_digest));
}

fn sum(calls: &[CallCount]) -> u64 {
    calls.iter().map(|c| c.count).sum()
}

fn calls(sign: char, calls: &[CallCount]) {
    let mut operations: BTreeMap<&str, Vec<&CallCount>> = BTreeMap::new();
    for call in calls {
        operations.entry(&call.call.operation).or_default().push(call);
    }
    for (operation, of_operation) in operations {
        let count: u64 = of_operation.iter().map(|c| c.count).sum();
        output::line(format!("    {sign} {}: {}", plain(operation), number(count)));
        for call in of_operation.iter().take(SHOWN) {
            output::line(format!("        {}", plain(&call.call.to_string())));
        }
        more(of_operation.len());
    }
}

fn of_type(name: &str, diff: &TypeDiff) {
    if diff.added + diff.changed + diff.gone == 0 {
        return;
    }
    let TypeDiff { added, changed, gone, same, .. } = diff;
    output::line(format!(
        "  {}: {} added, {} changed, {} gone, {} the same",
        plain(name),
        number(*added),
        number(*changed),
        number(*gone),
        number(*same)
    ));
    let keys = |sign: char, keys: &[String]| {
        keys.iter().take(SHOWN).for_each(|key| output::line(format!("    {sign} {}", plain(key))));
        more(keys.len());
    };
    keys('+', &diff.added_keys);
    keys('-', &diff.gone_keys);
    for Changed { key, properties } in diff.changed_objects.iter().take(SHOWN) {
        let part = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        let change = |(name, (old, new)): (&String, &(Option<String>, Option<String>))| {
            format!("{name}: {} → {}", part(old), part(new))
        };
        let changes: Vec<String> = properties.iter().map(change).collect();
        let changes = if changes.is_empty() { "its type, class or ends".to_owned() } else { changes.join("; ") };
        output::line(format!("    ~ {}: {}", plain(key), plain(&changes)));
    }
    more(diff.changed_objects.len());
}

fn more(all: usize) {
    if all > SHOWN {
        output::line(format!("        … and {} more", number((all - SHOWN) as u64)));
    }
}
