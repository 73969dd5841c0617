//! Runs driven straight against the store: a tenant with an instance, objects, and what a worker does with them from claim
//! to committed outcome, without a guest.

use anyhow::{Context as _, Result};
use porthole_model::context::{Actor, OpContext};
use porthole_model::id::{InstanceId, ModuleDigest, Name, RunId, TenantId};
use porthole_model::manifest::Manifest;
use porthole_model::object::{ContentHash, KeyHash, Row, RowKind};
use porthole_model::run::{Claim, Outcome, RunMode, SliceKey};
use porthole_store::instances::{self, NewInstance};
use porthole_store::modules::{self, NewModule};
use porthole_store::reconcile::{self, ReconcileInput, Reconciled, SliceResult};
use porthole_store::runs::{self, NewRun, RunFinish};
use porthole_store::staging::StagingWriter;
use porthole_store::{Store, index, slices, tenants};
use std::collections::BTreeMap;
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(600);
const DIGEST: ModuleDigest = ModuleDigest([7; 32]);

fn ctx() -> OpContext {
    OpContext::new(Actor::Worker("bench".to_owned()))
}

/// A tenant's instance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) tenant: TenantId,
    pub(crate) instance: InstanceId,
    /// The partition of the graph.
    pub(crate) shard: i16,
}

/// A run that has compared: what is left to do is to stage and to apply.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) claim: Claim,
    pub(crate) slice: i32,
    pub(crate) generation: i64,
    /// Objects of the index.
    pub(crate) known: u64,
}

/// Makes a tenant with one instance of an empty module.
///
/// # Errors
/// When the database fails.
pub(crate) async fn place(store: &Store, name: &str) -> Result<Place> {
    let name: Name = name.parse()?;
    let mut tx = store.begin().await?;
    let tenant = tenants::create(&ctx(), &mut tx, &name).await?;
    if modules::list(&mut tx).await?.is_empty() {
        let manifest: Manifest = serde_json::from_value(serde_json::json!({
            "schema": 1,
            "module": { "name": "bench", "version": "1.0.0", "provider": "Bench", "description": "Nothing" },
            "operations": [],
            "steps": []
        }))?;
        let module = NewModule { digest: DIGEST, publisher: "us", manifest: &manifest, component: b"\0asm" };
        modules::add(&ctx(), &mut tx, module).await?;
    }
    tx.commit().await?;
    let mut tx = store.tenant(tenant.id).await?;
    let config = BTreeMap::new();
    let new = NewInstance { name: &"main".parse()?, module: DIGEST, config: &config };
    let instance = instances::create(&ctx(), &mut tx, new).await?;
    tx.commit().await?;
    Ok(Place { tenant: tenant.id, instance: instance.id, shard: tenant.shard })
}

/// Queues, claims, numbers the slice and streams the index.
///
/// # Errors
/// When the database fails.
pub(crate) async fn begin(store: &Store, place: Place) -> Result<Begun> {
    let mut tx = store.tenant(place.tenant).await?;
    let new = NewRun { instance: place.instance, mode: RunMode::Apply, reason: "bench" };
    let run: RunId = runs::create(&ctx(), &mut tx, new).await?.id;
    tx.commit().await?;
    let claimed = runs::claim_run(store, "bench", LEASE, run).await?.context("the run can't be claimed")?;
    let key = SliceKey { step: "items".parse()?, partition: "".parse()? };
    let mut tx = store.tenant(place.tenant).await?;
    let slice =
        *slices::ensure(&mut tx, place.instance, std::slice::from_ref(&key)).await?.get(&key).context("slice")?;
    let mut known = 0;
    let generation = index::stream_index(&mut tx, place.instance, |_| known += 1).await?;
    tx.commit().await?;
    Ok(Begun { claim: claimed.claim, slice, generation, known })
}

/// Counts what applying would do, as the brake does, and applies.
///
/// # Errors
/// When the database fails.
pub(crate) async fn end(store: &Store, run: Begun, writer: StagingWriter) -> Result<Reconciled> {
    let input = ReconcileInput {
        generation: run.generation,
        staged: writer.finish().await?,
        slices: vec![SliceResult { slice_id: run.slice, complete: true, reason: String::new() }],
        retired: Vec::new(),
        finish: RunFinish::new(Outcome::Succeeded, None, ""),
    };
    let mut tx = store.tenant(run.claim.tenant).await?;
    let diff = reconcile::diff(&mut tx, &run.claim, input.staged, &input.sweepable()).await?;
    tx.commit().await?;
    Ok(reconcile::apply_diffed(store, &run.claim, &input, Some(diff)).await?)
}

fn hash(text: &str) -> ContentHash {
    ContentHash(KeyHash::entity(text).0)
}

/// The entity `n`: 15 properties, about 600 bytes of JSON. `version` changes its content.
pub(crate) fn entity(n: usize, version: usize) -> Row {
    let key = entity_key(n);
    let text = |salt: usize| format!("{:016x}{:016x}", (n + salt).wrapping_mul(0x9E37_79B9_7F4A_7C15), salt);
    let mut properties = format!(r#"{{"active":{},"count":{},"version":{version}"#, n.is_multiple_of(3), n * 7);
    for (at, name) in ["arn", "city", "department", "email", "group", "hostName", "location", "owner", "region", "zone"]
        .iter()
        .enumerate()
    {
        properties.push_str(&format!(r#","p{at:02}_{name}":"{}""#, text(at)));
    }
    properties.push_str(&format!(r#","z_score":{},"zz_tags":["a{}","b","c"]}}"#, n % 100, n % 10));
    Row {
        object_type: format!("bench_item_{}", n % 4),
        key_hash: KeyHash::entity(&key),
        content_hash: hash(&properties),
        properties,
        kind: RowKind::Entity { class: vec!["Record".to_owned()], display_name: format!("Item {n}") },
        key,
    }
}

fn entity_key(n: usize) -> String {
    format!("item:{n:09}")
}

/// The relationship `n`: from an entity that has ten of them to the entity `n`.
pub(crate) fn relationship(n: usize, version: usize) -> Row {
    let (from_key, to_key) = (entity_key(n / 10), entity_key(n));
    let key = format!("{from_key}|has|{to_key}");
    let properties = format!(r#"{{"since":2020,"version":{version}}}"#);
    Row {
        object_type: "bench_item_has_item".to_owned(),
        key_hash: KeyHash::relationship(&key),
        content_hash: hash(&properties),
        properties,
        kind: RowKind::Relationship {
            verb: "HAS".to_owned(),
            from_hash: KeyHash::entity(&from_key),
            from_key,
            to_hash: KeyHash::entity(&to_key),
            to_key,
            far: None,
        },
        key,
    }
}
