//! `kill -9` of whoever publishes, approves, yanks, rotates keys or sequences, at random moments: afterwards every log
//! verifies, each act that happened has its record once, none that didn't has one, and every secret still opens.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]
#![allow(clippy::print_stdout, reason = "the seed of a failed test, and what the kills hit")]

use porthole_model::audit::{Action, Entry, Log, Object, Record};
use porthole_model::manifest::Manifest;
use porthole_model::run::Outcome;
use porthole_registry::Packed;
use porthole_registry::sign::ModuleSignature;
use porthole_store::audit::read::LogTx;
use porthole_store::{approvals, audit, keys, modules};
use porthole_tests::fake_github::FakeGithub;
use porthole_tests::trust::{PUBLISHER, PUBLISHER_KEY, REVIEWERS, key};
use porthole_tests::world::{World, WorldBuilder, op, packed, packed_with, program};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Random moments.
const MOMENTS: u32 = 200;
/// New versions to publish: each costs a compilation, so most moments are spent on what can be done again.
const VERSIONS: usize = 12;
/// How long one command may take when nobody kills it.
const COMMAND: Duration = Duration::from_secs(120);
/// Records that are written at once before a sequencer is killed, so that there is something to interrupt.
const BURST: usize = 2_000;

/// One thing to be killed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Publish(usize),
    Approve(usize, usize),
    Yank(usize),
    RotateKeys,
    RotateTenant,
    Sequence,
}

impl Act {
    fn kind(self) -> &'static str {
        match self {
            Self::Publish(_) => "publish",
            Self::Approve(..) => "approve",
            Self::Yank(_) => "yank",
            Self::RotateKeys => "rotate keys",
            Self::RotateTenant => "rotate tenant",
            Self::Sequence => "sequence",
        }
    }
}

struct Scene {
    world: World,
    versions: Vec<Packed>,
    /// How long each kind of act takes, when it isn't killed.
    typical: BTreeMap<&'static str, Duration>,
}

impl Scene {
    async fn new(fake: &FakeGithub) -> Self {
        let world = WorldBuilder::github(fake).unwrap().build().await.unwrap();
        std::fs::create_dir_all(world.path().join("data")).unwrap();
        let text = format!(
            "[endpoints]\n\"api.github.com\" = \"{}\"\n[worker]\nkey-file = \"{}\"\n",
            fake.url(),
            world.path().join("kek").display()
        );
        std::fs::write(world.path().join("porthole.toml"), text).unwrap();
        for (name, pem) in REVIEWERS {
            private_file(&world, &format!("{name}.key"), pem);
        }
        let base = packed("github").unwrap().manifest;
        let mut versions = Vec::new();
        for n in 0..VERSIONS {
            let mut manifest: Manifest = base.clone();
            manifest.module.version = format!("0.{}.0", n + 2);
            let module = packed_with("github", &manifest).unwrap();
            let publisher = PUBLISHER.parse().unwrap();
            let signature = ModuleSignature::new(&key(PUBLISHER_KEY).unwrap(), &publisher, module.digest);
            std::fs::write(world.path().join(format!("{n}.porthole")), &module.bytes).unwrap();
            std::fs::write(world.path().join(format!("{n}.porthole.sig")), signature.to_file()).unwrap();
            versions.push(module);
        }
        Self { world, versions, typical: BTreeMap::new() }
    }

    fn name(&self, n: usize) -> String {
        format!("github@{}", self.versions[n].manifest.module.version)
    }

    fn start(&self, act: Act) -> Child {
        let file = |name: String| self.world.path().join(name).display().to_string();
        let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let args = match act {
            Act::Publish(n) => words(&["module", "publish", &file(format!("{n}.porthole"))]),
            Act::Approve(n, who) => {
                let reviewer = REVIEWERS[who].0;
                let key = file(format!("{reviewer}.key"));
                words(&[
                    "module",
                    "approve",
                    &self.name(n),
                    "--key",
                    &key,
                    "--reviewer",
                    reviewer,
                    "--reason",
                    "a test",
                ])
            }
            Act::Yank(n) => words(&["module", "yank", &self.name(n), "--reason", "a test"]),
            Act::RotateKeys => words(&["key", "rotate"]),
            Act::RotateTenant => words(&["key", "rotate", "--tenant", "acme"]),
            Act::Sequence => words(&["work"]),
        };
        self.program(&args).stdout(Stdio::null()).spawn().unwrap()
    }

    fn program(&self, args: &[String]) -> Command {
        let path = self.world.path();
        let log = std::fs::File::options().create(true).append(true).open(path.join("log")).unwrap();
        let mut command = program(&path.join("data")).unwrap();
        command
            .args(args)
            .env("DATABASE_URL", self.world.database.url())
            .env("PORTHOLE_CONFIG", path.join("porthole.toml"))
            .stdin(Stdio::null())
            .stderr(log);
        command
    }

    /// Does it without a kill; true when the program says that it went well.
    async fn whole(&mut self, act: Act) -> bool {
        let begun = Instant::now();
        let mut child = self.start(act);
        loop {
            if act == Act::Sequence && self.pending().await == 0 {
                child.kill().unwrap();
                child.wait().unwrap();
                self.typical.entry(act.kind()).or_insert_with(|| begun.elapsed());
                return true;
            }
            if let Some(status) = child.try_wait().unwrap() {
                self.typical.entry(act.kind()).or_insert_with(|| begun.elapsed());
                return status.success();
            }
            if begun.elapsed() > COMMAND {
                let _ = child.kill();
                panic!("{act:?} doesn't end; the log:\n{}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.world.path().join("log")).unwrap_or_default()
    }

    /// Records of all logs that wait for a sequencer.
    async fn pending(&self) -> u64 {
        let mut pending = 0;
        for log in [Log::Platform, Log::Tenant(self.world.tenant)] {
            pending += LogTx::open(self.world.store(), log).await.unwrap().pending().await.unwrap();
        }
        pending
    }

    /// Something to sequence.
    async fn burst(&self) {
        let mut tx = self.world.store().tenant(self.world.tenant).await.unwrap();
        let entry = || Entry::new(Action::InstanceChanged, Object::new("instance", "burst"));
        audit::append_all(&op(), &mut tx, (0..BURST).map(|_| entry()).collect()).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// What there is of a version: published, who approved it, yanked.
    async fn state(&self) -> Facts {
        let mut tx = self.world.store().begin().await.unwrap();
        let name = "github".parse().unwrap();
        let published = modules::versions(&mut tx, &name).await.unwrap().into_iter().map(|m| m.digest.to_string());
        let approved = approvals::of_name(&mut tx, &name).await.unwrap().into_iter();
        let yanked = approvals::yanks_of_name(&mut tx, &name).await.unwrap().into_iter();
        Facts {
            published: published.collect(),
            approved: approved.map(|a| a.module.to_string()).collect(),
            yanked: yanked.map(|y| y.module.to_string()).collect(),
        }
    }

    /// Exports a log with the program, checks it with the program, and reads its records.
    fn exported(&self, which: &[&str], name: &str) -> Vec<Record> {
        let path = self.world.path();
        let (file, vkey) = (path.join(format!("{name}.log")), path.join(format!("{name}.vkey")));
        let run = |args: &[&str]| {
            let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
            let output = self.program(&args).stderr(Stdio::piped()).output().unwrap();
            let text =
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success(), "{args:?}: {text}");
            output.stdout
        };
        run(&[&["audit", "export", "--out", file.to_str().unwrap()], which].concat());
        std::fs::write(&vkey, run(&["audit", "key", "--tenant", "acme"])).unwrap();
        run(&["audit", "verify", file.to_str().unwrap(), "--key", vkey.to_str().unwrap()]);
        let text = std::fs::read_to_string(&file).unwrap();
        text.lines().filter_map(|line| Record::parse(line.as_bytes()).ok()).collect()
    }
}

/// Digests of what happened to which version, from the tables.
#[derive(Debug, PartialEq, Eq)]
struct Facts {
    published: BTreeSet<String>,
    /// Once for each approval.
    approved: Vec<String>,
    yanked: BTreeSet<String>,
}

fn private_file(world: &World, name: &str, text: &str) {
    let path = world.path().join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn objects(records: &[Record], action: Action) -> Vec<String> {
    let mut all: Vec<String> = records.iter().filter(|r| r.action == action).map(|r| r.object.id.clone()).collect();
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn no_record_is_lost_or_doubled_by_kill_9() {
    let fake = FakeGithub::builder().org("acme").seed(3).repos(5).members(3).teams(1).token("ghp_0123456789abcdef");
    let fake = fake.start().await.unwrap();
    let mut scene = Scene::new(&fake).await;
    // Once of each without a kill: how long does it take?
    for act in [Act::Publish(0), Act::Approve(0, 0), Act::Yank(0), Act::RotateKeys, Act::RotateTenant, Act::Sequence] {
        assert!(scene.whole(act).await, "{act:?}: {}", scene.log());
    }
    let seed = rand::random::<u64>();
    println!("seed {seed}; {:?}", scene.typical);
    let mut random = StdRng::seed_from_u64(seed);
    let mut next = 1;
    let mut hit: BTreeMap<&str, u32> = BTreeMap::new();
    for moment in 0..MOMENTS {
        let published = next;
        let act = match random.random_range(0..100) {
            0..15 if next < VERSIONS => Act::Publish(next),
            0..30 => Act::Approve(random.random_range(0..published), random.random_range(0..REVIEWERS.len())),
            30..40 => Act::Yank(random.random_range(0..published)),
            40..60 => Act::RotateKeys,
            60..80 => Act::RotateTenant,
            _ => Act::Sequence,
        };
        if act == Act::Sequence {
            scene.burst().await;
        }
        let mut child = scene.start(act);
        tokio::time::sleep(scene.typical[act.kind()].mul_f64(random.random_range(0.0..1.1))).await;
        if child.try_wait().unwrap().is_none() {
            *hit.entry(act.kind()).or_default() += 1;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        match act {
            // It goes on from wherever it was, as often as it takes.
            Act::Publish(n) => {
                assert!(scene.whole(act).await, "moment {moment}, seed {seed}, {act:?}: {}", scene.log());
                next = n + 1;
            }
            Act::RotateKeys | Act::RotateTenant if moment % 5 == 0 => {
                assert!(scene.whole(act).await, "moment {moment}, seed {seed}, {act:?}: {}", scene.log());
            }
            _ => {}
        }
    }
    println!("killed: {hit:?}");
    assert!(hit.values().sum::<u32>() > MOMENTS / 4, "hardly a kill hit anything: {hit:?}");
    assert!(scene.whole(Act::RotateKeys).await && scene.whole(Act::Sequence).await, "{}", scene.log());

    let platform = scene.exported(&["--platform"], "platform");
    let tenant = scene.exported(&["--tenant", "acme"], "acme");
    let ids: BTreeSet<_> = platform.iter().chain(&tenant).map(|r| r.id).collect();
    assert_eq!(ids.len(), platform.len() + tenant.len(), "a record is there twice");
    let facts = scene.state().await;
    let sorted = |all: &BTreeSet<String>| all.iter().cloned().collect::<Vec<_>>();
    assert_eq!(objects(&platform, Action::ModulePublished), sorted(&facts.published), "seed {seed}");
    assert_eq!(objects(&platform, Action::ModuleYanked), sorted(&facts.yanked), "seed {seed}");
    let mut approved = facts.approved.clone();
    approved.sort();
    assert_eq!(objects(&platform, Action::ModuleApproved), approved, "seed {seed}");

    // Each data key that was made has its record, and the one that is live opens what is stored: a run needs it.
    let mut tx = scene.world.store().tenant(scene.world.tenant).await.unwrap();
    let made = keys::list(&mut tx).await.unwrap().len();
    tx.commit().await.unwrap();
    assert_eq!(objects(&tenant, Action::KeyCreated).len(), made, "seed {seed}");
    assert_eq!(objects(&tenant, Action::KeyRotated).len(), made - 1, "seed {seed}");
    // How each key is wrapped goes on, record by record, from where the record before left it.
    let mut wrapped: BTreeMap<&str, &str> = BTreeMap::new();
    for record in &tenant {
        match record.action {
            Action::KeyCreated => drop(wrapped.insert(&record.object.id, &record.facts["wrapped-with"])),
            Action::KeyRewrapped => {
                let before = wrapped.insert(&record.object.id, &record.facts["to"]);
                assert_eq!(before, Some(record.facts["from"].as_str()), "seed {seed}: {record:?}");
            }
            _ => {}
        }
    }
    let bursts = tenant.iter().filter(|r| r.object.id == "burst").count();
    assert_eq!(bursts % BURST, 0, "a burst was sequenced in part");
    let run = scene.world.run().await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Succeeded), "{}", run.message);
}
