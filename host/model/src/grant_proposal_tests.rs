#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
use super::*;
use crate::usage::OperationUse;
use serde_json::json;

fn manifest() -> Manifest {
    let operation = |id: &str, more: serde_json::Value| {
        let mut operation = json!({ "id": id, "request": format!("GET https://api.example/{id}") });
        operation.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        operation
    };
    serde_json::from_value(json!({
        "schema": 1,
        "module": { "name": "x", "version": "0.1.0", "provider": "X", "description": "x" },
        "operations": [
            operation("list", json!({ "query": {
                "org": { "rule": "text<=100", "required": true },
                "role": { "rule": "^(member|owner)$", "required": true },
                "page": { "rule": "int<=100" },
                "per_page": { "rule": "=100" },
                "filter": { "rule": "text<=100" },
            }, "pages": { "kind": "link" } })),
            operation("get", json!({ "query": { "org": { "rule": "={config.org}" }, "id": { "rule": "^[0-9]+$" } } })),
            operation("search", json!({ "query": { "after": { "rule": "text<=100" } },
                "pages": { "kind": "cursor", "cursor": "/after", "argument": "after" } })),
            operation("never", json!({})),
        ],
        "steps": [{ "id": "one", "uses": ["list", "get", "search"] }, { "id": "two", "uses": ["never"] }],
    }))
    .unwrap()
}

fn config() -> BTreeMap<String, String> {
    BTreeMap::from([("org".to_owned(), "acme".to_owned())])
}

/// A run that made these calls.
fn run(calls: &[(&str, &[(&str, &str)])]) -> RunUse {
    let manifest = manifest();
    let mut used = RunUse::default();
    for (id, arguments) in calls {
        let arguments: Vec<(String, String)> =
            arguments.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let operation: &mut OperationUse = used.operations.entry(id.parse().unwrap()).or_default();
        operation.calls += 1;
        operation.called_with(manifest.operation(id).unwrap(), &arguments);
    }
    used
}

fn list(org: &str) -> (&'static str, Vec<(&'static str, String)>) {
    ("list", vec![("org", org.to_owned()), ("role", "member".to_owned()), ("page", "2".to_owned())])
}

fn values(proposal: &Proposal, argument: &str) -> Option<Vec<String>> {
    proposal.limits.get(argument).map(|values| values.iter().cloned().collect())
}

#[test]
fn what_was_used_stays_and_the_rest_goes() {
    let (manifest, grant) = (manifest(), Grant::all_of(&manifest()));
    let one = run(&[
        ("list", &[("org", "acme"), ("role", "member")]),
        ("list", &[("org", "acme"), ("role", "member"), ("page", "2")]),
        ("get", &[("id", "7")]),
    ]);
    let proposal = propose(&manifest, &config(), &grant, &[one.clone(), one]);
    let names = |set: &BTreeSet<OperationId>| set.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(&proposal.grant.operations), ["get", "list"]);
    assert_eq!(names(&proposal.unused), ["never", "search"]);
    // The organisation was always the same, the role one of two, the id one of many that there could be; pages and what
    // was left out somewhere have no limit.
    assert_eq!(values(&proposal, "org"), Some(vec!["acme".to_owned()]));
    assert_eq!(values(&proposal, "role"), Some(vec!["member".to_owned()]));
    assert_eq!(values(&proposal, "id"), Some(vec!["7".to_owned()]));
    assert_eq!(proposal.limits.len(), 3);
    assert_eq!(
        proposal.command("acme/x", &grant).unwrap(),
        "porthole grant set acme/x --deny never --deny search --limit 'id==7' --limit 'org==acme' --limit 'role==member'"
    );
    assert_eq!(propose(&manifest, &config(), &proposal.grant, &[]).grant.operations.len(), 0, "no run, no use");
}

#[test]
fn a_limit_that_is_there_is_replaced_by_a_narrower_one_and_an_equal_one_is_left() {
    let (manifest, mut grant) = (manifest(), Grant::all_of(&manifest()));
    grant.limits.insert("org".to_owned(), vec![Rule::parse("^.*$").unwrap()]);
    let one = run(&[("list", &[("org", "acme"), ("role", "member")])]);
    let proposal = propose(&manifest, &config(), &grant, std::slice::from_ref(&one));
    let command = proposal.command("x", &grant).unwrap();
    assert!(command.contains("--unlimit 'org' --limit 'org==acme'"), "{command}");
    let again = propose(&manifest, &config(), &proposal.grant, &[one]);
    assert!(again.is_empty() && again.command("x", &proposal.grant).is_none(), "{again:?}");
    assert_eq!(again.grant, proposal.grant);
}

#[test]
fn arguments_with_many_values_or_left_out_somewhere_get_no_limit() {
    let (manifest, grant) = (manifest(), Grant::all_of(&manifest()));
    let many: Vec<RunUse> = (0..=PROPOSED_VALUES)
        .map(|n| {
            let (id, arguments) = list(&format!("org-{n}"));
            let arguments: Vec<(&str, &str)> = arguments.iter().map(|(n, v)| (*n, v.as_str())).collect();
            run(&[(id, &arguments)])
        })
        .collect();
    assert_eq!(values(&propose(&manifest, &config(), &grant, &many), "org"), None);
    let both = run(&[("list", &[("org", "a"), ("role", "member")]), ("list", &[("org", "a"), ("role", "owner")])]);
    assert_eq!(values(&propose(&manifest, &config(), &grant, &[both]), "role"), None, "all that there are");
    let filtered = run(&[("list", &[("org", "a"), ("role", "owner"), ("filter", "f")]), ("list", &[("org", "a")])]);
    let proposal = propose(&manifest, &config(), &grant, &[filtered]);
    assert_eq!((values(&proposal, "filter"), values(&proposal, "role")), (None, None));
    assert_eq!(values(&proposal, "org"), Some(vec!["a".to_owned()]));
    let searched = run(&[("search", &[("after", "x")])]);
    assert_eq!(
        values(&propose(&manifest, &config(), &grant, &[searched]), "after"),
        None,
        "a cursor is the provider's"
    );
}

#[test]
fn a_value_that_the_manifest_fixes_elsewhere_is_in_the_limit() {
    let (manifest, grant) = (manifest(), Grant::all_of(&manifest()));
    let one = run(&[("list", &[("org", "other"), ("role", "member")]), ("get", &[("id", "7")])]);
    let proposal = propose(&manifest, &config(), &grant, std::slice::from_ref(&one));
    assert_eq!(values(&proposal, "org"), Some(vec!["acme".to_owned(), "other".to_owned()]));
    // Without the configuration nobody knows what is fixed.
    assert_eq!(values(&propose(&manifest, &BTreeMap::new(), &grant, &[one]), "org"), None);
}

#[test]
fn an_idle_step_is_told_and_stays_on() {
    let (manifest, mut grant) = (manifest(), Grant::all_of(&manifest()));
    grant.operations.insert("gone".parse().unwrap());
    let mut one = run(&[("list", &[("org", "acme"), ("role", "member")])]);
    one.steps = BTreeMap::from([("one".parse().unwrap(), 3), ("two".parse().unwrap(), 0)]);
    let proposal = propose(&manifest, &config(), &grant, &[one.clone(), one]);
    assert_eq!(proposal.idle.iter().map(ToString::to_string).collect::<Vec<_>>(), ["two"]);
    assert!(proposal.grant.steps_off.is_empty());
    assert_eq!(proposal.stale.iter().map(ToString::to_string).collect::<Vec<_>>(), ["gone"]);
}
