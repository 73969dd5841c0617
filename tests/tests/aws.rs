//! The AWS module in the production sandbox against an emulator that checks every signature, session policy and page; and
//! the graph against what an independent program says is in the account.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

use porthole_model::run::Outcome;
use porthole_store::graph::Direction;
use porthole_store::run_slices::RunSlice;
use porthole_store::runs::Run;
use porthole_tests::aws_bed::{AwsBed, Expected};
use porthole_tests::world::{World, WorldBuilder, packed};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;

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
    WorldBuilder::new(packed("aws").unwrap()).endpoint("*.amazonaws.com", &bed.url()).unwrap().platform(&key)
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

/// What the module collects beyond the scope that the oracle knows: types and relationships that the data model infers.
const BEYOND: [&str; 9] = [
    "aws_iam_account_password_policy",
    "aws_iam_oidc_provider",
    "aws_iam_saml_provider",
    "aws_s3_bucket_policy",
    "saml-provider/okta",
    " ALLOWS global:everyone",
    ":acme-full LOGS ",
    ":acme-full CONNECTS ",
    ":acme-full PUBLISHES ",
];

async fn assert_parity(world: &World, expected: &Expected) {
    let (entities, relationships) = facts(world).await;
    let mut differences = difference(&entities, &expected.entities);
    // Without a person in the graph nobody is one; `mapping.rs` in the store's tests has both sides.
    let without_people = expected.relationships.iter().filter(|r| !r.contains(" IS person:")).cloned().collect();
    differences.extend(difference(&relationships, &without_people));
    let explained = |d: &String| d.starts_with("extra: ") && BEYOND.iter().any(|b| d.contains(b));
    differences.retain(|d| !explained(d));
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    let people = expected.relationships.len() - without_people.len();
    assert_eq!((expected.entities.len() > 90, people), (true, 3), "{}", expected.entities.len());
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
    let granted: BTreeSet<&str> = world.manifest.operations.iter().filter_map(|o| o.action.as_deref()).collect();
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
    assert!(
        bed.counts().await.unwrap().keys().all(|action| action.starts_with("sts:")),
        "nothing but the role was asked"
    );

    // Environments of functions never come in; neither do external ids.
    let keys = json!({ "access_key_id": told.reader.key, "secret_access_key": told.reader.secret });
    let world = builder(&bed).secret("aws", "keys", &keys.to_string()).build().await.unwrap();
    let transcript = world.path().join("transcript");
    let run = world.record(&transcript).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Succeeded), "{}", run.message);
    let mut seen = std::fs::read_to_string(&transcript).unwrap();
    seen.push_str(&serde_json::to_string(&world.graph().await.unwrap()).unwrap());
    assert!(seen.contains("acme-full") && seen.len() > 100_000);
    for secret in [&told.canary, &told.external_ids[account], &told.reader.secret] {
        assert!(!seen.contains(secret.as_str()), "{secret}");
    }
}
