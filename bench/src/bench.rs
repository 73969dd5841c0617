//! What a figure gets, and what a figure is.

use crate::driver::Size;
use crate::row::Row;
use anyhow::{Context as _, Result};
use futures_util::future::BoxFuture;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// One thing that is measured: a file in [`crate::figures`].
pub(crate) struct Figure {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// What it measures, for a person.
    pub(crate) about: &'static str,
    /// When it is ended, whatever it does.
    pub(crate) limit: Duration,
    /// Measures.
    pub(crate) run: fn(Bench) -> BoxFuture<'static, Result<Vec<Row>>>,
}

/// Where a figure works.
#[derive(Debug, Clone)]
pub(crate) struct Bench {
    /// The folder of the host's programs, as built for release.
    pub(crate) bin: PathBuf,
    /// The folder of the built guests.
    pub(crate) guests: PathBuf,
    /// A folder of its own, gone afterwards. Anyone may enter it: the private Postgres is another user when root works.
    pub(crate) work: PathBuf,
    /// A tenth of the size.
    pub(crate) quick: bool,
    /// The whole size even where it takes longer than the bench has.
    pub(crate) full: bool,
}

impl Bench {
    /// With a work folder in this one, which goes when the first value is dropped.
    ///
    /// # Errors
    /// When the folder can't be made.
    pub(crate) fn in_folder(parent: &Path, guests: &Path, size: Size) -> Result<(TempDir, Self)> {
        let folder = tempfile::Builder::new().prefix("porthole-bench.").tempdir_in(parent)?;
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
        let program = std::env::current_exe()?;
        let bin = program.parent().context("a program without a folder")?.to_owned();
        let Size { quick, full } = size;
        let bench = Self { bin, guests: guests.to_owned(), work: folder.path().to_owned(), quick, full };
        Ok((folder, bench))
    }

    /// A size, or a tenth of it.
    pub(crate) fn size(&self, full: usize) -> usize {
        if self.quick { (full / 10).max(1) } else { full }
    }

    /// One of the host's programs.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// The core module of a built guest.
    pub(crate) fn guest(&self, name: &str) -> PathBuf {
        self.guests.join(format!("porthole_{name}.wasm"))
    }

    /// A folder in the work folder, made.
    ///
    /// # Errors
    /// When it can't be made.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.work.join(name);
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }
}

/// The repository: manifests of guests are read from there.
pub(crate) fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
