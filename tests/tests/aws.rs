//! The AWS module in the production sandbox against an emulator that checks every signature, session policy and page; and
//! the graph against what an independent program says is in the account.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

use flate2::read::MultiGzDecoder;
use porthole_model::grant::Grant;
use porthole_model::run::{Fault as WhoseFault, Outcome};
use porthole_store::grants;
use porthole_store::graph::Direction;
use porthole_store::run_slices::RunSlice;
use porthole_store::runs::Run;
use porthole_tests::aws_bed::{AwsBed, Expected};
use porthole_tests::world::{World, WorldBuilder, packed};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;

/// The first step that isn't of the base scope.
const AFTER_BASE: &str = "ec2-addresses";

/// The first account of the bed, read through its role.
async fn world(bed: &AwsBed, account: &str) -> World {
    let told = bed.told();
    let secret = json!({ "role_arn": told.roles[account], "external_id": told.external_ids[account] });
    builder(bed).secret("aws", "role", &secret.to_string()).build().await.unwrap()
}

fn builder(bed: &AwsBed) -> WorldBuilder {
    let key = tempfile::NamedTempFile::new().unwrap().into_temp_path().keep().unwrap();
    let platform = &bed.told().platform;
    std::fs::write(&key, format!("access_key_id={}\nsecret_access_key={}\n", platform.key, platform.secret)).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let packed = packed("aws").unwrap();
    // The emulator answers the base scope as the provider does; of the other services it lacks too much.
    let base = packed.manifest.steps.iter().take_while(|s| s.id.as_str() != AFTER_BASE);
    let on: BTreeSet<String> = base.map(|s| s.id.to_string()).collect();
    let used: BTreeSet<_> = on.iter().flat_map(|id| packed.manifest.step(id).unwrap().uses.clone()).collect();
    let steps_off = packed.manifest.steps.iter().map(|s| s.id.clone()).filter(|id| !on.contains(id.as_str())).collect();
    let grant = Grant { operations: used, steps_off, ..Grant::default() };
    WorldBuilder::new(packed).grant(grant).endpoint("*.amazonaws.com", &bed.url()).unwrap().platform(&key)
}

/// Entities as `type key`, relationships as `from VERB to`.
async fn facts(world: &World) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut entities, mut relationships) = (BTreeSet::new(), BTreeSet::new());
    for (key, detail) in world.graph().await.unwrap() {
        entities.insert(format!("{} {key}", detail.entity.entity_type));
        for near in &detail.neighbours {
            let (from, to) = match near.direction {
                Direction::Out => (&key, &near.other_key),
                Direction::In => (&near.other_key, &key),
            };
            relationships.insert(format!("{from} {} {to}", near.verb));
        }
    }
    (entities, relationships)
}

/// Facts on one side and not on the other, readable when a test fails.
fn difference(found: &BTreeSet<String>, expected: &BTreeSet<String>) -> Vec<String> {
    let extra = found.difference(expected).map(|f| format!("extra:   {f}"));
    let missing = expected.difference(found).map(|f| format!("missing: {f}"));
    extra.chain(missing).collect()
}

/// The graph is what the oracle says, of everything that the oracle knows: of each type of entity and of each type of
/// relationship between them nothing is missing and nothing too much. The module collects more types than these.
async fn assert_parity(world: &World, expected: &Expected) {
    let (entities, relationships) = facts(world).await;
    let split = |fact: &String| fact.split_once(' ').map(|(a, b)| (b.to_owned(), a.to_owned())).unwrap();
    let type_of: BTreeMap<String, String> = entities.iter().chain(&expected.entities).map(split).collect();
    let known: BTreeSet<String> = expected.entities.iter().map(|fact| split(fact).1).collect();
    let kind = |fact: &String| {
        let words: Vec<_> = fact.split(' ').collect();
        let end = |key: &str| type_of.get(key).map_or("elsewhere", String::as_str).to_owned();
        (end(words[0]), words[1].to_owned(), end(words[2]))
    };
    // Without a person in the graph nobody is one; the store's tests of mappings have both sides.
    let without_people: BTreeSet<_> =
        expected.relationships.iter().filter(|r| !r.contains(" IS person:")).cloned().collect();
    let kinds: BTreeSet<_> = without_people.iter().map(kind).collect();
    let entities = entities.into_iter().filter(|fact| known.contains(&split(fact).1)).collect();
    let relationships = relationships.into_iter().filter(|fact| kinds.contains(&kind(fact))).collect();
    let mut differences = difference(&entities, &expected.entities);
    differences.extend(difference(&relationships, &without_people));
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    assert_eq!(expected.relationships.len() - without_people.len(), 3, "users with an e-mail address for a name");
    let counts = (known.len(), kinds.len(), expected.entities.len(), without_people.len());
    assert!(counts.0 >= 23 && counts.1 >= 40 && counts.2 > 90 && counts.3 > 150, "{counts:?}");
}

async fn succeeded(world: &World, bed: &AwsBed) -> Run {
    let run = world.run().await.unwrap();
    let violations = bed.violations().await.unwrap();
    let complaints = world.complaints(run.id).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Succeeded), "{}\n{complaints:#?}\n{violations:?}", run.message);
    assert!(violations.is_empty(), "{violations:?}");
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_becomes_exactly_its_graph_and_stays_it() {
    let Some(bed) = AwsBed::start().unwrap() else { return };
    let account = bed.told().reader.account.clone();
    let world = world(&bed, &account).await;
    let first = succeeded(&world, &bed).await;
    let expected = bed.expected(&account).unwrap();
    assert_parity(&world, &expected).await;
    // Every session but those that tried without the external id could do exactly what is granted, and was asked for it.
    let mut tx = world.store().tenant(world.tenant).await.unwrap();
    let grant = grants::current(&mut tx, world.instance).await.unwrap().unwrap().grant;
    drop(tx);
    let operations = grant.operations.iter().map(|id| world.manifest.operation(id.as_str()).unwrap());
    let granted: BTreeSet<&str> = operations.filter_map(|o| o.action.as_deref()).collect();
    let (mut allowed, mut longest) = (BTreeSet::new(), 0);
    for session in bed.sessions().await.unwrap() {
        assert_eq!(session.external_id.as_ref(), Some(&bed.told().external_ids[&account]));
        for policy in &session.policies {
            longest = longest.max(policy.to_string().len());
            let statement = &policy["Statement"][0];
            assert_eq!(statement["Effect"], "Allow");
            allowed.extend(statement["Action"].as_array().unwrap().iter().map(|a| a.as_str().unwrap().to_owned()));
        }
    }
    assert_eq!(allowed.iter().map(String::as_str).collect::<BTreeSet<_>>(), granted);
    assert!(longest <= 2_048, "{longest}");
    // One item a page, and the same graph, of which no row is written again.
    bed.set("page-size", &json!(1)).await.unwrap();
    let second = succeeded(&world, &bed).await;
    assert_eq!(first.graph_digest, second.graph_digest);
    for (name, counts) in &second.counts {
        assert_eq!((counts.created, counts.updated, counts.deleted), (0, 0, 0), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_denied_leaves_its_slice_and_says_which_grant_it_takes() {
    let Some(bed) = AwsBed::start().unwrap() else { return };
    let account = bed.told().reader.account.clone();
    let world = world(&bed, &account).await;
    succeeded(&world, &bed).await;
    let before = facts(&world).await;
    // By the account, in one region.
    bed.set("deny", &json!(["ec2:DescribeVolumes@eu-west-1"])).await.unwrap();
    let run = world.run().await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Partial), "{}", run.message);
    let incomplete = |slices: BTreeMap<String, RunSlice>| -> Vec<String> {
        slices.into_iter().filter(|(_, s)| !s.complete).map(|(name, _)| name).collect()
    };
    assert_eq!(incomplete(world.slices(run.id).await.unwrap()), ["ec2-volumes/eu-west-1"]);
    assert!(run.message.contains("ec2:DescribeVolumes"), "{}", run.message);
    // By the tenant, everywhere: nothing goes out, and nothing is deleted.
    bed.set("deny", &json!([])).await.unwrap();
    world.set_grant(|grant| grant.operations.retain(|o| o.as_str() != "ec2:DescribeVolumes")).await.unwrap();
    let asked = |counts: BTreeMap<String, u64>| counts.keys().filter(|k| k.starts_with("ec2:DescribeVolumes")).count();
    let asked_before = asked(bed.counts().await.unwrap());
    let run = world.run().await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Partial), "{}", run.message);
    let slices = incomplete(world.slices(run.id).await.unwrap());
    assert!(!slices.is_empty() && slices.iter().all(|s| s.starts_with("ec2-volumes")), "{slices:?}");
    let denials = world.denials(run.id).await.unwrap();
    assert!(denials.iter().all(|d| d.remedy == "porthole grant set it --allow ec2:DescribeVolumes"), "{denials:?}");
    assert!(run.message.contains("ec2:DescribeVolumes"), "{}", run.message);
    assert_eq!(asked(bed.counts().await.unwrap()), asked_before);
    assert_eq!(facts(&world).await, before, "nothing was deleted");
    let last = bed.sessions().await.unwrap().pop().unwrap();
    assert!(!serde_json::to_string(&last.policies).unwrap().contains("ec2:DescribeVolumes"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_role_is_refused_and_secrets_stay_out() {
    let Some(bed) = AwsBed::start().unwrap() else { return };
    let told = bed.told().clone();
    let account = &told.reader.account;
    let secret = json!({ "role_arn": told.open_roles[account], "external_id": told.external_ids[account] });
    let open = builder(&bed).secret("aws", "role", &secret.to_string()).build().await.unwrap();
    let run = open.run().await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Failed), "{}", run.message);
    assert!(run.message.contains("confused deputy"), "{}", run.message);
    assert_eq!(run.fault, Some(WhoseFault::Tenant));
    let counts = bed.counts().await.unwrap();
    assert_eq!(counts.values().sum::<u64>(), 1, "the role was tried once, and nothing else was asked: {counts:?}");

    // Environments of functions never come in; external ids that policies speak of don't go into the graph.
    let keys = json!({ "access_key_id": told.reader.key, "secret_access_key": told.reader.secret });
    let world = builder(&bed).secret("aws", "keys", &keys.to_string()).build().await.unwrap();
    let transcript = world.path().join("transcript");
    let run = world.record(&transcript).await.unwrap();
    let complaints = world.complaints(run.id).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Succeeded), "{}\n{complaints:#?}", run.message);
    let mut seen = String::new();
    let file = std::fs::File::open(&transcript).unwrap();
    MultiGzDecoder::new(file).read_to_string(&mut seen).unwrap();
    let graph = serde_json::to_string(&world.graph().await.unwrap()).unwrap();
    assert!(graph.contains("ExternalId") && !graph.contains(&told.external_ids[account]));
    seen.push_str(&graph);
    assert!(seen.contains("acme-full") && seen.len() > 100_000);
    for secret in [&told.canary, &told.reader.secret] {
        assert!(!seen.contains(secret.as_str()), "{secret}");
    }
}
