//! Where new and changed objects go: into the run's staging table, or, in a replay, nowhere or into memory.

use crate::collector::CollectError;
use crate::replay::objects::Objects;
use porthole_model::object::{KeyHash, Row};
use porthole_store::StoreError;
use porthole_store::staging::{ObjectKind, Staged, StagingWriter};

/// See the module's documentation.
pub enum Sink {
    /// The staging table of a claimed run.
    Staging(StagingWriter),
    /// Nowhere: only the digest and the counts matter.
    Nowhere,
    /// Kept, to be compared with those of another version.
    Objects(Objects),
}

impl Sink {
    /// Takes an object that the index didn't have.
    ///
    /// # Errors
    /// When the database or the file fails.
    pub async fn created(&mut self, slice: i32, row: &Row) -> Result<(), CollectError> {
        match self {
            Self::Staging(staging) => Ok(staging.created(slice, row).await?),
            Self::Nowhere => Ok(()),
            Self::Objects(objects) => Ok(objects.take(row)?),
        }
    }

    /// Takes an object that the index had with another content, or for another slice.
    ///
    /// # Errors
    /// As [`Sink::created`].
    pub async fn updated(&mut self, slice: i32, row: &Row) -> Result<(), CollectError> {
        match self {
            Self::Staging(staging) => Ok(staging.updated(slice, row).await?),
            // A replay's index knows nothing from before, so nothing is ever changed.
            Self::Nowhere | Self::Objects(_) => Ok(()),
        }
    }

    /// Takes an object in the place of one that this run emitted before; `known` says that the index had its key.
    ///
    /// # Errors
    /// As [`Sink::created`].
    pub async fn replaced(&mut self, known: bool, slice: i32, row: &Row) -> Result<(), CollectError> {
        match self {
            Self::Staging(staging) => Ok(staging.replaced(known, slice, row).await?),
            Self::Nowhere | Self::Objects(_) if known => self.updated(slice, row).await,
            Self::Nowhere | Self::Objects(_) => self.created(slice, row).await,
        }
    }

    /// Takes the deletion of an object that its slice no longer contains.
    ///
    /// # Errors
    /// As [`Sink::created`].
    pub async fn gone(&mut self, slice: i32, kind: ObjectKind, key: KeyHash) -> Result<(), CollectError> {
        match self {
            Self::Staging(staging) => Ok(staging.gone(slice, kind, key).await?),
            Self::Nowhere | Self::Objects(_) => Ok(()),
        }
    }

    /// Hands over what still waits, and says how much was staged.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn finish(self) -> Result<Staged, StoreError> {
        match self {
            Self::Staging(staging) => staging.finish().await,
            Self::Nowhere | Self::Objects(_) => Ok(Staged::default()),
        }
    }
}
