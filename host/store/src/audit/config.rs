//! The operator's configuration: a change of it is a record of the platform.

use super::append::append;
use crate::error::{Result, What};
use crate::row::{Columns, clean};
use crate::tx::PlatformTx;
use crate::tx::sealed::Conn;
use porthole_model::audit::{Action, Entry, Object, SALT_BYTES, commitment};
use porthole_model::context::OpContext;
use uuid::Uuid;

/// Looks whether the configuration is still what was last recorded of this source (`host:/path`), and records the change
/// if it isn't: commitments to what it was and what it is, never the text. True when there was a change. None as text:
/// there is no such file.
///
/// # Errors
/// When the database fails.
pub async fn record_config(ctx: &OpContext, tx: &mut PlatformTx, source: &str, text: Option<&str>) -> Result<bool> {
    let what = "compare the configuration";
    let source = clean(source);
    let text = text.unwrap_or_default();
    let known = sqlx::query("SELECT record_id, digest FROM operator_config WHERE source = $1 FOR UPDATE")
        .bind(&source)
        .fetch_optional(tx.conn())
        .await
        .what(what)?;
    let before: Option<String> = match &known {
        None => None,
        Some(row) => {
            let digest: String = row.column("digest")?;
            if digest_in(tx, row.column("record_id")?, text).await?.as_ref() == Some(&digest) {
                return Ok(false);
            }
            Some(digest)
        }
    };
    let mut entry = Entry::new(Action::ConfigChanged, Object::new("config", &source)).commit("after", text);
    if let Some(before) = before {
        // The same words as in the record before, so that the two can be seen to follow each other.
        entry = entry.digest("before", before);
    }
    let record = append(ctx, tx, entry).await?;
    let after = digest_in(tx, record, text).await?.unwrap_or_default();
    sqlx::query(
        "INSERT INTO operator_config (source, record_id, digest) VALUES ($1, $2, $3) \
         ON CONFLICT (source) DO UPDATE SET record_id = $2, digest = $3",
    )
    .bind(&source)
    .bind(record)
    .bind(after)
    .execute(tx.conn())
    .await
    .what(what)?;
    Ok(true)
}

/// The commitment to a text under the salt of a record of the platform.
async fn digest_in(tx: &mut PlatformTx, record: Uuid, text: &str) -> Result<Option<String>> {
    let salt: Option<Vec<u8>> = sqlx::query_scalar(
        "SELECT salt FROM platform_audit_leaves WHERE tenant_id = $1 AND record_id = $2 \
         UNION ALL SELECT salt FROM platform_audit_pending WHERE tenant_id = $1 AND record_id = $2",
    )
    .bind(Uuid::nil())
    .bind(record)
    .fetch_optional(tx.conn())
    .await
    .what("compare the configuration")?;
    Ok(salt.and_then(|salt| <[u8; SALT_BYTES]>::try_from(salt).ok()).map(|salt| commitment(&salt, text.as_bytes())))
}
