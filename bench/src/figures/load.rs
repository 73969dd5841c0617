//! The database's side of a run: the first load of a large instance against one binary COPY of the same rows, a re-sync in
//! which nothing changed, and one in which one object in a hundred did.

use crate::bench::{Bench, Figure};
use crate::copy;
use crate::database::Database;
use crate::graph::{self, Place};
use crate::report;
use crate::row::{Goal, Row};
use anyhow::{Result, ensure};
use futures_util::FutureExt as _;
use porthole_model::object::{Row as Object, RowKind};
use porthole_store::Store;
use porthole_store::staging::{ObjectKind, StagingWriter};
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};
use std::time::{Duration, Instant};

/// One object in so many changes in the last part.
const CHANGED: usize = 100;

/// See the module's documentation.
pub(crate) const FIGURE: Figure = Figure {
    name: "load",
    about: "first load of 1M entities and 1M relationships; re-sync with nothing and with 1 % changed: the database's part",
    limit: Duration::from_secs(400),
    run: |bench| measure(bench).boxed(),
};

/// What something took.
#[derive(Debug, Clone, Copy)]
struct Took {
    wall: f64,
    /// Of the whole server.
    cpu: f64,
    /// Bytes of write-ahead log, and those of them that are about tables and indexes of the graph.
    wal: i64,
    graph_wal: i64,
}

async fn measure(bench: Bench) -> Result<Vec<Row>> {
    let n = bench.size(1_000_000);
    let database = Database::start(&bench).await?;
    let store = database.store.clone();
    let mut admin = database.admin().await?;
    admin.execute("CREATE EXTENSION IF NOT EXISTS pg_walinspect SCHEMA public").await?;
    // It comes when it likes, and what it writes to the log would count as the re-sync's.
    admin.execute("ALTER SYSTEM SET autovacuum = off").await?;
    admin.execute("SELECT pg_reload_conf()").await?;
    let place = graph::place(&store, "large").await?;
    let entities: Vec<Object> = (0..n).map(|i| graph::entity(i, 0)).collect();
    let relationships: Vec<Object> = (0..n).map(|i| graph::relationship(i, 0)).collect();
    let bytes = entities.iter().map(|e| e.properties.len()).sum::<usize>() / n;

    let clock = Clock::start(&database, &mut admin).await?;
    admin.execute("BEGIN").await?;
    copy::copy(&mut admin, "entities", place, &entities).await?;
    copy::copy(&mut admin, "relationships", place, &relationships).await?;
    admin.execute("COMMIT").await?;
    let yardstick = clock.stop(&database, &mut admin, false).await?;
    let shard = format!("{:02}", place.shard);
    admin.execute(AssertSqlSafe(format!("TRUNCATE entities_{shard}, relationships_{shard}"))).await?;

    let clock = Clock::start(&database, &mut admin).await?;
    let staged = first_load(&store, place, &entities, &relationships).await?;
    let first = clock.stop(&database, &mut admin, false).await?;

    // The first reader of rows notes on them that their writer committed, and that goes to the log once, whoever reads.
    let mut resyncs = Vec::new();
    for _ in 0..3 {
        let clock = Clock::start(&database, &mut admin).await?;
        unchanged(&store, place, 2 * n as u64).await?;
        resyncs.push(clock.stop(&database, &mut admin, true).await?);
    }
    let clock = Clock::start(&database, &mut admin).await?;
    changed(&store, place, n).await?;
    let changed = clock.stop(&database, &mut admin, false).await?;
    drop(admin);
    database.stop().await?;

    let (settling, resync) = match resyncs.as_slice() {
        [first, .., last] => (*first, *last),
        _ => (first, first),
    };
    let rows = 2.0 * n as f64;
    let rate = Row::new("first load, rows in Postgres", rows / first.wall, "rows/s")
        .against("one binary COPY of the same rows into the same tables", rows / yardstick.wall)
        .goal(Goal::RatioAtLeast(0.75))
        .note(format!(
            "{n} entities ({bytes} bytes of properties) and {n} relationships; claim to committed outcome {:.1} s, of it \
             {staged:.1} s staging; COPY {:.1} s, by a superuser, whom row security doesn't bind, without dangling ends, \
             fences, counts; server's CPU {:.1} s and {:.1} s; log {} and {} MB",
            first.wall, yardstick.wall, first.cpu, yardstick.cpu, first.wal / 1_000_000, yardstick.wal / 1_000_000
        ));
    let cpu = Row::new("re-sync, nothing changed: the database's CPU", resync.cpu, "s")
        .against("first load", first.cpu)
        .goal(Goal::RatioAtMost(0.10))
        .note(format!(
            "all of it, from queue to committed outcome, wall {:.2} s; {}",
            resync.wall,
            report::number(rows)
        ));
    let wal = Row::new(
        "re-sync, nothing changed: log of the graph's tables and indexes",
        resync.graph_wal as f64,
        "bytes",
    )
    .goal(Goal::AtMost(0.0))
    .note(format!(
        "the run's own bookkeeping (queue, run, slice, audit record) writes {} bytes; the first re-sync after the \
             load notes on rows that their writer committed: {} bytes, {:.2} s",
        resync.wal - resync.graph_wal,
        settling.graph_wal,
        settling.wall
    ));
    let part = Row::new("1 % changed: the database's part", changed.wall, "s")
        .against("nothing changed", resync.wall)
        .note(format!(
            "of {} rows {} changed, came or went; server's CPU {:.2} s and {:.2} s; log {} kB",
            report::number(rows),
            2 * n / CHANGED,
            changed.cpu,
            resync.cpu,
            changed.wal / 1000
        ));
    Ok(vec![rate, cpu, wal, part])
}

/// Gives how long the staging took, seconds.
async fn first_load(store: &Store, place: Place, entities: &[Object], relationships: &[Object]) -> Result<f64> {
    let run = graph::begin(store, place).await?;
    let mut writer = StagingWriter::new(store, run.claim);
    let started = Instant::now();
    for row in entities.iter().chain(relationships) {
        writer.created(run.slice, row).await?;
    }
    writer.flush().await?;
    let staged = started.elapsed().as_secs_f64();
    let done = graph::end(store, run, writer).await?;
    ensure!(done.dangling == 0, "{} relationships dangle", done.dangling);
    Ok(staged)
}

async fn unchanged(store: &Store, place: Place, objects: u64) -> Result<()> {
    let run = graph::begin(store, place).await?;
    ensure!(run.known == objects, "the index has {} of {objects} objects", run.known);
    let writer = StagingWriter::new(store, run.claim);
    graph::end(store, run, writer).await.map(drop)
}

/// Of the changes eight in ten are updates, one is new, one is gone.
async fn changed(store: &Store, place: Place, n: usize) -> Result<()> {
    let run = graph::begin(store, place).await?;
    let mut writer = StagingWriter::new(store, run.claim);
    let mut expected = [0_u64; 3];
    for at in 0..n / CHANGED {
        let i = at * CHANGED;
        for row in [graph::entity(i, 1), graph::relationship(i, 1)] {
            match at % 10 {
                0 => {
                    let new = match row.kind {
                        RowKind::Entity { .. } => graph::entity(n + at, 0),
                        RowKind::Relationship { .. } => graph::relationship(n + at, 0),
                    };
                    writer.created(run.slice, &new).await?;
                    expected[0] += 1;
                }
                1 => {
                    writer.gone(run.slice, ObjectKind::of(&row), row.key_hash).await?;
                    expected[2] += 1;
                }
                _ => {
                    writer.updated(run.slice, &row).await?;
                    expected[1] += 1;
                }
            }
        }
    }
    let done = graph::end(store, run, writer).await?;
    let sum = |f: fn(&porthole_model::run::TypeCounts) -> u64| done.counts.values().map(f).sum::<u64>();
    let found = [sum(|c| c.created), sum(|c| c.updated), sum(|c| c.deleted)];
    ensure!(found == expected, "created, updated and deleted are {found:?} and should be {expected:?}");
    Ok(())
}

/// Measures from now on.
struct Clock {
    wall: Instant,
    cpu: f64,
    at: String,
}

impl Clock {
    /// After a checkpoint, so that none of the work before is counted.
    async fn start(database: &Database, admin: &mut PgConnection) -> Result<Self> {
        admin.execute("CHECKPOINT").await?;
        let at = position(admin).await?;
        Ok(Self { at, cpu: database.cpu_seconds()?, wall: Instant::now() })
    }

    async fn stop(self, database: &Database, admin: &mut PgConnection, inspect: bool) -> Result<Took> {
        let (wall, cpu) = (self.wall.elapsed().as_secs_f64(), database.cpu_seconds()? - self.cpu);
        let end = position(admin).await?;
        let wal: i64 = sqlx::query_scalar("SELECT pg_wal_lsn_diff($1::text::pg_lsn, $2::text::pg_lsn)::bigint")
            .bind(&end)
            .bind(&self.at)
            .fetch_one(&mut *admin)
            .await?;
        let graph_wal = if inspect && wal > 0 { graph_wal(admin, &self.at, &end).await? } else { 0 };
        Ok(Took { wall, cpu, wal, graph_wal })
    }
}

async fn position(admin: &mut PgConnection) -> Result<String> {
    // Flushed, so that it can be looked at.
    admin.execute("SELECT pg_logical_emit_message(true, 'bench', '')").await?;
    Ok(sqlx::query_scalar("SELECT pg_current_wal_flush_lsn()::text").fetch_one(admin).await?)
}

/// Bytes of log records that touch a partition of the graph or an index of one.
async fn graph_wal(admin: &mut PgConnection, from: &str, to: &str) -> Result<i64> {
    let sql = "SELECT coalesce(sum(w.record_length), 0)::bigint \
         FROM pg_get_wal_records_info($1::text::pg_lsn, $2::text::pg_lsn) w \
         WHERE EXISTS (SELECT FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid \
             JOIN pg_inherits h ON h.inhrelid = coalesce(i.indrelid, c.oid) \
             WHERE c.relfilenode <> 0 AND h.inhparent IN ('entities'::regclass, 'relationships'::regclass, 'changes'::regclass) \
               AND w.block_ref LIKE '%/' || c.relfilenode || ' %')";
    Ok(sqlx::query_scalar(sql).bind(from).bind(to).fetch_one(admin).await?)
}
