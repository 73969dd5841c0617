//! The queue and the ledger: claims, fences, sweeps.

use crate::world::{LEASE, World, ctx, found, instance_of, slice, stage, thing};
use porthole_model::grant::{Denial, Layer};
use porthole_model::run::{Claim, Counts, Outcome, RunState};
use porthole_store::calls::{self, CallEnd, DeniedCall, EndedCall, NewCall};
use porthole_store::instances::{self, InstanceUpdate};
use porthole_store::log::{self, Level, NewLine, Source};
use porthole_store::rejections::{self, Rejection};
use porthole_store::run_slices::{self, SliceEnd, SliceProgress};
use porthole_store::runs::{self, Heartbeat, NewRun, RunFinish, RunStart};
use porthole_store::{StoreError, staging};

#[tokio::test]
async fn a_run_is_claimed_once_and_finished() {
    let world = World::new().await;
    let run = world.queue(&world.instance).await;
    assert_eq!((run.state, run.requested_by.as_str()), (RunState::Queued, "person:ada"));
    let claimed = world.claim().await;
    assert_eq!((claimed.run.id, claimed.run.state, claimed.claim.fence), (run.id, RunState::Running, 1));
    assert_eq!(claimed.instance.name.as_str(), "main");
    assert!(runs::claim(world.store(), "worker-2", LEASE).await.unwrap().is_none());

    let mut tx = world.tx().await;
    let start = RunStart { plan: Some(serde_json::json!({ "steps": [] })), ..RunStart::default() };
    runs::record_start(&mut tx, &claimed.claim, &start).await.unwrap();
    let mut finish = RunFinish::new(Outcome::Failed, None, "no\0 luck");
    finish.counts = Counts::from([("thing".to_owned(), Default::default())]);
    runs::finish(&mut tx, &claimed.claim, &finish).await.unwrap();
    tx.commit().await.unwrap();
    let run = world.get(run.id).await;
    assert_eq!((run.state, run.outcome), (RunState::Finished, Some(Outcome::Failed)));
    assert_eq!(run.message, "no\u{fffd} luck");
    assert_eq!(run.plan, start.plan);
    assert!(run.counts.contains_key("thing") && run.finished_at >= run.started_at);

    // Finished records don't change.
    let mut tx = world.tx().await;
    let again = runs::finish(&mut tx, &claimed.claim, &RunFinish::new(Outcome::Succeeded, None, "")).await;
    assert!(again.unwrap_err().is_stale_claim());
    let cancel = runs::request_cancel(&ctx(), &mut world.tx().await, run.id).await;
    assert!(matches!(cancel, Err(StoreError::State { state: RunState::Finished, .. })));
}

#[tokio::test]
async fn many_workers_share_the_queue_and_none_gets_a_run_twice() {
    let world = World::new().await;
    let mut wanted = Vec::new();
    for n in 0..6 {
        let instance = instance_of(world.store(), &world.tenant, &format!("i{n}")).await;
        wanted.push(world.queue(&instance).await.id);
        // The second waits for the first.
        world.queue(&instance).await;
    }
    let workers = (0..12).map(|n| {
        let store = world.store().clone();
        tokio::spawn(async move { runs::claim(&store, &format!("worker-{n}"), LEASE).await.unwrap() })
    });
    let mut got = Vec::new();
    for worker in workers.collect::<Vec<_>>() {
        got.extend(worker.await.unwrap().map(|claimed| claimed.run.id));
    }
    // Whoever lost a race may have gone away empty-handed; what is left is still there.
    while let Some(claimed) = runs::claim(world.store(), "late", LEASE).await.unwrap() {
        got.push(claimed.run.id);
    }
    got.sort();
    wanted.sort();
    assert_eq!(got, wanted);
}

#[tokio::test]
async fn an_instance_has_one_active_run_and_the_next_waits_its_turn() {
    let world = World::new().await;
    let (first, second) = (world.queue(&world.instance).await, world.queue(&world.instance).await);
    let claimed = world.claim().await;
    assert_eq!(claimed.run.id, first.id);
    assert!(runs::claim_run(world.store(), "w", LEASE, second.id).await.unwrap().is_none());
    let mut tx = world.tx().await;
    runs::finish(&mut tx, &claimed.claim, &RunFinish::new(Outcome::Failed, None, "")).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(runs::claim_run(world.store(), "w", LEASE, second.id).await.unwrap().unwrap().run.id, second.id);
}

#[tokio::test]
async fn a_disabled_instance_gets_no_run() {
    let world = World::new().await;
    let mut tx = world.tx().await;
    let update = InstanceUpdate { disabled: Some(true), ..InstanceUpdate::default() };
    instances::update(&ctx(), &mut tx, world.instance.id, &update).await.unwrap();
    let new = NewRun { instance: world.instance.id, mode: porthole_model::run::RunMode::Plan, reason: "" };
    assert!(matches!(runs::create(&ctx(), &mut tx, new).await, Err(StoreError::Disabled(n)) if n == "main"));
}

#[tokio::test]
async fn a_lost_worker_is_swept_and_can_do_nothing_any_more() {
    let world = World::new().await;
    world.queue(&world.instance).await;
    let claim = world.claim().await.claim;
    stage(world.store(), claim, &[found("things", vec![thing("a", 1)])]).await.unwrap();
    let mut tx = world.tx().await;
    run_slices::start(&mut tx, &claim, &slice("things", "")).await.unwrap();
    tx.commit().await.unwrap();
    begin(&world, &claim, &[call(1), call(2)]).await.unwrap();
    let first = ended(1, runs::get(&mut world.tx().await, claim.run).await.unwrap().queued_at);
    let mut tx = world.tx().await;
    calls::end(&mut tx, &claim, &[first]).await.unwrap();
    tx.commit().await.unwrap();
    assert!(runs::sweep(world.store(), "sweeper").await.unwrap().is_empty());
    assert_eq!(staging_tables(&world).await, 1);

    world.expire(claim.run).await;
    let swept = runs::sweep(world.store(), "sweeper").await.unwrap();
    assert_eq!((swept.len(), swept[0].run, swept[0].worker.as_str()), (1, claim.run, "worker-1"));
    assert_eq!(staging_tables(&world).await, 0);
    let run = world.get(claim.run).await;
    assert_eq!(run.outcome, Some(Outcome::TimedOut));
    assert!(run.message.contains("worker-1"), "{}", run.message);
    let mut tx = world.tx().await;
    assert_eq!(run_slices::list(&mut tx, claim.run).await.unwrap()[0].outcome, Some(Outcome::TimedOut));
    let calls = calls::list(&mut tx, claim.run, 0, 10).await.unwrap();
    let faults: Vec<_> = calls.iter().map(|c| (c.seq, c.fault_code.as_deref(), c.completed_at.is_some())).collect();
    assert_eq!(faults, [(1, Some("status"), true), (2, Some("lost"), true)]);
    drop(tx);

    assert!(runs::heartbeat(world.store(), &claim, LEASE).await.unwrap_err().is_stale_claim());
    assert_everything_is_refused(&world, &claim).await;
}

async fn assert_everything_is_refused(world: &World, claim: &Claim) {
    let mut tx = world.tx().await;
    let slice = slice("things", "");
    assert!(run_slices::start(&mut tx, claim, &slice).await.unwrap_err().is_stale_claim());
    assert!(run_slices::announce(&mut tx, claim, &[slice]).await.unwrap_err().is_stale_claim());
    assert!(runs::worker(&mut tx, claim).await.unwrap_err().is_stale_claim());
    let denied = DeniedCall { call: call(3), denial: denial() };
    assert!(calls::deny(&mut tx, claim, &[denied]).await.unwrap_err().is_stale_claim());
    let late = ended(2, jiff::Timestamp::now());
    assert!(calls::end(&mut tx, claim, &[late]).await.unwrap_err().is_stale_claim());
    assert!(runs::record_start(&mut tx, claim, &RunStart::default()).await.unwrap_err().is_stale_claim());
    let finish = RunFinish::new(Outcome::Succeeded, None, "");
    assert!(runs::finish(&mut tx, claim, &finish).await.unwrap_err().is_stale_claim());
    drop(tx);
    assert!(calls::begin(world.store(), claim, &ctx(), &[call(4)]).await.unwrap_err().is_stale_claim());
    let staged = stage(world.store(), *claim, &[found("things", vec![thing("a", 1)])]).await;
    assert!(staged.unwrap_err().is_stale_claim());
}

#[tokio::test]
async fn a_staging_table_without_a_claim_is_swept() {
    let world = World::new().await;
    let (claim, _) = world.stage(&[found("things", vec![thing("a", 1)])]).await;
    assert_eq!(staging::sweep(world.store()).await.unwrap(), 0);
    sqlx::query("DELETE FROM run_queue WHERE run_id = $1")
        .bind(claim.run.0)
        .execute(&mut world.db.admin().await.unwrap())
        .await
        .unwrap();
    assert_eq!(staging::sweep(world.store()).await.unwrap(), 1);
    assert_eq!(staging_tables(&world).await, 0);
}

pub(crate) async fn staging_tables(world: &World) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM pg_tables WHERE schemaname = 'staging'")
        .fetch_one(&mut world.db.admin().await.unwrap())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_heartbeat_extends_the_lease_brings_a_cancel_and_never_waits() {
    let world = World::new().await;
    world.queue(&world.instance).await;
    let claim = world.claim().await.claim;
    world.expire(claim.run).await;
    // Late, but nobody swept it: the run goes on.
    let beat = runs::heartbeat(world.store(), &claim, LEASE).await.unwrap();
    assert_eq!(beat, Heartbeat { cancel_requested: false });
    assert!(runs::sweep(world.store(), "sweeper").await.unwrap().is_empty());

    let mut tx = world.tx().await;
    let run = runs::request_cancel(&ctx(), &mut tx, claim.run).await.unwrap();
    assert_eq!((run.state, run.cancelled_by.as_deref()), (RunState::Running, Some("person:ada")));
    // The row is locked by the transaction above, as by a reconcile.
    let beat = runs::heartbeat(world.store(), &claim, LEASE).await.unwrap();
    assert_eq!(beat, Heartbeat { cancel_requested: false });
    tx.commit().await.unwrap();
    let beat = runs::heartbeat(world.store(), &claim, LEASE).await.unwrap();
    assert_eq!(beat, Heartbeat { cancel_requested: true });
}

#[tokio::test]
async fn a_queued_run_is_cancelled_at_once() {
    let world = World::new().await;
    let run = world.queue(&world.instance).await;
    let mut tx = world.tx().await;
    let run = runs::request_cancel(&ctx(), &mut tx, run.id).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((run.state, run.outcome), (RunState::Finished, Some(Outcome::Cancelled)));
    assert!(runs::claim(world.store(), "w", LEASE).await.unwrap().is_none());
    assert_eq!(runs::queued_tenant(world.store(), run.id).await.unwrap(), None);
}

fn call(seq: i64) -> NewCall {
    NewCall { seq, slice: slice("things", "eu"), operation: "list-things".to_owned(), request_bytes: 100 }
}

fn denial() -> Denial {
    Denial {
        layer: Layer::Granted,
        operation: "x".to_owned(),
        reason: "not granted".to_owned(),
        remedy: "porthole grant".to_owned(),
    }
}

fn ended(seq: i64, recorded_at: jiff::Timestamp) -> EndedCall {
    let end = CallEnd {
        status: Some(403),
        fault_code: Some("status".to_owned()),
        reused: false,
        attempts: 2,
        response_bytes: 10,
        waited_ms: 5,
        elapsed_ms: 50,
    };
    EndedCall { call: call(seq), recorded_at, end }
}

async fn begin(world: &World, claim: &Claim, calls: &[NewCall]) -> Result<jiff::Timestamp, StoreError> {
    let worker = runs::worker(&mut world.tx().await, claim).await?;
    calls::begin(world.store(), claim, &worker, calls).await
}

#[tokio::test]
async fn calls_are_recorded_before_and_completed_once() {
    let world = World::new().await;
    world.queue(&world.instance).await;
    let claim = world.claim().await.claim;
    let at = begin(&world, &claim, &[call(1), call(3)]).await.unwrap();
    let mut tx = world.tx().await;
    let denied = DeniedCall { call: call(2), denial: denial() };
    calls::deny(&mut tx, &claim, &[denied]).await.unwrap();
    let listed = calls::list(&mut tx, claim.run, 0, 10).await.unwrap();
    assert_eq!(listed.iter().map(|c| c.completed_at.is_some()).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(listed.iter().map(|c| c.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(
        (listed[0].recorded_at, listed[0].request_bytes, listed[0].operation.as_str()),
        (at, 100, "list-things")
    );
    assert_eq!(calls::list(&mut tx, claim.run, 1, 1).await.unwrap()[0].seq, 2);
    calls::end(&mut tx, &claim, &[ended(1, at), ended(3, at)]).await.unwrap();
    let listed = calls::list(&mut tx, claim.run, 1, 10).await.unwrap();
    assert_eq!((listed.len(), listed[1].status, listed[1].attempts), (2, Some(403), 2));
    assert_eq!(listed[1].recorded_at, at);
    let uses = calls::by_operation(&mut tx, claim.run).await.unwrap();
    assert_eq!((uses[0].allowed, uses[0].denied, uses[0].faults, uses[0].response_bytes), (2, 1, 2, 20));
    let denials = calls::denials(&mut tx, claim.run).await.unwrap();
    assert_eq!((denials.len(), denials[0].layer.as_deref()), (1, Some("granted")));
    tx.commit().await.unwrap();
    let mut tx = world.tx().await;
    assert!(calls::end(&mut tx, &claim, &[ended(1, at)]).await.is_err(), "completed twice");
    drop(tx);
    assert!(begin(&world, &claim, &[call(1)]).await.is_err(), "begun twice");
}

#[tokio::test]
async fn what_is_written_of_a_call_stays_as_it_is() {
    let world = World::new().await;
    world.queue(&world.instance).await;
    let claim = world.claim().await.claim;
    let at = begin(&world, &claim, &[call(1)]).await.unwrap();
    let mut tx = world.tx().await;
    calls::end(&mut tx, &claim, &[ended(1, at)]).await.unwrap();
    tx.commit().await.unwrap();
    for table in ["run_calls", "run_call_batches"] {
        let mut admin = world.db.admin().await.unwrap();
        sqlx::query("SET ROLE porthole_app").execute(&mut admin).await.unwrap();
        let change = sqlx::AssertSqlSafe(format!("UPDATE porthole.{table} SET recorded_at = now()"));
        let refused = sqlx::query(change).execute(&mut admin).await.unwrap_err().to_string();
        assert!(refused.contains("permission denied"), "{refused}");
    }
    let mut tx = world.tx().await;
    runs::finish(&mut tx, &claim, &RunFinish::new(Outcome::Succeeded, None, "")).await.unwrap();
    let calls = calls::list(&mut tx, claim.run, 0, 10).await.unwrap();
    assert_eq!((calls.len(), calls[0].fault_code.as_deref()), (1, Some("status")));
    tx.commit().await.unwrap();
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM porthole.run_call_batches")
        .fetch_one(&mut world.db.admin().await.unwrap())
        .await
        .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_tenant_cannot_record_calls_of_anothers_run() {
    let world = World::new().await;
    world.queue(&world.instance).await;
    let claim = world.claim().await.claim;
    let stranger = Claim { tenant: porthole_model::id::TenantId::new(), ..claim };
    let refused = calls::begin(world.store(), &stranger, &ctx(), &[call(1)]).await.unwrap_err();
    assert!(refused.is_stale_claim(), "{refused}");
    assert!(calls::list(&mut world.tx().await, claim.run, 0, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn slices_log_and_rejections_of_a_run_can_be_read() {
    let world = World::new().await;
    world.queue(&world.instance).await;
    let claim = world.claim().await.claim;
    let (things, more) = (slice("things", "eu"), slice("more", ""));
    let mut tx = world.tx().await;
    run_slices::announce(&mut tx, &claim, &[things.clone(), more.clone()]).await.unwrap();
    run_slices::start(&mut tx, &claim, &things).await.unwrap();
    let progress =
        SliceProgress { slice: things.clone(), done: 3, total: Some(9), note: "waits 5 s for the limit".to_owned() };
    run_slices::progress(&mut tx, &claim, &[progress]).await.unwrap();
    let seen = &run_slices::list(&mut tx, claim.run).await.unwrap()[0];
    assert_eq!((seen.done, seen.total, seen.note.as_str()), (3, Some(9), "waits 5 s for the limit"));
    let end = SliceEnd {
        outcome: Outcome::Partial,
        complete: false,
        reason: "a page was denied".to_owned(),
        counts: Counts::new(),
        usage: None,
    };
    run_slices::finish(&mut tx, &claim, &things, &end).await.unwrap();
    run_slices::finish(&mut tx, &claim, &slice("off", ""), &SliceEnd { outcome: Outcome::Skipped, ..end })
        .await
        .unwrap();
    let states: Vec<_> = run_slices::list(&mut tx, claim.run)
        .await
        .unwrap()
        .into_iter()
        .map(|s| (s.slice.to_string(), s.state, s.outcome))
        .collect();
    assert_eq!(
        states,
        [
            ("things/eu".to_owned(), "finished".to_owned(), Some(Outcome::Partial)),
            ("more".to_owned(), "queued".to_owned(), None),
            ("off".to_owned(), "finished".to_owned(), Some(Outcome::Skipped)),
        ]
    );

    let line =
        |seq, slice| NewLine { seq, level: Level::Warn, source: Source::Guest, slice, message: "a\0b".to_owned() };
    log::append(&mut tx, &claim, &[line(1, None), line(2, Some(things.clone()))]).await.unwrap();
    let lines = log::read(&mut tx, claim.run, 1, 10).await.unwrap();
    assert_eq!((lines.len(), lines[0].step.as_str(), lines[0].message.as_str()), (1, "things", "a\u{fffd}b"));

    let rejection = Rejection {
        seq: 1,
        slice: things,
        object_type: "thing".to_owned(),
        object_key: "k".repeat(5000),
        reason: "key over 1024 bytes".to_owned(),
    };
    rejections::append(&mut tx, &claim, &[rejection]).await.unwrap();
    let read = rejections::list(&mut tx, claim.run, 0, 10).await.unwrap();
    assert_eq!((read.len(), read[0].object_key.len()), (1, 200));
}
