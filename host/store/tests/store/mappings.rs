//! Rules that relate entities of different instances.

use crate::mapped::neighbours;
use crate::world::{Found, World, ctx, cut_short, entity, found, instance_of, manifest, name, stage};
use porthole_model::id::ModuleDigest;
use porthole_model::mapping::{MAX_MAPPINGS, Mapping, Pair, Selector};
use porthole_model::object::Row;
use porthole_store::graph::why::{self, Asked, Reason, Why};
use porthole_store::instances::{self, Instance, InstanceUpdate};
use porthole_store::mappings::{self, RuleName};
use porthole_store::modules::{self, NewModule};
use porthole_store::{StoreError, graph, reconcile, tenants};
use sqlx::Executor;

pub(crate) fn rule(id: &str, from: &str, to: Selector, pairs: &[(&str, &str)]) -> Mapping {
    let pairs = pairs.iter().map(|(from, to)| Pair { from: (*from).to_owned(), to: (*to).to_owned() }).collect();
    Mapping { id: name(id), from: from.to_owned(), verb: "IS".to_owned(), to, pairs, email: false }
}

/// A user is a person of the class that every entity of these tests has, by e-mail address.
fn by_mail(id: &str) -> Mapping {
    let to = Selector::Class("Record".to_owned());
    Mapping { email: true, ..rule(id, "user", to, &[("login", "email")]) }
}

async fn add(world: &World, rule: &Mapping) {
    let mut tx = world.tx().await;
    mappings::add(&ctx(), &mut tx, rule).await.unwrap();
    tx.commit().await.unwrap();
}

async fn switch(world: &World, rule: &str, off: bool) -> bool {
    let mut tx = world.tx().await;
    let changed = mappings::switch(&ctx(), &mut tx, &rule.parse().unwrap(), off).await.unwrap();
    tx.commit().await.unwrap();
    changed
}

fn user(key: &str, login: &str) -> Row {
    entity("user", key, &serde_json::json!({ "login": login }).to_string())
}

fn person(key: &str, email: &str) -> Row {
    entity("person", key, &serde_json::json!({ "email": email }).to_string())
}

fn users(rows: Vec<Row>) -> Vec<Found> {
    vec![found("users", rows)]
}

/// What rules relate in the tenant, by keys.
async fn related(world: &World) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT DISTINCT f._key || ' ' || r.verb || ' ' || t._key FROM found_relationships r \
         JOIN entities f ON f.tenant_id = r.tenant_id AND f.shard = r.shard AND f.instance_id = r.from_instance_id \
             AND f.key_hash = r.from_hash \
         JOIN entities t ON t.tenant_id = r.tenant_id AND t.shard = r.shard AND t.instance_id = r.to_instance_id \
             AND t.key_hash = r.to_hash \
         WHERE r.tenant_id = $1 ORDER BY 1",
    )
    .bind(world.tenant.id.0)
    .fetch_all(&mut world.db.admin().await.unwrap())
    .await
    .unwrap()
}

/// The values that count, each with the transaction that wrote it.
async fn traits(world: &World) -> Vec<(Vec<String>, String)> {
    let sql = "SELECT words, xmin::text FROM traits WHERE tenant_id = $1 ORDER BY 1, key_hash, kind";
    sqlx::query_as(sql).bind(world.tenant.id.0).fetch_all(&mut world.db.admin().await.unwrap()).await.unwrap()
}

async fn why_is(world: &World, key: &str) -> Result<Vec<Why>, StoreError> {
    why::why(&mut world.tx().await, None, &Asked::Key(key.to_owned())).await
}

async fn people(world: &World) -> Instance {
    instance_of(world.store(), &world.tenant, "people").await
}

#[tokio::test]
async fn a_relationship_is_there_as_long_as_both_ends_match() {
    let world = World::new().await;
    add(&world, &by_mail("user-is-person")).await;
    let people = people(&world).await;
    world.collect(&users(vec![user("u:1", " Ada@Acme.Example "), user("u:2", "bob"), user("u:3", "x")])).await;
    assert!(related(&world).await.is_empty());
    // The target appears, in another instance.
    world.collect_in(&people, &[found("all", vec![person("p:1", "ada@acme.example"), person("p:2", "bob")])]).await;
    assert_eq!(related(&world).await, ["u:1 IS p:1"], "`bob` is no e-mail address");
    assert_eq!(neighbours(&world, "main", "u:1").await, ["found -> person p:1 of people"]);
    assert_eq!(neighbours(&world, "people", "p:1").await, ["found <- user u:1 of main"]);
    let counts = graph::counts(&mut world.tx().await, Some(&name("people"))).await.unwrap();
    assert_eq!(counts.found["user_is_record"], 1);

    let reasons = why_is(&world, "u:1|IS|p:1").await.unwrap();
    let [reason] = reasons.as_slice() else { panic!("{reasons:?}") };
    assert_eq!(reason.from.instance.as_ref().unwrap().as_str(), "main");
    assert_eq!(reason.to.display_name.as_deref(), Some("The p:1"));
    let Reason::Found(by) = &reason.reason else { panic!("{reason:?}") };
    assert_eq!(
        (by.rule.to_string(), &by.matched),
        ("user-is-person".to_owned(), &vec![vec!["ada@acme.example".to_owned()]])
    );

    // It changes, back, and goes, on either side.
    world.collect(&users(vec![user("u:1", "ada@elsewhere.example"), user("u:2", "bob")])).await;
    assert!(related(&world).await.is_empty());
    assert!(why_is(&world, "u:1|IS|p:1").await.unwrap_err().is_not_found());
    world.collect(&users(vec![user("u:1", "ada@acme.example"), user("u:4", "ADA@ACME.EXAMPLE")])).await;
    assert_eq!(related(&world).await, ["u:1 IS p:1", "u:4 IS p:1"]);
    world
        .collect_in(
            &people,
            &[found("all", vec![person("p:1", "ada+x@acme.example"), person("p:3", "Ada@acme.example")])],
        )
        .await;
    assert_eq!(related(&world).await, ["u:1 IS p:3", "u:4 IS p:3"]);
    world.collect(&users(vec![user("u:4", "ada@acme.example")])).await;
    assert_eq!(related(&world).await, ["u:4 IS p:3"]);
    world.collect_in(&people, &[found("all", vec![])]).await;
    assert!(related(&world).await.is_empty());
    assert_eq!(traits(&world).await.len(), 1, "what is gone leaves nothing behind");
}

#[tokio::test]
async fn what_nobody_changed_is_not_written_again() {
    let world = World::new().await;
    add(&world, &by_mail("user-is-person")).await;
    let rows = |n: u32| {
        let more = entity("person", "p:1", &format!(r#"{{"email":"ada@acme.example","n":{n}}}"#));
        users(vec![user("u:1", "ada@acme.example"), more])
    };
    world.collect(&rows(1)).await;
    let before = traits(&world).await;
    assert_eq!((before.len(), related(&world).await.len()), (2, 1));
    world.collect(&rows(1)).await;
    // And one that changed in something that doesn't count.
    world.collect(&rows(2)).await;
    assert_eq!(traits(&world).await, before);
    // A slice that was cut short takes nothing away.
    world.collect(&[cut_short("users", vec![])]).await;
    assert_eq!((traits(&world).await, related(&world).await.len()), (before, 1));
}

#[tokio::test]
async fn an_entity_that_becomes_another_type_is_found_as_that() {
    let world = World::new().await;
    add(&world, &rule("same", "user", Selector::Type("person".to_owned()), &[("n", "n")])).await;
    let row = |object_type: &str, key: &str, m: u32| entity(object_type, key, &format!(r#"{{"n":7,"m":{m}}}"#));
    world.collect(&users(vec![row("user", "a", 1), row("person", "b", 1)])).await;
    assert_eq!(related(&world).await, ["a IS b"]);
    world.collect(&users(vec![row("person", "a", 2), row("user", "b", 2)])).await;
    assert_eq!(related(&world).await, ["b IS a"]);
}

#[tokio::test]
async fn lists_numbers_and_several_properties_are_compared() {
    let world = World::new().await;
    let to = || Selector::Type("person".to_owned());
    add(&world, &rule("both", "user", to(), &[("name", "name"), ("org", "orgs")])).await;
    let row =
        |object_type: &str, key: &str, properties: serde_json::Value| entity(object_type, key, &properties.to_string());
    let long = "x".repeat(513);
    let rows = vec![
        row("user", "u:1", serde_json::json!({ "name": "Ada", "org": 7 })),
        row("user", "u:2", serde_json::json!({ "name": "Ada", "org": "8" })),
        row("user", "u:3", serde_json::json!({ "name": "Ada" })),
        row("user", "u:4", serde_json::json!({ "name": "", "org": 7 })),
        row("user", "u:5", serde_json::json!({ "name": long, "org": 7 })),
        row("user", "u:6", serde_json::json!({ "name": { "a": 1 }, "org": 7 })),
        row("user", "u:7", serde_json::json!({ "name": ["bob", "ADA", null, true], "org": 7 })),
        row("person", "p:1", serde_json::json!({ "name": "ada", "orgs": ["7", "9", "9"] })),
        row("person", "p:2", serde_json::json!({ "name": "", "orgs": [7, 8] })),
        row("person", "p:3", serde_json::json!({ "name": long, "orgs": [7, 8] })),
        row("person", "p:4", serde_json::json!({ "name": { "a": 1 }, "orgs": [7, 8] })),
    ];
    world.collect(&users(rows)).await;
    assert_eq!(related(&world).await, ["u:1 IS p:1", "u:7 IS p:1"]);
    // What has several values in common is one relationship with several reasons.
    add(&world, &rule("any", "user", to(), &[("name", "org")])).await;
    let several = serde_json::json!({ "name": ["a", "b", "c"], "org": ["b", "c", "d"] });
    let rows = vec![row("user", "u", several.clone()), row("person", "p", several)];
    world.collect(&users(rows)).await;
    assert_eq!(neighbours(&world, "main", "u").await, ["found -> person p of main"]);
    let reason = why_is(&world, "u|IS|p").await.unwrap().remove(0).reason;
    let Reason::Found(by) = reason else { panic!("{reason:?}") };
    assert_eq!(by.matched, [["b"], ["c"]]);
    assert_eq!(graph::counts(&mut world.tx().await, None).await.unwrap().found["user_is_person"], 1);
}

#[tokio::test]
async fn a_rule_finds_what_was_there_before_it_and_can_be_switched_and_removed() {
    let world = World::new().await;
    world.collect(&users(vec![user("u:1", "ada@acme.example"), person("p:1", "ada@acme.example")])).await;
    assert!(traits(&world).await.is_empty());
    add(&world, &by_mail("first")).await;
    add(&world, &Mapping { verb: "OWNS".to_owned(), ..by_mail("second") }).await;
    assert_eq!(related(&world).await, ["u:1 IS p:1", "u:1 OWNS p:1"]);
    assert_eq!(traits(&world).await.len(), 2, "rules that ask the same share what counts");

    assert!(switch(&world, "first", true).await && !switch(&world, "first", true).await);
    assert_eq!(related(&world).await, ["u:1 OWNS p:1"]);
    // What happens meanwhile is known when it is on again.
    world.collect(&users(vec![user("u:2", "ada@acme.example"), person("p:1", "ada@acme.example")])).await;
    assert!(switch(&world, "first", false).await);
    assert_eq!(related(&world).await, ["u:2 IS p:1", "u:2 OWNS p:1"]);

    let mut tx = world.tx().await;
    let taken = mappings::add(&ctx(), &mut tx, &by_mail("first")).await;
    assert!(matches!(taken, Err(StoreError::Exists { kind: "mapping rule", .. })), "{taken:?}");
    drop(tx);
    for rule in ["first", "second"] {
        let mut tx = world.tx().await;
        mappings::remove(&ctx(), &mut tx, &name(rule)).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert!(related(&world).await.is_empty() && traits(&world).await.is_empty());
    let mut tx = world.tx().await;
    assert!(mappings::remove(&ctx(), &mut tx, &name("first")).await.unwrap_err().is_not_found());
    let unknown: RuleName = "main/first".parse().unwrap();
    assert!(mappings::switch(&ctx(), &mut tx, &unknown, true).await.unwrap_err().is_not_found());
    for n in 0..MAX_MAPPINGS {
        mappings::add(&ctx(), &mut tx, &by_mail(&format!("r{n}"))).await.unwrap();
    }
    let many = mappings::add(&ctx(), &mut tx, &by_mail("one-more")).await;
    assert!(matches!(many, Err(StoreError::TooMany { .. })), "{many:?}");
}

/// Publishes a version of the module with these rules, and has the instance run it.
async fn upgrade(world: &World, instance: &Instance, version: &str, digest: u8, rules: Vec<Mapping>) {
    let mut manifest = manifest("example", version);
    manifest.mappings = rules;
    let digest = ModuleDigest([digest; 32]);
    let mut tx = world.store().begin().await.unwrap();
    let module = NewModule { digest, publisher: "us", manifest: &manifest, component: b"\0asm" };
    modules::add(&ctx(), &mut tx, module).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = world.tx().await;
    let update = InstanceUpdate { module: Some(digest), ..InstanceUpdate::default() };
    instances::update(&ctx(), &mut tx, instance.id, &update).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn the_rules_are_those_of_the_module_version_that_the_instance_runs() {
    let world = World::new().await;
    let other = people(&world).await;
    let rows = || users(vec![user("u:1", "ada@acme.example")]);
    world.collect(&rows()).await;
    world
        .collect_in(&other, &[found("all", vec![user("u:2", "ada@acme.example"), person("p", "ada@acme.example")])])
        .await;
    upgrade(&world, &world.instance, "2.0.0", 8, vec![by_mail("user-is-person")]).await;
    assert_eq!(related(&world).await, ["u:1 IS p"], "the other instance runs a version without the rule");
    let rules = mappings::list(&mut world.tx().await).await.unwrap();
    assert_eq!(rules.iter().map(|r| r.name.to_string()).collect::<Vec<_>>(), ["main/user-is-person"]);
    // A new instance has the rules of its module at once.
    let digest = ModuleDigest([8; 32]);
    let mut tx = world.tx().await;
    let config = std::collections::BTreeMap::new();
    let new = instances::NewInstance { name: &name("third"), module: digest, config: &config };
    instances::create(&ctx(), &mut tx, new).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(mappings::list(&mut world.tx().await).await.unwrap().len(), 2);

    switch(&world, "main/user-is-person", true).await;
    // Another version changes the rule, one has none, and one has it again: it stays switched off.
    let mut changed = by_mail("user-is-person");
    changed.email = false;
    upgrade(&world, &world.instance, "3.0.0", 9, vec![changed, by_mail("more")]).await;
    assert_eq!(related(&world).await, ["u:1 IS p"], "by the rule `more`");
    upgrade(&world, &world.instance, "4.0.0", 10, vec![]).await;
    assert!(related(&world).await.is_empty());
    upgrade(&world, &world.instance, "5.0.0", 11, vec![by_mail("user-is-person")]).await;
    assert!(related(&world).await.is_empty());
    switch(&world, "main/user-is-person", false).await;
    assert_eq!(related(&world).await, ["u:1 IS p"]);
}

#[tokio::test]
async fn nothing_is_related_across_tenants() {
    let world = World::new().await;
    add(&world, &by_mail("user-is-person")).await;
    world.collect(&users(vec![user("u:1", "ada@acme.example")])).await;
    let mut tx = world.store().begin().await.unwrap();
    let stranger = tenants::create(&ctx(), &mut tx, &name("stranger")).await.unwrap();
    tx.commit().await.unwrap();
    // In the same partition.
    let mut admin = world.db.admin().await.unwrap();
    let shard = "UPDATE tenants SET shard = $1 WHERE name = 'stranger'";
    sqlx::query(shard).bind(world.tenant.shard).execute(&mut admin).await.unwrap();
    let instance = instance_of(world.store(), &stranger, "main").await;
    let first = world.tenant.clone();
    let stranger = World { tenant: stranger, instance, ..world };
    add(&stranger, &by_mail("user-is-person")).await;
    stranger.collect(&users(vec![person("p:1", "ada@acme.example"), user("u:9", "ada@acme.example")])).await;
    assert_eq!(related(&stranger).await, ["u:9 IS p:1"]);
    // Row security alone, without a predicate.
    admin.execute("SET ROLE porthole_app").await.unwrap();
    for (tenant, rows) in [(first.id.to_string(), 0_i64), (stranger.tenant.id.to_string(), 1), (String::new(), 0)] {
        let set = "SELECT set_config('porthole.tenant', $1, false)";
        sqlx::query(set).bind(&tenant).execute(&mut admin).await.unwrap();
        let seen: i64 =
            sqlx::query_scalar("SELECT count(*) FROM found_relationships").fetch_one(&mut admin).await.unwrap();
        assert_eq!(seen, rows, "as {tenant:?}");
    }
}

#[tokio::test]
async fn runs_at_once_and_a_new_rule_between_them_miss_nothing() {
    let world = World::new().await;
    let people = people(&world).await;
    for round in 0..6 {
        let mail = |n: u32| format!("p{n}@round{round}.example");
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for n in 0..50 {
            first.push(user(&format!("u:{round}:{n}"), &mail(n)));
            second.push(person(&format!("p:{round}:{n}"), &mail(n)));
        }
        world.queue(&world.instance).await;
        world.queue(&people).await;
        let mut inputs = Vec::new();
        for _ in 0..2 {
            let claim = world.claim().await.claim;
            let rows = if claim.instance == people.id { second.clone() } else { first.clone() };
            let input = stage(world.store(), claim, &[found("all", rows)]).await.unwrap();
            inputs.push((claim, input));
        }
        let id = format!("rule{round}");
        let new = async {
            let mut tx = world.tx().await;
            let rule = Mapping { verb: format!("IS_{}", "X".repeat(round + 1)), ..by_mail(&id) };
            if round > 0 {
                mappings::remove(&ctx(), &mut tx, &name(&format!("rule{}", round - 1))).await.unwrap();
            }
            mappings::add(&ctx(), &mut tx, &rule).await.unwrap();
            tx.commit().await.unwrap();
        };
        let (one, two) = (&inputs[0], &inputs[1]);
        let runs = async {
            let (a, b) = tokio::join!(
                reconcile::apply(world.store(), &one.0, &one.1),
                reconcile::apply(world.store(), &two.0, &two.1)
            );
            a.unwrap();
            b.unwrap();
        };
        tokio::join!(new, runs);
        assert_eq!(related(&world).await.len(), 50, "round {round}");
    }
}
