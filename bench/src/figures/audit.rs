//! The audit log: how fast pending records become leaves, and how long an auditor needs to verify a million of them,
//! offline, on one core.

use crate::bench::{Bench, Figure};
use crate::database::Database;
use crate::report;
use crate::row::{Goal, Row};
use anyhow::{Result, ensure};
use futures_util::FutureExt as _;
use jiff::Timestamp;
use porthole_audit::checkpoint::Checkpoint;
use porthole_audit::export::{Options, Writer, verify};
use porthole_audit::key::LogKey;
use porthole_audit::name::KeyName;
use porthole_audit::tree::{Frontier, leaf_hash};
use porthole_audit::trust::Trust;
use porthole_model::audit::{Action, CallEnded, CallMade, Entry, Log, Object};
use porthole_model::context::{Actor, OpContext};
use porthole_model::id::{RunId, TenantId};
use porthole_model::run::SliceKey;
use porthole_runner::sequencer::{self, LogSigner};
use porthole_store::audit::append_all;
use porthole_store::tenants;
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Records that are appended in one transaction.
const BATCH: usize = 1_000;
/// Records between two checkpoints.
const STEP: u64 = 1_000;
/// Records of a run, without its first three and its last.
const RUN: u64 = 996;

/// See the module's documentation.
pub(crate) const FIGURE: Figure = Figure {
    name: "audit",
    about: "records sequenced a second; offline verification of a million records",
    limit: Duration::from_secs(120),
    run: |bench| measure(bench).boxed(),
};

async fn measure(bench: Bench) -> Result<Vec<Row>> {
    let sequenced = sequence(&bench).await?;
    let records = bench.size(1_000_000) as u64;
    let verified = tokio::task::spawn_blocking(move || verify_export(&bench, records)).await??;
    Ok(vec![sequenced, verified])
}

/// Pending records of one tenant's log, sequenced by one sequencer as a worker runs it.
async fn sequence(bench: &Bench) -> Result<Row> {
    let records = bench.size(200_000);
    let database = Database::start(bench).await?;
    let store = database.store.clone();
    let ctx = OpContext { actor: Actor::Worker("bench".to_owned()), request: Uuid::nil() };
    let mut tx = store.begin().await?;
    let tenant = tenants::create(&ctx, &mut tx, &"bench".parse()?).await?.id;
    tx.commit().await?;
    let signer = LogSigner::open(&store, &bench.work.join("log.key"), None).await?;
    sequencer::drain(&store, &signer).await?;
    let run = RunId::new();
    let slice = SliceKey { step: "repositories".parse()?, partition: "eu-west-1".parse()? };
    let mut appending = Duration::ZERO;
    for first in (0..records).step_by(BATCH) {
        let entry = |n: usize| {
            let end = CallEnded::new(i64::try_from(n).unwrap_or(i64::MAX), Some(200), None, 48_123);
            let made = CallMade::new(end.seq, &slice, "list-repositories", None);
            if n.is_multiple_of(2) {
                Entry::new(Action::CallsBegun, Object::run(run)).run(run).calls(vec![made])
            } else {
                Entry::new(Action::CallsEnded, Object::run(run)).run(run).ends(vec![end])
            }
        };
        let entries = (first..(first + BATCH).min(records)).map(entry).collect();
        let started = Instant::now();
        let mut tx = store.tenant(tenant).await?;
        append_all(&ctx, &mut tx, entries).await?;
        tx.commit().await?;
        appending += started.elapsed();
    }
    let started = Instant::now();
    let sequenced = sequencer::drain(&store, &signer).await?;
    let took = started.elapsed().as_secs_f64();
    database.stop().await?;
    ensure!(sequenced == records as u64, "{sequenced} of {records} records were sequenced");
    let appended = report::number(records as f64 / appending.as_secs_f64());
    let row = Row::new("audit records sequenced", records as f64 / took, "1/s").goal(Goal::AtLeast(20_000.0));
    Ok(row.note(format!("{records} records of one log; they were appended, {BATCH} at a time, at {appended} a second")))
}

fn verify_export(bench: &Bench, records: u64) -> Result<Row> {
    let log = Log::Tenant(TenantId(Uuid::from_u128(1)));
    let origin = KeyName::new(format!("porthole.example/{}", log.path()))?;
    let key = LogKey::from_seed(&[1; 32])?;
    let signer = key.signer(origin.clone());
    let path = bench.work.join("log.jsonl");
    let mut writer = Writer::start(BufWriter::new(File::create(&path)?), log, signer.verifier_key())?;
    let mut frontier = Frontier::new();
    for n in 0..records {
        let leaf = record(n)?;
        frontier.push(leaf_hash(leaf.as_bytes()));
        writer.leaf(leaf.as_bytes())?;
        if frontier.size().is_multiple_of(STEP) || frontier.size() == records {
            let checkpoint = Checkpoint::new(origin.clone(), frontier.size(), frontier.root());
            writer.checkpoint(&checkpoint.sign(&signer)?)?;
        }
    }
    writer.finish()?;
    let started = Instant::now();
    let options = Options::new(Trust::log(vec![signer.verifier_key().clone()])?);
    let report = verify(BufReader::with_capacity(1 << 20, File::open(&path)?), &options)?;
    let took = started.elapsed().as_secs_f64();
    ensure!(report.holds() && report.leaves == records, "the log should hold: {:?}", report.faults);
    let row = Row::new("offline verification of 1M records", took * 1e6 / records as f64, "s").goal(Goal::AtMost(10.0));
    Ok(row.note(format!("{records} records, {} MB, one core", path.metadata()?.len() / 1_000_000)))
}

/// The records of one run after the other: its states, and single calls that begin and end.
fn record(n: u64) -> Result<String> {
    let (number, at) = (n / (RUN + 4), n % (RUN + 4));
    let run = RunId(Uuid::from_u128(u128::from(number) + 1));
    let entry = |action| Entry::new(action, Object::run(run)).run(run);
    let seq = (at.saturating_sub(3) / 2 + 1) as i64;
    let entry = match at {
        0 => entry(Action::RunQueued),
        1 => entry(Action::RunStarted),
        2 => entry(Action::RunPlanned)
            .digest("plan", "blake3:6bc1bee22e409f96e93d7e117393172aad2b6eb5f1a4c5c4e4f3a5a2d1c0b9a8"),
        at if at == RUN + 3 => entry(Action::RunFinished).fact("outcome", "succeeded").count("calls", RUN / 2),
        at if at % 2 == 1 => {
            let slice = SliceKey { step: "repositories".parse()?, partition: "eu-west-1".parse()? };
            entry(Action::CallsBegun).calls(vec![CallMade::new(seq, &slice, "list-repositories", None)])
        }
        _ => entry(Action::CallsEnded).ends(vec![CallEnded::new(seq, Some(200), None, 48_123)]),
    };
    let ctx = OpContext { actor: Actor::Worker("worker-1".to_owned()), request: run.0 };
    let id = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(n));
    Ok(entry.into_record(&ctx, id, Timestamp::from_second(1_770_000_000)?, &[0; 32]).to_leaf())
}
