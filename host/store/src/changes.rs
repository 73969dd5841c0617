//! Changes: what a run created, changed and deleted, with the former versions.

use crate::error::{Result, What};
use crate::row::Columns;
use crate::staging::ObjectKind;
use crate::tx::TenantTx;
use crate::tx::sealed::Conn;
use jiff::Timestamp;
use porthole_model::id::{InstanceId, RunId};
use serde::Serialize;
use serde_json::Value;

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeOp {
    /// It is new.
    Created,
    /// Its content changed.
    Updated,
    /// It is gone.
    Deleted,
}

/// What a run did to one object.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// What.
    pub op: ChangeOp,
    /// Entity or relationship.
    pub kind: ObjectKind,
    /// Its type.
    #[serde(rename = "_type")]
    pub object_type: String,
    /// Its key.
    #[serde(rename = "_key")]
    pub key: String,
    /// What it was before; nothing for a created one.
    pub former: Option<Value>,
    /// What its properties are now, if this run's version still stands.
    pub properties: Option<Value>,
    /// When.
    pub at: Timestamp,
}

/// What a run did, by kind, type and key; at most `limit` objects. A created object is shown as long as no later run
/// wrote it.
///
/// # Errors
/// When the database fails.
pub async fn of_run(tx: &mut TenantTx, instance: InstanceId, run: RunId, limit: u32) -> Result<Vec<Change>> {
    let (tenant, shard) = (tx.tenant(), tx.shard());
    let rows = sqlx::query(
        "SELECT c.op, c.kind, c._type, c._key, c.former, coalesce(e.properties, r.properties) AS properties, \
             c.changed_at \
         FROM changes c \
         LEFT JOIN entities e ON e.tenant_id = $1 AND e.shard = $2 AND e.instance_id = $3 \
             AND e.key_hash = c.key_hash AND e.run_id = $4 AND c.kind = 'E' AND c.op = 'updated' \
         LEFT JOIN relationships r ON r.tenant_id = $1 AND r.shard = $2 AND r.instance_id = $3 \
             AND r.key_hash = c.key_hash AND r.run_id = $4 AND c.kind = 'R' AND c.op = 'updated' \
         WHERE c.tenant_id = $1 AND c.shard = $2 AND c.instance_id = $3 AND c.run_id = $4 \
         UNION ALL \
         SELECT 'created', 'E', _type, _key, NULL, properties, created_at FROM entities \
         WHERE tenant_id = $1 AND shard = $2 AND instance_id = $3 AND run_id = $4 AND created_at = updated_at \
         UNION ALL \
         SELECT 'created', 'R', _type, _key, NULL, properties, created_at FROM relationships \
         WHERE tenant_id = $1 AND shard = $2 AND instance_id = $3 AND run_id = $4 AND created_at = updated_at \
         ORDER BY kind, _type, _key LIMIT $5",
    )
    .bind(tenant.0)
    .bind(shard)
    .bind(instance.0)
    .bind(run.0)
    .bind(i64::from(limit))
    .fetch_all(tx.conn())
    .await
    .what("list the changes of a run")?;
    rows.iter()
        .map(|row| {
            let op: String = row.column("op")?;
            let kind: i8 = row.column("kind")?;
            Ok(Change {
                op: match op.as_str() {
                    "created" => ChangeOp::Created,
                    "deleted" => ChangeOp::Deleted,
                    _ => ChangeOp::Updated,
                },
                kind: ObjectKind::from_code(kind.cast_unsigned())?,
                object_type: row.column("_type")?,
                key: row.column("_key")?,
                former: row.json_or_null("former")?,
                properties: row.json_or_null("properties")?,
                at: row.time("changed_at")?,
            })
        })
        .collect()
}
