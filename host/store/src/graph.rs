//! The graph, for reading: list and filter entities, show one with its neighbours, count.

mod neighbours;
pub mod why;

use crate::error::{Result, StoreError, What};
use crate::row::Columns;
use crate::tx::TenantTx;
use crate::tx::sealed::Conn;
use jiff::Timestamp;
pub use neighbours::{Direction, How, MAX_NEIGHBOURS, Neighbour};
use porthole_model::id::{Name, RunId};
use porthole_model::object::KeyHash;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::postgres::PgRow;
use std::collections::BTreeMap;
use uuid::Uuid;

/// The most entities of one page.
pub const MAX_PAGE: u32 = 1000;

/// Which entities. What is empty doesn't filter.
#[derive(Debug, Clone, Default)]
pub struct EntityFilter {
    /// Of this instance.
    pub instance: Option<Name>,
    /// Of one of these types.
    pub types: Vec<String>,
    /// Of this class.
    pub class: Option<String>,
    /// With these properties. Numbers and booleans are compared by their JSON text; in a list, one element has to be
    /// equal.
    pub properties: Vec<(String, String)>,
    /// With this text in display name or key, whatever its case.
    pub text: Option<String>,
}

/// Where a page begins: after this entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    object_type: String,
    key: String,
    instance: Uuid,
}

/// An entity.
#[derive(Debug, Clone, Serialize)]
pub struct Entity {
    /// The instance that collected it.
    pub instance: Name,
    /// Its type.
    #[serde(rename = "_type")]
    pub entity_type: String,
    /// Its classes.
    #[serde(rename = "_class")]
    pub class: Vec<String>,
    /// Its key, unique in the instance.
    #[serde(rename = "_key")]
    pub key: String,
    /// For people.
    #[serde(rename = "displayName")]
    pub display_name: String,
    /// What is known of it.
    pub properties: Value,
    /// The run that wrote this version.
    pub run: RunId,
    /// When it was first seen.
    pub created_at: Timestamp,
    /// When this version was written.
    pub updated_at: Timestamp,
    /// No instance collected it: it is the far end of a mapped relationship, which says all that is known of it. Instance,
    /// run and times are those of the relationship.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub carried: bool,
    #[serde(skip)]
    instance_id: Uuid,
}

/// A page of entities, by type and key.
#[derive(Debug, Clone, Serialize)]
pub struct Page {
    /// The entities.
    pub entities: Vec<Entity>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Cursor>,
}

/// An entity with what hangs together with it.
#[derive(Debug, Clone, Serialize)]
pub struct EntityDetail {
    /// The entity.
    #[serde(flatten)]
    pub entity: Entity,
    /// At most [`MAX_NEIGHBOURS`]; of any instance of the tenant, where a mapped relationship leads there.
    pub neighbours: Vec<Neighbour>,
}

/// How much there is.
#[derive(Debug, Clone, Default, Serialize)]
pub struct GraphCounts {
    /// Entities by type.
    pub entities: BTreeMap<String, u64>,
    /// Relationships by type, both ends there.
    pub relationships: BTreeMap<String, u64>,
    /// Relationships by type with a missing end.
    pub dangling: BTreeMap<String, u64>,
    /// Relationships by type that mapping rules find; of an instance, those with an end there.
    pub found: BTreeMap<String, u64>,
}

fn read(row: &PgRow) -> Result<Entity> {
    Ok(Entity {
        instance: row.word("instance")?,
        entity_type: row.column("_type")?,
        class: row.column("_class")?,
        key: row.column("_key")?,
        display_name: row.column("display_name")?,
        properties: row.json("properties")?,
        run: RunId(row.column("run_id")?),
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        carried: false,
        instance_id: row.column("instance_id")?,
    })
}

const SELECT: &str = "SELECT e.*, i.name AS instance FROM entities e \
     JOIN instances i ON i.tenant_id = e.tenant_id AND i.instance_id = e.instance_id \
     WHERE e.tenant_id = $1 AND e.shard = $2";

/// A page of the entities that pass a filter, by type and key. `limit` is at most [`MAX_PAGE`].
///
/// # Errors
/// When the database fails.
pub async fn entities(tx: &mut TenantTx, filter: &EntityFilter, after: Option<&Cursor>, limit: u32) -> Result<Page> {
    let limit = limit.clamp(1, MAX_PAGE) as usize;
    let (tenant, shard) = (tx.tenant(), tx.shard());
    let sql = format!(
        "{SELECT} AND ($3::text IS NULL OR i.name = $3) \
           AND ($4::text[] = '{{}}' OR e._type = ANY($4)) \
           AND ($5::text IS NULL OR $5 = ANY(e._class)) \
           AND ($6::text IS NULL OR position(lower($6) IN lower(e.display_name)) > 0 \
                OR position(lower($6) IN lower(e._key)) > 0) \
           AND NOT EXISTS (SELECT 1 FROM unnest($7::text[], $8::text[]) AS p (name, value) \
                WHERE (e.properties ->> p.name) IS DISTINCT FROM p.value \
                  AND NOT coalesce(e.properties -> p.name @> jsonb_build_array(p.value), false)) \
           AND ($9::text IS NULL OR (e._type, e._key, e.instance_id) > ($9, $10, $11)) \
         ORDER BY e._type, e._key, e.instance_id LIMIT $12"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(tenant.0)
        .bind(shard)
        .bind(filter.instance.as_ref().map(Name::as_str))
        .bind(&filter.types)
        .bind(&filter.class)
        .bind(&filter.text)
        .bind(filter.properties.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>())
        .bind(filter.properties.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>())
        .bind(after.map(|c| c.object_type.as_str()))
        .bind(after.map(|c| c.key.as_str()))
        .bind(after.map(|c| c.instance))
        // One more than asked for says whether there is a next page.
        .bind(i64::try_from(limit + 1).unwrap_or(i64::MAX))
        .fetch_all(tx.conn())
        .await
        .what("list entities")?;
    let mut entities = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
    let more = entities.len() > limit;
    entities.truncate(limit);
    let next = entities.last().filter(|_| more).map(|last| Cursor {
        object_type: last.entity_type.clone(),
        key: last.key.clone(),
        instance: last.instance_id,
    });
    Ok(Page { entities, next })
}

/// The entities of a key (one for each instance that has it; usually one), with their neighbours. A key that only mapped
/// relationships carry gives what they say of it.
///
/// # Errors
/// `NotFound` when the tenant has neither.
pub async fn entity(tx: &mut TenantTx, instance: Option<&Name>, key: &str) -> Result<Vec<EntityDetail>> {
    let (tenant, shard) = (tx.tenant(), tx.shard());
    let sql = format!(
        "{SELECT} AND e.instance_id = i.instance_id AND e.key_hash = $3 AND ($4::text IS NULL OR i.name = $4) \
         ORDER BY i.name"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(tenant.0)
        .bind(shard)
        .bind(Uuid::from_bytes(KeyHash::entity(key).0))
        .bind(instance.map(Name::as_str))
        .fetch_all(tx.conn())
        .await
        .what("find an entity")?;
    let mut entities = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
    if entities.is_empty() {
        entities.extend(carried(tx, instance, key).await?);
    }
    if entities.is_empty() {
        return Err(StoreError::not_found("entity", key.chars().take(200).collect::<String>()));
    }
    let mut details = Vec::with_capacity(entities.len());
    for entity in entities {
        let neighbours = neighbours::of(tx, &entity).await?;
        details.push(EntityDetail { entity, neighbours });
    }
    Ok(details)
}

/// The far end of a mapped relationship that nobody collected, as the first relationship that carries it says.
async fn carried(tx: &mut TenantTx, instance: Option<&Name>, key: &str) -> Result<Option<Entity>> {
    let (tenant, shard) = (tx.tenant(), tx.shard());
    let side = |end: &str, code: char| {
        format!(
            "SELECT i.name AS instance, r.* FROM instances i CROSS JOIN LATERAL ( \
                 SELECT r.instance_id, r.far_type AS _type, r.far_class AS _class, r.{end}_key AS _key, \
                     r.{end}_key AS display_name, '{{}}'::jsonb AS properties, r.run_id, r.created_at, r.updated_at \
                 FROM relationships r WHERE r.tenant_id = $1 AND r.shard = $2 AND r.instance_id = i.instance_id \
                     AND r.{end}_hash = $3 AND r.far = '{code}' ORDER BY r._key LIMIT 1) r \
             WHERE i.tenant_id = $1 AND ($4::text IS NULL OR i.name = $4)"
        )
    };
    let sql = format!("{} UNION ALL {} ORDER BY instance LIMIT 1", side("from", 'f'), side("to", 't'));
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(tenant.0)
        .bind(shard)
        .bind(Uuid::from_bytes(KeyHash::entity(key).0))
        .bind(instance.map(Name::as_str))
        .fetch_optional(tx.conn())
        .await
        .what("find a far end")?;
    row.map(|row| Ok(Entity { carried: true, ..read(&row)? })).transpose()
}

/// Counts by type, of one instance or of all.
///
/// # Errors
/// `NotFound` when the tenant has no instance of that name.
pub async fn counts(tx: &mut TenantTx, instance: Option<&Name>) -> Result<GraphCounts> {
    let (tenant, shard) = (tx.tenant(), tx.shard());
    let instance = match instance {
        Some(name) => Some(crate::instances::by_name(tx, name).await?.id.0),
        None => None,
    };
    let rows = sqlx::query(
        "SELECT 'entity' AS what, _type, count(*) AS n FROM entities \
             WHERE tenant_id = $1 AND shard = $2 AND ($3::uuid IS NULL OR instance_id = $3) GROUP BY _type \
         UNION ALL SELECT CASE WHEN dangling THEN 'dangling' ELSE 'relationship' END, _type, count(*) \
             FROM relationships \
             WHERE tenant_id = $1 AND shard = $2 AND ($3::uuid IS NULL OR instance_id = $3) GROUP BY dangling, _type \
         UNION ALL SELECT 'found', _type, count(*) FROM ( \
             SELECT DISTINCT _type, from_instance_id, from_hash, to_instance_id, to_hash FROM found_relationships \
             WHERE tenant_id = $1 AND shard = $2 \
               AND ($3::uuid IS NULL OR from_instance_id = $3 OR to_instance_id = $3)) r GROUP BY _type",
    )
    .bind(tenant.0)
    .bind(shard)
    .bind(instance)
    .fetch_all(tx.conn())
    .await
    .what("count the graph")?;
    let mut counts = GraphCounts::default();
    for row in &rows {
        let what: String = row.column("what")?;
        let by_type = match what.as_str() {
            "entity" => &mut counts.entities,
            "dangling" => &mut counts.dangling,
            "found" => &mut counts.found,
            _ => &mut counts.relationships,
        };
        by_type.insert(row.column("_type")?, row.count("n")?);
    }
    Ok(counts)
}
