//! World, act, assert: a tenant with an instance, and short words for what runs do.

use porthole_model::context::{Actor, OpContext};
use porthole_model::id::{ModuleDigest, Name, RunId};
use porthole_model::manifest::Manifest;
use porthole_model::object::{ContentHash, End, Far, KeyHash, Row, RowKind};
use porthole_model::run::{Claim, Outcome, RunMode, SliceKey, TypeCounts};
use porthole_store::instances::{self, Instance, NewInstance};
use porthole_store::modules::{self, NewModule};
use porthole_store::reconcile::{self, ReconcileInput, Reconciled, SliceResult};
use porthole_store::runs::{self, Claimed, NewRun, Run, RunFinish};
use porthole_store::staging::{Staged, StagingWriter};
use porthole_store::tenants::{self, Tenant};
use porthole_store::testing::TestDatabase;
use porthole_store::{Result, Store, StoreError, TenantTx, index, slices};
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) const LEASE: Duration = Duration::from_secs(60);

/// A database with a tenant, a module and an instance.
pub(crate) struct World {
    pub(crate) db: TestDatabase,
    pub(crate) tenant: Tenant,
    pub(crate) instance: Instance,
}

pub(crate) fn ctx() -> OpContext {
    OpContext::new(Actor::Person("ada".to_owned()))
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn slice(step: &str, partition: &str) -> SliceKey {
    SliceKey { step: step.parse().unwrap(), partition: partition.parse().unwrap() }
}

pub(crate) fn manifest(name: &str, version: &str) -> Manifest {
    serde_json::from_value(serde_json::json!({
        "schema": 1,
        "module": { "name": name, "version": version, "provider": "Example", "description": "An example" },
        "operations": [],
        "steps": []
    }))
    .unwrap()
}

impl World {
    pub(crate) async fn new() -> Self {
        let db = TestDatabase::new().await.unwrap();
        let mut tx = db.store().begin().await.unwrap();
        let tenant = tenants::create(&ctx(), &mut tx, &name("acme")).await.unwrap();
        let digest = ModuleDigest([7; 32]);
        let manifest = manifest("example", "1.0.0");
        let module = NewModule { digest, publisher: "us", manifest: &manifest, component: b"\0asm" };
        modules::add(&ctx(), &mut tx, module).await.unwrap();
        tx.commit().await.unwrap();
        let instance = instance_of(db.store(), &tenant, "main").await;
        Self { db, tenant, instance }
    }

    pub(crate) fn store(&self) -> &Store {
        self.db.store()
    }

    pub(crate) async fn tx(&self) -> TenantTx {
        self.store().tenant(self.tenant.id).await.unwrap()
    }

    pub(crate) async fn queue(&self, instance: &Instance) -> Run {
        let mut tx = self.tx().await;
        let new = NewRun { instance: instance.id, mode: RunMode::Apply, reason: "a test" };
        let run = runs::create(&ctx(), &mut tx, new).await.unwrap();
        tx.commit().await.unwrap();
        run
    }

    pub(crate) async fn claim(&self) -> Claimed {
        runs::claim(self.store(), "worker-1", LEASE).await.unwrap().expect("a run to claim")
    }

    pub(crate) async fn get(&self, run: RunId) -> Run {
        runs::get(&mut self.tx().await, run).await.unwrap()
    }

    /// Lets a lease run out.
    pub(crate) async fn expire(&self, run: RunId) {
        sqlx::query("UPDATE run_queue SET lease_until = now() - interval '5 s' WHERE run_id = $1")
            .bind(run.0)
            .execute(&mut self.db.admin().await.unwrap())
            .await
            .unwrap();
    }

    /// One run from queue to reconcile.
    pub(crate) async fn collect(&self, found: &[Found]) -> Reconciled {
        let (claim, input) = self.stage(found).await;
        reconcile::apply(self.store(), &claim, &input).await.unwrap()
    }

    /// One run of another instance, from queue to reconcile.
    pub(crate) async fn collect_in(&self, instance: &Instance, found: &[Found]) -> Reconciled {
        self.queue(instance).await;
        let claim = self.claim().await.claim;
        let input = stage(self.store(), claim, found).await.unwrap();
        reconcile::apply(self.store(), &claim, &input).await.unwrap()
    }

    /// One run up to its reconcile: compares with the index as a worker does and stages the differences.
    pub(crate) async fn stage(&self, found: &[Found]) -> (Claim, ReconcileInput) {
        self.queue(&self.instance).await;
        let claim = self.claim().await.claim;
        let input = stage(self.store(), claim, found).await.unwrap();
        (claim, input)
    }
}

pub(crate) async fn instance_of(store: &Store, tenant: &Tenant, called: &str) -> Instance {
    let mut tx = store.tenant(tenant.id).await.unwrap();
    let config = BTreeMap::new();
    let new = NewInstance { name: &name(called), module: ModuleDigest([7; 32]), config: &config };
    let instance = instances::create(&ctx(), &mut tx, new).await.unwrap();
    tx.commit().await.unwrap();
    instance
}

/// What a run found in one slice.
pub(crate) struct Found {
    pub(crate) slice: SliceKey,
    pub(crate) complete: bool,
    pub(crate) rows: Vec<Row>,
}

pub(crate) fn found(step: &str, rows: Vec<Row>) -> Found {
    Found { slice: slice(step, ""), complete: true, rows }
}

pub(crate) fn cut_short(step: &str, rows: Vec<Row>) -> Found {
    Found { complete: false, ..found(step, rows) }
}

/// What a worker does: index, compare, stage, and "gone" for what a slice no longer has.
pub(crate) async fn stage(store: &Store, claim: Claim, found: &[Found]) -> Result<ReconcileInput, StoreError> {
    let mut tx = store.tenant(claim.tenant).await?;
    let keys: Vec<SliceKey> = found.iter().map(|f| f.slice.clone()).collect();
    let ids = slices::ensure(&mut tx, claim.instance, &keys).await?;
    let mut known = BTreeMap::new();
    let generation = index::stream_index(&mut tx, claim.instance, |row| {
        known.insert(row.key_hash, (row.content_hash, row.slice, row.kind));
    })
    .await?;
    tx.commit().await?;
    let mut writer = StagingWriter::new(store, claim);
    let mut finish = RunFinish::new(Outcome::Succeeded, None, "");
    for slice in found {
        let id = ids[&slice.slice];
        for row in &slice.rows {
            match known.remove(&row.key_hash) {
                None => writer.created(id, row).await?,
                Some((content, of, _)) if content == row.content_hash && of == id => {
                    let unchanged = TypeCounts { unchanged: 1, ..TypeCounts::default() };
                    finish.counts.entry(row.object_type.clone()).or_default().add(unchanged);
                }
                Some(_) => writer.updated(id, row).await?,
            }
        }
    }
    // Deliberately for every slice, complete or not: the store must not believe it.
    for (key, (_, of, kind)) in known {
        if ids.values().any(|id| *id == of) {
            writer.gone(of, kind, key).await?;
        }
    }
    let staged: Staged = writer.finish().await?;
    let slices = found
        .iter()
        .map(|f| SliceResult {
            slice_id: ids[&f.slice],
            complete: f.complete,
            reason: if f.complete { String::new() } else { "a page was denied".to_owned() },
        })
        .collect();
    Ok(ReconcileInput { generation, staged, slices, retired: vec![], finish })
}

/// An entity whose content is one number.
pub(crate) fn thing(key: &str, n: u32) -> Row {
    entity("thing", key, &format!(r#"{{"n":{n}}}"#))
}

pub(crate) fn entity(object_type: &str, key: &str, properties: &str) -> Row {
    Row {
        object_type: object_type.to_owned(),
        key: key.to_owned(),
        key_hash: KeyHash::entity(key),
        content_hash: ContentHash(KeyHash::entity(properties).0),
        properties: properties.to_owned(),
        kind: RowKind::Entity { class: vec!["Record".to_owned()], display_name: format!("The {key}") },
    }
}

pub(crate) fn has(from: &str, to: &str) -> Row {
    let key = format!("{from}|has|{to}");
    Row {
        object_type: "thing_has_thing".to_owned(),
        key_hash: KeyHash::relationship(&key),
        content_hash: ContentHash(KeyHash::relationship("{}").0),
        key,
        properties: "{}".to_owned(),
        kind: RowKind::Relationship {
            verb: "HAS".to_owned(),
            from_key: from.to_owned(),
            from_hash: KeyHash::entity(from),
            to_key: to.to_owned(),
            to_hash: KeyHash::entity(to),
            far: None,
        },
    }
}

/// A mapped relationship: from a thing to a host that nobody has to have collected, or from a host to a thing.
pub(crate) fn mapped(from: &str, to: &str, end: End) -> Row {
    let mut row = has(from, to);
    row.object_type = if end == End::To { "thing_allows_host" } else { "host_allows_thing" }.to_owned();
    if let RowKind::Relationship { far, .. } = &mut row.kind {
        *far = Some(Far { end, object_type: "host".to_owned(), class: vec!["Host".to_owned()] });
    }
    row
}

/// Created, updated, unchanged, deleted.
pub(crate) fn counts(reconciled: &Reconciled, object_type: &str) -> [u64; 4] {
    let c = reconciled.counts.get(object_type).copied().unwrap_or_default();
    [c.created, c.updated, c.unchanged, c.deleted]
}
