//! The collector of one run owns everything that emitted objects touch: the digest index, the place where new and
//! changed objects go, the spool and the counts. Checked batches reach it one after the other, so nothing here needs a lock.

use crate::index::{Index, IndexError, Seen};
use crate::sink::Sink;
use crate::spool::Spool;
use porthole_model::object::Row;
use porthole_model::parse::{Batch, Rejection, StepTypes};
use porthole_model::run::{Counts, TypeCounts};
use porthole_store::StoreError;
use porthole_wire::{EntityPage, TaskId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::Arc;

/// Reasons kept for people, for one task; later ones are only counted.
const REJECTIONS_KEPT: usize = 20;

/// Why collecting can't go on. All of them end the run.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The index is full, or its file failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// Staging failed.
    #[error("staging failed")]
    Staging(#[from] StoreError),
    /// The spool failed.
    #[error("the spool failed")]
    Spool(#[from] io::Error),
    /// A task that isn't running.
    #[error("task {0} is not running")]
    NoTask(TaskId),
}

/// An object that was set aside.
#[derive(Debug, Clone)]
pub struct SetAside {
    /// Its type, as far as it could be read.
    pub object_type: String,
    /// Its key, as far as it could be read.
    pub key: String,
    /// Why.
    pub reason: String,
}

/// What one task emitted.
#[derive(Debug, Default, Clone)]
pub struct TaskTally {
    /// Accepted objects, by type.
    pub counts: Counts,
    /// Accepted objects.
    pub accepted: u64,
    /// Objects that were set aside.
    pub rejected: u64,
    /// Those of them of which nobody can say which they were.
    pub unidentified: u64,
    /// The first of them, with reasons.
    pub rejections: Vec<SetAside>,
}

struct TaskState {
    slice: i32,
    tally: TaskTally,
}

/// Accepted objects of one type.
#[derive(Debug, Clone, Copy, Default)]
struct Accepted {
    objects: u64,
    counts: TypeCounts,
}

impl Accepted {
    fn add(&mut self, seen: Seen) {
        self.objects += 1;
        match seen {
            Seen::New => self.counts.created += 1,
            Seen::Changed => self.counts.updated += 1,
            Seen::Unchanged => self.counts.unchanged += 1,
            Seen::Duplicate { .. } | Seen::Replaces { .. } => {}
        }
    }
}

/// A batch whose lines were checked and hashed, in their order.
pub struct Checked {
    types: Arc<StepTypes>,
    batch: Batch,
}

impl Checked {
    /// Checks the lines of a batch. This is what most of a batch's time goes to, and it needs nothing of what slices share:
    /// whoever has a batch does it before the collector's turn.
    #[must_use]
    pub fn of(batch: &[u8], types: Arc<StepTypes>) -> Self {
        Self { batch: Batch::check(batch, &types), types }
    }
}

/// See the module's documentation.
pub struct Collector {
    index: Index,
    types: Types,
    sink: Sink,
    spool: Spool,
    tasks: HashMap<TaskId, TaskState>,
    slice_names: HashMap<i32, String>,
}

/// Numbers for type names.
#[derive(Debug, Default)]
pub struct Types {
    names: Vec<String>,
    numbers: HashMap<String, u16>,
    /// The number that was asked for last.
    last: u16,
}

impl Types {
    /// The number of a name.
    pub fn number(&mut self, name: &str) -> u16 {
        // Objects come as they are stored, and most are stored beside one of their type.
        if self.names.get(usize::from(self.last)).is_some_and(|last| last == name) {
            return self.last;
        }
        self.last = self.find_or_add(name);
        self.last
    }

    fn find_or_add(&mut self, name: &str) -> u16 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        // A manifest has at most some hundred types; a graph with more than 65,535 shares the last number, which only
        // blurs its counts.
        let number = u16::try_from(self.names.len()).unwrap_or(u16::MAX);
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        number
    }

    fn name(&self, number: u16) -> &str {
        self.names.get(usize::from(number)).map_or("", String::as_str)
    }
}

impl Collector {
    /// A collector over a loaded index.
    #[must_use]
    pub fn new(index: Index, types: Types, sink: Sink, spool: Spool) -> Self {
        Self { index, types, sink, spool, tasks: HashMap::new(), slice_names: HashMap::new() }
    }

    /// A task may emit from now on.
    pub fn open(&mut self, task: TaskId, slice: i32, name: String) {
        self.slice_names.insert(slice, name);
        self.tasks.insert(task, TaskState { slice, tally: TaskTally::default() });
    }

    /// A task emits no more.
    pub fn close(&mut self, task: TaskId) -> TaskTally {
        self.tasks.remove(&task).map(|t| t.tally).unwrap_or_default()
    }

    /// Compares and stages a checked batch. A bad object is set aside alone.
    ///
    /// # Errors
    /// When staging, the spool or the index fails. What is wrong with an object is no error.
    pub async fn take(&mut self, task: TaskId, batch: Checked) -> Result<(), CollectError> {
        let Self { index, sink, spool, tasks, slice_names, .. } = self;
        let TaskState { slice, tally } = tasks.get_mut(&task).ok_or(CollectError::NoTask(task))?;
        let slice = *slice;
        let Checked { types, batch } = batch;
        index.fetch(batch.objects().map(|object| object.key_hash));
        let mut counts = vec![Accepted::default(); types.count()];
        let spooled: Vec<bool> =
            (0..types.count()).map(|number| types.is_entity(number) && spool.wants(types.name(number))).collect();
        for checked in batch.lines() {
            let object = match checked {
                Ok(object) => object,
                Err(rejection) => {
                    if let Some(key) = rejection.key_hash {
                        index.keep(key)?;
                    }
                    tally.reject(rejection);
                    continue;
                }
            };
            let seen = index.offer(object.key_hash, object.content_hash, slice)?;
            let twice_here = matches!(seen, Seen::Duplicate { by, .. } | Seen::Replaces { by, .. } if by == slice);
            if !twice_here && let Some(counts) = counts.get_mut(object.type_number) {
                counts.add(seen);
            }
            // What two slices emit is kept of both: which of them came first is no guest's business.
            let is_spooled = !twice_here && spooled.get(object.type_number).copied().unwrap_or_default();
            if seen == Seen::Unchanged && !is_spooled {
                continue;
            }
            let row = batch.row(object, &types);
            match seen {
                Seen::Duplicate { by, .. } | Seen::Replaces { by, .. } if by == slice => {
                    tally.duplicate(&row, slice_names.get(&by).map_or("this slice", String::as_str));
                }
                Seen::Duplicate { by, same: false } | Seen::Replaces { by, .. } => {
                    tally.note(&row, slice_names.get(&by).map_or("another slice", String::as_str));
                }
                _ => {}
            }
            if is_spooled {
                spool.keep(task, &row)?;
            }
            match seen {
                Seen::New => sink.created(slice, &row).await?,
                Seen::Changed => sink.updated(slice, &row).await?,
                Seen::Replaces { known, .. } => sink.replaced(known, slice, &row).await?,
                Seen::Unchanged | Seen::Duplicate { .. } => {}
            }
        }
        for (number, accepted) in counts.into_iter().enumerate() {
            tally.accept(types.name(number), accepted);
        }
        Ok(())
    }

    /// Reads back what earlier steps emitted.
    ///
    /// # Errors
    /// When the spool can't be read.
    pub fn read(&mut self, step: &str, entity_type: &str, cursor: u64) -> io::Result<Option<EntityPage>> {
        self.spool.read(step, entity_type, cursor)
    }

    /// Stages the deletion of what these slices no longer contain.
    ///
    /// # Errors
    /// When staging fails.
    pub async fn stage_gone(&mut self, sweepable: &BTreeSet<i32>) -> Result<(), CollectError> {
        for gone in self.index.gone(sweepable) {
            let gone = gone?;
            self.sink.gone(gone.slice, gone.kind, gone.key).await?;
        }
        Ok(())
    }

    /// What the graph held when the run started, by type.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn held(&self) -> Result<BTreeMap<String, u64>, CollectError> {
        let held = self.index.held()?;
        Ok(held.into_iter().map(|(number, n)| (self.types.name(number).to_owned(), n)).collect())
    }

    /// The digest over everything that the run saw, as it stands in the record of a run.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn digest_text(&self) -> Result<String, CollectError> {
        Ok(format!("blake3:{}", hex::encode(self.index.digest()?)))
    }

    /// Gives the sink back, for the reconcile.
    #[must_use]
    pub fn into_sink(self) -> Sink {
        self.sink
    }
}

impl TaskTally {
    fn accept(&mut self, object_type: &str, accepted: Accepted) {
        if accepted.objects > 0 {
            self.accepted += accepted.objects;
            self.counts.entry(object_type.to_owned()).or_default().add(accepted.counts);
        }
    }

    fn reject(&mut self, rejection: &Rejection) {
        self.unidentified += u64::from(rejection.key_hash.is_none());
        self.set_aside(|| SetAside {
            object_type: rejection.object_type.clone().unwrap_or_default(),
            key: rejection.key.clone().unwrap_or_default(),
            reason: rejection.reason.to_string(),
        });
    }

    /// Another slice emitted the key as well, with other content. That is odd and worth a line, and no reason to doubt that
    /// either slice is complete: the object is there.
    fn note(&mut self, row: &Row, by: &str) {
        if self.rejections.len() < REJECTIONS_KEPT {
            self.rejections.push(SetAside {
                object_type: row.object_type.clone(),
                key: row.key.clone(),
                reason: format!("emitted with other content by {by} as well; the one with the smaller hash stands"),
            });
        }
    }

    fn duplicate(&mut self, row: &Row, by: &str) {
        self.set_aside(|| SetAside {
            object_type: row.object_type.clone(),
            key: row.key.clone(),
            reason: format!("emitted before in this run, by {by}; the one with the smaller hash stands"),
        });
    }

    fn set_aside(&mut self, what: impl FnOnce() -> SetAside) {
        self.rejected += 1;
        if self.rejections.len() < REJECTIONS_KEPT {
            self.rejections.push(what());
        }
    }
}
