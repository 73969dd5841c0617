//! The schema: embedded migrations, applied by an administrator's login, checked by everyone else.

use crate::error::{Result, StoreError, What};
use crate::pool::{Store, StoreOptions};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, Row, SqlStr};
use std::borrow::Cow;

/// The migrations of this program, in order; a test compares the list with the folder.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "roles", include_str!("../../../migrations/0001_roles.sql")),
    (2, "platform", include_str!("../../../migrations/0002_platform.sql")),
    (3, "instances", include_str!("../../../migrations/0003_instances.sql")),
    (4, "runs", include_str!("../../../migrations/0004_runs.sql")),
    (5, "graph", include_str!("../../../migrations/0005_graph.sql")),
    (6, "audit", include_str!("../../../migrations/0006_audit.sql")),
    (7, "trust", include_str!("../../../migrations/0007_trust.sql")),
    (8, "keys", include_str!("../../../migrations/0008_keys.sql")),
    (9, "stored_replies", include_str!("../../../migrations/0009_stored_replies.sql")),
    (10, "calls", include_str!("../../../migrations/0010_calls.sql")),
    (11, "statistics", include_str!("../../../migrations/0011_statistics.sql")),
    (12, "call_batches", include_str!("../../../migrations/0012_call_batches.sql")),
    (13, "mapped", include_str!("../../../migrations/0013_mapped.sql")),
    (14, "external_ids", include_str!("../../../migrations/0014_external_ids.sql")),
];

fn migrator() -> Migrator {
    let migration = |(version, name, sql): &(i64, &'static str, &'static str)| {
        Migration::new(*version, Cow::Borrowed(*name), MigrationType::Simple, SqlStr::from_static(sql), false)
    };
    let mut migrator = Migrator::with_migrations(MIGRATIONS.iter().map(migration).collect());
    migrator.create_schema("porthole");
    // The default name is not in our schema, so two programs in one database would meet in it.
    migrator.dangerous_set_table_name("porthole.applied_migrations");
    migrator
}

/// The schema version this program needs.
pub(crate) fn newest_version() -> i64 {
    migrator().iter().map(|m| m.version).max().unwrap_or(0)
}

/// Identifies the migrations by their content, for caches of migrated databases.
#[cfg(feature = "testing")]
pub(crate) fn fingerprint() -> String {
    let mut all = Vec::new();
    for migration in migrator().iter() {
        all.extend_from_slice(&migration.checksum);
    }
    format!("{:016x}", crate::embedded::paths::fnv1a(&all))
}

impl Store {
    /// Applies the migrations that are missing. `admin` has to be a superuser, or own the database and be allowed to
    /// create roles. `login`, if given, becomes a member of `porthole_app`, so that it can [`Store::connect`].
    ///
    /// # Errors
    /// When a migration fails; what it did is undone.
    pub async fn migrate(admin: &StoreOptions, login: Option<&str>) -> Result<()> {
        let mut connection = admin.connect.connect().await.map_err(StoreError::Connect)?;
        migrator().run_direct(None, &mut connection, false).await.map_err(StoreError::Migrate)?;
        if let Some(login) = login {
            grant_login(&mut connection, login).await?;
        }
        connection.close().await.what("close the connection")
    }
}

async fn grant_login(connection: &mut PgConnection, login: &str) -> Result<()> {
    let what = "let the login act as the application";
    let member: bool = sqlx::query_scalar("SELECT pg_has_role($1::name, 'porthole_app', 'MEMBER')")
        .bind(login)
        .fetch_one(&mut *connection)
        .await
        .what(what)?;
    if member {
        return Ok(());
    }
    let quoted: String =
        sqlx::query_scalar("SELECT quote_ident($1)").bind(login).fetch_one(&mut *connection).await.what(what)?;
    // Roles belong to the whole server: two programs that start at the same moment may both grant, and either is right.
    match connection.execute(AssertSqlSafe(format!("GRANT porthole_app TO {quoted}"))).await {
        Ok(_) => Ok(()),
        Err(e) if lost_a_race(&e) => Ok(()),
        Err(source) => Err(StoreError::Query { what, source }),
    }
}

/// Someone else did the same just now: unique_violation, or internal_error ("tuple concurrently updated").
fn lost_a_race(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(code.as_deref(), Some("23505" | "XX000"))
}

/// Refuses a schema that is older or newer than this program.
pub(crate) async fn check_version(connection: &mut PgConnection) -> Result<()> {
    let row = sqlx::query("SELECT coalesce(max(version), 0) AS version FROM applied_migrations WHERE success")
        .fetch_one(connection)
        .await;
    let needed = newest_version();
    let found = match row {
        Ok(row) => row.get("version"),
        // undefined_table: the roles are there (they belong to the server), the schema isn't.
        Err(e) if e.as_database_error().and_then(|d| d.code()).as_deref() == Some("42P01") => 0,
        Err(source) => return Err(StoreError::Query { what: "read the schema version", source }),
    };
    if found == needed { Ok(()) } else { Err(StoreError::Schema { found, needed }) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn every_file_in_the_folder_is_a_migration() {
        let names = std::fs::read_dir("../../migrations").unwrap().map(|f| f.unwrap().file_name());
        let mut files: Vec<String> = names.map(|n| n.into_string().unwrap()).collect();
        files.sort();
        let listed: Vec<String> = MIGRATIONS.iter().map(|(n, name, _)| format!("{n:04}_{name}.sql")).collect();
        assert_eq!(files, listed);
        for (_, name, sql) in MIGRATIONS {
            let file = files.iter().find(|f| f.contains(name)).unwrap();
            assert_eq!(std::fs::read_to_string(format!("../../migrations/{file}")).unwrap(), *sql, "{file}");
        }
    }
}
