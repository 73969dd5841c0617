//! The pool, and what holds for each of its connections: it is `porthole_app`, nobody else.

use crate::error::{Result, StoreError, What};
use crate::migrate;
use crate::tx::{PlatformTx, TenantTx};
use futures_util::FutureExt;
use porthole_model::id::TenantId;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor, PgPool, Row};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Connections of one process. A run needs one for moments only: while it claims, flushes, reconciles.
const DEFAULT_MAX_CONNECTIONS: u32 = 16;
/// How long someone waits for a free connection before that is an error.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection that was used so recently isn't asked whether it still lives: calls are recorded many times a second, and
/// each time the question would cost as much as the statement.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// How to reach a database.
#[derive(Clone)]
pub struct StoreOptions {
    pub(crate) connect: PgConnectOptions,
    /// The most connections of this process.
    pub max_connections: u32,
}

impl StoreOptions {
    /// From a URL such as `postgres://user:password@host/database?sslmode=verify-full`.
    ///
    /// # Errors
    /// When the text is no such URL.
    pub fn from_url(url: &str) -> Result<Self> {
        let connect = PgConnectOptions::from_str(url).map_err(StoreError::Url)?;
        Ok(Self::new(connect.application_name("porthole")))
    }

    pub(crate) fn new(connect: PgConnectOptions) -> Self {
        Self { connect, max_connections: DEFAULT_MAX_CONNECTIONS }
    }

    /// Another database of the same server.
    #[must_use]
    pub fn database(mut self, name: &str) -> Self {
        self.connect = self.connect.database(name);
        self
    }

    /// Another login of the same server.
    #[must_use]
    pub fn username(mut self, name: &str) -> Self {
        self.connect = self.connect.username(name);
        self
    }
}

impl fmt::Debug for StoreOptions {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions")
            .field("host", &self.connect.get_socket().map_or(self.connect.get_host(), |s| s.to_str().unwrap_or("?")))
            .field("port", &self.connect.get_port())
            .field("username", &self.connect.get_username())
            .field("database", &self.connect.get_database())
            .finish_non_exhaustive()
    }
}

/// The database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) pool: PgPool,
}

impl Store {
    /// Connects, and checks that the session can't do more than the application may and that the schema is this
    /// program's.
    ///
    /// # Errors
    /// When the server can't be reached, the login isn't a member of `porthole_app`, or `porthole migrate` has to run
    /// first.
    pub async fn connect(options: &StoreOptions) -> Result<Self> {
        // First one connection on its own: the pool would try again for half a minute and then say that it timed out.
        let mut connection = options.connect.connect().await.map_err(StoreError::Connect)?;
        become_application(&mut connection).await.map_err(explain_role)?;
        check_role(&mut connection).await?;
        migrate::check_version(&mut connection).await?;
        connection.close().await.what("close the connection")?;
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
            .before_acquire(|connection, about| {
                async move {
                    if about.idle_for > TRUSTED_IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                }
                .boxed()
            })
            .after_connect(|connection, _| become_application(connection).boxed())
            .connect_lazy_with(options.connect.clone());
        Ok(Self { pool })
    }

    /// Opens the door to what belongs to no tenant.
    ///
    /// # Errors
    /// When there is no connection.
    pub async fn begin(&self) -> Result<PlatformTx> {
        PlatformTx::begin(&self.pool).await
    }

    /// Opens the door to one tenant's data.
    ///
    /// # Errors
    /// When there is no such tenant, or no connection.
    pub async fn tenant(&self, tenant: TenantId) -> Result<TenantTx> {
        self.begin().await?.enter(tenant).await
    }

    /// Closes all connections, after what is going on on them.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Row security binds neither superusers nor owners nor BYPASSRLS: a session that is one of them may not be used.
async fn check_role(connection: &mut PgConnection) -> Result<()> {
    let row = sqlx::query(
        "SELECT current_user::text AS name, r.rolsuper, r.rolbypassrls, \
                pg_has_role(current_user, 'porthole_owner', 'MEMBER') AS owner \
         FROM pg_roles r WHERE r.rolname = current_user",
    )
    .fetch_one(connection)
    .await
    .what("check the role of the session")?;
    accept_role(row.get("name"), row.get("rolsuper"), row.get("rolbypassrls"), row.get("owner"))
}

fn accept_role(name: &str, superuser: bool, bypass: bool, owner: bool) -> Result<()> {
    if name == "porthole_app" && !superuser && !bypass && !owner {
        return Ok(());
    }
    Err(StoreError::Role(format!(
        "it acts as `{name}` (superuser {superuser}, bypassrls {bypass}, owner of the tables {owner}), and must act as \
         `porthole_app` without any of these"
    )))
}

/// What every connection starts with.
async fn become_application(connection: &mut PgConnection) -> sqlx::Result<()> {
    // A custom plan for each execution: a generic one locks all 64 shards before it finds out that it needs one.
    connection
        .execute(
            "SET ROLE porthole_app; SET search_path = porthole, pg_temp; SET plan_cache_mode = force_custom_plan; \
             SET idle_in_transaction_session_timeout = '10min'",
        )
        .await
        .map(drop)
}

/// The two commonest first mistakes get an answer that helps.
fn explain_role(error: sqlx::Error) -> StoreError {
    match error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() {
        // undefined_object, invalid_parameter_value: SET ROLE to a role that isn't there.
        Some("42704" | "22023") => StoreError::Schema { found: 0, needed: migrate::newest_version() },
        Some("42501") => StoreError::Role(
            "its login is no member of `porthole_app`: an administrator runs `GRANT porthole_app TO <login>`"
                .to_owned(),
        ),
        _ => StoreError::Query { what: "act as `porthole_app`", source: error },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_that_row_security_does_not_bind_is_refused() {
        assert!(accept_role("porthole_app", false, false, false).is_ok());
        for (name, superuser, bypass, owner) in [
            ("postgres", false, false, false),
            ("porthole_app", true, false, false),
            ("porthole_app", false, true, false),
            ("porthole_app", false, false, true),
        ] {
            assert!(accept_role(name, superuser, bypass, owner).is_err());
        }
    }

    #[test]
    fn options_print_without_the_password() {
        let options = StoreOptions::from_url("postgres://ada:hunter2@db.example/porthole").map(|o| format!("{o:?}"));
        assert!(options.is_ok_and(|text| text.contains("db.example") && !text.contains("hunter2")));
    }
}
