//! A template for CloudFormation.

use super::{Facts, Permits};
use serde_json::{Map, Value, json};

/// The role's name in the template.
const ROLE: &str = "Role";

pub(super) fn template(facts: &Facts, permits: &Permits) -> String {
    let mut managed = Vec::new();
    let mut resources = Map::new();
    managed.extend(permits.base.managed().map(|name| json!(facts.managed_policy(name))));
    for policy in &permits.policies {
        let name = format!("Policy{}", policy.number);
        // The document is our own JSON; it can't fail to be read, and `null` would be refused by whoever reads it.
        let document: Value = serde_json::from_str(&policy.json()).unwrap_or_default();
        let properties = json!({
            "Description": format!("What {} may read, part {}", facts.role, policy.number),
            "PolicyDocument": document,
        });
        resources.insert(name.clone(), json!({ "Type": "AWS::IAM::ManagedPolicy", "Properties": properties }));
        managed.push(json!({ "Ref": name }));
    }
    let properties = json!({
        "RoleName": facts.role,
        "AssumeRolePolicyDocument": facts.trust(),
        "ManagedPolicyArns": managed,
    });
    resources.insert(ROLE.to_owned(), json!({ "Type": "AWS::IAM::Role", "Properties": properties }));
    crate::text::json_file(&json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "A role that may read the configuration of this account, and nothing else (needs CAPABILITY_NAMED_IAM)",
        "Resources": resources,
        "Outputs": { "RoleArn": { "Description": "Enter this as the role", "Value": { "Fn::GetAtt": [ROLE, "Arn"] } } },
    }))
}
