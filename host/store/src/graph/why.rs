//! Why a relationship is in the graph: which run, step and module emitted it, or which rule found it by which values.

use super::neighbours::How;
use crate::error::{Result, StoreError, What};
use crate::mappings::RuleName;
use crate::row::Columns;
use crate::tx::TenantTx;
use crate::tx::sealed::Conn;
use jiff::Timestamp;
use porthole_model::id::{ModuleDigest, Name, Partition, RunId, StepId};
use porthole_model::mapping::{Mapping, ends_of_key};
use porthole_model::object::{End, KeyHash};
use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::PgRow;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Which relationship is meant.
#[derive(Debug, Clone)]
pub enum Asked {
    /// The one of this key. What a rule found has the key `FROM|VERB|TO`.
    Key(String),
    /// Those from one key to another.
    Ends {
        /// The key of the entity that it comes from.
        from: String,
        /// The verb.
        verb: String,
        /// The key of the entity that it goes to.
        to: String,
    },
}

/// A relationship and its reason.
#[derive(Debug, Clone, Serialize)]
pub struct Why {
    /// Where it comes from.
    pub how: How,
    /// Its type.
    #[serde(rename = "_type")]
    pub relationship_type: String,
    /// The verb.
    pub verb: String,
    /// Where it comes from.
    pub from: EndShown,
    /// Where it goes to.
    pub to: EndShown,
    /// Since when it is so: when a run wrote it, or when the last of rule, value and value came.
    pub since: Timestamp,
    /// Why.
    pub reason: Reason,
}

/// One end.
#[derive(Debug, Clone, Serialize)]
pub struct EndShown {
    /// Its key.
    pub key: String,
    /// The instance that collected it; none when nobody did.
    pub instance: Option<Name>,
    /// Its type, if anything says it.
    #[serde(rename = "_type")]
    pub entity_type: Option<String>,
    /// What people call it.
    pub display_name: Option<String>,
}

/// Why a relationship is there.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// A run emitted it.
    Emitted(Emitted),
    /// A rule found it.
    Found(Found),
}

/// What emitted a relationship.
#[derive(Debug, Clone, Serialize)]
pub struct Emitted {
    /// The instance.
    pub instance: Name,
    /// The step.
    pub step: StepId,
    /// Its partition.
    pub partition: Partition,
    /// The run that wrote this version.
    pub run: RunId,
    /// The module that it ran.
    pub module: Option<ModuleDigest>,
    /// Its name and version, `name@version`.
    pub version: Option<String>,
    /// An end that is to be there isn't: it is kept aside.
    pub dangling: bool,
    /// What is known of it.
    pub properties: Value,
}

/// How a rule found a relationship.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// The rule.
    pub rule: RuleName,
    /// What it says.
    pub mapping: Mapping,
    /// What the two have in common: of each match, the value of each pair of properties, as it was compared.
    pub matched: Vec<Vec<String>>,
}

/// Everything that says that a relationship is there. `instance` is the one that emitted it, or has its end.
///
/// # Errors
/// `NotFound` when nothing does.
pub async fn why(tx: &mut TenantTx, instance: Option<&Name>, asked: &Asked) -> Result<Vec<Why>> {
    let mut all = emitted(tx, instance, asked).await?;
    match asked {
        Asked::Ends { from, verb, to } => all.extend(found(tx, instance, from, verb, to).await?),
        Asked::Key(key) => {
            let rules = crate::mappings::list(tx).await?;
            let verbs: BTreeSet<&str> = rules.iter().map(|rule| rule.mapping.verb.as_str()).collect();
            for verb in verbs {
                for (from, to) in ends_of_key(key, verb) {
                    all.extend(found(tx, instance, from, verb, to).await?);
                }
            }
        }
    }
    if all.is_empty() {
        let id = match asked {
            Asked::Key(key) => key.clone(),
            Asked::Ends { from, verb, to } => format!("{from}|{verb}|{to}"),
        };
        return Err(StoreError::not_found("relationship", id.chars().take(200).collect::<String>()));
    }
    Ok(all)
}

fn hash(key: &str) -> Uuid {
    Uuid::from_bytes(KeyHash::entity(key).0)
}

async fn emitted(tx: &mut TenantTx, instance: Option<&Name>, asked: &Asked) -> Result<Vec<Why>> {
    let (tenant, shard) = (tx.tenant(), tx.shard());
    let (key, from, to, verb) = match asked {
        Asked::Key(key) => (Some(Uuid::from_bytes(KeyHash::relationship(key).0)), None, None, None),
        Asked::Ends { from, verb, to } => (None, Some(hash(from)), Some(hash(to)), Some(verb.as_str())),
    };
    let meant = match asked {
        Asked::Key(_) => "r.key_hash = $4",
        Asked::Ends { .. } => "r.from_hash = $5 AND r.to_hash = $6 AND r.verb = $7",
    };
    let sql = format!(
        "SELECT i.name AS instance, r.*, r.far::text AS far_end, s.step, s.partition, u.module_digest, \
             m.name || '@' || m.version AS version, $4::uuid, $5::uuid, $6::uuid, $7::text \
         FROM instances i CROSS JOIN LATERAL ( \
             SELECT * FROM relationships r WHERE r.tenant_id = $1 AND r.shard = $2 AND r.instance_id = i.instance_id \
                 AND {meant} OFFSET 0) r \
         JOIN slices s ON s.tenant_id = $1 AND s.instance_id = i.instance_id AND s.slice_id = r.slice_id \
         LEFT JOIN runs u ON u.tenant_id = $1 AND u.run_id = r.run_id \
         LEFT JOIN modules m ON m.digest = u.module_digest \
         WHERE i.tenant_id = $1 AND ($3::text IS NULL OR i.name = $3) ORDER BY i.name, r._key"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(tenant.0)
        .bind(shard)
        .bind(instance.map(Name::as_str))
        .bind(key)
        .bind(from)
        .bind(to)
        .bind(verb)
        .fetch_all(tx.conn())
        .await
        .what("find a relationship")?;
    let mut all = Vec::with_capacity(rows.len());
    for row in &rows {
        let far = match row.column::<Option<String>>("far_end")?.as_deref() {
            Some("f") => Some(End::From),
            Some(_) => Some(End::To),
            None => None,
        };
        let near: Uuid = row.column("instance_id")?;
        let mut ends = Vec::with_capacity(2);
        for (end, column) in [(End::From, "from_key"), (End::To, "to_key")] {
            let is_far = far == Some(end);
            let mut shown = shown(tx, (!is_far).then_some(near), row.column(column)?).await?;
            if is_far && shown.entity_type.is_none() {
                shown.entity_type = row.column("far_type")?;
            }
            ends.push(shown);
        }
        let [from, to] = <[EndShown; 2]>::try_from(ends).map_err(|_| StoreError::not_found("end", "relationship"))?;
        all.push(Why {
            how: if far.is_some() { How::Carried } else { How::Emitted },
            relationship_type: row.column("_type")?,
            verb: row.column("verb")?,
            from,
            to,
            since: row.time("updated_at")?,
            reason: Reason::Emitted(Emitted {
                instance: row.word("instance")?,
                step: row.word("step")?,
                partition: row.word("partition")?,
                run: RunId(row.column("run_id")?),
                module: row.word_or_null("module_digest")?,
                version: row.column("version")?,
                dangling: row.column("dangling")?,
                properties: row.json("properties")?,
            }),
        });
    }
    Ok(all)
}

/// What is at an end: the entity of the key in an instance, or in the first that has one.
async fn shown(tx: &mut TenantTx, instance: Option<Uuid>, key: String) -> Result<EndShown> {
    let (tenant, shard) = (tx.tenant(), tx.shard());
    let row = sqlx::query(
        "SELECT i.name AS instance, e._type, e.display_name FROM instances i CROSS JOIN LATERAL ( \
             SELECT * FROM entities e WHERE e.tenant_id = $1 AND e.shard = $2 AND e.instance_id = i.instance_id \
                 AND e.key_hash = $3 LIMIT 1) e \
         WHERE i.tenant_id = $1 AND ($4::uuid IS NULL OR i.instance_id = $4) ORDER BY i.name LIMIT 1",
    )
    .bind(tenant.0)
    .bind(shard)
    .bind(hash(&key))
    .bind(instance)
    .fetch_optional(tx.conn())
    .await
    .what("find the end of a relationship")?;
    Ok(match row {
        Some(row) => EndShown {
            key,
            instance: Some(row.word("instance")?),
            entity_type: row.column("_type")?,
            display_name: row.column("display_name")?,
        },
        None => EndShown { key, instance: None, entity_type: None, display_name: None },
    })
}

async fn found(tx: &mut TenantTx, instance: Option<&Name>, from: &str, verb: &str, to: &str) -> Result<Vec<Why>> {
    let (tenant, shard) = (tx.tenant(), tx.shard());
    // One group for each rule and pair of entities; usually one.
    let rows = sqlx::query(
        "SELECT r._type, r.from_instance_id, r.to_instance_id, min(r.since) AS since, \
             jsonb_agg(to_jsonb(r.words) ORDER BY r.words) AS matched, m.id, m.rule, ri.name AS rule_instance \
         FROM instances f CROSS JOIN LATERAL ( \
             SELECT * FROM found_relationships r WHERE r.tenant_id = $1 AND r.shard = $2 \
                 AND r.from_instance_id = f.instance_id AND r.from_hash = $4 AND r.to_hash = $5 AND r.verb = $6 \
             OFFSET 0) r \
         JOIN instances t ON t.tenant_id = $1 AND t.instance_id = r.to_instance_id \
         JOIN mappings m ON m.tenant_id = $1 AND m.mapping_id = r.mapping_id \
         LEFT JOIN instances ri ON ri.tenant_id = $1 AND ri.instance_id = m.instance_id \
         WHERE f.tenant_id = $1 AND ($3::text IS NULL OR f.name = $3 OR t.name = $3) \
         GROUP BY r._type, r.from_instance_id, r.to_instance_id, m.id, m.rule, ri.name, f.name, t.name \
         ORDER BY f.name, t.name, ri.name NULLS FIRST, m.id",
    )
    .bind(tenant.0)
    .bind(shard)
    .bind(instance.map(Name::as_str))
    .bind(hash(from))
    .bind(hash(to))
    .bind(verb)
    .fetch_all(tx.conn())
    .await
    .what("find what rules relate")?;
    let mut all = Vec::with_capacity(rows.len());
    for row in &rows {
        all.push(Why {
            how: How::Found,
            relationship_type: row.column("_type")?,
            verb: verb.to_owned(),
            from: shown(tx, Some(row.column("from_instance_id")?), from.to_owned()).await?,
            to: shown(tx, Some(row.column("to_instance_id")?), to.to_owned()).await?,
            since: row.time("since")?,
            reason: Reason::Found(found_by(row)?),
        });
    }
    Ok(all)
}

fn found_by(row: &PgRow) -> Result<Found> {
    let rule = RuleName { instance: row.word_or_null("rule_instance")?, id: row.word("id")? };
    Ok(Found { rule, mapping: row.json("rule")?, matched: row.json("matched")? })
}
