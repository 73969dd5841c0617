//! Replies that are asked about again: the GitHub module a second time against a fake that answers 304, and what must not
//! go wrong with that.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use flate2::read::MultiGzDecoder;
use porthole_egress::StoredReply;
use porthole_egress::secret::{Binding, ReplyPart, ReplyPlace, SecretFields, SecretText, WrappedKey};
use porthole_model::id::{CredentialId, Slot};
use porthole_model::manifest::{Manifest, Method, ScrubRule};
use porthole_model::run::Outcome;
use porthole_model::stored_reply::ReplyKey;
use porthole_registry::Packed;
use porthole_registry::approval::ApprovalKind;
use porthole_runner::keys as ring;
use porthole_runner::replay::offline::Module;
use porthole_runner::replay::verify;
use porthole_runner::transcript::Transcript;
use porthole_store::instances::{self, InstanceUpdate};
use porthole_store::runs::Run;
use porthole_store::{credentials, keys};
use porthole_tests::fake_github::{Action, FakeGithub, Fault, Mutation, TEMP_CLONE_TOKEN_PREFIX, Which};
use porthole_tests::world::{World, WorldBuilder, expected_facts, op, packed, packed_with};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

const TOKEN: &str = "ghp_0123456789abcdef";

async fn fake() -> FakeGithub {
    let fake = FakeGithub::builder().org("acme").seed(7).repos(40).members(20).outside(3).teams(6);
    fake.token(TOKEN).start().await.unwrap()
}

async fn world(fake: &FakeGithub) -> World {
    WorldBuilder::github(fake).unwrap().build().await.unwrap()
}

/// The GitHub module, changed and under another version.
fn changed(change: impl FnOnce(&mut Manifest)) -> Packed {
    let mut manifest = packed("github").unwrap().manifest;
    manifest.module.version = "0.1.1".to_owned();
    change(&mut manifest);
    packed_with("github", &manifest).unwrap()
}

async fn succeeds(world: &World) -> Run {
    let run = world.run().await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Succeeded), "{}", run.message);
    assert!(world.slices(run.id).await.unwrap().values().all(|s| s.complete));
    run
}

/// Runs, and gives back how many answers there were of each status, as the provider counts them.
async fn statuses(fake: &FakeGithub, world: &World) -> BTreeMap<u16, u64> {
    fake.reset_stats();
    succeeds(world).await;
    fake.stats().statuses
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    run: String,
    validator: Vec<u8>,
    reply: Vec<u8>,
    fetched_at: String,
}

/// The rows of the table, by their keys.
async fn rows(world: &World) -> BTreeMap<String, Row> {
    let dump = world.database.dump().await.unwrap();
    let table = dump.split("porthole.stored_replies\n").nth(1).unwrap();
    let lines = table.lines().take_while(|line| line.starts_with('('));
    let bytes = |field: &str| hex::decode(field.trim_matches('"').trim_start_matches("\\\\x")).unwrap();
    lines
        .map(|line| {
            let f: Vec<&str> = line.trim_matches(['(', ')']).split(',').collect();
            let row =
                Row { run: f[6].to_owned(), validator: bytes(f[7]), reply: bytes(f[8]), fetched_at: f[9].to_owned() };
            (f[2].to_owned(), row)
        })
        .collect()
}

fn bytes(rows: &BTreeMap<String, Row>) -> u64 {
    rows.values().map(|row| (row.validator.len() + row.reply.len()) as u64).sum()
}

/// The lines of a transcript that say what each task heard.
fn heard(file: &Path) -> Vec<String> {
    let mut text = String::new();
    MultiGzDecoder::new(std::fs::File::open(file).unwrap()).read_to_string(&mut text).unwrap();
    let mut lines: Vec<String> = text.lines().filter(|l| l.starts_with("{\"task\"")).map(str::to_owned).collect();
    lines.sort();
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_of_unchanged_data_costs_304s_and_hears_the_same() {
    let fake = fake().await;
    let world = world(&fake).await;
    let (one, two) = (world.path().join("one"), world.path().join("two"));
    let first = world.record(&one).await.unwrap();
    let (asked, graph) = (fake.stats(), world.facts().await.unwrap());
    assert_eq!(asked.statuses.get(&304), None);
    let stored = rows(&world).await;
    fake.reset_stats();
    let second = world.record(&two).await.unwrap();
    assert_eq!(second.outcome, Some(Outcome::Succeeded), "{}", second.message);

    // The GraphQL query is a POST; everything else is asked about.
    let (gets, now) = (asked.routes.iter().filter(|(r, _)| r.starts_with("GET ")).map(|(_, n)| n).sum(), fake.stats());
    assert_eq!(now.requests, asked.requests);
    assert_eq!(now.statuses.get(&304).copied(), Some(gets));
    assert_eq!(now.statuses.get(&200).copied(), Some(asked.requests - gets));
    assert!(now.body_bytes * 4 < asked.body_bytes, "{} of {}", now.body_bytes, asked.body_bytes);

    // A slice made of 304s is as complete as one made of 200s, and says the same.
    assert!(world.slices(second.id).await.unwrap().values().all(|s| s.complete));
    assert_eq!(first.graph_digest, second.graph_digest);
    assert_eq!(world.facts().await.unwrap(), graph);
    assert_eq!(heard(&one), heard(&two));
    // Not one row was written for it.
    assert_eq!(rows(&world).await, stored);
    assert_eq!(stored.len() as u64, gets);

    // The record says what was sent, and that a stored reply was used; so does the log that an auditor gets.
    let calls = world.calls(second.id).await.unwrap();
    assert_eq!(calls.iter().filter(|c| c.status == Some(304) && c.reused).count() as u64, gets);
    assert!(calls.iter().all(|c| c.completed_at.is_some() && c.reused == (c.status == Some(304))));
    let usage = second.usage.clone().unwrap();
    assert_eq!(usage["operations"]["list-org-repos"]["reused"], 1);
    let log = world.database.dump().await.unwrap();
    assert_eq!(log.matches("reused\"\":true").count() as u64, gets);

    // A replay needs neither the provider nor the stored replies.
    let module = Module::admit(packed("github").unwrap().bytes).unwrap();
    let asked = fake.stats().requests;
    let again = verify::replay(&world.tools(), &module, Transcript::open(&two).unwrap()).await.unwrap();
    assert_eq!(Some(&again.graph_digest), second.graph_digest.as_ref());
    assert_eq!(Some(&again.transcript_digest), second.transcript_digest.as_ref());
    assert_eq!(fake.stats().requests, asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_is_fetched_and_what_is_gone_is_deleted() {
    let fake = fake().await;
    let world = world(&fake).await;
    let first = statuses(&fake, &world).await;
    let gone = Mutation { remove_repos: Which::Count(2), add_members: 1, ..Mutation::default() };
    fake.mutate(&gone).unwrap();
    let changed = statuses(&fake, &world).await;
    assert!(changed[&304] > 0 && changed[&200] < first[&200], "{changed:?}");
    assert_eq!(world.facts().await.unwrap(), expected_facts(&fake.expected()));
    // What was fetched anew was stored anew.
    let after = statuses(&fake, &world).await;
    assert!(after[&200] < changed[&200], "{after:?}");
    assert_eq!(world.facts().await.unwrap(), expected_facts(&fake.expected()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_last_page_that_did_not_change_leads_to_the_page_after_it() {
    let fake = FakeGithub::builder().org("acme").seed(7).repos(100).members(2).outside(0).teams(1).token(TOKEN);
    let fake = fake.start().await.unwrap();
    let world = world(&fake).await;
    succeeds(&world).await;
    let added = Mutation { add_repos: 1, ..Mutation::default() };
    fake.mutate(&added).unwrap();
    for _ in 0..2 {
        let run = succeeds(&world).await;
        assert_eq!(world.facts().await.unwrap(), expected_facts(&fake.expected()));
        let calls = world.calls(run.id).await.unwrap();
        assert_eq!(calls.iter().filter(|c| c.operation == "list-org-repos").count(), 2);
    }
    // A provider that leaves the links out of its 304s: the stored ones lead to every page that there was.
    fake.fault(Fault::on("^/orgs/acme/repos$", not_modified()).page(1)).unwrap();
    succeeds(&world).await;
    assert_eq!(world.facts().await.unwrap(), expected_facts(&fake.expected()));
}

/// A 304 without any header that means something, whatever was asked.
fn not_modified() -> Action {
    Action::Status { status: 304, body: Some("".into()), headers: BTreeMap::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_304_that_nobody_asked_for_leaves_its_slice_incomplete() {
    let fake = fake().await;
    let world = world(&fake).await;
    fake.fault(Fault::on("^/orgs/acme/teams$", not_modified())).unwrap();
    let run = world.run().await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Partial));
    let slices = world.slices(run.id).await.unwrap();
    assert!(!slices["teams"].complete && slices["teams"].reason.contains("nobody had asked"), "{:?}", slices["teams"]);
    assert!(slices["repos"].complete);
}

/// A provider that says "not modified" of what it did modify can't be seen through from here: that is its fault, like
/// wrong data in a 200. What bounds it is that every reply is fetched anew within a week.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_lies_is_believed_for_a_week_at_most() {
    let fake = fake().await;
    let world = world(&fake).await;
    succeeds(&world).await;
    let before = world.facts().await.unwrap();
    fake.mutate(&Mutation { add_teams: 1, ..Mutation::default() }).unwrap();
    fake.fault(Fault::on("^/orgs/acme/teams$", not_modified())).unwrap();
    succeeds(&world).await;
    assert_eq!(world.facts().await.unwrap(), before);
    world.database.tamper("UPDATE stored_replies SET fetched_at = now() - interval '7 days'").await.unwrap();
    let asked = world.run().await.unwrap();
    assert_eq!(asked.outcome, Some(Outcome::Partial), "asked without a condition, it has nothing to say");
    fake.clear_faults();
    succeeds(&world).await;
    assert_eq!(world.facts().await.unwrap(), expected_facts(&fake.expected()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_declared_is_not_stored() {
    let fake = fake().await;
    let module = changed(|m| m.operations.iter_mut().for_each(|o| o.revalidate = false));
    let login = WorldBuilder::new(module).config("login", fake.org()).endpoint("api.github.com", &fake.url()).unwrap();
    let off = login.secret("api", "pat", TOKEN).build().await.unwrap();
    succeeds(&off).await;
    assert_eq!((rows(&off).await.len(), statuses(&fake, &off).await.get(&304)), (0, None));
    // Nor where the operator gives it no room.
    let mut world = world(&fake).await;
    succeeds(&world).await;
    assert!(!rows(&world).await.is_empty());
    world.parts.limits.stored_reply_bytes = 0;
    assert_eq!((statuses(&fake, &world).await.get(&304), rows(&world).await.len()), (None, 0));
}

/// Puts another secret of the same method into the slot: the same token, so that the provider answers as before.
async fn set_credential(world: &World) -> CredentialId {
    let (cx, slot) = (op(), Slot::new("api").unwrap());
    let method = world.manifest.credentials.iter().find(|c| c.method == "pat").unwrap();
    let mut tx = world.store().tenant(world.tenant).await.unwrap();
    let (key_id, key) = ring::sealing_key(&cx, &mut tx, &world.parts.vault).await.unwrap();
    let version = credentials::next_version(&mut tx, world.instance, &slot).await.unwrap();
    let binding = Binding { tenant: world.tenant, instance: world.instance, slot: slot.clone(), version };
    let fields = SecretFields::from_input(method, SecretText::new(TOKEN.to_owned())).unwrap();
    let sealed = world.parts.vault.seal(&key, &binding, fields).await.unwrap();
    let new = credentials::NewCredential {
        instance: world.instance,
        slot: &slot,
        method: "pat",
        version,
        key_id,
        sealed: &sealed.bytes,
    };
    let set = credentials::set(&cx, &mut tx, new).await.unwrap();
    tx.commit().await.unwrap();
    set.id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_never_gets_what_another_saw() {
    let fake = fake().await;
    let world = world(&fake).await;
    succeeds(&world).await;
    let stored = rows(&world).await;
    world.database.tamper("CREATE TABLE kept AS TABLE stored_replies").await.unwrap();
    let new = set_credential(&world).await;
    assert!(rows(&world).await.is_empty(), "what the former credential saw is gone with it");
    // Even where somebody brings it back, under the new one's name.
    let sql = format!("UPDATE kept SET credential_id = '{new}'");
    world.database.tamper(&sql).await.unwrap();
    world.database.tamper("INSERT INTO stored_replies SELECT * FROM kept").await.unwrap();
    assert_eq!(statuses(&fake, &world).await.get(&304), None);
    assert!(rows(&world).await.keys().any(|key| !stored.contains_key(key)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_new_version_changed_is_fetched_anew_and_nothing_else() {
    let fake = fake().await;
    let world = world(&fake).await;
    let first = statuses(&fake, &world).await;
    // One operation is scrubbed otherwise, another sends another header.
    let new = changed(|m| {
        let path = "/*/homepage".to_owned();
        m.scrub.push(ScrubRule { operations: vec!["list-org-repos".parse().unwrap()], path });
        let teams = m.operations.iter_mut().find(|o| o.id.as_str() == "list-teams").unwrap();
        teams.headers.insert("accept".to_owned(), "application/json".to_owned());
    });
    let mut tx = world.store().begin().await.unwrap();
    porthole_tests::trust::publish(&op(), &mut tx, &new, true).await.unwrap();
    porthole_tests::trust::approve(&op(), &mut tx, &new, None, 0, ApprovalKind::Normal).await.unwrap();
    porthole_tests::trust::approve(&op(), &mut tx, &new, None, 1, ApprovalKind::Normal).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = world.store().tenant(world.tenant).await.unwrap();
    let update = InstanceUpdate { module: Some(new.digest), ..InstanceUpdate::default() };
    instances::update(&op(), &mut tx, world.instance, &update).await.unwrap();
    tx.commit().await.unwrap();
    let second = statuses(&fake, &world).await;
    let gets =
        first[&200] - fake.stats().routes.iter().filter(|(r, _)| r.starts_with("POST ")).map(|(_, n)| n).sum::<u64>();
    assert_eq!(second[&304], gets - 2, "{second:?}");
    assert_eq!(rows(&world).await.len() as u64, gets, "the former answers of the two are gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_keeps_no_more_than_it_may() {
    let fake = fake().await;
    let budget = 12_000;
    let builder = WorldBuilder::github(&fake).unwrap().limits(|l| l.stored_reply_bytes = budget);
    let world = builder.build().await.unwrap();
    let mut saved = Vec::new();
    for _ in 0..3 {
        let statuses = statuses(&fake, &world).await;
        saved.push(statuses.get(&304).copied().unwrap_or(0));
        let bytes = bytes(&rows(&world).await);
        assert!(bytes > 0 && bytes <= budget, "{bytes}");
    }
    // What fits stays, instead of being pushed out by what doesn't before its turn comes again.
    assert!(saved[0] == 0 && saved[1] > 0 && saved[2] == saved[1], "{saved:?}");
    // What isn't asked for any more makes room at the end of a run, and the next one fills it.
    world.database.tamper("UPDATE stored_replies SET reply_key = gen_random_uuid()").await.unwrap();
    let unasked = rows(&world).await;
    assert_eq!(statuses(&fake, &world).await.get(&304), None);
    assert!(rows(&world).await.len() < unasked.len());
    assert_eq!(statuses(&fake, &world).await.get(&304), None);
    let kept = rows(&world).await;
    assert!(kept.keys().any(|key| !unasked.contains_key(key)) && bytes(&kept) <= budget, "{}", bytes(&kept));
    assert!(statuses(&fake, &world).await.contains_key(&304));
}

async fn shred(world: &World) {
    let mut tx = world.store().tenant(world.tenant).await.unwrap();
    keys::shred(&op(), &mut tx, "the customer left").await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_read_any_more_is_fetched_anew() {
    let fake = fake().await;
    let world = world(&fake).await;
    let first = succeeds(&world).await;
    let gets = rows(&world).await.len() as u64;

    // Bytes that were changed: the provider is asked about them, and then for what they were.
    world.database.tamper("UPDATE stored_replies SET reply = '\\x01'").await.unwrap();
    let run = succeeds(&world).await;
    assert_eq!(run.graph_digest, first.graph_digest);
    let calls = world.calls(run.id).await.unwrap();
    assert_eq!(calls.iter().filter(|c| c.attempts == 2 && c.status == Some(200) && !c.reused).count() as u64, gets);
    assert_eq!(statuses(&fake, &world).await[&304], gets, "they were stored anew");
    world.database.tamper("UPDATE stored_replies SET validator = '\\x01'").await.unwrap();
    assert_eq!(statuses(&fake, &world).await.get(&304), None);

    // A new data key: what the former one sealed is deleted with it.
    ring::rotate_tenant(&op(), world.store(), &world.parts.vault, world.tenant).await.unwrap();
    assert!(rows(&world).await.is_empty());
    assert_eq!(statuses(&fake, &world).await.get(&304), None);
    assert_eq!(statuses(&fake, &world).await[&304], gets);

    // Shredded: gone, and what a copy brings back stays closed.
    world.database.tamper("CREATE TABLE kept AS TABLE stored_replies").await.unwrap();
    shred(&world).await;
    assert!(rows(&world).await.is_empty());
    let new = set_credential(&world).await;
    for sql in [
        format!("UPDATE kept SET credential_id = '{new}'"),
        "INSERT INTO stored_replies SELECT * FROM kept".to_owned(),
        // Under the number of a live key.
        "UPDATE stored_replies SET key_id = (SELECT max(key_id) FROM tenant_keys)".to_owned(),
    ] {
        world.database.tamper(&sql).await.unwrap();
    }
    assert_eq!(statuses(&fake, &world).await.get(&304), None);
    assert_eq!(world.facts().await.unwrap(), expected_facts(&fake.expected()));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_what_is_stored_and_nothing_of_it_is_in_the_clear() {
    let fake = fake().await;
    let world = world(&fake).await;
    succeeds(&world).await;
    let dump = world.database.dump().await.unwrap();
    let table = dump.split("porthole.stored_replies\n").nth(1).unwrap().split("\nporthole.").next().unwrap();
    assert!(table.len() > 10_000);
    for word in ["full_name", "etag", "W/\"", "permissions", "acme"] {
        assert!(!table.contains(&hex::encode(word)) && !table.contains(word), "{word}");
    }

    // What is inside.
    let mut tx = world.store().tenant(world.tenant).await.unwrap();
    let live = keys::live(&mut tx).await.unwrap();
    let wrapped: WrappedKey = serde_json::from_value(live[0].wrapped.clone()).unwrap();
    let keys = world.parts.vault.reply_keys(world.tenant, world.instance, &[(1, wrapped)]).await.unwrap();
    let all = rows(&world).await;
    let (mut repos, mut bodies) = (0, 0);
    for (key, row) in all {
        let key = ReplyKey(key.parse::<uuid::Uuid>().unwrap().into_bytes());
        let place = ReplyPlace { key_id: 1, run: row.run.parse().unwrap(), key };
        let packed = keys.open(&place, ReplyPart::Reply, &row.reply).unwrap();
        let reply = StoredReply::unpack(&packed, 1 << 20).unwrap();
        let text = String::from_utf8(reply.body).unwrap();
        assert!(!text.contains(TOKEN) && !text.contains(TEMP_CLONE_TOKEN_PREFIX), "{text}");
        repos += usize::from(text.contains("temp_clone_token") && text.contains("[scrubbed]"));
        bodies += 1;
    }
    assert!(repos > 0 && bodies > 10, "{repos} {bodies}");
    assert!(world.manifest.operations.iter().all(|o| o.revalidate == o.request.starts_with(Method::Get.as_str())));
}
