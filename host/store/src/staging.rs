//! Staging: what a run found new, changed or gone, on its way into the graph.
//!
//! Each claim of a run has an unlogged table of its own. Rows go there by binary COPY, in batches; a connection is taken
//! from the pool for a batch and given back. COPY can't go through row security, so the table has none: its name is made
//! from the claim, and the reconcile that reads it names the tenant.
//!
//! Unlogged means that a crash of the server empties the table. So the writer counts, and a reconcile that doesn't find
//! as many rows applies nothing.

use crate::copy::Encoder;
use crate::error::{Result, StoreError, What, is_unique_violation};
use crate::pool::Store;
use crate::row::Columns;
use crate::tx::sealed::Conn;
use porthole_model::id::RunId;
use porthole_model::object::{KeyHash, Row, RowKind};
use porthole_model::run::Claim;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPoolCopyExt;
use sqlx::{AssertSqlSafe, Executor, PgConnection, PgPool};

/// A batch is sent when it has this many bytes: large enough that the round trip doesn't matter, small enough that a
/// hundred runs don't.
pub const BATCH_BYTES: usize = 1024 * 1024;
/// Columns of a staging table.
const FIELDS: i16 = 16;

/// Entity or relationship.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectKind {
    /// A thing.
    Entity,
    /// How two things hang together.
    Relationship,
}

impl ObjectKind {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Entity => b'E',
            Self::Relationship => b'R',
        }
    }

    pub(crate) fn from_code(code: u8) -> Result<Self> {
        match code {
            b'E' => Ok(Self::Entity),
            b'R' => Ok(Self::Relationship),
            _ => Err(StoreError::Copy("an object is neither entity nor relationship")),
        }
    }

    /// The kind of a row.
    #[must_use]
    pub fn of(row: &Row) -> Self {
        match row.kind {
            RowKind::Entity { .. } => Self::Entity,
            RowKind::Relationship { .. } => Self::Relationship,
        }
    }
}

/// What a finished writer left in the staging table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staged {
    /// Rows, each object once. With none there is no table.
    pub rows: u64,
    /// Rows that were dropped because their object was staged before.
    pub duplicates: u64,
}

/// Writes one claim's staging table.
#[derive(Debug)]
pub struct StagingWriter {
    store: Store,
    claim: Claim,
    batch: Encoder,
    /// Rows so far, the batch included. Says which of two rows for one object came first.
    seq: i64,
    created: bool,
}

impl StagingWriter {
    /// A writer for a claim. Nothing happens in the database before the first batch is full.
    #[must_use]
    pub fn new(store: &Store, claim: Claim) -> Self {
        Self { store: store.clone(), claim, batch: Encoder::default(), seq: 0, created: false }
    }

    /// Bytes that wait for the next batch.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.batch.len()
    }

    /// Stages an object that the index doesn't have.
    ///
    /// # Errors
    /// When a full batch can't be sent; `StaleClaim` when the claim is no longer current.
    pub async fn created(&mut self, slice: i32, row: &Row) -> Result<()> {
        self.object(b'I', slice, row).await
    }

    /// Stages an object that the index has with another content, or for another slice.
    ///
    /// # Errors
    /// As [`StagingWriter::created`].
    pub async fn updated(&mut self, slice: i32, row: &Row) -> Result<()> {
        self.object(b'U', slice, row).await
    }

    /// Stages an object that its slice no longer contains. Whether it may go is for the reconcile to say: only complete
    /// slices are swept.
    ///
    /// # Errors
    /// As [`StagingWriter::created`].
    pub async fn gone(&mut self, slice: i32, kind: ObjectKind, key: KeyHash) -> Result<()> {
        self.head(b'D', slice, kind, key);
        for _ in 0..FIELDS - 5 {
            self.batch.null();
        }
        self.flush_if_full().await
    }

    fn head(&mut self, op: u8, slice: i32, kind: ObjectKind, key: KeyHash) {
        self.seq += 1;
        self.batch.row(FIELDS);
        self.batch.int8(self.seq);
        self.batch.char(op);
        self.batch.char(kind.code());
        self.batch.int4(slice);
        self.batch.bytes(&key.0);
    }

    async fn object(&mut self, op: u8, slice: i32, row: &Row) -> Result<()> {
        self.head(op, slice, ObjectKind::of(row), row.key_hash);
        let batch = &mut self.batch;
        batch.bytes(&row.content_hash.0);
        batch.text(&row.object_type);
        batch.text(&row.key);
        batch.jsonb(&row.properties);
        match &row.kind {
            RowKind::Entity { class, display_name } => {
                batch.text_array(class);
                batch.text(display_name);
                for _ in 0..5 {
                    batch.null();
                }
            }
            RowKind::Relationship { verb, from_key, from_hash, to_key, to_hash } => {
                batch.null();
                batch.null();
                batch.text(verb);
                batch.text(from_key);
                batch.bytes(&from_hash.0);
                batch.text(to_key);
                batch.bytes(&to_hash.0);
            }
        }
        self.flush_if_full().await
    }

    async fn flush_if_full(&mut self) -> Result<()> {
        if self.batch.len() >= BATCH_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Sends what waits.
    ///
    /// # Errors
    /// As [`StagingWriter::created`].
    pub async fn flush(&mut self) -> Result<()> {
        if self.batch.len() == 0 {
            return Ok(());
        }
        if !self.created {
            create_table(&self.store, &self.claim).await?;
            self.created = true;
        }
        let statement = format!("COPY {} FROM STDIN (FORMAT binary)", table(self.claim.run, self.claim.fence));
        let batch = self.batch.finish();
        let sent = async {
            let mut copy = self.store.pool.copy_in_raw(&statement).await?;
            copy.send(batch).await?;
            copy.finish().await
        };
        sent.await.map_err(|source| match source.as_database_error().and_then(|e| e.code()).as_deref() {
            // undefined_table: the run was swept, and its table with it.
            Some("42P01") => StoreError::StaleClaim(self.claim.run),
            _ => StoreError::Query { what: "stage a batch", source },
        })?;
        Ok(())
    }

    /// Sends the last batch and makes the table ready: each object once (the last that came, because whoever
    /// stages a second one means it to take the first one's place; an object that is there isn't gone), an index, statistics for the planner.
    ///
    /// # Errors
    /// As [`StagingWriter::created`].
    pub async fn finish(mut self) -> Result<Staged> {
        self.flush().await?;
        if !self.created {
            return Ok(Staged::default());
        }
        let table = table(self.claim.run, self.claim.fence);
        let duplicates = match make_unique(&self.store.pool, &table).await {
            Ok(()) => 0,
            Err(e) if is_unique_violation(&e) => {
                let dropped = drop_duplicates(&self.store.pool, &table).await?;
                make_unique(&self.store.pool, &table).await.what("index a staging table")?;
                dropped
            }
            Err(source) => return Err(StoreError::Query { what: "index a staging table", source }),
        };
        self.store.pool.execute(AssertSqlSafe(format!("ANALYZE {table}"))).await.what("analyse a staging table")?;
        let written = u64::try_from(self.seq).unwrap_or(0);
        Ok(Staged { rows: written.saturating_sub(duplicates), duplicates })
    }
}

/// The index that says that each object is there once. The reconcile needs it for its speed too: in whatever order the
/// planner joins, there is an index on the inner side.
async fn make_unique(pool: &PgPool, table: &str) -> sqlx::Result<()> {
    pool.execute(AssertSqlSafe(format!("CREATE UNIQUE INDEX ON {table} (key_hash, kind)"))).await.map(drop)
}

async fn drop_duplicates(pool: &PgPool, table: &str) -> Result<u64> {
    let sql = format!(
        "DELETE FROM {table} s USING ( \
             SELECT ctid, row_number() OVER (PARTITION BY kind, key_hash ORDER BY op = 'D', seq DESC) AS n FROM {table} \
         ) d WHERE s.ctid = d.ctid AND d.n > 1"
    );
    Ok(pool.execute(AssertSqlSafe(sql)).await.what("drop duplicates")?.rows_affected())
}

/// The staging table of a claim. Made from numbers alone.
pub(crate) fn table(run: RunId, fence: i64) -> String {
    format!("staging.run_{}_{fence}", run.0.simple())
}

/// Makes the table, if the claim is current. The queue row stays locked until it is there, so the sweeper can't have
/// looked for it before.
async fn create_table(store: &Store, claim: &Claim) -> Result<()> {
    let mut tx = store.tenant(claim.tenant).await?;
    crate::runs::lock_claim(&mut tx, claim).await?;
    let table = table(claim.run, claim.fence);
    let sql = format!(
        "CREATE UNLOGGED TABLE {table} ( \
             seq bigint NOT NULL, op \"char\" NOT NULL, kind \"char\" NOT NULL, slice_id integer NOT NULL, \
             key_hash uuid NOT NULL, content_hash uuid, _type text, _key text, properties jsonb, \
             _class text[], display_name text, \
             verb text, from_key text, from_hash uuid, to_key text, to_hash uuid \
         ) WITH (autovacuum_enabled = false)"
    );
    tx.conn().execute(AssertSqlSafe(sql)).await.what("make a staging table")?;
    tx.commit().await
}

/// Drops a staging table, if it is there.
pub(crate) async fn drop_table(connection: &mut PgConnection, run: RunId, fence: i64) -> Result<()> {
    let sql = format!("DROP TABLE IF EXISTS {}", table(run, fence));
    connection.execute(AssertSqlSafe(sql)).await.what("drop a staging table").map(drop)
}

/// Drops staging tables that belong to no current claim: left by a worker that was lost between its claim being taken
/// and its noticing. Returns how many.
///
/// # Errors
/// When the database fails.
pub async fn sweep(store: &Store) -> Result<u64> {
    let what = "look for staging tables";
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = 'staging' AND c.relkind = 'r'",
    )
    .fetch_all(&store.pool)
    .await
    .what(what)?;
    let mut dropped = 0;
    for (run, fence) in names.iter().filter_map(|name| parse(name)) {
        let mut tx = store.begin().await?;
        // A table that is being written to is in use, whatever the queue says: the next sweep gets it.
        tx.conn().execute("SET LOCAL lock_timeout = '1s'").await.what(what)?;
        let row = sqlx::query(
            "SELECT coalesce(bool_or(fence = $2 OR held_fence = $2), false) AS needed FROM run_queue WHERE run_id = $1",
        )
        .bind(run.0)
        .bind(fence)
        .fetch_one(tx.conn())
        .await
        .what(what)?;
        if !row.column::<bool>("needed")? && drop_table(tx.conn(), run, fence).await.is_ok() {
            tx.commit().await?;
            dropped += 1;
        }
    }
    Ok(dropped)
}

/// Reads a table's name back.
fn parse(name: &str) -> Option<(RunId, i64)> {
    let (run, fence) = name.strip_prefix("run_")?.split_once('_')?;
    Some((RunId(uuid::Uuid::try_parse(run).ok()?), fence.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_name_comes_back() {
        let run = RunId::new();
        let name = table(run, 7);
        assert_eq!(name.strip_prefix("staging.").and_then(parse), Some((run, 7)));
        // Postgres cuts names at 63 bytes; two claims must not meet in one table.
        assert!(table(run, i64::MAX).len() - "staging.".len() <= 63);
        assert_eq!(parse("run_x_1"), None);
        assert_eq!(parse("something"), None);
    }
}
