//! Records as a person reads them.

use super::{log_of, recorded};
use crate::commands::runs::{Which, find};
use crate::context::{Cx, Database};
use crate::output;
use anyhow::{Context as _, Result};
use porthole_model::audit::{Action, Entry, Log, Object, Record, commitment};
use porthole_model::id::RunId;
use porthole_store::audit::read::{Leaf, LogTx};
use porthole_store::runs;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// Records that are read at once.
const PAGE: u32 = 1_000;
/// The most records that a list shows.
const MAX_LIST: u32 = 10_000;
/// Characters of a digest that a line shows.
const DIGEST_CHARS: usize = 12;

/// A record with its place.
#[derive(Debug, Serialize)]
struct Placed {
    index: u64,
    record: Record,
}

/// What a run did with one operation, as its records tell.
#[derive(Debug, Default, Serialize)]
struct Use {
    begun: u64,
    denied: u64,
    ended: u64,
    faults: u64,
    bytes: u64,
}

pub(super) async fn run(cx: &Cx, db: &Database, which: Which, json: bool) -> Result<()> {
    let (tenant, run) = find(cx, db, which).await?;
    let log = Log::Tenant(tenant.id);
    recorded(cx, db, log, Entry::new(Action::AuditShown, Object::run(run))).await?;
    let leaves = of_run(db, log, run).await?;
    let message = told_message(db, tenant.id, run, &leaves).await?;
    let records: Vec<Placed> = leaves.iter().map(placed).collect::<Result<_>>()?;
    let uses = uses(&records);
    if json {
        return output::json(&serde_json::json!({ "run": run, "records": records, "operations": uses }));
    }
    output::line(format!("run {run} of {}: {} records in the log `{log}`", tenant.name, records.len()));
    timeline(&records);
    if let Some(message) = message {
        output::line(format!("  {message}"));
    }
    if !uses.is_empty() {
        let row = |(operation, of): (String, Use)| {
            vec![
                format!("  {operation}"),
                output::number(of.begun),
                output::number(of.denied),
                output::number(of.ended),
                output::number(of.faults),
                output::bytes(of.bytes),
            ]
        };
        let headers = ["  operation", "begun", "denied", "ended", "faults", "received"];
        output::table(&headers, uses.into_iter().map(row));
    }
    Ok(())
}

pub(super) async fn list(cx: &Cx, db: &Database, platform: bool, limit: u32, json: bool) -> Result<()> {
    let log = log_of(cx, db, platform).await?;
    recorded(cx, db, log, Entry::new(Action::AuditShown, Object::new("audit-log", log))).await?;
    let mut tx = LogTx::open(&db.store, log).await?;
    let size = tx.head().await?.size;
    let mut next = size.saturating_sub(u64::from(limit.min(MAX_LIST)));
    while next < size {
        let page = tx.leaves(next, size, PAGE, u64::MAX >> 1).await?;
        let Some(last) = page.last() else { break };
        next = last.index + 1;
        let records: Vec<Placed> = page.iter().map(placed).collect::<Result<_>>()?;
        if json {
            records.iter().try_for_each(output::json_line)?;
        } else {
            records.iter().for_each(|r| output::line(told(r)));
        }
    }
    Ok(())
}

async fn of_run(db: &Database, log: Log, run: RunId) -> Result<Vec<Leaf>> {
    let mut tx = LogTx::open(&db.store, log).await?;
    let mut all: Vec<Leaf> = Vec::new();
    loop {
        let from = all.last().map_or(0, |leaf| leaf.index + 1);
        let page = tx.of_run(run, from, PAGE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

fn placed(leaf: &Leaf) -> Result<Placed> {
    let record = Record::parse(leaf.record.as_bytes())
        .with_context(|| format!("record {} of the log can't be read", leaf.index))?;
    Ok(Placed { index: leaf.index, record })
}

/// The run's message, and whether it is the one that the record holds on to.
async fn told_message(
    db: &Database,
    tenant: porthole_model::id::TenantId,
    run: RunId,
    leaves: &[Leaf],
) -> Result<Option<String>> {
    let mut tx = db.store.tenant(tenant).await?;
    let message = runs::get(&mut tx, run).await?.message;
    tx.rollback().await?;
    for leaf in leaves {
        let record = Record::parse(leaf.record.as_bytes())?;
        let Some(committed) = record.digests.get("message") else { continue };
        let salt = leaf.salt.clone().and_then(|salt| salt.try_into().ok());
        let same = salt.is_some_and(|salt| commitment(&salt, message.as_bytes()) == *committed);
        let same = if same { "as recorded" } else { "NOT what was recorded" };
        return Ok(Some(format!("message ({same}): {}", output::plain(&message))));
    }
    Ok(None)
}

/// A line for each record; calls between two other records are told together.
fn timeline(records: &[Placed]) {
    let mut calls = Use::default();
    let mut batches = 0;
    let flush = |calls: &mut Use, batches: &mut u64| {
        if *batches > 0 {
            let Use { begun, denied, ended, faults, bytes } = std::mem::take(calls);
            let counts = [(begun, "begun"), (denied, "denied"), (ended, "ended"), (faults, "with a fault")];
            let counts: Vec<String> =
                counts.iter().filter(|(n, _)| *n > 0).map(|(n, w)| format!("{} {w}", output::number(*n))).collect();
            let counts = counts.join(", ");
            output::line(format!("  {:>8}  {:<26} calls: {counts}, {} received", "", "", output::bytes(bytes)));
            *batches = 0;
        }
    };
    for placed in records {
        let record = &placed.record;
        match record.action {
            Action::CallsBegun => calls.begun += record.calls.len() as u64,
            Action::CallsDenied => calls.denied += record.calls.len() as u64,
            Action::CallsEnded => {
                calls.ended += record.ends.len() as u64;
                calls.faults += record.ends.iter().filter(|e| e.fault.is_some()).count() as u64;
                calls.bytes += record.ends.iter().map(|e| e.bytes).sum::<u64>();
            }
            _ => {
                flush(&mut calls, &mut batches);
                output::line(told(placed));
                continue;
            }
        }
        batches += 1;
    }
    flush(&mut calls, &mut batches);
}

/// One record on one line.
fn told(placed: &Placed) -> String {
    let Placed { index, record } = placed;
    let at = record.at.strftime("%Y-%m-%d %H:%M:%S%.3f");
    let mut words: Vec<String> = Vec::new();
    if record.run.is_none() {
        words.push(format!("{} {}", record.object.kind, record.object.id));
    }
    words.extend(record.facts.iter().map(|(k, v)| format!("{k} {v}")));
    // By type it is in `--json`; here is what a person looks for.
    words.extend(record.counts.iter().filter(|(k, _)| !k.contains('/')).map(|(k, n)| format!("{k} {n}")));
    words.extend(record.digests.iter().map(|(k, d)| format!("{k} {}", short(d))));
    if let Some(layer) = &record.layer {
        words.push(format!("denied ({layer})"));
    }
    let reason = if record.reason.is_empty() { String::new() } else { format!(" – {}", record.reason) };
    let line = format!("  {index:>8}  {at}  {:<22} {:<24} {}{reason}", record.action, record.actor, words.join(", "));
    output::plain(&line)
}

/// The start of a digest, with its algorithm.
fn short(digest: &str) -> String {
    match digest.split_once(':') {
        Some((algorithm, digits)) if digits.len() > DIGEST_CHARS => {
            format!("{algorithm}:{}…", digits.chars().take(DIGEST_CHARS).collect::<String>())
        }
        _ => digest.to_owned(),
    }
}

/// Calls summed by operation. An end names only its call, so what began is kept until it ends.
fn uses(records: &[Placed]) -> BTreeMap<String, Use> {
    let mut uses: BTreeMap<String, Use> = BTreeMap::new();
    let mut open: HashMap<i64, String> = HashMap::new();
    for Placed { record, .. } in records {
        for call in &record.calls {
            let of = uses.entry(call.operation.clone()).or_default();
            if record.action == Action::CallsDenied {
                of.denied += 1;
            } else {
                of.begun += 1;
                open.insert(call.seq, call.operation.clone());
            }
        }
        for end in &record.ends {
            let operation = open.remove(&end.seq).unwrap_or_else(|| "?".to_owned());
            let of = uses.entry(operation).or_default();
            of.ended += 1;
            of.faults += u64::from(end.fault.is_some());
            of.bytes += end.bytes;
        }
    }
    uses
}
