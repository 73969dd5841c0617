#![allow(clippy::unwrap_used, reason = "a test may panic")]
use super::*;
use serde_json::json;

fn manifest() -> Manifest {
    serde_json::from_value(json!({
        "schema": 1,
        "module": { "name": "acme", "version": "1.0.0", "provider": "Acme", "description": "Acme's users" },
        "operations": [
            {
                "id": "list-users",
                "request": "GET https://api.example.com/orgs/{org}/users",
                "path": { "org": { "rule": "^[a-z]+$" } },
                "query": { "note": { "rule": "text<=64" }, "page": { "rule": "int<=99" } },
            },
            { "id": "list-teams", "request": "GET https://api.example.com/teams", "action": "acme:ListTeams" },
            {
                "id": "list-all",
                "action": "acme:ListAll",
                "request": "GET https://api.example.com/all",
                "query": { "visibility": { "rule": "=all" } },
            },
            {
                "id": "list-some",
                "request": "GET https://api.example.com/some",
                "query": { "visibility": { "rule": "text<=9", "list": true } },
            },
        ],
        "steps": [
            { "id": "users", "uses": ["list-users", "list-all", "list-some"] },
            { "id": "teams", "uses": ["list-teams"] },
        ],
    }))
    .unwrap()
}

fn rules(rules: &[&str]) -> Vec<Rule> {
    rules.iter().map(|r| Rule::parse(r).unwrap()).collect()
}

/// Everything granted, nothing capped, then changed.
fn policy(change: impl FnOnce(&mut Grant, &mut Ceiling)) -> Policy {
    let manifest = manifest();
    let (mut grant, mut ceiling) = (Grant::all_of(&manifest), Ceiling::default());
    change(&mut grant, &mut ceiling);
    Policy::new(Name::new("acme-prod").unwrap(), &manifest, Config::default(), grant, ceiling).unwrap()
}

fn decide(policy: &Policy, step: &str, operation: &str, arguments: &[(&str, &str)]) -> Result<String, Denial> {
    let arguments: Vec<_> = arguments.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let step = StepId::new(step).unwrap();
    policy.decide(&step, operation, &arguments)?.request().map(|request| request.url.to_string())
}

const ORG: (&str, &str) = ("org", "acme");

#[test]
fn what_all_three_owners_allow_is_a_request() {
    let all = policy(|_, _| {});
    assert_eq!(decide(&all, "users", "list-users", &[ORG]).unwrap(), "https://api.example.com/orgs/acme/users");
    assert_eq!(decide(&all, "teams", "list-teams", &[]).unwrap(), "https://api.example.com/teams");
}

#[test]
fn the_manifest_is_the_first_owner() {
    let all = policy(|_, _| {});
    type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str);
    let cases: [Case<'_>; 7] = [
        ("users", "delete-users", &[], "the manifest declares no such operation"),
        ("users", "LIST-USERS", &[ORG], "the manifest declares no such operation"),
        ("users", "", &[], "the manifest declares no such operation"),
        ("users", "list-teams", &[], "step `users` doesn't declare that it uses it"),
        ("other", "list-teams", &[], "step `other` doesn't declare that it uses it"),
        ("users", "list-users", &[], "argument `org` is missing"),
        ("users", "list-users", &[("org", "ACME")], "argument `org` is outside its rule `^[a-z]+$`: \"ACME\""),
    ];
    for (step, operation, arguments, reason) in cases {
        let denial = decide(&all, step, operation, arguments).unwrap_err();
        assert_eq!((denial.layer, denial.reason.as_str()), (Layer::Requested, reason));
        assert_eq!(denial.remedy, "the module's manifest has to ask for it: a new version, and its review");
    }
}

#[test]
fn the_tenant_is_the_second_owner() {
    let without = policy(|grant, _| {
        grant.operations.remove("list-users");
    });
    let denial = decide(&without, "users", "list-users", &[ORG]).unwrap_err();
    assert_eq!(denial.layer, Layer::Granted);
    assert_eq!(denial.reason, "instance `acme-prod` was not granted it");
    assert_eq!(denial.remedy, "porthole grant set acme-prod --allow list-users");
    assert_eq!(denial.to_string(), "`list-users` denied (granted): instance `acme-prod` was not granted it");
    assert!(decide(&without, "teams", "list-teams", &[]).is_ok());
}

#[test]
fn a_grant_never_widens_what_the_manifest_asks_for() {
    let wide = policy(|grant, _| {
        grant.operations.insert(OperationId::new("delete-users").unwrap());
        grant.limits.insert("org".to_owned(), rules(&["text<=99"]));
    });
    assert_eq!(decide(&wide, "users", "delete-users", &[]).unwrap_err().layer, Layer::Requested);
    assert_eq!(decide(&wide, "users", "list-users", &[("org", "A B")]).unwrap_err().layer, Layer::Requested);
}

#[test]
fn a_limit_of_the_tenant_holds_for_every_operation_that_has_the_argument() {
    let limited = policy(|grant, _| {
        grant.limits.insert("org".to_owned(), rules(&["=acme", "=bcme"]));
    });
    for org in ["acme", "bcme"] {
        assert!(decide(&limited, "users", "list-users", &[("org", org)]).is_ok());
    }
    let denial = decide(&limited, "users", "list-users", &[("org", "ccme")]).unwrap_err();
    assert_eq!(denial.layer, Layer::Granted);
    assert_eq!(denial.reason, "the grant limits argument `org` and \"ccme\" is outside");
    assert_eq!(denial.remedy, "porthole grant set acme-prod --limit 'org==ccme'");
    assert!(decide(&limited, "teams", "list-teams", &[]).is_ok(), "an operation without the argument isn't limited");
}

#[test]
fn the_operator_is_the_third_owner() {
    let denied = policy(|_, ceiling| {
        ceiling.deny.insert(OperationId::new("list-users").unwrap());
    });
    let denial = decide(&denied, "users", "list-users", &[ORG]).unwrap_err();
    assert_eq!(denial.layer, Layer::Ceiling);
    assert_eq!(denial.remedy, "the operator removes `list-users` from [ceiling] deny in porthole.toml");
    let limited = policy(|_, ceiling| {
        ceiling.limits.insert("org".to_owned(), rules(&["=bcme"]));
    });
    let denial = decide(&limited, "users", "list-users", &[ORG]).unwrap_err();
    assert_eq!(denial.layer, Layer::Ceiling);
    assert_eq!(denial.reason, "the operator's ceiling limits argument `org` and \"acme\" is outside");
    assert_eq!(denial.remedy, "the operator adds \"=acme\" to [ceiling.limits] org in porthole.toml");
    assert!(decide(&limited, "users", "list-users", &[("org", "bcme")]).is_ok());
}

#[test]
fn the_first_owner_that_refuses_is_named() {
    let nothing = policy(|grant, ceiling| {
        grant.operations.clear();
        ceiling.deny.insert(OperationId::new("list-users").unwrap());
    });
    assert_eq!(decide(&nothing, "users", "list-users", &[("org", "ACME")]).unwrap_err().layer, Layer::Requested);
    assert_eq!(decide(&nothing, "users", "list-users", &[ORG]).unwrap_err().layer, Layer::Granted);
}

#[test]
fn a_limit_counts_what_is_sent_and_not_what_is_given() {
    let limit = |rule: &[&str]| {
        let rules = rules(rule);
        policy(|grant, _| {
            grant.limits.insert("visibility".to_owned(), rules);
        })
    };
    let public = limit(&["=public"]);
    let fixed = decide(&public, "users", "list-all", &[]).unwrap_err();
    assert_eq!(fixed.reason, "the grant limits argument `visibility` and \"all\" is outside");
    assert!(decide(&limit(&["=all"]), "users", "list-all", &[]).is_ok());

    let omitted = decide(&public, "users", "list-some", &[]).unwrap_err();
    assert_eq!(omitted.reason, "the grant limits argument `visibility` and it was not given");
    assert!(decide(&public, "users", "list-some", &[("visibility", "public")]).is_ok());
    let both = [("visibility", "public"), ("visibility", "all")];
    assert_eq!(decide(&public, "users", "list-some", &both).unwrap_err().layer, Layer::Granted);
}

#[test]
fn a_limit_without_rules_allows_nothing() {
    let closed = policy(|grant, _| {
        grant.limits.insert("org".to_owned(), Vec::new());
    });
    assert_eq!(decide(&closed, "users", "list-users", &[ORG]).unwrap_err().layer, Layer::Granted);
}

#[test]
fn a_remedy_can_be_pasted_whatever_the_guest_put_into_it() {
    let limited = policy(|grant, _| {
        grant.limits.insert("note".to_owned(), rules(&["=x"]));
    });
    let denial = decide(&limited, "users", "list-users", &[ORG, ("note", "'; rm -rf ~ #")]).unwrap_err();
    assert_eq!(denial.remedy, r"porthole grant set acme-prod --limit 'note=='\''; rm -rf ~ #'");
}

#[test]
fn a_denial_can_be_stored_and_shown_whatever_the_guest_called_it() {
    let name = format!("\0\u{1b}[2J\u{202e}{}", "é".repeat(200));
    let denial = decide(&policy(|_, _| {}), "users", &name, &[]).unwrap_err();
    assert!(denial.operation.len() <= 128, "{}", denial.operation.len());
    assert!(!denial.to_string().chars().any(|c| c.is_control() || c == '\u{202e}'));
}

#[test]
fn a_policy_says_which_operation_does_not_fit() {
    let mut manifest = manifest();
    if let Some(first) = manifest.operations.first_mut() {
        first.path.clear();
    }
    let name = Name::new("acme-prod").unwrap();
    let error = Policy::new(name, &manifest, Config::default(), Grant::default(), Ceiling::default()).unwrap_err();
    assert_eq!(error.to_string(), "operation `list-users`");
}

#[test]
fn permissions_are_those_of_what_all_three_owners_leave() {
    let actions = |change: fn(&mut Grant, &mut Ceiling)| -> Vec<String> {
        policy(change).actions().into_iter().map(str::to_owned).collect()
    };
    assert_eq!(actions(|_, _| {}), ["acme:ListAll", "acme:ListTeams"]);
    assert_eq!(actions(|grant, _| grant.operations.retain(|o| o.as_str() != "list-all")), ["acme:ListTeams"]);
    assert_eq!(actions(|_, ceiling| ceiling.deny.extend(["list-teams".parse().unwrap()])), ["acme:ListAll"]);
    assert_eq!(actions(|grant, _| grant.steps_off.extend(["teams".parse().unwrap()])), ["acme:ListAll"]);
}
