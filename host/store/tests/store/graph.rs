//! Reading the graph.

use crate::world::{World, entity, found, has, name, thing};
use porthole_store::graph::{self, Direction, EntityFilter};

async fn world() -> World {
    let world = World::new().await;
    let rows = vec![
        entity("repo", "repo:b", r#"{"private":true,"stars":7,"tags":["x","y"]}"#),
        entity("repo", "repo:a", r#"{"private":false,"stars":7,"owner":"Ada"}"#),
        entity("user", "user:ada", r#"{"login":"ada"}"#),
        has("user:ada", "repo:a"),
        has("repo:b", "user:ada"),
        has("user:ada", "nobody"),
    ];
    world.collect(&[found("all", rows)]).await;
    world
}

async fn keys(world: &World, filter: EntityFilter) -> Vec<String> {
    let page = graph::entities(&mut world.tx().await, &filter, None, 100).await.unwrap();
    page.entities.into_iter().map(|e| e.key).collect()
}

#[tokio::test]
async fn entities_are_listed_and_filtered() {
    let world = world().await;
    let any = EntityFilter::default;
    assert_eq!(keys(&world, any()).await, ["repo:a", "repo:b", "user:ada"]);
    assert_eq!(keys(&world, EntityFilter { types: vec!["user".into()], ..any() }).await, ["user:ada"]);
    assert_eq!(keys(&world, EntityFilter { class: Some("Record".into()), ..any() }).await.len(), 3);
    assert_eq!(keys(&world, EntityFilter { class: Some("User".into()), ..any() }).await.len(), 0);
    assert_eq!(keys(&world, EntityFilter { text: Some("THE REPO".into()), ..any() }).await, ["repo:a", "repo:b"]);
    assert_eq!(keys(&world, EntityFilter { text: Some("100%_".into()), ..any() }).await.len(), 0);
    assert_eq!(keys(&world, EntityFilter { instance: Some(name("other")), ..any() }).await.len(), 0);
    for (property, value, expected) in [
        ("private", "true", vec!["repo:b"]),
        ("stars", "7", vec!["repo:a", "repo:b"]),
        ("tags", "y", vec!["repo:b"]),
        ("owner", "ada", vec![]),
        ("missing", "", vec![]),
    ] {
        let filter = EntityFilter { properties: vec![(property.into(), value.into())], ..any() };
        assert_eq!(keys(&world, filter).await, expected, "{property}={value}");
    }
    let both = vec![("stars".into(), "7".into()), ("owner".into(), "Ada".into())];
    assert_eq!(keys(&world, EntityFilter { properties: both, ..any() }).await, ["repo:a"]);
}

#[tokio::test]
async fn pages_show_everything_once() {
    let world = World::new().await;
    let rows = (0..25).map(|n| thing(&format!("t{n:02}"), n)).collect();
    world.collect(&[found("things", rows)]).await;
    let mut tx = world.tx().await;
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = graph::entities(&mut tx, &EntityFilter::default(), after.as_ref(), 10).await.unwrap();
        seen.push(page.entities.len());
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, [10, 10, 5]);
}

#[tokio::test]
async fn an_entity_is_shown_with_its_neighbours() {
    let world = world().await;
    let mut tx = world.tx().await;
    let shown = graph::entity(&mut tx, Some(&name("main")), "user:ada").await.unwrap().remove(0);
    let neighbours: Vec<_> = shown.neighbours.iter().map(|n| (n.direction, n.other_key.as_str())).collect();
    assert_eq!(neighbours, [(Direction::Out, "repo:a"), (Direction::In, "repo:b")]);
    let json = serde_json::to_value(&shown).unwrap();
    assert_eq!((&json["_key"], &json["displayName"]), (&"user:ada".into(), &"The user:ada".into()));
    assert!(graph::entity(&mut tx, None, "nobody").await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn types_are_counted() {
    let world = world().await;
    let mut tx = world.tx().await;
    for instance in [None, Some(&name("main"))] {
        let counts = graph::counts(&mut tx, instance).await.unwrap();
        assert_eq!((counts.entities["repo"], counts.entities["user"]), (2, 1));
        assert_eq!((counts.relationships["thing_has_thing"], counts.dangling["thing_has_thing"]), (2, 1));
    }
    assert!(graph::counts(&mut tx, Some(&name("other"))).await.unwrap_err().is_not_found());
}
