//! Publishers: who may sign modules, with which keys, and the people behind them.

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

/// A publisher.
#[derive(Debug, Clone, Serialize)]
pub struct Publisher {
    /// Its name.
    pub name: Name,
    /// The people behind it, by their names as reviewers.
    pub people: Vec<String>,
    /// Its keys, oldest first.
    pub keys: Vec<SigningKey>,
    /// When it was added.
    pub added_at: Timestamp,
    /// By whom.
    pub added_by: String,
}

/// Adds a publisher, a key to one, or people: whatever isn't there yet. Says whether anything was new.
///
/// # Errors
/// `KeyTaken` when the key is someone else's.
pub async fn add(
    ctx: &OpContext,
    tx: &mut PlatformTx,
    name: &Name,
    key: NewKey<'_>,
    people: &[String],
) -> Result<bool> {
    let mut rows = 0;
    rows += sqlx::query("INSERT INTO publishers (name, added_by) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(name.as_str())
        .bind(ctx.actor.to_string())
        .execute(tx.conn())
        .await
        .what("add a publisher")?
        .rows_affected();
    rows += sqlx::query(
        "INSERT INTO publisher_people (publisher, person, added_by) SELECT $1, unnest($2::text[]), $3 \
         ON CONFLICT DO NOTHING",
    )
    .bind(name.as_str())
    .bind(people)
    .bind(ctx.actor.to_string())
    .execute(tx.conn())
    .await
    .what("add people of a publisher")?
    .rows_affected();
    let new_key = signing_keys::add(ctx, tx, Holder::Publisher(name.as_str()), key).await?;
    if rows == 0 && !new_key {
        return Ok(false);
    }
    let mut entry = Entry::new(Action::PublisherAdded, Object::new("publisher", name)).fact("key", key.id);
    if !people.is_empty() {
        entry = entry.fact("people", people.join(" "));
    }
    audit::append(ctx, tx, entry).await?;
    Ok(true)
}

/// Ends one key of a publisher, or all. What they signed runs no longer. Gives the ids of those that ended now.
///
/// # Errors
/// `NotFound` when there is no such key that hasn't ended.
pub async fn end(ctx: &OpContext, tx: &mut PlatformTx, name: &Name, end: NewEnd<'_>) -> Result<Vec<String>> {
    let ended = signing_keys::end(ctx, tx, Holder::Publisher(name.as_str()), end).await?;
    audit::append_all(ctx, tx, signing_keys::ends(Action::PublisherEnded, "publisher", name, end, &ended)).await?;
    Ok(ended)
}

/// All publishers, by name.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut impl AnyTx) -> Result<Vec<Publisher>> {
    let rows = sqlx::query(
        "SELECT p.name, p.added_at, p.added_by, \
                ARRAY(SELECT person FROM publisher_people x WHERE x.publisher = p.name ORDER BY person) AS people \
         FROM publishers p ORDER BY p.name",
    )
    .fetch_all(tx.conn())
    .await
    .what("list the publishers")?;
    let mut keys: BTreeMap<String, Vec<SigningKey>> = BTreeMap::new();
    for (holder, key) in signing_keys::list(tx, true).await? {
        keys.entry(holder).or_default().push(key);
    }
    let read = |row: &sqlx::postgres::PgRow| {
        let name: Name = row.word("name")?;
        Ok(Publisher {
            people: row.column("people")?,
            keys: keys.remove(name.as_str()).unwrap_or_default(),
            added_at: row.time("added_at")?,
            added_by: row.column("added_by")?,
            name,
        })
    };
    rows.iter().map(read).collect()
}
