//! The audit logs in the database: with the change or not at all, in order, never changed.

use crate::world::{World, ctx, found, name, thing};
use porthole_model::audit::{Action, Entry, Log, Object, Record, commitment};
use porthole_model::context::{Actor, OpContext};
use porthole_model::grant::{Denial, Grant, Layer};
use porthole_model::run::{Outcome, RunMode};
use porthole_store::audit::read::LogTx;
use porthole_store::audit::sequence::{self, Grown, StepLimits};
use porthole_store::audit::{append, append_all, record_config};
use porthole_store::calls::{self, CallEnd, DeniedCall, EndedCall, NewCall};
use porthole_store::instances::{self, InstanceUpdate};
use porthole_store::runs::{self, NewRun, RunFinish, RunStart};
use porthole_store::{Store, StoreError, grants, tenants};
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use std::collections::{BTreeMap, HashMap};

const STEP: StepLimits = StepLimits { records: 100, bytes: 1 << 20 };

fn entry(n: u64) -> Entry {
    Entry::new(Action::DataDeleted, Object::new("test", n)).count("n", n)
}

/// Sequences without mathematics: the rows are what this is about.
async fn step(store: &Store, log: Log) -> usize {
    let Some(growing) = sequence::grow(store, log, STEP).await.unwrap() else { return 0 };
    let records = growing.pending.len();
    let hash = |n: usize| {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&(growing.size + n as u64).to_be_bytes());
        hash
    };
    let grown = Grown {
        leaf_hashes: (0..records).map(hash).collect(),
        nodes: Vec::new(),
        frontier: vec![1; 32],
        root: [2; 32],
        signer: "test".to_owned(),
        note: format!("{log} {}", growing.size),
    };
    growing.commit(grown).await.unwrap();
    records
}

pub(crate) async fn drain(store: &Store, log: Log) {
    while step(store, log).await > 0 {}
}

/// The records of a log, in order.
async fn records(store: &Store, log: Log) -> Vec<Record> {
    drain(store, log).await;
    let leaves = LogTx::open(store, log).await.unwrap().leaves(0, 1_000_000, 100_000, u64::MAX >> 1).await.unwrap();
    for (n, leaf) in leaves.iter().enumerate() {
        assert_eq!(leaf.index, n as u64, "a gap");
    }
    leaves.iter().map(|l| Record::parse(l.record.as_bytes()).unwrap()).collect()
}

async fn count(connection: &mut PgConnection, table: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {table}"))).fetch_one(connection).await.unwrap()
}

#[tokio::test]
async fn a_record_is_there_with_its_change_or_not_at_all() {
    let world = World::new().await;
    let mut admin = world.db.admin().await.unwrap();
    let before = (count(&mut admin, "audit_pending").await, count(&mut admin, "audit_queue").await);
    let mut tx = world.tx().await;
    append(&ctx(), &mut tx, entry(1)).await.unwrap();
    instances::update(
        &ctx(),
        &mut tx,
        world.instance.id,
        &InstanceUpdate { disabled: Some(true), ..InstanceUpdate::default() },
    )
    .await
    .unwrap();
    tx.rollback().await.unwrap();
    assert_eq!((count(&mut admin, "audit_pending").await, count(&mut admin, "audit_queue").await), before);
    let mut tx = world.tx().await;
    append_all(&ctx(), &mut tx, vec![entry(1), entry(2)]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(count(&mut admin, "audit_pending").await, before.0 + 2);
    assert_eq!(count(&mut admin, "audit_queue").await, before.1 + 2);
}

#[tokio::test]
async fn eight_appenders_and_two_sequencers_put_each_record_into_the_log_once_and_in_its_appenders_order() {
    let world = World::new().await;
    let log = Log::Tenant(world.tenant.id);
    drain(world.store(), log).await;
    let first = LogTx::open(world.store(), log).await.unwrap().head().await.unwrap().size;
    const APPENDERS: u64 = 8;
    const EACH: u64 = 100;
    let appenders = (0..APPENDERS).map(|a| {
        let (store, tenant) = (world.store().clone(), world.tenant.id);
        tokio::spawn(async move {
            for n in 0..EACH / 2 {
                let mut tx = store.tenant(tenant).await.unwrap();
                let two = vec![entry(a * EACH + 2 * n), entry(a * EACH + 2 * n + 1)];
                append_all(&ctx(), &mut tx, two).await.unwrap();
                // What is rolled back leaves a gap in the numbers, and none in the log.
                if n % 7 == 3 {
                    let mut other = store.tenant(tenant).await.unwrap();
                    append(&ctx(), &mut other, entry(1_000_000)).await.unwrap();
                    other.rollback().await.unwrap();
                }
                tx.commit().await.unwrap();
            }
        })
    });
    let appenders: Vec<_> = appenders.collect();
    let sequencers = (0..2).map(|_| {
        let store = world.store().clone();
        tokio::spawn(async move {
            let end = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
            while tokio::time::Instant::now() < end {
                let size = LogTx::open(&store, log).await.unwrap().head().await.unwrap().size;
                if size >= first + APPENDERS * EACH {
                    return;
                }
                if let Some(log) = sequence::next_log(&store, None).await.unwrap() {
                    step(&store, log).await;
                }
                if let Some(log) = sequence::next_log(&store, Some(Log::Platform)).await.unwrap() {
                    step(&store, log).await;
                }
            }
            panic!("the sequencers don't get on");
        })
    });
    let sequencers: Vec<_> = sequencers.collect();
    for task in appenders.into_iter().chain(sequencers) {
        task.await.unwrap();
    }
    let mut next: HashMap<u64, u64> = HashMap::new();
    let found = records(world.store(), log).await;
    for record in found.iter().filter(|r| r.action == Action::DataDeleted) {
        let n = record.counts["n"];
        assert_eq!(*next.get(&(n / EACH)).unwrap_or(&0), n % EACH, "out of order");
        next.insert(n / EACH, n % EACH + 1);
    }
    assert_eq!(next.len() as u64, APPENDERS);
    assert!(next.values().all(|n| *n == EACH));
    let mut ids: Vec<_> = found.iter().map(|r| r.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), found.len());
    let mut admin = world.db.admin().await.unwrap();
    assert_eq!(count(&mut admin, "audit_pending").await, 0);
}

#[tokio::test]
async fn a_sequencer_that_dies_before_its_commit_has_done_nothing_and_another_goes_on() {
    let world = World::new().await;
    let log = Log::Tenant(world.tenant.id);
    drain(world.store(), log).await;
    let mut tx = world.tx().await;
    append_all(&ctx(), &mut tx, (0..5).map(entry).collect()).await.unwrap();
    tx.commit().await.unwrap();
    let growing = sequence::grow(world.store(), log, STEP).await.unwrap().unwrap();
    assert_eq!(growing.pending.len(), 5);
    // The head is held, and nobody waits for it.
    assert!(sequence::grow(world.store(), log, STEP).await.unwrap().is_none());
    drop(growing);
    let mut taken = 0;
    while taken == 0 {
        taken = step(world.store(), log).await;
    }
    assert_eq!(taken, 5);
}

#[tokio::test]
async fn a_step_takes_no_more_than_its_limits_and_always_one() {
    let world = World::new().await;
    let log = Log::Tenant(world.tenant.id);
    drain(world.store(), log).await;
    let mut tx = world.tx().await;
    append_all(&ctx(), &mut tx, (0..10).map(entry).collect()).await.unwrap();
    tx.commit().await.unwrap();
    let taken = async |records, bytes| {
        // What was dropped is rolled back in a moment, not at once.
        loop {
            if let Some(growing) = sequence::grow(world.store(), log, StepLimits { records, bytes }).await.unwrap() {
                return growing.pending.len();
            }
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(taken(3, 1 << 20).await, 3);
    assert_eq!(taken(100, 1).await, 1);
    assert_eq!(taken(100, 300).await, 2);
    assert_eq!(taken(100, 1 << 20).await, 10);
}

#[tokio::test]
async fn the_application_can_not_change_or_delete_a_record_and_the_owner_not_by_accident() {
    let world = World::new().await;
    for log in [Log::Platform, Log::Tenant(world.tenant.id)] {
        drain(world.store(), log).await;
    }
    let tenant = world.tenant.id.to_string();
    let mut app = world.db.admin().await.unwrap();
    app.execute("SET ROLE porthole_app").await.unwrap();
    sqlx::query("SELECT set_config('porthole.tenant', $1, false)").bind(&tenant).execute(&mut app).await.unwrap();
    let mut owner = world.db.admin().await.unwrap();
    owner.execute("SET ROLE porthole_owner").await.unwrap();
    sqlx::query("SELECT set_config('porthole.tenant', $1, false)").bind(&tenant).execute(&mut owner).await.unwrap();
    let mut superuser = world.db.admin().await.unwrap();
    for prefix in ["audit", "platform_audit"] {
        for refused in [
            format!("UPDATE {prefix}_leaves SET record = ''"),
            format!("DELETE FROM {prefix}_leaves"),
            format!("TRUNCATE {prefix}_leaves"),
            format!("UPDATE {prefix}_nodes SET hash = ''"),
            format!("DELETE FROM {prefix}_nodes"),
            format!("UPDATE {prefix}_checkpoints SET note = ''"),
            format!("DELETE FROM {prefix}_checkpoints"),
            format!("DELETE FROM {prefix}_heads"),
            format!("TRUNCATE {prefix}_heads"),
            format!("UPDATE {prefix}_heads SET size = size - 1"),
            format!("UPDATE {prefix}_heads SET signer = 'me'"),
            format!("UPDATE {prefix}_pending SET record = ''"),
            format!("TRUNCATE {prefix}_pending"),
        ] {
            for connection in [&mut app, &mut owner, &mut superuser] {
                let error = connection.execute(AssertSqlSafe(refused.clone())).await.unwrap_err().to_string();
                let ours = error.contains("permission denied") || error.contains("audit: ");
                assert!(ours, "{refused}: {error}");
            }
        }
    }
    let mut next = LogTx::open(world.store(), Log::Tenant(world.tenant.id)).await.unwrap();
    assert!(next.head().await.unwrap().size > 0);
}

#[tokio::test]
async fn a_tenant_sees_its_own_log_and_the_platforms_and_no_others() {
    let world = World::new().await;
    let mut tx = world.store().begin().await.unwrap();
    let stranger = tenants::create(&ctx(), &mut tx, &name("stranger")).await.unwrap();
    tx.commit().await.unwrap();
    let own = records(world.store(), Log::Tenant(stranger.id)).await;
    assert_eq!(own.len(), 1);
    assert_eq!((own[0].action, own[0].object.id.as_str()), (Action::TenantCreated, stranger.id.to_string().as_str()));
    let platform = records(world.store(), Log::Platform).await;
    let words: Vec<&str> = platform.iter().map(|r| r.action.as_str()).collect();
    assert_eq!(words, ["tenant.created", "module.published", "tenant.created"]);
    assert!(records(world.store(), Log::Tenant(world.tenant.id)).await.len() > 1);
    let mut app = world.db.admin().await.unwrap();
    app.execute("SET ROLE porthole_app").await.unwrap();
    sqlx::query("SELECT set_config('porthole.tenant', $1, false)")
        .bind(stranger.id.to_string())
        .execute(&mut app)
        .await
        .unwrap();
    // No predicate: only row security stands between.
    assert_eq!(count(&mut app, "audit_leaves").await, 1);
    let forged = "INSERT INTO audit_leaves (tenant_id, idx, record_id, leaf_hash, record) \
                  VALUES ($1, 999, gen_random_uuid(), sha256(''), '{}')";
    let error = sqlx::query(forged).bind(world.tenant.id.0).execute(&mut app).await.unwrap_err().to_string();
    assert!(error.contains("row-level security"), "{error}");
}

#[tokio::test]
async fn every_state_of_a_run_and_every_call_has_its_record() {
    let world = World::new().await;
    let mut tx = world.tx().await;
    grants::set(&ctx(), &mut tx, world.instance.id, &Grant::default()).await.unwrap();
    tx.commit().await.unwrap();
    let run = world.queue(&world.instance).await;
    let claim = world.claim().await.claim;
    let mut tx = world.tx().await;
    let start = RunStart { plan: Some(serde_json::json!({ "steps": [] })), ..RunStart::default() };
    runs::record_start(&mut tx, &claim, &start).await.unwrap();
    let denial = Denial {
        layer: Layer::Granted,
        operation: "b".to_owned(),
        reason: "org `secret-org` isn't".to_owned(),
        remedy: String::new(),
    };
    let call = |seq, operation: &str| NewCall {
        seq,
        slice: crate::world::slice("things", "p"),
        operation: operation.to_owned(),
        request_bytes: 10,
    };
    let worker = runs::worker(&mut tx, &claim).await.unwrap();
    tx.commit().await.unwrap();
    let at = calls::begin(world.store(), &claim, &worker, &[call(1, "a"), call(2, "a")]).await.unwrap();
    let mut tx = world.tx().await;
    calls::deny(&mut tx, &claim, &[DeniedCall { call: call(3, "b"), denial }]).await.unwrap();
    let end = CallEnd {
        status: Some(200),
        fault_code: None,
        reused: false,
        attempts: 1,
        response_bytes: 77,
        waited_ms: 0,
        elapsed_ms: 1,
    };
    let ended = EndedCall { call: call(1, "a"), recorded_at: at, end };
    calls::end(&mut tx, &claim, &[ended]).await.unwrap();
    runs::request_cancel(&ctx(), &mut tx, run.id).await.unwrap();
    let finish = RunFinish::new(Outcome::Cancelled, None, "the guest said: secret-payload");
    runs::finish(&mut tx, &claim, &finish).await.unwrap();
    tx.commit().await.unwrap();
    let all = records(world.store(), Log::Tenant(world.tenant.id)).await;
    let words: Vec<&str> = all.iter().map(|r| r.action.as_str()).collect();
    let expected = [
        "tenant.created",
        "instance.created",
        "grant.set",
        "run.queued",
        "run.started",
        "run.planned",
        "calls.begun",
        "calls.denied",
        "calls.ended",
        "run.cancel-requested",
        "calls.ended",
        "run.finished",
    ];
    assert_eq!(words, expected);
    let of = |action| all.iter().filter(|r| r.action == action).collect::<Vec<_>>();
    for record in all.iter().filter(|r| r.action.as_str().starts_with("run.") || r.action.as_str().starts_with("calls"))
    {
        assert_eq!((record.run, record.instance), (Some(run.id), Some(world.instance.id)));
    }
    assert_eq!(of(Action::RunQueued)[0].actor, "person:ada");
    assert_eq!(of(Action::RunPlanned)[0].actor, "worker:worker-1");
    assert_eq!(of(Action::RunPlanned)[0].counts["platform-log-size"], 0);
    assert_eq!(of(Action::CallsBegun)[0].calls.len(), 2);
    assert_eq!(of(Action::CallsDenied)[0].calls[0].layer.as_deref(), Some("granted"));
    let ended: Vec<_> = of(Action::CallsEnded).iter().flat_map(|r| r.ends.clone()).collect();
    assert_eq!((ended[0].seq, ended[0].bytes, ended[0].status), (1, 77, Some(200)));
    assert_eq!((ended[1].seq, ended[1].fault.as_deref()), (2, Some("lost")));
    let finished = of(Action::RunFinished)[0];
    assert_eq!((finished.counts["calls"], finished.counts["calls-denied"], finished.counts["calls-lost"]), (2, 1, 1));
    assert_eq!(finished.facts["outcome"], "cancelled");
    let text: String = all.iter().map(Record::to_leaf).collect();
    assert!(!text.contains("secret-"), "{text}");
    // What the record holds on to can be shown with its salt.
    let mut log = LogTx::open(world.store(), Log::Tenant(world.tenant.id)).await.unwrap();
    let salt = log.by_record(finished.id).await.unwrap().salt.unwrap();
    assert_eq!(finished.digests["message"], commitment(&salt.try_into().unwrap(), finish.message.as_bytes()));
    assert_eq!(log.of_run(run.id, 0, 1_000).await.unwrap().len(), 9);
}

#[tokio::test]
async fn held_confirmed_applied_and_swept_runs_say_so() {
    let world = World::new().await;
    let (claim, input) = world.stage(&[found("things", vec![thing("a", 1), thing("b", 2)])]).await;
    let mut tx = world.tx().await;
    let would =
        porthole_store::reconcile::diff(&mut tx, &claim, input.staged, &input.sweepable()).await.unwrap().counts;
    tx.commit().await.unwrap();
    porthole_store::reconcile::hold(world.store(), &claim, &input, &would, "too many").await.unwrap();
    let mut tx = world.tx().await;
    runs::confirm(&ctx(), &mut tx, claim.run).await.unwrap();
    tx.commit().await.unwrap();
    let again = world.claim().await;
    porthole_store::reconcile::apply_held(world.store(), &again.claim).await.unwrap();
    let lost = world.queue(&world.instance).await;
    world.claim().await;
    world.expire(lost.id).await;
    runs::sweep(world.store(), "sweeper").await.unwrap();
    let all = records(world.store(), Log::Tenant(world.tenant.id)).await;
    let words = |run| -> Vec<&str> { all.iter().filter(|r| r.run == Some(run)).map(|r| r.action.as_str()).collect() };
    assert_eq!(
        words(claim.run),
        ["run.queued", "run.started", "run.held", "run.confirmed", "run.started", "run.finished"]
    );
    assert_eq!(words(lost.id), ["run.queued", "run.started", "run.swept"]);
    let held = all.iter().find(|r| r.action == Action::RunHeld).unwrap();
    assert_eq!((held.counts["created"], held.counts["thing/created"]), (2, 2));
    let finished = all.iter().find(|r| r.action == Action::RunFinished).unwrap();
    assert_eq!(finished.counts["created"], 2);
    let swept = all.iter().find(|r| r.action == Action::RunSwept).unwrap();
    assert_eq!((swept.actor.as_str(), swept.facts["outcome"].as_str()), ("worker:sweeper", "timed-out"));
}

#[tokio::test]
async fn a_change_of_an_instance_tells_what_changed_and_no_value() {
    let world = World::new().await;
    let config = BTreeMap::from([("login".to_owned(), "canary-value".to_owned())]);
    let mut tx = world.tx().await;
    let update = InstanceUpdate { config: Some(config.clone()), disabled: Some(true), ..InstanceUpdate::default() };
    instances::update(&ctx(), &mut tx, world.instance.id, &update).await.unwrap();
    // Nothing changes: nothing is recorded.
    instances::update(&ctx(), &mut tx, world.instance.id, &update).await.unwrap();
    tx.commit().await.unwrap();
    let all = records(world.store(), Log::Tenant(world.tenant.id)).await;
    let words: Vec<&str> = all.iter().map(|r| r.action.as_str()).collect();
    assert_eq!(words, ["tenant.created", "instance.created", "instance.changed", "instance.disabled"]);
    assert_eq!(all[2].facts["config-fields"], "login");
    assert!(!all[2].to_leaf().contains("canary-value"));
    let mut log = LogTx::open(world.store(), Log::Tenant(world.tenant.id)).await.unwrap();
    let salt = log.by_record(all[2].id).await.unwrap().salt.unwrap().try_into().unwrap();
    assert_eq!(all[2].digests["config"], commitment(&salt, serde_json::to_string(&config).unwrap().as_bytes()));
    assert_eq!(all[2].digests["config-before"], commitment(&salt, b"{}"));
}

#[tokio::test]
async fn the_operators_configuration_is_recorded_when_it_changes() {
    let world = World::new().await;
    let operator = OpContext::new(Actor::Person("operator".to_owned()));
    let mut seen = Vec::new();
    for text in [None, None, Some("a = 1"), Some("a = 1"), Some("a = 2"), None] {
        let mut tx = world.store().begin().await.unwrap();
        seen.push(record_config(&operator, &mut tx, "host:/porthole.toml", text).await.unwrap());
        tx.commit().await.unwrap();
        // Also while the last record is pending, and after it was sequenced.
        if seen.len() % 2 == 0 {
            drain(world.store(), Log::Platform).await;
        }
    }
    assert_eq!(seen, [true, false, true, false, true, true]);
    let all = records(world.store(), Log::Platform).await;
    let changes: Vec<&Record> = all.iter().filter(|r| r.action == Action::ConfigChanged).collect();
    assert_eq!(changes.len(), 4);
    assert!(!changes[0].digests.contains_key("before"));
    for two in changes.windows(2) {
        assert_eq!(two[0].digests["after"], two[1].digests["before"], "they follow each other");
    }
}

#[tokio::test]
async fn a_refused_act_leaves_no_record() {
    let world = World::new().await;
    let mut tx = world.store().begin().await.unwrap();
    let exists = tenants::create(&ctx(), &mut tx, &name("acme")).await;
    assert!(matches!(exists, Err(StoreError::Exists { .. })));
    drop(tx);
    let mut tx = world.tx().await;
    let new = NewRun { instance: porthole_model::id::InstanceId::new(), mode: RunMode::Apply, reason: "" };
    assert!(runs::create(&ctx(), &mut tx, new).await.is_err());
    tx.commit().await.unwrap();
    assert_eq!(records(world.store(), Log::Tenant(world.tenant.id)).await.len(), 2);
    assert_eq!(records(world.store(), Log::Platform).await.len(), 2);
}
