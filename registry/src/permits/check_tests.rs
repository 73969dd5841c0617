#![allow(clippy::unwrap_used, reason = "a test may panic")]
use super::*;
use serde_json::json;

fn policy(actions: &[&str]) -> String {
    let statement = json!({"Sid": "Read", "Effect": "Allow", "Action": actions, "Resource": "*"});
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

fn report(policies: &[&str], granted: &[&str]) -> Report {
    check(policies, &granted.iter().copied().collect()).unwrap()
}

fn why(statements: serde_json::Value) -> Option<Why> {
    let report = report(&[&json!({ "Statement": statements }).to_string()], &["iam:ListUsers"]);
    report.missing.first().map(|m| m.why)
}

#[test]
fn the_granted_actions_and_no_others_are_exact() {
    let granted = ["iam:ListUsers", "ec2:DescribeVpcs"];
    assert!(report(&[&policy(&granted)], &granted).is_exact());
    assert!(report(&[&policy(&["IAM:listusers"]), &policy(&["ec2:DescribeVpcs"])], &granted).is_exact());
}

#[test]
fn what_is_missing_is_told_with_the_reason() {
    let allow = json!({"Effect": "Allow", "Action": "iam:List*", "Resource": "*"});
    assert_eq!(why(json!(allow)), None);
    assert_eq!(why(json!([{"Effect": "Allow", "Action": "iam:GetUser", "Resource": "*"}])), Some(Why::NotAllowed));
    let deny = json!({"Effect": "Deny", "Action": ["iam:ListUser?"], "Resource": "*"});
    assert_eq!(why(json!([allow, deny])), Some(Why::Denied));
    let part = json!({"Effect": "Allow", "Action": "*", "Resource": "arn:aws:iam::1:user/a"});
    assert_eq!(why(json!([part])), Some(Why::AllowedInPart));
    let conditional =
        json!({"Effect": "Deny", "NotAction": "s3:*", "Resource": "*", "Condition": {"Bool": {"a": "b"}}});
    assert_eq!(why(json!([allow, conditional])), Some(Why::DeniedInPart));
    assert_eq!(why(json!([part, allow])), None);
    let others = json!({"Effect": "Deny", "NotAction": ["iam:*"], "Resource": "*"});
    assert_eq!(why(json!([allow, others])), None);
}

#[test]
fn what_is_needless_is_told_changes_first() {
    let report = report(&[&policy(&["iam:*User"])], &["iam:GetUser"]);
    assert!(report.missing.is_empty() && report.unknown.is_empty() && report.beyond.is_empty());
    let names: Vec<&str> = report.needless.iter().map(|n| n.action.as_str()).collect();
    for action in ["iam:CreateUser", "iam:DeleteUser", "iam:TagUser", "iam:ListGroupsForUser"] {
        assert!(names.contains(&action), "{names:?}");
    }
    assert!(!names.contains(&"iam:GetUser") && !names.contains(&"iam:ListUsers"));
    let first_read = report.needless.iter().position(|n| !n.harmful).unwrap();
    assert!(report.needless.iter().skip(first_read).all(|n| !n.harmful));
}

#[test]
fn a_read_of_contents_counts_as_harmful() {
    let report = report(&[&policy(&["dynamodb:Scan", "dynamodb:ListTables", "iam:PassRole"])], &[]);
    let harmful: Vec<_> = report.needless.iter().map(|n| (n.action.as_str(), n.harmful)).collect();
    assert_eq!(harmful, [("dynamodb:Scan", true), ("iam:PassRole", true), ("dynamodb:ListTables", false)]);
}

#[test]
fn what_is_denied_is_not_needless() {
    let allow = json!({"Effect": "Allow", "Action": "sqs:*", "Resource": "*"});
    let deny = json!({"Effect": "Deny", "NotAction": "sqs:ListQueues", "Resource": "*"});
    let report = report(&[&json!({ "Statement": [allow, deny] }).to_string()], &["sqs:ListQueues"]);
    assert!(report.is_exact(), "{report:?}");
}

#[test]
fn wrong_names_are_corrected() {
    let report = report(&[&policy(&["s3:ListBuckets", "apigateway:HEAD", "iam:ListUserz", "iam:Lost*"])], &[]);
    let right: Vec<_> = report.unknown.iter().map(|u| (u.action.as_str(), u.right.as_deref())).collect();
    assert!(right.contains(&("s3:ListBuckets", Some("s3:ListAllMyBuckets"))), "{right:?}");
    assert!(right.contains(&("apigateway:HEAD", None)), "{right:?}");
    assert!(right.contains(&("iam:ListUserz", Some("iam:ListUsers"))), "{right:?}");
    assert!(right.iter().any(|(action, _)| *action == "iam:Lost*"), "{right:?}");
}

#[test]
fn other_services_are_named_as_written() {
    assert_eq!(report(&[&policy(&["bedrock:*", "*"])], &[]).beyond, ["*", "bedrock:*"]);
    let inverted = json!({"Statement": {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}}).to_string();
    let report = report(&[&inverted], &[]);
    assert_eq!(report.beyond.len(), 1);
    assert!(report.needless.iter().all(|n| !n.action.starts_with("iam:")) && report.needless.len() > 1_000);
}

#[test]
fn what_the_command_line_prints_is_read() {
    let document: serde_json::Value = serde_json::from_str(&policy(&["iam:ListUsers"])).unwrap();
    for text in [
        json!({"PolicyVersion": {"Document": document, "VersionId": "v1", "IsDefaultVersion": true}}),
        json!({"RoleName": "r", "PolicyName": "p", "PolicyDocument": document}),
        json!([document]),
    ] {
        assert!(report(&[&text.to_string()], &["iam:ListUsers"]).is_exact(), "{text}");
    }
}

#[test]
fn what_is_no_permission_policy_is_refused_with_a_place() {
    let trust = json!({"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": "*"}]}).to_string();
    for (text, message) in [
        ("{", "policy 1: EOF"),
        ("{}", "policy 1: it has no `Statement`"),
        ("[[[[[[[[{}]]]]]]]]", "policy 1: it has no `Statement`"),
        (trust.as_str(), "policy 1, statement 1: it names a principal"),
        (r#"{"Statement": [{"Effect": "Allow", "Resource": "*"}]}"#, "it takes `Action` or `NotAction`"),
        (r#"{"Statement": [{"Effect": "Allow", "Action": "a:b"}]}"#, "it takes `Resource` or `NotResource`"),
        (r#"{"Statement": [{"Effect": "allow", "Action": "a:b", "Resource": "*"}]}"#, "unknown variant"),
        (r#"{"Statement": [{"Effect": "Allow", "Actions": "a:b", "Resource": "*"}]}"#, "unknown field"),
    ] {
        let error = check(&[text], &BTreeSet::new()).unwrap_err().to_string();
        assert!(error.contains(message), "{text}: {error}");
    }
    let long = " ".repeat(MAX_POLICY_BYTES + 1);
    assert_eq!(check(&[&long], &BTreeSet::new()), Err(CheckError::TooLong(MAX_POLICY_BYTES + 1)));
    let many = policy(&vec!["a:b"; MAX_PATTERNS + 1]);
    assert_eq!(check(&[&many], &BTreeSet::new()), Err(CheckError::TooMany));
}

#[test]
fn corrections_are_well_formed() {
    let text = include_str!("../../readonly/aws-action-corrections.tsv");
    let rows = text.lines().filter(|l| !l.starts_with('#')).count() - 1;
    assert_eq!(CORRECTIONS.len(), rows);
    for (wrong, correction) in CORRECTIONS.iter() {
        assert!(!KNOWN.contains_key(wrong), "{wrong} is an action");
        let right = correction.right.map(str::to_ascii_lowercase);
        assert!(right.is_none_or(|right| KNOWN.contains_key(&right)), "{wrong}");
    }
}
