//! Staging: what a run found new, changed or gone, on its way into the graph.
//!
//! Each claim of a run has two unlogged tables of its own, one for entities and one for relationships, laid out as the
//! graph's. Rows go there by binary COPY, in batches; a connection is taken from the pool for a batch and given back, and
//! while one batch is on its way the next is filled. COPY can't go through row security, so the tables have none: their
//! names are made from the claim, and the reconcile that reads them names the tenant.
//!
//! Unlogged means that a crash of the server empties the tables. So the writer counts, and a reconcile that doesn't find
//! as many rows applies nothing.
//!
//! A staging table has no index and no statistics. Whoever stages knows from the digest index whether the graph has an
//! object: what it hasn't is inserted without being looked for, what it has is looked up in the graph's own key.

mod tables;

use crate::copy::Encoder;
use crate::error::{Result, StoreError, What};
use crate::pool::Store;
use crate::row::Columns;
use porthole_model::object::{End, Far, KeyHash, Row, RowKind};
use porthole_model::run::Claim;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPoolCopyExt;
use sqlx::{AssertSqlSafe, PgPool};
use std::panic::resume_unwind;
pub use tables::sweep;
pub(crate) use tables::{drop_tables, make_durable, split_joint, table};
use tokio::task::JoinSet;

/// A batch is sent when it has this many bytes: large enough that the round trip doesn't matter, small enough that a
/// hundred runs don't.
pub const BATCH_BYTES: usize = 1024 * 1024;
/// Batches of one run that are on their way at a time, each on a connection: the server parses two while the next is
/// filled, and a run still takes a small part of the pool.
const MAX_SENDING: usize = 2;
/// Columns of the staging table of entities.
const ENTITY_FIELDS: i16 = 10;
/// Columns of the staging table of relationships.
const RELATIONSHIP_FIELDS: i16 = 16;

/// Entity or relationship.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectKind {
    /// A thing.
    Entity,
    /// How two things hang together.
    Relationship,
}

impl ObjectKind {
    /// Both, entities first: the order of everything that comes in pairs here.
    pub(crate) const ALL: [Self; 2] = [Self::Entity, Self::Relationship];

    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Entity => b'E',
            Self::Relationship => b'R',
        }
    }

    pub(crate) fn from_code(code: u8) -> Result<Self> {
        match code {
            b'E' => Ok(Self::Entity),
            b'R' => Ok(Self::Relationship),
            _ => Err(StoreError::Copy("an object is neither entity nor relationship")),
        }
    }

    /// The kind of a row.
    #[must_use]
    pub fn of(row: &Row) -> Self {
        match row.kind {
            RowKind::Entity { .. } => Self::Entity,
            RowKind::Relationship { .. } => Self::Relationship,
        }
    }
}

/// Which end of a relationship is the far one, as it stands in the column `far`.
pub(crate) fn far_code(end: End) -> u8 {
    match end {
        End::From => b'f',
        End::To => b't',
    }
}

/// The rows of one staging table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    /// Objects that the graph doesn't have.
    pub created: u64,
    /// Objects that it has, or may have: changed or gone.
    pub known: u64,
}

impl Rows {
    /// All of them.
    #[must_use]
    pub fn all(self) -> u64 {
        self.created + self.known
    }
}

/// What a finished writer left in the staging tables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staged {
    /// Rows, each object once. A kind without any has no table.
    pub rows: u64,
    /// Rows that were dropped because another took their place.
    pub duplicates: u64,
    /// Entities and relationships. None in what an earlier version held: it had one table for both.
    #[serde(default)]
    pub(crate) by_kind: Option<[Rows; 2]>,
}

/// Writes one claim's staging tables.
#[derive(Debug)]
pub struct StagingWriter {
    store: Store,
    claim: Claim,
    entities: Lane,
    relationships: Lane,
    sending: JoinSet<Result<()>>,
    /// Rows so far, those in batches included. Says which of two rows for one object came first.
    seq: i64,
}

/// What goes into one of the two tables.
#[derive(Debug)]
struct Lane {
    kind: ObjectKind,
    batch: Encoder,
    /// The table is there.
    made: bool,
    rows: Rows,
    /// Some of them take the place of others.
    replaces: bool,
}

impl Lane {
    fn new(kind: ObjectKind) -> Self {
        Self { kind, batch: Encoder::default(), made: false, rows: Rows::default(), replaces: false }
    }
}

/// What becomes of an object. The letter is what stands in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Op {
    Created = b'I',
    Updated = b'U',
    Gone = b'D',
}

impl StagingWriter {
    /// A writer for a claim. Nothing happens in the database before the first batch is full.
    #[must_use]
    pub fn new(store: &Store, claim: Claim) -> Self {
        Self {
            store: store.clone(),
            claim,
            entities: Lane::new(ObjectKind::Entity),
            relationships: Lane::new(ObjectKind::Relationship),
            sending: JoinSet::new(),
            seq: 0,
        }
    }

    /// Bytes that wait for the next batches.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.entities.batch.len() + self.relationships.batch.len()
    }

    /// Stages an object that the index doesn't have, and that this run stages for the first time. It is inserted as it
    /// is: if the graph has it after all, the reconcile fails and applies nothing.
    ///
    /// # Errors
    /// When a full batch can't be sent; `StaleClaim` when the claim is no longer current.
    pub async fn created(&mut self, slice: i32, row: &Row) -> Result<()> {
        self.object(Op::Created, slice, row).await
    }

    /// Stages an object that the index has with another content, or for another slice, or of which nobody knows whether
    /// the graph has it: the reconcile compares.
    ///
    /// # Errors
    /// As [`StagingWriter::created`].
    pub async fn updated(&mut self, slice: i32, row: &Row) -> Result<()> {
        self.object(Op::Updated, slice, row).await
    }

    /// Stages an object in the place of one of the same key that this run may have staged before; the last one stands.
    /// `known` says that the index has the key.
    ///
    /// # Errors
    /// As [`StagingWriter::created`].
    pub async fn replaced(&mut self, known: bool, slice: i32, row: &Row) -> Result<()> {
        self.lane(ObjectKind::of(row)).replaces = true;
        self.object(if known { Op::Updated } else { Op::Created }, slice, row).await
    }

    /// Stages an object that its slice no longer contains, once, and only if the run staged nothing else of that key.
    /// Whether it may go is for the reconcile to say: only complete slices are swept.
    ///
    /// # Errors
    /// As [`StagingWriter::created`].
    pub async fn gone(&mut self, slice: i32, kind: ObjectKind, key: KeyHash) -> Result<()> {
        let seq = self.count(kind, Op::Gone);
        let batch = &mut self.lane(kind).batch;
        let (fields, nulls_before, nulls_after) = match kind {
            ObjectKind::Entity => (ENTITY_FIELDS, 1, 5),
            ObjectKind::Relationship => (RELATIONSHIP_FIELDS, 3, 9),
        };
        batch.row(fields);
        batch.int8(seq);
        batch.bytes(&key.0);
        (0..nulls_before).for_each(|_| batch.null());
        batch.int4(slice);
        batch.char(Op::Gone as u8);
        (0..nulls_after).for_each(|_| batch.null());
        self.send_if_full(kind).await
    }

    fn lane(&mut self, kind: ObjectKind) -> &mut Lane {
        match kind {
            ObjectKind::Entity => &mut self.entities,
            ObjectKind::Relationship => &mut self.relationships,
        }
    }

    fn count(&mut self, kind: ObjectKind, op: Op) -> i64 {
        let rows = &mut self.lane(kind).rows;
        match op {
            Op::Created => rows.created += 1,
            Op::Updated | Op::Gone => rows.known += 1,
        }
        self.seq += 1;
        self.seq
    }

    async fn object(&mut self, op: Op, slice: i32, row: &Row) -> Result<()> {
        let kind = ObjectKind::of(row);
        let seq = self.count(kind, op);
        let batch = &mut self.lane(kind).batch;
        let far = match &row.kind {
            RowKind::Entity { class, display_name } => {
                batch.row(ENTITY_FIELDS);
                batch.int8(seq);
                batch.bytes(&row.key_hash.0);
                batch.bytes(&row.content_hash.0);
                batch.int4(slice);
                batch.char(op as u8);
                batch.text(&row.object_type);
                batch.text(&row.key);
                batch.text(display_name);
                batch.text_array(class);
                None
            }
            RowKind::Relationship { verb, from_key, from_hash, to_key, to_hash, far } => {
                batch.row(RELATIONSHIP_FIELDS);
                batch.int8(seq);
                batch.bytes(&row.key_hash.0);
                batch.bytes(&row.content_hash.0);
                batch.bytes(&from_hash.0);
                batch.bytes(&to_hash.0);
                batch.int4(slice);
                batch.char(op as u8);
                batch.text(&row.object_type);
                batch.text(&row.key);
                batch.text(verb);
                batch.text(from_key);
                batch.text(to_key);
                Some(far)
            }
        };
        batch.jsonb(&row.properties);
        match far {
            None => {}
            Some(None) => (0..3).for_each(|_| batch.null()),
            Some(Some(Far { end, object_type, class })) => {
                batch.char(far_code(*end));
                batch.text(object_type);
                batch.text_array(class);
            }
        }
        self.send_if_full(kind).await
    }

    async fn send_if_full(&mut self, kind: ObjectKind) -> Result<()> {
        if self.lane(kind).batch.len() >= BATCH_BYTES { self.send(kind).await } else { Ok(()) }
    }

    /// Sets a batch on its way, as soon as there is room for it.
    async fn send(&mut self, kind: ObjectKind) -> Result<()> {
        if !self.lane(kind).made {
            tables::create(&self.store, &self.claim, kind).await?;
            self.lane(kind).made = true;
        }
        while self.sending.len() >= MAX_SENDING {
            self.arrived().await?;
        }
        let batch = self.lane(kind).batch.finish();
        let statement = format!("COPY {} FROM STDIN (FORMAT binary)", table(self.claim.run, self.claim.fence, kind));
        self.sending.spawn(copy(self.store.pool.clone(), self.claim, statement, batch));
        Ok(())
    }

    /// Waits for one batch, if one is on its way.
    async fn arrived(&mut self) -> Result<()> {
        match self.sending.join_next().await {
            None => Ok(()),
            Some(Ok(sent)) => sent,
            Some(Err(e)) => match e.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // Only dropping the writer ends a task early, and then nobody is here.
                Err(_) => Err(StoreError::StaleClaim(self.claim.run)),
            },
        }
    }

    /// Sends what waits, and waits until it is there.
    ///
    /// # Errors
    /// As [`StagingWriter::created`].
    pub async fn flush(&mut self) -> Result<()> {
        for kind in ObjectKind::ALL {
            if self.lane(kind).batch.len() > 0 {
                self.send(kind).await?;
            }
        }
        while !self.sending.is_empty() {
            self.arrived().await?;
        }
        Ok(())
    }

    /// Sends the last batches. Of rows that came in the place of others, the last stands.
    ///
    /// # Errors
    /// As [`StagingWriter::created`].
    pub async fn finish(mut self) -> Result<Staged> {
        self.flush().await?;
        let mut staged = Staged::default();
        let lanes = [&mut self.entities, &mut self.relationships];
        for lane in lanes {
            if lane.made && lane.replaces {
                let table = table(self.claim.run, self.claim.fence, lane.kind);
                let dropped = drop_replaced(&self.store.pool, &table).await?;
                lane.rows.created = lane.rows.created.saturating_sub(dropped.created);
                lane.rows.known = lane.rows.known.saturating_sub(dropped.known);
                staged.duplicates += dropped.all();
            }
            staged.rows += lane.rows.all();
        }
        staged.by_kind = Some([self.entities.rows, self.relationships.rows]);
        Ok(staged)
    }
}

async fn copy(pool: PgPool, claim: Claim, statement: String, batch: Vec<u8>) -> Result<()> {
    let sent = async {
        let mut copy = pool.copy_in_raw(&statement).await?;
        copy.send(batch).await?;
        copy.finish().await
    };
    match sent.await {
        Ok(_) => Ok(()),
        // undefined_table: the run was swept, and its tables with it.
        Err(e) if e.as_database_error().and_then(|e| e.code()).as_deref() == Some("42P01") => {
            Err(StoreError::StaleClaim(claim.run))
        }
        Err(source) => Err(StoreError::Query { what: "stage a batch", source }),
    }
}

/// Of each object keeps the row that came last. What is there isn't gone.
async fn drop_replaced(pool: &PgPool, table: &str) -> Result<Rows> {
    let what = "drop what was replaced";
    let sql = format!(
        "WITH dropped AS (DELETE FROM {table} s USING ( \
             SELECT ctid, row_number() OVER (PARTITION BY key_hash ORDER BY op = 'D', seq DESC) AS n FROM {table} \
         ) d WHERE s.ctid = d.ctid AND d.n > 1 RETURNING s.op) \
         SELECT count(*) FILTER (WHERE op = 'I') AS created, count(*) FILTER (WHERE op <> 'I') AS known FROM dropped"
    );
    let row = sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch_one(pool).await.what(what)?;
    Ok(Rows { created: row.count("created")?, known: row.count("known")? })
}
