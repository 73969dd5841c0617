//! The whole path: from a provider's page to the committed outcome, through the programs as they are shipped. First loads
//! of growing size, re-syncs of the largest with nothing and with one item in a hundred changed, and the worker's memory
//! at each: one stage serves four rows of the table.
//!
//! The yardstick of the re-sync is what one would do without an index: copy the same rows, binary, into an unlogged table
//! beside the graph, and merge that into it. It is given the rows; it asks no provider, runs no guest, parses no JSON,
//! hashes nothing and records nothing.

use crate::bench::{Bench, Figure};
use crate::measure;
use crate::provider::items;
use crate::row::{Goal, Row};
use crate::runs::{Runs, Used};
use crate::stage::Stage;
use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use futures_util::{FutureExt as _, TryStreamExt as _};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolCopyExt as _};
use sqlx::{AssertSqlSafe, Executor as _, PgPool};
use std::str::FromStr as _;
use std::time::{Duration, Instant};

/// Re-syncs of each kind, in turn with the yardstick.
const ROUNDS: usize = 3;
/// Parts of the provider, so slices that are collected at once.
const PARTS: u64 = 2;
/// Of a hundred items, those that change.
const CHANGED_PERCENT: u64 = 1;
/// Where the yardstick's rows go.
const STAGED: &str = "staging.bench";
/// The columns of an entity.
const COLUMNS: &str = "tenant_id, shard, instance_id, key_hash, content_hash, slice_id, _type, _class, _key, \
                       display_name, properties, run_id, created_at, updated_at";

/// See the module's documentation.
pub(crate) const FIGURE: Figure = Figure {
    name: "path",
    about: "re-sync from page to outcome; one in a hundred changed; worker memory; growth",
    limit: Duration::from_secs(420),
    run: |bench| measure(bench).boxed(),
};

async fn measure(bench: Bench) -> Result<Vec<Row>> {
    let sizes = [10_000, 100_000, 1_000_000].map(|size| bench.size(size));
    let options = items::Options { items: 0, parts: PARTS, page: 1_000, delay: 0 };
    let provider = options.start()?;
    let stage = Stage::start(&bench, &provider.endpoints())?;
    stage.module("bench-items")?;
    stage.porthole(&["tenant", "create", "acme"])?;
    for size in sizes {
        let instance = instance(size);
        stage.porthole(&["instance", "create", &instance, "--module", "bench-items", "--set", "made=0"])?;
    }
    let runs = Runs::join(stage, provider, "acme").await?;
    let (mut first, mut again, mut peaks) = (Vec::new(), Vec::new(), Vec::new());
    for size in sizes {
        runs.provider.tell(&format!("/_bench/items/{size}"))?;
        let loaded = runs.run(&instance(size)).await?;
        ensure!(loaded.counts.created >= size as u64, "{:?} of {size}", loaded.counts);
        let same = runs.run(&instance(size)).await?;
        ensure!(same.counts.unchanged == loaded.counts.created, "{:?} after {:?}", same.counts, loaded.counts);
        ensure!(same.digest == loaded.digest, "the same objects should have the same digest");
        first.push((size as f64, loaded.wall));
        again.push((size as f64, same.wall));
        peaks.push(measure::peak_mib(runs.stage.worker()));
    }
    let largest = sizes.into_iter().max().context("no size")?;
    let mut rows = resync(&runs, largest).await?;
    rows.push(memory(&sizes, &peaks)?);
    rows.push(growth("cost as work grows: first load", &first));
    rows.push(growth("cost as work grows: nothing changed", &again));
    runs.close().await?;
    Ok(rows)
}

fn instance(size: usize) -> String {
    format!("acme/items-{size}")
}

/// Nothing changed, the yardstick, one in a hundred changed: in turn.
async fn resync(runs: &Runs, size: usize) -> Result<Vec<Row>> {
    let instance = instance(size);
    let yardstick = Yardstick::prepare(runs).await?;
    let (mut same, mut changed, mut merged) = (Vec::new(), Vec::new(), Vec::new());
    let mut used = Used::default();
    for _ in 0..ROUNDS {
        let told = runs.run(&instance).await?;
        ensure!(told.counts.updated == 0 && told.counts.created == 0, "nothing changed, and {:?}", told.counts);
        same.push(told.wall);
        used += told.used;
        merged.push(yardstick.run().await?);
        runs.provider.tell(&format!("/_bench/change/{CHANGED_PERCENT}"))?;
        let told = runs.run(&instance).await?;
        ensure!(told.counts.updated == size as u64 * CHANGED_PERCENT / 100, "{:?}", told.counts);
        changed.push(told.wall);
    }
    let rows = yardstick.rows as f64;
    yardstick.drop().await?;
    let rate = |walls: &mut [f64]| size as f64 / measure::median(walls);
    let each = |seconds: f64| seconds * 1e6 / (ROUNDS * size) as f64;
    let whole = Row::new("re-sync, nothing changed, page to outcome", rate(&mut same), "entities/s")
        .against("staging + MERGE of the same rows", rows / measure::median(&mut merged))
        .goal(Goal::RatioAtLeast(2.0))
        .note(format!(
            "{size} entities, {PARTS} slices at once; processor time each: worker {:.1} µs, sandbox {:.1} µs, database \
             {:.1} µs, provider {:.1} µs, together {:.1} µs. The yardstick is given its rows in memory",
            each(used.worker),
            each(used.sandbox),
            each(used.database),
            each(used.provider),
            each(used.total()),
        ));
    let one = Row::new("re-sync, 1 % changed", measure::median(&mut changed), "s")
        .against("nothing changed", measure::median(&mut same))
        .goal(Goal::RatioAtMost(1.3));
    Ok(vec![whole, one])
}

fn memory(sizes: &[usize], peaks: &[f64]) -> Result<Row> {
    let (least, most) = peaks.first().zip(peaks.last()).context("no peaks")?;
    let (small, large) = sizes.first().zip(sizes.last()).context("no sizes")?;
    let row = Row::new(&format!("peak worker memory, {large}-entity runs"), *most, "MiB")
        .against(&format!("{small}-entity runs"), *least)
        .goal(Goal::AboveYardstick(128.0));
    Ok(row.note("the worker's VmHWM after a first load and a re-sync of each size; sandboxes and database not counted"))
}

/// The slope of a line through the logarithms.
fn growth(figure: &str, walls: &[(f64, f64)]) -> Row {
    let logs: Vec<(f64, f64)> = walls.iter().map(|(n, s)| (n.ln(), s.ln())).collect();
    let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / logs.len() as f64;
    let (x, y) = (mean(|l| l.0), mean(|l| l.1));
    let over: f64 = logs.iter().map(|l| (l.0 - x) * (l.1 - y)).sum();
    let under: f64 = logs.iter().map(|l| (l.0 - x).powi(2)).sum();
    let seconds: Vec<String> = walls.iter().map(|(n, s)| format!("{n:.0} in {s:.2} s")).collect();
    Row::new(figure, over / under, "exponent")
        .against("linear", 1.0)
        .goal(Goal::AtMost(1.05))
        .note(seconds.join(", "))
        .points(walls.to_vec())
}

/// Copying the largest instance's rows beside the graph, and merging them.
struct Yardstick {
    pool: PgPool,
    pieces: Vec<Bytes>,
    rows: u64,
    merge: String,
}

impl Yardstick {
    /// Reads the rows into memory, as COPY has them.
    async fn prepare(runs: &Runs) -> Result<Self> {
        // The administrator: row security would keep COPY out.
        let admin = PgConnectOptions::from_str(&runs.embedded.url())?.username("porthole_admin");
        let pool = PgPool::connect_with(admin).await?;
        let mut connection = pool.acquire().await?;
        let (tenant, shard, instance, rows): (uuid::Uuid, i16, uuid::Uuid, i64) = sqlx::query_as(
            "SELECT tenant_id, shard, instance_id, count(*) FROM porthole.entities GROUP BY 1, 2, 3 ORDER BY 4 DESC LIMIT 1",
        )
        .fetch_one(&mut *connection)
        .await?;
        let of = format!("tenant_id = '{tenant}' AND shard = {shard}::smallint AND instance_id = '{instance}'");
        let out = format!("COPY (SELECT {COLUMNS} FROM porthole.entities WHERE {of}) TO STDOUT (FORMAT binary)");
        let pieces: Vec<Bytes> = copy_out(&mut connection, &out).await?;
        let unlogged = format!("CREATE UNLOGGED TABLE {STAGED} AS SELECT {COLUMNS} FROM porthole.entities LIMIT 0");
        connection.execute(AssertSqlSafe(unlogged)).await?;
        let merge = format!(
            "MERGE INTO porthole.entities o USING {STAGED} s \
             ON o.tenant_id = '{tenant}' AND o.shard = {shard}::smallint AND o.instance_id = '{instance}' \
                AND o.key_hash = s.key_hash \
             WHEN MATCHED AND o.content_hash <> s.content_hash THEN UPDATE SET content_hash = s.content_hash, \
                slice_id = s.slice_id, display_name = s.display_name, properties = s.properties, \
                run_id = s.run_id, updated_at = now() \
             WHEN NOT MATCHED THEN INSERT ({COLUMNS}) VALUES (s.tenant_id, s.shard, s.instance_id, s.key_hash, \
                s.content_hash, s.slice_id, s._type, s._class, s._key, s.display_name, s.properties, s.run_id, \
                s.created_at, s.updated_at)"
        );
        Ok(Self { pool, pieces, rows: u64::try_from(rows)?, merge })
    }

    /// Seconds for one.
    async fn run(&self) -> Result<f64> {
        self.pool.execute(AssertSqlSafe(format!("TRUNCATE {STAGED}"))).await?;
        let began = Instant::now();
        let mut copy = self.pool.copy_in_raw(&format!("COPY {STAGED} FROM STDIN (FORMAT binary)")).await?;
        let mut batch = Vec::with_capacity(porthole_store::staging::BATCH_BYTES * 2);
        for piece in &self.pieces {
            batch.extend_from_slice(piece);
            if batch.len() >= porthole_store::staging::BATCH_BYTES {
                copy.send(batch.as_slice()).await?;
                batch.clear();
            }
        }
        copy.send(batch.as_slice()).await?;
        let copied = copy.finish().await?;
        ensure!(copied == self.rows, "{copied} rows of {} were copied", self.rows);
        self.pool.execute(AssertSqlSafe(format!("ANALYZE {STAGED}"))).await?;
        let changed = self.pool.execute(AssertSqlSafe(self.merge.as_str().to_owned())).await?.rows_affected();
        ensure!(changed <= self.rows / 50, "{changed} rows were merged");
        Ok(began.elapsed().as_secs_f64())
    }

    async fn drop(self) -> Result<()> {
        self.pool.execute(AssertSqlSafe(format!("DROP TABLE {STAGED}"))).await?;
        self.pool.close().await;
        Ok(())
    }
}

async fn copy_out(connection: &mut PgConnection, statement: &str) -> Result<Vec<Bytes>> {
    let stream = connection.copy_out_raw(statement).await?;
    Ok(stream.try_collect().await?)
}
