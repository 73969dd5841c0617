//! Publishing and approving, killed at random moments: the database has all of an act or nothing of it, with its audit
//! records; the local registry can be read at any moment; and the same command again completes what is missing.
//!
//! `PORTHOLE_TEST_KILLS` says how often each is killed, for more than the few of every day.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use porthole_model::id::Name;
use porthole_registry::Packed;
use porthole_registry::pack::digest;
use porthole_registry::sign::ModuleSignature;
use porthole_store::testing::TestDatabase;
use porthole_store::{approvals, modules};
use porthole_tests::trust::{PUBLISHER, PUBLISHER_KEY, REVIEWERS, key, people};
use porthole_tests::world::{bin_dir, op, packed, program};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// How often each act is killed, unless the environment says otherwise: some seconds of every test run.
const KILLS: u32 = 12;

fn kills() -> u32 {
    std::env::var("PORTHOLE_TEST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS)
}

struct World {
    folder: tempfile::TempDir,
    database: TestDatabase,
    packed: Packed,
    name: Name,
}

/// What the database says of the module: versions, signatures, approvals; and the audit records of publishing, signing
/// and approving.
type Told = ([usize; 3], [usize; 3]);

impl World {
    async fn new() -> Self {
        let database = TestDatabase::new().await.unwrap();
        let mut tx = database.store().begin().await.unwrap();
        people(&op(), &mut tx).await.unwrap();
        tx.commit().await.unwrap();
        let (folder, packed) = (tempfile::tempdir().unwrap(), packed("github").unwrap());
        let name = packed.manifest.module.name.clone();
        let world = Self { folder, database, packed, name };
        fs::write(world.file("github.porthole"), &world.packed.bytes).unwrap();
        let signature =
            ModuleSignature::new(&key(PUBLISHER_KEY).unwrap(), &Name::new(PUBLISHER).unwrap(), world.packed.digest);
        fs::write(world.file("github.porthole.sig"), signature.to_file()).unwrap();
        for (name, private) in REVIEWERS {
            let path = world.file(name);
            fs::write(&path, private).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let registry = format!("[registry]\nfolder = \"{}\"\n", world.registry().display());
        fs::write(world.file("porthole.toml"), registry).unwrap();
        world
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn registry(&self) -> PathBuf {
        self.file("modules")
    }

    fn spawn(&self, args: &[&str]) -> Child {
        // Compiled modules where the other tests have theirs: compiling takes seconds.
        let mut command = program(&bin_dir().unwrap().parent().unwrap().join("test-data")).unwrap();
        command.env("PORTHOLE_CONFIG", self.file("porthole.toml")).env("DATABASE_URL", self.database.url());
        command.args(args).current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn publish(&self) -> Child {
        self.spawn(&["module", "publish", "github.porthole"])
    }

    fn approve(&self, reviewer: &str) -> Child {
        let args = ["module", "approve", "github@0.1.0", "--key", reviewer, "--reviewer", reviewer, "--reason", "ok"];
        self.spawn(&args)
    }

    async fn told(&self) -> Told {
        let mut tx = self.database.store().begin().await.unwrap();
        let rows = [
            modules::versions(&mut tx, &self.name).await.unwrap().len(),
            modules::signatures(&mut tx, &self.name).await.unwrap().len(),
            approvals::of_name(&mut tx, &self.name).await.unwrap().len(),
        ];
        tx.rollback().await.unwrap();
        let dump = self.database.dump().await.unwrap();
        let records = ["module.published", "module.signed", "module.approved"];
        (rows, records.map(|action| dump.matches(action).count()))
    }
}

#[track_caller]
fn ends_well(child: Child) {
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

/// Kills a process within the time that it takes, at a moment that nobody chose.
fn kill(mut child: Child, within: Duration) {
    std::thread::sleep(within.mul_f64(rand::random::<f64>() * 1.1));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Whatever is in the layout is whole: each blob is what its name says, and what the index names is there. Gives the
/// number of entries.
fn check(registry: &Path) -> usize {
    let blobs = registry.join("blobs/sha256");
    for entry in fs::read_dir(&blobs).into_iter().flatten().flatten() {
        let name = format!("sha256:{}", entry.file_name().to_string_lossy());
        assert_eq!(digest(&fs::read(entry.path()).unwrap()).to_string(), name);
    }
    let Ok(index) = fs::read(registry.join("index.json")) else { return 0 };
    let index: Value = serde_json::from_slice(&index).expect("half an index");
    let entries = index["manifests"].as_array().unwrap();
    for entry in entries {
        let name = entry["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let manifest: Value = serde_json::from_slice(&fs::read(blobs.join(name)).unwrap()).unwrap();
        for descriptor in manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]) {
            let name = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
            assert!(blobs.join(name).exists(), "{descriptor} is not there");
        }
    }
    assert!(fs::read(registry.join("oci-layout")).is_ok(), "an index without a layout");
    entries.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_publishing() {
    let world = World::new().await;
    // Twice: the first time compiles, if no other test has.
    let mut records = 0;
    let mut takes = Duration::ZERO;
    for _ in 0..2 {
        forget(&world).await;
        let start = Instant::now();
        ends_well(world.publish());
        (takes, records) = (start.elapsed(), records + 1);
    }
    let mut killed_before = 0;
    for round in 0..kills() {
        forget(&world).await;
        kill(world.publish(), takes);
        let (rows, told) = world.told().await;
        // All of it or nothing.
        assert!(rows == [0, 0, 0] || rows == [1, 1, 0], "round {round}: {rows:?}");
        records += rows[0];
        killed_before += 1 - rows[0];
        assert_eq!(told, [records, records, 0], "round {round}");
        assert!(check(&world.registry()) <= 2 * rows[0], "the registry is ahead of the database");
        // Again: it completes what is missing, and does nothing twice.
        ends_well(world.publish());
        records += 1 - rows[0];
        assert_eq!(world.told().await, ([1, 1, 0], [records, records, 0]), "round {round}");
        assert_eq!(check(&world.registry()), 2);
    }
    assert!(killed_before > 0, "not one was killed before its end");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_approving() {
    let world = World::new().await;
    ends_well(world.publish());
    let start = Instant::now();
    ends_well(world.approve("cleo"));
    let (takes, mut records) = (start.elapsed(), 1);
    for round in 0..kills() {
        // What is approved stays approved, so each round starts from an approval less.
        world.database.tamper("DELETE FROM module_approvals WHERE reviewer <> 'cleo'").await.unwrap();
        kill(world.approve("ada"), takes);
        let (rows, told) = world.told().await;
        let approved = rows[2] - 1;
        records += approved;
        assert_eq!((rows, told), ([1, 1, 1 + approved], [1, 1, records]), "round {round}");
        check(&world.registry());
        let again = world.approve("ada").wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&again.stderr).into_owned();
        // Either it does it now, or it says that it is done.
        assert!(again.status.success() == (approved == 0), "round {round}: {err}");
        assert!(approved == 0 || err.contains("ada has approved github@0.1.0 already"), "{err}");
        records += 1 - approved;
        assert_eq!(world.told().await, ([1, 1, 2], [1, 1, records]), "round {round}");
        // Whatever an approval that was killed left out of the registry, publishing again brings in.
        ends_well(world.publish());
        assert!(check(&world.registry()) >= 4);
    }
}

/// As before it was published. The records stay.
async fn forget(world: &World) {
    world.database.tamper("DELETE FROM module_signatures").await.unwrap();
    world.database.tamper("DELETE FROM modules").await.unwrap();
    drop(fs::remove_dir_all(world.registry()));
}
