//! A private Postgres of a figure's own, durable as an operator's is, with the store on it and a plain connection beside
//! it for the yardsticks.

use crate::bench::Bench;
use anyhow::Result;
use porthole_store::Store;
use porthole_store::embedded::{Embedded, EmbeddedOptions};

/// See the module's documentation.
pub(crate) struct Database {
    /// The server, and this process's part in keeping it running.
    pub(crate) embedded: Embedded,
    /// The store on it, migrated.
    pub(crate) store: Store,
}

impl Database {
    /// Makes and starts one.
    ///
    /// # Errors
    /// When there are no server programs, or they fail.
    pub(crate) async fn start(bench: &Bench) -> Result<Self> {
        let options = EmbeddedOptions { data_dir: bench.folder("database")?, durable: true };
        let embedded = Embedded::start_with(options).await?;
        let store = embedded.store().await?;
        Ok(Self { embedded, store })
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
