//! What hangs together with an entity: what its own instance says, what mapped relationships of any instance of the tenant
//! say, and what mapping rules find.
//!
//! Which entity is at a far end is looked up here, by its key or by what it has in common, and stored nowhere: so it is
//! right whenever an entity appears, changes or goes, whichever instance collects it.

use super::Entity;
use crate::error::{Result, What};
use crate::mappings::RuleName;
use crate::row::Columns;
use crate::tx::TenantTx;
use crate::tx::sealed::Conn;
use porthole_model::id::Name;
use porthole_model::object::KeyHash;
use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::PgRow;
use uuid::Uuid;

/// The most neighbours that are shown of one entity.
pub const MAX_NEIGHBOURS: u32 = 1000;

/// Which way a relationship points, seen from the entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the entity.
    Out,
    /// To the entity.
    In,
}

/// Where a relationship comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// A run emitted it; both ends are of its instance.
    Emitted,
    /// A run emitted it with its far end, which may be of any instance of the tenant, or of none.
    Carried,
    /// A mapping rule found it.
    Found,
}

impl How {
    pub(super) fn named(name: &str) -> Self {
        match name {
            "found" => Self::Found,
            "carried" => Self::Carried,
            _ => Self::Emitted,
        }
    }
}

/// A relationship and the entity at its other end.
#[derive(Debug, Clone, Serialize)]
pub struct Neighbour {
    /// Which way.
    pub direction: Direction,
    /// Where the relationship comes from.
    pub how: How,
    /// `HAS`, `OWNS`, …
    pub verb: String,
    /// The relationship's type.
    #[serde(rename = "_type")]
    pub relationship_type: String,
    /// The relationship's key.
    #[serde(rename = "_key")]
    pub relationship_key: String,
    /// The rule that found it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleName>,
    /// What is known of the relationship.
    pub properties: Value,
    /// The instance that collected the other end; none when nobody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_instance: Option<Name>,
    /// The other end's type.
    pub other_type: String,
    /// The other end's key.
    pub other_key: String,
    /// The other end, for people.
    pub other_display_name: String,
}

/// Both ends are of the entity's instance.
fn emitted(direction: &str, near: &str, far: &str) -> String {
    format!(
        "SELECT '{direction}' AS direction, 'emitted' AS how, r.verb, r._type, r._key, NULL AS rule, r.properties, \
             $5::text AS other_instance, \
             o._type AS other_type, o._key AS other_key, o.display_name AS other_display_name \
         FROM relationships r JOIN entities o ON o.tenant_id = $1 AND o.shard = $2 AND o.instance_id = $3 \
             AND o.key_hash = r.{far}_hash \
         WHERE r.tenant_id = $1 AND r.shard = $2 AND r.instance_id = $3 AND r.{near}_hash = $4 AND r.far IS NULL \
           AND NOT r.dangling"
    )
}

/// The entity is the near end; the far one is what any instance has under its key (the first by name), or nobody.
fn carries(direction: &str, near: &str, far: &str, code: char) -> String {
    format!(
        "SELECT '{direction}', 'carried', r.verb, r._type, r._key, NULL, r.properties, o.instance, \
             coalesce(o._type, r.far_type), r.{far}_key, coalesce(o.display_name, r.{far}_key) \
         FROM relationships r LEFT JOIN LATERAL ( \
             SELECT i.name AS instance, o.* FROM instances i CROSS JOIN LATERAL ( \
                 SELECT o._type, o.display_name FROM entities o WHERE o.tenant_id = $1 AND o.shard = $2 \
                     AND o.instance_id = i.instance_id AND o.key_hash = r.{far}_hash LIMIT 1) o \
             WHERE i.tenant_id = $1 ORDER BY i.name LIMIT 1) o ON true \
         WHERE r.tenant_id = $1 AND r.shard = $2 AND r.instance_id = $3 AND r.{near}_hash = $4 AND r.far = '{code}' \
           AND NOT r.dangling"
    )
}

/// The entity is the far end of what any instance says. Each is entered by the key, one after the other (`LIMIT`).
fn carried(direction: &str, near: &str, far: &str, code: char) -> String {
    format!(
        "SELECT '{direction}', 'carried', r.verb, r._type, r._key, NULL, r.properties, i.name, o._type, o._key, \
             o.display_name \
         FROM instances i CROSS JOIN LATERAL ( \
             SELECT * FROM relationships r WHERE r.tenant_id = $1 AND r.shard = $2 AND r.instance_id = i.instance_id \
                 AND r.{far}_hash = $4 AND r.far = '{code}' AND NOT r.dangling LIMIT $6) r \
         CROSS JOIN LATERAL ( \
             SELECT o._type, o._key, o.display_name FROM entities o WHERE o.tenant_id = $1 AND o.shard = $2 \
                 AND o.instance_id = i.instance_id AND o.key_hash = r.{near}_hash LIMIT 1) o \
         WHERE i.tenant_id = $1"
    )
}

/// What rules find. A pair that has several values in common is one.
fn found(direction: &str, near: &str, far: &str) -> String {
    let key =
        if near == "from" { "$7 || '|' || r.verb || '|' || o._key" } else { "o._key || '|' || r.verb || '|' || $7" };
    format!(
        "SELECT DISTINCT '{direction}', 'found', r.verb, r._type, {key}, coalesce(ri.name || '/', '') || r.rule, \
             '{{}}'::jsonb, i.name, o._type, o._key, o.display_name \
         FROM found_relationships r \
         JOIN instances i ON i.tenant_id = $1 AND i.instance_id = r.{far}_instance_id \
         LEFT JOIN instances ri ON ri.tenant_id = $1 AND ri.instance_id = r.rule_instance_id \
         CROSS JOIN LATERAL ( \
             SELECT o._type, o._key, o.display_name FROM entities o WHERE o.tenant_id = $1 AND o.shard = $2 \
                 AND o.instance_id = r.{far}_instance_id AND o.key_hash = r.{far}_hash LIMIT 1) o \
         WHERE r.tenant_id = $1 AND r.shard = $2 AND r.{near}_instance_id = $3 AND r.{near}_hash = $4"
    )
}

/// The neighbours of an entity, at most [`MAX_NEIGHBOURS`].
pub(super) async fn of(tx: &mut TenantTx, entity: &Entity) -> Result<Vec<Neighbour>> {
    let (tenant, shard) = (tx.tenant(), tx.shard());
    let sides = [
        emitted("out", "from", "to"),
        emitted("in", "to", "from"),
        carries("out", "from", "to", 't'),
        carries("in", "to", "from", 'f'),
        carried("out", "to", "from", 'f'),
        carried("in", "from", "to", 't'),
        found("out", "from", "to"),
        found("in", "to", "from"),
    ];
    let sql = format!(
        "{} ORDER BY direction DESC, verb, other_type, other_key, _key, other_instance LIMIT $6",
        sides.join(" UNION ALL ")
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(tenant.0)
        .bind(shard)
        .bind(entity.instance_id)
        .bind(Uuid::from_bytes(KeyHash::entity(&entity.key).0))
        .bind(entity.instance.as_str())
        .bind(i64::from(MAX_NEIGHBOURS))
        .bind(&entity.key)
        .fetch_all(tx.conn())
        .await
        .what("find the neighbours")?;
    rows.iter().map(read).collect()
}

fn read(row: &PgRow) -> Result<Neighbour> {
    let (direction, how): (String, String) = (row.column("direction")?, row.column("how")?);
    Ok(Neighbour {
        direction: if direction == "out" { Direction::Out } else { Direction::In },
        how: How::named(&how),
        verb: row.column("verb")?,
        relationship_type: row.column("_type")?,
        relationship_key: row.column("_key")?,
        rule: row.word_or_null("rule")?,
        properties: row.json("properties")?,
        other_instance: row.word_or_null("other_instance")?,
        other_type: row.column("other_type")?,
        other_key: row.column("other_key")?,
        other_display_name: row.column("other_display_name")?,
    })
}
