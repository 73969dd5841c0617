//! What a run tells the people who watch it: slices and how far they are, log lines, objects that were set aside. A run
//! writes it to the database; a replay, which has none, keeps the little of it that it shows.

use crate::collected::SliceEnd;
use crate::collector::TaskTally;
use porthole_model::run::{Claim, SliceKey};
use porthole_store::log::{self, Level, NewLine, Source};
use porthole_store::rejections::{self, Rejection};
use porthole_store::run_slices::{self, SliceProgress};
use porthole_store::{Store, StoreError, slices};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Log lines that wait for the next write; a guest that logs faster than that loses lines to the count.
const WAITING_LINES: usize = 1_000;
/// Log lines that a replay keeps; it has nowhere to write more.
const KEPT_LINES: usize = 1_000;

/// Where a run's slices, progress, log lines and rejections go.
pub enum Journal {
    /// To the database, under a claim.
    Store {
        /// The database.
        store: Store,
        /// The claim.
        claim: Claim,
    },
    /// Nowhere; the first log lines are kept.
    Memory(Mutex<Memory>),
}

/// What a replay keeps.
#[derive(Debug, Default)]
pub struct Memory {
    numbers: BTreeMap<SliceKey, i32>,
    lines: Vec<NewLine>,
}

impl Journal {
    /// A journal without a database.
    #[must_use]
    pub fn memory() -> Self {
        Self::Memory(Mutex::default())
    }

    /// Numbers and announces the slices of a step, all at once.
    ///
    /// # Errors
    /// When the database fails; `StaleClaim` when the run is another worker's.
    pub async fn announce(&self, keys: &[SliceKey]) -> Result<BTreeMap<SliceKey, i32>, StoreError> {
        match self {
            _ if keys.is_empty() => Ok(BTreeMap::new()),
            Self::Store { store, claim } => {
                let mut tx = store.tenant(claim.tenant).await?;
                let numbers = slices::ensure(&mut tx, claim.instance, keys).await?;
                run_slices::announce(&mut tx, claim, keys).await?;
                tx.commit().await?;
                Ok(numbers)
            }
            Self::Memory(memory) => {
                let numbers = &mut memory.lock().unwrap_or_else(PoisonError::into_inner).numbers;
                for key in keys {
                    // From 1, as the database counts.
                    let next = i32::try_from(numbers.len() + 1).unwrap_or(i32::MAX);
                    numbers.entry(key.clone()).or_insert(next);
                }
                Ok(keys.iter().filter_map(|key| Some((key.clone(), *numbers.get(key)?))).collect())
            }
        }
    }

    /// Writes what has come together: beginnings, log lines, rejections, then how far running slices are and the slice
    /// that has just ended, if one has. One transaction.
    ///
    /// # Errors
    /// As [`Journal::announce`].
    pub async fn write(
        &self,
        notes: &mut Notes,
        progress: &[SliceProgress],
        ended: Option<&SliceEnd>,
    ) -> Result<(), StoreError> {
        if notes.is_empty() && progress.is_empty() && ended.is_none() {
            return Ok(());
        }
        match self {
            Self::Store { store, claim } => {
                let mut tx = store.tenant(claim.tenant).await?;
                if !notes.began.is_empty() {
                    let began: Vec<_> = notes.began.iter().map(|(key, at)| (key.clone(), at.elapsed())).collect();
                    run_slices::began(&mut tx, claim, &began).await?;
                }
                if !notes.lines.is_empty() {
                    log::append(&mut tx, claim, &notes.lines).await?;
                }
                if !notes.rejections.is_empty() {
                    rejections::append(&mut tx, claim, &notes.rejections).await?;
                }
                if !progress.is_empty() {
                    run_slices::progress(&mut tx, claim, progress).await?;
                }
                if let Some(end) = ended {
                    run_slices::finish(&mut tx, claim, &end.key, &end.record()).await?;
                }
                tx.commit().await?;
            }
            Self::Memory(memory) => {
                let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                let room = KEPT_LINES.saturating_sub(memory.lines.len());
                memory.lines.extend(notes.lines.drain(..).take(room));
            }
        }
        notes.written();
        Ok(())
    }

    /// The log lines of a replay. A run's are in the database.
    #[must_use]
    pub fn into_lines(self) -> Vec<NewLine> {
        match self {
            Self::Store { .. } => Vec::new(),
            Self::Memory(memory) => memory.into_inner().unwrap_or_else(PoisonError::into_inner).lines,
        }
    }
}

/// What waits to be written.
#[derive(Default)]
pub struct Notes {
    began: Vec<(SliceKey, Instant)>,
    lines: Vec<NewLine>,
    numbered: i64,
    rejections: Vec<Rejection>,
    rejected: i64,
    dropped: u64,
}

impl Notes {
    /// A slice begins now.
    pub(crate) fn begin(&mut self, slice: SliceKey) {
        self.began.push((slice, Instant::now()));
    }

    /// A line of the guest.
    pub(crate) fn guest(&mut self, slice: SliceKey, level: u8, message: String) {
        self.push(Source::Guest, level, Some(slice), message);
    }

    /// A line of ours. Levels as in the frames: 0 debug, 1 info, 2 warn, 3 error.
    pub(crate) fn host(&mut self, slice: SliceKey, level: u8, message: String) {
        self.push(Source::Host, level, Some(slice), message);
    }

    /// What a slice had to set aside.
    pub(crate) fn set_aside(&mut self, slice: &SliceKey, tally: &TaskTally) {
        for aside in &tally.rejections {
            self.rejected += 1;
            self.rejections.push(Rejection {
                seq: self.rejected,
                slice: slice.clone(),
                object_type: aside.object_type.clone(),
                object_key: aside.key.clone(),
                reason: aside.reason.clone(),
            });
        }
        if tally.rejected > 0 {
            let text =
                format!("{} objects were set aside as invalid; `porthole runs show` has reasons", tally.rejected);
            self.host(slice.clone(), 2, text);
        }
    }

    fn push(&mut self, source: Source, level: u8, slice: Option<SliceKey>, message: String) {
        if self.lines.len() >= WAITING_LINES {
            self.dropped += 1;
            return;
        }
        let level = match level {
            0 => Level::Debug,
            1 => Level::Info,
            2 => Level::Warn,
            _ => Level::Error,
        };
        self.numbered += 1;
        self.lines.push(NewLine { seq: self.numbered, level, source, slice, message });
    }

    fn is_empty(&self) -> bool {
        self.began.is_empty() && self.lines.is_empty() && self.rejections.is_empty()
    }

    fn written(&mut self) {
        self.began.clear();
        self.lines.clear();
        self.rejections.clear();
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            let text = format!("{dropped} log lines came too fast and were dropped");
            self.push(Source::Host, 2, None, text);
        }
    }
}
