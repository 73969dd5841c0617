//! Following a run: a line for each step as it goes, then what it came to. On a terminal the steps that run are redrawn;
//! elsewhere each step is one line when it has ended.

use crate::output::{self, number, plain};
use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use porthole_model::id::{RunId, TenantId};
use porthole_model::run::{Outcome, RunState, TypeCounts};
use porthole_store::calls::{self, Call};
use porthole_store::run_slices::{self, RunSlice};
use porthole_store::runs::{self, Run};
use porthole_store::{Store, rejections};
use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal as _;
use std::time::Duration;

/// How often the database is asked.
const POLL: Duration = Duration::from_millis(250);

/// What the slices of one step come to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct StepView {
    slices: usize,
    ended: usize,
    incomplete: usize,
    objects: u64,
    done: u64,
    total: Option<u64>,
    note: String,
}

/// Follows a run until it is over or held, and shows it.
pub(crate) async fn follow(store: &Store, tenant: TenantId, run: RunId, quiet: bool) -> Result<Run> {
    let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
        let style =
            ProgressStyle::with_template("{spinner} {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new_spinner().with_style(style);
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    });
    let mut shown = BTreeSet::new();
    loop {
        let mut tx = store.tenant(tenant).await?;
        let current = runs::get(&mut tx, run).await?;
        let slices = run_slices::list(&mut tx, run).await?;
        tx.commit().await?;
        let over = matches!(current.state, RunState::Finished | RunState::Held);
        let steps = by_step(&slices);
        for (step, view) in steps.iter().filter(|(_, v)| over || v.ended == v.slices) {
            // A step that waits for its partitions has no slice yet, so this line is its last.
            if shown.insert(step.clone()) && !quiet {
                let line = step_line(step, view);
                match &bar {
                    Some(bar) => bar.println(line),
                    None => output::line(line),
                }
            }
        }
        if over {
            if let Some(bar) = bar {
                bar.finish_and_clear();
            }
            return Ok(current);
        }
        if let Some(bar) = &bar {
            bar.set_message(now_line(&current, &steps, &shown));
        }
        tokio::time::sleep(POLL).await;
    }
}

fn by_step(slices: &[RunSlice]) -> Vec<(String, StepView)> {
    let mut steps: Vec<(String, StepView)> = Vec::new();
    for slice in slices {
        let name = slice.slice.step.to_string();
        let at = match steps.iter().position(|(step, _)| *step == name) {
            Some(at) => at,
            None => {
                steps.push((name, StepView::default()));
                steps.len() - 1
            }
        };
        let Some((_, view)) = steps.get_mut(at) else { continue };
        let ended = slice.state == "finished";
        view.slices += 1;
        view.ended += usize::from(ended);
        view.incomplete += usize::from(ended && !slice.complete);
        view.objects += slice.counts.values().map(|c| c.created + c.updated + c.unchanged).sum::<u64>();
        view.done += slice.done;
        view.total = match (view.total, slice.total) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
        if !ended && !slice.note.is_empty() {
            view.note.clone_from(&slice.note);
        }
    }
    steps
}

fn step_line(step: &str, view: &StepView) -> String {
    let mark = if view.incomplete > 0 { "!" } else { "✓" };
    let slices = if view.slices == 1 { String::new() } else { format!(" in {} slices", view.slices) };
    let incomplete = match (view.incomplete, view.slices) {
        (0, _) => String::new(),
        (_, 1) => ", incomplete".to_owned(),
        (n, _) => format!(", {n} of them incomplete"),
    };
    format!("  {mark} {step:<16} {} objects{slices}{incomplete}", number(view.objects))
}

fn now_line(run: &Run, steps: &[(String, StepView)], shown: &BTreeSet<String>) -> String {
    if run.state == RunState::Queued {
        return "waiting for a worker".to_owned();
    }
    let running = steps.iter().filter(|(step, _)| !shown.contains(step)).map(|(step, view)| {
        let done = match (view.done, view.total) {
            (0, None) => String::new(),
            (done, None) => format!(" {}", number(done)),
            (done, Some(total)) => format!(" {}/{}", number(done), number(total)),
        };
        let slices = if view.slices > 1 { format!(" [{}/{} slices]", view.ended, view.slices) } else { String::new() };
        let note = if view.note.is_empty() { String::new() } else { format!(" – {}", plain(&view.note)) };
        format!("{step}{done}{slices}{note}")
    });
    let running = running.collect::<Vec<_>>().join("   ");
    if running.is_empty() { "starting".to_owned() } else { running }
}

/// Shows what a run came to, for people.
pub(crate) async fn summary(store: &Store, tenant: TenantId, run: &Run) -> Result<()> {
    let mut tx = store.tenant(tenant).await?;
    let slices = run_slices::list(&mut tx, run.id).await?;
    let uses = calls::by_operation(&mut tx, run.id).await?;
    let denials = calls::denials(&mut tx, run.id).await?;
    let set_aside = rejections::list(&mut tx, run.id, 0, 5).await?;
    tx.commit().await?;
    let took = match (run.started_at, run.finished_at) {
        (Some(from), Some(to)) => format!(" in {:.1} s", to.duration_since(from).as_secs_f64()),
        _ => String::new(),
    };
    let outcome = run.outcome.map_or_else(|| run.state.to_string(), |o| o.to_string());
    let fault = run.fault.map(|f| format!(" (fault: {f})")).unwrap_or_default();
    output::line(format!("run {} {outcome}{took}{fault}", run.id));
    if !run.message.is_empty() {
        output::line(format!("  {}", plain(&run.message)));
    }
    counts(&run.counts);
    let calls: u64 = uses.iter().map(|u| u.allowed).sum();
    let bytes: u64 = uses.iter().map(|u| u.response_bytes).sum();
    let waited: u64 = uses.iter().map(|u| u.waited_ms).sum();
    let waited =
        if waited > 0 { format!(", {:.1} s waited for limits", waited as f64 / 1000.0) } else { String::new() };
    output::line(format!("  {} calls, {} received{waited}", number(calls), output::bytes(bytes)));
    incomplete(&slices);
    denied(&denials);
    if !set_aside.is_empty() {
        output::line("  set aside (the first):");
        for one in set_aside {
            output::line(format!("    {} {}: {}", one.object_type, plain(&one.object_key), plain(&one.reason)));
        }
    }
    for exception in run.exceptions.iter().filter_map(|e| e.as_array()).flatten().filter_map(|e| e.as_str()) {
        output::line(format!("  operator's exception in force: {}", plain(exception)));
    }
    Ok(())
}

/// Counts by type, entities and relationships together, with their sum.
pub(crate) fn counts(counts: &BTreeMap<String, TypeCounts>) {
    if counts.is_empty() {
        return;
    }
    let mut sum = TypeCounts::default();
    let row = |name: String, c: &TypeCounts| {
        let cell = |n: u64| if n == 0 { "·".to_owned() } else { number(n) };
        vec![format!("  {name}"), cell(c.created), cell(c.updated), cell(c.unchanged), cell(c.deleted)]
    };
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (name, of_type) in counts {
        sum.add(*of_type);
        rows.push(row(name.clone(), of_type));
    }
    rows.push(row("all".to_owned(), &sum));
    output::table(&["  type", "created", "updated", "unchanged", "deleted"], rows);
}

/// What is incomplete, a line for each step. The run's message has told the first already.
fn incomplete(slices: &[RunSlice]) {
    let mut steps: BTreeMap<String, Vec<&RunSlice>> = BTreeMap::new();
    for slice in slices.iter().filter(|s| !s.complete && s.outcome != Some(Outcome::Skipped)) {
        steps.entry(slice.slice.step.to_string()).or_default().push(slice);
    }
    if steps.len() < 2 {
        return;
    }
    for (step, of_step) in steps {
        let Some(first) = of_step.first() else { continue };
        let more = match of_step.len() {
            1 => String::new(),
            n => format!(" (and {} slices more)", n - 1),
        };
        let partition = first.slice.partition.as_str();
        let name = if partition.is_empty() { step } else { format!("{step}/{partition}") };
        output::line(format!("  incomplete: {}: {}{more}", plain(&name), plain(&first.reason)));
    }
}

/// Denied operations, with what would allow each.
pub(crate) fn denied(denials: &[Call]) {
    for call in denials {
        let layer = call.layer.as_deref().unwrap_or("?");
        output::line(format!("  denied ({layer}): {}: {}", plain(&call.operation), plain(&call.reason)));
        output::line(format!("    would allow it: {}", plain(&call.remedy)));
    }
}
