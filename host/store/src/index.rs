//! The digest index: what the graph holds of an instance, as hashes. A run compares with it and sends only what differs.

use crate::copy::Decoder;
use crate::error::{Result, StoreError, What};
use crate::staging::ObjectKind;
use crate::tx::TenantTx;
use crate::tx::sealed::Conn;
use futures_util::TryStreamExt;
use porthole_model::id::InstanceId;
use porthole_model::object::{ContentHash, KeyHash};

/// One object of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexRow<'a> {
    /// Entity or relationship.
    pub kind: ObjectKind,
    /// Hash of its key.
    pub key_hash: KeyHash,
    /// Hash of its content.
    pub content_hash: ContentHash,
    /// The slice that it belongs to.
    pub slice: i32,
    /// Its type.
    pub object_type: &'a str,
}

/// Streams the index of an instance and returns the generation that it is of. Nothing is collected on the way: what
/// `each` doesn't keep is gone.
///
/// # Errors
/// `NotFound` when the tenant has no such instance.
pub async fn stream_index(
    tx: &mut TenantTx,
    instance: InstanceId,
    mut each: impl FnMut(IndexRow<'_>) + Send,
) -> Result<i64> {
    let what = "read the index";
    let (tenant, shard) = (tx.tenant(), tx.shard());
    // Before the objects: if a reconcile comes between the two, the generation is the older, and a run that compared
    // with this index applies nothing.
    let generation: i64 =
        sqlx::query_scalar("SELECT generation FROM instances WHERE tenant_id = $1 AND instance_id = $2")
            .bind(tenant.0)
            .bind(instance.0)
            .fetch_optional(tx.conn())
            .await
            .what(what)?
            .ok_or_else(|| StoreError::not_found("instance", instance))?;
    // COPY takes no parameters; these are ids and a number, not text from outside. Binary COPY of a query is bound by
    // row security like any query, and three times as fast as fetching rows.
    let of = format!("tenant_id = '{tenant}' AND shard = {shard}::smallint AND instance_id = '{instance}'");
    let statement = format!(
        "COPY (SELECT 'E'::\"char\", key_hash, content_hash, slice_id, _type FROM entities WHERE {of} \
         UNION ALL SELECT 'R'::\"char\", key_hash, content_hash, slice_id, _type FROM relationships WHERE {of}) \
         TO STDOUT (FORMAT binary)"
    );
    let mut decoder = Decoder::default();
    let mut pieces = tx.conn().copy_out_raw(&statement).await.what(what)?;
    while let Some(piece) = pieces.try_next().await.what(what)? {
        decoder.feed(piece, 5, |mut fields| {
            let [kind] = fields.fixed()?;
            each(IndexRow {
                kind: ObjectKind::from_code(kind)?,
                key_hash: KeyHash(fields.fixed()?),
                content_hash: ContentHash(fields.fixed()?),
                slice: i32::from_be_bytes(fields.fixed()?),
                object_type: fields.text()?,
            });
            Ok(())
        })?;
    }
    decoder.finish()?;
    Ok(generation)
}
