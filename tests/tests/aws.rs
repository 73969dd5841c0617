//! The AWS module in the production sandbox against an emulator that checks every signature, session policy and page; and
//! the graph against what an independent program says is in the account.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

use porthole_model::run::Outcome;
use porthole_store::graph::Direction;
use porthole_tests::aws_bed::{AwsBed, Expected};
use porthole_tests::world::{World, WorldBuilder, packed};
use serde_json::json;
use std::collections::BTreeSet;
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

async fn assert_parity(world: &World, expected: &Expected) {
    let (entities, relationships) = facts(world).await;
    let mut differences = difference(&entities, &expected.entities);
    differences.extend(difference(&relationships, &expected.relationships));
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_becomes_exactly_its_graph() {
    let Some(bed) = AwsBed::start().unwrap() else { return };
    let account = bed.told().reader.account.clone();
    let world = world(&bed, &account).await;
    let run = world.run().await.unwrap();
    let calls = world.calls(run.id).await.unwrap();
    let faults: Vec<_> = calls
        .iter()
        .filter(|c| c.fault_code.is_some())
        .map(|c| format!("{} {:?}", c.operation, c.fault_code))
        .collect();
    let violations = bed.violations().await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Succeeded), "{} {faults:?} {violations:?}", run.message);
    assert!(violations.is_empty(), "{violations:?}");
    assert_parity(&world, &bed.expected(&account).unwrap()).await;
}
