//! A configuration for Terraform. Every text in it is either ours, an action, or a checked fact, and none of those has a
//! quote, a backslash or a `$` in it.

use super::policy::LANGUAGE;
use super::{Facts, Permits, Policy};
use std::fmt::Write as _;

pub(super) fn configuration(facts: &Facts, permits: &Permits) -> String {
    let mut text = role(facts);
    if let Some(name) = permits.base.managed() {
        text.push_str(&attachment("managed", &format!("\"{}\"", facts.managed_policy(name))));
    }
    for policy in &permits.policies {
        text.push_str(&managed(facts, policy));
        let name = format!("porthole_{}", policy.number);
        text.push_str(&attachment(&name, &format!("aws_iam_policy.{name}.arn")));
    }
    text.push_str("\noutput \"role_arn\" {\n  value = aws_iam_role.porthole.arn\n}\n");
    text
}

fn role(facts: &Facts) -> String {
    let Facts { principal, external_id, role, .. } = facts;
    format!(
        r#"resource "aws_iam_role" "porthole" {{
  name = "{role}"
  assume_role_policy = jsonencode({{
    Version = "{LANGUAGE}"
    Statement = [{{
      Effect    = "Allow"
      Principal = {{ AWS = "{principal}" }}
      Action    = "sts:AssumeRole"
      Condition = {{ StringEquals = {{ "sts:ExternalId" = "{external_id}" }} }}
    }}]
  }})
}}
"#
    )
}

fn managed(facts: &Facts, policy: &Policy) -> String {
    let (role, number) = (&facts.role, policy.number);
    let mut actions = String::new();
    for action in &policy.actions {
        // Writing into a String can't fail.
        let _ = writeln!(actions, "        \"{action}\",");
    }
    format!(
        r#"
resource "aws_iam_policy" "porthole_{number}" {{
  name = "{role}-{number}"
  policy = jsonencode({{
    Version = "{LANGUAGE}"
    Statement = [{{
      Effect = "Allow"
      Action = [
{actions}      ]
      Resource = "*"
    }}]
  }})
}}
"#
    )
}

fn attachment(name: &str, policy_arn: &str) -> String {
    format!(
        r#"
resource "aws_iam_role_policy_attachment" "{name}" {{
  role       = aws_iam_role.porthole.name
  policy_arn = {policy_arn}
}}
"#
    )
}
