//! Tenants, modules, instances, grants, credentials.

use crate::world::{World, ctx, manifest, name, slice};
use porthole_model::grant::Grant;
use porthole_model::id::{InstanceId, ModuleDigest, TenantId};
use porthole_store::approvals::NewApproval;
use porthole_store::credentials::{self, NewCredential};
use porthole_store::instances::{self, Brake, InstanceUpdate, NewInstance};
use porthole_store::keys::{self, WrappedKey};
use porthole_store::modules::{self, NewModule};
use porthole_store::signing_keys::{NewEnd, NewKey};
use porthole_store::tenants;
use porthole_store::{StoreError, TenantTx, approvals, grants, publishers, reviewers, slices};
use std::collections::BTreeMap;

#[tokio::test]
async fn tenants_spread_over_the_shards_and_names_are_taken_once() {
    let world = World::new().await;
    let mut tx = world.store().begin().await.unwrap();
    let mut shards = vec![world.tenant.shard];
    for n in 0..3 {
        shards.push(tenants::create(&ctx(), &mut tx, &name(&format!("t{n}"))).await.unwrap().shard);
    }
    assert_eq!(shards, [0, 1, 2, 3]);
    assert_eq!(tenants::list(&mut tx).await.unwrap().len(), 4);
    assert_eq!(tenants::by_name(&mut tx, &name("acme")).await.unwrap().id, world.tenant.id);
    assert!(tenants::by_name(&mut tx, &name("nobody")).await.unwrap_err().is_not_found());
    let taken = tenants::create(&ctx(), &mut tx, &name("acme")).await;
    assert!(matches!(taken, Err(StoreError::Exists { kind: "tenant", .. })));
    assert!(world.store().tenant(TenantId::new()).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn modules_are_never_overwritten() {
    let world = World::new().await;
    let mut tx = world.store().begin().await.unwrap();
    let new_manifest = manifest("example", "2.0.0");
    let new = |digest, component| NewModule {
        digest: ModuleDigest([digest; 32]),
        publisher: "us",
        manifest: &new_manifest,
        component,
    };
    let module = modules::add(&ctx(), &mut tx, new(8, b"two")).await.unwrap();
    assert_eq!(module.manifest, new_manifest);
    // The same bytes again are no news.
    modules::add(&ctx(), &mut tx, new(8, b"two")).await.unwrap();
    assert_eq!(modules::component(&mut tx, module.digest).await.unwrap(), b"two");
    assert_eq!(modules::list(&mut tx).await.unwrap().len(), 2);
    let of = modules::by_name(&mut tx, &name("example"), Some("1.0.0")).await.unwrap();
    assert_eq!(of.digest, ModuleDigest([7; 32]));
    assert!(modules::by_name(&mut tx, &name("example"), Some("3.0.0")).await.unwrap_err().is_not_found());
    tx.commit().await.unwrap();
    let mut tx = world.store().begin().await.unwrap();
    let other = modules::add(&ctx(), &mut tx, new(9, b"other bytes")).await;
    assert!(matches!(other, Err(StoreError::Exists { kind: "module", id }) if id == "example@2.0.0"));
    // Both doors lead to modules.
    let mut tx = world.tx().await;
    assert_eq!(modules::by_name(&mut tx, &name("example"), None).await.unwrap().digest, ModuleDigest([8; 32]));
}

#[tokio::test]
async fn keys_have_one_holder_and_end_once() {
    let world = World::new().await;
    let mut tx = world.store().begin().await.unwrap();
    let id = |digit: &str| format!("sha256:{}", digit.repeat(64));
    let (one, two) = (id("1"), id("2"));
    let key = |id: &'static str| NewKey { id, public_key: "pem" };
    let (one, two): (&'static str, &'static str) = (one.leak(), two.leak());
    let people = ["otto".to_owned()];
    assert!(publishers::add(&ctx(), &mut tx, &name("us"), key(one), &people).await.unwrap());
    assert!(!publishers::add(&ctx(), &mut tx, &name("us"), key(one), &people).await.unwrap(), "the same again");
    assert!(reviewers::add(&ctx(), &mut tx, &name("ada"), key(two)).await.unwrap());
    let taken = reviewers::add(&ctx(), &mut tx, &name("ada"), key(one)).await;
    assert!(matches!(taken, Err(StoreError::KeyTaken { holder, .. }) if holder == "us"));
    let taken = publishers::add(&ctx(), &mut tx, &name("them"), key(one), &[]).await;
    assert!(matches!(taken, Err(StoreError::KeyTaken { holder, .. }) if holder == "us"));

    let why = NewEnd { key: None, reason: "lost", void: false };
    assert_eq!(publishers::end(&ctx(), &mut tx, &name("us"), why).await.unwrap(), [one]);
    assert!(publishers::end(&ctx(), &mut tx, &name("us"), why).await.unwrap_err().is_not_found());
    let of_another = NewEnd { key: Some(two), ..why };
    assert!(publishers::end(&ctx(), &mut tx, &name("us"), of_another).await.unwrap_err().is_not_found());
    let us = publishers::list(&mut tx).await.unwrap().into_iter().find(|p| p.name == name("us")).unwrap();
    assert_eq!((us.people.as_slice(), us.keys[0].ended.as_ref().unwrap().reason.as_str()), (&people[..], "lost"));
    let ada = reviewers::list(&mut tx).await.unwrap().remove(0);
    assert_eq!((ada.name.as_str(), ada.keys.len(), &ada.keys[0].ended), ("ada", 1, &None));
}

#[tokio::test]
async fn signatures_approvals_and_yanks_are_records() {
    let world = World::new().await;
    let mut tx = world.store().begin().await.unwrap();
    let (module, example) = (ModuleDigest([7; 32]), name("example"));
    let id: &'static str = format!("sha256:{}", "1".repeat(64)).leak();
    let key = NewKey { id, public_key: "pem" };
    publishers::add(&ctx(), &mut tx, &name("us"), key, &[]).await.unwrap();
    let second = NewKey { id: format!("sha256:{}", "2".repeat(64)).leak(), ..key };
    reviewers::add(&ctx(), &mut tx, &name("ada"), second).await.unwrap();
    assert!(modules::add_signature(&ctx(), &mut tx, module, id, "signed").await.unwrap());
    assert!(!modules::add_signature(&ctx(), &mut tx, module, id, "signed").await.unwrap());
    assert_eq!(modules::signatures(&mut tx, &example).await.unwrap()[0].document, "signed");
    let reviewer = name("ada");
    let new = NewApproval {
        module,
        kind: "normal",
        reviewer: Some(&reviewer),
        document: "approved",
        key: Some(second.id),
        basis: None,
        diff: "sha256:00",
        verdict: "wider",
        reason: "read it",
    };
    approvals::add(&ctx(), &mut tx, new).await.unwrap();
    approvals::add(&ctx(), &mut tx, new).await.unwrap();
    let all = approvals::of_name(&mut tx, &example).await.unwrap();
    assert_eq!((all.len(), all[0].document.as_str(), all[0].recorded_by.as_str()), (1, "approved", "person:ada"));
    approvals::yank(&ctx(), &mut tx, module, "loses pages").await.unwrap();
    let again = approvals::yank(&ctx(), &mut tx, module, "again").await;
    assert!(matches!(again, Err(StoreError::Exists { .. })));
    assert_eq!(approvals::yanks_of_name(&mut tx, &example).await.unwrap()[0].reason, "loses pages");
    assert_eq!(modules::by_prefix(&mut tx, "sha256:0707").await.unwrap().len(), 1);
    assert_eq!(modules::versions(&mut tx, &example).await.unwrap().len(), 1);
    tx.commit().await.unwrap();
    // Nothing of it can be changed or deleted by what the application may do.
    for table in [
        "publishers",
        "reviewers",
        "signing_keys",
        "signing_key_ends",
        "module_signatures",
        "module_approvals",
        "module_yanks",
        "publisher_people",
    ] {
        for statement in [format!("DELETE FROM {table}"), format!("TRUNCATE {table}")] {
            let mut app = world.db.admin().await.unwrap();
            sqlx::query("SET ROLE porthole_app").execute(&mut app).await.unwrap();
            let error = sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut app).await.unwrap_err().to_string();
            assert!(error.contains("permission denied"), "{table}: {error}");
        }
    }
}

#[tokio::test]
async fn instances_are_made_found_and_changed() {
    let world = World::new().await;
    let config = BTreeMap::from([("org".to_owned(), "acme".to_owned())]);
    let mut tx = world.tx().await;
    let new = NewInstance { name: &name("second"), module: ModuleDigest([7; 32]), config: &config };
    let made = instances::create(&ctx(), &mut tx, new).await.unwrap();
    assert_eq!((made.config["org"].as_str(), made.generation, made.brake), ("acme", 0, Brake::default()));
    assert_eq!(instances::by_name(&mut tx, &name("second")).await.unwrap().id, made.id);
    assert_eq!(instances::list(&mut tx).await.unwrap().len(), 2);
    let brake = Brake { share: 0.5, floor: 7 };
    let update = InstanceUpdate { brake: Some(brake), ..InstanceUpdate::default() };
    let changed = instances::update(&ctx(), &mut tx, made.id, &update).await.unwrap();
    assert_eq!((changed.brake, changed.config), (brake, config.clone()));
    assert!(instances::update(&ctx(), &mut tx, InstanceId::new(), &update).await.unwrap_err().is_not_found());
    tx.commit().await.unwrap();
    let taken = instances::create(&ctx(), &mut world.tx().await, new).await;
    assert!(matches!(taken, Err(StoreError::Exists { kind: "instance", .. })));
    let missing = NewInstance { name: &name("third"), module: ModuleDigest([1; 32]), config: &config };
    assert!(instances::create(&ctx(), &mut world.tx().await, missing).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn a_new_grant_is_a_new_version() {
    let world = World::new().await;
    let mut tx = world.tx().await;
    assert!(grants::current(&mut tx, world.instance.id).await.unwrap().is_none());
    let mut grant = Grant::default();
    grants::set(&ctx(), &mut tx, world.instance.id, &grant).await.unwrap();
    grant.operations.insert("list-things".parse().unwrap());
    let set = grants::set(&ctx(), &mut tx, world.instance.id, &grant).await.unwrap();
    assert_eq!((set.version, set.actor.as_str()), (2, "person:ada"));
    assert_eq!(grants::current(&mut tx, world.instance.id).await.unwrap().unwrap().grant, grant);
    assert_eq!(grants::history(&mut tx, world.instance.id).await.unwrap().len(), 2);
    assert!(grants::set(&ctx(), &mut tx, InstanceId::new(), &grant).await.unwrap_err().is_not_found());
}

async fn add_key(tx: &mut TenantTx) {
    let key = WrappedKey { key_id: 1, wrapped: serde_json::json!({}) };
    keys::add(&ctx(), tx, &key).await.unwrap();
}

#[tokio::test]
async fn a_replaced_credential_loses_its_bytes() {
    let world = World::new().await;
    let slot = "api".parse().unwrap();
    let mut tx = world.tx().await;
    add_key(&mut tx).await;
    for (version, sealed) in [(1, b"first-sealed"), (2, b"other-sealed")] {
        assert_eq!(credentials::next_version(&mut tx, world.instance.id, &slot).await.unwrap(), version);
        let new =
            NewCredential { instance: world.instance.id, slot: &slot, method: "token", version, key_id: 1, sealed };
        credentials::set(&ctx(), &mut tx, new).await.unwrap();
    }
    tx.commit().await.unwrap();
    let dump = world.db.dump().await.unwrap();
    assert!(dump.contains(&hex::encode("other-sealed")) && !dump.contains(&hex::encode("first-sealed")));
    let mut tx = world.tx().await;
    let live = credentials::live(&mut tx, world.instance.id, &slot).await.unwrap().unwrap();
    let sealed = credentials::sealed(&mut tx, Some(world.instance.id)).await.unwrap().pop().unwrap();
    assert_eq!((live.version, sealed.credential.version, sealed.sealed), (2, 2, b"other-sealed".to_vec()));
    assert_eq!(credentials::list(&mut tx, world.instance.id).await.unwrap().len(), 1);
    credentials::remove(&ctx(), &mut tx, world.instance.id, &slot).await.unwrap();
    assert!(credentials::remove(&ctx(), &mut tx, world.instance.id, &slot).await.unwrap_err().is_not_found());
    assert!(credentials::live(&mut tx, world.instance.id, &slot).await.unwrap().is_none());
    // Versions are never used again, not even after a removal.
    assert_eq!(credentials::next_version(&mut tx, world.instance.id, &slot).await.unwrap(), 3);
}

#[tokio::test]
async fn a_credential_sealed_for_an_older_version_is_refused() {
    let world = World::new().await;
    let slot = "api".parse().unwrap();
    let new = NewCredential {
        instance: world.instance.id,
        slot: &slot,
        method: "token",
        version: 1,
        key_id: 1,
        sealed: b"x",
    };
    let mut tx = world.tx().await;
    add_key(&mut tx).await;
    credentials::set(&ctx(), &mut tx, new).await.unwrap();
    assert!(matches!(credentials::set(&ctx(), &mut tx, new).await, Err(StoreError::Changed { .. })));
}

#[tokio::test]
async fn slices_keep_their_numbers() {
    let world = World::new().await;
    let mut tx = world.tx().await;
    let (a, b, c) = (slice("one", "eu"), slice("one", "us"), slice("two", ""));
    let first = slices::ensure(&mut tx, world.instance.id, &[b.clone(), a.clone(), a.clone()]).await.unwrap();
    assert_eq!((first[&a], first[&b]), (1, 2));
    let second = slices::ensure(&mut tx, world.instance.id, &[c.clone(), b.clone()]).await.unwrap();
    assert_eq!((second[&b], second[&c], second.len()), (2, 3, 2));
    assert!(slices::ensure(&mut tx, InstanceId::new(), &[a]).await.unwrap_err().is_not_found());
}
