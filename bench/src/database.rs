//! A private Postgres of a figure's own, durable as an operator's is, with the store on it and a plain connection beside
//! it for the yardsticks.

use crate::bench::Bench;
use crate::measure;
use anyhow::{Context as _, Result};
use porthole_store::Store;
use porthole_store::embedded::{Embedded, EmbeddedOptions};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Executor as _, PgConnection};
use std::str::FromStr as _;

/// See the module's documentation.
pub(crate) struct Database {
    /// The server, and this process's part in keeping it running.
    pub(crate) embedded: Embedded,
    /// The store on it, migrated.
    pub(crate) store: Store,
    /// The server's main process.
    postmaster: u32,
}

impl Database {
    /// Makes and starts one.
    ///
    /// # Errors
    /// When there are no server programs, or they fail.
    pub(crate) async fn start(bench: &Bench) -> Result<Self> {
        Self::start_in(bench, "database").await
    }

    /// The same, in another folder: for two at a time.
    ///
    /// # Errors
    /// As [`Database::start`].
    pub(crate) async fn start_in(bench: &Bench, folder: &str) -> Result<Self> {
        let options = EmbeddedOptions { data_dir: bench.folder(folder)?, durable: true };
        let pid_file = options.data_dir.join("postgres/data/postmaster.pid");
        let embedded = Embedded::start_with(options).await?;
        let store = embedded.store().await?;
        let pid = std::fs::read_to_string(&pid_file).context("read the server's pid file")?;
        let postmaster = pid.lines().next().and_then(|l| l.trim().parse().ok()).context("the server's pid")?;
        Ok(Self { embedded, store, postmaster })
    }

    /// A connection that row security doesn't bind: for yardsticks and for looking behind the scenes.
    ///
    /// # Errors
    /// When the server refuses.
    pub(crate) async fn admin(&self) -> Result<PgConnection> {
        let url = self.embedded.url().replacen("//porthole@", "//porthole_admin@", 1);
        let mut admin = PgConnectOptions::from_str(&url)?.connect().await?;
        admin.execute("SET search_path = porthole, public, pg_catalog").await?;
        Ok(admin)
    }

    /// Processor time of the whole server so far, seconds: the main process, its children, and those that have ended.
    ///
    /// # Errors
    /// When it can't be read.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        measure::tree_cpu_seconds(self.postmaster)
    }

    /// Stops it.
    ///
    /// # Errors
    /// When the server doesn't end in time.
    pub(crate) async fn stop(self) -> Result<()> {
        self.store.close().await;
        Ok(self.embedded.stop().await?)
    }
}
