//! The run log: what the guest and the host have to say, for people.

use crate::error::{Result, StoreError, What};
use crate::row::{Columns, clean};
use crate::run_slices::check_claim;
use crate::tx::TenantTx;
use crate::tx::sealed::Conn;
use jiff::Timestamp;
use porthole_model::id::RunId;
use porthole_model::run::{Claim, SliceKey};
use serde::{Deserialize, Serialize};

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For the module's author.
    Debug,
    /// What happens.
    Info,
    /// Something is missing or slow.
    Warn,
    /// Something failed.
    Error,
}

impl Level {
    /// As it stands in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// Who wrote a line. A guest's line is text of unknown origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The module.
    Guest,
    /// Porthole.
    Host,
}

impl Source {
    /// As it stands in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Host => "host",
        }
    }
}

/// A line to write.
#[derive(Debug, Clone)]
pub struct NewLine {
    /// Counts the lines of the run.
    pub seq: i64,
    /// How much it matters.
    pub level: Level,
    /// Who wrote it.
    pub source: Source,
    /// The slice it is about; none for the run.
    pub slice: Option<SliceKey>,
    /// The text, cut and scrubbed by the caller.
    pub message: String,
}

/// A line of the log.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// Counts the lines of the run.
    pub seq: i64,
    /// When it was written.
    pub at: Timestamp,
    /// `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// `guest` or `host`.
    pub source: String,
    /// The step; empty for the run.
    pub step: String,
    /// The partition.
    pub partition: String,
    /// The text.
    pub message: String,
}

/// Writes lines.
///
/// # Errors
/// `StaleClaim` when the claim is no longer current.
pub async fn append(tx: &mut TenantTx, claim: &Claim, lines: &[NewLine]) -> Result<()> {
    check_claim(tx, claim).await?;
    let part =
        |get: fn(&SliceKey) -> &str| -> Vec<&str> { lines.iter().map(|l| l.slice.as_ref().map_or("", get)).collect() };
    sqlx::query(
        "INSERT INTO run_log (tenant_id, run_id, seq, level, source, step, partition, message) \
         SELECT $1, $2, l.* FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[]) l",
    )
    .bind(tx.tenant().0)
    .bind(claim.run.0)
    .bind(lines.iter().map(|l| l.seq).collect::<Vec<_>>())
    .bind(lines.iter().map(|l| l.level.as_str()).collect::<Vec<_>>())
    .bind(lines.iter().map(|l| l.source.as_str()).collect::<Vec<_>>())
    .bind(part(|s| s.step.as_str()))
    .bind(part(|s| s.partition.as_str()))
    .bind(lines.iter().map(|l| clean(&l.message)).collect::<Vec<_>>())
    .execute(tx.conn())
    .await
    .what("write the run log")
    .map(drop)
}

/// The lines of a run after a number, in order.
///
/// # Errors
/// `NotFound` when the tenant has no such run.
pub async fn read(tx: &mut TenantTx, run: RunId, after: i64, limit: u32) -> Result<Vec<Line>> {
    let what = "read the run log";
    let tenant = tx.tenant();
    sqlx::query("SELECT 1 FROM runs WHERE tenant_id = $1 AND run_id = $2")
        .bind(tenant.0)
        .bind(run.0)
        .fetch_optional(tx.conn())
        .await
        .what(what)?
        .ok_or_else(|| StoreError::not_found("run", run))?;
    let rows =
        sqlx::query("SELECT * FROM run_log WHERE tenant_id = $1 AND run_id = $2 AND seq > $3 ORDER BY seq LIMIT $4")
            .bind(tenant.0)
            .bind(run.0)
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(tx.conn())
            .await
            .what(what)?;
    rows.iter()
        .map(|row| {
            Ok(Line {
                seq: row.column("seq")?,
                at: row.time("at")?,
                level: row.column("level")?,
                source: row.column("source")?,
                step: row.column("step")?,
                partition: row.column("partition")?,
                message: row.column("message")?,
            })
        })
        .collect()
}
