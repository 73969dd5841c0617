//! The plan of every statement that the hot paths send, whoever wrote it: the server explains what it executes
//! (`auto_explain`) and sends the plans back as notices. So a new statement of these paths is looked at without being
//! listed anywhere; a new path has to be added to [`everything_hot`].
//!
//! What is asserted of each: of the graph's 64 partitions it touches the tenant's alone; it reads no tenant's table from
//! end to end; and where it uses an index, the index is entered by the tenant. On a database with many tenants in one
//! shard, once without statistics and once with; with them, what is looked up by its key is found by its key.

use crate::mappings::rule;
use crate::world::{LEASE, World, ctx, cut_short, entity, found, has, mapped, slice, stage, thing};
use porthole_model::audit::Log;
use porthole_model::grant::{Denial, Grant, Layer};
use porthole_model::mapping::Selector;
use porthole_model::object::End;
use porthole_model::run::RunMode;
use porthole_model::stored_reply::{ReplyKey, Shape};
use porthole_store::audit::read::LogTx;
use porthole_store::audit::sequence;
use porthole_store::calls::{self, CallEnd, DeniedCall, EndedCall, NewCall};
use porthole_store::graph::EntityFilter;
use porthole_store::graph::why::{self, Asked};
use porthole_store::log::{self as run_log, Level, NewLine, Source};
use porthole_store::run_slices::{self, SliceEnd};
use porthole_store::runs::{self, NewRun};
use porthole_store::stored_replies::{self, NewReply};
use porthole_store::{Store, audit, changes, credentials, grants, graph, instances, keys, mappings, reconcile, slices};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::span;

/// Tenants that have what the one has, in the same shard.
const OTHERS: i64 = 30;
/// Rows that a table has at least, else it is a few pages, and reading all of them is the right plan.
const ROWS: i64 = 5_000;
/// Tables that stay empty here.
const EMPTY: &[&str] = &["audit_nodes", "run_rejections"];
/// Entities of each.
const ENTITIES: u32 = 400;
/// Read across tenants, to find work for any of them; ids only. Everything else is one tenant's.
const QUEUES: &[&str] = &["run_queue", "audit_queue"];

/// Keeps the notices of the server.
#[derive(Clone, Default)]
struct Notices(Arc<Mutex<Vec<String>>>);

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.0);
        }
    }
}

impl tracing::Subscriber for Notices {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "sqlx::postgres::notice"
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        self.0.lock().unwrap().push(message.0);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// What a worker and a reader do: claims, slices, calls, log, index, staging, diff, reconcile with everything that can
/// happen to an object, reads of the graph, lists, the audit log.
async fn everything_hot(world: &World, store: &Store, version: u32) {
    let mut tx = store.tenant(world.tenant.id).await.unwrap();
    let new = NewRun { instance: world.instance.id, mode: RunMode::Apply, reason: "plans" };
    runs::create(&ctx(), &mut tx, new).await.unwrap();
    tx.commit().await.unwrap();
    let claim = runs::claim(store, "worker", LEASE).await.unwrap().unwrap().claim;
    runs::heartbeat(store, &claim, LEASE).await.unwrap();
    let key = slice("things", "");
    let mut tx = store.tenant(world.tenant.id).await.unwrap();
    grants::current(&mut tx, world.instance.id).await.unwrap();
    credentials::sealed(&mut tx, Some(world.instance.id)).await.unwrap();
    keys::live(&mut tx).await.unwrap();
    run_slices::announce(&mut tx, &claim, std::slice::from_ref(&key)).await.unwrap();
    run_slices::start(&mut tx, &claim, &key).await.unwrap();
    let call = |seq| NewCall { seq, slice: key.clone(), operation: "list".to_owned(), request_bytes: 1 };
    let end = CallEnd {
        status: Some(200),
        fault_code: None,
        reused: false,
        attempts: 1,
        response_bytes: 1,
        waited_ms: 0,
        elapsed_ms: 1,
    };
    let denial = Denial {
        layer: Layer::Granted,
        operation: "list".to_owned(),
        reason: "not granted".to_owned(),
        remedy: String::new(),
    };
    stored_replies::open(&mut tx, world.instance.id, &[Shape([1; 16])]).await.unwrap();
    let reply = |n| NewReply {
        key: ReplyKey([n; 16]),
        shape: Shape([1; 16]),
        credential: None,
        key_id: 1,
        validator: vec![1],
        reply: vec![2],
    };
    assert_eq!(stored_replies::keep(&mut tx, &claim, &[reply(1), reply(2)]).await.unwrap(), 2);
    stored_replies::load(&mut tx, world.instance.id, &[ReplyKey([1; 16])]).await.unwrap();
    stored_replies::forget(&mut tx, world.instance.id, &[ReplyKey([2; 16])]).await.unwrap();
    let worker = runs::worker(&mut tx, &claim).await.unwrap();
    let at = calls::begin(store, &claim, &worker, &(1..=20).map(call).collect::<Vec<_>>()).await.unwrap();
    calls::deny(&mut tx, &claim, &[DeniedCall { call: call(21), denial }]).await.unwrap();
    calls::end(&mut tx, &claim, &[EndedCall { call: call(1), recorded_at: at, end }]).await.unwrap();
    calls::list(&mut tx, claim.run, 5, 10).await.unwrap();
    let line = NewLine {
        seq: 1,
        level: Level::Info,
        source: Source::Host,
        slice: Some(key.clone()),
        message: "a line".to_owned(),
    };
    run_log::append(&mut tx, &claim, &[line]).await.unwrap();
    let end = SliceEnd {
        outcome: porthole_model::run::Outcome::Succeeded,
        complete: true,
        reason: String::new(),
        counts: BTreeMap::new(),
        usage: None,
    };
    run_slices::finish(&mut tx, &claim, &key, &end).await.unwrap();
    tx.commit().await.unwrap();

    // New, changed, unchanged, moved, gone and dangling ones of both kinds.
    let n = ENTITIES;
    let mut rows: Vec<_> = (0..n - version).map(|i| thing(&format!("k{i}"), if i < 5 { version } else { 0 })).collect();
    rows.extend((0..n - version).map(|i| has(&format!("k{}", i / 10), &format!("k{i}"))));
    // What a rule relates, one of it newly with each version; and far ends that are carried.
    rows.extend(
        (0..n / 8).map(|i| entity("user", &format!("u{i}"), &format!(r#"{{"mail":"p{}@x.org"}}"#, i + version))),
    );
    rows.extend((0..n / 8).map(|i| entity("person", &format!("p{i}"), &format!(r#"{{"mail":"P{i}@x.org"}}"#))));
    rows.extend((0..n / 8).map(|i| mapped(&format!("k{i}"), &format!("u{i}"), End::To)));
    rows.extend([
        thing(&format!("new{version}"), 1),
        has("k1", &format!("new{version}")),
        has("k1", &format!("no{version}")),
    ]);
    let input = stage(store, claim, &[found("things", rows), cut_short("more", vec![])]).await.unwrap();
    let mut tx = store.tenant(world.tenant.id).await.unwrap();
    let diff = reconcile::diff(&mut tx, &claim, input.staged, &input.sweepable()).await.unwrap();
    tx.commit().await.unwrap();
    let done = reconcile::apply_diffed(store, &claim, &input, Some(diff)).await.unwrap();
    assert!(done.counts["thing"].created > 0, "{:?}", done.counts);

    let mut tx = store.tenant(world.tenant.id).await.unwrap();
    let any = EntityFilter::default;
    let page = graph::entities(&mut tx, &any(), None, 10).await.unwrap();
    graph::entities(&mut tx, &any(), page.next.as_ref(), 10).await.unwrap();
    graph::entities(&mut tx, &EntityFilter { types: vec!["thing".into()], ..any() }, None, 10).await.unwrap();
    graph::entities(&mut tx, &EntityFilter { instance: Some("main".parse().unwrap()), ..any() }, None, 10)
        .await
        .unwrap();
    graph::entities(&mut tx, &EntityFilter { text: Some("K1".into()), ..any() }, None, 10).await.unwrap();
    for key in ["k1", "u1", "p9"] {
        assert!(!graph::entity(&mut tx, None, key).await.unwrap()[0].neighbours.is_empty(), "{key}");
    }
    for key in ["k0|has|k1", "k1|has|u1", &format!("u1|IS|p{}", 1 + version)] {
        why::why(&mut tx, None, &Asked::Key(key.to_owned())).await.unwrap();
    }
    mappings::list(&mut tx).await.unwrap();
    graph::counts(&mut tx, None).await.unwrap();
    changes::of_run(&mut tx, world.instance.id, claim.run, 100).await.unwrap();
    slices::list(&mut tx, world.instance.id).await.unwrap();
    instances::list(&mut tx).await.unwrap();
    runs::list(&mut tx, None, 10).await.unwrap();
    runs::list(&mut tx, Some(world.instance.id), 10).await.unwrap();
    runs::running(&mut tx).await.unwrap();
    calls::list(&mut tx, claim.run, 5, 10).await.unwrap();
    calls::denials(&mut tx, claim.run).await.unwrap();
    calls::by_operation(&mut tx, claim.run).await.unwrap();
    run_log::read(&mut tx, claim.run, 0, 10).await.unwrap();
    run_slices::list(&mut tx, claim.run).await.unwrap();
    audit::read::platform_head(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    runs::sweep(store, "sweeper").await.unwrap();

    let log = Log::Tenant(world.tenant.id);
    sequence::next_log(store, None).await.unwrap();
    let limits = sequence::StepLimits { records: 10, bytes: 1 << 20 };
    drop(sequence::grow(store, log, limits).await.unwrap());
    let mut log = LogTx::open(store, log).await.unwrap();
    log.head().await.unwrap();
    log.pending().await.unwrap();
    log.leaves(0, 10, 10, 1 << 20).await.unwrap();
    log.of_run(claim.run, 0, 10).await.unwrap();
    log.checkpoints(None, 10, 10).await.unwrap();
}

/// Gives every other tenant what this one has.
async fn multiply(admin: &mut PgConnection) -> Vec<String> {
    let tables: Vec<(String, String)> = sqlx::query_as(
        "SELECT c.relname::text, string_agg(quote_ident(a.attname), ', ') FROM pg_class c \
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> 'tenant_id' \
         WHERE c.relnamespace = 'porthole'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition \
           AND c.relname NOT IN ('tenants', 'readers') AND c.relname NOT LIKE 'platform%' \
           AND EXISTS (SELECT FROM pg_attribute t WHERE t.attrelid = c.oid AND t.attname = 'tenant_id') \
         GROUP BY c.relname ORDER BY 1",
    )
    .fetch_all(&mut *admin)
    .await
    .unwrap();
    // No triggers: neither foreign keys nor those that keep the logs.
    admin.execute("SET session_replication_role = replica").await.unwrap();
    let mut empty = Vec::new();
    for (table, columns) in &tables {
        let count = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let rows: i64 = sqlx::query_scalar(count).fetch_one(&mut *admin).await.unwrap();
        if rows == 0 {
            empty.push(table.as_str());
            continue;
        }
        let others = OTHERS.max(ROWS / rows);
        let sql = format!(
            "INSERT INTO {table} (tenant_id, {columns}) SELECT md5('other' || n)::uuid, {columns} \
             FROM {table}, generate_series(1, {others}) n"
        );
        admin.execute(AssertSqlSafe(sql)).await.unwrap_or_else(|e| panic!("{table}: {e}"));
    }
    // Every run is over; those of the others go on.
    empty.retain(|table| !["run_queue", "run_call_batches"].contains(table));
    assert_eq!(empty, EMPTY, "what is empty can't be judged");
    let sql = format!(
        "INSERT INTO run_queue (tenant_id, run_id, instance_id, lease_until, worker, fence) \
         SELECT md5('other' || n)::uuid, md5('run' || n)::uuid, md5('instance' || n)::uuid, now() + interval '1 h', 'w', 1 \
         FROM generate_series(1, {ROWS}) n; \
         INSERT INTO run_call_batches (tenant_id, run_id, first_seq, seqs, steps, partitions, operations, request_bytes) \
         SELECT md5('other' || n % {OTHERS})::uuid, md5('run' || n)::uuid, n, ARRAY[n], ARRAY['s'], ARRAY[''], ARRAY['o'], \
             ARRAY[1] FROM generate_series(1, {ROWS}) n; \
         INSERT INTO tenants (tenant_id, name, shard, created_by) \
         SELECT md5('other' || n)::uuid, 'other-' || n, (SELECT min(shard) FROM tenants), 'test' \
         FROM generate_series(1, {ROWS}) n"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *admin).await.unwrap();
    tables.into_iter().map(|(table, _)| table).collect()
}

/// Every node of a plan.
fn nodes<'a>(plan: &'a Value, all: &mut Vec<&'a Value>) {
    all.push(plan);
    for child in plan["Plans"].as_array().into_iter().flatten() {
        nodes(child, all);
    }
}

/// What is wrong with a node.
fn fault(node: &Value, tenant_tables: &[String], shard: i16, by_key: bool) -> Option<String> {
    let text = |name: &str| node[name].as_str().unwrap_or_default();
    let kind = text("Node Type");
    let of = if kind == "Bitmap Index Scan" { text("Index Name") } else { text("Relation Name") };
    let partition = of.split('_').nth(1).filter(|n| n.len() == 2).and_then(|n| n.parse::<i16>().ok());
    if partition.is_some_and(|p| p != shard) {
        return Some(format!("touches {of}, a partition of other tenants"));
    }
    let table = match partition {
        Some(_) => of.split('_').next().unwrap_or_default(),
        // The index of a table is called after it; the longest name wins.
        None => tenant_tables.iter().filter(|t| of.starts_with(t.as_str())).max_by_key(|t| t.len())?,
    };
    if !tenant_tables.iter().any(|t| t == table) || EMPTY.contains(&table) {
        return None;
    }
    match kind {
        "Seq Scan" => Some(format!("reads {of} from end to end")),
        "Index Scan" | "Index Only Scan" | "Bitmap Index Scan"
            if !text("Index Cond").contains("tenant_id") && !QUEUES.contains(&table) =>
        {
            Some(format!("enters an index of {of} without the tenant"))
        }
        "Index Scan" | "Index Only Scan" | "Bitmap Index Scan"
            if by_key && partition.is_some() && !text("Index Cond").contains("_hash") =>
        {
            Some(format!("looks for a key of {of} in all of the instance"))
        }
        _ => None,
    }
}

fn check(notices: &Notices, tenant_tables: &[String], shard: i16, statistics: bool) -> usize {
    let notices = std::mem::take(&mut *notices.0.lock().unwrap());
    let plans: Vec<Value> = notices
        .iter()
        .filter_map(|n| n.split_once("plan:\n"))
        .map(|(_, plan)| serde_json::from_str(plan).unwrap_or_else(|e| panic!("{e}: {plan}")))
        .collect();
    let mut faults = BTreeMap::new();
    for plan in &plans {
        let mut all = Vec::new();
        nodes(&plan["Plan"], &mut all);
        let query = plan["Query Text"].as_str().unwrap_or_default();
        // A reconcile looks up what was staged, and neighbours are those of one entity: by key. What dangles has an index of
        // its own.
        let by_key = statistics
            && (query.contains("staging.run_") || query.contains("AS direction") || query.contains("OFFSET 0) r"))
            && !query.contains("o.dangling AND (");
        for fault in all.iter().filter_map(|node| fault(node, tenant_tables, shard, by_key)) {
            faults.insert((fault, query.to_owned()), format!("{:#}", plan["Plan"]));
        }
    }
    let told: Vec<String> =
        faults.iter().map(|((fault, query), plan)| format!("{fault}\n  {query}\n{plan}\n")).collect();
    let state = if statistics { "with" } else { "without" };
    assert!(told.is_empty(), "{state} statistics {} statements have a bad plan:\n{}", told.len(), told.join("\n"));
    plans.len()
}

#[tokio::test]
async fn every_hot_statement_touches_its_own_tenant_alone() {
    let world = crate::keys::world().await;
    // Statistics come when this test says so.
    let mut admin = world.db.admin().await.unwrap();
    admin
        .execute(
            "DO $$ DECLARE t regclass; BEGIN \
             FOR t IN SELECT oid FROM pg_class WHERE relnamespace = 'porthole'::regnamespace AND relkind = 'r' LOOP \
                 EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = false)', t); \
             END LOOP; END $$",
        )
        .await
        .unwrap();
    let mut tx = world.tx().await;
    grants::set(&ctx(), &mut tx, world.instance.id, &Grant::default()).await.unwrap();
    mappings::add(&ctx(), &mut tx, &rule("same", "user", Selector::Type("person".to_owned()), &[("mail", "mail")]))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    everything_hot(&world, world.store(), 1).await;
    crate::audit::drain(world.store(), Log::Tenant(world.tenant.id)).await;
    everything_hot(&world, world.store(), 2).await;
    let tables = multiply(&mut admin).await;
    let database: String = sqlx::query_scalar("SELECT current_database()::text").fetch_one(&mut admin).await.unwrap();
    for setting in [
        "session_preload_libraries = auto_explain",
        "auto_explain.log_min_duration = 0",
        "auto_explain.log_level = notice",
        "auto_explain.log_format = json",
        // Those of our functions too.
        "auto_explain.log_nested_statements = on",
    ] {
        let sql = format!("LOAD 'auto_explain'; ALTER DATABASE {database} SET {setting}");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
    }
    let notices = Notices::default();
    let _guard = tracing::subscriber::set_default(notices.clone());
    let store = Store::connect(&world.db.options()).await.unwrap();
    everything_hot(&world, &store, 3).await;
    let seen = check(&notices, &tables, world.tenant.shard, false);
    assert!(seen > 60, "only {seen} plans were seen");
    admin.execute("ANALYZE").await.unwrap();
    everything_hot(&world, &store, 4).await;
    check(&notices, &tables, world.tenant.shard, true);
}
