//! Credentials: sealed secrets in slots. What is sealed here is opened in one room only, and that isn't this one.

use crate::audit;
use crate::error::{Result, StoreError, What, is_unique_violation};
use crate::instances;
use crate::keys::{self, KeyEnd};
use crate::row::Columns;
use crate::stored_replies;
use crate::tx::TenantTx;
use crate::tx::sealed::Conn;
use jiff::Timestamp;
use porthole_model::audit::{Action, Entry, Object};
use porthole_model::context::OpContext;
use porthole_model::id::{CredentialId, InstanceId, Slot};
use serde::Serialize;
use sqlx::postgres::PgRow;
use uuid::Uuid;

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
    /// Which of the tenant's data keys sealed it.
    pub key_id: i32,
    /// When it was set.
    pub set_at: Timestamp,
    /// By whom.
    pub set_by: String,
}

/// A stored secret with its sealed bytes, and what became of the key that sealed it.
#[derive(Debug, Clone)]
pub struct SealedCredential {
    /// What is known of it.
    pub credential: Credential,
    /// The ciphertext.
    pub sealed: Vec<u8>,
    /// The data key.
    pub key: SealingKey,
}

/// The data key of a sealed secret.
#[derive(Debug, Clone)]
pub enum SealingKey {
    /// It is there: what the key port made of it.
    Wrapped(serde_json::Value),
    /// It is gone, and the secret with it.
    Ended(KeyEnd),
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
    /// The data key that sealed it: the one that [`keys::current`] gave in this transaction.
    pub key_id: i32,
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
        key_id: row.column("key_id")?,
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
/// `NotFound` when the tenant has no such instance, `Changed` when someone else filled the slot, or ended the key that
/// sealed it, in the meantime.
pub async fn set(ctx: &OpContext, tx: &mut TenantTx, new: NewCredential<'_>) -> Result<Credential> {
    let replaced = end(tx, new.instance, new.slot).await?;
    let tenant = tx.tenant();
    let row = sqlx::query(
        "INSERT INTO credentials (tenant_id, instance_id, slot, version, credential_id, method, sealed, set_by, \
                                  key_id) \
         SELECT $1, i.instance_id, $3, $4, $5, $6, $7, $8, k.key_id \
         FROM instances i JOIN tenant_keys k ON k.tenant_id = i.tenant_id \
         WHERE i.tenant_id = $1 AND i.instance_id = $2 AND k.key_id = $9 AND k.ended_at IS NULL RETURNING *",
    )
    .bind(tenant.0)
    .bind(new.instance.0)
    .bind(new.slot.as_str())
    .bind(new.version)
    .bind(CredentialId::new().0)
    .bind(new.method)
    .bind(new.sealed)
    .bind(ctx.actor.to_string())
    .bind(new.key_id)
    .fetch_optional(tx.conn())
    .await;
    let credential = match row {
        Ok(Some(row)) => read(&row)?,
        Ok(None) => {
            instances::get(tx, new.instance).await?;
            return Err(StoreError::Changed { kind: "key of tenant", id: tenant.to_string() });
        }
        Err(e) if is_unique_violation(&e) => {
            return Err(StoreError::Changed { kind: "credential", id: new.slot.to_string() });
        }
        Err(source) => return Err(StoreError::Query { what: "store a credential", source }),
    };
    // Not even a digest of the sealed bytes: there is nothing that anyone would check with it.
    let action = if replaced { Action::CredentialRotated } else { Action::CredentialSet };
    let entry = Entry::new(action, Object::slot(new.instance, new.slot.as_str()))
        .instance(new.instance)
        .fact("method", &credential.method)
        .fact("credential", credential.id)
        .count("version", u64::try_from(credential.version).unwrap_or(0))
        .count("data-key", u64::try_from(credential.key_id).unwrap_or(0));
    audit::append(ctx, tx, entry).await?;
    Ok(credential)
}

/// Ends the live secret of a slot, and what was stored of what it saw. Returns whether there was one.
async fn end(tx: &mut TenantTx, instance: InstanceId, slot: &Slot) -> Result<bool> {
    let tenant = tx.tenant();
    let ended: Option<Uuid> = sqlx::query_scalar(
        "UPDATE credentials SET sealed = NULL, ended_at = now() \
         WHERE tenant_id = $1 AND instance_id = $2 AND slot = $3 AND ended_at IS NULL RETURNING credential_id",
    )
    .bind(tenant.0)
    .bind(instance.0)
    .bind(slot.as_str())
    .fetch_optional(tx.conn())
    .await
    .what("end a credential")?;
    if let Some(ended) = ended {
        stored_replies::forget_credential(tx, instance, CredentialId(ended)).await?;
    }
    Ok(ended.is_some())
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

/// The live secret of a slot, without its bytes.
///
/// # Errors
/// When the database fails.
pub async fn live(tx: &mut TenantTx, instance: InstanceId, slot: &Slot) -> Result<Option<Credential>> {
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
    row.as_ref().map(read).transpose()
}

/// The live secrets of an instance, or of all the tenant's instances, sealed, each with its key. One statement, so that a
/// rotation of keys is seen as a whole or not at all.
///
/// # Errors
/// When the database fails.
pub async fn sealed(tx: &mut TenantTx, instance: Option<InstanceId>) -> Result<Vec<SealedCredential>> {
    let tenant = tx.tenant();
    let rows = sqlx::query(
        "SELECT c.*, k.wrapped, k.ended_at AS key_ended_at, k.ended_by AS key_ended_by, \
                k.end_reason AS key_end_reason, k.shredded AS key_shredded \
         FROM credentials c JOIN tenant_keys k ON k.tenant_id = c.tenant_id AND k.key_id = c.key_id \
         WHERE c.tenant_id = $1 AND k.tenant_id = $1 AND ($2::uuid IS NULL OR c.instance_id = $2) \
         AND c.ended_at IS NULL ORDER BY c.instance_id, c.slot",
    )
    .bind(tenant.0)
    .bind(instance.map(|instance| instance.0))
    .fetch_all(tx.conn())
    .await
    .what("read the credentials")?;
    let read = |row: &PgRow| {
        let key = match keys::read_end(row)? {
            Some(end) => SealingKey::Ended(end),
            None => SealingKey::Wrapped(row.json("wrapped")?),
        };
        Ok(SealedCredential { credential: read(row)?, sealed: row.column("sealed")?, key })
    };
    rows.iter().map(read).collect()
}

/// Replaces the seal of a live secret by that of another data key; the secret itself stays the same. The caller has
/// called [`keys::lock`]. Returns whether the secret was still live.
///
/// # Errors
/// When the database fails.
pub async fn reseal(tx: &mut TenantTx, of: &Credential, key_id: i32, sealed: &[u8]) -> Result<bool> {
    let tenant = tx.tenant();
    let done = sqlx::query(
        "UPDATE credentials SET sealed = $5, key_id = $6 WHERE tenant_id = $1 AND instance_id = $2 AND slot = $3 \
         AND version = $4 AND ended_at IS NULL",
    )
    .bind(tenant.0)
    .bind(of.instance.0)
    .bind(of.slot.as_str())
    .bind(of.version)
    .bind(sealed)
    .bind(key_id)
    .execute(tx.conn())
    .await
    .what("re-seal a credential")?;
    Ok(done.rows_affected() == 1)
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
