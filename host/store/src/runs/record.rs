//! What the audit log says of a run. A run's message isn't in it: that quotes what a guest or a provider said. The record
//! holds on to it by a commitment.

use super::{Run, RunFinish, RunStart};
use crate::audit::read::Head;
use crate::calls::Totals;
use porthole_model::audit::{Action, CallEnded, Entry, Object, ended_in_batches};
use porthole_model::context::{Actor, OpContext};
use porthole_model::id::{InstanceId, RunId};
use porthole_model::run::{Claim, Counts, TypeCounts};
use serde_json::Value;

/// Who ends a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Whoever has it: its worker, or a person while no worker has it.
    Here,
    /// Another worker, after its own was lost.
    Swept,
}

/// Who acts under a claim: its worker. The run's id ties its acts together.
pub(crate) fn as_worker(run: RunId, worker: impl Into<String>) -> OpContext {
    OpContext { actor: Actor::Worker(worker.into()), request: run.0 }
}

/// An act on a run.
pub(super) fn about(action: Action, run: &Run) -> Entry {
    Entry::new(action, Object::run(run.id)).instance(run.instance).run(run.id)
}

/// What was decided before the first step, and where the platform's log stood: whoever has this record can hold the
/// platform to it later.
pub(super) fn planned(claim: &Claim, plan: &Value, start: &RunStart, platform: &Head) -> Entry {
    let mut entry = Entry::new(Action::RunPlanned, Object::run(claim.run))
        .instance(claim.instance)
        .run(claim.run)
        .digest_json("plan", plan)
        .count("platform-log-size", platform.size);
    if let Some(root) = platform.root {
        entry = entry.digest("platform-log-root", format_args!("sha256:{}", hex::encode(root)));
    }
    if let Some((version, grant)) = &start.grant {
        entry = entry.digest_json("grant", grant).count("grant-version", u64::try_from(*version).unwrap_or(0));
    }
    if let Some(ceiling) = &start.ceiling {
        entry = entry.digest_json("ceiling", ceiling);
    }
    if let Some(exceptions) = &start.exceptions {
        let count = exceptions.as_array().map_or(0, |list| list.len() as u64);
        entry = entry.digest_json("exceptions", exceptions).count("exceptions", count);
    }
    let planned = |list: &str| plan.get(list).and_then(Value::as_array).map(|list| list.len() as u64);
    for list in ["operations", "steps", "hosts"] {
        if let Some(n) = planned(list) {
            entry = entry.count(list, n);
        }
    }
    if let Some(digest) = plan.pointer("/module/digest").and_then(Value::as_str) {
        entry = entry.digest("module", digest);
    }
    entry
}

/// The end of a run, and of the calls that it left open.
pub(super) fn finished(
    instance: InstanceId,
    run: RunId,
    how: Ended,
    finish: &RunFinish,
    isolation: Option<&Value>,
    totals: Totals,
    lost: Vec<i64>,
) -> Vec<Entry> {
    let about = |action| Entry::new(action, Object::run(run)).instance(instance).run(run);
    let count = lost.len() as u64;
    let lost = lost.into_iter().map(|seq| CallEnded::new(seq, None, Some("lost"), 0)).collect();
    let mut entries: Vec<Entry> = ended_in_batches(lost)
        .into_iter()
        .map(|part| about(Action::CallsEnded).count("calls", part.len() as u64).count("bytes", 0).ends(part))
        .collect();
    let action = match how {
        Ended::Here => Action::RunFinished,
        Ended::Swept => Action::RunSwept,
    };
    let mut entry = about(action)
        .fact("outcome", finish.outcome)
        .fact_if("fault", finish.fault)
        .count("calls", totals.allowed)
        .count("calls-denied", totals.denied)
        .count("calls-lost", count)
        .count("faults", totals.faults)
        .count("request-bytes", totals.request_bytes)
        .count("response-bytes", totals.response_bytes)
        .commit("message", finish.message.as_str());
    if let Some(isolation) = isolation {
        entry = entry.fact("isolation", isolation);
    }
    for (what, digest) in [("graph", &finish.graph_digest), ("transcript", &finish.transcript_digest)] {
        if let Some(digest) = digest {
            entry = entry.digest(what, digest);
        }
    }
    entries.push(count_totals(entry, &finish.counts));
    entries
}

/// Counts of objects: in all, and what changed by type.
pub(crate) fn count_totals(mut entry: Entry, counts: &Counts) -> Entry {
    let mut all = TypeCounts::default();
    counts.values().for_each(|c| all.add(*c));
    for (what, n) in words(all) {
        entry = entry.count(what, n);
    }
    for (name, counts) in counts {
        for (what, n) in words(*counts).into_iter().filter(|(_, n)| *n > 0) {
            entry = entry.count(&format!("{name}/{what}"), n);
        }
    }
    entry
}

fn words(counts: TypeCounts) -> [(&'static str, u64); 4] {
    [
        ("created", counts.created),
        ("updated", counts.updated),
        ("unchanged", counts.unchanged),
        ("deleted", counts.deleted),
    ]
}
