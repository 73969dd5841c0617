//! Into the log, first half: pending records, in the caller's transaction.

use super::Rows;
use super::sequence::enter;
use crate::error::{Result, What};
use crate::tx::sealed::Conn;
use crate::tx::{AnyTx, PlatformTx};
use jiff::Timestamp;
use porthole_model::audit::{Entry, Log, SALT_BYTES};
use porthole_model::context::OpContext;
use porthole_model::id::TenantId;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

/// The key of a record's commitments.
type Salt = [u8; SALT_BYTES];

/// Writes a record into the log of the transaction: a tenant's, or the platform's. It is there when the transaction is
/// committed, and never without it. Returns the record's id.
///
/// # Errors
/// When the database fails; the change it would have told of must not be committed then.
pub async fn append(ctx: &OpContext, tx: &mut impl AnyTx, entry: Entry) -> Result<Uuid> {
    let log = tx.log();
    let ids = append_for(ctx, tx.conn(), log, vec![entry]).await?;
    Ok(ids.into_iter().next().unwrap_or_default())
}

/// Writes several records, in their order, with one statement.
///
/// # Errors
/// As [`append`].
pub async fn append_all(ctx: &OpContext, tx: &mut impl AnyTx, entries: Vec<Entry>) -> Result<Vec<Uuid>> {
    let log = tx.log();
    append_for(ctx, tx.conn(), log, entries).await
}

/// The same over a connection that has entered the log.
async fn append_for(ctx: &OpContext, conn: &mut PgConnection, log: Log, entries: Vec<Entry>) -> Result<Vec<Uuid>> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let runs: Vec<_> = entries.iter().map(|entry| entry.run_id().map(|run| run.0)).collect();
    let salts: Vec<_> = entries.iter().map(|entry| entry.has_commitments().then(new_salt)).collect();
    let (ids, records) = write_leaves(ctx, entries, &salts);
    let salts: Vec<_> = salts.into_iter().map(|salt| salt.map(Vec::from)).collect();
    let Rows { prefix, id: log_id } = Rows::of(log);
    // Numbered in the order of the list, and queued by the same number: whoever takes the one takes the other.
    sqlx::query(AssertSqlSafe(format!(
        "WITH new AS ( \
             INSERT INTO {prefix}_pending (tenant_id, id, record_id, run_id, record, salt) \
             SELECT $1, nextval('audit_order'), e.record_id, e.run_id, e.record, e.salt \
             FROM (SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::bytea[]) \
                 WITH ORDINALITY AS r (record_id, run_id, record, salt, n) ORDER BY n) e \
             RETURNING id) \
         INSERT INTO audit_queue (tenant_id, id) SELECT $1, id FROM new"
    )))
    .bind(log_id)
    .bind(&ids)
    .bind(runs)
    .bind(records)
    .bind(salts)
    .execute(conn)
    .await
    .what("write an audit record")?;
    Ok(ids)
}

/// The ids and leaves of records without commitments, for a statement that appends them itself.
pub(crate) fn leaves(ctx: &OpContext, entries: Vec<Entry>) -> (Vec<Uuid>, Vec<String>) {
    let salts = vec![None; entries.len()];
    write_leaves(ctx, entries, &salts)
}

fn write_leaves(ctx: &OpContext, entries: Vec<Entry>, salts: &[Option<Salt>]) -> (Vec<Uuid>, Vec<String>) {
    let at = Timestamp::now();
    let leaf = |(entry, salt): (Entry, &Option<Salt>)| {
        let id = Uuid::now_v7();
        (id, entry.into_record(ctx, id, at, &salt.unwrap_or_default()).to_leaf())
    };
    entries.into_iter().zip(salts).map(leaf).unzip()
}

/// Makes the log of a tenant that is being made, with its first record, over the transaction that makes it.
pub(crate) async fn begin_log(ctx: &OpContext, tx: &mut PlatformTx, tenant: TenantId, first: Entry) -> Result<()> {
    let log = Log::Tenant(tenant);
    enter(tx.conn(), log).await?;
    sqlx::query("INSERT INTO audit_heads (tenant_id) VALUES ($1)")
        .bind(tenant.0)
        .execute(tx.conn())
        .await
        .what("make an audit log")?;
    append_for(ctx, tx.conn(), log, vec![first]).await?;
    // Out again: the caller's transaction is the platform's.
    enter(tx.conn(), Log::Platform).await
}

/// 244 random bits of the operating system in 32 bytes.
fn new_salt() -> Salt {
    let mut salt = [0; SALT_BYTES];
    let (first, second) = salt.split_at_mut(SALT_BYTES / 2);
    first.copy_from_slice(Uuid::new_v4().as_bytes());
    second.copy_from_slice(Uuid::new_v4().as_bytes());
    salt
}
