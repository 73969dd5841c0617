//! The decision: may this step perform this operation with these arguments? Asked for every call.

use crate::allocations::counted;
use crate::bench::{Bench, Figure};
use crate::measure::percentile;
use crate::row::{Goal, Row};
use anyhow::{Context as _, Result, ensure};
use futures_util::FutureExt as _;
use porthole_model::grant::{Ceiling, Grant, Policy};
use porthole_model::id::{Name, StepId};
use porthole_model::manifest::Manifest;
use porthole_model::operation::Config;
use porthole_model::rule::Rule;
use serde_json::json;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Operations of the manifest, all granted.
const OPERATIONS: usize = 300;
/// Operations that one step uses.
const PER_STEP: usize = 10;
/// Times that every operation is asked for.
const ROUNDS: usize = 2_000;

/// See the module's documentation.
pub(crate) const FIGURE: Figure = Figure {
    name: "policy",
    about: "one decision among 300 granted operations, and what it allocates",
    limit: Duration::from_secs(60),
    run: |bench| async move { measure(&bench) }.boxed(),
};

/// One question.
struct Case {
    step: StepId,
    operation: String,
    arguments: Vec<(String, String)>,
}

fn manifest() -> Result<Manifest> {
    let operation = |n: usize| {
        json!({
            "id": format!("list-things-{n}"),
            "request": format!("GET https://{{config.host}}/v1/regions/{{region}}/things-{n}/{{id}}"),
            "path": { "region": { "rule": "^[a-z]{2}-[a-z]+-[0-9]$" }, "id": { "rule": "text<=64" } },
            "query": {
                "limit": { "rule": "=200" }, "after": { "rule": "text<=512" }, "state": { "rule": "^(active|all)$" },
                "count": { "rule": "int<=100000" }, "name": { "rule": "text<=64", "list": true },
            },
            "auth": "api",
        })
    };
    let step = |n: usize| {
        let uses: Vec<String> = (0..PER_STEP).map(|k| format!("list-things-{}", n * PER_STEP + k)).collect();
        json!({ "id": format!("step-{n}"), "uses": uses })
    };
    let manifest = json!({
        "schema": 1,
        "module": { "name": "bench", "version": "1.0.0", "provider": "Bench", "description": "Many operations" },
        "operations": (0..OPERATIONS).map(operation).collect::<Vec<_>>(),
        "steps": (0..OPERATIONS / PER_STEP).map(step).collect::<Vec<_>>(),
    });
    serde_json::from_value(manifest).context("the manifest")
}

fn policy() -> Result<Policy> {
    let manifest = manifest()?;
    let rules = |list: &[&str]| list.iter().map(|r| Rule::parse(r)).collect::<Result<Vec<_>, _>>();
    let mut grant = Grant::all_of(&manifest);
    grant.limits.insert("region".to_owned(), rules(&["=eu-west-1", "=eu-central-1", "^us-[a-z]+-[0-9]$"])?);
    let mut ceiling = Ceiling::default();
    ceiling.limits.insert("region".to_owned(), rules(&["^(eu|us)-[a-z]+-[0-9]$"])?);
    let mut config = Config::default();
    config.values.insert("host".to_owned(), "api.example.com".to_owned());
    Ok(Policy::new(Name::new("bench")?, &manifest, config, grant, ceiling)?)
}

fn cases() -> Result<Vec<Case>> {
    let case = |n: usize| {
        let arguments = [
            ("region", "us-east-1".to_owned()),
            ("id", format!("00u{n:017}")),
            ("after", format!("00u{n:017}ABCDEFGHIJKLMNOPQRSTUVWXYZ")),
            ("state", "active".to_owned()),
            ("count", n.to_string()),
            ("name", "first".to_owned()),
            ("name", "second".to_owned()),
        ];
        Ok(Case {
            step: StepId::new(format!("step-{}", n / PER_STEP))?,
            operation: format!("list-things-{n}"),
            arguments: arguments.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        })
    };
    (0..OPERATIONS).map(case).collect()
}

fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let (policy, cases) = (policy()?, cases()?);
    let decide = |case: &Case| policy.decide(&case.step, &case.operation, &case.arguments).is_ok();
    // Once for each: a pattern's matcher makes its working memory at its first use in a thread.
    ensure!(cases.iter().all(decide), "everything is granted");
    let (allowed, allocations) = counted(|| cases.iter().filter(|case| decide(case)).count());
    ensure!(allowed == OPERATIONS);
    let request = |case: &Case| {
        let allowed = policy.decide(&case.step, &case.operation, &case.arguments);
        allowed.and_then(|allowed| allowed.request()).is_ok()
    };
    let (made, for_requests) = counted(|| cases.iter().filter(|case| request(case)).count());
    ensure!(made == OPERATIONS);
    let each = |total: u64| total as f64 / OPERATIONS as f64;
    let (p50, p99) = times(bench, &cases, decide);
    let (with_request, _) = times(bench, &cases, request);
    let about = format!("7 arguments, 2 patterns, limits of the grant and of the ceiling; p99 {p99:.2} µs");
    Ok(vec![
        Row::new("policy decision, 300 granted operations, p50", p50, "µs").goal(Goal::AtMost(2.0)).note(about),
        Row::new("allocations of a policy decision", each(allocations), "").goal(Goal::AtMost(0.0)),
        Row::new("decision and the request put together, p50", with_request, "µs")
            .note(format!("{:.1} allocations", each(for_requests))),
    ])
}

/// Percentiles of one question's time, in µs: of means over all operations, because a clock is as slow as a question.
fn times(bench: &Bench, cases: &[Case], ask: impl Fn(&Case) -> bool) -> (f64, f64) {
    let mut samples = Vec::new();
    for _ in 0..bench.size(ROUNDS) {
        let started = Instant::now();
        for case in cases {
            black_box(ask(black_box(case)));
        }
        samples.push(started.elapsed());
    }
    let micros = |took: Duration| took.as_secs_f64() * 1e6 / cases.len() as f64;
    (micros(percentile(&mut samples, 0.5)), micros(percentile(&mut samples, 0.99)))
}
