//! Tenants: the customers who own data, where each one's data lives, and each one's data key.

use crate::audit;
use crate::error::{Result, StoreError, What, is_unique_violation};
use crate::row::Columns;
use crate::tx::sealed::Conn;
use crate::tx::{AnyTx, PlatformTx, TenantTx};
use jiff::Timestamp;
use porthole_model::audit::{Action, Entry, Object};
use porthole_model::context::OpContext;
use porthole_model::id::{Name, TenantId};
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::types::Json;

/// A tenant.
#[derive(Debug, Clone, Serialize)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// What people call it.
    pub name: Name,
    /// The Postgres primary that has its data.
    pub cell: String,
    /// The partition of the graph.
    pub shard: i16,
    /// When it was made.
    pub created_at: Timestamp,
}

fn read(row: &PgRow) -> Result<Tenant> {
    Ok(Tenant {
        id: TenantId(row.column("tenant_id")?),
        name: row.word("name")?,
        cell: row.column("cell")?,
        shard: row.column("shard")?,
        created_at: row.time("created_at")?,
    })
}

/// Makes a tenant and gives it the shard with the fewest tenants. The same record stands in the platform's log and is
/// the first of the tenant's.
///
/// # Errors
/// `Exists` when the name is taken.
pub async fn create(ctx: &OpContext, tx: &mut PlatformTx, name: &Name) -> Result<Tenant> {
    let row = sqlx::query(
        "INSERT INTO tenants (tenant_id, name, shard, created_by) \
         SELECT $1, $2, s.shard, $3 FROM generate_series(0, 63) s (shard) \
         LEFT JOIN tenants t ON t.shard = s.shard \
         GROUP BY s.shard ORDER BY count(t.tenant_id), s.shard LIMIT 1 \
         RETURNING *",
    )
    .bind(TenantId::new().0)
    .bind(name.as_str())
    .bind(ctx.actor.to_string())
    .fetch_one(tx.conn())
    .await;
    let tenant = match row {
        Ok(row) => read(&row)?,
        Err(e) if is_unique_violation(&e) => {
            return Err(StoreError::Exists { kind: "tenant", id: name.to_string() });
        }
        Err(source) => return Err(StoreError::Query { what: "create a tenant", source }),
    };
    let entry = || Entry::new(Action::TenantCreated, Object::tenant(tenant.id)).name(&tenant.name);
    audit::append(ctx, tx, entry()).await?;
    audit::begin_log(ctx, tx, tenant.id, entry()).await?;
    Ok(tenant)
}

/// Finds a tenant by its name.
///
/// # Errors
/// `NotFound` when there is none of that name.
pub async fn by_name(tx: &mut impl AnyTx, name: &Name) -> Result<Tenant> {
    let row = sqlx::query("SELECT * FROM tenants WHERE name = $1")
        .bind(name.as_str())
        .fetch_optional(tx.conn())
        .await
        .what("find a tenant")?;
    read(&row.ok_or_else(|| StoreError::not_found("tenant", name))?)
}

/// All tenants, by name.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut impl AnyTx) -> Result<Vec<Tenant>> {
    let rows =
        sqlx::query("SELECT * FROM tenants ORDER BY name").fetch_all(tx.conn()).await.what("list the tenants")?;
    rows.iter().map(read).collect()
}

/// A tenant's data key, wrapped by the key-encryption key.
#[derive(Debug, Clone)]
pub struct WrappedKey {
    /// Counts the tenant's keys; the highest seals, the others still open.
    pub key_id: i32,
    /// What the key port made of it.
    pub wrapped: serde_json::Value,
}

/// The tenant's data keys, newest first.
///
/// # Errors
/// When the database fails.
pub async fn keys(tx: &mut TenantTx) -> Result<Vec<WrappedKey>> {
    let tenant = tx.tenant();
    let rows = sqlx::query("SELECT key_id, wrapped FROM tenant_keys WHERE tenant_id = $1 ORDER BY key_id DESC")
        .bind(tenant.0)
        .fetch_all(tx.conn())
        .await
        .what("read the tenant's keys")?;
    rows.iter().map(|row| Ok(WrappedKey { key_id: row.column("key_id")?, wrapped: row.json("wrapped")? })).collect()
}

/// Adds a data key. The caller made it as the successor of what [`keys`] showed.
///
/// # Errors
/// `Changed` when someone else added that key in the meantime: read [`keys`] again and use theirs.
pub async fn add_key(ctx: &OpContext, tx: &mut TenantTx, key: &WrappedKey) -> Result<()> {
    let tenant = tx.tenant();
    let done =
        sqlx::query("INSERT INTO tenant_keys (tenant_id, key_id, wrapped) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
            .bind(tenant.0)
            .bind(key.key_id)
            .bind(Json(&key.wrapped))
            .execute(tx.conn())
            .await
            .what("add a tenant's key")?;
    if done.rows_affected() != 1 {
        return Err(StoreError::Changed { kind: "key of tenant", id: tenant.to_string() });
    }
    let key = Object::new("tenant-key", key.key_id);
    audit::append(ctx, tx, Entry::new(Action::KeyCreated, key)).await.map(drop)
}

/// Replaces the wrapping of a data key, when the key-encryption key is rotated.
///
/// # Errors
/// `NotFound` when the tenant has no such key.
pub async fn rewrap_key(ctx: &OpContext, tx: &mut TenantTx, key: &WrappedKey) -> Result<()> {
    let tenant = tx.tenant();
    let done = sqlx::query("UPDATE tenant_keys SET wrapped = $3 WHERE tenant_id = $1 AND key_id = $2")
        .bind(tenant.0)
        .bind(key.key_id)
        .bind(Json(&key.wrapped))
        .execute(tx.conn())
        .await
        .what("re-wrap a tenant's key")?;
    if done.rows_affected() != 1 {
        return Err(StoreError::not_found("tenant key", key.key_id));
    }
    let key = Object::new("tenant-key", key.key_id);
    audit::append(ctx, tx, Entry::new(Action::KeyRewrapped, key)).await.map(drop)
}
