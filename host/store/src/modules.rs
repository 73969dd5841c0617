//! Modules: packed components by digest, and what compiling them gave. They belong to the platform, so both doors lead
//! to them.

use crate::audit;
use crate::error::{Result, StoreError, What, is_unique_violation};
use crate::row::Columns;
use crate::tx::sealed::Conn;
use crate::tx::{AnyTx, PlatformTx};
use jiff::Timestamp;
use porthole_model::audit::{Action, Entry, Object};
use porthole_model::context::OpContext;
use porthole_model::id::{ModuleDigest, Name};
use porthole_model::manifest::Manifest;
use porthole_model::mapping::Mapping;
use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::types::Json;

/// A stored module, without its bytes.
#[derive(Debug, Clone, Serialize)]
pub struct Module {
    /// SHA-256 of the packed component.
    pub digest: ModuleDigest,
    /// The manifest's name.
    pub name: Name,
    /// The manifest's version.
    pub version: String,
    /// Who published it.
    pub publisher: String,
    /// What it asks for.
    pub manifest: Manifest,
    /// When it was added.
    pub added_at: Timestamp,
    /// By whom.
    pub added_by: String,
}

/// A module to add. The caller has checked that digest and manifest are the component's.
#[derive(Debug, Clone, Copy)]
pub struct NewModule<'a> {
    /// SHA-256 of `component`.
    pub digest: ModuleDigest,
    /// Who published it.
    pub publisher: &'a str,
    /// The manifest inside the component.
    pub manifest: &'a Manifest,
    /// The packed component.
    pub component: &'a [u8],
}

const COLUMNS: &str = "SELECT digest, name, version, publisher, manifest, added_at, added_by FROM modules";

fn read(row: &PgRow) -> Result<Module> {
    Ok(Module {
        digest: row.word("digest")?,
        name: row.word("name")?,
        version: row.column("version")?,
        publisher: row.column("publisher")?,
        manifest: row.json("manifest")?,
        added_at: row.time("added_at")?,
        added_by: row.column("added_by")?,
    })
}

/// Adds a module. Adding the same bytes again changes nothing.
///
/// # Errors
/// `Exists` when there is another module of that name and version: nothing is ever overwritten.
pub async fn add(ctx: &OpContext, tx: &mut PlatformTx, new: NewModule<'_>) -> Result<Module> {
    let info = &new.manifest.module;
    let inserted = sqlx::query(
        "INSERT INTO modules (digest, name, version, publisher, manifest, component, added_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (digest) DO NOTHING",
    )
    .bind(new.digest.to_string())
    .bind(info.name.as_str())
    .bind(&info.version)
    .bind(new.publisher)
    .bind(Json(new.manifest))
    .bind(new.component)
    .bind(ctx.actor.to_string())
    .execute(tx.conn())
    .await;
    match inserted {
        Ok(done) => {
            if done.rows_affected() > 0 {
                let entry = Entry::new(Action::ModulePublished, Object::module(new.digest))
                    .name(&info.name)
                    .fact("version", &info.version)
                    .fact("publisher", new.publisher)
                    .count("bytes", new.component.len() as u64)
                    .count("operations", new.manifest.operations.len() as u64);
                audit::append(ctx, tx, entry).await?;
            }
            get(tx, new.digest).await
        }
        Err(e) if is_unique_violation(&e) => {
            Err(StoreError::Exists { kind: "module", id: format!("{}@{}", info.name, info.version) })
        }
        Err(source) => Err(StoreError::Query { what: "add a module", source }),
    }
}

/// A module by its digest.
///
/// # Errors
/// `NotFound` when there is none.
pub async fn get(tx: &mut impl AnyTx, digest: ModuleDigest) -> Result<Module> {
    let row = sqlx::query(sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE digest = $1")))
        .bind(digest.to_string())
        .fetch_optional(tx.conn())
        .await
        .what("find a module")?;
    read(&row.ok_or_else(|| StoreError::not_found("module", digest))?)
}

/// The mapping rules that a module brings along; none when there is no such module.
pub(crate) async fn mappings(tx: &mut impl AnyTx, digest: ModuleDigest) -> Result<Vec<Mapping>> {
    let row = sqlx::query("SELECT manifest -> 'mappings' AS rules FROM modules WHERE digest = $1")
        .bind(digest.to_string())
        .fetch_optional(tx.conn())
        .await
        .what("read the mapping rules of a module")?;
    let rules = row.map(|row| row.json_or_null("rules")).transpose()?.flatten().unwrap_or_else(|| Value::Array(vec![]));
    serde_json::from_value(rules).map_err(|e| StoreError::Corrupt { column: "manifest", message: e.to_string() })
}

/// A module by its name and version; without a version, the one that was added last.
///
/// # Errors
/// `NotFound` when there is none.
pub async fn by_name(tx: &mut impl AnyTx, name: &Name, version: Option<&str>) -> Result<Module> {
    let sql = format!(
        "{COLUMNS} WHERE name = $1 AND ($2::text IS NULL OR version = $2) ORDER BY added_at DESC, digest LIMIT 1"
    );
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(name.as_str())
        .bind(version)
        .fetch_optional(tx.conn())
        .await
        .what("find a module")?;
    read(&row.ok_or_else(|| match version {
        Some(version) => StoreError::not_found("module", format!("{name}@{version}")),
        None => StoreError::not_found("module", name),
    })?)
}

/// All modules, by name, newest first.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut impl AnyTx) -> Result<Vec<Module>> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!("{COLUMNS} ORDER BY name, added_at DESC")))
        .fetch_all(tx.conn())
        .await
        .what("list the modules")?;
    rows.iter().map(read).collect()
}

/// All versions of a module, newest first.
///
/// # Errors
/// When the database fails.
pub async fn versions(tx: &mut impl AnyTx, name: &Name) -> Result<Vec<Module>> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE name = $1 ORDER BY added_at DESC, digest")))
        .bind(name.as_str())
        .fetch_all(tx.conn())
        .await
        .what("list the versions of a module")?;
    rows.iter().map(read).collect()
}

/// The digests that start with these characters, at most two of them: enough to know whether there is one.
///
/// # Errors
/// When the database fails.
pub async fn by_prefix(tx: &mut impl AnyTx, prefix: &str) -> Result<Vec<Module>> {
    let rows =
        sqlx::query(sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE starts_with(digest, $1) ORDER BY digest LIMIT 2")))
            .bind(prefix)
            .fetch_all(tx.conn())
            .await
            .what("find a module")?;
    rows.iter().map(read).collect()
}

/// A signature file of a module.
#[derive(Debug, Clone, Serialize)]
pub struct Signature {
    /// What was signed.
    pub module: ModuleDigest,
    /// With which key.
    pub key: String,
    /// The file.
    pub document: String,
    /// When it was added.
    pub added_at: Timestamp,
    /// By whom.
    pub added_by: String,
}

/// Adds a signature to a module. The same key's again changes nothing. The caller has verified it.
///
/// # Errors
/// When there is no such module or key.
pub async fn add_signature(
    ctx: &OpContext,
    tx: &mut PlatformTx,
    module: ModuleDigest,
    key: &str,
    document: &str,
) -> Result<bool> {
    let added = sqlx::query(
        "INSERT INTO module_signatures (module_digest, key_id, document, added_by) VALUES ($1, $2, $3, $4) \
         ON CONFLICT DO NOTHING",
    )
    .bind(module.to_string())
    .bind(key)
    .bind(document)
    .bind(ctx.actor.to_string())
    .execute(tx.conn())
    .await
    .what("add a signature")?;
    if added.rows_affected() == 0 {
        return Ok(false);
    }
    audit::append(ctx, tx, Entry::new(Action::ModuleSigned, Object::module(module)).fact("key", key)).await?;
    Ok(true)
}

/// The signatures of all versions of a module, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn signatures(tx: &mut impl AnyTx, name: &Name) -> Result<Vec<Signature>> {
    let rows = sqlx::query(
        "SELECT s.module_digest, s.key_id, s.document, s.added_at, s.added_by \
         FROM module_signatures s JOIN modules m ON m.digest = s.module_digest WHERE m.name = $1 \
         ORDER BY s.added_at, s.key_id",
    )
    .bind(name.as_str())
    .fetch_all(tx.conn())
    .await
    .what("read the signatures")?;
    rows.iter()
        .map(|row| {
            Ok(Signature {
                module: row.word("module_digest")?,
                key: row.column("key_id")?,
                document: row.column("document")?,
                added_at: row.time("added_at")?,
                added_by: row.column("added_by")?,
            })
        })
        .collect()
}

/// A module's bytes.
///
/// # Errors
/// `NotFound` when there is none.
pub async fn component(tx: &mut impl AnyTx, digest: ModuleDigest) -> Result<Vec<u8>> {
    sqlx::query_scalar("SELECT component FROM modules WHERE digest = $1")
        .bind(digest.to_string())
        .fetch_optional(tx.conn())
        .await
        .what("read a module")?
        .ok_or_else(|| StoreError::not_found("module", digest))
}
