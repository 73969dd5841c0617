//! Row security holds on its own, behind the predicates of the statements.

use crate::world::{World, ctx, found, name, thing};
use porthole_store::{Store, StoreError, StoreOptions, instances, runs, tenants};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

/// Tables of the schema that hold no tenant's data and so have no row security, with the reason.
const WITHOUT_ROW_SECURITY: &[(&str, &str)] = &[
    ("applied_migrations", "which migrations were applied"),
    ("audit_queue", "which logs have pending records; a sequencer has to find them before it has a tenant"),
    ("module_approvals", "what reviewers signed"),
    ("module_signatures", "what publishers signed"),
    ("module_yanks", "what was taken back"),
    ("modules", "what publishers published"),
    ("operator_config", "digests of the operator's configuration"),
    ("platform_audit_checkpoints", "the platform's own audit log"),
    ("platform_audit_heads", "the platform's own audit log"),
    ("platform_audit_leaves", "the platform's own audit log"),
    ("platform_audit_nodes", "the platform's own audit log"),
    ("platform_audit_pending", "the platform's own audit log"),
    ("publisher_people", "who can't review what"),
    ("publishers", "who may publish"),
    ("readers", "which login reads which tenant; nobody but the owner may"),
    ("reviewers", "who may approve"),
    ("run_queue", "ids of runs that aren't over; a worker has to find them before it has a tenant"),
    ("signing_key_ends", "which public keys count no longer"),
    ("signing_keys", "public keys"),
    ("tenants", "which tenants there are and where they live"),
];

/// Acts as the application on a connection that isn't the store's.
async fn as_application(world: &World, tenant: &str) -> PgConnection {
    let mut connection = world.db.admin().await.unwrap();
    connection.execute("SET ROLE porthole_app").await.unwrap();
    sqlx::query("SELECT set_config('porthole.tenant', $1, false)").bind(tenant).execute(&mut connection).await.unwrap();
    connection
}

async fn tables(connection: &mut PgConnection, filter: &str) -> Vec<String> {
    let sql = format!(
        "SELECT c.relname::text FROM pg_class c WHERE c.relnamespace = 'porthole'::regnamespace \
         AND c.relkind IN ('r', 'p') AND ({filter}) ORDER BY 1"
    );
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(connection).await.unwrap()
}

#[tokio::test]
async fn tables_without_row_security_are_the_ones_on_the_list() {
    let world = World::new().await;
    let mut admin = world.db.admin().await.unwrap();
    let listed: Vec<&str> = WITHOUT_ROW_SECURITY.iter().map(|(table, _)| *table).collect();
    assert_eq!(tables(&mut admin, "NOT (c.relrowsecurity AND c.relforcerowsecurity)").await, listed);
}

#[tokio::test]
async fn every_tenant_table_has_its_policy_and_its_tenant_first_in_every_key() {
    let world = World::new().await;
    let mut admin = world.db.admin().await.unwrap();
    let tenant_tables = tables(&mut admin, "c.relrowsecurity AND NOT c.relispartition").await;
    assert_eq!(tenant_tables.len(), 22, "{tenant_tables:?}");
    for table in tenant_tables {
        let policies: Vec<(String, String, Vec<String>, String)> = sqlx::query_as(
            "SELECT policyname::text, cmd::text, ARRAY(SELECT unnest(roles)::text ORDER BY 1), qual FROM pg_policies \
             WHERE schemaname = 'porthole' AND tablename = $1 ORDER BY 1 DESC",
        )
        .bind(&table)
        .fetch_all(&mut admin)
        .await
        .unwrap();
        let (name, command, roles, condition) = &policies[0];
        assert_eq!((name.as_str(), command.as_str()), ("tenant", "ALL"), "{table}");
        assert_eq!(roles, &["porthole_app", "porthole_owner"], "{table}");
        assert!(condition.contains("porthole.tenant"), "{table}");
        // Reading a log is an act that is logged, and SQL would pass that by.
        let secret =
            ["credentials", "stored_replies", "tenant_keys"].contains(&table.as_str()) || table.starts_with("audit_");
        assert_eq!(policies.len(), if secret { 1 } else { 2 }, "{table}");
        if let Some((name, command, roles, condition)) = policies.get(1) {
            assert_eq!((name.as_str(), command.as_str()), ("reader", "SELECT"), "{table}");
            assert_eq!(roles, &["porthole_reader"], "{table}");
            assert!(condition.contains("reader_tenant") && !condition.contains("porthole.tenant"), "{table}");
        }
        let first_columns: Vec<String> = sqlx::query_scalar(
            "SELECT a.attname::text FROM pg_index x \
             JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[0] \
             WHERE x.indrelid = ('porthole.' || $1)::regclass",
        )
        .bind(&table)
        .fetch_all(&mut admin)
        .await
        .unwrap();
        assert!(
            !first_columns.is_empty() && first_columns.iter().all(|c| c == "tenant_id"),
            "{table} {first_columns:?}"
        );
    }
}

#[tokio::test]
async fn a_shard_can_not_be_reached_around_its_parent() {
    let world = World::new().await;
    world.collect(&[found("things", vec![thing("a", 1)])]).await;
    let mut admin = world.db.admin().await.unwrap();
    assert_eq!(tables(&mut admin, "c.relispartition").await.len(), 4 * 64);
    let open = "c.relispartition AND (c.relacl IS NOT NULL OR NOT c.relforcerowsecurity)";
    assert_eq!(tables(&mut admin, open).await, Vec::<String>::new());
    let mut app = as_application(&world, &world.tenant.id.to_string()).await;
    let sql = format!("SELECT * FROM entities_{:02}", world.tenant.shard);
    assert!(app.fetch_all(AssertSqlSafe(sql)).await.unwrap_err().to_string().contains("permission denied"));
}

#[tokio::test]
async fn the_wrong_tenant_and_no_tenant_see_nothing_and_write_nothing() {
    let world = World::new().await;
    let mut tx = world.store().begin().await.unwrap();
    let stranger = tenants::create(&ctx(), &mut tx, &name("stranger")).await.unwrap();
    tx.commit().await.unwrap();
    world.collect(&[found("things", vec![thing("a", 1)])]).await;
    for (tenant, rows) in [(world.tenant.id.to_string(), 1), (stranger.id.to_string(), 0), (String::new(), 0)] {
        let mut app = as_application(&world, &tenant).await;
        for table in ["instances", "runs", "entities", "slices"] {
            // No predicate: only row security stands between.
            let sql = format!("SELECT count(*) FROM {table}");
            let seen: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut app).await.unwrap();
            assert_eq!(seen, rows, "{table} as {tenant:?}");
        }
        let changed = app.execute("UPDATE entities SET display_name = 'x'").await.unwrap().rows_affected();
        assert_eq!(changed, u64::try_from(rows).unwrap());
    }
    let mut app = as_application(&world, &stranger.id.to_string()).await;
    let sql = "INSERT INTO slices (tenant_id, instance_id, slice_id, step, partition) VALUES ($1, $2, 99, 's', '')";
    let error = sqlx::query(sql)
        .bind(world.tenant.id.0)
        .bind(world.instance.id.0)
        .execute(&mut app)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("row-level security"), "{error}");
}

#[tokio::test]
async fn a_reader_sees_its_own_tenant_whatever_it_sets_and_no_key_and_no_secret() {
    let world = World::new().await;
    world.collect(&[found("things", vec![thing("a", 1)])]).await;
    let mut tx = world.store().begin().await.unwrap();
    let stranger = tenants::create(&ctx(), &mut tx, &name("stranger")).await.unwrap();
    tx.commit().await.unwrap();
    let mut admin = world.db.admin().await.unwrap();
    for (tenant, rows) in [(&world.tenant, 1), (&stranger, 0)] {
        let login = format!("porthole_test_reader_{}_{rows}", std::process::id());
        admin.execute(AssertSqlSafe(format!("CREATE ROLE {login}; GRANT porthole_reader TO {login}"))).await.unwrap();
        sqlx::query("INSERT INTO readers VALUES ($1::name, $2)")
            .bind(&login)
            .bind(tenant.id.0)
            .execute(&mut admin)
            .await
            .unwrap();
        let mut reader = world.db.admin().await.unwrap();
        reader.execute(AssertSqlSafe(format!("SET SESSION AUTHORIZATION {login}"))).await.unwrap();
        let set = format!("SET porthole.tenant = '{}'", world.tenant.id);
        reader.execute(AssertSqlSafe(set)).await.unwrap();
        let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM entities").fetch_one(&mut reader).await.unwrap();
        assert_eq!(seen, rows);
        for denied in [
            "SELECT * FROM credentials",
            "SELECT * FROM tenant_keys",
            "SELECT * FROM tenants",
            "SELECT * FROM readers",
            "SET ROLE porthole_app",
            "DELETE FROM runs",
        ] {
            let error = reader.execute(denied).await.unwrap_err().to_string();
            assert!(error.contains("permission denied"), "{denied}: {error}");
        }
        reader.close().await.unwrap();
        admin.execute(AssertSqlSafe(format!("DROP ROLE {login}"))).await.unwrap();
    }
}

#[tokio::test]
async fn a_stranger_s_id_is_not_found() {
    let world = World::new().await;
    let run = world.queue(&world.instance).await;
    let mut tx = world.store().begin().await.unwrap();
    let stranger = tenants::create(&ctx(), &mut tx, &name("stranger")).await.unwrap();
    let mut tx = tx.enter(stranger.id).await.unwrap();
    assert!(instances::get(&mut tx, world.instance.id).await.unwrap_err().is_not_found());
    assert!(runs::get(&mut tx, run.id).await.unwrap_err().is_not_found());
    assert!(runs::request_cancel(&ctx(), &mut tx, run.id).await.unwrap_err().is_not_found());
    assert!(runs::confirm(&ctx(), &mut tx, run.id).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn a_session_that_can_do_more_than_the_application_is_refused() {
    let world = World::new().await;
    let mut admin = world.db.admin().await.unwrap();
    let login = format!("porthole_test_owner_{}", std::process::id());
    let sql = format!("CREATE ROLE {login} LOGIN; GRANT porthole_app TO {login}");
    admin.execute(AssertSqlSafe(sql)).await.unwrap();
    // A plain member is fine.
    Store::connect(&world.db.options().username(&login)).await.unwrap().close().await;
    // Someone who isn't a member is told what to do.
    admin.execute(AssertSqlSafe(format!("REVOKE porthole_app FROM {login}"))).await.unwrap();
    let refused = Store::connect(&world.db.options().username(&login)).await;
    admin.execute(AssertSqlSafe(format!("DROP ROLE {login}"))).await.unwrap();
    assert!(matches!(refused, Err(StoreError::Role(m)) if m.contains("GRANT porthole_app")));
}

#[tokio::test]
async fn an_administrator_who_is_no_superuser_can_migrate_and_both_kinds_of_url_work() {
    let world = World::new().await;
    let mut admin = world.db.admin().await.unwrap();
    let (login, database) =
        (format!("porthole_test_admin_{}", std::process::id()), format!("porthole_test_{}_own", std::process::id()));
    for sql in [
        format!("CREATE ROLE {login} LOGIN CREATEROLE"),
        // From version 16 on, who may make roles may give away only those that were given to them.
        format!("GRANT porthole_owner, porthole_app, porthole_reader TO {login} WITH ADMIN OPTION"),
        format!("CREATE DATABASE {database} OWNER {login}"),
    ] {
        admin.execute(AssertSqlSafe(sql)).await.unwrap();
    }
    let options = StoreOptions::from_url(&world.db.admin_url()).unwrap().username(&login).database(&database);
    Store::migrate(&options, None).await.unwrap();
    Store::migrate(&options, Some(&login)).await.unwrap();
    // Its own login is the owner's too, but acts as the application.
    Store::connect(&options).await.unwrap().close().await;
    Store::connect(&StoreOptions::from_url(&world.db.url()).unwrap()).await.unwrap().close().await;
    for sql in [
        format!("DROP DATABASE {database} WITH (FORCE)"),
        format!("DROP OWNED BY {login}"),
        format!("DROP ROLE {login}"),
    ] {
        admin.execute(AssertSqlSafe(sql)).await.unwrap();
    }
}

#[tokio::test]
async fn a_schema_of_another_version_is_refused() {
    let world = World::new().await;
    let mut admin = world.db.admin().await.unwrap();
    let newest: i64 =
        sqlx::query_scalar("SELECT max(version) FROM applied_migrations").fetch_one(&mut admin).await.unwrap();
    sqlx::query("DELETE FROM applied_migrations WHERE version = $1").bind(newest).execute(&mut admin).await.unwrap();
    let before: i64 =
        sqlx::query_scalar("SELECT max(version) FROM applied_migrations").fetch_one(&mut admin).await.unwrap();
    let refused = Store::connect(&world.db.options()).await;
    assert!(matches!(refused, Err(StoreError::Schema { found, needed }) if (found, needed) == (before, newest)));
    let refused = Store::connect(&world.db.options().database("postgres")).await;
    assert!(matches!(refused, Err(StoreError::Schema { found: 0, needed }) if needed == newest));
}

#[tokio::test]
async fn a_query_of_the_graph_touches_one_shard() {
    let world = World::new().await;
    let mut app = as_application(&world, &world.tenant.id.to_string()).await;
    for statement in [
        "SELECT * FROM entities WHERE tenant_id = $1 AND shard = $2 AND instance_id = $3",
        "SELECT r.* FROM relationships r JOIN entities e ON e.tenant_id = $1 AND e.shard = $2 AND e.instance_id = $3 \
         AND e.key_hash = r.from_hash WHERE r.tenant_id = $1 AND r.shard = $2 AND r.instance_id = $3",
        "UPDATE entities SET run_id = run_id WHERE tenant_id = $1 AND shard = $2 AND instance_id = $3",
        "DELETE FROM relationships WHERE tenant_id = $1 AND shard = $2 AND instance_id = $3",
    ] {
        let plan: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!("EXPLAIN (COSTS off) {statement}")))
            .bind(world.tenant.id.0)
            .bind(world.tenant.shard)
            .bind(world.instance.id.0)
            .fetch_all(&mut app)
            .await
            .unwrap();
        let plan = plan.join("\n");
        let own = format!("_{:02}", world.tenant.shard);
        for shard in (0..64).map(|s| format!("_{s:02}")) {
            let touched = plan.contains(&format!("entities{shard}")) || plan.contains(&format!("relationships{shard}"));
            assert_eq!(touched, shard == own, "{plan}");
        }
    }
}
