//! Approvals and yanks of modules. Records: they are added, and neither changed nor deleted. Whether an approval counts is
//! decided from its document, by whoever knows the keys.

use crate::audit;
use crate::error::{Result, StoreError, What};
use crate::row::Columns;
use crate::tx::sealed::Conn;
use crate::tx::{AnyTx, PlatformTx};
use jiff::Timestamp;
use porthole_model::audit::{Action, Entry, Object};
use porthole_model::context::OpContext;
use porthole_model::id::{ModuleDigest, Name};
use serde::Serialize;

/// The kind of approval by which a second person follows an emergency up.
const FOLLOW_UP: &str = "follow-up";

/// An approval as it was recorded.
#[derive(Debug, Clone, Serialize)]
pub struct Approval {
    /// Counts up.
    pub id: i64,
    /// What was approved.
    pub module: ModuleDigest,
    /// Whole, as its reviewer signed it.
    pub document: String,
    /// When it was recorded, by the database's clock.
    pub recorded_at: Timestamp,
    /// By whom: the actor at the command line, whose key the document doesn't have to be.
    pub recorded_by: String,
}

/// An approval to record. The caller has made sure that the columns say what the document says.
#[derive(Debug, Clone, Copy)]
pub struct NewApproval<'a> {
    /// What is approved.
    pub module: ModuleDigest,
    /// `normal`, `automatic`, `emergency`, `follow-up`.
    pub kind: &'a str,
    /// Who approves; nobody when the policy does.
    pub reviewer: Option<&'a Name>,
    /// Whole, as its reviewer signed it.
    pub document: &'a str,
    /// For the audit record, from the document: with which key.
    pub key: Option<&'a str>,
    /// The version it was compared with.
    pub basis: Option<ModuleDigest>,
    /// The digest of the diff that was shown.
    pub diff: &'a str,
    /// What the diff came to.
    pub verdict: &'a str,
    /// Why.
    pub reason: &'a str,
}

/// A version that was taken back.
#[derive(Debug, Clone, Serialize)]
pub struct Yank {
    /// Which.
    pub module: ModuleDigest,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
}

/// Records an approval. The same document again changes nothing.
///
/// # Errors
/// When there is no such module or reviewer.
pub async fn add(ctx: &OpContext, tx: &mut PlatformTx, new: NewApproval<'_>) -> Result<()> {
    let added = sqlx::query(
        "INSERT INTO module_approvals (module_digest, kind, reviewer, document, recorded_by) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
    )
    .bind(new.module.to_string())
    .bind(new.kind)
    .bind(new.reviewer.map(Name::as_str))
    .bind(new.document)
    .bind(ctx.actor.to_string())
    .execute(tx.conn())
    .await
    .what("record an approval")?
    .rows_affected();
    if added == 0 {
        return Ok(());
    }
    let action = if new.kind == FOLLOW_UP { Action::ModuleApprovalFollowedUp } else { Action::ModuleApproved };
    let mut entry = Entry::new(action, Object::module(new.module))
        .fact("kind", new.kind)
        .fact_if("reviewer", new.reviewer)
        .fact_if("key", new.key)
        .fact("verdict", new.verdict)
        .digest("diff", new.diff)
        .reason(new.reason);
    if let Some(basis) = new.basis {
        entry = entry.digest("basis", basis);
    }
    audit::append(ctx, tx, entry).await.map(drop)
}

/// The approvals of all versions of a module, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn of_name(tx: &mut impl AnyTx, name: &Name) -> Result<Vec<Approval>> {
    let rows = sqlx::query(
        "SELECT a.approval_id, a.module_digest, a.document, a.recorded_at, a.recorded_by \
         FROM module_approvals a JOIN modules m ON m.digest = a.module_digest WHERE m.name = $1 ORDER BY a.approval_id",
    )
    .bind(name.as_str())
    .fetch_all(tx.conn())
    .await
    .what("read the approvals")?;
    rows.iter()
        .map(|row| {
            Ok(Approval {
                id: row.column("approval_id")?,
                module: row.word("module_digest")?,
                document: row.column("document")?,
                recorded_at: row.time("recorded_at")?,
                recorded_by: row.column("recorded_by")?,
            })
        })
        .collect()
}

/// Takes a version back. It stays where it is and runs no longer.
///
/// # Errors
/// `Exists` when it was yanked before.
pub async fn yank(ctx: &OpContext, tx: &mut PlatformTx, module: ModuleDigest, reason: &str) -> Result<()> {
    let added = sqlx::query(
        "INSERT INTO module_yanks (module_digest, reason, actor) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(module.to_string())
    .bind(reason)
    .bind(ctx.actor.to_string())
    .execute(tx.conn())
    .await
    .what("yank a module")?
    .rows_affected();
    if added == 0 {
        return Err(StoreError::Exists { kind: "yank of module", id: module.to_string() });
    }
    let entry = Entry::new(Action::ModuleYanked, Object::module(module)).reason(reason);
    audit::append(ctx, tx, entry).await.map(drop)
}

/// The yanks of all versions of a module.
///
/// # Errors
/// When the database fails.
pub async fn yanks_of_name(tx: &mut impl AnyTx, name: &Name) -> Result<Vec<Yank>> {
    let rows = sqlx::query(
        "SELECT y.module_digest, y.reason, y.at, y.actor \
         FROM module_yanks y JOIN modules m ON m.digest = y.module_digest WHERE m.name = $1",
    )
    .bind(name.as_str())
    .fetch_all(tx.conn())
    .await
    .what("read the yanks")?;
    rows.iter()
        .map(|row| {
            Ok(Yank {
                module: row.word("module_digest")?,
                reason: row.column("reason")?,
                at: row.time("at")?,
                by: row.column("actor")?,
            })
        })
        .collect()
}
