//! Rejections: objects that were set aside alone, and why. Type and key at most; never what is in them.

use crate::error::{Result, What};
use crate::row::{Columns, clean};
use crate::run_slices::check_claim;
use crate::tx::TenantTx;
use crate::tx::sealed::Conn;
use porthole_model::id::RunId;
use porthole_model::run::{Claim, SliceKey};
use serde::Serialize;

/// The most characters of a type or key that are kept.
const MAX_SHOWN_CHARS: usize = 200;

/// An object that was set aside.
#[derive(Debug, Clone, Serialize)]
pub struct Rejection {
    /// Counts the rejections of the run.
    pub seq: i64,
    /// Step and partition.
    #[serde(flatten)]
    pub slice: SliceKey,
    /// Its type, as far as it could be read; cut to 200 characters.
    pub object_type: String,
    /// Its key, as far as it could be read; cut to 200 characters.
    pub object_key: String,
    /// Why.
    pub reason: String,
}

/// Records rejections. The caller limits how many a run may have; see the counts of the slice for all.
///
/// # Errors
/// `StaleClaim` when the claim is no longer current.
pub async fn append(tx: &mut TenantTx, claim: &Claim, rejections: &[Rejection]) -> Result<()> {
    check_claim(tx, claim).await?;
    let short = |text: &str| -> String { clean(text).chars().take(MAX_SHOWN_CHARS).collect() };
    sqlx::query(
        "INSERT INTO run_rejections (tenant_id, run_id, seq, step, partition, object_type, object_key, reason) \
         SELECT $1, $2, r.* FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[]) r",
    )
    .bind(tx.tenant().0)
    .bind(claim.run.0)
    .bind(rejections.iter().map(|r| r.seq).collect::<Vec<_>>())
    .bind(rejections.iter().map(|r| r.slice.step.as_str()).collect::<Vec<_>>())
    .bind(rejections.iter().map(|r| r.slice.partition.as_str()).collect::<Vec<_>>())
    .bind(rejections.iter().map(|r| short(&r.object_type)).collect::<Vec<_>>())
    .bind(rejections.iter().map(|r| short(&r.object_key)).collect::<Vec<_>>())
    .bind(rejections.iter().map(|r| clean(&r.reason)).collect::<Vec<_>>())
    .execute(tx.conn())
    .await
    .what("record rejections")
    .map(drop)
}

/// The rejections of a run, in order.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut TenantTx, run: RunId, after: i64, limit: u32) -> Result<Vec<Rejection>> {
    let tenant = tx.tenant();
    let rows = sqlx::query(
        "SELECT * FROM run_rejections WHERE tenant_id = $1 AND run_id = $2 AND seq > $3 ORDER BY seq LIMIT $4",
    )
    .bind(tenant.0)
    .bind(run.0)
    .bind(after)
    .bind(i64::from(limit))
    .fetch_all(tx.conn())
    .await
    .what("list the rejections of a run")?;
    rows.iter()
        .map(|row| {
            Ok(Rejection {
                seq: row.column("seq")?,
                slice: SliceKey { step: row.word("step")?, partition: row.word("partition")? },
                object_type: row.column("object_type")?,
                object_key: row.column("object_key")?,
                reason: row.column("reason")?,
            })
        })
        .collect()
}
