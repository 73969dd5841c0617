#![allow(clippy::unwrap_used, reason = "a test may panic")]
use super::*;
use serde_json::{Value, json};

fn manifest(steps: Value) -> Manifest {
    let operation = |id: &str, request: &str| json!({ "id": id, "request": request, "auth": "api" });
    let mut regional = operation("list-vms", "GET https://vm.{region}.example.com/vms");
    regional["path"] = json!({ "region": { "rule": "^[a-z]+$" } });
    regional["permission"] = json!("vm:List");
    serde_json::from_value(json!({
        "schema": 1,
        "module": { "name": "acme", "version": "1.2.3", "provider": "Acme", "description": "Acme" },
        "credentials": [
            { "slot": "api", "method": "token", "kind": "bearer" },
            { "slot": "api", "method": "app", "kind": "oauth2-refresh-token", "token-url": "https://login.{config.host}/t" },
        ],
        "operations": [
            operation("account", "GET https://{config.host}/account"),
            operation("list-users", "GET https://{config.host}/users"),
            regional,
        ],
        "steps": steps,
    }))
    .unwrap()
}

fn diamond() -> Manifest {
    manifest(json!([
        { "id": "last", "uses": [], "needs": ["users", "vms"] },
        { "id": "users", "uses": ["list-users"], "needs": ["account"] },
        { "id": "vms", "uses": ["list-vms", "account"], "needs": ["account"], "partitioned": true },
        { "id": "account", "uses": ["account"] },
        { "id": "alone", "uses": ["list-users"] },
    ]))
}

fn make(manifest: &Manifest, change: impl FnOnce(&mut Grant, &mut Ceiling)) -> Result<Plan, PlanError> {
    let (mut grant, mut ceiling) = (Grant::all_of(manifest), Ceiling::default());
    change(&mut grant, &mut ceiling);
    let config = Config { values: [("host".to_owned(), "api.example.com".to_owned())].into(), ..Config::default() };
    plan(
        manifest,
        PlanInput {
            instance: &Name::new("prod").unwrap(),
            digest: ModuleDigest([7; 32]),
            config: &config,
            grant: &grant,
            ceiling: &ceiling,
            exceptions: &["allow 127.0.0.1:9000".to_owned()],
            limits: &[("memory_bytes".to_owned(), 1 << 28)].into(),
        },
    )
}

fn step<'p>(plan: &'p Plan, id: &str) -> &'p PlannedStep {
    plan.steps.iter().find(|s| s.id.as_str() == id).unwrap()
}

fn ids(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|s| s.id.as_str()).collect()
}

#[test]
fn steps_come_after_what_they_need_and_else_as_written() {
    let plan = make(&diamond(), |_, _| {}).unwrap();
    assert_eq!(ids(&plan), ["account", "users", "vms", "last", "alone"]);
    assert!(plan.steps.iter().all(PlannedStep::is_on));
}

#[test]
fn a_reviewer_reads_what_may_happen() {
    let plan = make(&diamond(), |grant, _| {
        grant.limits.insert("region".to_owned(), vec![Rule::parse("=eu").unwrap()]);
    })
    .unwrap();
    insta::assert_json_snapshot!(plan, @r#"
    {
      "instance": "prod",
      "module": {
        "digest": "sha256:0707070707070707070707070707070707070707070707070707070707070707",
        "name": "acme",
        "version": "1.2.3"
      },
      "steps": [
        {
          "id": "account",
          "partitioned": false,
          "operations": [
            "account"
          ]
        },
        {
          "id": "users",
          "partitioned": false,
          "needs": [
            "account"
          ],
          "operations": [
            "list-users"
          ]
        },
        {
          "id": "vms",
          "partitioned": true,
          "needs": [
            "account"
          ],
          "operations": [
            "list-vms",
            "account"
          ]
        },
        {
          "id": "last",
          "partitioned": false,
          "needs": [
            "users",
            "vms"
          ],
          "operations": []
        },
        {
          "id": "alone",
          "partitioned": false,
          "operations": [
            "list-users"
          ]
        }
      ],
      "operations": [
        {
          "id": "account",
          "method": "GET",
          "url": "https://api.example.com/account",
          "auth": "api"
        },
        {
          "id": "list-users",
          "method": "GET",
          "url": "https://api.example.com/users",
          "auth": "api"
        },
        {
          "id": "list-vms",
          "method": "GET",
          "url": "https://vm.{region}.example.com/vms",
          "auth": "api",
          "permission": "vm:List"
        }
      ],
      "argument_limits": [
        {
          "argument": "region",
          "layer": "granted",
          "rules": [
            "=eu"
          ]
        }
      ],
      "hosts": [
        "api.example.com",
        "vm.{region}.example.com"
      ],
      "token_hosts": [
        "login.api.example.com"
      ],
      "exceptions": [
        "allow 127.0.0.1:9000"
      ],
      "limits": {
        "memory_bytes": 268435456
      }
    }
    "#);
    let json = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
}

#[test]
fn a_step_that_needs_a_switched_off_step_is_off_too() {
    let off = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|n| StepId::new(*n).unwrap()).collect();
        make(&diamond(), |grant, _| grant.steps_off.extend(names)).unwrap()
    };
    let plan = off(&["vms"]);
    assert_eq!(step(&plan, "vms").off, Some(OffReason::SwitchedOff));
    assert_eq!(step(&plan, "last").off, Some(OffReason::Needs(StepId::new("vms").unwrap())));
    assert!(step(&plan, "users").is_on() && step(&plan, "alone").is_on());
    assert!(plan.operations.iter().all(|o| o.id.as_str() != "list-vms"), "what no step may do isn't planned");

    let plan = off(&["account"]);
    let on: Vec<_> = plan.steps.iter().filter(|s| s.is_on()).map(|s| s.id.as_str()).collect();
    assert_eq!(on, ["alone"], "through every step in between");
    assert_eq!(off(&["a-step-of-an-older-version"]).steps.iter().filter(|s| !s.is_on()).count(), 0);
}

#[test]
fn an_operation_that_is_refused_says_by_whom_and_the_step_stays_on() {
    let operation = |id: &str| OperationId::new(id).unwrap();
    let plan = make(&diamond(), |grant, ceiling| {
        grant.operations.remove("list-users");
        ceiling.deny.insert(operation("list-vms"));
        ceiling.deny.insert(operation("list-users"));
    })
    .unwrap();
    let refused = |step: &PlannedStep| step.refused.iter().map(|r| (r.operation.clone(), r.layer)).collect::<Vec<_>>();
    assert_eq!(refused(step(&plan, "users")), [(operation("list-users"), Layer::Granted)]);
    assert_eq!(refused(step(&plan, "vms")), [(operation("list-vms"), Layer::Ceiling)]);
    assert_eq!(step(&plan, "vms").operations, [operation("account")]);
    assert!(step(&plan, "users").is_on());
    assert_eq!(plan.hosts.iter().collect::<Vec<_>>(), ["api.example.com"]);
}

#[test]
fn a_grant_beyond_the_manifest_plans_nothing_more() {
    let plan = make(&diamond(), |grant, _| {
        grant.operations.insert(OperationId::new("delete-users").unwrap());
    })
    .unwrap();
    assert_eq!(plan.operations.len(), 3);
}

#[test]
fn a_manifest_that_contradicts_itself_has_no_plan() {
    let error = |steps: Value| make(&manifest(steps), |_, _| {}).unwrap_err().to_string();
    let cases = [
        (
            json!([{ "id": "a", "uses": [], "needs": ["b"] }]),
            "step `a` needs step `b`, which the manifest doesn't declare",
        ),
        (
            json!([{ "id": "a", "uses": ["nothing"] }]),
            "step `a` uses operation `nothing`, which the manifest doesn't declare",
        ),
        (json!([{ "id": "a", "uses": [] }, { "id": "a", "uses": [] }]), "the manifest declares `a` twice"),
        (json!([{ "id": "a", "uses": [], "needs": ["a"] }]), "the steps `a` wait for each other"),
        (
            json!([
                { "id": "c", "uses": [] },
                { "id": "a", "uses": [], "needs": ["b"] },
                { "id": "b", "uses": [], "needs": ["a", "c"] },
            ]),
            "the steps `a`, `b` wait for each other",
        ),
    ];
    for (steps, message) in cases {
        assert_eq!(error(steps), message);
    }
}

#[test]
fn a_missing_configuration_field_names_the_operation() {
    let manifest = diamond();
    let (grant, ceiling) = (Grant::all_of(&manifest), Ceiling::default());
    let input = PlanInput {
        instance: &Name::new("prod").unwrap(),
        digest: ModuleDigest([7; 32]),
        config: &Config::default(),
        grant: &grant,
        ceiling: &ceiling,
        exceptions: &[],
        limits: &BTreeMap::new(),
    };
    assert_eq!(plan(&manifest, input).unwrap_err().to_string(), "operation `account`");
}
