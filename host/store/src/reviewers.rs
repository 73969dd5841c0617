//! Reviewers: who may approve modules, with which keys.

use crate::audit;
use crate::error::{Result, What};
use crate::row::Columns;
use crate::signing_keys::{self, Holder, NewEnd, NewKey, SigningKey};
use crate::tx::sealed::Conn;
use crate::tx::{AnyTx, PlatformTx};
use jiff::Timestamp;
use porthole_model::audit::{Action, Entry, Object};
use porthole_model::context::OpContext;
use porthole_model::id::Name;
use serde::Serialize;
use std::collections::BTreeMap;

/// A reviewer.
#[derive(Debug, Clone, Serialize)]
pub struct Reviewer {
    /// The name.
    pub name: Name,
    /// The keys, oldest first.
    pub keys: Vec<SigningKey>,
    /// When the reviewer was added.
    pub added_at: Timestamp,
    /// By whom.
    pub added_by: String,
}

/// Adds a reviewer, or a key to one: whatever isn't there yet. Says whether anything was new.
///
/// # Errors
/// `KeyTaken` when the key is someone else's.
pub async fn add(ctx: &OpContext, tx: &mut PlatformTx, name: &Name, key: NewKey<'_>) -> Result<bool> {
    let rows = sqlx::query("INSERT INTO reviewers (name, added_by) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(name.as_str())
        .bind(ctx.actor.to_string())
        .execute(tx.conn())
        .await
        .what("add a reviewer")?
        .rows_affected();
    let new_key = signing_keys::add(ctx, tx, Holder::Reviewer(name.as_str()), key).await?;
    if rows == 0 && !new_key {
        return Ok(false);
    }
    let entry = Entry::new(Action::ReviewerAdded, Object::new("reviewer", name)).fact("key", key.id);
    audit::append(ctx, tx, entry).await?;
    Ok(true)
}

/// Ends one key of a reviewer, or all. What they approved before stays, unless the end is void. Gives the ids of those
/// that ended now.
///
/// # Errors
/// `NotFound` when there is no such key that hasn't ended.
pub async fn end(ctx: &OpContext, tx: &mut PlatformTx, name: &Name, end: NewEnd<'_>) -> Result<Vec<String>> {
    let ended = signing_keys::end(ctx, tx, Holder::Reviewer(name.as_str()), end).await?;
    audit::append_all(ctx, tx, signing_keys::ends(Action::ReviewerEnded, "reviewer", name, end, &ended)).await?;
    Ok(ended)
}

/// All reviewers, by name.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut impl AnyTx) -> Result<Vec<Reviewer>> {
    let rows = sqlx::query("SELECT name, added_at, added_by FROM reviewers ORDER BY name")
        .fetch_all(tx.conn())
        .await
        .what("list the reviewers")?;
    let mut keys: BTreeMap<String, Vec<SigningKey>> = BTreeMap::new();
    for (holder, key) in signing_keys::list(tx, false).await? {
        keys.entry(holder).or_default().push(key);
    }
    let read = |row: &sqlx::postgres::PgRow| {
        let name: Name = row.word("name")?;
        Ok(Reviewer {
            keys: keys.remove(name.as_str()).unwrap_or_default(),
            added_at: row.time("added_at")?,
            added_by: row.column("added_by")?,
            name,
        })
    };
    rows.iter().map(read).collect()
}
