//! Grants: what a tenant lets an instance do. A new grant is a new version; the old ones stay, for the record.

use crate::audit;
use crate::error::{Result, StoreError, What, is_unique_violation};
use crate::row::Columns;
use crate::tx::TenantTx;
use crate::tx::sealed::Conn;
use jiff::Timestamp;
use porthole_model::audit::{Action, Entry, Object};
use porthole_model::context::OpContext;
use porthole_model::grant::Grant;
use porthole_model::id::InstanceId;
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::types::Json;

/// One version of an instance's grant.
#[derive(Debug, Clone, Serialize)]
pub struct Granted {
    /// Counts from 1.
    pub version: i32,
    /// What is allowed.
    pub grant: Grant,
    /// Who granted it.
    pub actor: String,
    /// When.
    pub at: Timestamp,
}

fn read(row: &PgRow) -> Result<Granted> {
    Ok(Granted {
        version: row.column("version")?,
        grant: row.json("allowed")?,
        actor: row.column("actor")?,
        at: row.time("at")?,
    })
}

/// Replaces the grant of an instance.
///
/// # Errors
/// `NotFound` when the tenant has no such instance, `Changed` when someone else set a grant at the same moment.
pub async fn set(ctx: &OpContext, tx: &mut TenantTx, instance: InstanceId, grant: &Grant) -> Result<Granted> {
    let tenant = tx.tenant();
    let before = current(tx, instance).await?;
    let row = sqlx::query(
        "INSERT INTO grants (tenant_id, instance_id, version, allowed, actor) \
         SELECT $1, i.instance_id, \
                1 + (SELECT coalesce(max(g.version), 0) FROM grants g WHERE g.tenant_id = $1 AND g.instance_id = $2), \
                $3, $4 \
         FROM instances i WHERE i.tenant_id = $1 AND i.instance_id = $2 \
         RETURNING *",
    )
    .bind(tenant.0)
    .bind(instance.0)
    .bind(Json(grant))
    .bind(ctx.actor.to_string())
    .fetch_optional(tx.conn())
    .await;
    let granted = match row {
        Ok(row) => read(&row.ok_or_else(|| StoreError::not_found("instance", instance))?)?,
        Err(e) if is_unique_violation(&e) => {
            return Err(StoreError::Changed { kind: "grant of instance", id: instance.to_string() });
        }
        Err(source) => return Err(StoreError::Query { what: "set a grant", source }),
    };
    audit::append(ctx, tx, entry(instance, before.as_ref(), &granted)).await?;
    Ok(granted)
}

/// The record of a new grant: the operations that came and went by name, limits by number, both grants by digest.
fn entry(instance: InstanceId, before: Option<&Granted>, after: &Granted) -> Entry {
    let none = Grant::default();
    let (old, new) = (before.map_or(&none, |b| &b.grant), &after.grant);
    let mut entry = Entry::new(Action::GrantSet, Object::new("grant", format_args!("{instance}/{}", after.version)))
        .instance(instance)
        .count("version", u64::try_from(after.version).unwrap_or(0))
        .count("operations", new.operations.len() as u64)
        .count("operations-added", new.operations.difference(&old.operations).count() as u64)
        .count("operations-removed", old.operations.difference(&new.operations).count() as u64)
        .count("limits", new.limits.values().map(Vec::len).sum::<usize>() as u64)
        .count("steps-off", new.steps_off.len() as u64)
        .digest_json("grant", new);
    if before.is_some() {
        entry = entry.digest_json("grant-before", old);
    }
    entry
}

/// The grant of an instance that counts. None when nobody has granted anything: nothing is allowed then.
///
/// # Errors
/// When the database fails.
pub async fn current(tx: &mut TenantTx, instance: InstanceId) -> Result<Option<Granted>> {
    let tenant = tx.tenant();
    let row =
        sqlx::query("SELECT * FROM grants WHERE tenant_id = $1 AND instance_id = $2 ORDER BY version DESC LIMIT 1")
            .bind(tenant.0)
            .bind(instance.0)
            .fetch_optional(tx.conn())
            .await
            .what("read the grant")?;
    row.as_ref().map(read).transpose()
}

/// All grants an instance ever had, newest first.
///
/// # Errors
/// When the database fails.
pub async fn history(tx: &mut TenantTx, instance: InstanceId) -> Result<Vec<Granted>> {
    let tenant = tx.tenant();
    let rows = sqlx::query("SELECT * FROM grants WHERE tenant_id = $1 AND instance_id = $2 ORDER BY version DESC")
        .bind(tenant.0)
        .bind(instance.0)
        .fetch_all(tx.conn())
        .await
        .what("read the grants")?;
    rows.iter().map(read).collect()
}
