//! What can go wrong with the database, and whether it is worth trying again.

use porthole_model::id::RunId;
use porthole_model::run::RunState;
use std::path::PathBuf;

/// The result of everything in this crate.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// What can go wrong with the database. `Display` says this level only; the chain has the rest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The URL is none.
    #[error("the database URL can't be read")]
    Url(#[source] sqlx::Error),
    /// No connection.
    #[error("can't connect to the database")]
    Connect(#[source] sqlx::Error),
    /// A statement failed.
    #[error("can't {what}")]
    Query {
        /// What it was to do: `claim a run`.
        what: &'static str,
        /// What the server said.
        #[source]
        source: sqlx::Error,
    },
    /// There is no such thing, or it is someone else's: the same answer to both.
    #[error("no {kind} `{id}`")]
    NotFound {
        /// `instance`, `run`, …
        kind: &'static str,
        /// What was looked for.
        id: String,
    },
    /// The name is taken.
    #[error("{kind} `{id}` exists already")]
    Exists {
        /// `instance`, `tenant`, …
        kind: &'static str,
        /// The name.
        id: String,
    },
    /// There are as many as there may be.
    #[error("the tenant has {limit} {kind}, which is the most; remove one first")]
    TooMany {
        /// `mapping rules`, …
        kind: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// The key has another holder already.
    #[error("key {key} is {holder}'s already; a key has one holder: make another with `porthole module keygen`")]
    KeyTaken {
        /// The key's id.
        key: String,
        /// Whose it is.
        holder: String,
    },
    /// Someone changed it in the meantime.
    #[error("{kind} `{id}` was changed by someone else in the meantime; try again")]
    Changed {
        /// `credential`, …
        kind: &'static str,
        /// Which.
        id: String,
    },
    /// Something else still needs it.
    #[error("instance `{0}` is disabled")]
    Disabled(String),
    /// The claim is no longer current: its lease ran out, or the run is over. Its worker has to stop.
    #[error("run {0} is no longer this worker's: its lease ran out or it was ended")]
    StaleClaim(RunId),
    /// The run is in the wrong state for this.
    #[error("run {run} is {state}, which is not {needed}")]
    State {
        /// The run.
        run: RunId,
        /// How it is.
        state: RunState,
        /// How it would have to be.
        needed: &'static str,
    },
    /// The graph was changed after the run compared with it.
    #[error("the graph of the instance is at generation {found}, the run compared with {compared}; run it again")]
    Generation {
        /// What the run compared with.
        compared: i64,
        /// What is there.
        found: i64,
    },
    /// The staging table lost rows; it isn't written to the log, so a crash of the server empties it.
    #[error("the staging table has {found} rows of {staged}: the database server was restarted; run it again")]
    StagingLost {
        /// Rows that were written.
        staged: u64,
        /// Rows that are there.
        found: u64,
    },
    /// An object was staged as new that the graph has, or twice: what the run compared with wasn't the graph.
    #[error(
        "an object that was staged as new is in the graph already or was staged twice; nothing was applied: run it again"
    )]
    NotNew(#[source] sqlx::Error),
    /// A stored value is not what this program stores.
    #[error("column `{column}` holds what this program can't read: {message}")]
    Corrupt {
        /// The column.
        column: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// What the server sent in COPY isn't what was asked for.
    #[error("unexpected COPY data from the server: {0}")]
    Copy(&'static str),
    /// The session can do more than the application may.
    #[error("the database session may not be used: {0}")]
    Role(String),
    /// The schema is of another version.
    #[error("the database schema is at version {found}, this program needs {needed}: run `porthole migrate`")]
    Schema {
        /// What is there; 0 for nothing.
        found: i64,
        /// What is needed.
        needed: i64,
    },
    /// A migration failed.
    #[error("can't migrate the database")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// No Postgres server on this machine.
    #[error(
        "no Postgres server ({needed}) found; looked in {looked_in}. Install it, or set DATABASE_URL or PORTHOLE_PG_BIN"
    )]
    NoServer {
        /// Which version is needed.
        needed: String,
        /// The folders, comma-separated.
        looked_in: String,
    },
    /// The private server can't be used as it is.
    #[error("the private Postgres in {dir}: {message}")]
    Server {
        /// Its folder.
        dir: PathBuf,
        /// What is wrong and what to do.
        message: String,
    },
    /// A file operation for the private server.
    #[error("{what} {path}")]
    File {
        /// `create`, `read`, …
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

impl StoreError {
    /// A thing that isn't there.
    pub(crate) fn not_found(kind: &'static str, id: impl ToString) -> Self {
        Self::NotFound { kind, id: id.to_string() }
    }

    /// True for "there is no such thing".
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// True when the claim is no longer this worker's.
    #[must_use]
    pub fn is_stale_claim(&self) -> bool {
        matches!(self, Self::StaleClaim(_))
    }
}

/// Says what a statement was for.
pub(crate) trait What<T> {
    /// Wraps a failure of sqlx.
    fn what(self, what: &'static str) -> Result<T>;
}

impl<T> What<T> for sqlx::Result<T> {
    fn what(self, what: &'static str) -> Result<T> {
        self.map_err(|source| StoreError::Query { what, source })
    }
}

/// The two failures of a unique key and the rest.
pub(crate) fn is_unique_violation(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}
