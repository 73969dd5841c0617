//! The completeness ledger: for every slice of an instance, when it was last complete, and the short number under which
//! the graph knows it.

use crate::error::{Result, StoreError, What};
use crate::row::Columns;
use crate::tx::TenantTx;
use crate::tx::sealed::Conn;
use jiff::Timestamp;
use porthole_model::id::{InstanceId, RunId};
use porthole_model::run::SliceKey;
use serde::Serialize;
use sqlx::postgres::PgRow;
use std::collections::BTreeMap;

/// What is known of a slice.
#[derive(Debug, Clone, Serialize)]
pub struct Slice {
    /// The short number.
    pub id: i32,
    /// Step and partition.
    #[serde(flatten)]
    pub key: SliceKey,
    /// The last run that collected it completely.
    pub last_complete_run: Option<RunId>,
    /// When that was.
    pub last_complete_at: Option<Timestamp>,
    /// The last run that tried.
    pub last_run: Option<RunId>,
    /// Why that wasn't complete; empty when it was.
    pub last_reason: String,
    /// Its partition is gone, or its step.
    pub retired: bool,
}

fn read(row: &PgRow) -> Result<Slice> {
    Ok(Slice {
        id: row.column("slice_id")?,
        key: SliceKey { step: row.word("step")?, partition: row.word("partition")? },
        last_complete_run: row.column::<Option<_>>("last_complete_run")?.map(RunId),
        last_complete_at: row.time_or_null("last_complete_at")?,
        last_run: row.column::<Option<_>>("last_run")?.map(RunId),
        last_reason: row.column("last_reason")?,
        retired: row.column("retired")?,
    })
}

/// The numbers of slices; a slice that is seen for the first time gets the next one.
///
/// # Errors
/// `NotFound` when the tenant has no such instance.
pub async fn ensure(tx: &mut TenantTx, instance: InstanceId, keys: &[SliceKey]) -> Result<BTreeMap<SliceKey, i32>> {
    let what = "number slices";
    let tenant = tx.tenant();
    // One at a time for each instance, so that no number is given twice.
    sqlx::query("SELECT 1 FROM instances WHERE tenant_id = $1 AND instance_id = $2 FOR NO KEY UPDATE")
        .bind(tenant.0)
        .bind(instance.0)
        .fetch_optional(tx.conn())
        .await
        .what(what)?
        .ok_or_else(|| StoreError::not_found("instance", instance))?;
    let (steps, partitions): (Vec<&str>, Vec<&str>) =
        keys.iter().map(|s| (s.step.as_str(), s.partition.as_str())).unzip();
    sqlx::query(
        "INSERT INTO slices (tenant_id, instance_id, slice_id, step, partition) \
         SELECT $1, $2, row_number() OVER (ORDER BY n.step, n.partition) \
             + (SELECT coalesce(max(slice_id), 0) FROM slices WHERE tenant_id = $1 AND instance_id = $2), \
             n.step, n.partition \
         FROM (SELECT DISTINCT step, partition FROM unnest($3::text[], $4::text[]) AS k (step, partition)) n \
         WHERE NOT EXISTS (SELECT 1 FROM slices s WHERE s.tenant_id = $1 AND s.instance_id = $2 \
             AND s.step = n.step AND s.partition = n.partition)",
    )
    .bind(tenant.0)
    .bind(instance.0)
    .bind(&steps)
    .bind(&partitions)
    .execute(tx.conn())
    .await
    .what(what)?;
    let rows = sqlx::query(
        "SELECT s.* FROM slices s JOIN unnest($3::text[], $4::text[]) AS k (step, partition) \
             ON s.step = k.step AND s.partition = k.partition \
         WHERE s.tenant_id = $1 AND s.instance_id = $2",
    )
    .bind(tenant.0)
    .bind(instance.0)
    .bind(&steps)
    .bind(&partitions)
    .fetch_all(tx.conn())
    .await
    .what(what)?;
    rows.iter().map(|row| read(row).map(|slice| (slice.key, slice.id))).collect()
}

/// All slices of an instance.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut TenantTx, instance: InstanceId) -> Result<Vec<Slice>> {
    let tenant = tx.tenant();
    let rows = sqlx::query("SELECT * FROM slices WHERE tenant_id = $1 AND instance_id = $2 ORDER BY step, partition")
        .bind(tenant.0)
        .bind(instance.0)
        .fetch_all(tx.conn())
        .await
        .what("list the slices")?;
    rows.iter().map(read).collect()
}
