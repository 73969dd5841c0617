//! How long the verification of a million records takes, offline, on one core:
//! `cargo run --release -p porthole-audit --example verify_million [RECORDS]`.
#![allow(clippy::print_stdout, clippy::expect_used, reason = "a measurement for people")]

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
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::time::Instant;
use uuid::Uuid;

/// Records between two checkpoints.
const STEP: u64 = 1_000;
/// Records of a run, without its first three and its last.
const RUN: u64 = 996;

fn main() {
    let wanted: u64 = std::env::args().nth(1).map_or(1_000_000, |n| n.parse().expect("a number of records"));
    let log = Log::Tenant(TenantId(Uuid::from_u128(1)));
    let origin = KeyName::new(format!("porthole.example/{}", log.path())).expect("a name");
    let key = LogKey::from_seed(&[1; 32]).expect("a key");
    let signer = key.signer(origin.clone());
    let path = std::env::temp_dir().join(format!("verify-million-{}.jsonl", std::process::id()));
    let out = BufWriter::new(File::create(&path).expect("a file"));

    let start = Instant::now();
    let mut writer = Writer::start(out, log, signer.verifier_key()).expect("a writer");
    let mut frontier = Frontier::new();
    for n in 0..wanted {
        let leaf = record(n);
        frontier.push(leaf_hash(leaf.as_bytes()));
        writer.leaf(leaf.as_bytes()).expect("a leaf");
        if frontier.size().is_multiple_of(STEP) || frontier.size() == wanted {
            let checkpoint = Checkpoint::new(origin.clone(), frontier.size(), frontier.root());
            writer.checkpoint(&checkpoint.sign(&signer).expect("a signature")).expect("a checkpoint");
        }
    }
    writer.finish().expect("an end");
    let bytes = path.metadata().expect("a file").len();
    println!("wrote {wanted} records, {} MB, in {:.2?}", bytes / 1_000_000, start.elapsed());

    let (start, cpu) = (Instant::now(), cpu_seconds());
    let options = Options::new(Trust::log(vec![signer.verifier_key().clone()]).expect("a key"));
    let report =
        verify(BufReader::with_capacity(1 << 20, File::open(&path).expect("the file")), &options).expect("a report");
    println!(
        "verified {} records of {} runs, {} checkpoints, in {:.2?}",
        report.leaves,
        report.runs,
        report.checkpoints,
        start.elapsed()
    );
    println!("processor time of the verification: {:.2} s", cpu_seconds() - cpu);
    for fault in report.faults.iter().chain(&report.oddities) {
        println!("{fault}");
    }
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default());
    }
    std::fs::remove_file(&path).expect("the file goes");
    assert!(report.holds(), "it should hold");
}

/// What this process has used, in user and system mode: fields 14 and 15 of proc(5), in hundredths of a second.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: f64 = after_name.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<f64>().ok()).sum();
    ticks / 100.0
}

/// The records of one run after the other: its states, and single calls that begin and end.
fn record(n: u64) -> String {
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
            let slice = SliceKey {
                step: "repositories".parse().expect("a step"),
                partition: "eu-west-1".parse().expect("a partition"),
            };
            entry(Action::CallsBegun).calls(vec![CallMade::new(seq, &slice, "list-repositories", None)])
        }
        _ => entry(Action::CallsEnded).ends(vec![CallEnded::new(seq, Some(200), None, 48_123)]),
    };
    let ctx = OpContext { actor: Actor::Worker("worker-1".to_owned()), request: run.0 };
    let id = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(n));
    entry.into_record(&ctx, id, Timestamp::from_second(1_770_000_000).expect("a time"), &[0; 32]).to_leaf()
}
