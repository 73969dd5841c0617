#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
use super::*;
use crate::readonly::actions;
use serde_json::Value;
use std::collections::BTreeSet;

fn facts() -> Facts {
    Facts::new("aws", "arn:aws:iam::123456789012:role/porthole", "acme/prod-8f2c61", "porthole-read").unwrap()
}

/// Every action that passes.
fn everything() -> BTreeSet<&'static str> {
    actions::rows().iter().filter(|r| r.wire != actions::Wire::None && r.passes().is_ok()).map(|r| r.action).collect()
}

fn some() -> BTreeSet<&'static str> {
    everything()
        .into_iter()
        .filter(|a| ["iam", "ec2", "lambda", "rds", "waf"].contains(&a.split(':').next().unwrap()))
        .collect()
}

fn allowed(document: &Value) -> BTreeSet<String> {
    let statements = document["Statement"].as_array().unwrap();
    let mut all = BTreeSet::new();
    for statement in statements {
        assert_eq!((statement["Effect"].as_str(), statement["Resource"].as_str()), (Some("Allow"), Some("*")));
        all.extend(statement["Action"].as_array().unwrap().iter().map(|a| a.as_str().unwrap().to_owned()));
    }
    all
}

fn owned(actions: &BTreeSet<&str>) -> BTreeSet<String> {
    actions.iter().map(|a| (*a).to_owned()).collect()
}

#[test]
fn policies_hold_exactly_the_actions_and_fit() {
    let actions = some();
    let permits = permits(&actions, Base::Nothing).unwrap();
    assert!(permits.policies.len() > 1);
    let mut union = BTreeSet::new();
    for policy in &permits.policies {
        let json = policy.json();
        // IAM doesn't count whitespace, and no action has any.
        assert!(json.chars().filter(|c| !c.is_whitespace()).count() <= MAX_POLICY_CHARS);
        union.extend(allowed(&serde_json::from_str(&json).unwrap()));
    }
    assert_eq!(union, owned(&actions));
}

#[test]
fn more_than_a_role_holds_is_an_error_that_says_so() {
    let all = actions::rows().iter().map(|r| r.action).collect();
    let error = permits(&all, Base::Nothing).unwrap_err();
    assert!(matches!(error, PermitError::TooManyPolicies { needed } if needed > MAX_MANAGED_POLICIES), "{error}");
    assert_eq!(permits(&BTreeSet::new(), Base::Nothing), Err(PermitError::NoActions));
    assert!(matches!(permits(&BTreeSet::from(["iam:*"]), Base::Nothing), Err(PermitError::Action(_))));
}

#[test]
fn the_audit_variant_adds_what_the_managed_policy_lacks() {
    let actions = BTreeSet::from(["access-analyzer:ListAccessPreviews", "access-analyzer:ListAnalyzers"]);
    let both = permits(&actions, Base::SecurityAudit).unwrap();
    assert_eq!(both.policies.len(), 1);
    assert_eq!(both.policies[0].actions, BTreeSet::from(["access-analyzer:ListAccessPreviews".to_owned()]));
    let covered = permits(&BTreeSet::from(["access-analyzer:ListAnalyzers"]), Base::SecurityAudit).unwrap();
    assert_eq!(covered.policies, []);
    assert!(terraform(&facts(), &covered).contains("arn:aws:iam::aws:policy/SecurityAudit"));
}

#[test]
fn the_audit_list_is_well_formed() {
    let known: BTreeSet<&str> = actions::rows().iter().map(|r| r.action).collect();
    let rows = include_str!("../readonly/aws-security-audit.tsv").lines().filter(|l| !l.starts_with('#')).skip(1);
    let mut count = 0;
    for row in rows {
        let (action, allowed) = row.split_once('\t').unwrap();
        assert!(known.contains(action), "{action}");
        assert!(["yes", "no"].contains(&allowed), "{row}");
        count += 1;
    }
    assert!(count > 300, "{count}");
}

#[test]
fn cloudformation_has_the_role_its_trust_and_exactly_the_actions() {
    let actions = some();
    let permits = permits(&actions, Base::SecurityAudit).unwrap();
    let template: Value = serde_json::from_str(&cloudformation(&facts(), &permits)).unwrap();
    let resources = template["Resources"].as_object().unwrap();
    let mut union = BTreeSet::new();
    let mut managed = vec![Value::from("arn:aws:iam::aws:policy/SecurityAudit")];
    for (name, resource) in resources.iter().filter(|(_, r)| r["Type"] == "AWS::IAM::ManagedPolicy") {
        union.extend(allowed(&resource["Properties"]["PolicyDocument"]));
        managed.push(serde_json::json!({ "Ref": name }));
    }
    let own: BTreeSet<String> = permits.policies.iter().flat_map(|p| p.actions.clone()).collect();
    assert_eq!(union, own);
    let role = &resources["Role"]["Properties"];
    assert_eq!(role["RoleName"], "porthole-read");
    assert_eq!(role["ManagedPolicyArns"].as_array().unwrap(), &managed);
    let statement = &role["AssumeRolePolicyDocument"]["Statement"][0];
    assert_eq!(statement["Principal"]["AWS"], "arn:aws:iam::123456789012:role/porthole");
    assert_eq!(statement["Condition"]["StringEquals"]["sts:ExternalId"], "acme/prod-8f2c61");
}

/// What stands in quotes in HCL; and that brackets are closed in their order, outside of quotes.
fn quoted(hcl: &str) -> Vec<&str> {
    let mut open = Vec::new();
    let mut texts = Vec::new();
    for (at, part) in hcl.split('"').enumerate() {
        if at % 2 == 1 {
            assert!(!part.contains(['\n', '\\', '$', '%']), "{part}");
            texts.push(part);
            continue;
        }
        for c in part.chars() {
            match c {
                '{' | '[' | '(' => open.push(c),
                '}' => assert_eq!(open.pop(), Some('{')),
                ']' => assert_eq!(open.pop(), Some('[')),
                ')' => assert_eq!(open.pop(), Some('(')),
                _ => {}
            }
        }
    }
    assert!(open.is_empty(), "{open:?}");
    texts
}

#[test]
fn terraform_has_the_role_its_trust_and_exactly_the_actions() {
    let actions = some();
    let permits = permits(&actions, Base::Nothing).unwrap();
    let hcl = terraform(&facts(), &permits);
    let texts = quoted(&hcl);
    for fact in ["arn:aws:iam::123456789012:role/porthole", "acme/prod-8f2c61", "porthole-read", "sts:ExternalId"] {
        assert!(texts.contains(&fact), "{fact}");
    }
    let is_action = |t: &&str| porthole_model::session_policy::is_action(t) && !t.starts_with("sts:");
    let said: Vec<&str> = texts.into_iter().filter(is_action).collect();
    assert_eq!(said.len(), actions.len());
    assert_eq!(said.into_iter().collect::<BTreeSet<_>>(), actions);
    assert_eq!(hcl.matches("resource \"aws_iam_role_policy_attachment\"").count(), permits.policies.len());
}

#[test]
fn the_steps_in_the_console_name_everything() {
    let actions = BTreeSet::from(["iam:ListUsers", "s3:ListAllMyBuckets"]);
    let steps = console(&facts(), &permits(&actions, Base::Nothing).unwrap());
    insta::assert_snapshot!("console", steps);
}

#[test]
fn facts_that_are_none_are_refused() {
    let principal = "arn:aws:iam::123456789012:role/porthole";
    let role = |partition, principal, id, role| Facts::new(partition, principal, id, role).map_err(|e| e.to_string());
    assert!(role("aws-cn", "arn:aws-cn:iam::123456789012:user/a/b", "12345678", "r").is_ok());
    for (partition, principal, id, name, what) in [
        ("aws2", principal, "12345678", "r", "partition"),
        ("aws-cn", principal, "12345678", "r", "platform principal"),
        ("aws", "*", "12345678", "r", "platform principal"),
        ("aws", "arn:aws:iam::123456789012:root", "12345678", "r", "platform principal"),
        ("aws", "arn:aws:iam::123456789012:role/*", "12345678", "r", "platform principal"),
        ("aws", "arn:aws:sts::123456789012:role/x", "12345678", "r", "platform principal"),
        ("aws", principal, "1234567", "r", "external id"),
        ("aws", principal, "${jsonencode}", "r", "external id"),
        ("aws", principal, "12345678\"", "r", "external id"),
        ("aws", principal, "12345678", "", "role name"),
        ("aws", principal, "12345678", "a b", "role name"),
        ("aws", principal, "12345678", "a/b", "role name"),
    ] {
        let error = role(partition, principal, id, name).unwrap_err();
        assert!(error.starts_with(&format!("the {what} ")), "{error}");
    }
}

#[test]
fn formats_are_known_by_name() {
    for format in Format::ALL {
        assert_eq!(format.as_str().parse(), Ok(format));
    }
    assert!("yaml".parse::<Format>().unwrap_err().to_string().contains("policy, security-audit"));
}
