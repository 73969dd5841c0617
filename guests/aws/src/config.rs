//! Rules of AWS Config, and what they evaluate.

use crate::account::ACCOUNT;
use crate::ec2::{INSTANCE, SECURITY_GROUP, VOLUME};
use crate::engine::Run;
use crate::iam::{GROUP, ROLE, USER, add};
use crate::s3::BUCKET;
use crate::spec::{Ask, Link, Resource, Sink, Source, Step, Table, ask, ask_with, from, regional, to};
use porthole_sdk::StepError;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Rules.
const RULE: &str = "aws_config_rule";

const RULES: Step = regional(
    "config-rules",
    "Rules of AWS Config",
    Table {
        source: &Source::Code(&["config:DescribeConfigRules", "config:DescribeComplianceByConfigRule"], &[], rules),
        resources: &[Resource {
            kind: RULE,
            class: &["ControlPolicy"],
            key: "{ConfigRuleArn}",
            name: "ConfigRuleName",
            props: "arn=ConfigRuleArn name=ConfigRuleName ruleId=ConfigRuleId description=Description \
                    state=ConfigRuleState owner=Source/Owner sourceIdentifier=Source/SourceIdentifier createdBy=CreatedBy \
                    frequency=MaximumExecutionFrequency *scopeTypes=Scope/ComplianceResourceTypes \
                    complianceType=_compliance",
            links: &[from("HAS", "aws_config", ".", "aws_config:{ACCOUNT}")],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

/// The rules of a region, each with whether it is complied with: two lists, not a question for each rule.
fn rules(run: &Run<'_>, sink: &mut Sink<'_>) -> Result<(), StepError> {
    let compliance = ask("config:DescribeComplianceByConfigRule", "ComplianceByConfigRules");
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    run.source(&Source::List(compliance), &mut |items| {
        known.extend(items.iter().map(|item| (item.text("ConfigRuleName"), item.text("Compliance/ComplianceType"))));
        Ok(())
    })?;
    run.source(&Source::List(ask("config:DescribeConfigRules", "ConfigRules")), &mut |mut rules| {
        for rule in &mut rules {
            let compliance = known.get(&rule.text("ConfigRuleName")).cloned();
            add(&mut rule.value, "_compliance", compliance.map(Value::String));
        }
        sink(rules)
    })
}

/// What Config calls an account.
const CONFIG_ACCOUNT: &str = "AWS::::Account";
const CONFIG_INSTANCE: &str = "AWS::EC2::Instance";
const CONFIG_VOLUME: &str = "AWS::EC2::Volume";
const CONFIG_GROUP: &str = "AWS::EC2::SecurityGroup";
const CONFIG_BUCKET: &str = "AWS::S3::Bucket";
/// What Config calls an identity: ours, and the property with the unique id by which Config knows it.
const IDENTITIES: [(&str, &str, &str); 3] =
    [("AWS::IAM::User", USER, "userId"), ("AWS::IAM::Group", GROUP, "groupId"), ("AWS::IAM::Role", ROLE, "roleId")];

const fn evaluates(other: &'static str, config_type: &'static str, key: &'static str) -> Link {
    to("EVALUATES", other, config_type, key).props("complianceType")
}

const EVALUATIONS: Step = regional(
    "config-evaluations",
    "What rules of AWS Config evaluate",
    Table {
        source: &Source::Code(
            &["config:GetComplianceDetailsByConfigRule"],
            &[(RULE, &["name", "region"]), (USER, &["userId"]), (GROUP, &["groupId"]), (ROLE, &["roleId"])],
            evaluations,
        ),
        resources: &[Resource {
            kind: RULE,
            emitted: false,
            key: "{^KEY}",
            links: &[
                evaluates(ACCOUNT, CONFIG_ACCOUNT, "arn:{P}:iam::{id}:root"),
                evaluates(INSTANCE, CONFIG_INSTANCE, "arn:{P}:ec2:{REGION}:{ACCOUNT}:instance/{id}"),
                evaluates(VOLUME, CONFIG_VOLUME, "arn:{P}:ec2:{REGION}:{ACCOUNT}:volume/{id}"),
                evaluates(SECURITY_GROUP, CONFIG_GROUP, "arn:{P}:ec2:{REGION}:{ACCOUNT}:security-group/{id}"),
                evaluates(BUCKET, CONFIG_BUCKET, "arn:{P}:s3:::{id}"),
                evaluates(USER, IDENTITIES[0].0, "{key}"),
                evaluates(GROUP, IDENTITIES[1].0, "{key}"),
                evaluates(ROLE, IDENTITIES[2].0, "{key}"),
            ],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
)
.after(&["config-rules", "iam-users", "iam-groups", "iam-roles"]);

/// The results of every rule of the region. What was evaluated becomes a field with the name of its type, so that each type
/// has a link of its own.
fn evaluations(run: &Run<'_>, sink: &mut Sink<'_>) -> Result<(), StepError> {
    // Without a limit AWS sends ten at a time.
    const RESULTS: Ask = ask_with(
        "config:GetComplianceDetailsByConfigRule",
        &[("ConfigRuleName", "{name}"), ("Limit", "100")],
        "EvaluationResults",
    );
    let mut keys: BTreeMap<String, String> = BTreeMap::new();
    for (_, kind, property) in IDENTITIES {
        keys.append(&mut run.keys_by(property, kind)?);
    }
    run.stored(RULE, &mut |rules| {
        run.each(&RESULTS, rules, &mut |mut results| {
            for result in &mut results {
                let at =
                    |name: &str| result.text(&format!("EvaluationResultIdentifier/EvaluationResultQualifier/{name}"));
                let (kind, id) = (at("ResourceType"), at("ResourceId"));
                let evaluated =
                    json!({"id": id, "key": keys.get(&id), "complianceType": result.text("ComplianceType")});
                add(&mut result.value, &kind, Some(evaluated));
            }
            sink(results)
        })
    })
}

/// The steps.
pub const STEPS: &[&Step] = &[&RULES, &EVALUATIONS];
