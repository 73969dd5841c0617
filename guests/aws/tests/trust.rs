//! Every worked example of a trust policy.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use porthole_aws::trust::{Demands, Source, Who, account_of, evaluate};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The edge as the examples write it; what is false is left out.
fn shown(role: &str, source: &Source, demands: &Demands) -> String {
    let cross = source.who.account().is_some_and(|account| Some(account) != account_of(role));
    let flags = [
        ("conditional", demands.conditional),
        ("externalIdRequired", demands.external_id),
        ("mfaRequired", demands.mfa),
        ("conditionalDeny", demands.conditional_deny),
        ("crossAccount", cross),
    ];
    let mut edge: Map<String, Value> =
        flags.into_iter().filter(|(_, is)| *is).map(|(n, is)| (n.into(), is.into())).collect();
    edge.insert("from".into(), source.who.key().into());
    edge.extend(source.session.as_ref().map(|session| ("sessionName".to_owned(), json!(session))));
    Value::Object(edge).to_string()
}

fn expected(edge: &Value) -> String {
    let mut edge = edge.as_object().unwrap().clone();
    assert_eq!(edge.remove("verb"), Some(json!("CAN_ASSUME")));
    edge.retain(|_, value| *value != json!(false));
    Value::Object(edge).to_string()
}

#[test]
fn every_worked_example() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/trust-policy-cases.json");
    let cases: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = cases["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 30);
    for case in cases {
        let role = case["role"].as_str().unwrap();
        let trust = evaluate(role, &case["policy"]);
        let got: BTreeSet<_> = trust.sources.iter().map(|(source, demands)| shown(role, source, demands)).collect();
        let wanted: BTreeSet<_> = case["expect"].as_array().unwrap().iter().map(expected).collect();
        assert_eq!(got, wanted, "{}: {}", case["id"], case["why"]);
        let unresolved: BTreeSet<_> =
            case["unresolved"].as_array().unwrap().iter().map(|u| u.as_str().unwrap().to_owned()).collect();
        assert_eq!(trust.unresolved, unresolved, "{}", case["id"]);
    }
}

const ROLE: &str = "arn:aws:iam::111111111111:role/target";

fn sources(statements: Value) -> Vec<(String, Demands)> {
    let trust = evaluate(ROLE, &json!({"Statement": statements}));
    trust.sources.iter().map(|(source, demands)| (source.who.key(), *demands)).collect()
}

#[test]
fn a_deny_of_a_role_is_one_of_its_sessions_and_not_the_other_way_round() {
    let allow = |name: &str| json!({"Effect": "Allow", "Principal": {"AWS": name}, "Action": "sts:AssumeRole"});
    let deny = |name: &str| json!({"Effect": "Deny", "Principal": {"AWS": name}, "Action": "sts:AssumeRole"});
    let (role, session) = ("arn:aws:iam::222222222222:role/app/ci", "arn:aws:sts::222222222222:assumed-role/ci/x");
    assert!(sources(json!([allow(session), deny(role)])).is_empty());
    assert_eq!(sources(json!([allow(role), deny(session)])).len(), 1);
    assert!(sources(json!([allow(session), deny("222222222222")])).is_empty());
    assert_eq!(sources(json!([allow("*"), deny("222222222222")]))[0].0, "global:everyone");
}

#[test]
fn what_is_demanded() {
    let with = |condition: Value| {
        let statement = json!({
            "Effect": "Allow", "Principal": {"AWS": "222222222222"}, "Action": "sts:AssumeRole", "Condition": condition
        });
        sources(json!([statement]))[0].1
    };
    for operator in ["StringEquals", "stringlike", "StringEqualsIgnoreCase", "ForAnyValue:StringEquals"] {
        assert!(with(json!({operator: {"STS:externalID": ["a", "b"]}})).external_id, "{operator}");
    }
    for operator in ["StringNotEquals", "StringEqualsIfExists", "Null", "ForAllValues:StringEquals"] {
        let demands = with(json!({operator: {"sts:ExternalId": "a"}}));
        assert!(demands.conditional && !demands.external_id, "{operator}");
    }
    assert!(with(json!({"bool": {"aws:multifactorauthpresent": true}})).mfa);
    assert!(!with(json!({"Bool": {"aws:MultiFactorAuthPresent": "false"}})).mfa);
    assert!(!with(json!({})).conditional);
}

#[test]
fn policies_that_make_no_sense_have_no_edges() {
    for policy in [json!(null), json!([]), json!({"Statement": 7}), json!({"Statement": [{"Effect": "Allow"}, "x"]})] {
        assert_eq!(evaluate(ROLE, &policy), porthole_aws::trust::Trust::default());
    }
    let canonical = json!([{"Effect": "Allow", "Principal": {"CanonicalUser": "79a5"}, "Action": "sts:AssumeRole"}]);
    let trust = evaluate(ROLE, &json!({"Statement": canonical}));
    assert!(trust.sources.is_empty() && trust.unresolved.contains("79a5"));
    assert_eq!(Who::Everyone.key(), "global:everyone");
}
