//! The audit log of a whole run, from the records to an auditor's desk: what happened is in it, it verifies offline, a
//! forged one doesn't, and no kill loses or doubles a record.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
#![allow(clippy::print_stdout, reason = "measured figures")]

use porthole_audit::key::LogKey;
use porthole_audit::tree::{Frontier, leaf_hash};
use porthole_model::audit::{Action, Entry, Log, Object, Record};
use porthole_model::run::Outcome;
use porthole_runner::sequencer::{self, LogSigner, SequenceError};
use porthole_store::Store;
use porthole_store::audit::append_all;
use porthole_store::audit::read::LogTx;
use porthole_store::tenants;
use porthole_store::testing::TestDatabase;
use porthole_tests::fake_github::FakeGithub;
use porthole_tests::world::{WorldBuilder, op, program};
use rand::RngExt as _;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const TOKEN: &str = "ghp_canary0123456789";
/// How often the sequencing process is killed.
const KILLS: u64 = 30;

/// The program, with a data folder of its own and perhaps a database.
struct Porthole {
    folder: tempfile::TempDir,
    database: Option<String>,
}

impl Porthole {
    fn new(database: Option<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // A worker on somebody else's database waits for a key; this machine is the first and has one.
        LogKey::open_or_create(&folder.path().join("audit-signing.key")).unwrap();
        Self { folder, database }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = program(self.folder.path()).unwrap();
        command.current_dir(self.folder.path());
        if let Some(url) = &self.database {
            command.env("DATABASE_URL", url);
        }
        command
    }

    fn call(&self, line: &str) -> Output {
        self.command().args(line.split(' ')).output().unwrap()
    }

    #[track_caller]
    fn ok(&self, line: &str) -> String {
        let output = self.call(line);
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success(), "{line}: {out}{err}");
        out
    }

    #[track_caller]
    fn refused(&self, line: &str) -> String {
        let output = self.call(line);
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(!output.status.success(), "{line}: {out}{err}");
        out + &err
    }
}

async fn fake() -> FakeGithub {
    FakeGithub::builder().org("canary-org").seed(7).repos(30).members(10).teams(4).token(TOKEN).start().await.unwrap()
}

async fn signer(store: &Store, folder: &Path) -> LogSigner {
    LogSigner::open(store, &folder.join("audit-signing.key"), Some("porthole.test")).await.unwrap()
}

fn records(file: &Path) -> Vec<Record> {
    let text = fs::read_to_string(file).unwrap();
    text.lines().filter(|l| l.starts_with('{')).map(|l| Record::parse(l.as_bytes()).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_run_is_exported_verified_and_tells_what_the_ledger_tells() {
    let fake = fake().await;
    let world = WorldBuilder::github(&fake).unwrap().build().await.unwrap();
    world
        .set_grant(|grant| {
            let team = grant.operations.iter().find(|o| o.as_str().contains("team-members")).cloned();
            grant.operations.remove(&team.expect("the module lists the members of teams"));
        })
        .await
        .unwrap();
    let run = world.run().await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Partial), "{}", run.message);
    let porthole = Porthole::new(Some(world.database.url()));
    porthole.ok("audit export --out log.jsonl");
    let key = porthole.ok("audit key").lines().next().unwrap().to_owned();
    let told = porthole.ok(&format!("audit verify log.jsonl --key {key} --keep kept.checkpoint"));
    assert!(told.contains("holds"), "{told}");

    let all = records(&porthole.file("log.jsonl"));
    let of_run: Vec<&Record> = all.iter().filter(|r| r.run == Some(run.id)).collect();
    for action in [
        Action::RunQueued,
        Action::RunStarted,
        Action::RunPlanned,
        Action::CallsBegun,
        Action::CallsDenied,
        Action::CallsEnded,
        Action::RunFinished,
    ] {
        assert!(of_run.iter().any(|r| r.action == action), "{action}");
    }
    for action in [Action::TenantCreated, Action::InstanceCreated, Action::GrantSet, Action::CredentialSet] {
        assert!(all.iter().any(|r| r.action == action), "{action}");
    }
    // The reading is in what is read.
    assert_eq!(all.last().unwrap().action, Action::AuditExported);

    // Sums equal the ledger's.
    let (mut begun, mut denied): (BTreeMap<String, u64>, BTreeMap<String, u64>) = Default::default();
    let mut bytes = 0;
    for record in &of_run {
        for call in &record.calls {
            let sums = if record.action == Action::CallsDenied { &mut denied } else { &mut begun };
            *sums.entry(call.operation.clone()).or_default() += 1;
        }
        bytes += record.ends.iter().map(|e| e.bytes).sum::<u64>();
    }
    let (mut allowed_calls, mut denied_calls): (BTreeMap<String, u64>, BTreeMap<String, u64>) = Default::default();
    let calls = world.calls(run.id).await.unwrap();
    for call in &calls {
        let sums = if call.decision == "denied" { &mut denied_calls } else { &mut allowed_calls };
        *sums.entry(call.operation.clone()).or_default() += 1;
    }
    assert_eq!((begun, denied), (allowed_calls, denied_calls));
    assert_eq!(bytes, calls.iter().map(|c| c.response_bytes).sum::<u64>());
    let finished = of_run.iter().find(|r| r.action == Action::RunFinished).unwrap();
    assert_eq!(finished.counts["calls"] + finished.counts["calls-denied"], calls.len() as u64);
    assert_eq!(finished.counts["created"], run.counts.values().map(|c| c.created).sum::<u64>());
    assert_eq!(Some(&finished.digests["graph"]), run.graph_digest.as_ref());
    let planned = of_run.iter().find(|r| r.action == Action::RunPlanned).unwrap();
    let granted = all.iter().rfind(|r| r.action == Action::GrantSet).unwrap();
    assert_eq!(planned.digests["grant"], granted.digests["grant"]);
    assert_eq!(planned.counts["grant-version"], granted.counts["version"]);

    // No secret, no argument value (each call names the organisation), no answer.
    let text = fs::read_to_string(porthole.file("log.jsonl")).unwrap();
    let member = fake.member_logins().into_iter().next().unwrap();
    for absent in [TOKEN, "canary-org", member.as_str()] {
        assert!(!text.contains(absent), "`{absent}` is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_prove_and_hold_on_to_what_happened_and_forgeries_do_not_hold() {
    let fake = fake().await;
    let world = WorldBuilder::github(&fake).unwrap().build().await.unwrap();
    let run = world.run().await.unwrap();
    let porthole = Porthole::new(Some(world.database.url()));
    let shown = porthole.ok(&format!("audit show {}", run.id));
    for word in ["run.queued", "person:tester", "worker:test-worker", "run.finished", "calls: ", "(as recorded)"] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    let shown: serde_json::Value =
        serde_json::from_str(&porthole.ok(&format!("audit show {} --json", run.id))).unwrap();
    let begun: u64 = shown["operations"].as_object().unwrap().values().map(|o| o["begun"].as_u64().unwrap()).sum();
    assert_eq!(begun, world.calls(run.id).await.unwrap().len() as u64);

    // A proof that a third party checks with the key alone, for the tenant's log and for the platform's.
    let keys = porthole.ok("audit key");
    let (own, platform) = keys.split_once('\n').unwrap();
    let (own, platform) = (own.trim(), platform.trim());
    let record = shown["records"][0]["record"]["id"].as_str().unwrap();
    porthole.ok(&format!("audit prove {record} --out run.tlog-proof"));
    porthole.ok("audit prove 0 --platform --out platform.tlog-proof");
    let offline = Porthole::new(None);
    let proof = porthole.file("run.tlog-proof");
    let proved = offline.ok(&format!("audit verify-proof {} --key {own}", proof.display()));
    assert!(proved.contains("run.queued") && proved.contains(record), "{proved}");
    let of_platform = porthole.file("platform.tlog-proof");
    offline.ok(&format!("audit verify-proof {} --key {platform}", of_platform.display()));
    offline.refused(&format!("audit verify-proof {} --key {platform}", proof.display()));
    let text = fs::read_to_string(&proof).unwrap();
    let forged = offline.file("forged.tlog-proof");
    fs::write(&forged, text.replacen("index ", "index 1", 1)).unwrap();
    offline.refused(&format!("audit verify-proof forged.tlog-proof --key {own}"));

    // An export, its forgery, another log's key, and an older copy.
    porthole.ok("audit export --out first.jsonl");
    porthole.ok("audit export --out second.jsonl");
    porthole.ok("audit export --platform --out platform.jsonl");
    let first = porthole.file("first.jsonl");
    offline.ok(&format!("audit verify {} --key {own} --keep first.checkpoint", first.display()));
    let second = porthole.file("second.jsonl");
    offline.ok(&format!(
        "audit verify {} --key {own} --checkpoint first.checkpoint --keep second.checkpoint",
        second.display()
    ));
    let older =
        offline.refused(&format!("audit verify {} --key {own} --checkpoint second.checkpoint", first.display()));
    assert!(older.contains("older copy"), "{older}");
    offline.refused(&format!("audit verify {} --key {platform}", first.display()));
    offline.ok(&format!("audit verify {} --key {platform}", porthole.file("platform.jsonl").display()));
    let mut bytes = fs::read(&first).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(offline.file("flipped.jsonl"), bytes).unwrap();
    let flipped = offline.refused(&format!("audit verify flipped.jsonl --key {own}"));
    assert!(flipped.contains("FAULT line"), "{flipped}");
    // Reading was logged.
    let listed = porthole.ok("audit list");
    for word in ["audit.shown", "audit.proved", "audit.exported"] {
        assert!(listed.contains(word), "{word}: {listed}");
    }
    assert!(porthole.ok("audit status").contains("(the platform)"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_signs_a_log_that_grows_and_refuses_one_that_forked() {
    let database = TestDatabase::new().await.unwrap();
    let store = database.store().clone();
    let mut tx = store.begin().await.unwrap();
    let tenant = tenants::create(&op(), &mut tx, &"acme".parse().unwrap()).await.unwrap();
    tx.commit().await.unwrap();
    let porthole = Porthole::new(Some(database.url()));
    let add = async |n: u64| {
        let mut tx = store.tenant(tenant.id).await.unwrap();
        append_all(&op(), &mut tx, (0..n).map(entry).collect()).await.unwrap();
        tx.commit().await.unwrap();
    };
    let witness = |request: &str, key: &str| {
        format!(
            "audit witness {request} --log-key {key} --key witness.key --name witness.test --state seen --out cosigned"
        )
    };
    add(3).await;
    porthole.ok("audit checkpoint --out first");
    let key = porthole.ok("audit key").lines().next().unwrap().to_owned();
    let size: u64 = fs::read_to_string(porthole.file("first")).unwrap().lines().nth(1).unwrap().parse().unwrap();
    let output = porthole.call(&witness("first", &key));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stderr).unwrap();
    let witness_key = told.trim().rsplit(' ').next().unwrap().to_owned();
    // It grew, and shows it.
    add(300).await;
    porthole.ok("audit checkpoint --out bare");
    assert!(porthole.refused(&witness("bare", &key)).contains(&format!("--since {size}")));
    porthole.ok(&format!("audit checkpoint --since {size} --out second"));
    porthole.ok(&witness("second", &key));
    assert_eq!(fs::read_to_string(porthole.file("cosigned")).unwrap().matches('\u{2014}').count(), 2);
    porthole.refused(&witness("first", &key));

    // The same key signs another history of the same size: a fork.
    let cosigned = fs::read_to_string(porthole.file("cosigned")).unwrap();
    let mut lines = cosigned.lines();
    let (origin, size) = (lines.next().unwrap(), lines.next().unwrap().parse::<u64>().unwrap());
    let mut frontier = Frontier::new();
    for n in 0..size {
        frontier.push(leaf_hash(&n.to_be_bytes()));
    }
    let signing = LogKey::open(&porthole.file("audit-signing.key")).unwrap();
    let origin = porthole_audit::name::KeyName::new(origin).unwrap();
    let forged = porthole_audit::checkpoint::Checkpoint::new(origin.clone(), size, frontier.root());
    fs::write(porthole.file("forged"), forged.sign(&signing.signer(origin)).unwrap().to_string()).unwrap();
    let refused = porthole.refused(&witness("forged", &key));
    assert!(refused.contains("FORK") && refused.contains("both checkpoints are kept"), "{refused}");
    assert!(witness_key.starts_with("witness.test+"), "{witness_key}");
}

fn entry(n: u64) -> Entry {
    Entry::new(Action::DataDeleted, Object::new("test", n)).count("n", n)
}

/// Every leaf of a log, with its hashes checked against the head.
async fn leaves(store: &Store, log: Log) -> Vec<Record> {
    let mut tx = LogTx::open(store, log).await.unwrap();
    let head = tx.head().await.unwrap();
    let all = tx.leaves(0, head.size, 10_000_000, u64::MAX >> 1).await.unwrap();
    assert_eq!(all.len() as u64, head.size);
    let mut frontier = Frontier::new();
    for leaf in &all {
        assert_eq!(frontier.push(leaf_hash(leaf.record.as_bytes())), leaf.index);
    }
    assert_eq!(Some(frontier.root().0), head.root);
    all.iter().map(|l| Record::parse(l.record.as_bytes()).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_while_sequencing_loses_and_doubles_no_record() {
    let database = TestDatabase::new().await.unwrap();
    let store = database.store().clone();
    let mut tx = store.begin().await.unwrap();
    let mut logs = Vec::new();
    for name in ["one", "two"] {
        logs.push(tenants::create(&op(), &mut tx, &name.parse().unwrap()).await.unwrap().id);
    }
    tx.commit().await.unwrap();
    let porthole = Porthole::new(Some(database.url()));
    let mut written: u64 = 0;
    for _ in 0..KILLS {
        let mut worker = porthole.command().arg("work").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // It takes a moment to start; the kill comes while it is at it, or a little before or after.
        let until = Instant::now() + Duration::from_millis(rand::rng().random_range(50..500));
        while Instant::now() < until {
            for tenant in &logs {
                let mut tx = store.tenant(*tenant).await.unwrap();
                append_all(&op(), &mut tx, (written..written + 200).map(entry).collect()).await.unwrap();
                tx.commit().await.unwrap();
            }
            written += 200;
        }
        worker.kill().unwrap();
        worker.wait().unwrap();
    }
    let signer = LogSigner::open(&store, &porthole.file("audit-signing.key"), None).await.unwrap();
    // A killed client's last transaction ends when the server notices.
    let end = Instant::now() + Duration::from_secs(60);
    let left = async || {
        let mut pending = 0;
        for tenant in &logs {
            pending += LogTx::open(&store, Log::Tenant(*tenant)).await.unwrap().pending().await.unwrap();
        }
        pending
    };
    while left().await > 0 {
        assert!(Instant::now() < end, "records stay pending");
        sequencer::drain(&store, &signer).await.unwrap();
    }
    for tenant in &logs {
        let numbers: Vec<u64> = leaves(&store, Log::Tenant(*tenant))
            .await
            .iter()
            .filter(|r| r.action == Action::DataDeleted)
            .map(|r| r.counts["n"])
            .collect();
        assert_eq!(numbers, (0..written).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_machines_key_signs_nothing() {
    let database = TestDatabase::new().await.unwrap();
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    signer(database.store(), here.path()).await;
    signer(database.store(), here.path()).await;
    let open = |path: PathBuf| async move { LogSigner::open(database.store(), &path, Some("porthole.test")).await };
    let path = there.path().join("audit-signing.key");
    // Without the key it says so, and makes none.
    assert!(matches!(open(path.clone()).await, Err(SequenceError::NoKey { .. })));
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_key_is_told_from_the_right_one() {
    let database = TestDatabase::new().await.unwrap();
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    signer(database.store(), here.path()).await;
    let path = there.path().join("audit-signing.key");
    LogKey::open_or_create(&path).unwrap();
    let other = LogSigner::open(database.store(), &path, Some("porthole.test")).await;
    assert!(matches!(other, Err(SequenceError::OtherSigner { .. })));
}

/// Not a benchmark: it says what this machine does, and fails only where something is badly wrong.
#[tokio::test(flavor = "multi_thread")]
async fn sequencing_keeps_up() {
    const RECORDS: u64 = 50_000;
    let database = TestDatabase::new().await.unwrap();
    let store = database.store().clone();
    let folder = tempfile::tempdir().unwrap();
    let mut tx = store.begin().await.unwrap();
    let tenant = tenants::create(&op(), &mut tx, &"acme".parse().unwrap()).await.unwrap().id;
    tx.commit().await.unwrap();
    let began = Instant::now();
    for batch in 0..RECORDS / 1_000 {
        let mut tx = store.tenant(tenant).await.unwrap();
        append_all(&op(), &mut tx, (batch * 1_000..(batch + 1) * 1_000).map(entry).collect()).await.unwrap();
        tx.commit().await.unwrap();
    }
    let appended = began.elapsed();
    let signer = signer(&store, folder.path()).await;
    let began = Instant::now();
    let sequenced = sequencer::drain(&store, &signer).await.unwrap();
    let took = began.elapsed();
    println!(
        "appended {:.0} records/s, sequenced {:.0} records/s",
        RECORDS as f64 / appended.as_secs_f64(),
        sequenced as f64 / took.as_secs_f64()
    );
    assert!(sequenced > RECORDS);
    assert!(took < Duration::from_secs(60));
    let mut seen: HashMap<u64, u64> = HashMap::new();
    for record in leaves(&store, Log::Tenant(tenant)).await {
        if let Some(n) = record.counts.get("n") {
            *seen.entry(*n).or_default() += 1;
        }
    }
    assert!(seen.len() as u64 == RECORDS && seen.values().all(|n| *n == 1));
}
