//! Relationships whose far end is of another instance, or of none.

use crate::reconcile::writers;
use crate::world::{World, counts, ctx, entity, found, has, instance_of, mapped, name, thing};
use porthole_model::object::{End, KeyHash};
use porthole_store::graph::why::{self, Asked, Reason};
use porthole_store::graph::{self, Direction, How, Neighbour};
use porthole_store::tenants;

/// The neighbours of an entity of an instance, as short lines.
pub(crate) async fn neighbours(world: &World, instance: &str, key: &str) -> Vec<String> {
    let shown = graph::entity(&mut world.tx().await, Some(&name(instance)), key).await.unwrap();
    assert_eq!(shown.len(), 1);
    shown[0].neighbours.iter().map(line).collect()
}

fn line(near: &Neighbour) -> String {
    let arrow = if near.direction == Direction::Out { "->" } else { "<-" };
    let how = match near.how {
        How::Emitted => "emitted",
        How::Carried => "carried",
        How::Found => "found",
    };
    let of = near.other_instance.as_ref().map_or("nobody", |i| i.as_str());
    format!("{how} {arrow} {} {} of {of}", near.other_type, near.other_key)
}

#[tokio::test]
async fn a_mapped_relationship_is_whole_without_its_far_end_and_tied_to_it_when_it_comes() {
    let world = World::new().await;
    let rows = || vec![thing("a", 1), mapped("a", "ip:1", End::To), mapped("ip:2", "a", End::From)];
    let first = world.collect(&[found("things", rows())]).await;
    assert_eq!((first.dangling, counts(&first, "thing_allows_host")), (0, [1, 0, 0, 0]));
    let nobody = ["carried -> host ip:1 of nobody", "carried <- host ip:2 of nobody"];
    assert_eq!(neighbours(&world, "main", "a").await, nobody);
    let counted = graph::counts(&mut world.tx().await, None).await.unwrap();
    assert_eq!((counted.relationships["thing_allows_host"], counted.dangling.len()), (1, 0));

    // What nobody collected is shown as the relationship says.
    let shown = graph::entity(&mut world.tx().await, None, "ip:2").await.unwrap().remove(0);
    assert!(shown.entity.carried);
    assert_eq!((shown.entity.entity_type.as_str(), shown.entity.class.as_slice()), ("host", &["Host".to_owned()][..]));
    assert_eq!(shown.neighbours.iter().map(line).collect::<Vec<_>>(), ["carried -> thing a of main"]);

    // Why it is there.
    let asked = Asked::Key("ip:2|has|a".to_owned());
    let reason = why::why(&mut world.tx().await, None, &asked).await.unwrap().remove(0);
    assert_eq!((reason.from.instance, reason.from.entity_type.as_deref()), (None, Some("host")));
    let Reason::Emitted(emitted) = reason.reason else { panic!("{:?}", reason.reason) };
    assert_eq!((emitted.instance.as_str(), emitted.step.as_str(), emitted.dangling), ("main", "things", false));
    assert_eq!(emitted.version.as_deref(), Some("example@1.0.0"));
    let ends = Asked::Ends { from: "a".to_owned(), verb: "HAS".to_owned(), to: "ip:1".to_owned() };
    assert_eq!(why::why(&mut world.tx().await, None, &ends).await.unwrap().len(), 1);
    let other = why::why(&mut world.tx().await, Some(&name("other")), &ends).await;
    assert!(other.unwrap_err().is_not_found());

    // Another instance collects both ends. Nothing of the first is written for that.
    let before = writers(&world).await;
    let other = instance_of(world.store(), &world.tenant, "other").await;
    world.collect_in(&other, &[found("hosts", vec![entity("vm", "ip:1", "{}"), entity("vm", "ip:2", "{}")])]).await;
    let after = writers(&world).await;
    assert!(before.iter().all(|row| after.contains(row)));
    assert_eq!(neighbours(&world, "main", "a").await, ["carried -> vm ip:1 of other", "carried <- vm ip:2 of other"]);
    assert_eq!(neighbours(&world, "other", "ip:1").await, ["carried <- thing a of main"]);
    assert_eq!(neighbours(&world, "other", "ip:2").await, ["carried -> thing a of main"]);

    // They go again.
    world.collect_in(&other, &[found("hosts", vec![])]).await;
    assert_eq!(neighbours(&world, "main", "a").await, nobody);
    // The same again writes nothing; and a slice without it takes it back.
    let before = writers(&world).await;
    let again = world.collect(&[found("things", rows())]).await;
    assert_eq!(counts(&again, "thing_allows_host"), [0, 0, 1, 0]);
    assert_eq!(writers(&world).await, before);
    let gone = world.collect(&[found("things", vec![thing("a", 1)])]).await;
    assert_eq!(counts(&gone, "host_allows_thing"), [0, 0, 0, 1]);
    assert!(neighbours(&world, "main", "a").await.is_empty());
    assert!(graph::entity(&mut world.tx().await, None, "ip:1").await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn a_mapped_relationship_dangles_only_by_its_near_end() {
    let world = World::new().await;
    let links = || {
        let mut both = has("a", "b");
        both.key = "both".to_owned();
        both.key_hash = KeyHash::relationship("both");
        vec![mapped("a", "b", End::To), mapped("b", "a", End::From), both]
    };
    let first = world.collect(&[found("links", links())]).await;
    assert_eq!(first.dangling, 3);
    // The far end alone ties nothing, the near end alone the two that need no other.
    assert_eq!(world.collect(&[found("bs", vec![thing("b", 1)])]).await.dangling, 3);
    assert_eq!(world.collect(&[found("as", vec![thing("a", 1)])]).await.dangling, 0);
    assert_eq!(world.collect(&[found("bs", vec![])]).await.dangling, 1);
    assert_eq!(world.collect(&[found("as", vec![])]).await.dangling, 3);
    // In one run with everything new, and with everything changed.
    let world = World::new().await;
    let mut rows = links();
    rows.push(thing("a", 1));
    assert_eq!(world.collect(&[found("all", rows.clone())]).await.dangling, 1);
    for row in &mut rows {
        row.content_hash.0 = KeyHash::entity("other").0;
    }
    let changed = world.collect(&[found("all", rows)]).await;
    assert_eq!((changed.dangling, counts(&changed, "thing_allows_host")), (1, [0, 1, 0, 0]));
}

#[tokio::test]
async fn a_mapped_relationship_that_becomes_another_kind_is_written_anew() {
    let world = World::new().await;
    world.collect(&[found("all", vec![thing("a", 1), thing("b", 1), has("a", "b")])]).await;
    let mut carried = mapped("a", "b", End::To);
    carried.content_hash.0 = KeyHash::entity("carried").0;
    let done = world.collect(&[found("all", vec![thing("a", 1), carried])]).await;
    assert_eq!((counts(&done, "thing_allows_host"), done.dangling), ([0, 1, 0, 0], 0));
    assert_eq!(neighbours(&world, "main", "a").await, ["carried -> host b of nobody"]);
    let done = world.collect(&[found("all", vec![thing("a", 1), has("a", "b")])]).await;
    assert_eq!((counts(&done, "thing_has_thing"), done.dangling), ([0, 1, 0, 0], 1));
}

#[tokio::test]
async fn a_far_end_is_never_of_another_tenant() {
    let world = World::new().await;
    world.collect(&[found("things", vec![thing("a", 1), mapped("a", "ip:1", End::To)])]).await;
    let mut tx = world.store().begin().await.unwrap();
    let stranger = tenants::create(&ctx(), &mut tx, &name("stranger")).await.unwrap();
    tx.commit().await.unwrap();
    // In the same partition.
    let shard = "UPDATE tenants SET shard = $1 WHERE name = 'stranger'";
    sqlx::query(shard).bind(world.tenant.shard).execute(&mut world.db.admin().await.unwrap()).await.unwrap();
    let instance = instance_of(world.store(), &stranger, "main").await;
    let stranger = World { tenant: stranger, instance, ..world };
    stranger.collect(&[found("hosts", vec![thing("ip:1", 1)])]).await;
    assert!(neighbours(&stranger, "main", "ip:1").await.is_empty());
    assert!(graph::entity(&mut stranger.tx().await, None, "a").await.unwrap_err().is_not_found());
}
