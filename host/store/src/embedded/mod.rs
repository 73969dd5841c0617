//! The private Postgres: a server of our own for one machine, on a unix socket that only its owner can reach.
//!
//! **Who keeps it running.** Whoever uses the server holds a pipe open. A small shell process starts the server, waits
//! for the end of that pipe, and then shuts the server down. So the server runs as long as anyone uses it and not a
//! moment longer: the kernel closes the pipe of a process that ends, however it ends, `kill -9` included. A second
//! process that finds the server running joins it by opening the pipe too; the last one out turns off the light.
//!
//! Two locks keep the door: `start.lock` is held while someone starts or stops, `users.lock` is shared by all users, so
//! that [`Embedded::stop`] knows whether it is the last and has to wait for the shutdown.
//!
//! Nobody listens on a network, there is no password, and the folder's mode (0700) is the authentication. As root, the
//! server runs as `postgres` or `nobody`, because it refuses to run as root.

mod account;
mod cluster;
pub(crate) mod paths;
mod supervisor;

use crate::error::{Result, StoreError, What};
use crate::pool::{Store, StoreOptions};
use cluster::{Cluster, Running};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The superuser of a private server: migrates, and nothing else.
pub(crate) const ADMIN: &str = "porthole_admin";
/// The login of everything else, a member of `porthole_app`.
pub(crate) const LOGIN: &str = "porthole";
/// The database.
const DATABASE: &str = "porthole";

/// How often a server that went while we joined it is started anew.
const START_ATTEMPTS: usize = 3;
const START_PAUSE: Duration = Duration::from_millis(200);

/// How to run a private server.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// The data folder; the server's own is `postgres` in it.
    pub data_dir: PathBuf,
    /// Survive a crash of the machine. Only tests can do without.
    pub durable: bool,
}

/// A running private server, and this process's part in keeping it running.
#[derive(Debug)]
pub struct Embedded {
    cluster: Cluster,
    running: Running,
}

impl Embedded {
    /// Starts the server of a data folder, or joins it when it runs already. Makes it if there is none.
    ///
    /// # Errors
    /// `NoServer` when this machine has no server binaries, `Server` when the folder can't be used, with what to do.
    pub async fn start(data_dir: &Path) -> Result<Self> {
        Self::start_with(EmbeddedOptions { data_dir: data_dir.to_owned(), durable: true }).await
    }

    /// The same, with options.
    ///
    /// # Errors
    /// As [`Embedded::start`].
    pub async fn start_with(options: EmbeddedOptions) -> Result<Self> {
        for _ in 1..START_ATTEMPTS {
            match Self::start_once(options.clone()).await {
                // It was there and went: its last user was killed at the moment at which we came.
                Err(StoreError::Connect(_)) => tokio::time::sleep(START_PAUSE).await,
                other => return other,
            }
        }
        Self::start_once(options).await
    }

    async fn start_once(options: EmbeddedOptions) -> Result<Self> {
        let (cluster, running, guard) = blocking(move || {
            let cluster = Cluster::open(&options)?;
            let guard = cluster.lock_start()?;
            let running = cluster.start()?;
            Ok((cluster, running, guard))
        })
        .await?;
        let embedded = Self { cluster, running };
        embedded.ensure_database().await?;
        drop(guard);
        Ok(embedded)
    }

    /// Joins the server of a data folder if it runs; starts nothing.
    ///
    /// # Errors
    /// When the folder can't be used.
    pub async fn attach(data_dir: &Path) -> Result<Option<Self>> {
        let options = EmbeddedOptions { data_dir: data_dir.to_owned(), durable: true };
        blocking(move || {
            if !Cluster::exists(&options) {
                return Ok(None);
            }
            let cluster = Cluster::open(&options)?;
            let _guard = cluster.lock_start()?;
            Ok(cluster.join()?.map(|running| Self { cluster, running }))
        })
        .await
    }

    /// How the application logs in.
    #[must_use]
    pub fn options(&self) -> StoreOptions {
        StoreOptions::new(self.connect_options().username(LOGIN).database(DATABASE))
    }

    /// How the administrator logs in, for [`Store::migrate`].
    #[must_use]
    pub fn admin(&self) -> StoreOptions {
        StoreOptions::new(self.connect_options().username(ADMIN).database(DATABASE))
    }

    /// A URL for other programs, such as psql.
    #[must_use]
    pub fn url(&self) -> String {
        let socket = self.cluster.socket_dir().to_string_lossy().replace('/', "%2F");
        format!("postgres://{LOGIN}@{socket}/{DATABASE}")
    }

    /// The server's programs (`psql`, `pg_dump`, as far as they are installed).
    #[must_use]
    pub fn bin_dir(&self) -> &Path {
        self.cluster.bin_dir()
    }

    /// Migrates and connects.
    ///
    /// # Errors
    /// When either fails.
    pub async fn store(&self) -> Result<Store> {
        Store::migrate(&self.admin(), Some(LOGIN)).await?;
        Store::connect(&self.options()).await
    }

    /// Leaves the server. The last one to leave waits for it to shut down. Close the [`Store`] first.
    ///
    /// # Errors
    /// When the server doesn't end in time.
    pub async fn stop(self) -> Result<()> {
        blocking(move || {
            let _guard = self.cluster.lock_start()?;
            self.cluster.leave(self.running)
        })
        .await
    }

    fn connect_options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(self.cluster.socket_dir())
            .port(paths::PORT)
            .application_name("porthole")
    }

    /// Login and database, if this is the first time.
    async fn ensure_database(&self) -> Result<()> {
        let mut connection =
            self.connect_options().username(ADMIN).database("postgres").connect().await.map_err(StoreError::Connect)?;
        let what = "make the database";
        let exists = "SELECT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'porthole')";
        ensure(&mut connection, exists, &format!("CREATE ROLE {LOGIN} LOGIN")).await.what(what)?;
        let exists = "SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = 'porthole')";
        ensure(&mut connection, exists, &format!("CREATE DATABASE {DATABASE}")).await.what(what)?;
        connection.close().await.what("close the connection")
    }
}

async fn ensure(connection: &mut PgConnection, exists: &'static str, make: &str) -> sqlx::Result<()> {
    if !sqlx::query_scalar::<_, bool>(exists).fetch_one(&mut *connection).await? {
        connection.execute(AssertSqlSafe(make)).await?;
    }
    Ok(())
}

/// Files, processes and waiting, away from the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}
