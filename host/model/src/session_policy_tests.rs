#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn packed(actions: &[String]) -> Vec<SessionPolicy> {
    let set: BTreeSet<&str> = actions.iter().map(String::as_str).collect();
    pack(&set).unwrap()
}

fn many(service: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{service}:DescribeSomething{n:03}")).collect()
}

#[test]
fn one_policy_says_what_a_session_may_do() {
    let policies = pack(&BTreeSet::from(["iam:ListUsers", "ec2:DescribeVpcs"])).unwrap();
    assert_eq!(policies.len(), 1);
    let read: Value = serde_json::from_str(&policies[0].json).unwrap();
    let statement = json!({"Effect": "Allow", "Action": ["ec2:DescribeVpcs", "iam:ListUsers"], "Resource": "*"});
    assert_eq!(read, json!({"Version": "2012-10-17", "Statement": [statement]}));
    assert!(!policies[0].json.contains(char::is_whitespace));
}

#[test]
fn no_action_makes_no_policy() {
    assert_eq!(pack(&BTreeSet::new()), Ok(Vec::new()));
}

#[test]
fn what_is_no_action_makes_no_policy() {
    let long = format!("iam:{}", "L".repeat(MAX_ACTION_CHARS));
    for bad in
        ["*", "iam:*", "iam:List*", "iam:ListUsers\"", "IAM:ListUsers", "iam", "iam:", ":x", "iam:a:b", "iam:ä", &long]
    {
        assert!(matches!(pack(&BTreeSet::from([bad])), Err(SessionPolicyError::NotAnAction(_))), "{bad}");
    }
    assert!(pack(&BTreeSet::from(["access-analyzer:ListFindings", "apigateway:GET"])).is_ok());
}

#[test]
fn services_stay_together_when_that_needs_no_more_policies() {
    let actions = [many("aa", 30), many("bb", 30), many("cc", 20), many("dd", 20)].concat();
    let policies = packed(&actions);
    assert_eq!(policies.len(), 2);
    for service in ["aa", "bb", "cc", "dd"] {
        let holders = policies.iter().filter(|p| p.actions.iter().any(|a| a.starts_with(service))).count();
        assert_eq!(holders, 1, "{service}");
    }
}

#[test]
fn services_are_split_when_that_saves_a_policy() {
    // 75 of these fill a policy: three times 48 would need three, and two have room for them.
    let actions = [many("aa", 48), many("bb", 48), many("cc", 48)].concat();
    let policies = packed(&actions);
    assert_eq!(policies.len(), 2);
    let split = ["aa", "bb", "cc"]
        .iter()
        .filter(|s| policies.iter().all(|p| p.actions.iter().any(|a| a.starts_with(**s))))
        .count();
    assert_eq!(split, 1);
}

#[test]
fn a_policy_is_filled_to_its_last_character() {
    let frame = HEAD.len() + TAIL.len();
    let actions = BTreeSet::from(["aa:List1", "bb:List2"]);
    let exact = frame + "\"aa:List1\",\"bb:List2\"".len();
    assert_eq!(pack_within(&actions, exact).unwrap()[0].json.len(), exact);
    assert_eq!(pack_within(&actions, exact - 1).unwrap().len(), 2);
    // Less than one action's room: an action to a policy, rather than none.
    assert_eq!(pack_within(&actions, 0).unwrap().len(), 2);
}

proptest! {
    #[test]
    fn policies_are_exact_short_few_and_always_the_same(
        names in prop::collection::btree_set("[a-d]{1,6}:[A-Z][A-Za-z]{2,40}", 0..300)
    ) {
        let set: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        let policies = pack(&set).unwrap();
        prop_assert_eq!(&policies, &pack(&set).unwrap());
        let mut union = BTreeSet::new();
        for policy in &policies {
            prop_assert!(policy.json.len() <= MAX_SESSION_POLICY_CHARS);
            let read: Value = serde_json::from_str(&policy.json).unwrap();
            let said: BTreeSet<String> =
                serde_json::from_value(read["Statement"][0]["Action"].clone()).unwrap();
            prop_assert_eq!(&said, &policy.actions);
            for action in said {
                prop_assert!(union.insert(action));
            }
        }
        prop_assert_eq!(&union, &names);
        // First fit of small pieces leaves less than one piece free in all but the last.
        let room = MAX_SESSION_POLICY_CHARS + 1 - HEAD.len() - TAIL.len();
        let total: usize = names.iter().map(|n| n.len() + AROUND_ACTION).sum();
        prop_assert!(policies.len() <= total.div_ceil(room - 50));
    }
}
