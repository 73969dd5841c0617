//! Into the log, second half: what is pending becomes leaves, in order. One transaction takes the head of a log, reads
//! pending records, and writes leaves, nodes, head and checkpoint; killed at any moment, it did all of it or nothing.

use super::Rows;
use crate::error::{Result, What};
use crate::pool::Store;
use crate::row::{Columns, signed};
use crate::tx::PlatformTx;
use crate::tx::sealed::Conn;
use porthole_model::audit::Log;
use porthole_model::id::TenantId;
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use uuid::Uuid;

/// What one step takes at most.
#[derive(Debug, Clone, Copy)]
pub struct StepLimits {
    /// Records.
    pub records: u32,
    /// Their bytes; one record is always taken.
    pub bytes: u64,
}

/// A pending record.
#[derive(Debug)]
pub struct Pending {
    /// Its place in the order of writing.
    id: i64,
    /// The record's id.
    record_id: Uuid,
    run_id: Option<Uuid>,
    /// The leaf's bytes.
    pub record: String,
    salt: Option<Vec<u8>>,
}

/// A log that is about to grow: its head is held, nobody else appends.
#[derive(Debug)]
pub struct Growing {
    tx: PlatformTx,
    log: Log,
    /// Leaves so far.
    pub size: u64,
    /// What the last step left; empty before the first.
    pub frontier: Vec<u8>,
    /// The verifier key under which the log was signed so far.
    pub signer: Option<String>,
    /// What comes next, in order.
    pub pending: Vec<Pending>,
}

/// A node to store.
#[derive(Debug, Clone, Copy)]
pub struct NewNode {
    /// A multiple of 8.
    pub level: u8,
    /// From the left.
    pub index: u64,
    /// Its hash.
    pub hash: [u8; 32],
}

/// What a step came to.
#[derive(Debug)]
pub struct Grown {
    /// One for each of [`Growing::pending`], in its order.
    pub leaf_hashes: Vec<[u8; 32]>,
    /// Subtrees that these completed.
    pub nodes: Vec<NewNode>,
    /// What the next step goes on from.
    pub frontier: Vec<u8>,
    /// The root at the new size.
    pub root: [u8; 32],
    /// The verifier key of who signs.
    pub signer: String,
    /// The signed note over size and root.
    pub note: String,
}

/// Says who signs this installation's logs, unless that has been said before. Returns who it is.
///
/// # Errors
/// When the database fails.
pub async fn claim_signer(store: &Store, verifier_key: &str) -> Result<String> {
    let what = "say who signs the audit logs";
    let set = "UPDATE platform_audit_heads SET signer = $2 WHERE tenant_id = $1 AND signer IS NULL";
    sqlx::query(set).bind(Uuid::nil()).bind(verifier_key).execute(&store.pool).await.what(what)?;
    let signer: Option<String> = sqlx::query_scalar("SELECT signer FROM platform_audit_heads WHERE tenant_id = $1")
        .bind(Uuid::nil())
        .fetch_one(&store.pool)
        .await
        .what(what)?;
    Ok(signer.unwrap_or_default())
}

/// The next log with pending records after this one, by its id, the platform's first. Round and round: a log with a
/// million pending records keeps no other waiting for more than one step.
///
/// # Errors
/// When the database fails.
pub async fn next_log(store: &Store, after: Option<Log>) -> Result<Option<Log>> {
    // The platform's is the id of nobody, and nothing is before it.
    let sql = match after {
        None => "SELECT tenant_id FROM audit_queue ORDER BY tenant_id LIMIT 1",
        Some(_) => "SELECT tenant_id FROM audit_queue WHERE tenant_id > $1 ORDER BY tenant_id LIMIT 1",
    };
    let query = sqlx::query_scalar(sql);
    let query = match after {
        None => query,
        Some(log) => query.bind(Rows::of(log).id),
    };
    let id: Option<Uuid> = query.fetch_optional(&store.pool).await.what("look for pending audit records")?;
    Ok(id.map(|id| if id.is_nil() { Log::Platform } else { Log::Tenant(TenantId(id)) }))
}

/// Takes the head of a log and reads what is pending. None when another sequencer has it, or nothing is pending.
///
/// # Errors
/// When the database fails.
pub async fn grow(store: &Store, log: Log, limits: StepLimits) -> Result<Option<Growing>> {
    let what = "take the head of an audit log";
    let mut tx = store.begin().await?;
    enter(tx.conn(), log).await?;
    let Rows { prefix, id } = Rows::of(log);
    let head = sqlx::query(AssertSqlSafe(format!(
        "SELECT size, frontier, signer FROM {prefix}_heads WHERE tenant_id = $1 FOR UPDATE SKIP LOCKED"
    )))
    .bind(id)
    .fetch_optional(tx.conn())
    .await
    .what(what)?;
    let Some(head) = head else { return Ok(None) };
    let rows = sqlx::query(AssertSqlSafe(format!(
        "SELECT id, record_id, run_id, record, salt FROM ( \
             SELECT *, sum(octet_length(record)) OVER (ORDER BY id) - octet_length(record) AS before FROM ( \
                 SELECT * FROM {prefix}_pending WHERE tenant_id = $1 ORDER BY id LIMIT $2) p) q \
         WHERE before < $3 ORDER BY id"
    )))
    .bind(id)
    .bind(i64::from(limits.records))
    .bind(signed(limits.bytes))
    .fetch_all(tx.conn())
    .await
    .what("read pending audit records")?;
    if rows.is_empty() {
        return Ok(None);
    }
    let mut pending = Vec::with_capacity(rows.len());
    for row in &rows {
        pending.push(Pending {
            id: row.column("id")?,
            record_id: row.column("record_id")?,
            run_id: row.column("run_id")?,
            record: row.column("record")?,
            salt: row.column("salt")?,
        });
    }
    let (size, frontier, signer) = (head.count("size")?, head.column("frontier")?, head.column("signer")?);
    Ok(Some(Growing { tx, log, size, frontier, signer, pending }))
}

impl Growing {
    /// The log.
    #[must_use]
    pub fn log(&self) -> Log {
        self.log
    }

    /// Writes leaves, nodes, checkpoint and head, and commits.
    ///
    /// # Errors
    /// When the database fails; nothing happened then.
    pub async fn commit(mut self, grown: Grown) -> Result<()> {
        let what = "append to an audit log";
        let Rows { prefix, id } = Rows::of(self.log);
        let ids: Vec<i64> = self.pending.iter().map(|p| p.id).collect();
        let first = signed(self.size);
        let size = first.saturating_add(signed(self.pending.len() as u64));
        let indexes: Vec<i64> = (first..size).collect();
        let conn = self.tx.conn();
        // A read-modify-write that nobody else does at the same time: the head is held.
        let statement = format!(
            "INSERT INTO {prefix}_leaves (tenant_id, idx, record_id, run_id, leaf_hash, record, salt) \
             SELECT $1, l.* FROM unnest($2::bigint[], $3::uuid[], $4::uuid[], $5::bytea[], $6::text[], $7::bytea[]) l"
        );
        let (mut record_ids, mut runs, mut records, mut salts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for pending in self.pending {
            record_ids.push(pending.record_id);
            runs.push(pending.run_id);
            records.push(pending.record);
            salts.push(pending.salt);
        }
        sqlx::query(AssertSqlSafe(statement))
            .bind(id)
            .bind(indexes)
            .bind(record_ids)
            .bind(runs)
            .bind(grown.leaf_hashes.iter().map(|h| h.as_slice()).collect::<Vec<_>>())
            .bind(records)
            .bind(salts)
            .execute(&mut *conn)
            .await
            .what(what)?;
        if !grown.nodes.is_empty() {
            let statement = format!(
                "INSERT INTO {prefix}_nodes (tenant_id, level, idx, hash) \
                 SELECT $1, n.* FROM unnest($2::smallint[], $3::bigint[], $4::bytea[]) n"
            );
            sqlx::query(AssertSqlSafe(statement))
                .bind(id)
                .bind(grown.nodes.iter().map(|n| i16::from(n.level)).collect::<Vec<_>>())
                .bind(grown.nodes.iter().map(|n| signed(n.index)).collect::<Vec<_>>())
                .bind(grown.nodes.iter().map(|n| n.hash.as_slice()).collect::<Vec<_>>())
                .execute(&mut *conn)
                .await
                .what(what)?;
        }
        // By their numbers, not up to the last: a transaction with a lower number may commit only now.
        let statement = format!(
            "WITH taken AS (DELETE FROM {prefix}_pending WHERE tenant_id = $1 AND id = ANY($2)), \
                 queue AS (DELETE FROM audit_queue WHERE tenant_id = $1 AND id = ANY($2)), \
                 checkpoint AS (INSERT INTO {prefix}_checkpoints (tenant_id, size, note) VALUES ($1, $3, $4)) \
             UPDATE {prefix}_heads SET size = $3, frontier = $5, root = $6, signer = $7 WHERE tenant_id = $1"
        );
        sqlx::query(AssertSqlSafe(statement))
            .bind(id)
            .bind(ids)
            .bind(size)
            .bind(grown.note)
            .bind(grown.frontier)
            .bind(grown.root.as_slice())
            .bind(grown.signer)
            .execute(conn)
            .await
            .what(what)?;
        self.tx.commit().await
    }
}

/// Sets the tenant of a connection for the rest of its transaction; none for the platform's log.
pub(super) async fn enter(conn: &mut PgConnection, log: Log) -> Result<()> {
    let tenant = log.tenant().map(|t| t.to_string()).unwrap_or_default();
    conn.execute(sqlx::query("SELECT set_config('porthole.tenant', $1, true)").bind(tenant))
        .await
        .what("enter a log")
        .map(drop)
}
