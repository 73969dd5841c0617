//! Stored replies: what providers answered, sealed, to be asked about again. What is sealed here is opened in one room
//! only, and that isn't this one. A cache: whatever is gone or unreadable is fetched anew, so everything here may be
//! deleted at any time.

use crate::error::{Result, What};
use crate::row::Columns;
use crate::run_slices::current_worker;
use crate::tx::TenantTx;
use crate::tx::sealed::Conn;
use porthole_model::id::{CredentialId, InstanceId, RunId};
use porthole_model::run::Claim;
use porthole_model::stored_reply::{MAX_AGE, ReplyKey, Shape};
use std::time::Duration;
use uuid::Uuid;

/// A stored reply without the reply.
#[derive(Debug, Clone)]
pub struct Known {
    /// What it is found by.
    pub key: ReplyKey,
    /// Which of the tenant's data keys sealed it.
    pub key_id: i32,
    /// The run that fetched it.
    pub run: RunId,
    /// What the provider is asked with, sealed.
    pub validator: Vec<u8>,
    /// What it takes in the database.
    pub bytes: u64,
    /// Since it was fetched.
    pub age: Duration,
}

/// A reply to store.
#[derive(Debug, Clone)]
pub struct NewReply {
    /// What it is found by.
    pub key: ReplyKey,
    /// The operation it came from.
    pub shape: Shape,
    /// The credential that it was asked with.
    pub credential: Option<CredentialId>,
    /// Which of the tenant's data keys sealed it.
    pub key_id: i32,
    /// What the provider is asked with, sealed.
    pub validator: Vec<u8>,
    /// The reply, sealed.
    pub reply: Vec<u8>,
}

fn hash(bytes: [u8; 16]) -> Uuid {
    Uuid::from_bytes(bytes)
}

fn hashes(keys: &[ReplyKey]) -> Vec<Uuid> {
    keys.iter().map(|key| hash(key.0)).collect()
}

/// Deletes the replies of an instance that nothing can find or open any more, and lists the others: their operation is
/// one of these shapes, their credential and their data key are live, and they are younger than [`MAX_AGE`].
///
/// # Errors
/// When the database fails.
pub async fn open(tx: &mut TenantTx, instance: InstanceId, shapes: &[Shape]) -> Result<Vec<Known>> {
    let tenant = tx.tenant();
    sqlx::query(
        "DELETE FROM stored_replies r WHERE r.tenant_id = $1 AND r.instance_id = $2 \
         AND (r.shape <> ALL($3) OR r.fetched_at <= now() - make_interval(secs => $4) \
              OR NOT EXISTS (SELECT FROM tenant_keys k \
                             WHERE k.tenant_id = $1 AND k.key_id = r.key_id AND k.ended_at IS NULL) \
              OR (r.credential_id IS NOT NULL AND r.credential_id NOT IN \
                  (SELECT c.credential_id FROM credentials c \
                   WHERE c.tenant_id = $1 AND c.instance_id = $2 AND c.ended_at IS NULL)))",
    )
    .bind(tenant.0)
    .bind(instance.0)
    .bind(shapes.iter().map(|shape| hash(shape.0)).collect::<Vec<_>>())
    .bind(MAX_AGE.as_secs_f64())
    .execute(tx.conn())
    .await
    .what("delete stored replies that are of no use")?;
    if shapes.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(
        "SELECT reply_key, key_id, run_id, validator, \
                (octet_length(validator) + octet_length(reply))::bigint AS bytes, \
                greatest(0, extract(epoch FROM now() - fetched_at))::bigint AS age_s \
         FROM stored_replies WHERE tenant_id = $1 AND instance_id = $2",
    )
    .bind(tenant.0)
    .bind(instance.0)
    .fetch_all(tx.conn())
    .await
    .what("list stored replies")?;
    rows.iter()
        .map(|row| {
            Ok(Known {
                key: ReplyKey(row.column::<Uuid>("reply_key")?.into_bytes()),
                key_id: row.column("key_id")?,
                run: RunId(row.column("run_id")?),
                validator: row.column("validator")?,
                bytes: row.count("bytes")?,
                age: Duration::from_secs(row.count("age_s")?),
            })
        })
        .collect()
}

/// Reads replies, each with the run that sealed it. One that isn't there is left out.
///
/// # Errors
/// When the database fails.
pub async fn load(
    tx: &mut TenantTx,
    instance: InstanceId,
    keys: &[ReplyKey],
) -> Result<Vec<(ReplyKey, RunId, Vec<u8>)>> {
    let tenant = tx.tenant();
    let rows = sqlx::query(
        "SELECT reply_key, run_id, reply FROM stored_replies \
         WHERE tenant_id = $1 AND instance_id = $2 AND reply_key = ANY($3)",
    )
    .bind(tenant.0)
    .bind(instance.0)
    .bind(hashes(keys))
    .fetch_all(tx.conn())
    .await
    .what("read stored replies")?;
    rows.iter()
        .map(|row| {
            let key = ReplyKey(row.column::<Uuid>("reply_key")?.into_bytes());
            Ok((key, RunId(row.column("run_id")?), row.column("reply")?))
        })
        .collect()
}

/// Stores replies of a run, each in the place of the one with its key; no key may be given twice. One whose credential or
/// data key has ended in the meantime is left out. Returns how many were stored.
///
/// # Errors
/// `StaleClaim` when the claim is no longer current.
pub async fn keep(tx: &mut TenantTx, claim: &Claim, replies: &[NewReply]) -> Result<u64> {
    current_worker(tx, claim).await?;
    let tenant = tx.tenant();
    let what = "store replies";
    // Held until the end: who rotates or shreds keys deletes what they sealed, and must not miss what comes now.
    let live: Vec<i32> = sqlx::query_scalar(
        "SELECT key_id FROM tenant_keys WHERE tenant_id = $1 AND ended_at IS NULL ORDER BY key_id FOR SHARE",
    )
    .bind(tenant.0)
    .fetch_all(tx.conn())
    .await
    .what(what)?;
    let replies: Vec<&NewReply> = replies.iter().filter(|reply| live.contains(&reply.key_id)).collect();
    let done = sqlx::query(
        "INSERT INTO stored_replies AS s (tenant_id, instance_id, run_id, reply_key, shape, credential_id, key_id, \
                                          validator, reply) \
         SELECT $1, $2, $3, r.* \
         FROM unnest($4::uuid[], $5::uuid[], $6::uuid[], $7::int[], $8::bytea[], $9::bytea[]) \
             AS r (reply_key, shape, credential_id, key_id, validator, reply) \
         WHERE r.credential_id IS NULL OR r.credential_id IN \
             (SELECT c.credential_id FROM credentials c \
              WHERE c.tenant_id = $1 AND c.instance_id = $2 AND c.ended_at IS NULL) \
         ON CONFLICT (tenant_id, instance_id, reply_key) DO UPDATE SET run_id = EXCLUDED.run_id, \
             shape = EXCLUDED.shape, credential_id = EXCLUDED.credential_id, key_id = EXCLUDED.key_id, \
             validator = EXCLUDED.validator, reply = EXCLUDED.reply, fetched_at = now()",
    )
    .bind(tenant.0)
    .bind(claim.instance.0)
    .bind(claim.run.0)
    .bind(replies.iter().map(|r| hash(r.key.0)).collect::<Vec<_>>())
    .bind(replies.iter().map(|r| hash(r.shape.0)).collect::<Vec<_>>())
    .bind(replies.iter().map(|r| r.credential.map(|id| id.0)).collect::<Vec<_>>())
    .bind(replies.iter().map(|r| r.key_id).collect::<Vec<_>>())
    .bind(replies.iter().map(|r| r.validator.as_slice()).collect::<Vec<_>>())
    .bind(replies.iter().map(|r| r.reply.as_slice()).collect::<Vec<_>>())
    .execute(tx.conn())
    .await
    .what(what)?;
    Ok(done.rows_affected())
}

/// Deletes replies of an instance.
///
/// # Errors
/// When the database fails.
pub async fn forget(tx: &mut TenantTx, instance: InstanceId, keys: &[ReplyKey]) -> Result<()> {
    let tenant = tx.tenant();
    sqlx::query("DELETE FROM stored_replies WHERE tenant_id = $1 AND instance_id = $2 AND reply_key = ANY($3)")
        .bind(tenant.0)
        .bind(instance.0)
        .bind(hashes(keys))
        .execute(tx.conn())
        .await
        .what("delete stored replies")
        .map(drop)
}

/// Deletes what a credential saw: it has ended.
pub(crate) async fn forget_credential(tx: &mut TenantTx, instance: InstanceId, of: CredentialId) -> Result<()> {
    let tenant = tx.tenant();
    sqlx::query("DELETE FROM stored_replies WHERE tenant_id = $1 AND instance_id = $2 AND credential_id = $3")
        .bind(tenant.0)
        .bind(instance.0)
        .bind(of.0)
        .execute(tx.conn())
        .await
        .what("delete a credential's stored replies")
        .map(drop)
}

/// Deletes what these data keys sealed: they have ended, so nothing opens it any more.
pub(crate) async fn forget_sealed_with(tx: &mut TenantTx, key_ids: &[i32]) -> Result<()> {
    let tenant = tx.tenant();
    sqlx::query("DELETE FROM stored_replies WHERE tenant_id = $1 AND key_id = ANY($2)")
        .bind(tenant.0)
        .bind(key_ids)
        .execute(tx.conn())
        .await
        .what("delete a key's stored replies")
        .map(drop)
}
