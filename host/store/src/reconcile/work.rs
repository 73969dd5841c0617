//! One instance's staged rows against its graph: what is compared, counted and written, in which order.

use super::sql::Sql;
use super::{places, traits};
use crate::error::{Result, StoreError, What, is_unique_violation};
use crate::row::Columns;
use crate::staging::{ObjectKind, Rows};
use crate::tx::TenantTx;
use crate::tx::sealed::Conn;
use porthole_model::mapping::TraitKind;
use porthole_model::run::{Claim, Counts, TypeCounts};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Executor, Postgres};
use std::collections::BTreeSet;

/// The two staging tables of a claim, and what they are held against.
pub(super) struct Work<'a> {
    pub(super) claim: &'a Claim,
    pub(super) fence: i64,
    shard: i16,
    /// What was staged, entities first.
    rows: [Rows; 2],
    sweepable: &'a [i32],
    sql: Sql,
}

/// What applying does, or would do.
#[derive(Debug, Clone, Default)]
pub struct Diff {
    /// By type; what was neither sent nor rewritten isn't counted here.
    pub counts: Counts,
    /// Entities first.
    totals: [TypeCounts; 2],
}

/// Only hashing is left to find the ends of relationships among new entities: without statistics the planner expects
/// billions of pairs, and sorts.
const BY_HASH: &str = "SET LOCAL enable_nestloop = off; SET LOCAL enable_mergejoin = off";
const ANYHOW: &str = "SET LOCAL enable_nestloop = DEFAULT; SET LOCAL enable_mergejoin = DEFAULT";

/// A run that brings so many new objects of a kind sees to the planner's statistics itself, in a part of a second: a run
/// that follows at once looks up each object that changed, and has to find it by its key.
const ANALYZED_FROM: u64 = 10_000;

impl<'a> Work<'a> {
    pub(super) fn new(claim: &'a Claim, fence: i64, shard: i16, rows: [Rows; 2], sweepable: &'a [i32]) -> Self {
        Self { claim, fence, shard, rows, sweepable, sql: Sql::new(claim, fence) }
    }

    /// The staged entities.
    pub(super) fn entities(&self) -> Rows {
        let [entities, _] = self.rows;
        entities
    }

    /// A statement with the five parameters that all of them have.
    pub(super) fn bind(&self, sql: String) -> Query<'_, Postgres, PgArguments> {
        sqlx::query(AssertSqlSafe(sql))
            .persistent(false)
            .bind(self.claim.tenant.0)
            .bind(self.shard)
            .bind(self.claim.instance.0)
            .bind(self.claim.run.0)
            .bind(self.sweepable)
    }

    async fn run(&self, tx: &mut TenantTx, what: &'static str, sql: String) -> Result<u64> {
        Ok(self.bind(sql).execute(tx.conn()).await.what(what)?.rows_affected())
    }

    fn kinds(&self) -> impl Iterator<Item = (ObjectKind, Rows)> + use<> {
        ObjectKind::ALL.into_iter().zip(self.rows)
    }

    /// What applying does. The only place that counts.
    pub(super) async fn diff(&self, tx: &mut TenantTx) -> Result<Diff> {
        let what = "compare with the graph";
        let mut diff = Diff::default();
        for (at, (kind, rows)) in self.kinds().enumerate() {
            let mut found = Vec::new();
            if rows.created > 0 {
                let counted = self.bind(self.sql.count_created(kind)).fetch_all(tx.conn()).await.what(what)?;
                for row in &counted {
                    let counts = TypeCounts { created: row.count("created")?, ..TypeCounts::default() };
                    found.push((row.column("_type")?, counts));
                }
                complete(rows.created, found.iter().map(|(_, c): &(String, _)| c.created).sum())?;
            }
            if rows.known > 0 {
                self.check_known(tx, kind, rows).await?;
                let compared = self.bind(self.sql.compare_known(kind)).fetch_all(tx.conn()).await.what(what)?;
                for row in &compared {
                    found.push((row.column("_type")?, read_counts(row)?));
                }
            }
            for (name, counts) in found {
                diff.counts.entry(name).or_default().add(counts);
                if let Some(total) = diff.totals.get_mut(at) {
                    total.add(counts);
                }
            }
        }
        Ok(diff)
    }

    /// The server may have lost staged rows since they were counted.
    async fn check_known(&self, tx: &mut TenantTx, kind: ObjectKind, rows: Rows) -> Result<()> {
        let row = self.bind(self.sql.count_known(kind)).fetch_one(tx.conn()).await.what("count the staged rows")?;
        complete(rows.known, row.count("n")?)
    }

    /// `kinds` says which values of entities count for the tenant's mapping rules.
    pub(super) async fn write(&self, tx: &mut TenantTx, diff: &Diff, kinds: &BTreeSet<TraitKind>) -> Result<()> {
        let [entities, _] = diff.totals;
        for ((kind, rows), total) in self.kinds().zip(diff.totals) {
            if rows.known > 0 {
                self.check_known(tx, kind, rows).await?;
                self.run(tx, "keep former versions", self.sql.keep_former(kind)).await?;
                self.delete(tx, kind, total.deleted).await?;
            }
        }
        self.insert(tx, ObjectKind::Entity).await?;
        if entities.created > 0 {
            self.run(tx, "tie relationships", Sql::tie()).await?;
        }
        if entities.deleted > 0 {
            for end in ["from_hash", "to_hash"] {
                let act = "UPDATE relationships o SET dangling = true";
                places::change(self, tx, "untie relationships", &self.sql.untied(end), act, |query| query).await?;
            }
        }
        self.insert(tx, ObjectKind::Relationship).await?;
        let mut traits = 0;
        for kind in kinds {
            traits += traits::write(self, tx, kind).await?;
        }
        self.analyze(tx, traits).await
    }

    /// Other than the server's own, this is part of the transaction: with the new graph come its statistics.
    async fn analyze(&self, tx: &mut TenantTx, traits: u64) -> Result<()> {
        let [entities, relationships] = self.rows.map(|rows| rows.created);
        let grown = [("entities", entities), ("relationships", relationships), ("traits", traits)];
        for (table, _) in grown.into_iter().filter(|(_, created)| *created >= ANALYZED_FROM) {
            sqlx::query("CALL analyze_shard($1, $2)")
                .bind(table)
                .bind(self.shard)
                .execute(tx.conn())
                .await
                .what("analyse the graph")?;
        }
        Ok(())
    }

    async fn delete(&self, tx: &mut TenantTx, kind: ObjectKind, expected: u64) -> Result<()> {
        if expected == 0 {
            return Ok(());
        }
        let act = match kind {
            ObjectKind::Entity => "DELETE FROM entities o",
            ObjectKind::Relationship => "DELETE FROM relationships o",
        };
        places::change(self, tx, "delete what is gone", &self.sql.gone(kind), act, |query| query).await.map(drop)
    }

    /// New objects, then changed ones. What is inserted is counted: the server may have lost staged rows meanwhile.
    async fn insert(&self, tx: &mut TenantTx, kind: ObjectKind) -> Result<()> {
        let [entities, relationships] = self.rows;
        let (rows, what) = match kind {
            ObjectKind::Entity => (entities, "write entities"),
            ObjectKind::Relationship => (relationships, "write relationships"),
        };
        if rows.created > 0 {
            let with_entities = entities.created > 0;
            tx.conn().execute(BY_HASH).await.what(what)?;
            let written = self.bind(self.sql.insert_created(kind, with_entities)).execute(tx.conn()).await;
            let written = match written {
                Err(e) if is_unique_violation(&e) => return Err(StoreError::NotNew(e)),
                other => other.what(what)?,
            };
            tx.conn().execute(ANYHOW).await.what(what)?;
            complete(rows.created, written.rows_affected())?;
        }
        if rows.known > 0 {
            self.run(tx, what, self.sql.write_updated(kind)).await?;
        }
        Ok(())
    }
}

fn complete(staged: u64, found: u64) -> Result<()> {
    if staged == found { Ok(()) } else { Err(StoreError::StagingLost { staged, found }) }
}

fn read_counts(row: &PgRow) -> Result<TypeCounts> {
    Ok(TypeCounts {
        created: row.count("created")?,
        updated: row.count("updated")?,
        unchanged: row.count("unchanged")?,
        deleted: row.count("deleted")?,
    })
}
