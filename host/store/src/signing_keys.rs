//! The public keys of publishers and reviewers. A key belongs to one of them for ever; its end is a record of its own.

use crate::error::{Result, StoreError, What, is_unique_violation};
use crate::row::Columns;
use crate::tx::sealed::Conn;
use crate::tx::{AnyTx, PlatformTx};
use jiff::Timestamp;
use porthole_model::audit::{Action, Entry, Object};
use porthole_model::context::OpContext;
use porthole_model::id::Name;
use serde::Serialize;
use sqlx::postgres::PgRow;

/// Whose a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder<'a> {
    Publisher(&'a str),
    Reviewer(&'a str),
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SigningKey {
    /// SHA-256 of the SubjectPublicKeyInfo: `sha256:…`.
    pub id: String,
    /// PEM.
    pub public_key: String,
    /// When it was added.
    pub added_at: Timestamp,
    /// By whom.
    pub added_by: String,
    /// It counts no longer.
    pub ended: Option<KeyEnd>,
}

/// The end of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyEnd {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
    /// What a reviewer's key approved before doesn't count either.
    pub void: bool,
}

/// A key to add. The caller has checked that the id is the key's.
#[derive(Debug, Clone, Copy)]
pub struct NewKey<'a> {
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub id: &'a str,
    /// PEM.
    pub public_key: &'a str,
}

/// Why keys end.
#[derive(Debug, Clone, Copy)]
pub struct NewEnd<'a> {
    /// Only this key; none for all that haven't ended.
    pub key: Option<&'a str>,
    /// Why.
    pub reason: &'a str,
    /// What the keys approved before doesn't count either.
    pub void: bool,
}

/// A key with the name of its holder, in the order of names, oldest first.
pub(crate) async fn list(tx: &mut impl AnyTx, publishers: bool) -> Result<Vec<(String, SigningKey)>> {
    let rows = sqlx::query(
        "SELECT coalesce(k.publisher, k.reviewer) AS holder, k.key_id, k.public_key, k.added_at, k.added_by, \
                e.at, e.actor, e.reason, e.void \
         FROM signing_keys k LEFT JOIN signing_key_ends e ON e.key_id = k.key_id \
         WHERE (k.publisher IS NOT NULL) = $1 ORDER BY holder, k.added_at, k.key_id",
    )
    .bind(publishers)
    .fetch_all(tx.conn())
    .await
    .what("list the keys")?;
    rows.iter().map(|row| Ok((row.column("holder")?, read(row)?))).collect()
}

fn read(row: &PgRow) -> Result<SigningKey> {
    let ended = match row.time_or_null("at")? {
        Some(at) => {
            Some(KeyEnd { at, by: row.column("actor")?, reason: row.column("reason")?, void: row.column("void")? })
        }
        None => None,
    };
    Ok(SigningKey {
        id: row.column("key_id")?,
        public_key: row.column("public_key")?,
        added_at: row.time("added_at")?,
        added_by: row.column("added_by")?,
        ended,
    })
}

/// Adds a key. Says whether it is new; a key that its holder has already is no error.
pub(crate) async fn add(ctx: &OpContext, tx: &mut PlatformTx, holder: Holder<'_>, new: NewKey<'_>) -> Result<bool> {
    let (publisher, reviewer) = match holder {
        Holder::Publisher(name) => (Some(name), None),
        Holder::Reviewer(name) => (None, Some(name)),
    };
    // Asked first: a statement that fails ends the transaction.
    let held: Option<(Option<String>, Option<String>)> =
        sqlx::query_as("SELECT publisher, reviewer FROM signing_keys WHERE key_id = $1")
            .bind(new.id)
            .fetch_optional(tx.conn())
            .await
            .what("find a key")?;
    match held {
        Some((p, r)) if (p.as_deref(), r.as_deref()) == (publisher, reviewer) => return Ok(false),
        Some((p, r)) => {
            let holder = p.or(r).unwrap_or_default();
            return Err(StoreError::KeyTaken { key: new.id.to_owned(), holder });
        }
        None => {}
    }
    sqlx::query(
        "INSERT INTO signing_keys (key_id, public_key, publisher, reviewer, added_by) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(new.id)
    .bind(new.public_key)
    .bind(publisher)
    .bind(reviewer)
    .bind(ctx.actor.to_string())
    .execute(tx.conn())
    .await
    .map_err(|source| match is_unique_violation(&source) {
        true => StoreError::Changed { kind: "key", id: new.id.to_owned() },
        false => StoreError::Query { what: "add a key", source },
    })?;
    Ok(true)
}

/// Ends keys of a holder. Gives the ids of those that ended now.
pub(crate) async fn end(
    ctx: &OpContext,
    tx: &mut PlatformTx,
    holder: Holder<'_>,
    end: NewEnd<'_>,
) -> Result<Vec<String>> {
    let (publisher, reviewer) = match holder {
        Holder::Publisher(name) => (Some(name), None),
        Holder::Reviewer(name) => (None, Some(name)),
    };
    let ended: Vec<String> = sqlx::query_scalar(
        "INSERT INTO signing_key_ends (key_id, reason, void, actor) \
         SELECT k.key_id, $4, $5, $6 FROM signing_keys k \
         WHERE k.publisher IS NOT DISTINCT FROM $1 AND k.reviewer IS NOT DISTINCT FROM $2 \
           AND ($3::text IS NULL OR k.key_id = $3) \
         ORDER BY k.key_id ON CONFLICT (key_id) DO NOTHING RETURNING key_id",
    )
    .bind(publisher)
    .bind(reviewer)
    .bind(end.key)
    .bind(end.reason)
    .bind(end.void)
    .bind(ctx.actor.to_string())
    .fetch_all(tx.conn())
    .await
    .what("end a key")?;
    if ended.is_empty() {
        let id = end.key.map_or_else(|| publisher.or(reviewer).unwrap_or_default().to_owned(), str::to_owned);
        return Err(StoreError::not_found("current key", id));
    }
    Ok(ended)
}

/// The records of keys that ended.
pub(crate) fn ends(action: Action, kind: &'static str, holder: &Name, end: NewEnd<'_>, keys: &[String]) -> Vec<Entry> {
    let entry = |key: &String| {
        let entry = Entry::new(action, Object::new(kind, holder)).fact("key", key).reason(end.reason);
        if end.void { entry.fact("void", "what it approved before doesn't count") } else { entry }
    };
    keys.iter().map(entry).collect()
}
