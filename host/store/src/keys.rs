//! Tenants' data keys, each wrapped by the key-encryption key. What they are in the clear is known in one room only, and
//! that isn't this one.
//!
//! The newest live key seals. Who seals reads it with [`current`], who replaces or shreds keys starts with [`lock`]; the
//! two wait for each other, so no secret is ever sealed under a key that has ended in the meantime. A key that ended
//! keeps its row and loses its bytes: a number is never used twice.

use crate::audit;
use crate::error::{Result, StoreError, What};
use crate::row::{Columns, clean};
use crate::stored_replies;
use crate::tx::TenantTx;
use crate::tx::sealed::Conn;
use jiff::Timestamp;
use porthole_model::audit::{Action, Entry, Object};
use porthole_model::context::OpContext;
use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::types::Json;

/// A live data key.
#[derive(Debug, Clone)]
pub struct WrappedKey {
    /// Counts the tenant's keys; the highest seals, the others still open.
    pub key_id: i32,
    /// What the key port made of it.
    pub wrapped: Value,
}

/// How a key ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyEnd {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
    /// On purpose and with its secrets; a key that was replaced had none left.
    pub shredded: bool,
}

/// What is known of a data key, live or ended.
#[derive(Debug, Clone, Serialize)]
pub struct DataKey {
    /// Its number.
    pub key_id: i32,
    /// When it was made.
    pub created_at: Timestamp,
    /// The wrapped bytes; none when it ended.
    #[serde(skip)]
    pub wrapped: Option<Value>,
    /// How it ended, if it did.
    pub end: Option<KeyEnd>,
    /// Live secrets that are sealed with it. Of an ended key: those that can't be read any more.
    pub secrets: u64,
}

/// Which secrets a shredding made unreadable, and which runs it stops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shredded {
    /// The keys whose bytes are gone.
    pub keys: Vec<i32>,
    /// Live secrets that they had sealed.
    pub secrets: u64,
}

/// The reason of a key that was replaced.
const ROTATED: &str = "replaced by a newer key";

/// The object of a record about a data key.
fn object(key_id: i32) -> Object {
    Object::new("tenant-key", key_id)
}

/// The id of the key-encryption key, which the key port writes beside the bytes. For records alone.
fn wrapped_with(wrapped: &Value) -> &str {
    wrapped.get("key_id").and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn read_end(row: &PgRow) -> Result<Option<KeyEnd>> {
    let Some(at) = row.time_or_null("key_ended_at")? else { return Ok(None) };
    Ok(Some(KeyEnd {
        at,
        by: row.column::<Option<String>>("key_ended_by")?.unwrap_or_default(),
        reason: row.column::<Option<String>>("key_end_reason")?.unwrap_or_default(),
        shredded: row.column("key_shredded")?,
    }))
}

fn read(row: &PgRow) -> Result<WrappedKey> {
    Ok(WrappedKey { key_id: row.column("key_id")?, wrapped: row.json("wrapped")? })
}

/// The tenant's live keys, newest first.
///
/// # Errors
/// When the database fails.
pub async fn live(tx: &mut TenantTx) -> Result<Vec<WrappedKey>> {
    let tenant = tx.tenant();
    let rows = sqlx::query(
        "SELECT key_id, wrapped FROM tenant_keys WHERE tenant_id = $1 AND ended_at IS NULL ORDER BY key_id DESC",
    )
    .bind(tenant.0)
    .fetch_all(tx.conn())
    .await
    .what("read the tenant's keys")?;
    rows.iter().map(read).collect()
}

/// All of the tenant's keys with the secrets they sealed, newest first.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut TenantTx) -> Result<Vec<DataKey>> {
    let tenant = tx.tenant();
    let rows = sqlx::query(
        "SELECT k.key_id, k.created_at, k.wrapped, k.ended_at AS key_ended_at, k.ended_by AS key_ended_by, \
                k.end_reason AS key_end_reason, k.shredded AS key_shredded, \
                (SELECT count(*) FROM credentials c \
                 WHERE c.tenant_id = $1 AND c.key_id = k.key_id AND c.ended_at IS NULL) AS secrets \
         FROM tenant_keys k WHERE k.tenant_id = $1 ORDER BY k.key_id DESC",
    )
    .bind(tenant.0)
    .fetch_all(tx.conn())
    .await
    .what("list the tenant's keys")?;
    let read = |row: &PgRow| {
        Ok(DataKey {
            key_id: row.column("key_id")?,
            created_at: row.time("created_at")?,
            wrapped: row.json_or_null("wrapped")?,
            end: read_end(row)?,
            secrets: row.count("secrets")?,
        })
    };
    rows.iter().map(read).collect()
}

/// The key that seals. It stays live until this transaction ends: who replaces or shreds it waits. None when the tenant
/// has no live key: make one and [`add`] it.
///
/// # Errors
/// When the database fails.
pub async fn current(tx: &mut TenantTx) -> Result<Option<WrappedKey>> {
    // Two statements: the first may wait for a rotation, whose new key only a later statement sees. From the first one
    // on no other rotation can begin, because it needs these rows.
    hold(tx, "SELECT key_id FROM tenant_keys WHERE tenant_id = $1 ORDER BY key_id FOR SHARE").await?;
    let tenant = tx.tenant();
    let row = sqlx::query(
        "SELECT key_id, wrapped FROM tenant_keys WHERE tenant_id = $1 AND ended_at IS NULL \
         ORDER BY key_id DESC LIMIT 1 FOR SHARE",
    )
    .bind(tenant.0)
    .fetch_optional(tx.conn())
    .await
    .what("read the tenant's key")?;
    row.as_ref().map(read).transpose()
}

/// Holds all of the tenant's keys until this transaction ends, and gives back the live ones, newest first. Who seals
/// waits.
///
/// # Errors
/// When the database fails.
pub async fn lock(tx: &mut TenantTx) -> Result<Vec<WrappedKey>> {
    hold(tx, "SELECT key_id FROM tenant_keys WHERE tenant_id = $1 ORDER BY key_id FOR UPDATE").await?;
    live(tx).await
}

async fn hold(tx: &mut TenantTx, sql: &'static str) -> Result<()> {
    let tenant = tx.tenant();
    sqlx::query(sql).bind(tenant.0).fetch_all(tx.conn()).await.what("lock the tenant's keys").map(drop)
}

/// The number of the tenant's next key.
///
/// # Errors
/// When the database fails.
pub async fn next_id(tx: &mut TenantTx) -> Result<i32> {
    let tenant = tx.tenant();
    sqlx::query_scalar("SELECT 1 + coalesce(max(key_id), 0) FROM tenant_keys WHERE tenant_id = $1")
        .bind(tenant.0)
        .fetch_one(tx.conn())
        .await
        .what("number a tenant's key")
}

/// Adds a key under the number that [`next_id`] gave.
///
/// # Errors
/// `Changed` when someone else added that key in the meantime: read [`current`] again and use theirs.
pub async fn add(ctx: &OpContext, tx: &mut TenantTx, key: &WrappedKey) -> Result<()> {
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
    let entry = Entry::new(Action::KeyCreated, object(key.key_id)).fact("wrapped-with", wrapped_with(&key.wrapped));
    audit::append(ctx, tx, entry).await.map(drop)
}

/// Replaces the wrapping of a live key, if it still is the one that the caller read. Returns whether it was: someone else
/// may have wrapped it anew, replaced or shredded it in the meantime. So nobody needs to hold a lock while a key service
/// is asked.
///
/// # Errors
/// When the database fails.
pub async fn rewrap(ctx: &OpContext, tx: &mut TenantTx, read: &WrappedKey, wrapped: &Value) -> Result<bool> {
    let tenant = tx.tenant();
    let done = sqlx::query(
        "UPDATE tenant_keys SET wrapped = $3 WHERE tenant_id = $1 AND key_id = $2 AND wrapped = $4 AND ended_at IS NULL",
    )
    .bind(tenant.0)
    .bind(read.key_id)
    .bind(Json(wrapped))
    .bind(Json(&read.wrapped))
    .execute(tx.conn())
    .await
    .what("re-wrap a tenant's key")?;
    if done.rows_affected() != 1 {
        return Ok(false);
    }
    let entry = Entry::new(Action::KeyRewrapped, object(read.key_id))
        .fact("from", wrapped_with(&read.wrapped))
        .fact("to", wrapped_with(wrapped));
    audit::append(ctx, tx, entry).await?;
    Ok(true)
}

/// Completes a rotation: ends the live keys, but the newest, that no live secret needs any more. The caller has called
/// [`lock`], added the new key and moved so many secrets to it. Returns the numbers of those that ended.
///
/// # Errors
/// When the database fails.
pub async fn end_unused(ctx: &OpContext, tx: &mut TenantTx, to: i32, resealed: usize) -> Result<Vec<i32>> {
    let tenant = tx.tenant();
    let ended: Vec<i32> = sqlx::query_scalar(
        "UPDATE tenant_keys k SET wrapped = NULL, ended_at = now(), ended_by = $2, end_reason = $3 \
         WHERE k.tenant_id = $1 AND k.ended_at IS NULL \
         AND k.key_id < (SELECT max(n.key_id) FROM tenant_keys n WHERE n.tenant_id = $1) \
         AND NOT EXISTS (SELECT FROM credentials c \
                         WHERE c.tenant_id = $1 AND c.key_id = k.key_id AND c.ended_at IS NULL) \
         RETURNING k.key_id",
    )
    .bind(tenant.0)
    .bind(ctx.actor.to_string())
    .bind(ROTATED)
    .fetch_all(tx.conn())
    .await
    .what("end a tenant's keys")?;
    let mut entries = vec![
        Entry::new(Action::KeyRotated, object(to))
            .count("secrets", u64::try_from(resealed).unwrap_or(u64::MAX))
            .count("ended", u64::try_from(ended.len()).unwrap_or(u64::MAX)),
    ];
    entries.extend(ended.iter().map(|key_id| Entry::new(Action::KeyRetired, object(*key_id)).reason(ROTATED)));
    audit::append_all(ctx, tx, entries).await?;
    // What was sealed again was what someone entered. Stored replies are fetched again.
    stored_replies::forget_sealed_with(tx, &ended).await?;
    Ok(ended)
}

/// Deletes the bytes of all of the tenant's keys: nothing that they sealed can ever be read again. The sealed secrets
/// stay where they are, as unreadable as every copy of them; stored replies go.
///
/// # Errors
/// `NotFound` when the tenant has no live key.
pub async fn shred(ctx: &OpContext, tx: &mut TenantTx, reason: &str) -> Result<Shredded> {
    let tenant = tx.tenant();
    let keys: Vec<i32> = lock(tx).await?.iter().map(|key| key.key_id).collect();
    if keys.is_empty() {
        return Err(StoreError::not_found("live data key of tenant", tenant));
    }
    let secrets: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM credentials WHERE tenant_id = $1 AND key_id = ANY($2) AND ended_at IS NULL",
    )
    .bind(tenant.0)
    .bind(&keys)
    .fetch_one(tx.conn())
    .await
    .what("count a tenant's secrets")?;
    sqlx::query(
        "UPDATE tenant_keys SET wrapped = NULL, ended_at = now(), ended_by = $2, end_reason = $3, shredded = true \
         WHERE tenant_id = $1 AND ended_at IS NULL",
    )
    .bind(tenant.0)
    .bind(ctx.actor.to_string())
    .bind(clean(reason))
    .execute(tx.conn())
    .await
    .what("shred a tenant's keys")?;
    stored_replies::forget_sealed_with(tx, &keys).await?;
    let secrets = u64::try_from(secrets).unwrap_or(0);
    let entry =
        |key_id: &i32| Entry::new(Action::KeyShredded, object(*key_id)).reason(reason).count("secrets", secrets);
    audit::append_all(ctx, tx, keys.iter().map(entry).collect()).await?;
    Ok(Shredded { keys, secrets })
}
