//! Mapping rules in force: those that the modules of a tenant's instances bring along, and the tenant's own.
//!
//! What a rule relates is stored nowhere. Stored are the traits of the entities that rules speak of (`mappings/traits.rs`,
//! and `reconcile/traits.rs` for those that a run writes): the values that count. The view `found_relationships` ties what
//! has the same. So a relationship is there as soon as both ends are, and gone with either, whichever instance collects
//! what and in which order; and no two runs write the same row.
//!
//! Rules change under a lock of their tenant that every reconcile shares: a run either knows a new rule, or is over before
//! the rule looks at what is there.

mod traits;

use crate::audit;
use crate::error::{Result, StoreError, What, is_unique_violation};
use crate::row::Columns;
use crate::tx::TenantTx;
use crate::tx::sealed::Conn;
use jiff::Timestamp;
use porthole_model::audit::{Action, Entry, Object};
use porthole_model::context::OpContext;
use porthole_model::id::{InstanceId, Name};
use porthole_model::mapping::{MAX_MAPPINGS, Mapping, TraitKind};
use porthole_model::object::End;
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
pub(crate) use traits::{selected, selects};
use uuid::Uuid;

/// Keeps the lock of a tenant's rules apart from other advisory locks.
const LOCK: u64 = 0x6d61_7070_696e_6773;

/// Which rule: `INSTANCE/RULE` for one of an instance's module, `RULE` for one of the tenant's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleName {
    /// The instance; none for the tenant's own.
    pub instance: Option<Name>,
    /// The rule's id.
    pub id: Name,
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.instance {
            Some(instance) => write!(f, "{instance}/{}", self.id),
            None => self.id.fmt(f),
        }
    }
}

impl FromStr for RuleName {
    type Err = porthole_model::id::NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (instance, id) = match text.split_once('/') {
            Some((instance, id)) => (Some(Name::new(instance)?), id),
            None => (None, text),
        };
        Ok(Self { instance, id: Name::new(id)? })
    }
}

impl Serialize for RuleName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A rule of a tenant.
#[derive(Debug, Clone, Serialize)]
pub struct Rule {
    /// What it is called.
    pub name: RuleName,
    /// What it says.
    pub mapping: Mapping,
    /// The tenant has switched it off.
    pub off: bool,
    /// Since when it is as it is: made, changed by a new version, or switched.
    pub since: Timestamp,
    /// Who made it, or chose the module version that it came with.
    pub by: String,
}

const RULES: &str = "SELECT m.*, i.name AS instance FROM mappings m \
     LEFT JOIN instances i ON i.tenant_id = m.tenant_id AND i.instance_id = m.instance_id \
     WHERE m.tenant_id = $1 AND NOT m.retired";

fn read(row: &PgRow) -> Result<Rule> {
    Ok(Rule {
        name: RuleName { instance: row.word_or_null("instance")?, id: row.word("id")? },
        mapping: row.json("rule")?,
        off: row.column("off")?,
        since: row.time("since")?,
        by: row.column("created_by")?,
    })
}

/// The rules of the tenant, its own first, then by instance.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut TenantTx) -> Result<Vec<Rule>> {
    let tenant = tx.tenant();
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!("{RULES} ORDER BY i.name NULLS FIRST, m.id")))
        .bind(tenant.0)
        .fetch_all(tx.conn())
        .await
        .what("list the mapping rules")?;
    rows.iter().map(read).collect()
}

/// Adds a rule of the tenant's own, and looks at what is there with it. The caller has checked it.
///
/// # Errors
/// `Exists` when the tenant has a rule of that name, `TooMany` when it has as many as it may.
pub async fn add(ctx: &OpContext, tx: &mut TenantTx, mapping: &Mapping) -> Result<()> {
    let changing = Changing::begin(tx).await?;
    let own = list(tx).await?.iter().filter(|rule| rule.name.instance.is_none()).count();
    if own >= MAX_MAPPINGS {
        return Err(StoreError::TooMany { kind: "mapping rules", limit: MAX_MAPPINGS });
    }
    match insert(ctx, tx, None, mapping).await {
        Err(StoreError::Query { source, .. }) if is_unique_violation(&source) => {
            return Err(StoreError::Exists { kind: "mapping rule", id: mapping.id.to_string() });
        }
        done => done?,
    }
    changing.end(tx).await?;
    let name = RuleName { instance: None, id: mapping.id.clone() };
    audit::append(ctx, tx, about(Action::MappingAdded, &name).digest_json("rule", mapping)).await.map(drop)
}

/// Takes a rule of the tenant's own away, and with it what it relates.
///
/// # Errors
/// `NotFound` when the tenant has none of that name.
pub async fn remove(ctx: &OpContext, tx: &mut TenantTx, id: &Name) -> Result<()> {
    let changing = Changing::begin(tx).await?;
    let tenant = tx.tenant();
    let gone = sqlx::query("DELETE FROM mappings WHERE tenant_id = $1 AND instance_id IS NULL AND id = $2")
        .bind(tenant.0)
        .bind(id.as_str())
        .execute(tx.conn())
        .await
        .what("remove a mapping rule")?;
    if gone.rows_affected() == 0 {
        return Err(StoreError::not_found("mapping rule", id));
    }
    changing.end(tx).await?;
    let name = RuleName { instance: None, id: id.clone() };
    audit::append(ctx, tx, about(Action::MappingRemoved, &name)).await.map(drop)
}

/// Switches a rule off or on. What counts for it is kept up meanwhile, so that switching is done at once. False when it
/// was so already.
///
/// # Errors
/// `NotFound` when the tenant has no such rule.
pub async fn switch(ctx: &OpContext, tx: &mut TenantTx, name: &RuleName, off: bool) -> Result<bool> {
    let what = "switch a mapping rule";
    let tenant = tx.tenant();
    let row = sqlx::query(sqlx::AssertSqlSafe(format!(
        "{RULES} AND m.id = $2 AND i.name IS NOT DISTINCT FROM $3 FOR NO KEY UPDATE OF m"
    )))
    .bind(tenant.0)
    .bind(name.id.as_str())
    .bind(name.instance.as_ref().map(Name::as_str))
    .fetch_optional(tx.conn())
    .await
    .what(what)?
    .ok_or_else(|| StoreError::not_found("mapping rule", name))?;
    if row.column::<bool>("off")? == off {
        return Ok(false);
    }
    sqlx::query("UPDATE mappings SET off = $3, since = now() WHERE tenant_id = $1 AND mapping_id = $2")
        .bind(tenant.0)
        .bind(row.column::<Uuid>("mapping_id")?)
        .bind(off)
        .execute(tx.conn())
        .await
        .what(what)?;
    let action = if off { Action::MappingSwitchedOff } else { Action::MappingSwitchedOn };
    audit::append(ctx, tx, about(action, name)).await?;
    Ok(true)
}

fn about(action: Action, name: &RuleName) -> Entry {
    Entry::new(action, Object::new("mapping", name))
}

/// Gives an instance the rules of the module version that it runs. A rule that the version doesn't have is retired; it
/// stays switched off if it comes back.
pub(crate) async fn follow(ctx: &OpContext, tx: &mut TenantTx, instance: InstanceId, rules: &[Mapping]) -> Result<()> {
    let what = "take the mapping rules of a module";
    let tenant = tx.tenant();
    let known = sqlx::query("SELECT id, rule, retired FROM mappings WHERE tenant_id = $1 AND instance_id = $2")
        .bind(tenant.0)
        .bind(instance.0)
        .fetch_all(tx.conn())
        .await
        .what(what)?;
    if known.is_empty() && rules.is_empty() {
        return Ok(());
    }
    let changing = Changing::begin(tx).await?;
    let ids: Vec<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
    sqlx::query("UPDATE mappings SET retired = true WHERE tenant_id = $1 AND instance_id = $2 AND id <> ALL($3)")
        .bind(tenant.0)
        .bind(instance.0)
        .bind(&ids)
        .execute(tx.conn())
        .await
        .what(what)?;
    for rule in rules {
        let mut former = None;
        for row in &known {
            if row.column::<String>("id")? == rule.id.as_str() {
                former = Some((row.json::<Mapping>("rule")?, row.column::<bool>("retired")?));
            }
        }
        match former {
            None => insert(ctx, tx, Some(instance), rule).await?,
            Some((former, false)) if former == *rule => {}
            Some(_) => rewrite(ctx, tx, instance, rule).await?,
        }
    }
    changing.end(tx).await
}

async fn insert(ctx: &OpContext, tx: &mut TenantTx, instance: Option<InstanceId>, rule: &Mapping) -> Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "INSERT INTO mappings (tenant_id, mapping_id, instance_id, id, rule, _type, verb, from_kind, to_kind, created_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(tenant.0)
    .bind(Uuid::now_v7())
    .bind(instance.map(|i| i.0))
    .bind(rule.id.as_str())
    .bind(Json(rule))
    .bind(rule.relationship_type())
    .bind(&rule.verb)
    .bind(rule.trait_kind(End::From).id())
    .bind(rule.trait_kind(End::To).id())
    .bind(ctx.actor.to_string())
    .execute(tx.conn())
    .await
    .what("add a mapping rule")
    .map(drop)
}

async fn rewrite(ctx: &OpContext, tx: &mut TenantTx, instance: InstanceId, rule: &Mapping) -> Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "UPDATE mappings SET rule = $4, _type = $5, verb = $6, from_kind = $7, to_kind = $8, created_by = $9, \
             since = now(), retired = false \
         WHERE tenant_id = $1 AND instance_id = $2 AND id = $3",
    )
    .bind(tenant.0)
    .bind(instance.0)
    .bind(rule.id.as_str())
    .bind(Json(rule))
    .bind(rule.relationship_type())
    .bind(&rule.verb)
    .bind(rule.trait_kind(End::From).id())
    .bind(rule.trait_kind(End::To).id())
    .bind(ctx.actor.to_string())
    .execute(tx.conn())
    .await
    .what("change a mapping rule")
    .map(drop)
}

/// What counts for the rules of the tenant, those that are switched off included. From here to its end this transaction
/// shares the rules: nobody changes them.
pub(crate) async fn shared(tx: &mut TenantTx) -> Result<BTreeSet<TraitKind>> {
    lock(tx, "SELECT pg_advisory_xact_lock_shared($1)").await?;
    kinds(tx).await
}

async fn kinds(tx: &mut TenantTx) -> Result<BTreeSet<TraitKind>> {
    let rules = list(tx).await?;
    let ends = |rule: &Rule| [End::From, End::To].map(|end| rule.mapping.trait_kind(end));
    Ok(rules.iter().flat_map(ends).collect())
}

/// Until the end of the transaction.
async fn lock(tx: &mut TenantTx, sql: &'static str) -> Result<()> {
    // The lower half of an id is random.
    let (_, id) = tx.tenant().0.as_u64_pair();
    let key = (id ^ LOCK).cast_signed();
    sqlx::query(sql).bind(key).execute(tx.conn()).await.what("lock the mapping rules").map(drop)
}

/// A change of rules that is under way.
struct Changing {
    before: BTreeSet<TraitKind>,
}

impl Changing {
    async fn begin(tx: &mut TenantTx) -> Result<Self> {
        lock(tx, "SELECT pg_advisory_xact_lock($1)").await?;
        Ok(Self { before: kinds(tx).await? })
    }

    /// Looks at what is there for what counts from now on, and forgets what doesn't any more.
    async fn end(self, tx: &mut TenantTx) -> Result<()> {
        let after = kinds(tx).await?;
        for kind in after.difference(&self.before) {
            traits::gather(tx, kind).await?;
        }
        traits::forget(tx, &self.before.difference(&after).map(TraitKind::id).collect::<Vec<_>>()).await
    }
}
