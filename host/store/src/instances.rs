//! Instances: a tenant's configured integrations.

use crate::audit;
use crate::error::{Result, StoreError, What, is_unique_violation};
use crate::row::Columns;
use crate::tx::TenantTx;
use crate::tx::sealed::Conn;
use crate::{mappings, modules};
use jiff::Timestamp;
use porthole_model::audit::{Action, Entry, Object};
use porthole_model::context::OpContext;
use porthole_model::id::{InstanceId, ModuleDigest, Name};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use std::collections::BTreeMap;

/// When a run would delete so much that a person has to look at it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Brake {
    /// The share of a type's objects, 0 to 1.
    pub share: f32,
    /// The fewest objects; below that no share matters.
    pub floor: i32,
}

impl Default for Brake {
    fn default() -> Self {
        Self { share: 0.3, floor: 50 }
    }
}

/// An instance.
#[derive(Debug, Clone, Serialize)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// What people call it.
    pub name: Name,
    /// The module it runs.
    pub module: ModuleDigest,
    /// What the tenant filled in, by field name, as it was given: the manifest's defaults and derived values are not
    /// in it.
    pub config: BTreeMap<String, String>,
    /// Counts reconciles.
    pub generation: i64,
    /// When a run is held.
    pub brake: Brake,
    /// No runs.
    pub disabled: bool,
    /// What a role of the tenant's demands of whoever assumes it (`sigv4-role`). No secret, and never changed.
    pub external_id: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An instance to make.
#[derive(Debug, Clone, Copy)]
pub struct NewInstance<'a> {
    /// Unique in the tenant.
    pub name: &'a Name,
    /// The module it runs.
    pub module: ModuleDigest,
    /// What the tenant filled in.
    pub config: &'a BTreeMap<String, String>,
}

pub(crate) fn read(row: &PgRow) -> Result<Instance> {
    Ok(Instance {
        id: InstanceId(row.column("instance_id")?),
        name: row.word("name")?,
        module: row.word("module_digest")?,
        config: row.json("config")?,
        generation: row.column("generation")?,
        brake: Brake { share: row.column("brake_share")?, floor: row.column("brake_floor")? },
        disabled: row.column("disabled")?,
        external_id: row.column("external_id")?,
        created_at: row.time("created_at")?,
    })
}

/// Makes an instance.
///
/// # Errors
/// `Exists` when the name is taken, `NotFound` when there is no such module.
pub async fn create(ctx: &OpContext, tx: &mut TenantTx, new: NewInstance<'_>) -> Result<Instance> {
    let tenant = tx.tenant();
    let row = sqlx::query(
        "INSERT INTO instances (tenant_id, instance_id, name, module_digest, config, created_by) \
         VALUES ($1, $2, $3, $4, $5, $6) RETURNING *",
    )
    .bind(tenant.0)
    .bind(InstanceId::new().0)
    .bind(new.name.as_str())
    .bind(new.module.to_string())
    .bind(Json(new.config))
    .bind(ctx.actor.to_string())
    .fetch_one(tx.conn())
    .await;
    let instance = match row {
        Ok(row) => read(&row)?,
        Err(e) if is_unique_violation(&e) => {
            return Err(StoreError::Exists { kind: "instance", id: new.name.to_string() });
        }
        Err(e) if e.as_database_error().is_some_and(sqlx::error::DatabaseError::is_foreign_key_violation) => {
            return Err(StoreError::not_found("module", new.module));
        }
        Err(source) => return Err(StoreError::Query { what: "create an instance", source }),
    };
    let entry = about(Action::InstanceCreated, &instance)
        .digest("module", instance.module)
        .commit_json("config", &instance.config);
    audit::append(ctx, tx, entry).await?;
    let rules = modules::mappings(tx, instance.module).await?;
    mappings::follow(ctx, tx, instance.id, &rules).await?;
    Ok(instance)
}

fn about(action: Action, instance: &Instance) -> Entry {
    Entry::new(action, Object::instance(instance.id)).instance(instance.id).name(&instance.name)
}

/// An instance by its id.
///
/// # Errors
/// `NotFound` when the tenant has none.
pub async fn get(tx: &mut TenantTx, instance: InstanceId) -> Result<Instance> {
    let tenant = tx.tenant();
    let row = sqlx::query("SELECT * FROM instances WHERE tenant_id = $1 AND instance_id = $2")
        .bind(tenant.0)
        .bind(instance.0)
        .fetch_optional(tx.conn())
        .await
        .what("find an instance")?;
    read(&row.ok_or_else(|| StoreError::not_found("instance", instance))?)
}

/// An instance by its name.
///
/// # Errors
/// `NotFound` when the tenant has none.
pub async fn by_name(tx: &mut TenantTx, name: &Name) -> Result<Instance> {
    let tenant = tx.tenant();
    let row = sqlx::query("SELECT * FROM instances WHERE tenant_id = $1 AND name = $2")
        .bind(tenant.0)
        .bind(name.as_str())
        .fetch_optional(tx.conn())
        .await
        .what("find an instance")?;
    read(&row.ok_or_else(|| StoreError::not_found("instance", name))?)
}

/// The tenant's instances, by name.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut TenantTx) -> Result<Vec<Instance>> {
    let tenant = tx.tenant();
    let rows = sqlx::query("SELECT * FROM instances WHERE tenant_id = $1 ORDER BY name")
        .bind(tenant.0)
        .fetch_all(tx.conn())
        .await
        .what("list the instances")?;
    rows.iter().map(read).collect()
}

/// What may change in an instance. `None` leaves it as it is.
#[derive(Debug, Clone, Default)]
pub struct InstanceUpdate {
    /// Another module.
    pub module: Option<ModuleDigest>,
    /// Another configuration, whole.
    pub config: Option<BTreeMap<String, String>>,
    /// Another brake.
    pub brake: Option<Brake>,
    /// Switches runs off or on.
    pub disabled: Option<bool>,
}

/// Changes an instance.
///
/// # Errors
/// `NotFound` when the tenant has no such instance.
pub async fn update(
    ctx: &OpContext,
    tx: &mut TenantTx,
    instance: InstanceId,
    update: &InstanceUpdate,
) -> Result<Instance> {
    let tenant = tx.tenant();
    let before = locked(tx, instance).await?;
    let row = sqlx::query(
        "UPDATE instances SET module_digest = coalesce($3, module_digest), config = coalesce($4, config), \
             brake_share = coalesce($5, brake_share), brake_floor = coalesce($6, brake_floor), \
             disabled = coalesce($7, disabled) \
         WHERE tenant_id = $1 AND instance_id = $2 RETURNING *",
    )
    .bind(tenant.0)
    .bind(instance.0)
    .bind(update.module.map(|m| m.to_string()))
    .bind(update.config.as_ref().map(Json))
    .bind(update.brake.map(|b| b.share))
    .bind(update.brake.map(|b| b.floor))
    .bind(update.disabled)
    .fetch_optional(tx.conn())
    .await
    .what("change an instance")?;
    let after = read(&row.ok_or_else(|| StoreError::not_found("instance", instance))?)?;
    audit::append_all(ctx, tx, changes(&before, &after)).await?;
    if before.module != after.module {
        let rules = modules::mappings(tx, after.module).await?;
        mappings::follow(ctx, tx, instance, &rules).await?;
    }
    Ok(after)
}

/// An instance, which nobody else changes until the transaction ends.
async fn locked(tx: &mut TenantTx, instance: InstanceId) -> Result<Instance> {
    let tenant = tx.tenant();
    let row = sqlx::query("SELECT * FROM instances WHERE tenant_id = $1 AND instance_id = $2 FOR NO KEY UPDATE")
        .bind(tenant.0)
        .bind(instance.0)
        .fetch_optional(tx.conn())
        .await
        .what("change an instance")?;
    read(&row.ok_or_else(|| StoreError::not_found("instance", instance))?)
}

/// What there is to record of a change; nothing if nothing changed.
fn changes(before: &Instance, after: &Instance) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut entry = about(Action::InstanceChanged, after);
    let mut changed = false;
    if before.module != after.module {
        changed = true;
        entry = entry.digest("module-before", before.module).digest("module", after.module);
    }
    if before.config != after.config {
        changed = true;
        // Which fields is no secret, and what an auditor asks first.
        let fields: std::collections::BTreeSet<_> = before.config.keys().chain(after.config.keys()).collect();
        let fields: Vec<&str> =
            fields.into_iter().filter(|f| before.config.get(*f) != after.config.get(*f)).map(String::as_str).collect();
        entry = entry
            .fact("config-fields", fields.join(" "))
            .commit_json("config-before", &before.config)
            .commit_json("config", &after.config);
    }
    if before.brake != after.brake {
        changed = true;
        let shown = |b: Brake| format!("{} from {}", b.share, b.floor);
        entry = entry.fact("brake-before", shown(before.brake)).fact("brake", shown(after.brake));
    }
    if changed {
        entries.push(entry);
    }
    match (before.disabled, after.disabled) {
        (false, true) => entries.push(about(Action::InstanceDisabled, after)),
        (true, false) => entries.push(about(Action::InstanceEnabled, after)),
        _ => {}
    }
    entries
}
