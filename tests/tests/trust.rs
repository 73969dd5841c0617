//! Only modules that are signed, approved and not yanked run. For each way not to be, a run that ends before the guest's
//! code starts, with a message that says which and what to do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use porthole_model::id::{ModuleDigest, Name};
use porthole_model::run::{Fault, Outcome, RunMode};
use porthole_registry::Packed;
use porthole_registry::approval::ApprovalKind;
use porthole_registry::key::{KeyId, SigningKey};
use porthole_registry::sign::ModuleSignature;
use porthole_registry::trust::Policy;
use porthole_runner::trust::Judge;
use porthole_store::instances::{self, InstanceUpdate};
use porthole_store::modules::{self, NewModule};
use porthole_store::runs::Run;
use porthole_store::signing_keys::{NewEnd, NewKey};
use porthole_store::{PlatformTx, approvals, publishers};
use porthole_tests::fake_github::FakeGithub;
use porthole_tests::trust::{PUBLISHER, PUBLISHER_KEY, REVIEWERS, approve, key, publish};
use porthole_tests::world::{World, WorldBuilder, op, packed, packed_with};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long something that takes milliseconds may take on a loaded machine.
const SOON: Duration = Duration::from_secs(60);

async fn fake() -> FakeGithub {
    FakeGithub::builder().org("acme").seed(3).repos(3).members(2).teams(1).start().await.unwrap()
}

/// Another version of the GitHub module; perhaps it asks for one operation more.
fn version(version: &str, more: bool) -> Packed {
    let mut manifest = packed("github").unwrap().manifest;
    manifest.module.version = version.to_owned();
    if more {
        let mut operation = manifest.operations.iter().find(|o| o.id.as_str() == "list-teams").unwrap().clone();
        operation.id = "list-hooks".parse().unwrap();
        operation.request = operation.request.replace("/teams", "/hooks");
        manifest.steps.iter_mut().find(|s| s.id.as_str() == "teams").unwrap().uses.push(operation.id.clone());
        manifest.operations.push(operation);
    }
    packed_with("github", &manifest).unwrap()
}

async fn not_vouched(fake: &FakeGithub) -> World {
    WorldBuilder::github(fake).unwrap().not_vouched_for().build().await.unwrap()
}

async fn vouched(fake: &FakeGithub) -> World {
    WorldBuilder::github(fake).unwrap().build().await.unwrap()
}

async fn begin(world: &World) -> PlatformTx {
    world.store().begin().await.unwrap()
}

async fn sign(world: &World, packed: &Packed, publisher: &str, key: &SigningKey) {
    let mut tx = begin(world).await;
    let signature = ModuleSignature::new(key, &Name::new(publisher).unwrap(), packed.digest);
    let (id, file) = (signature.key.to_string(), signature.to_file());
    modules::add_signature(&op(), &mut tx, packed.digest, &id, &file).await.unwrap();
    tx.commit().await.unwrap();
}

async fn approved(world: &World, packed: &Packed, basis: Option<&Packed>, reviewer: usize, kind: ApprovalKind) {
    let mut tx = begin(world).await;
    approve(&op(), &mut tx, packed, basis, reviewer, kind).await.unwrap();
    tx.commit().await.unwrap();
}

/// Publishes another version, signed, and moves the instance to it behind the back of the command line.
async fn upgrade(world: &World, packed: &Packed) {
    let mut tx = begin(world).await;
    publish(&op(), &mut tx, packed, true).await.unwrap();
    tx.commit().await.unwrap();
    use_module(world, packed.digest).await;
}

async fn use_module(world: &World, module: ModuleDigest) {
    let mut tx = world.store().tenant(world.tenant).await.unwrap();
    let update = InstanceUpdate { module: Some(module), ..InstanceUpdate::default() };
    instances::update(&op(), &mut tx, world.instance, &update).await.unwrap();
    tx.commit().await.unwrap();
}

async fn publisher_key(world: &World, publisher: &str, key: &SigningKey, people: &[String]) {
    let (id, pem) = (key.public().id().to_string(), key.public().to_pem());
    let mut tx = begin(world).await;
    let new = NewKey { id: &id, public_key: &pem };
    publishers::add(&op(), &mut tx, &Name::new(publisher).unwrap(), new, people).await.unwrap();
    tx.commit().await.unwrap();
}

/// What a run that was not allowed to start says; nothing was asked of the provider.
#[track_caller]
fn denied(run: &Run, fault: Fault) -> String {
    assert_eq!((run.outcome, run.fault), (Some(Outcome::Denied), Some(fault)), "{}", run.message);
    run.message.clone()
}

#[track_caller]
fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_changed_byte_does_not_run() {
    let fake = fake().await;
    let world = vouched(&fake).await;
    let flip = "UPDATE modules SET component = set_byte(component, 4242, get_byte(component, 4242) # 1)";
    assert_eq!(world.database.tamper(flip).await.unwrap(), 1);
    let message = denied(&world.run().await.unwrap(), Fault::Host);
    says(
        &message,
        &["the stored bytes of sha256:", "were changed after they were published", "find out who can write"],
    );
    assert_eq!(fake.stats().requests, 0);
    // Back, and it runs.
    world.database.tamper(flip).await.unwrap();
    assert_eq!(world.run().await.unwrap().outcome, Some(Outcome::Succeeded));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsigned_module_and_a_stranger_s_do_not_run() {
    let fake = fake().await;
    let world = not_vouched(&fake).await;
    let packed = packed("github").unwrap();
    for reviewer in [0, 1] {
        approved(&world, &packed, None, reviewer, ApprovalKind::Normal).await;
    }
    let message = denied(&world.run().await.unwrap(), Fault::Guest);
    says(&message, &["github@0.1.0 is not signed", "`porthole module sign FILE --key KEY --publisher NAME`"]);

    // Another publisher, whom we know, in its own name and in the name of this one.
    let evil = SigningKey::generate().unwrap().1;
    publisher_key(&world, "evil", &evil, &[]).await;
    sign(&world, &packed, PUBLISHER, &evil).await;
    let message = denied(&world.run().await.unwrap(), Fault::Guest);
    says(&message, &["github@0.1.0 says it is signed by tests, but the key", "is evil's; have tests sign it"]);
    world.database.tamper("DELETE FROM module_signatures").await.unwrap();
    sign(&world, &packed, "evil", &evil).await;
    let message = denied(&world.run().await.unwrap(), Fault::Guest);
    says(&message, &["is signed by evil, but it is tests's"]);
    assert_eq!(fake.stats().requests, 0);

    // One good signature is enough.
    sign(&world, &packed, PUBLISHER, &key(PUBLISHER_KEY).unwrap()).await;
    assert_eq!(world.run().await.unwrap().outcome, Some(Outcome::Succeeded));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_of_nobody_s_key_can_not_be_made_to_run() {
    let fake = fake().await;
    let world = not_vouched(&fake).await;
    let packed = version("0.9.0", false);
    let stranger = SigningKey::generate().unwrap().1;
    // Somebody writes into the tables, with a key of their own under the id of the publisher's.
    let signature = ModuleSignature::new(&stranger, &Name::new(PUBLISHER).unwrap(), packed.digest);
    let mut tx = begin(&world).await;
    let (manifest, component) = (&packed.manifest, packed.bytes.as_slice());
    let new = NewModule { digest: packed.digest, publisher: PUBLISHER, manifest, component };
    modules::add(&op(), &mut tx, new).await.unwrap();
    let id = key(PUBLISHER_KEY).unwrap().public().id().to_string();
    modules::add_signature(&op(), &mut tx, packed.digest, &id, &signature.to_file()).await.unwrap();
    tx.commit().await.unwrap();
    for reviewer in [0, 1] {
        approved(&world, &packed, None, reviewer, ApprovalKind::Normal).await;
    }
    use_module(&world, packed.digest).await;
    says(&denied(&world.run().await.unwrap(), Fault::Guest), &["the key", "is nobody's here"]);
    // The key in the table replaced by their own: it isn't the one of its id.
    let swap = format!("UPDATE signing_keys SET public_key = '{}' WHERE key_id = '{id}'", stranger.public().to_pem());
    world.database.tamper(&swap).await.unwrap();
    says(&denied(&world.run().await.unwrap(), Fault::Guest), &["the key", "is nobody's here"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_approvals_do_not_run() {
    let fake = fake().await;
    let world = not_vouched(&fake).await;
    let packed = packed("github").unwrap();
    sign(&world, &packed, PUBLISHER, &key(PUBLISHER_KEY).unwrap()).await;
    let message = denied(&world.run().await.unwrap(), Fault::Guest);
    says(&message, &["github@0.1.0 is not approved: 0 of 2 approvals;", "`porthole module approve github@0.1.0 --key"]);
    approved(&world, &packed, None, 0, ApprovalKind::Normal).await;
    says(&denied(&world.run().await.unwrap(), Fault::Guest), &["1 of 2 approvals (by ada)"]);
    // The same person again.
    approved(&world, &packed, None, 0, ApprovalKind::Normal).await;
    says(&denied(&world.run().await.unwrap(), Fault::Guest), &["1 of 2 approvals (by ada)"]);
    // A second person, who belongs to the publisher.
    publisher_key(&world, PUBLISHER, &key(PUBLISHER_KEY).unwrap(), &["ben".to_owned()]).await;
    approved(&world, &packed, None, 1, ApprovalKind::Normal).await;
    says(&denied(&world.run().await.unwrap(), Fault::Guest), &["1 of 2 approvals (by ada)"]);
    approved(&world, &packed, None, 2, ApprovalKind::Normal).await;
    assert_eq!(world.run().await.unwrap().outcome, Some(Outcome::Succeeded));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_published_does_not_approve() {
    let fake = fake().await;
    let world = not_vouched(&fake).await;
    let packed = packed("github").unwrap();
    sign(&world, &packed, PUBLISHER, &key(PUBLISHER_KEY).unwrap()).await;
    world.database.tamper("UPDATE modules SET added_by = 'person:ben'").await.unwrap();
    for reviewer in [0, 1] {
        approved(&world, &packed, None, reviewer, ApprovalKind::Normal).await;
    }
    says(&denied(&world.run().await.unwrap(), Fault::Guest), &["1 of 2 approvals (by ada)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_operation_more_than_approved_does_not_run() {
    let fake = fake().await;
    let world = vouched(&fake).await;
    let (first, second) = (packed("github").unwrap(), version("0.2.0", true));
    upgrade(&world, &second).await;
    let message = denied(&world.run().await.unwrap(), Fault::Guest);
    says(
        &message,
        &[
            "github@0.2.0 is not approved: 0 of 2 approvals",
            "it asks for 1 operation more than github@0.1.0, which is approved: list-hooks",
            "`porthole module diff github@0.1.0 github@0.2.0` shows it",
        ],
    );
    // One person isn't enough for it, also one who says that nothing got wider.
    approved(&world, &second, Some(&first), 2, ApprovalKind::Normal).await;
    says(&denied(&world.run().await.unwrap(), Fault::Guest), &["1 of 2 approvals (by cleo)", "list-hooks"]);
    approved(&world, &second, Some(&first), 1, ApprovalKind::Normal).await;
    assert_ne!(world.run().await.unwrap().outcome, Some(Outcome::Denied));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_wider_takes_one_person_or_the_policy() {
    let fake = fake().await;
    let mut world = vouched(&fake).await;
    let (first, second, third) = (packed("github").unwrap(), version("0.1.1", false), version("0.1.2", false));
    upgrade(&world, &second).await;
    let message = denied(&world.run().await.unwrap(), Fault::Guest);
    says(&message, &["0 of 1 approvals; it may do nothing that github@0.1.0 may not"]);
    approved(&world, &second, Some(&first), 2, ApprovalKind::Normal).await;
    assert_eq!(world.run().await.unwrap().outcome, Some(Outcome::Succeeded));

    // The policy, for the next one; it counts where it holds.
    upgrade(&world, &third).await;
    approved(&world, &third, Some(&second), usize::MAX, ApprovalKind::Automatic).await;
    let message = denied(&world.run().await.unwrap(), Fault::Guest);
    says(&message, &["0 of 1 approvals; the policy approved it once, and `[approval] automatic` is off now"]);
    world.parts.judge = Arc::new(Judge::new(Policy { automatic: true }));
    assert_eq!(world.run().await.unwrap().outcome, Some(Outcome::Succeeded));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_keys_that_the_operator_names_count() {
    let fake = fake().await;
    let mut world = vouched(&fake).await;
    let id = |pem: &str| key(pem).unwrap().public().id();
    let (publisher, ada, ben) = (id(PUBLISHER_KEY), id(REVIEWERS[0].1), id(REVIEWERS[1].1));
    let judge = |keys: &[KeyId]| Arc::new(Judge::new(Policy::default()).pinned(keys.iter().copied().collect()));
    world.parts.judge = judge(&[publisher, ada, ben]);
    assert_eq!(world.run().await.unwrap().outcome, Some(Outcome::Succeeded));
    // Someone put a reviewer of their own into the database: that approval is none.
    world.parts.judge = judge(&[publisher, ada]);
    says(&denied(&world.run().await.unwrap(), Fault::Guest), &["1 of 2 approvals"]);
    world.parts.judge = judge(&[ada, ben]);
    says(&denied(&world.run().await.unwrap(), Fault::Guest), &["none of those that `[approval] keys`"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_runs_and_says_so_until_a_second_person_followed_up() {
    let fake = fake().await;
    let world = vouched(&fake).await;
    let (first, second) = (packed("github").unwrap(), version("0.2.0", true));
    upgrade(&world, &second).await;
    approved(&world, &second, Some(&first), 0, ApprovalKind::Emergency).await;
    let open = |run: &Run| run.exceptions.as_ref().map(ToString::to_string).unwrap_or_default();
    let run = world.run().await.unwrap();
    assert_ne!(run.outcome, Some(Outcome::Denied), "{}", run.message);
    says(&open(&run), &["github was approved in an emergency by ada (a test), and nobody has followed up"]);
    approved(&world, &second, Some(&first), 0, ApprovalKind::FollowUp).await;
    says(&open(&world.run().await.unwrap()), &["nobody has followed up"]);
    approved(&world, &second, Some(&first), 1, ApprovalKind::FollowUp).await;
    assert!(!open(&world.run().await.unwrap()).contains("emergency"));
}

/// A sandbox program that waits, before it starts, until it may.
fn slow_sandbox(folder: &Path, real: &Path) -> std::path::PathBuf {
    let (program, started, go) = (folder.join("slow-sandbox"), folder.join("started"), folder.join("go"));
    let script = format!(
        "#!/bin/sh\n: > {}\nwhile [ ! -e {} ]; do /bin/sleep 0.02; done\nexec {} \"$@\"\n",
        started.display(),
        go.display(),
        real.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    program
}

/// Does something while a run is between its plan and the hand-over of its code.
async fn meanwhile(world: &mut World, act: impl AsyncFnOnce(&World)) -> Run {
    world.parts.sandbox = slow_sandbox(world.path(), &world.parts.sandbox);
    let run = world.queue(RunMode::Apply).await.unwrap();
    let acting = async {
        let end = Instant::now() + SOON;
        while !world.path().join("started").exists() {
            assert!(Instant::now() < end, "the sandbox isn't started");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        act(world).await;
        std::fs::write(world.path().join("go"), "").unwrap();
    };
    let (run, ()) = tokio::join!(world.work_on(run), acting);
    run.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yank_between_plan_and_hand_over_is_seen() {
    let fake = fake().await;
    let mut world = vouched(&fake).await;
    let digest = packed("github").unwrap().digest;
    let run = meanwhile(&mut world, async |world| {
        let mut tx = begin(world).await;
        approvals::yank(&op(), &mut tx, digest, "it loses pages").await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    assert!(run.plan.is_some(), "it was planned");
    let message = denied(&run, Fault::Guest);
    says(&message, &["github@0.1.0 was yanked by tester on ", "it loses pages", "no other version of it may run"]);
    assert_eq!(fake.stats().requests, 0);

    // From then on it isn't even planned, and the message names the version to use.
    let other = version("0.1.1", false);
    let mut tx = begin(&world).await;
    publish(&op(), &mut tx, &other, true).await.unwrap();
    tx.commit().await.unwrap();
    for reviewer in [0, 1] {
        approved(&world, &other, None, reviewer, ApprovalKind::Normal).await;
    }
    let run = world.run().await.unwrap();
    assert!(run.plan.is_none());
    says(&denied(&run, Fault::Guest), &["use github@0.1.1: `porthole instance set INSTANCE --module github@0.1.1`"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_ends_between_plan_and_hand_over_is_seen() {
    let fake = fake().await;
    let mut world = vouched(&fake).await;
    let run = meanwhile(&mut world, async |world| {
        let mut tx = begin(world).await;
        let end = NewEnd { key: None, reason: "the laptop was stolen", void: false };
        publishers::end(&op(), &mut tx, &Name::new(PUBLISHER).unwrap(), end).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    assert!(run.plan.is_some(), "it was planned");
    let message = denied(&run, Fault::Guest);
    says(&message, &["is signed with a key of tests that was ended", "the laptop was stolen"]);
    assert_eq!(fake.stats().requests, 0);
}
