//! A database of its own for each test, cloned from a migrated template.
//!
//! The server is `DATABASE_URL`'s (whose login has to be a superuser) or a private one in the temporary folder, shared
//! by all test processes of the user and gone with the last of them.

use crate::embedded::{Embedded, EmbeddedOptions, LOGIN};
use crate::error::{Result, StoreError, What};
use crate::migrate;
use crate::pool::{Store, StoreOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::OnceCell;

/// Connections of one test: there are many tests at a time, and one server.
const MAX_CONNECTIONS: u32 = 8;
/// Any number will do that nobody else uses in the maintenance database.
const TEMPLATE_LOCK: i64 = 0x706f_7274;

static SERVER: OnceCell<Server> = OnceCell::const_new();
static COUNTER: AtomicU32 = AtomicU32::new(0);

/// The server of this process, with the name of the template on it.
#[derive(Debug)]
struct Server {
    admin: StoreOptions,
    login: Option<String>,
    template: String,
    /// Keeps it running until the process ends.
    _embedded: Option<Embedded>,
}

impl Server {
    async fn get() -> Result<&'static Self> {
        SERVER.get_or_try_init(Self::start).await
    }

    async fn start() -> Result<Self> {
        let (admin, login, embedded) = match std::env::var("DATABASE_URL") {
            Ok(url) => (StoreOptions::from_url(&url)?, None, None),
            Err(_) => {
                let embedded = Embedded::start_with(EmbeddedOptions { data_dir: data_dir(), durable: false }).await?;
                (embedded.admin(), Some(LOGIN.to_owned()), Some(embedded))
            }
        };
        let admin = admin.database("postgres");
        let template = format!("porthole_template_{}", migrate::fingerprint());
        let server = Self { admin, login, template, _embedded: embedded };
        server.ensure_template().await?;
        Ok(server)
    }

    async fn connect(&self) -> Result<PgConnection> {
        self.admin.connect.connect().await.map_err(StoreError::Connect)
    }

    /// Migrates a template, unless another process did. Drops the templates of other migrations and the databases of
    /// processes that are gone.
    async fn ensure_template(&self) -> Result<()> {
        let what = "make the template database";
        let mut connection = self.connect().await?;
        sqlx::query("SELECT pg_advisory_lock($1)").bind(TEMPLATE_LOCK).execute(&mut connection).await.what(what)?;
        for (name, old) in databases(&mut connection).await? {
            if name.starts_with("porthole_test_") && !owner_lives(&name) {
                drop_database(&mut connection, &name).await?;
            } else if name.starts_with("porthole_template_") && name != self.template && old {
                let sql = format!("ALTER DATABASE {name} WITH IS_TEMPLATE false");
                connection.execute(AssertSqlSafe(sql)).await.what(what)?;
                drop_database(&mut connection, &name).await?;
            }
        }
        let ready: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1 AND datistemplate)")
                .bind(&self.template)
                .fetch_one(&mut connection)
                .await
                .what(what)?;
        if !ready {
            drop_database(&mut connection, &self.template).await?;
            let sql = format!("CREATE DATABASE {}", self.template);
            connection.execute(AssertSqlSafe(sql)).await.what(what)?;
            Store::migrate(&self.admin.clone().database(&self.template), self.login.as_deref()).await?;
            // Last, so that a template that was left half-made isn't one.
            let sql = format!("ALTER DATABASE {} WITH IS_TEMPLATE true ALLOW_CONNECTIONS false", self.template);
            connection.execute(AssertSqlSafe(sql)).await.what(what)?;
        }
        // Closing gives the lock back.
        connection.close().await.what(what)
    }
}

/// One server for each user: a folder in a shared /tmp belongs to who made it.
fn data_dir() -> PathBuf {
    std::env::var_os("PORTHOLE_TEST_DIR").map_or_else(
        || std::env::temp_dir().join(format!("porthole-test-{}", rustix::process::geteuid().as_raw())),
        PathBuf::from,
    )
}

/// The databases that tests made, and whether each is older than a day: a template of other migrations may be in use by
/// another checkout.
async fn databases(connection: &mut PgConnection) -> Result<Vec<(String, bool)>> {
    sqlx::query_as(
        "SELECT datname::text, \
             coalesce((pg_stat_file('base/' || oid || '/PG_VERSION', true)).modification < now() - interval '1 day', \
                 false) \
         FROM pg_database WHERE datname LIKE 'porthole\\_te%'",
    )
    .fetch_all(connection)
    .await
    .what("list the databases")
}

async fn drop_database(connection: &mut PgConnection, name: &str) -> Result<()> {
    let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
    connection.execute(AssertSqlSafe(sql)).await.what("drop a database").map(drop)
}

/// `porthole_test_<process>_<number>`.
fn owner_lives(name: &str) -> bool {
    let pid = name.split('_').nth(2).and_then(|n| n.parse().ok()).and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

/// A database that is dropped with this value.
#[derive(Debug)]
pub struct TestDatabase {
    store: Store,
    server: &'static Server,
    name: String,
}

impl TestDatabase {
    /// Clones the template and connects.
    ///
    /// # Errors
    /// When there is no server, or it fails.
    pub async fn new() -> Result<Self> {
        let server = Server::get().await?;
        let name = format!("porthole_test_{}_{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let mut connection = server.connect().await?;
        drop_database(&mut connection, &name).await?;
        // Copying files beats logging every page of them: 64 shards are a lot of small files.
        let sql = format!("CREATE DATABASE {name} TEMPLATE {} STRATEGY = FILE_COPY", server.template);
        connection.execute(AssertSqlSafe(sql)).await.what("clone the template database")?;
        connection.close().await.what("close the connection")?;
        let store = Store::connect(&Self::options_of(server, &name)).await?;
        Ok(Self { store, server, name })
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// How the application logs in: for a second store, as another process would have.
    #[must_use]
    pub fn options(&self) -> StoreOptions {
        Self::options_of(self.server, &self.name)
    }

    /// A URL of the database, for programs that are told by `DATABASE_URL`. Its login is the application's.
    #[must_use]
    pub fn url(&self) -> String {
        self.options().connect.to_url_lossy().to_string()
    }

    /// A URL of the database whose login is the administrator: for `pg_dump`, which has to see everything.
    #[must_use]
    pub fn admin_url(&self) -> String {
        self.server.admin.clone().database(&self.name).connect.to_url_lossy().to_string()
    }

    /// A connection that row security doesn't bind, for looking behind the scenes.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn admin(&self) -> Result<PgConnection> {
        let options = self.server.admin.clone().database(&self.name);
        let mut connection = options.connect.connect().await.map_err(StoreError::Connect)?;
        connection.execute("SET search_path = porthole, pg_catalog").await.what("set the search path")?;
        Ok(connection)
    }

    /// Runs a statement as the server's superuser: what someone could do who has the server. Gives the rows it changed.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn tamper(&self, sql: &str) -> Result<u64> {
        let mut admin = self.admin().await?;
        Ok(admin.execute(AssertSqlSafe(sql.to_owned())).await.what("tamper")?.rows_affected())
    }

    /// Everything the database holds, as one text: for tests that look for what must not be there. Bytes are in
    /// hexadecimal, as psql shows them.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn dump(&self) -> Result<String> {
        let what = "dump the database";
        let mut connection = self.admin().await?;
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables \
             WHERE schemaname IN ('porthole', 'staging') ORDER BY 1",
        )
        .fetch_all(&mut connection)
        .await
        .what(what)?;
        let mut dump = String::new();
        for table in tables {
            let sql = format!("SELECT coalesce(string_agg(t::text, E'\\n'), '') FROM {table} t");
            let rows: String = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await.what(what)?;
            dump.push_str(&format!("{table}\n{rows}\n"));
        }
        Ok(dump)
    }

    fn options_of(server: &Server, name: &str) -> StoreOptions {
        let mut options = server.admin.clone().database(name);
        options.max_connections = MAX_CONNECTIONS;
        match &server.login {
            Some(login) => options.username(login),
            None => options,
        }
    }
}

impl Drop for TestDatabase {
    /// On a thread of its own, because dropping can't wait in an async test. What fails here is dropped by the next
    /// process.
    fn drop(&mut self) {
        let (admin, name) = (self.server.admin.clone(), self.name.clone());
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut connection = admin.connect.connect().await.map_err(std::io::Error::other)?;
                drop_database(&mut connection, &name).await.map_err(std::io::Error::other)
            })
        });
        if let Ok(Err(error)) = dropping.join() {
            tracing::debug!(%error, "a test database stays for now");
        }
    }
}
