//! Credentials: sealed secrets in slots. What is sealed here is opened in one room only, and that isn't this one.

use crate::audit;
use crate::error::{Result, StoreError, What, is_unique_violation};
use crate::row::Columns;
use crate::tx::TenantTx;
use crate::tx::sealed::Conn;
use jiff::Timestamp;
use porthole_model::audit::{Action, Entry, Object};
use porthole_model::context::OpContext;
use porthole_model::id::{CredentialId, InstanceId, Slot};
use serde::Serialize;
use sqlx::postgres::PgRow;

/// What is known of a stored secret.
#[derive(Debug, Clone, Serialize)]
pub struct Credential {
    /// Its id.
    pub id: CredentialId,
    /// The instance it is bound to.
    pub instance: InstanceId,
    /// The slot.
    pub slot: Slot,
    /// Which of the slot's methods it fills.
    pub method: String,
    /// Counts the secrets of this slot; part of what seals it.
    pub version: i32,
    /// When it was set.
    pub set_at: Timestamp,
    /// By whom.
    pub set_by: String,
}

/// A stored secret with its sealed bytes.
#[derive(Debug, Clone)]
pub struct SealedCredential {
    /// What is known of it.
    pub credential: Credential,
    /// The ciphertext.
    pub sealed: Vec<u8>,
}

/// A secret to store.
#[derive(Debug, Clone, Copy)]
pub struct NewCredential<'a> {
    /// The instance.
    pub instance: InstanceId,
    /// The slot.
    pub slot: &'a Slot,
    /// Which of the slot's methods it fills.
    pub method: &'a str,
    /// The version that [`next_version`] gave and the seal binds.
    pub version: i32,
    /// The ciphertext.
    pub sealed: &'a [u8],
}

fn read(row: &PgRow) -> Result<Credential> {
    Ok(Credential {
        id: CredentialId(row.column("credential_id")?),
        instance: InstanceId(row.column("instance_id")?),
        slot: row.word("slot")?,
        method: row.column("method")?,
        version: row.column("version")?,
        set_at: row.time("set_at")?,
        set_by: row.column("set_by")?,
    })
}

/// The version that the slot's next secret will have. The seal binds it, so it has to be known before sealing.
///
/// # Errors
/// When the database fails.
pub async fn next_version(tx: &mut TenantTx, instance: InstanceId, slot: &Slot) -> Result<i32> {
    let tenant = tx.tenant();
    sqlx::query_scalar(
        "SELECT 1 + coalesce(max(version), 0) FROM credentials \
         WHERE tenant_id = $1 AND instance_id = $2 AND slot = $3",
    )
    .bind(tenant.0)
    .bind(instance.0)
    .bind(slot.as_str())
    .fetch_one(tx.conn())
    .await
    .what("number a credential")
}

/// Stores a secret and ends the one before it, whose bytes are gone then.
///
/// # Errors
/// `NotFound` when the tenant has no such instance, `Changed` when someone else filled the slot in the meantime.
pub async fn set(ctx: &OpContext, tx: &mut TenantTx, new: NewCredential<'_>) -> Result<Credential> {
    let replaced = end(tx, new.instance, new.slot).await?;
    let tenant = tx.tenant();
    let row = sqlx::query(
        "INSERT INTO credentials (tenant_id, instance_id, slot, version, credential_id, method, sealed, set_by) \
         SELECT $1, i.instance_id, $3, $4, $5, $6, $7, $8 FROM instances i \
         WHERE i.tenant_id = $1 AND i.instance_id = $2 RETURNING *",
    )
    .bind(tenant.0)
    .bind(new.instance.0)
    .bind(new.slot.as_str())
    .bind(new.version)
    .bind(CredentialId::new().0)
    .bind(new.method)
    .bind(new.sealed)
    .bind(ctx.actor.to_string())
    .fetch_optional(tx.conn())
    .await;
    let credential = match row {
        Ok(row) => read(&row.ok_or_else(|| StoreError::not_found("instance", new.instance))?)?,
        Err(e) if is_unique_violation(&e) => {
            return Err(StoreError::Changed { kind: "credential", id: new.slot.to_string() });
        }
        Err(source) => return Err(StoreError::Query { what: "store a credential", source }),
    };
    // Not even a digest of the sealed bytes: there is nothing that anyone would check with it.
    let entry = Entry::new(Action::CredentialSet, Object::slot(new.instance, new.slot.as_str()))
        .instance(new.instance)
        .fact("method", &credential.method)
        .fact("credential", credential.id)
        .count("version", u64::try_from(credential.version).unwrap_or(0))
        .count("replaced", u64::from(replaced));
    audit::append(ctx, tx, entry).await?;
    Ok(credential)
}

/// Ends the live secret of a slot. Returns whether there was one.
async fn end(tx: &mut TenantTx, instance: InstanceId, slot: &Slot) -> Result<bool> {
    let tenant = tx.tenant();
    let done = sqlx::query(
        "UPDATE credentials SET sealed = NULL, ended_at = now() \
         WHERE tenant_id = $1 AND instance_id = $2 AND slot = $3 AND ended_at IS NULL",
    )
    .bind(tenant.0)
    .bind(instance.0)
    .bind(slot.as_str())
    .execute(tx.conn())
    .await
    .what("end a credential")?;
    Ok(done.rows_affected() > 0)
}

/// Removes the secret of a slot.
///
/// # Errors
/// `NotFound` when the slot is empty.
pub async fn remove(ctx: &OpContext, tx: &mut TenantTx, instance: InstanceId, slot: &Slot) -> Result<()> {
    if !end(tx, instance, slot).await? {
        return Err(StoreError::not_found("credential", slot));
    }
    let entry = Entry::new(Action::CredentialRemoved, Object::slot(instance, slot.as_str())).instance(instance);
    audit::append(ctx, tx, entry).await.map(drop)
}

/// The live secret of a slot, sealed.
///
/// # Errors
/// When the database fails.
pub async fn live(tx: &mut TenantTx, instance: InstanceId, slot: &Slot) -> Result<Option<SealedCredential>> {
    let tenant = tx.tenant();
    let row = sqlx::query(
        "SELECT * FROM credentials WHERE tenant_id = $1 AND instance_id = $2 AND slot = $3 AND ended_at IS NULL",
    )
    .bind(tenant.0)
    .bind(instance.0)
    .bind(slot.as_str())
    .fetch_optional(tx.conn())
    .await
    .what("read a credential")?;
    row.map(|row| Ok(SealedCredential { credential: read(&row)?, sealed: row.column("sealed")? })).transpose()
}

/// The live secrets of an instance, without their bytes.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut TenantTx, instance: InstanceId) -> Result<Vec<Credential>> {
    let tenant = tx.tenant();
    let rows = sqlx::query(
        "SELECT * FROM credentials WHERE tenant_id = $1 AND instance_id = $2 AND ended_at IS NULL ORDER BY slot",
    )
    .bind(tenant.0)
    .bind(instance.0)
    .fetch_all(tx.conn())
    .await
    .what("list the credentials")?;
    rows.iter().map(read).collect()
}
