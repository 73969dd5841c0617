//! Collects objects into batches. The host takes at most 1 MiB at once; half of that is enough to make the crossing cheap
//! and leaves room for the longest object.

use crate::error::EmitError;
use crate::host::{Host, Level};
use crate::object::{Entity, Relationship};
use std::borrow::Cow;

/// A batch is handed over when it has grown to so many bytes.
pub const BATCH_BYTES: usize = 512 * 1024;
/// The longest batch that the host takes, in bytes.
pub const MAX_BATCH_BYTES: usize = 1024 * 1024;
/// The longest object that the host takes, in bytes, with its newline.
pub const MAX_LINE_BYTES: usize = 256 * 1024;

/// Collects objects and hands them over batch by batch.
///
/// Call [`Emitter::finish`] at the end of a step. A step that ends early, through `?`, hands over what it has when the
/// emitter is dropped: what was found stays found, and the slice is incomplete anyway.
pub struct Emitter<'a> {
    host: &'a dyn Host,
    batch: Vec<u8>,
    objects: u64,
}

impl<'a> Emitter<'a> {
    pub(crate) fn new(host: &'a dyn Host) -> Self {
        Self { host, batch: Vec::new(), objects: 0 }
    }

    /// Adds an entity.
    ///
    /// # Errors
    /// When the entity is too long (a step that went on without it would have it deleted), or the host refused a batch.
    pub fn entity(&mut self, entity: Entity) -> Result<(), EmitError> {
        let start = self.batch.len();
        entity.write(&mut self.batch);
        self.added(start, || entity.key().into())
    }

    /// Adds a relationship.
    ///
    /// # Errors
    /// As [`Self::entity`].
    pub fn relationship(&mut self, relationship: Relationship) -> Result<(), EmitError> {
        let start = self.batch.len();
        relationship.write(&mut self.batch);
        self.added(start, || relationship.key())
    }

    /// Objects added so far.
    #[must_use]
    pub fn objects(&self) -> u64 {
        self.objects
    }

    /// Hands over what there is.
    ///
    /// # Errors
    /// When the host refused the batch.
    pub fn flush(&mut self) -> Result<(), EmitError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let result = self.host.emit(&self.batch);
        // Also after an error: the same batch would be refused again when the emitter is dropped.
        self.batch.clear();
        result
    }

    /// Hands over the rest.
    ///
    /// # Errors
    /// As [`Self::flush`].
    pub fn finish(mut self) -> Result<(), EmitError> {
        self.flush()
    }

    fn added<'k>(&mut self, start: usize, key: impl FnOnce() -> Cow<'k, str>) -> Result<(), EmitError> {
        let bytes = self.batch.len() - start;
        if bytes > MAX_LINE_BYTES {
            self.batch.truncate(start);
            let key: String = key().chars().take(128).collect();
            return Err(EmitError::TooLarge(format!("`{key}` has {bytes} bytes, at most {MAX_LINE_BYTES} are taken")));
        }
        self.objects += 1;
        if self.batch.len() >= BATCH_BYTES { self.flush() } else { Ok(()) }
    }
}

impl Drop for Emitter<'_> {
    fn drop(&mut self) {
        if let Err(e) = self.flush() {
            self.host.log(Level::Error, &format!("the last objects of the step were not taken: {e}"));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a test may panic"
    )]
    use super::*;
    use crate::testing::MemoryHost;

    #[test]
    fn batches_stay_below_the_hosts_limit_and_lose_nothing() {
        let host = MemoryHost::new();
        let mut out = Emitter::new(&host);
        for i in 0..2_000 {
            out.entity(Entity::new("t", format!("t:{i}")).class("C").prop("text", "x".repeat(1_000))).unwrap();
        }
        out.finish().unwrap();
        assert_eq!(host.entities("t").len(), 2_000);
        let batches = host.batches();
        assert!(batches.len() >= 3, "{batches:?}");
        assert!(batches.iter().all(|bytes| *bytes <= BATCH_BYTES + MAX_LINE_BYTES), "{batches:?}");
    }

    #[test]
    fn an_object_that_is_too_long_is_an_error_and_the_others_stay() {
        let host = MemoryHost::new();
        let mut out = Emitter::new(&host);
        out.entity(Entity::new("t", "small")).unwrap();
        let error = out.entity(Entity::new("t", "big").prop("x", "y".repeat(MAX_LINE_BYTES))).unwrap_err();
        assert!(matches!(&error, EmitError::TooLarge(m) if m.contains("`big`")), "{error}");
        out.finish().unwrap();
        assert_eq!(host.entities("t").len(), 1);
    }

    #[test]
    fn a_dropped_emitter_hands_over_what_it_has() {
        let host = MemoryHost::new();
        let mut out = Emitter::new(&host);
        out.relationship(Relationship::new("a", "HAS", "b", "1", "2")).unwrap();
        drop(out);
        assert_eq!(host.relationships("a_has_b").len(), 1);
    }

    #[test]
    fn a_refused_batch_surfaces_and_is_not_sent_again() {
        let host = MemoryHost::new().refuse_emit(EmitError::Limit("objects".into()));
        let mut out = Emitter::new(&host);
        out.entity(Entity::new("t", "k")).unwrap();
        assert!(matches!(out.flush(), Err(EmitError::Limit(_))));
        drop(out);
        assert!(host.logs().is_empty());

        let mut out = Emitter::new(&host);
        out.entity(Entity::new("t", "k")).unwrap();
        drop(out);
        assert_eq!(host.logs().len(), 1, "dropped with a batch that is refused: said in the log");
    }
}
