//! Keys under a working house: rotation while a run is under way, a secret replaced, keys shredded, and `kill -9` of a
//! rotation at random moments. Nobody enters a secret again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
#![allow(clippy::print_stdout, reason = "the seed of a failed test, and what the kills hit")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use porthole_egress::secret::{Binding, KeyFile, Sealed, Transit, TransitConfig, Vault, WrappedKey};
use porthole_model::id::{Name, RunId, TenantId};
use porthole_model::run::{Outcome, RunMode};
use porthole_runner::keys as ring;
use porthole_store::{credentials, keys, tenants};
use porthole_tests::fake_github::{Action, FakeGithub, Fault};
use porthole_tests::fake_transit::FakeTransit;
use porthole_tests::world::{World, WorldBuilder, op, program};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const TOKEN: &str = "ghp_canary0123456789abcdef";
/// How long something that takes milliseconds may take on a loaded machine.
const SOON: Duration = Duration::from_secs(60);
/// Random moments at which a rotation is killed.
const MOMENTS: u32 = 20;
/// Tenants whose keys a killed rotation has to wrap: enough for it to be killed among them.
const TENANTS: usize = 60;

struct Ended {
    code: i32,
    text: String,
}

impl Ended {
    #[track_caller]
    fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}", self.text);
        self.text
    }

    #[track_caller]
    fn refused(self) -> String {
        assert_eq!(self.code, 1, "{}", self.text);
        self.text
    }
}

fn command(world: &World, args: &[&str], key: &str) -> Command {
    let config = world.path().join("porthole.toml");
    std::fs::write(&config, format!("[key]\nfile = \"{}\"\n{key}", world.path().join("kek").display())).unwrap();
    let mut command = program(&world.path().join("data")).unwrap();
    command.args(args).env("PORTHOLE_CONFIG", &config).env("DATABASE_URL", world.database.url());
    // A default tenant has no say in what is done to all of them.
    command.env("PORTHOLE_TENANT", "acme");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn porthole_with(world: &World, args: &[&str], input: &str, key: &str) -> Ended {
    let mut child = command(world, args, key).spawn().unwrap();
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    Ended { code: output.status.code().unwrap_or(-1), text: String::from_utf8(text).unwrap() }
}

fn porthole(world: &World, args: &[&str]) -> Ended {
    porthole_with(world, args, "", "")
}

async fn github() -> FakeGithub {
    let fake = FakeGithub::builder().org("acme").seed(3).repos(20).members(5).outside(1).teams(2).token(TOKEN);
    // Slow enough for something to happen in the middle of a run.
    fake.latency(Duration::from_millis(30)).start().await.unwrap()
}

/// A vault as another process has it.
fn vault(world: &World) -> Vault {
    Vault::new(Arc::new(KeyFile::open(&world.path().join("kek")).unwrap()))
}

async fn live_keys(world: &World, tenant: TenantId) -> Vec<(i32, WrappedKey)> {
    let mut tx = world.store().tenant(tenant).await.unwrap();
    let live = keys::live(&mut tx).await.unwrap();
    live.into_iter().map(|key| (key.key_id, serde_json::from_value(key.wrapped).unwrap())).collect()
}

async fn secret(world: &World) -> credentials::SealedCredential {
    let mut tx = world.store().tenant(world.tenant).await.unwrap();
    credentials::sealed(&mut tx, Some(world.instance)).await.unwrap().remove(0)
}

/// The secret is in no table, in no form in which anyone would write it.
async fn assert_no_canary(world: &World) {
    let dump = world.database.dump().await.unwrap();
    assert!(dump.len() > 10_000 && dump.contains("credentials"));
    for form in [TOKEN.to_owned(), hex::encode(TOKEN), STANDARD.encode(TOKEN)] {
        assert!(!dump.contains(form.trim_end_matches('=')), "{form}");
    }
}

async fn until_calls(world: &World, run: RunId, count: usize) {
    let end = Instant::now() + SOON;
    while world.calls(run).await.unwrap().len() < count {
        assert!(Instant::now() < end, "run {run} makes no calls");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_while_a_run_is_under_way_and_nobody_enters_a_secret_again() {
    let fake = github().await;
    let world = WorldBuilder::github(&fake).unwrap().build().await.unwrap();
    assert_eq!(world.run().await.unwrap().outcome, Some(Outcome::Succeeded));
    let first = vault(&world).key_id().await.unwrap();
    let sealed = secret(&world).await;

    // The key-encryption key, in another process; the worker's own vault was opened long before.
    let said = porthole(&world, &["key", "rotate"]).ok();
    let second = vault(&world).key_id().await.unwrap();
    assert!(said.contains(&second) && said.contains("1 data keys of 1 tenants were re-wrapped"), "{said}");
    assert!(said.contains(&format!("porthole key retire {first}")), "{said}");
    assert_eq!(live_keys(&world, world.tenant).await[0].1.key_id, second);
    assert_eq!(world.run().await.unwrap().outcome, Some(Outcome::Succeeded));

    // Both once more, in the middle of a run.
    let run = world.queue(RunMode::Apply).await.unwrap();
    let rotate = async {
        until_calls(&world, run, 2).await;
        tokio::task::block_in_place(|| {
            porthole(&world, &["key", "rotate"]).ok();
            let said = porthole(&world, &["key", "rotate", "--tenant", "acme"]).ok();
            assert!(said.contains("data key v2 seals its 1 secrets; ended: v1"), "{said}");
            porthole(&world, &["key", "retire", "--unused"]).ok();
        });
        world.get(run).await.unwrap().state
    };
    let (ended, state) = tokio::join!(world.work_on(run), rotate);
    assert_eq!(state.as_str(), "running", "the run was over before the keys were rotated");
    let ended = ended.unwrap();
    assert_eq!(ended.outcome, Some(Outcome::Succeeded), "{}", ended.message);
    let last = world.run().await.unwrap();
    assert_eq!(last.outcome, Some(Outcome::Succeeded), "{}", last.message);

    // The same secret in the same version, under another key.
    let now = secret(&world).await;
    assert_eq!((now.credential.version, now.credential.key_id), (1, 2));
    assert_ne!(now.sealed, sealed.sealed);
    let list = porthole(&world, &["key", "list", "--json"]).ok();
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let keks = list["key_encryption_keys"].as_array().unwrap();
    assert_eq!((keks.len(), &keks[0]["current"], &keks[0]["data_keys"]), (1, &true.into(), &1.into()), "{list}");
    assert_eq!((&list["data_keys"][0]["version"], &list["data_keys"][0]["secrets"]), (&2.into(), &1.into()));
    assert!(list["data_keys"][1]["end"]["reason"].as_str().unwrap().contains("replaced"), "{list}");
    let text = porthole(&world, &["key", "status"]).ok();
    let file = std::fs::read_to_string(world.path().join("kek")).unwrap();
    for digits in file.lines().skip(1).step_by(2) {
        assert!(digits.len() == 64 && !text.contains(digits), "a key was printed");
    }
    assert_no_canary(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_still_wraps_something_is_not_retired() {
    let fake = github().await;
    let world = WorldBuilder::github(&fake).unwrap().build().await.unwrap();
    let file = KeyFile::open(&world.path().join("kek")).unwrap();
    let vault = Vault::new(Arc::new(file));
    let first = vault.key_id().await.unwrap();
    // As if `rotate` had been killed before it wrapped anything.
    let second = vault.rotate().await.unwrap();
    let refused = porthole(&world, &["key", "retire", &first]).refused();
    assert!(
        refused.contains("still wraps 1 data keys, of acme") && refused.contains("porthole key rotate"),
        "{refused}"
    );
    assert!(porthole(&world, &["key", "retire", &second]).refused().contains("wraps new tenant keys"));
    assert!(
        porthole(&world, &["key", "retire", "0123456789abcdef"]).refused().contains("there is no key-encryption key")
    );
    assert!(porthole(&world, &["key", "retire", "--unused"]).ok().contains("no key is without use"));
    assert!(
        porthole(&world, &["key", "rotate"])
            .ok()
            .contains(&format!("going on: not everything is wrapped with key {second}"))
    );
    porthole(&world, &["key", "retire", &first]).ok();
    assert_eq!(world.run().await.unwrap().outcome, Some(Outcome::Succeeded));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_replaced_in_its_slot_and_its_predecessor_s_bytes_are_deleted() {
    let fake = github().await;
    let world = WorldBuilder::github(&fake).unwrap().secret("api", "pat", "ghp_notthisone00000").build().await.unwrap();
    assert_ne!(world.run().await.unwrap().outcome, Some(Outcome::Succeeded));
    let former = secret(&world).await.sealed;
    let args = ["credential", "rotate", "acme/it", "--slot", "api", "--file", "-"];
    let said = porthole_with(&world, &args, TOKEN, "").ok();
    assert!(said.contains("slot api of acme/it: pat v1 is replaced by v2"), "{said}");
    let listed = porthole(&world, &["credential", "list", "acme/it"]).ok();
    assert!(listed.contains("DATA KEY") && listed.contains("v1"), "{listed}");
    let done = world.run().await.unwrap();
    assert_eq!(done.outcome, Some(Outcome::Succeeded), "{}", done.message);
    assert!(!world.database.dump().await.unwrap().contains(&hex::encode(former)));
    assert_no_canary(&world).await;
    porthole(&world, &["credential", "remove", "acme/it", "--slot", "api"]).ok();
    let refused = porthole_with(&world, &args, TOKEN, "").refused();
    assert!(refused.contains("is empty") && refused.contains("porthole credential set"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shredded_can_not_be_read_again() {
    let fake = github().await;
    let mut world = WorldBuilder::github(&fake).unwrap().build().await.unwrap();
    // A worker hears of a cancellation with its heartbeat, three times in a lease.
    world.parts.lease = Duration::from_secs(3);
    assert_eq!(world.run().await.unwrap().outcome, Some(Outcome::Succeeded));
    // What a backup of the database would hold.
    let backup = live_keys(&world, world.tenant).await.remove(0).1;

    let shred =
        |more: &[&str]| porthole(&world, &[&["key", "shred", "acme", "--reason", "the customer left"], more].concat());
    assert!(shred(&[]).refused().contains("--yes-shred acme"));
    assert!(shred(&["--yes-shred", "other"]).refused().contains("nothing was shredded"));
    assert_eq!(world.run().await.unwrap().outcome, Some(Outcome::Succeeded));

    // A run under way has no business any more. This one would take a while.
    let slow = Action::Delay { millis: 20_000 };
    fake.fault(Fault::on("^/repos/", slow.clone())).unwrap();
    fake.fault(Fault::on("^/orgs/acme/teams", slow)).unwrap();
    let run = world.queue(RunMode::Apply).await.unwrap();
    let shredding = async {
        until_calls(&world, run, 2).await;
        tokio::task::block_in_place(|| shred(&["--yes-shred", "acme"]).ok())
    };
    let (ended, said) = tokio::join!(world.work_on(run), shredding);
    assert!(said.contains("data key v1 is shredded; 1 stored secrets") && said.contains("1 running runs"), "{said}");
    assert_eq!(ended.unwrap().outcome, Some(Outcome::Cancelled));
    fake.clear_faults();
    assert!(shred(&["--yes-shred", "acme"]).refused().contains("no data key"));

    let refused = world.run().await.unwrap();
    assert_eq!(refused.outcome, Some(Outcome::Failed));
    for part in ["shredded by person:", "the customer left", "can never be read again", "porthole credential set"] {
        assert!(refused.message.contains(part), "{}", refused.message);
    }
    // The sealed bytes are there; no key that is left opens them.
    let left = secret(&world).await;
    assert!(live_keys(&world, world.tenant).await.is_empty());
    assert!(porthole(&world, &["key", "rotate", "--tenant", "acme"]).refused().contains("no data key"));
    let binding = Binding {
        tenant: world.tenant,
        instance: world.instance,
        slot: left.credential.slot.clone(),
        version: left.credential.version,
    };
    let sealed = Sealed { bytes: left.sealed };
    let fresh = vault(&world).new_tenant_key(world.tenant).await.unwrap();
    let wrong = vault(&world).resealer(world.tenant, &fresh, &fresh).await.unwrap();
    assert!(wrong.reseal(&binding, &sealed).is_err());
    // A backup still has the wrapped key, so it opens until the key-encryption key is gone as well.
    let from_backup = vault(&world).resealer(world.tenant, &backup, &fresh).await.unwrap();
    assert!(from_backup.reseal(&binding, &sealed).is_ok());
    porthole(&world, &["key", "rotate"]).ok();
    porthole(&world, &["key", "retire", "--unused"]).ok();
    assert!(vault(&world).resealer(world.tenant, &backup, &backup).await.is_err());

    // A new secret gets a new key.
    let args = ["credential", "set", "acme/it", "--slot", "api", "--method", "pat", "--file", "-"];
    porthole_with(&world, &args, TOKEN, "").ok();
    assert_eq!(secret(&world).await.credential.key_id, 2);
    assert_eq!(world.run().await.unwrap().outcome, Some(Outcome::Succeeded));
    assert_no_canary(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_house_moves_to_a_key_service_and_its_runs_go_on() {
    let (fake, transit) = (github().await, FakeTransit::start("hvs.token").await.unwrap());
    let mut world = WorldBuilder::github(&fake).unwrap().build().await.unwrap();
    let token = world.path().join("token");
    std::fs::write(&token, "hvs.token").unwrap();
    std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let table = format!("service = \"transit\"\nurl = \"{}\"\ntoken-file = \"{}\"\n", transit.url(), token.display());
    let config = TransitConfig {
        url: transit.url().to_owned(),
        mount: "transit".to_owned(),
        name: "porthole".to_owned(),
        namespace: None,
        token_file: token,
    };
    let file = KeyFile::open(&world.path().join("kek")).unwrap();
    let service = Transit::new(config).unwrap();
    world.parts.vault = Arc::new(Vault::new(Arc::new(service)).with_former(Arc::new(file)));

    assert_eq!(world.run().await.unwrap().outcome, Some(Outcome::Succeeded));
    let said = porthole_with(&world, &["key", "rotate"], "", &table).ok();
    assert!(said.contains("going on: not everything is wrapped with key transit/porthole:v1"), "{said}");
    assert_eq!(live_keys(&world, world.tenant).await[0].1.key_id, "transit/porthole:v1");
    let asked = transit.count("POST transit/decrypt");
    for _ in 0..3 {
        assert_eq!(world.run().await.unwrap().outcome, Some(Outcome::Succeeded));
    }
    assert_eq!(transit.count("POST transit/decrypt") - asked, 1, "the key was not kept for a while");
    let said = porthole_with(&world, &["key", "rotate"], "", &table).ok();
    assert!(said.contains("key transit/porthole:v2 is made"), "{said}");
    porthole_with(&world, &["key", "retire", "transit/porthole:v1"], "", &table).ok();
    assert_eq!(world.run().await.unwrap().outcome, Some(Outcome::Succeeded));

    // A service that is sealed is named, and nothing is collected or deleted for it.
    porthole_with(&world, &["key", "rotate", "--tenant", "acme"], "", &table).ok();
    transit.service().sealed = true;
    let facts = world.facts().await.unwrap();
    let failed = world.run().await.unwrap();
    assert_ne!(failed.outcome, Some(Outcome::Succeeded));
    let told = format!("{} {:?}", failed.message, world.slices(failed.id).await.unwrap());
    assert!(told.contains("it is sealed"), "{told}");
    assert_eq!(world.facts().await.unwrap(), facts);
    assert!(porthole_with(&world, &["key", "list"], "", &table).refused().contains("it is sealed"));
}

/// Tenants with a key each, and with a credential's worth of nothing else.
async fn crowd(world: &World) -> Vec<TenantId> {
    let vault = vault(world);
    let mut all = vec![world.tenant];
    for n in 0..TENANTS {
        let mut tx = world.store().begin().await.unwrap();
        let tenant = tenants::create(&op(), &mut tx, &Name::new(format!("t{n}")).unwrap()).await.unwrap();
        tx.commit().await.unwrap();
        let mut tx = world.store().tenant(tenant.id).await.unwrap();
        ring::sealing_key(&op(), &mut tx, &vault).await.unwrap();
        tx.commit().await.unwrap();
        all.push(tenant.id);
    }
    all
}

/// Every key of every tenant unwraps with what the file holds now.
async fn assert_all_open(world: &World, tenants: &[TenantId], when: &str) {
    let vault = vault(world);
    for tenant in tenants {
        let live = live_keys(world, *tenant).await;
        assert!(!live.is_empty(), "{when}: tenant {tenant} lost its key");
        for (_, key) in live {
            vault.rewrap(*tenant, &key).await.unwrap_or_else(|e| panic!("{when}: tenant {tenant}: {e}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_is_killed_at_any_moment_loses_no_key_and_goes_on() {
    let fake = github().await;
    let world = WorldBuilder::github(&fake).unwrap().build().await.unwrap();
    let tenants = crowd(&world).await;
    let began = Instant::now();
    porthole(&world, &["key", "rotate"]).ok();
    let took = began.elapsed();
    let seed = rand::random::<u64>();
    println!("rotating the keys of {} tenants takes {took:?}; seed {seed}", tenants.len());
    let mut random = StdRng::seed_from_u64(seed);
    let (mut halfway, mut over) = (0, 0);
    for moment in 0..MOMENTS {
        let mut child: Child = command(&world, &["key", "rotate"], "").spawn().unwrap();
        std::thread::sleep(took.mul_f64(random.random_range(0.0..1.1)));
        over += u32::from(child.try_wait().unwrap().is_some());
        // It may have ended just now.
        let _ = child.kill();
        child.wait().unwrap();
        let mut with: Vec<String> = Vec::new();
        for tenant in &tenants {
            with.extend(live_keys(&world, *tenant).await.into_iter().map(|(_, key)| key.key_id));
        }
        with.sort();
        with.dedup();
        halfway += u32::from(with.len() > 1);
        assert_all_open(&world, &tenants, &format!("moment {moment}, seed {seed}")).await;
    }
    println!("{halfway} kills left keys of two generations, {over} came too late");
    let said = porthole(&world, &["key", "rotate"]).ok();
    let current = vault(&world).key_id().await.unwrap();
    for tenant in &tenants {
        assert_eq!(live_keys(&world, *tenant).await[0].1.key_id, current, "{said}");
    }
    porthole(&world, &["key", "retire", "--unused"]).ok();
    assert_eq!(vault(&world).rings().await.unwrap()[0].ids, [current]);
    assert_all_open(&world, &tenants, "afterwards").await;
    assert_eq!(world.run().await.unwrap().outcome, Some(Outcome::Succeeded));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_of_a_tenant_s_key_that_is_killed_changed_all_or_nothing() {
    let fake = github().await;
    let world = WorldBuilder::github(&fake).unwrap().build().await.unwrap();
    let began = Instant::now();
    porthole(&world, &["key", "rotate", "--tenant", "acme"]).ok();
    let took = began.elapsed();
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for moment in 0..MOMENTS / 2 {
        let mut child = command(&world, &["key", "rotate", "--tenant", "acme"], "").spawn().unwrap();
        std::thread::sleep(took.mul_f64(random.random_range(0.3..1.1)));
        let _ = child.kill();
        child.wait().unwrap();
        let live = live_keys(&world, world.tenant).await;
        let left = secret(&world).await;
        assert_eq!((live.len(), live[0].0), (1, left.credential.key_id), "moment {moment}, seed {seed}");
        let binding = Binding {
            tenant: world.tenant,
            instance: world.instance,
            slot: left.credential.slot,
            version: left.credential.version,
        };
        let opens = vault(&world).resealer(world.tenant, &live[0].1, &live[0].1).await.unwrap();
        opens.reseal(&binding, &Sealed { bytes: left.sealed }).unwrap();
    }
    assert_eq!(world.run().await.unwrap().outcome, Some(Outcome::Succeeded));
}
