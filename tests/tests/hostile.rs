//! The hostile guest in whole runs: through the broker and the sandbox, against a provider on loopback, into Postgres.
//! What the sandbox alone must answer is in `host/sandbox/tests`; here it is what a run makes of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::{StreamExt as _, stream};
use porthole_model::grant::Grant;
use porthole_model::id::RunId;
use porthole_model::parse::{StepTypes, parse_line};
use porthole_model::run::{Fault, Outcome, RunMode, RunState, SliceKey};
use porthole_runner::limits::RunLimits;
use porthole_store::log::Line;
use porthole_store::reconcile::{self, ReconcileInput, SliceResult};
use porthole_store::rejections::{self, Rejection};
use porthole_store::runs::{self, Run, RunFinish};
use porthole_store::staging::StagingWriter;
use porthole_store::{index, log, slices};
use porthole_tests::world::{WORKER, World, WorldBuilder, op, packed};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

/// The host that the manifest names by default.
const HOST: &str = "api.hostile.example";
/// Worlds at once where each attack has one: each is a database, a worker and a sandbox.
const WORLDS_AT_ONCE: usize = 3;
/// How long something that takes milliseconds may take on a loaded machine.
const SOON: Duration = Duration::from_secs(30);

/// A bad object: its step, what the reason for setting it aside says, and whether its key could be read. An object that
/// nobody can identify may be one that is stored, so its slice isn't complete.
const BAD_OBJECTS: &[(&str, &str, bool)] = &[
    ("emit-no-json", "expected", false),
    ("emit-undeclared-type", "the step doesn't declare type `okta_user`", true),
    ("emit-undeclared-relationship", "doesn't declare type `hostile_user_owns_github_account`", true),
    ("emit-nul", "U+0000 can't be stored", true),
    ("emit-lone-surrogate", "half of a surrogate pair", true),
    ("emit-bad-utf8", "is not UTF-8", false),
    ("emit-huge-exponent", "number `1e131071` is out of range", true),
    ("emit-long-number", "is out of range", true),
    ("emit-duplicate-property", "key `admin` is given twice", true),
    ("emit-duplicate-object", "emitted before in this run, by emit-duplicate-object", true),
    ("emit-too-deep", "nested more than", true),
    ("emit-long-key", "a key has 1 to 1024 bytes", false),
    ("emit-wrong-class", "the classes are not those that the manifest declares", true),
    ("emit-missing-property", "is missing or null", true),
    ("emit-foreign-property", "names with a leading `_` are reserved", true),
];

/// A claim of completeness that is none: the step, and what the slice's reason says.
const LIES: &[(&str, &str)] = &[
    ("lie-after-denial", "`delete-things` denied (requested)"),
    ("lie-after-fault", "HTTP 500"),
    ("lie-unread-page", "1 lists were not followed to their last page"),
    ("lie-after-refused-batch", "limit `emit-size`"),
];

/// A call that is denied: the step, the operation, the layer, and what the reason and the remedy say.
const DENIED: &[(&str, &str, &str, &str, &str)] = &[
    ("call-undeclared", "delete-things", "requested", "declares no such operation", "the module's manifest has to ask"),
    ("call-foreign", "get-secret", "requested", "doesn't declare that it uses it", "the module's manifest has to ask"),
    ("call-ungranted", "get-secret", "granted", "was not granted it", "porthole grant set it --allow get-secret"),
    ("call-argument", "get-thing", "requested", "", "the module's manifest has to ask"),
    ("credential-missing", "list-things", "requested", "it needs the credential of slot `api`", "passes the handle"),
];

/// An attack that ends its step and nothing else: the step, and what the slice's reason says.
const FAILS: &[(&str, &str)] = &[
    ("memory-bomb", "limit `memory`"),
    ("cpu-loop", "limit `cpu`"),
    ("stack-overflow", "limit `stack`"),
    ("stack-in-memory", "out of bounds memory access"),
    ("trap-memory", "out of bounds memory access"),
    ("unreachable", "unreachable"),
    ("panic", "unreachable"),
    ("host-call-flood", "limit `host-calls`"),
    ("handle-leak", "limit `handles`"),
    ("transfer-giant", "limit `transfer`"),
    ("emit-objects-flood", "limit `emit-objects`"),
    ("emit-bytes-flood", "limit `emit-bytes`"),
    ("emit-giant-line", "limit `emit-size`"),
    ("emit-giant-batch", "limit `emit-size`"),
];

/// A question that is refused, of which the guest says so: the step, and what the slice's reason says.
const REFUSED: &[(&str, &str)] = &[
    ("token-invented", "each was refused"),
    ("token-foreign/a", "each was refused"),
    ("token-foreign/b", "each was refused"),
    ("token-twice", "BadToken"),
    ("slot-unknown", "UnknownSlot"),
    ("slot-giant", "UnknownSlot"),
    ("read-undeclared", "each was refused"),
    ("call-many-65", "limit `calls-at-once`"),
    ("call-giant", "CallError::Limit"),
];

/// Listings that fail, and what the run says of it.
const LISTINGS: &[(&str, &str)] = &[
    ("partitions-flood", "150000 partitions"),
    ("partitions-giant", "257 bytes"),
    ("partitions-heavy", "limit `transfer`"),
];

/// A provider with as many pages of things as it is told.
#[derive(Clone)]
struct Provider {
    pages: Arc<AtomicU32>,
    requests: Arc<AtomicU32>,
    url: String,
}

impl Provider {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let provider = Self { pages: Arc::new(AtomicU32::new(3)), requests: Arc::default(), url };
        let routes = axum::Router::new()
            .route("/things", get(Self::things))
            .route("/things/{id}", get(Self::thing))
            .fallback(|State(provider): State<Self>| async move {
                provider.requests.fetch_add(1, Ordering::Relaxed);
                StatusCode::NOT_FOUND
            })
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        provider
    }

    async fn things(State(provider): State<Self>, Query(query): Query<BTreeMap<String, String>>) -> Response {
        provider.requests.fetch_add(1, Ordering::Relaxed);
        let page: u32 = query.get("filter").map_or(0, |p| p.parse().unwrap());
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
        if page + 1 < provider.pages.load(Ordering::Relaxed) {
            let next = format!("<https://{HOST}/things?filter={}>; rel=\"next\"", page + 1);
            headers.insert(header::LINK, next.parse().unwrap());
        }
        (headers, "[]").into_response()
    }

    async fn thing(State(provider): State<Self>, Path(id): Path<String>) -> Response {
        provider.requests.fetch_add(1, Ordering::Relaxed);
        let status = if id == "500" { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
        (status, [(header::CONTENT_TYPE, "application/json")], "{}").into_response()
    }
}

/// The hostile module against the provider, with these steps on and no other.
async fn world(provider: &Provider, steps: &[&str], limits: impl FnOnce(&mut RunLimits)) -> World {
    static COMPILED: OnceCell<()> = OnceCell::const_new();
    // The tests of this file begin at once, and compiling takes a core and seconds: the first one does it for all.
    let compile = async {
        let world = build(provider, &["honest"], |_| {}).await;
        assert_eq!(world.run().await.unwrap().outcome, Some(Outcome::Succeeded));
    };
    COMPILED.get_or_init(|| compile).await;
    build(provider, steps, limits).await
}

async fn build(provider: &Provider, steps: &[&str], limits: impl FnOnce(&mut RunLimits)) -> World {
    let packed = packed("hostile").unwrap();
    let mut grant = Grant::all_of(&packed.manifest);
    let on: BTreeSet<&str> = steps.iter().copied().collect();
    let off = packed.manifest.steps.iter().filter(|s| !on.contains(s.id.as_str()));
    grant.steps_off = off.map(|s| s.id.clone()).collect();
    assert_eq!(grant.steps_off.len() + on.len(), packed.manifest.steps.len(), "no such step: {steps:?}");
    let builder =
        WorldBuilder::new(packed).endpoint(HOST, &provider.url).unwrap().secret("api", "token", "hunter2-0123");
    let builder = builder.grant(grant).limits(|l| {
        l.calls.max_attempts = 1;
        limits(l);
    });
    builder.build().await.unwrap()
}

async fn rejected(world: &World, run: RunId) -> Vec<Rejection> {
    let mut tx = world.store().tenant(world.tenant).await.unwrap();
    rejections::list(&mut tx, run, 0, 1_000).await.unwrap()
}

async fn run_log(world: &World, run: RunId) -> Vec<Line> {
    let mut tx = world.store().tenant(world.tenant).await.unwrap();
    log::read(&mut tx, run, 0, 100_000).await.unwrap()
}

/// The keys of the graph, without their type.
async fn keys(world: &World) -> BTreeSet<String> {
    world.graph().await.unwrap().into_keys().collect()
}

fn set(keys: &[&str]) -> BTreeSet<String> {
    keys.iter().map(|k| (*k).to_owned()).collect()
}

/// The run log says this of the step, in the host's words.
fn says(lines: &[Line], step: &str, text: &str) -> bool {
    lines.iter().any(|l| l.source == "host" && l.step == step && l.message.contains(text))
}

/// Puts things into a step's slice, as an earlier run that saw them would have.
async fn plant(world: &World, step: &str, keys: &[String]) {
    let run = world.queue(RunMode::Apply).await.unwrap();
    let claim = runs::claim_run(world.store(), WORKER, SOON, run).await.unwrap().unwrap().claim;
    let key = SliceKey { step: step.parse().unwrap(), partition: "".parse().unwrap() };
    let mut tx = world.store().tenant(world.tenant).await.unwrap();
    let ids = slices::ensure(&mut tx, world.instance, std::slice::from_ref(&key)).await.unwrap();
    let generation = index::stream_index(&mut tx, world.instance, |_| {}).await.unwrap();
    tx.commit().await.unwrap();
    let types = StepTypes::new(world.manifest.step(step).unwrap(), &|_| Vec::new());
    // Each step has a type of its own.
    let entity_type = format!("hostile_{}", step.replace('-', "_"));
    let mut staging = StagingWriter::new(world.store(), claim);
    for name in keys {
        let line = format!(r#"{{"e":"{entity_type}","k":"{name}","c":["Record"],"n":"{name}","p":{{}}}}"#);
        staging.created(ids[&key], &parse_line(line.as_bytes(), &types).unwrap()).await.unwrap();
    }
    let input = ReconcileInput {
        generation,
        staged: staging.finish().await.unwrap(),
        slices: vec![SliceResult { slice_id: ids[&key], complete: true, reason: String::new() }],
        retired: Vec::new(),
        finish: RunFinish::new(Outcome::Succeeded, None, "planted"),
    };
    reconcile::apply(world.store(), &claim, &input).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_object_is_set_aside_alone() {
    let provider = Provider::start().await;
    let one = |(step, reason, identified): &'static (&str, &str, bool)| {
        let provider = provider.clone();
        async move {
            let world = world(&provider, &[step], |_| {}).await;
            let run = world.run().await.unwrap();
            let aside = rejected(&world, run.id).await;
            assert_eq!(aside.len(), 1, "{step}: {aside:?}");
            assert!(aside[0].reason.contains(reason), "{step}: {aside:?}");
            assert_eq!(aside[0].slice.step.as_str(), *step);
            let mut expected = set(&["good:before", "good:after"]);
            if *step == "emit-duplicate-object" {
                // The first of the two stands; which of them is right nobody knows.
                expected.insert("bad".to_owned());
            }
            assert_eq!(keys(&world).await, expected, "{step}");
            let slice = &world.slices(run.id).await.unwrap()[*step];
            assert_eq!(slice.complete, *identified, "{step}: {}", slice.reason);
            assert_eq!(run.outcome, Some(if *identified { Outcome::Succeeded } else { Outcome::Partial }), "{step}");
            assert!(says(&run_log(&world, run.id).await, step, "1 objects were set aside"), "{step}");
        }
    };
    stream::iter(BAD_OBJECTS).for_each_concurrent(WORLDS_AT_ONCE, one).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lie_about_completeness_sweeps_nothing() {
    let provider = Provider::start().await;
    let steps: Vec<&str> = LIES.iter().map(|(step, _)| *step).chain(["honest"]).collect();
    let world = world(&provider, &steps, |_| {}).await;
    let mut planted = BTreeSet::new();
    for step in &steps {
        let key = format!("old:{step}");
        plant(&world, step, std::slice::from_ref(&key)).await;
        planted.insert(key);
    }
    assert_eq!(keys(&world).await, planted);
    let run = world.run().await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Partial), "{}", run.message);
    let slices = world.slices(run.id).await.unwrap();
    for (step, reason) in LIES {
        assert!(!slices[*step].complete, "{step}");
        assert!(slices[*step].reason.contains(reason), "{step}: {}", slices[*step].reason);
    }
    // The honest step beside them swept what it no longer saw; so the others' objects are there because of the lie.
    assert!(slices["honest"].complete, "{}", slices["honest"].reason);
    planted.remove("old:honest");
    planted.extend(set(&["page:0", "page:1", "page:2", "lie:denial", "lie:fault", "lie:page", "lie:batch"]));
    assert_eq!(keys(&world).await, planted);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_claim_that_the_wire_cannot_refute_meets_the_brake() {
    let provider = Provider::start().await;
    let world = world(&provider, &["lie-empty"], |_| {}).await;
    plant(&world, "lie-empty", &(0..100).map(|n| format!("old:{n}")).collect::<Vec<_>>()).await;
    let before = keys(&world).await;
    assert_eq!(before.len(), 100);
    let run = world.run().await.unwrap();
    assert_eq!(run.state, RunState::Held, "{}", run.message);
    assert!(run.message.contains("100 of 100 hostile_lie_empty"), "{}", run.message);
    assert_eq!(keys(&world).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_call_is_recorded_with_its_layer_and_remedy_and_the_run_goes_on() {
    let provider = Provider::start().await;
    let steps: Vec<&str> = DENIED.iter().map(|d| d.0).chain(["honest"]).collect();
    let world = world(&provider, &steps, |_| {}).await;
    world.set_grant(|g| assert!(g.operations.remove("get-secret"))).await.unwrap();
    // The test that compiled the module for all of them has asked already.
    provider.requests.store(0, Ordering::Relaxed);
    let run = world.run().await.unwrap();
    assert_eq!((run.outcome, run.fault), (Some(Outcome::Partial), Some(Fault::Tenant)), "{}", run.message);
    let (calls, slices) = (world.calls(run.id).await.unwrap(), world.slices(run.id).await.unwrap());
    for (step, operation, layer, reason, remedy) in DENIED {
        let of_step: Vec<_> = calls.iter().filter(|c| c.slice.step.as_str() == *step).collect();
        assert_eq!(of_step.len(), if *step == "call-argument" { 12 } else { 1 }, "{step}");
        for call in of_step {
            assert_eq!((call.decision.as_str(), call.operation.as_str()), ("denied", *operation), "{step}");
            assert_eq!(call.layer.as_deref(), Some(*layer), "{step}");
            assert!(call.reason.contains(reason) && call.remedy.contains(remedy), "{step}: {call:?}");
            assert!(call.completed_at.is_some() && call.attempts == 0 && call.status.is_none(), "{step}: {call:?}");
        }
        assert!(slices[*step].reason.contains(&format!("denied ({layer})")), "{step}: {}", slices[*step].reason);
    }
    // The honest step's three pages are all that the provider ever saw.
    assert!(slices["honest"].complete, "{}", slices["honest"].reason);
    assert_eq!(calls.iter().filter(|c| c.decision == "allowed").count(), 3);
    assert_eq!(provider.requests.load(Ordering::Relaxed), 3);
    assert_eq!(keys(&world).await, set(&["page:0", "page:1", "page:2"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_breaks_ends_its_step_and_not_the_worker() {
    let provider = Provider::start().await;
    let steps: Vec<&str> =
        FAILS.iter().map(|f| f.0).chain(["honest", "log-flood", "log-giant", "progress-flood"]).collect();
    let limits = |l: &mut RunLimits| {
        let s = &mut l.sandbox;
        // Small, but not so small that the floods, which end at other limits, end at these.
        (s.memory_bytes, s.cpu_ms, s.host_calls, s.handles) = (64 << 20, 5_000, 200_000, 16);
        (s.emit_objects, s.emit_bytes, s.log_lines) = (5_500, 1_000_000, 10);
    };
    let world = world(&provider, &steps, limits).await;
    let run = world.run().await.unwrap();
    assert_eq!((run.outcome, run.fault), (Some(Outcome::Partial), Some(Fault::Guest)), "{}", run.message);
    let (slices, lines) = (world.slices(run.id).await.unwrap(), run_log(&world, run.id).await);
    for (step, reason) in FAILS {
        let slice = &slices[*step];
        assert_eq!((slice.outcome, slice.complete), (Some(Outcome::Failed), false), "{step}: {}", slice.reason);
        assert!(slice.reason.contains(reason), "{step}: {}", slice.reason);
        assert!(says(&lines, step, reason), "{step}: the run log doesn't say `{reason}`");
    }
    for step in ["honest", "log-flood", "log-giant", "progress-flood"] {
        assert!(slices[step].complete, "{step}: {}", slices[step].reason);
    }
    assert_eq!(lines.iter().filter(|l| l.source == "guest" && l.step == "log-flood").count(), 10);
    assert!(says(&lines, "log-flood", "99990 log lines beyond the limit were dropped"));
    let giant = lines.iter().find(|l| l.source == "guest" && l.step == "log-giant").unwrap();
    assert!(giant.message.len() <= porthole_wire::MAX_LOG_BYTES && giant.message.chars().all(|c| c == '€'));
    assert!(keys(&world).await.is_superset(&set(&["page:0", "page:1", "page:2"])));
    // The worker is as it was.
    world.set_grant(|g| g.steps_off.extend(FAILS.iter().map(|f| f.0.parse().unwrap()))).await.unwrap();
    let next = world.run().await.unwrap();
    assert_eq!(next.outcome, Some(Outcome::Succeeded), "{}", next.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_guest_may_not_ask_is_refused_to_it() {
    let provider = Provider::start().await;
    let steps: BTreeSet<&str> = REFUSED.iter().map(|(slice, _)| slice.split('/').next().unwrap()).collect();
    let steps: Vec<&str> = steps.into_iter().chain(["honest"]).collect();
    let world = world(&provider, &steps, |_| {}).await;
    let run = world.run().await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Partial), "{}", run.message);
    let slices = world.slices(run.id).await.unwrap();
    for (slice, reason) in REFUSED {
        let found = &slices[*slice];
        assert!(!found.complete && found.reason.contains(reason), "{slice}: {}", found.reason);
        assert!(!found.reason.contains("let through"), "{slice}: {}", found.reason);
    }
    assert!(slices["honest"].complete);
    let sent = world.calls(run.id).await.unwrap();
    let by = |step: &str| sent.iter().filter(|c| c.slice.step.as_str() == step && c.decision == "allowed").count();
    // The one step that follows a page for real; of the others nothing goes out.
    assert_eq!((by("token-twice"), by("honest")), (2, 3));
    assert_eq!(sent.iter().filter(|c| c.decision == "allowed").count(), 5, "{sent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_without_end_are_stopped_whether_they_are_sent_or_denied() {
    const CALLS: u64 = 40;
    let provider = Provider::start().await;
    for step in ["call-flood", "denied-flood"] {
        let world = world(&provider, &[step], |l| l.max_calls = CALLS).await;
        provider.requests.store(0, Ordering::Relaxed);
        let run = world.run().await.unwrap();
        let slice = &world.slices(run.id).await.unwrap()[step];
        assert!(!slice.complete, "{step}");
        let calls = world.calls(run.id).await.unwrap();
        assert_eq!(calls.len() as u64, CALLS, "{step}: each call has a record, and then there are no more");
        let sent = if step == "call-flood" { CALLS } else { 0 };
        assert_eq!(u64::from(provider.requests.load(Ordering::Relaxed)), sent, "{step}");
        let says = run_log(&world, run.id).await.iter().any(|l| l.message.contains("a run makes at most 40 calls"));
        assert!(says, "{step}: {}", slice.reason);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_giant_list_of_partitions_fails_its_step_and_none_of_them_runs() {
    let provider = Provider::start().await;
    let steps: Vec<&str> = LISTINGS.iter().map(|(step, _)| *step).chain(["honest"]).collect();
    let world = world(&provider, &steps, |_| {}).await;
    let run = world.run().await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Partial), "{}", run.message);
    let (slices, lines) = (world.slices(run.id).await.unwrap(), run_log(&world, run.id).await);
    assert_eq!(slices.keys().collect::<Vec<_>>(), ["honest"]);
    for (step, reason) in LISTINGS {
        let about: Vec<_> = lines.iter().filter(|l| l.step == *step).collect();
        assert!(says(&lines, step, reason), "{step}: {about:?}");
    }
}

/// A program name that only this world's sandbox has, and by which it is found.
fn name_sandbox(world: &mut World, name: &str) {
    let link = world.path().join(name);
    std::os::unix::fs::symlink(&world.parts.sandbox, &link).unwrap();
    world.parts.sandbox = link;
}

/// The process of that name among this one's children.
fn find_sandbox(name: &str) -> Option<Pid> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let children = tasks.filter_map(|t| std::fs::read_to_string(t.path().join("children")).ok()).collect::<Vec<_>>();
    let ids = children.iter().flat_map(|c| c.split_whitespace()).filter_map(|id| id.parse::<i32>().ok());
    let is_it = |id: &i32| std::fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|comm| comm.trim() == name);
    ids.filter(is_it).find_map(Pid::from_raw)
}

/// Waits until a slice is in this state.
async fn wait_for(world: &World, run: RunId, step: &str, state: &str) {
    let end = Instant::now() + SOON;
    while world.slices(run).await.unwrap().get(step).is_none_or(|s| s.state != state) {
        assert!(Instant::now() < end, "{step} is not {state} after {SOON:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn patient(limits: &mut RunLimits) {
    limits.sandbox.host_calls = u64::MAX;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_sandbox_ends_the_run_as_failed_and_applies_nothing() {
    const NAME: &str = "hostile-victim";
    let provider = Provider::start().await;
    let mut world = world(&provider, &["honest", "cancel-wait"], patient).await;
    name_sandbox(&mut world, NAME);
    let run = world.queue(RunMode::Apply).await.unwrap();
    let kill = async {
        // The honest step has staged its objects by now, and the other one goes on for ever.
        wait_for(&world, run, "honest", "finished").await;
        wait_for(&world, run, "cancel-wait", "running").await;
        kill_process(find_sandbox(NAME).expect("the sandbox runs"), Signal::KILL).unwrap();
    };
    let (ended, ()) = tokio::join!(world.work_on(run), kill);
    let ended = ended.unwrap();
    assert_eq!((ended.outcome, ended.fault), (Some(Outcome::Failed), Some(Fault::Guest)), "{}", ended.message);
    assert!(ended.message.contains("killed by signal 9"), "{}", ended.message);
    assert!(keys(&world).await.is_empty());
    // The worker and the instance are none the worse.
    world.set_grant(|g| assert!(g.steps_off.insert("cancel-wait".parse().unwrap()))).await.unwrap();
    assert_eq!(world.run().await.unwrap().outcome, Some(Outcome::Succeeded));
}

async fn cancel(world: &World, step: &str) -> (Run, Duration) {
    let run = world.queue(RunMode::Apply).await.unwrap();
    let request = async {
        wait_for(world, run, "honest", "finished").await;
        wait_for(world, run, step, "running").await;
        let mut tx = world.store().tenant(world.tenant).await.unwrap();
        runs::request_cancel(&op(), &mut tx, run).await.unwrap();
        tx.commit().await.unwrap();
        Instant::now()
    };
    let (ended, asked) = tokio::join!(world.work_on(run), request);
    (ended.unwrap(), asked.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_ends_in_seconds_and_applies_nothing() {
    let provider = Provider::start().await;
    // One guest asks whether it was cancelled. The other doesn't, and is stopped: that takes its grace of five seconds.
    for (step, within) in [("cancel-wait", Duration::from_secs(8)), ("cpu-loop", Duration::from_secs(16))] {
        let world = world(&provider, &["honest", step], patient).await;
        let (ended, took) = cancel(&world, step).await;
        assert_eq!(ended.outcome, Some(Outcome::Cancelled), "{step}: {}", ended.message);
        assert!(took < within, "{step}: {took:?}");
        assert!(ended.cancelled_by.is_some());
        assert!(keys(&world).await.is_empty(), "{step}");
    }
}

#[test]
fn each_step_of_the_hostile_module_is_covered() {
    let manifest = packed("hostile").unwrap().manifest;
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let sources = std::fs::read_dir(format!("{root}/host/sandbox/tests/sandbox")).unwrap();
    let mut text = String::new();
    for test in ["hostile", "replay"] {
        text += &std::fs::read_to_string(format!("{root}/tests/tests/{test}.rs")).unwrap();
    }
    for source in sources {
        text += &std::fs::read_to_string(source.unwrap().path()).unwrap();
    }
    let steps: Vec<&str> = manifest.steps.iter().map(|s| s.id.as_str()).collect();
    assert!(steps.len() > 40, "{steps:?}");
    let uncovered: Vec<_> =
        steps.iter().filter(|s| !text.contains(&format!("\"{s}\"")) && !text.contains(&format!("\"{s}/"))).collect();
    assert!(uncovered.is_empty(), "no test names {uncovered:?}");
}
