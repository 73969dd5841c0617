//! Data keys: which one seals, what a rotation and a shredding leave behind, and who waits for whom.

use crate::world::{World, ctx};
use porthole_store::credentials::{self, NewCredential, SealingKey};
use porthole_store::keys::{self, WrappedKey};
use porthole_store::{StoreError, TenantTx};
use std::time::Duration;

/// How long a statement may be on its way before it counts as one that waits for a lock.
const WAITS: Duration = Duration::from_millis(300);

fn key(key_id: i32, text: &str) -> WrappedKey {
    WrappedKey { key_id, wrapped: serde_json::json!({ "key_id": "kek", "bytes": text }) }
}

async fn set(world: &World, tx: &mut TenantTx, key_id: i32, sealed: &[u8]) -> Result<i32, StoreError> {
    let (instance, slot) = (world.instance.id, "api".parse().unwrap());
    let version = credentials::next_version(tx, instance, &slot).await?;
    let new = NewCredential { instance, slot: &slot, method: "token", version, key_id, sealed };
    credentials::set(&ctx(), tx, new).await.map(|set| set.key_id)
}

/// A tenant with key v1 and a secret under it.
pub(crate) async fn world() -> World {
    let world = World::new().await;
    let mut tx = world.tx().await;
    keys::add(&ctx(), &mut tx, &key(1, "one")).await.unwrap();
    set(&world, &mut tx, 1, b"sealed with one").await.unwrap();
    tx.commit().await.unwrap();
    world
}

/// What `rotate` does, with bytes that nobody sealed.
async fn rotate(tx: &mut TenantTx) -> Vec<i32> {
    assert!(!keys::lock(tx).await.unwrap().is_empty());
    let new = keys::next_id(tx).await.unwrap();
    keys::add(&ctx(), tx, &key(new, "new")).await.unwrap();
    let all = credentials::sealed(tx, None).await.unwrap();
    for secret in &all {
        assert!(credentials::reseal(tx, &secret.credential, new, b"sealed anew").await.unwrap());
    }
    keys::end_unused(&ctx(), tx, new, all.len()).await.unwrap()
}

#[tokio::test]
async fn keys_follow_each_other_and_no_number_comes_twice() {
    let world = World::new().await;
    let mut tx = world.tx().await;
    assert!(keys::current(&mut tx).await.unwrap().is_none() && keys::lock(&mut tx).await.unwrap().is_empty());
    assert_eq!(keys::next_id(&mut tx).await.unwrap(), 1);
    keys::add(&ctx(), &mut tx, &key(1, "one")).await.unwrap();
    assert!(matches!(keys::add(&ctx(), &mut tx, &key(1, "other")).await, Err(StoreError::Changed { .. })));
    keys::add(&ctx(), &mut tx, &key(2, "two")).await.unwrap();
    assert_eq!(keys::current(&mut tx).await.unwrap().unwrap().key_id, 2);
    assert_eq!(keys::live(&mut tx).await.unwrap().iter().map(|k| k.key_id).collect::<Vec<_>>(), [2, 1]);
    keys::shred(&ctx(), &mut tx, "a test").await.unwrap();
    assert!(keys::current(&mut tx).await.unwrap().is_none());
    assert_eq!(keys::next_id(&mut tx).await.unwrap(), 3);
}

#[tokio::test]
async fn a_key_is_wrapped_anew_only_if_it_is_still_the_one_that_was_read() {
    let world = world().await;
    let mut tx = world.tx().await;
    let read = keys::live(&mut tx).await.unwrap().remove(0);
    let anew = serde_json::json!({ "key_id": "kek2", "bytes": "one anew" });
    assert!(keys::rewrap(&ctx(), &mut tx, &read, &anew).await.unwrap());
    assert!(!keys::rewrap(&ctx(), &mut tx, &read, &anew).await.unwrap());
    let read = keys::live(&mut tx).await.unwrap().remove(0);
    assert_eq!(read.wrapped, anew);
    keys::shred(&ctx(), &mut tx, "a test").await.unwrap();
    assert!(!keys::rewrap(&ctx(), &mut tx, &read, &anew).await.unwrap());
}

#[tokio::test]
async fn a_rotation_ends_the_key_that_nothing_needs_any_more() {
    let world = world().await;
    let mut tx = world.tx().await;
    assert_eq!(rotate(&mut tx).await, [1]);
    tx.commit().await.unwrap();
    let mut tx = world.tx().await;
    let list = keys::list(&mut tx).await.unwrap();
    assert_eq!(
        list.iter().map(|k| (k.key_id, k.secrets, k.end.is_some())).collect::<Vec<_>>(),
        [(2, 1, false), (1, 0, true)]
    );
    let end = list[1].end.clone().unwrap();
    assert_eq!((end.by.as_str(), end.shredded, list[1].wrapped.is_none()), ("person:ada", false, true));
    let secret = credentials::sealed(&mut tx, Some(world.instance.id)).await.unwrap().remove(0);
    assert_eq!((secret.credential.version, secret.credential.key_id), (1, 2));
    assert!(matches!(secret.key, SealingKey::Wrapped(_)) && secret.sealed == b"sealed anew");
    // The ended key seals nothing more, and its bytes are nowhere.
    assert!(matches!(set(&world, &mut tx, 1, b"x").await, Err(StoreError::Changed { .. })));
    drop(tx);
    let dump = world.db.dump().await.unwrap();
    assert!(!dump.contains("\"one\"") && !dump.contains(&hex::encode("sealed with one")), "{dump}");
}

#[tokio::test]
async fn a_rotation_that_is_not_committed_leaves_everything_as_it_was() {
    let world = world().await;
    let mut tx = world.tx().await;
    rotate(&mut tx).await;
    tx.rollback().await.unwrap();
    let mut tx = world.tx().await;
    let secret = credentials::sealed(&mut tx, None).await.unwrap().remove(0);
    assert_eq!((secret.credential.key_id, secret.sealed.as_slice()), (1, b"sealed with one".as_slice()));
    assert_eq!(keys::live(&mut tx).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_shredded_key_is_gone_and_its_secrets_say_why() {
    let world = world().await;
    let mut tx = world.tx().await;
    let done = keys::shred(&ctx(), &mut tx, "the customer left").await.unwrap();
    assert_eq!((done.keys.as_slice(), done.secrets), ([1].as_slice(), 1));
    assert!(keys::shred(&ctx(), &mut tx, "again").await.unwrap_err().is_not_found());
    tx.commit().await.unwrap();
    let mut tx = world.tx().await;
    let secret = credentials::sealed(&mut tx, None).await.unwrap().remove(0);
    let SealingKey::Ended(end) = secret.key else { panic!("the key is still there") };
    assert_eq!((end.reason.as_str(), end.by.as_str(), end.shredded), ("the customer left", "person:ada", true));
    assert_eq!(secret.sealed, b"sealed with one");
    assert!(!world.db.dump().await.unwrap().contains("\"one\""));
    // A new secret gets a new key; the old one stays lost.
    keys::add(&ctx(), &mut tx, &key(2, "two")).await.unwrap();
    assert_eq!(set(&world, &mut tx, 2, b"sealed with two").await.unwrap(), 2);
    assert_eq!(keys::list(&mut tx).await.unwrap().iter().map(|k| k.secrets).collect::<Vec<_>>(), [1, 0]);
}

/// A rotation begins while a secret is being sealed: it waits, and finds the secret.
#[tokio::test]
async fn a_rotation_waits_for_a_secret_that_is_being_sealed() {
    let world = world().await;
    let mut sealing = world.tx().await;
    let current = keys::current(&mut sealing).await.unwrap().unwrap();
    let mut rotating = world.tx().await;
    let mut rotation = Box::pin(rotate(&mut rotating));
    assert!(tokio::time::timeout(WAITS, &mut rotation).await.is_err(), "the rotation didn't wait");
    set(&world, &mut sealing, current.key_id, b"a new secret").await.unwrap();
    sealing.commit().await.unwrap();
    assert_eq!(rotation.await, [1]);
    rotating.commit().await.unwrap();
    let secret = credentials::sealed(&mut world.tx().await, None).await.unwrap().remove(0);
    assert_eq!((secret.credential.version, secret.credential.key_id), (2, 2));
    assert!(matches!(secret.key, SealingKey::Wrapped(_)));
}

/// A secret is to be sealed while a rotation is going on: it waits, and is sealed with the new key.
#[tokio::test]
async fn a_secret_waits_for_a_rotation_and_gets_the_new_key() {
    let world = world().await;
    for expected in [2, 3] {
        let mut rotating = world.tx().await;
        rotate(&mut rotating).await;
        let mut sealing = world.tx().await;
        let mut current = Box::pin(keys::current(&mut sealing));
        assert!(tokio::time::timeout(WAITS, &mut current).await.is_err(), "the key was given out during a rotation");
        rotating.commit().await.unwrap();
        let current = current.await.unwrap().unwrap();
        assert_eq!(current.key_id, expected);
        assert_eq!(set(&world, &mut sealing, current.key_id, b"a new secret").await.unwrap(), expected);
        sealing.commit().await.unwrap();
    }
    // Two rotations at once: the second finds the first one's key.
    let (mut first, mut second) = (world.tx().await, world.tx().await);
    rotate(&mut first).await;
    let mut waiting = Box::pin(rotate(&mut second));
    assert!(tokio::time::timeout(WAITS, &mut waiting).await.is_err(), "two rotations at once");
    first.commit().await.unwrap();
    assert_eq!(waiting.await, [4]);
}

#[tokio::test]
async fn many_secrets_and_rotations_at_once_leave_every_secret_under_a_live_key() {
    let world = world().await;
    let seal = || async {
        for _ in 0..8 {
            let mut tx = world.tx().await;
            let current = keys::current(&mut tx).await.unwrap().unwrap();
            match set(&world, &mut tx, current.key_id, b"sealed").await {
                // Another one filled the slot first; that is the caller's to try again.
                Ok(_) | Err(StoreError::Changed { kind: "credential", .. }) => drop(tx.commit().await),
                Err(e) => panic!("{e:?}"),
            }
        }
    };
    let replace = || async {
        for _ in 0..8 {
            let mut tx = world.tx().await;
            rotate_quietly(&mut tx).await;
            tx.commit().await.unwrap();
        }
    };
    tokio::join!(seal(), replace(), seal(), replace());
    let mut tx = world.tx().await;
    for secret in credentials::sealed(&mut tx, None).await.unwrap() {
        assert!(matches!(secret.key, SealingKey::Wrapped(_)), "{secret:?}");
    }
    assert_eq!(keys::live(&mut tx).await.unwrap().len(), 1);
}

async fn rotate_quietly(tx: &mut TenantTx) {
    keys::lock(tx).await.unwrap();
    let new = keys::next_id(tx).await.unwrap();
    keys::add(&ctx(), tx, &key(new, "new")).await.unwrap();
    for secret in credentials::sealed(tx, None).await.unwrap() {
        credentials::reseal(tx, &secret.credential, new, b"sealed anew").await.unwrap();
    }
    keys::end_unused(&ctx(), tx, new, 0).await.unwrap();
}

#[tokio::test]
async fn a_tenant_sees_no_other_tenant_s_keys() {
    let world = world().await;
    let mut tx = world.store().begin().await.unwrap();
    let stranger = porthole_store::tenants::create(&ctx(), &mut tx, &crate::world::name("stranger")).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = world.store().tenant(stranger.id).await.unwrap();
    assert!(keys::list(&mut tx).await.unwrap().is_empty() && keys::current(&mut tx).await.unwrap().is_none());
    assert!(credentials::sealed(&mut tx, None).await.unwrap().is_empty());
    assert!(keys::shred(&ctx(), &mut tx, "not mine").await.unwrap_err().is_not_found());
    tx.commit().await.unwrap();
    assert_eq!(keys::live(&mut world.tx().await).await.unwrap().len(), 1);
}
