//! Out of the log: heads, leaves, nodes, checkpoints. Reading changes nothing; that someone read is for the caller to
//! record.

use super::Rows;
use super::sequence::enter;
use crate::error::{Result, StoreError, What};
use crate::pool::Store;
use crate::row::{Columns, signed};
use crate::tx::sealed::Conn;
use crate::tx::{AnyTx, PlatformTx};
use jiff::Timestamp;
use porthole_model::audit::Log;
use porthole_model::id::RunId;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

/// Where a log stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Leaves.
    pub size: u64,
    /// The root over them; none before the first.
    pub root: Option<[u8; 32]>,
    /// The verifier key of who signs it; none before the first checkpoint.
    pub signer: Option<String>,
}

/// A leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Counts from 0.
    pub index: u64,
    /// Its hash.
    pub hash: [u8; 32],
    /// Its bytes, which are the record.
    pub record: String,
    /// The key of the record's commitments.
    pub salt: Option<Vec<u8>>,
}

/// A signed note over the log at a size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Leaves.
    pub size: u64,
    /// The note.
    pub note: String,
    /// When it was signed.
    pub at: Timestamp,
}

/// Reads one log: a transaction that has entered it.
#[derive(Debug)]
pub struct LogTx {
    tx: PlatformTx,
    rows: Rows,
}

impl LogTx {
    /// Opens a log.
    ///
    /// # Errors
    /// When there is no connection.
    pub async fn open(store: &Store, log: Log) -> Result<Self> {
        let mut tx = store.begin().await?;
        enter(tx.conn(), log).await?;
        Ok(Self { tx, rows: Rows::of(log) })
    }

    /// Where the log stands.
    ///
    /// # Errors
    /// `NotFound` when there is no such log.
    pub async fn head(&mut self) -> Result<Head> {
        head(self.tx.conn(), self.rows).await
    }

    /// Records that wait to be sequenced.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn pending(&mut self) -> Result<u64> {
        let sql = format!("SELECT count(*) AS n FROM {}_pending WHERE tenant_id = $1", self.rows.prefix);
        let row = sqlx::query(AssertSqlSafe(sql)).bind(self.rows.id).fetch_one(self.tx.conn()).await;
        row.what("count pending audit records")?.count("n")
    }

    /// Leaves from an index on, in order: at most `records` of them and, after the first, `bytes`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn leaves(&mut self, from: u64, to: u64, records: u32, bytes: u64) -> Result<Vec<Leaf>> {
        let sql = format!(
            "SELECT idx, leaf_hash, record, salt FROM ( \
                 SELECT *, sum(octet_length(record)) OVER (ORDER BY idx) - octet_length(record) AS before FROM ( \
                     SELECT * FROM {}_leaves WHERE tenant_id = $1 AND idx >= $2 AND idx < $3 ORDER BY idx LIMIT $4) l) m \
             WHERE before < $5 ORDER BY idx",
            self.rows.prefix
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(self.rows.id)
            .bind(signed(from))
            .bind(signed(to))
            .bind(i64::from(records))
            .bind(signed(bytes))
            .fetch_all(self.tx.conn())
            .await
            .what("read an audit log")?;
        rows.iter().map(leaf).collect()
    }

    /// Leaves of a run after an index, in order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of_run(&mut self, run: RunId, from: u64, records: u32) -> Result<Vec<Leaf>> {
        let sql = format!(
            "SELECT idx, leaf_hash, record, salt FROM {}_leaves \
             WHERE tenant_id = $1 AND run_id = $2 AND idx >= $3 ORDER BY idx LIMIT $4",
            self.rows.prefix
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(self.rows.id)
            .bind(run.0)
            .bind(signed(from))
            .bind(i64::from(records))
            .fetch_all(self.tx.conn())
            .await
            .what("read the audit records of a run")?;
        rows.iter().map(leaf).collect()
    }

    /// The leaf of a record.
    ///
    /// # Errors
    /// `NotFound` when the log has none of that id (yet: it may be pending).
    pub async fn by_record(&mut self, record: Uuid) -> Result<Leaf> {
        let sql = format!(
            "SELECT idx, leaf_hash, record, salt FROM {}_leaves WHERE tenant_id = $1 AND record_id = $2",
            self.rows.prefix
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(self.rows.id)
            .bind(record)
            .fetch_optional(self.tx.conn())
            .await
            .what("find an audit record")?;
        leaf(&row.ok_or_else(|| StoreError::not_found("audit record", record))?)
    }

    /// Stored hashes of one level: neighbours, by their index. Level 0 are the leaves' hashes.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn hashes(&mut self, level: u8, from: u64, to: u64) -> Result<Vec<(u64, [u8; 32])>> {
        let what = "read the hashes of an audit log";
        let prefix = self.rows.prefix;
        let sql = match level {
            0 => format!(
                "SELECT idx, leaf_hash AS hash FROM {prefix}_leaves WHERE tenant_id = $1 AND idx >= $2 AND idx < $3 \
                 AND $4::smallint = 0"
            ),
            _ => format!(
                "SELECT idx, hash FROM {prefix}_nodes WHERE tenant_id = $1 AND idx >= $2 AND idx < $3 AND level = $4"
            ),
        };
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(self.rows.id)
            .bind(signed(from))
            .bind(signed(to))
            .bind(i16::from(level))
            .fetch_all(self.tx.conn())
            .await
            .what(what)?;
        rows.iter().map(|row| Ok((row.count("idx")?, hash(row, "hash")?))).collect()
    }

    /// Checkpoints over more than `after` and at most `to` leaves, smallest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn checkpoints(&mut self, after: Option<u64>, to: u64, limit: u32) -> Result<Vec<Checkpoint>> {
        let sql = format!(
            "SELECT size, note, at FROM {}_checkpoints WHERE tenant_id = $1 AND size > $2 AND size <= $3 \
             ORDER BY size LIMIT $4",
            self.rows.prefix
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(self.rows.id)
            .bind(after.map_or(-1, signed))
            .bind(signed(to))
            .bind(i64::from(limit))
            .fetch_all(self.tx.conn())
            .await
            .what("read the log checkpoints")?;
        rows.iter().map(checkpoint).collect()
    }

    /// The checkpoint at a size, or the latest. None when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn checkpoint(&mut self, size: Option<u64>) -> Result<Option<Checkpoint>> {
        let sql = format!(
            "SELECT size, note, at FROM {}_checkpoints WHERE tenant_id = $1 AND ($2::bigint IS NULL OR size = $2) \
             ORDER BY size DESC LIMIT 1",
            self.rows.prefix
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(self.rows.id)
            .bind(size.map(signed))
            .fetch_optional(self.tx.conn())
            .await
            .what("read a log checkpoint")?;
        row.as_ref().map(checkpoint).transpose()
    }
}

/// Where the platform's log stands, read in whatever transaction: what a tenant's records hold on to.
///
/// # Errors
/// When the database fails.
pub async fn platform_head(tx: &mut impl AnyTx) -> Result<Head> {
    head(tx.conn(), Rows::of(Log::Platform)).await
}

async fn head(conn: &mut PgConnection, rows: Rows) -> Result<Head> {
    let sql = format!("SELECT size, root, signer FROM {}_heads WHERE tenant_id = $1", rows.prefix);
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(rows.id)
        .fetch_optional(conn)
        .await
        .what("read the head of an audit log")?
        .ok_or_else(|| StoreError::not_found("audit log", rows.id))?;
    let root: Option<Vec<u8>> = row.column("root")?;
    let root = root.map(|root| bytes32("root", root)).transpose()?;
    Ok(Head { size: row.count("size")?, root, signer: row.column("signer")? })
}

fn checkpoint(row: &PgRow) -> Result<Checkpoint> {
    Ok(Checkpoint { size: row.count("size")?, note: row.column("note")?, at: row.time("at")? })
}

fn leaf(row: &PgRow) -> Result<Leaf> {
    Ok(Leaf {
        index: row.count("idx")?,
        hash: hash(row, "leaf_hash")?,
        record: row.column("record")?,
        salt: row.column("salt")?,
    })
}

fn hash(row: &PgRow, column: &'static str) -> Result<[u8; 32]> {
    bytes32(column, row.column(column)?)
}

fn bytes32(column: &'static str, bytes: Vec<u8>) -> Result<[u8; 32]> {
    bytes.try_into().map_err(|_| StoreError::Corrupt { column, message: "a hash has 32 bytes".to_owned() })
}
