//! A database of an older program keeps its data when it is migrated.

use crate::world::World;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};
use uuid::Uuid;

/// The migrations that a database had before keys were counted.
const BEFORE: [&str; 5] = [
    include_str!("../../../../migrations/0001_roles.sql"),
    include_str!("../../../../migrations/0002_platform.sql"),
    include_str!("../../../../migrations/0003_instances.sql"),
    include_str!("../../../../migrations/0004_runs.sql"),
    include_str!("../../../../migrations/0005_graph.sql"),
];
const MAPPED: &str = include_str!("../../../../migrations/0013_mapped.sql");
const KEYS: &str = include_str!("../../../../migrations/0008_keys.sql");

/// An empty database beside the test's own.
async fn empty_database(world: &World, of: &str) -> (PgConnection, String) {
    let name = format!("porthole_test_{}_{of}", std::process::id());
    let mut admin = world.db.admin().await.unwrap();
    admin.execute(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))).await.unwrap();
    admin.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    let options: PgConnectOptions = world.db.admin_url().parse().unwrap();
    (options.database(&name).connect().await.unwrap(), name)
}

async fn apply(database: &mut PgConnection, sql: &'static str) {
    let mut tx = database.begin().await.unwrap();
    tx.execute(sqlx::raw_sql(sql)).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn secrets_of_an_older_database_know_their_keys_afterwards() {
    let world = World::new().await;
    let (mut old, name) = empty_database(&world, "keys").await;
    old.execute("CREATE SCHEMA porthole; CREATE TABLE porthole.applied_migrations (version bigint)").await.unwrap();
    for sql in BEFORE {
        apply(&mut old, sql).await;
    }
    // One tenant with two keys, one whose key was shredded by hand, one with nothing.
    let [rich, shredded, poor] = [0, 1, 2].map(|_| Uuid::new_v4());
    let digest = format!("sha256:{}", "0".repeat(64));
    old.execute(AssertSqlSafe(format!(
        "SET search_path = porthole;
         INSERT INTO modules (digest, publisher, name, version, manifest, component, added_by)
             VALUES ('{digest}', 'us', 'm', '1.0.0', '{{}}', '', 'ada');
         INSERT INTO tenants (tenant_id, name, shard, created_by)
             VALUES ('{rich}', 'rich', 0, 'ada'), ('{shredded}', 'shredded', 1, 'ada'), ('{poor}', 'poor', 2, 'ada');
         INSERT INTO instances (tenant_id, instance_id, name, module_digest, created_by)
             SELECT tenant_id, tenant_id, 'it', '{digest}', 'ada' FROM tenants;
         INSERT INTO tenant_keys (tenant_id, key_id, wrapped) VALUES ('{rich}', 1, '{{}}'), ('{rich}', 2, '{{}}');
         INSERT INTO credentials (tenant_id, instance_id, slot, version, credential_id, method, sealed, set_by, ended_at)
             VALUES ('{rich}', '{rich}', 'api', 1, gen_random_uuid(), 'token', NULL, 'ada', now()),
                    ('{rich}', '{rich}', 'api', 2, gen_random_uuid(), 'token', 'x', 'ada', NULL),
                    ('{shredded}', '{shredded}', 'api', 1, gen_random_uuid(), 'token', 'x', 'ada', NULL);
         RESET search_path"
    )))
    .await
    .unwrap();
    apply(&mut old, KEYS).await;
    let keys: Vec<(Option<i32>, bool, bool)> = sqlx::query_as(
        "SELECT c.key_id, k.ended_at IS NOT NULL, k.shredded FROM porthole.credentials c \
         JOIN porthole.tenant_keys k USING (tenant_id, key_id) JOIN porthole.tenants t USING (tenant_id) \
         WHERE c.ended_at IS NULL ORDER BY t.name",
    )
    .fetch_all(&mut old)
    .await
    .unwrap();
    assert_eq!(keys, [(Some(2), false, false), (Some(1), true, true)]);
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM porthole.tenant_keys").fetch_one(&mut old).await.unwrap();
    assert_eq!(rows, 3, "a tenant without secrets got a key");
    // From now on a live secret has a key of its own tenant.
    for sql in [
        "UPDATE porthole.credentials SET key_id = NULL WHERE ended_at IS NULL",
        "UPDATE porthole.credentials SET key_id = 7 WHERE ended_at IS NULL",
        "UPDATE porthole.tenant_keys SET wrapped = NULL WHERE ended_at IS NULL",
    ] {
        assert!(old.execute(sql).await.is_err(), "{sql}");
    }
    old.close().await.unwrap();
    let mut admin = world.db.admin().await.unwrap();
    admin.execute(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).await.unwrap();
}

#[tokio::test]
async fn relationships_of_an_older_database_carry_no_far_end_and_what_is_staged_fits() {
    let world = World::new().await;
    let (mut old, name) = empty_database(&world, "mapped").await;
    old.execute("CREATE SCHEMA porthole; CREATE TABLE porthole.applied_migrations (version bigint)").await.unwrap();
    for sql in BEFORE {
        apply(&mut old, sql).await;
    }
    let id = Uuid::nil();
    old.execute(AssertSqlSafe(format!(
        "INSERT INTO porthole.relationships VALUES ('{id}', 0, '{id}', '{id}', '{id}', 1, 't', 'k', 'HAS', 'a', '{id}', 'b',
             '{id}', false, '{{}}', '{id}', now(), now());
         SET ROLE porthole_app;
         CREATE UNLOGGED TABLE staging.run_0_1_r (seq bigint, properties jsonb);
         CREATE UNLOGGED TABLE staging.run_0_1_e (seq bigint, properties jsonb);
         INSERT INTO staging.run_0_1_r VALUES (1, '{{}}');
         RESET ROLE"
    )))
    .await
    .unwrap();
    apply(&mut old, MAPPED).await;
    let far: Vec<bool> = sqlx::query_scalar("SELECT far IS NULL AND far_type IS NULL FROM porthole.relationships")
        .fetch_all(&mut old)
        .await
        .unwrap();
    assert_eq!(far, [true]);
    let columns: Vec<(String, i64)> = sqlx::query_as(
        "SELECT c.relname::text, count(*) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 \
         WHERE c.relnamespace = 'staging'::regnamespace AND c.relkind = 'r' GROUP BY 1 ORDER BY 1",
    )
    .fetch_all(&mut old)
    .await
    .unwrap();
    assert_eq!(columns, [("run_0_1_e".to_owned(), 2), ("run_0_1_r".to_owned(), 5)]);
    // Half a far end is none.
    assert!(old.execute("UPDATE porthole.relationships SET far = 't'").await.is_err());
    old.close().await.unwrap();
    let mut admin = world.db.admin().await.unwrap();
    admin.execute(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).await.unwrap();
}
