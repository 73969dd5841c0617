//! The traits of what is in the graph already, when a rule comes or goes.

use crate::error::{Result, What};
use crate::tx::TenantTx;
use crate::tx::sealed::Conn;
use porthole_model::mapping::{Selector, TraitKind};
use uuid::Uuid;

/// The condition that selects an entity, whose columns are called by `prefix`; the name is parameter `name`.
pub(crate) fn selects(of: &Selector, prefix: &str, name: &str) -> String {
    match of {
        Selector::Type(_) => format!("{prefix}_type = {name}"),
        Selector::Class(_) => format!("{name} = ANY({prefix}_class)"),
    }
}

/// The name that [`selects`] asks for.
pub(crate) fn selected(of: &Selector) -> &str {
    match of {
        Selector::Type(name) | Selector::Class(name) => name,
    }
}

/// Writes the traits of a kind of all entities of the tenant. Each is as old as the version of its entity.
pub(super) async fn gather(tx: &mut TenantTx, kind: &TraitKind) -> Result<()> {
    let (tenant, shard) = (tx.tenant(), tx.shard());
    let sql = format!(
        "INSERT INTO traits (tenant_id, shard, instance_id, key_hash, kind, value_hash, words, run_id, since) \
         SELECT $1, $2, e.instance_id, e.key_hash, $3, trait_hash(t.words), t.words, e.run_id, e.updated_at \
         FROM entities e CROSS JOIN LATERAL trait_words(e.properties, $5, $6) AS t (words) \
         WHERE e.tenant_id = $1 AND e.shard = $2 AND {} ORDER BY e.instance_id, e.key_hash",
        selects(&kind.of, "e.", "$4")
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(tenant.0)
        .bind(shard)
        .bind(kind.id())
        .bind(selected(&kind.of))
        .bind(&kind.properties)
        .bind(kind.email)
        .execute(tx.conn())
        .await
        .what("gather the values of a mapping rule")
        .map(drop)
}

/// Deletes all traits of these kinds.
pub(super) async fn forget(tx: &mut TenantTx, kinds: &[Uuid]) -> Result<()> {
    if kinds.is_empty() {
        return Ok(());
    }
    let (tenant, shard) = (tx.tenant(), tx.shard());
    sqlx::query("DELETE FROM traits WHERE tenant_id = $1 AND shard = $2 AND kind = ANY($3)")
        .bind(tenant.0)
        .bind(shard)
        .bind(kinds)
        .execute(tx.conn())
        .await
        .what("forget the values of a mapping rule")
        .map(drop)
}
