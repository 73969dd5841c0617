//! Tenants: the customers who own data, and where each one's data lives.

use crate::audit;
use crate::error::{Result, StoreError, What, is_unique_violation};
use crate::row::Columns;
use crate::tx::sealed::Conn;
use crate::tx::{AnyTx, PlatformTx};
use jiff::Timestamp;
use porthole_model::audit::{Action, Entry, Object};
use porthole_model::context::OpContext;
use porthole_model::id::{Name, TenantId};
use serde::Serialize;
use sqlx::postgres::PgRow;

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
