//! From staging into the graph.

use crate::runs::staging_tables;
use crate::world::{Found, LEASE, World, counts, ctx, cut_short, entity, found, has, slice, thing};
use porthole_model::object::KeyHash;
use porthole_model::run::{Counts, Outcome, RunState};
use porthole_store::changes::{self, ChangeOp};
use porthole_store::reconcile::{self, ReconcileInput, Reconciled, SliceResult};
use porthole_store::staging::{ObjectKind, StagingWriter};
use porthole_store::{StoreError, graph, runs, slices};
use uuid::Uuid;

async fn keys(world: &World) -> Vec<String> {
    let filter = graph::EntityFilter::default();
    let page = graph::entities(&mut world.tx().await, &filter, None, 100).await.unwrap();
    page.entities.into_iter().map(|e| e.key).collect()
}

/// Which transaction wrote each row: a row that is rewritten changes it, whatever is in it.
pub(crate) async fn writers(world: &World) -> Vec<(String, String)> {
    sqlx::query_as(
        "SELECT _key, xmin::text FROM entities UNION ALL SELECT _key, xmin::text FROM relationships ORDER BY 1",
    )
    .fetch_all(&mut world.db.admin().await.unwrap())
    .await
    .unwrap()
}

async fn dangling(world: &World) -> Vec<(String, bool)> {
    sqlx::query_as("SELECT _key, dangling FROM relationships ORDER BY 1")
        .fetch_all(&mut world.db.admin().await.unwrap())
        .await
        .unwrap()
}

#[tokio::test]
async fn created_updated_unchanged_and_deleted_are_counted_and_written() {
    let world = World::new().await;
    let rows = vec![thing("a", 1), thing("b", 1), thing("c", 1), has("a", "b"), has("a", "c")];
    let first = world.collect(&[found("things", rows)]).await;
    assert_eq!(counts(&first, "thing"), [3, 0, 0, 0]);
    assert_eq!(counts(&first, "thing_has_thing"), [2, 0, 0, 0]);
    assert_eq!((first.generation, first.dangling), (1, 0));

    let rows = vec![thing("a", 1), thing("b", 2), thing("d", 1), has("a", "b")];
    let second = world.collect(&[found("things", rows)]).await;
    assert_eq!(counts(&second, "thing"), [1, 1, 1, 1]);
    assert_eq!(counts(&second, "thing_has_thing"), [0, 0, 1, 1]);
    assert_eq!(keys(&world).await, ["a", "b", "d"]);
    assert_eq!(staging_tables(&world).await, 0);

    let run = runs::list(&mut world.tx().await, None, 1).await.unwrap().remove(0);
    assert_eq!((run.state, run.outcome), (RunState::Finished, Some(Outcome::Succeeded)));
    assert_eq!(run.counts, second.counts);
    let changes = changes::of_run(&mut world.tx().await, world.instance.id, run.id, 100).await.unwrap();
    let seen: Vec<_> = changes.iter().map(|c| (c.op, c.kind, c.key.as_str())).collect();
    assert_eq!(
        seen,
        [
            (ChangeOp::Updated, ObjectKind::Entity, "b"),
            (ChangeOp::Deleted, ObjectKind::Entity, "c"),
            (ChangeOp::Created, ObjectKind::Entity, "d"),
            (ChangeOp::Deleted, ObjectKind::Relationship, "a|has|c"),
        ]
    );
    assert_eq!(changes[0].former.as_ref().unwrap()["properties"]["n"], 1);
    assert_eq!(changes[0].properties.as_ref().unwrap()["n"], 2);
    assert_eq!(changes[3].former.as_ref().unwrap()["from"], "a");
}

#[tokio::test]
async fn a_second_run_on_the_same_data_writes_no_row() {
    let world = World::new().await;
    let rows = || vec![found("things", vec![thing("a", 1), thing("b", 1), has("a", "b"), has("a", "missing")])];
    world.collect(&rows()).await;
    let before = writers(&world).await;
    let second = world.collect(&rows()).await;
    assert_eq!(counts(&second, "thing"), [0, 0, 2, 0]);
    assert_eq!(counts(&second, "thing_has_thing"), [0, 0, 2, 0]);
    assert_eq!(writers(&world).await, before);
}

#[tokio::test]
async fn an_object_that_is_staged_but_the_same_is_not_rewritten_either() {
    let world = World::new().await;
    world.collect(&[found("things", vec![thing("a", 1)])]).await;
    let before = writers(&world).await;
    // A worker that doesn't know: the reconcile looks. And one object comes twice, from two slices.
    let key = slice("things", "");
    let mut tx = world.tx().await;
    let id = slices::ensure(&mut tx, world.instance.id, std::slice::from_ref(&key)).await.unwrap()[&key];
    tx.commit().await.unwrap();
    world.queue(&world.instance).await;
    let claim = world.claim().await.claim;
    let mut writer = StagingWriter::new(world.store(), claim);
    writer.updated(id, &thing("a", 2)).await.unwrap();
    writer.replaced(true, id, &thing("a", 1)).await.unwrap();
    let staged = writer.finish().await.unwrap();
    assert_eq!((staged.rows, staged.duplicates), (1, 1));
    let input = ReconcileInput {
        generation: 1,
        staged,
        slices: vec![SliceResult { slice_id: id, complete: true, reason: String::new() }],
        retired: vec![],
        finish: runs::RunFinish::new(Outcome::Succeeded, None, ""),
    };
    let done = reconcile::apply(world.store(), &claim, &input).await.unwrap();
    assert_eq!(counts(&done, "thing"), [0, 0, 1, 0]);
    assert_eq!(writers(&world).await, before);
}

#[tokio::test]
async fn an_object_that_is_staged_as_new_and_is_not_stops_everything() {
    let world = World::new().await;
    world.collect(&[found("things", vec![thing("a", 1), has("a", "b")])]).await;
    let before = writers(&world).await;
    for row in [thing("a", 2), has("a", "b")] {
        let (claim, mut input) = world.stage(&[found("things", vec![thing("a", 1), has("a", "b")])]).await;
        let mut writer = StagingWriter::new(world.store(), claim);
        writer.created(input.slices[0].slice_id, &thing("new", 1)).await.unwrap();
        writer.created(input.slices[0].slice_id, &row).await.unwrap();
        input.staged = writer.finish().await.unwrap();
        let refused = reconcile::apply(world.store(), &claim, &input).await;
        assert!(matches!(refused, Err(StoreError::NotNew(_))), "{refused:?}");
        assert_eq!(writers(&world).await, before);
        let mut tx = world.tx().await;
        runs::finish(&mut tx, &claim, &runs::RunFinish::new(Outcome::Failed, None, "")).await.unwrap();
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn of_two_new_objects_with_one_key_the_one_that_replaced_the_other_stands() {
    let world = World::new().await;
    let (claim, mut input) = world.stage(&[found("things", vec![])]).await;
    let id = input.slices[0].slice_id;
    let mut writer = StagingWriter::new(world.store(), claim);
    for row in [thing("a", 1), thing("b", 1), has("a", "b")] {
        writer.created(id, &row).await.unwrap();
    }
    writer.replaced(false, id, &thing("a", 2)).await.unwrap();
    input.staged = writer.finish().await.unwrap();
    assert_eq!((input.staged.rows, input.staged.duplicates), (3, 1));
    let diff = reconcile::diff(&mut world.tx().await, &claim, input.staged, &input.sweepable()).await.unwrap();
    let done = reconcile::apply_diffed(world.store(), &claim, &input, Some(diff)).await.unwrap();
    assert_eq!((counts(&done, "thing"), done.dangling), ([2, 0, 0, 0], 0));
    let shown = graph::entity(&mut world.tx().await, None, "a").await.unwrap().remove(0);
    assert_eq!(shown.entity.properties["n"], 2);
}

#[tokio::test]
async fn what_an_earlier_version_held_can_still_be_applied() {
    let world = World::new().await;
    let claim = held(&world).await;
    // Until version 9 of the schema's program there was one table for both kinds.
    let (run, fence) = (claim.run.0.simple(), claim.fence);
    let joint = format!("staging.run_{run}_{fence}");
    let sql = format!(
        "CREATE TABLE {joint} AS SELECT seq, op, 'E'::\"char\" AS kind, slice_id, key_hash, content_hash, _type, _key, \
             properties, _class, display_name, NULL::text AS verb, NULL::text AS from_key, NULL::uuid AS from_hash, \
             NULL::text AS to_key, NULL::uuid AS to_hash FROM {joint}_e; \
         INSERT INTO {joint} SELECT 9, 'I', 'R', slice_id, '{}', '{}', 'thing_has_thing', 'a|has|a', '{{}}', NULL, NULL, \
             'HAS', 'a', '{a}', 'a', '{a}' FROM {joint}_e LIMIT 1; \
         DROP TABLE {joint}_e; ALTER TABLE {joint} OWNER TO porthole_app; \
         UPDATE porthole.runs SET held = jsonb_set(held #- '{{staged,by_kind}}', '{{staged,rows}}', '3') \
         WHERE run_id = '{}'",
        Uuid::from_bytes(KeyHash::relationship("a|has|a").0),
        Uuid::nil(),
        claim.run.0,
        a = Uuid::from_bytes(KeyHash::entity("a").0),
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut world.db.admin().await.unwrap()).await.unwrap();
    let mut tx = world.tx().await;
    runs::confirm(&ctx(), &mut tx, claim.run).await.unwrap();
    tx.commit().await.unwrap();
    let done = reconcile::apply_held(world.store(), &world.claim().await.claim).await.unwrap();
    assert_eq!((counts(&done, "thing"), counts(&done, "thing_has_thing")), ([0, 1, 0, 1], [1, 0, 0, 0]));
    assert_eq!((done.dangling, staging_tables(&world).await), (0, 0));
}

#[tokio::test]
async fn an_incomplete_slice_loses_nothing_while_others_are_swept() {
    let world = World::new().await;
    let eu = |complete, rows| Found { slice: slice("things", "eu"), complete, rows };
    world.collect(&[eu(true, vec![thing("a", 1), thing("b", 1)]), found("more", vec![thing("x", 1)])]).await;
    let done = world.collect(&[eu(false, vec![thing("a", 2), thing("c", 1)]), found("more", vec![])]).await;
    assert_eq!(counts(&done, "thing"), [1, 1, 0, 1]);
    assert_eq!(keys(&world).await, ["a", "b", "c"]);
    let ledger = slices::list(&mut world.tx().await, world.instance.id).await.unwrap();
    let eu = ledger.iter().find(|s| s.key == slice("things", "eu")).unwrap();
    assert_eq!(eu.last_reason, "a page was denied");
    assert_ne!(eu.last_complete_run, eu.last_run);
    let more = ledger.iter().find(|s| s.key == slice("more", "")).unwrap();
    assert_eq!(more.last_complete_run, more.last_run);
}

#[tokio::test]
async fn a_retired_slice_is_swept_and_a_slice_that_was_not_tried_is_left() {
    let world = World::new().await;
    let of = |region, rows| Found { slice: slice("things", region), complete: true, rows };
    world.collect(&[of("eu", vec![thing("a", 1)]), of("us", vec![thing("b", 1)])]).await;
    // `us` isn't tried at all.
    world.collect(&[of("eu", vec![thing("a", 1)])]).await;
    assert_eq!(keys(&world).await, ["a", "b"]);
    let (claim, mut input) = world.stage(&[of("eu", vec![thing("a", 1)]), of("us", vec![])]).await;
    let us = input.slices.pop().unwrap().slice_id;
    input.retired.push(us);
    let done = reconcile::apply(world.store(), &claim, &input).await.unwrap();
    assert_eq!(counts(&done, "thing"), [0, 0, 1, 1]);
    let ledger = slices::list(&mut world.tx().await, world.instance.id).await.unwrap();
    assert_eq!(ledger.iter().map(|s| s.retired).collect::<Vec<_>>(), [false, true]);
}

#[tokio::test]
async fn an_object_that_moves_to_another_slice_stays_and_counts_as_unchanged() {
    let world = World::new().await;
    world.collect(&[found("one", vec![thing("a", 1), thing("b", 1)]), found("two", vec![])]).await;
    let done = world.collect(&[found("one", vec![thing("b", 1)]), found("two", vec![thing("a", 1)])]).await;
    assert_eq!(counts(&done, "thing"), [0, 0, 2, 0]);
    // It is the second slice's now: the first, complete and without it, doesn't sweep it.
    let done = world.collect(&[found("one", vec![thing("b", 1)])]).await;
    assert_eq!(counts(&done, "thing"), [0, 0, 1, 0]);
    assert_eq!(keys(&world).await, ["a", "b"]);
    let done = world.collect(&[found("two", vec![])]).await;
    assert_eq!(counts(&done, "thing"), [0, 0, 0, 1]);
}

#[tokio::test]
async fn a_stale_fence_applies_nothing() {
    let world = World::new().await;
    let (claim, input) = world.stage(&[found("things", vec![thing("a", 1)])]).await;
    world.expire(claim.run).await;
    runs::sweep(world.store(), "sweeper").await.unwrap();
    assert!(reconcile::apply(world.store(), &claim, &input).await.unwrap_err().is_stale_claim());
    let hold = reconcile::hold(world.store(), &claim, &input, &Counts::new(), "").await;
    assert!(hold.unwrap_err().is_stale_claim());
    assert!(keys(&world).await.is_empty());
}

#[tokio::test]
async fn a_run_that_compared_with_an_older_graph_applies_nothing() {
    let world = World::new().await;
    let (claim, mut input) = world.stage(&[found("things", vec![thing("a", 1)])]).await;
    input.generation -= 1;
    let refused = reconcile::apply(world.store(), &claim, &input).await;
    assert!(matches!(refused, Err(StoreError::Generation { compared: -1, found: 0 })));
    assert!(keys(&world).await.is_empty());
    // The run is still this worker's, to end it as it likes.
    assert_eq!(world.get(claim.run).await.state, RunState::Running);
}

#[tokio::test]
async fn a_staging_table_that_lost_rows_is_not_applied() {
    let world = World::new().await;
    let (claim, input) = world.stage(&[found("things", vec![thing("a", 1), thing("b", 1)])]).await;
    // What a crash of the server does to an unlogged table.
    let table = format!("staging.run_{}_{}_e", claim.run.0.simple(), claim.fence);
    sqlx::query(sqlx::AssertSqlSafe(format!("TRUNCATE {table}")))
        .execute(&mut world.db.admin().await.unwrap())
        .await
        .unwrap();
    let refused = reconcile::apply(world.store(), &claim, &input).await;
    assert!(matches!(refused, Err(StoreError::StagingLost { staged: 2, found: 0 })));
}

#[tokio::test]
async fn a_dangling_relationship_is_kept_aside_and_tied_when_its_end_comes() {
    let world = World::new().await;
    let first = world.collect(&[found("links", vec![thing("a", 1), has("a", "b"), has("a", "z")])]).await;
    assert_eq!(first.dangling, 2);
    let shown = graph::entity(&mut world.tx().await, None, "a").await.unwrap();
    assert!(shown[0].neighbours.is_empty());
    let before = writers(&world).await;

    // Only the end comes; the relationship's own slice isn't even tried.
    let second = world.collect(&[found("things", vec![thing("b", 1)])]).await;
    assert_eq!(second.dangling, 1);
    assert_eq!(dangling(&world).await, [("a|has|b".to_owned(), false), ("a|has|z".to_owned(), true)]);
    let after = writers(&world).await;
    let same = |key: &str| before.iter().find(|w| w.0 == key) == after.iter().find(|w| w.0 == key);
    assert!(same("a") && same("a|has|z") && !same("a|has|b"));
    let shown = graph::entity(&mut world.tx().await, None, "a").await.unwrap();
    assert_eq!(shown[0].neighbours[0].other_key, "b");

    // And it dangles again when the end goes.
    let third = world.collect(&[found("things", vec![])]).await;
    assert_eq!((third.dangling, counts(&third, "thing")), (2, [0, 0, 0, 1]));
    assert_eq!(dangling(&world).await, [("a|has|b".to_owned(), true), ("a|has|z".to_owned(), true)]);
}

#[tokio::test]
async fn a_plan_shows_the_diff_and_commits_nothing() {
    let world = World::new().await;
    world.collect(&[found("things", vec![thing("a", 1), thing("b", 1)]), found("more", vec![thing("x", 1)])]).await;
    let before = writers(&world).await;
    let (claim, input) =
        world.stage(&[found("things", vec![thing("a", 2), thing("c", 1)]), cut_short("more", vec![])]).await;
    let mut tx = world.tx().await;
    let diff = reconcile::diff(&mut tx, &claim, input.staged, &input.sweepable()).await.unwrap().counts;
    let would = Reconciled { counts: diff.clone(), generation: 0, dangling: 0 };
    assert_eq!(counts(&would, "thing"), [1, 1, 0, 1]);
    let finish = runs::RunFinish { counts: diff.clone(), ..input.finish };
    runs::finish(&mut tx, &claim, &finish).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(writers(&world).await, before);
    assert_eq!(world.get(claim.run).await.counts, diff);
    assert_eq!(staging_tables(&world).await, 0);
}

/// A run that is held, and its claim.
async fn held(world: &World) -> porthole_model::run::Claim {
    world.collect(&[found("things", vec![thing("a", 1), thing("b", 1)])]).await;
    let (claim, input) = world.stage(&[found("things", vec![thing("a", 2)])]).await;
    let mut tx = world.tx().await;
    let diff = reconcile::diff(&mut tx, &claim, input.staged, &input.sweepable()).await.unwrap().counts;
    drop(tx);
    reconcile::hold(world.store(), &claim, &input, &diff, "would delete 1 of 2 thing").await.unwrap();
    claim
}

#[tokio::test]
async fn a_held_run_waits_for_a_person_and_is_applied_when_confirmed() {
    let world = World::new().await;
    let claim = held(&world).await;
    let run = world.get(claim.run).await;
    assert_eq!((run.state, run.counts["thing"].deleted), (RunState::Held, 1));
    assert_eq!(keys(&world).await, ["a", "b"]);
    // Nobody sweeps it, nobody claims it, and the instance's next run waits.
    let next = world.queue(&world.instance).await;
    assert!(runs::sweep(world.store(), "sweeper").await.unwrap().is_empty());
    assert_eq!(porthole_store::staging::sweep(world.store()).await.unwrap(), 0);
    assert!(runs::claim(world.store(), "w", LEASE).await.unwrap().is_none());

    let mut tx = world.tx().await;
    let run = runs::confirm(&ctx(), &mut tx, claim.run).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((run.state, run.confirmed_by.as_deref()), (RunState::Queued, Some("person:ada")));
    assert!(runs::claim_run(world.store(), "w", LEASE, next.id).await.unwrap().is_none());
    let claimed = world.claim().await;
    assert!(claimed.confirmed && claimed.run.id == claim.run && claimed.claim.fence == 2);
    // The worker that held it holds an old fence.
    assert!(runs::heartbeat(world.store(), &claim, LEASE).await.unwrap_err().is_stale_claim());
    let done = reconcile::apply_held(world.store(), &claimed.claim).await.unwrap();
    assert_eq!(counts(&done, "thing"), [0, 1, 0, 1]);
    assert_eq!(keys(&world).await, ["a"]);
    assert_eq!(world.get(claim.run).await.outcome, Some(Outcome::Succeeded));
    assert_eq!(staging_tables(&world).await, 0);
    assert_eq!(world.claim().await.run.id, next.id);
}

#[tokio::test]
async fn a_held_run_that_is_cancelled_leaves_the_graph_as_it_was() {
    let world = World::new().await;
    let claim = held(&world).await;
    let mut tx = world.tx().await;
    let run = runs::request_cancel(&ctx(), &mut tx, claim.run).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Cancelled));
    assert_eq!(keys(&world).await, ["a", "b"]);
    assert_eq!(staging_tables(&world).await, 0);
    let confirm = runs::confirm(&ctx(), &mut world.tx().await, claim.run).await;
    assert!(matches!(confirm, Err(StoreError::State { needed: "held", .. })));
}

#[tokio::test]
async fn a_confirmed_run_whose_worker_is_lost_is_swept() {
    let world = World::new().await;
    let claim = held(&world).await;
    let mut tx = world.tx().await;
    runs::confirm(&ctx(), &mut tx, claim.run).await.unwrap();
    tx.commit().await.unwrap();
    world.claim().await;
    world.expire(claim.run).await;
    assert_eq!(runs::sweep(world.store(), "sweeper").await.unwrap().len(), 1);
    assert_eq!(staging_tables(&world).await, 0);
    assert_eq!(keys(&world).await, ["a", "b"]);
}

#[tokio::test]
async fn a_run_that_found_nothing_new_needs_no_staging_table() {
    let world = World::new().await;
    let (claim, input) = world.stage(&[found("things", vec![])]).await;
    assert_eq!((input.staged.rows, staging_tables(&world).await), (0, 0));
    let done = reconcile::apply(world.store(), &claim, &input).await.unwrap();
    assert!(done.counts.is_empty());
    assert_eq!(world.get(claim.run).await.outcome, Some(Outcome::Succeeded));
}

#[tokio::test]
async fn thousands_of_rows_go_through_in_batches() {
    let world = World::new().await;
    let text = "x".repeat(500);
    let rows = |n: usize| -> Vec<_> {
        (0..n).map(|i| entity("thing", &format!("k{i}"), &format!(r#"{{"n":{i},"t":"{text}"}}"#))).collect()
    };
    let first = world.collect(&[found("things", rows(6000))]).await;
    assert_eq!(counts(&first, "thing"), [6000, 0, 0, 0]);
    let second = world.collect(&[found("things", rows(5990))]).await;
    assert_eq!(counts(&second, "thing"), [0, 0, 5990, 10]);
    let stored: Uuid = sqlx::query_scalar("SELECT key_hash FROM entities WHERE _key = 'k17'")
        .fetch_one(&mut world.db.admin().await.unwrap())
        .await
        .unwrap();
    assert_eq!(stored.as_bytes(), &KeyHash::entity("k17").0);
}

#[tokio::test]
async fn a_large_load_leaves_statistics_and_a_small_one_nothing() {
    let world = World::new().await;
    let mut admin = world.db.admin().await.unwrap();
    let sql = "SELECT count(*) FROM pg_stats WHERE tablename IN ('entities_00', 'relationships_00')";
    let large = 10_000;
    for (from, to, expected) in [(0, 10, false), (10, 10 + large, true)] {
        let rows = (0..to).map(|n| thing(&format!("k{n}"), 1)).collect();
        let done = world.collect(&[found("things", rows)]).await;
        assert_eq!(counts(&done, "thing")[0], to - from);
        let statistics: i64 = sqlx::query_scalar(sql).fetch_one(&mut admin).await.unwrap();
        assert_eq!(statistics > 0, expected, "{statistics} columns");
    }
}
