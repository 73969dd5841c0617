//! What a tenant notices of the others: reads and a small run's database work, alone on a server, with one other tenant, and
//! with many of them.

use crate::bench::{Bench, Figure};
use crate::database::Database;
use crate::graph::{self, Place};
use crate::measure::percentile;
use crate::row::{Goal, Row};
use anyhow::{Context as _, Result, ensure};
use futures_util::FutureExt as _;
use porthole_store::Store;
use porthole_store::graph::{EntityFilter, entities, entity};
use porthole_store::staging::StagingWriter;
use sqlx::{Executor as _, PgConnection};
use std::time::{Duration, Instant};

/// Entities of each tenant.
const ENTITIES: usize = 1_000;
/// Other tenants at full size.
const OTHERS: usize = 10_000;
/// How long the bench takes to load others; with `--full`, as long as it takes.
const LOADING: Duration = Duration::from_secs(100);
/// Others that are loaded at a time.
const CHUNK: usize = 128;
const READS: usize = 1_000;
const RUNS: usize = 150;
/// Entities on the list page.
const PAGE: u32 = 50;
/// Objects that a small run changes.
const CHANGED: usize = 10;

/// See the module's documentation.
pub(crate) const FIGURE: Figure = Figure {
    name: "tenants",
    about: "p99 of one tenant's reads and of a small run with 1 and with 10,000 other tenants",
    limit: Duration::from_secs(1_800),
    run: |bench| measure(bench).boxed(),
};

/// A tenant on a server.
struct Subject {
    database: Database,
    place: Place,
    /// Runs so far: each writes another version.
    version: usize,
}

/// Times of the three things that are done.
#[derive(Default)]
struct Samples {
    entity: Vec<Duration>,
    page: Vec<Duration>,
    run: Vec<Duration>,
}

async fn measure(bench: Bench) -> Result<Vec<Row>> {
    let mut alone = Subject::start(&bench, "alone").await?;
    let mut among = Subject::start(&bench, "among").await?;
    let (reads, runs) = (bench.size(READS), bench.size(RUNS));
    let mut rows = Vec::new();

    load_others(&among.database, 0, 1).await?;
    let (mut with, mut without) = compare(&mut among, &mut alone, reads, runs).await?;
    rows.extend(table(&mut with, &mut without, 1, ""));

    let wanted = bench.size(OTHERS);
    let started = Instant::now();
    let mut others = 1;
    while others < wanted && (bench.full || started.elapsed() < LOADING) {
        let next = (others + 2 * CHUNK).min(wanted);
        let middle = (others + next) / 2;
        tokio::try_join!(load_others(&among.database, others, middle), load_others(&among.database, middle, next))?;
        others = next;
    }
    let loading = started.elapsed();
    let mut admin = among.database.admin().await?;
    admin.execute("ANALYZE tenants").await?;
    admin.execute("ANALYZE entities").await?;
    admin.execute("CHECKPOINT").await?;
    drop(admin);
    let note = format!(
        "{others} of {wanted} others with {ENTITIES} small entities each, loaded in {:.0} s; {reads} reads and {runs} runs, \
         in turn with the same on a server of its own",
        loading.as_secs_f64()
    );
    let (mut with, mut without) = compare(&mut among, &mut alone, reads, runs).await?;
    rows.extend(table(&mut with, &mut without, others, &note));
    among.database.stop().await?;
    alone.database.stop().await?;
    Ok(rows)
}

fn table(with: &mut Samples, without: &mut Samples, others: usize, note: &str) -> Vec<Row> {
    let row = |what: &str, with: &mut [Duration], without: &mut [Duration]| {
        let ms = |d: Duration| d.as_secs_f64() * 1e3;
        let (p50, p50_alone) = (ms(percentile(with, 0.5)), ms(percentile(without, 0.5)));
        let others = if others == 1 { "1 other tenant".to_owned() } else { format!("{others} other tenants") };
        Row::new(&format!("{what}, p99, with {others}"), ms(percentile(with, 0.99)), "ms")
            .against("alone", ms(percentile(without, 0.99)))
            .goal(Goal::RatioAtMost(1.5))
            .note(format!("p50 {p50:.2} ms and {p50_alone:.2} ms{}{note}", if note.is_empty() { "" } else { "; " }))
    };
    vec![
        row("one entity with its neighbours", &mut with.entity, &mut without.entity),
        row("a page of entities", &mut with.page, &mut without.page),
        row("database work of a small run", &mut with.run, &mut without.run),
    ]
}

/// Both do the same in turn, so that what else the machine does meets both.
async fn compare(among: &mut Subject, alone: &mut Subject, reads: usize, runs: usize) -> Result<(Samples, Samples)> {
    let (mut with, mut without) = (Samples::default(), Samples::default());
    // The first of each opens connections and fills caches.
    for subject in [&mut *among, &mut *alone] {
        let mut warm = Samples::default();
        for n in 0..20 {
            subject.read(n, &mut warm).await?;
        }
        subject.small_run(&mut warm).await?;
    }
    for n in 0..reads {
        among.read(n, &mut with).await?;
        alone.read(n, &mut without).await?;
    }
    for _ in 0..runs {
        among.small_run(&mut with).await?;
        alone.small_run(&mut without).await?;
    }
    Ok((with, without))
}

impl Subject {
    async fn start(bench: &Bench, folder: &str) -> Result<Self> {
        let database = Database::start_in(bench, folder).await?;
        let store = database.store.clone();
        let place = graph::place(&store, "subject").await?;
        let run = graph::begin(&store, place).await?;
        let mut writer = StagingWriter::new(&store, run.claim);
        for n in 0..ENTITIES {
            writer.created(run.slice, &graph::entity(n, 0)).await?;
            writer.created(run.slice, &graph::relationship(n, 0)).await?;
        }
        graph::end(&store, run, writer).await?;
        Ok(Self { database, place, version: 0 })
    }

    fn store(&self) -> &Store {
        &self.database.store
    }

    async fn read(&self, n: usize, samples: &mut Samples) -> Result<()> {
        let key = graph::entity(n * 37 % (ENTITIES / 10), 0).key;
        let started = Instant::now();
        let mut tx = self.store().tenant(self.place.tenant).await?;
        let found = entity(&mut tx, None, &key).await?;
        tx.commit().await?;
        samples.entity.push(started.elapsed());
        let neighbours = found.first().context("the entity")?.neighbours.len();
        ensure!(neighbours >= 10, "{key} has {neighbours} neighbours");
        let started = Instant::now();
        let mut tx = self.store().tenant(self.place.tenant).await?;
        let filter = EntityFilter { types: vec![format!("bench_item_{}", n % 4)], ..EntityFilter::default() };
        let page = entities(&mut tx, &filter, None, PAGE).await?;
        tx.commit().await?;
        samples.page.push(started.elapsed());
        ensure!(page.entities.len() == PAGE as usize, "a page of {}", page.entities.len());
        Ok(())
    }

    async fn small_run(&mut self, samples: &mut Samples) -> Result<()> {
        self.version += 1;
        let store = self.store().clone();
        let started = Instant::now();
        let run = graph::begin(&store, self.place).await?;
        let mut writer = StagingWriter::new(&store, run.claim);
        for n in 0..CHANGED {
            writer.updated(run.slice, &graph::entity(n, self.version)).await?;
        }
        let done = graph::end(&store, run, writer).await?;
        samples.run.push(started.elapsed());
        let updated: u64 = done.counts.values().map(|c| c.updated).sum();
        ensure!(updated == CHANGED as u64, "{updated} were updated");
        Ok(())
    }
}

/// Makes the others from `from` on, before `to`: straight into the tables, as a superuser.
async fn load_others(database: &Database, from: usize, to: usize) -> Result<()> {
    let mut admin = database.admin().await?;
    let (from, to) = (i64::try_from(from)?, i64::try_from(to)?);
    run(&mut admin, from, to, 1,
        "INSERT INTO tenants (tenant_id, name, shard, created_by) \
         SELECT md5('tenant' || i)::uuid, 'other-' || i, i % 64, 'bench' FROM generate_series($1, $2 - 1) i WHERE $3 > 0",
    )
    .await?;
    let count = i64::try_from(ENTITIES)?;
    run(&mut admin, from, to, count,
        "INSERT INTO entities (tenant_id, shard, instance_id, key_hash, content_hash, slice_id, _type, _class, _key, \
             display_name, properties, run_id, created_at, updated_at) \
         SELECT md5('tenant' || i)::uuid, i % 64, md5('instance' || i)::uuid, md5(k::text)::uuid, md5(k::text)::uuid, 1, \
             'bench_item_' || k % 4, '{Record}', 'item:' || k, 'Item ' || k, '{\"n\":1}', md5('run' || i)::uuid, now(), now() \
         FROM generate_series($1, $2 - 1) i, generate_series(1, $3) k",
    )
    .await
}

async fn run(admin: &mut PgConnection, from: i64, to: i64, count: i64, sql: &'static str) -> Result<()> {
    sqlx::query(sql).bind(from).bind(to).bind(count).execute(admin).await?;
    Ok(())
}
