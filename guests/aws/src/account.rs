//! The account, its service nodes, and what every other step starts from: whose account it is, and which regions are on.

use crate::engine::{self, Run};
use crate::path::{self, Names};
use crate::reply;
use crate::spec::{Code, Link, Place, Step, Work, to};
use porthole_sdk::{Call, Cx, Entity, Relationship, StepError};
use serde::Deserialize;
use serde_json::Value;

/// The type of accounts.
pub const ACCOUNT: &str = "aws_account";
/// The properties that other steps read back. `collected` has only the account of the instance: the others of its
/// organisation are accounts too.
pub const READ: &[&str] = &["accountId", "collected"];

/// The service nodes, and what people call them. Each is made once per account, also when the service is empty.
pub const SERVICES: &[(&str, &str)] = &[
    ("aws_apigateway", "API Gateway"),
    ("aws_config", "Config"),
    ("aws_ec2", "EC2"),
    ("aws_iam", "IAM"),
    ("aws_lambda", "Lambda"),
    ("aws_s3", "S3"),
    ("aws_accessanalyzer", "Access Analyzer"),
    ("aws_acm", "Certificate Manager"),
    ("aws_autoscaling", "Auto Scaling"),
    ("aws_batch", "Batch"),
    ("aws_cloudformation", "CloudFormation"),
    ("aws_cloudfront", "CloudFront"),
    ("aws_cloudtrail_service", "CloudTrail"),
    ("aws_cloudwatch", "CloudWatch"),
    ("aws_dynamodb", "DynamoDB"),
    ("aws_ecr", "ECR"),
    ("aws_ecs", "ECS"),
    ("aws_efs", "EFS"),
    ("aws_eks", "EKS"),
    ("aws_elasticloadbalancing", "Elastic Load Balancing"),
    ("aws_elasticache", "ElastiCache"),
    ("aws_es", "Elasticsearch Service"),
    ("aws_guardduty", "GuardDuty"),
    ("aws_inspector", "Inspector"),
    ("aws_kms", "KMS"),
    ("aws_organizations", "Organizations"),
    ("aws_rds", "RDS"),
    ("aws_redshift", "Redshift"),
    ("aws_route53", "Route 53"),
    ("aws_sns", "SNS"),
    ("aws_sqs", "SQS"),
    ("aws_transfer", "Transfer"),
    ("aws_waf", "WAF"),
    ("aws_workspaces", "WorkSpaces"),
];

/// The step that comes before all others.
pub const STEP: Step = Step {
    id: "account",
    title: "Account and services",
    place: Place::Account,
    needs: &[],
    work: Work::Code(Code {
        uses: &[
            "sts:GetCallerIdentity",
            "iam:ListAccountAliases",
            "iam:GetAccountSummary",
            "organizations:ListAccounts",
        ],
        reads: &[],
        entities,
        links,
        run,
    }),
};

fn entities() -> Vec<(&'static str, &'static [&'static str])> {
    let services = SERVICES.iter().map(|(kind, _)| (*kind, ["Service"].as_slice()));
    std::iter::once((ACCOUNT, ["Account"].as_slice())).chain(services).collect()
}

fn links() -> Vec<(&'static str, Link)> {
    let others = SERVICES.iter().map(|(kind, _)| *kind).chain([ACCOUNT]);
    others.map(|other| (ACCOUNT, to("HAS", other, ".", ""))).collect()
}

/// The key of an account.
#[must_use]
pub fn key(partition: &str, account: &str) -> String {
    format!("arn:{partition}:iam::{account}:root")
}

fn run(run: &Run<'_>) -> Result<(), StepError> {
    let partition = run.cx.config("partition")?;
    let identity = reply::read(&run.cx.call(run.call("sts:GetCallerIdentity"))?)?;
    let id = path::text(&identity, "GetCallerIdentityResult/Account").unwrap_or_default().into_owned();
    if id.len() != 12 || !id.bytes().all(|b| b.is_ascii_digit()) {
        return Err(StepError::Unexpected("`sts:GetCallerIdentity`: the reply names no account".to_owned()));
    }
    let key = key(partition, &id);
    let mut out = run.cx.emitter();
    for (kind, name) in SERVICES {
        let service = format!("{kind}:{id}");
        out.relationship(Relationship::new(ACCOUNT, "HAS", kind, &key, &service))?;
        out.entity(
            Entity::new(*kind, service).class("Service").name(*name).prop("name", *name).prop("accountId", &id),
        )?;
    }
    let mut aliases = Vec::new();
    for page in run.cx.pages(run.call("iam:ListAccountAliases")) {
        let reply = reply::read(&page?)?;
        let found = path::each(&reply, "ListAccountAliasesResult/AccountAliases/member").into_iter();
        aliases.extend(found.filter_map(|v| path::text(v, ".")).map(std::borrow::Cow::into_owned));
    }
    let summary = reply::read(&run.cx.call(run.call("iam:GetAccountSummary"))?)?;
    let name = aliases.first().unwrap_or(&id).clone();
    let account = entity(&id, &key, &name)
        .prop("collected", true)
        .prop("aliases", (!aliases.is_empty()).then_some(aliases))
        .prop("partition", partition)
        .prop("rootMfaEnabled", count(&summary, "AccountMFAEnabled").map(|n| n > 0))
        .prop("rootAccessKeysPresent", count(&summary, "AccountAccessKeysPresent").map(|n| n > 0));
    out.entity(account)?;
    if run.cx.config("organization")? == "yes" {
        members(run, partition, &id, &key, &mut out)?;
    }
    Ok(out.finish()?)
}

fn entity(id: &str, key: &str, name: &str) -> Entity {
    Entity::new(ACCOUNT, key).class("Account").name(name).prop("name", name).prop("accountId", id)
}

/// A number of the account's summary, which is a list of names and values.
fn count(summary: &Value, name: &str) -> Option<u64> {
    let entries = path::each(summary, "GetAccountSummaryResult/SummaryMap/entry");
    let entry = entries.into_iter().find(|entry| path::text(entry, "key").is_some_and(|key| key == name))?;
    path::text(entry, "value")?.parse().ok()
}

/// The other accounts of the organisation, which only its management account or a delegate may list.
fn members(
    run: &Run<'_>,
    partition: &str,
    own: &str,
    own_key: &str,
    out: &mut porthole_sdk::Emitter<'_>,
) -> Result<(), StepError> {
    for page in run.cx.pages(run.call("organizations:ListAccounts")) {
        for item in engine::items(&page?, "Accounts", None)? {
            let text = |path| path::text(&item.value, path);
            let Some(id) = text("Id") else {
                run.skip("an account of the organisation without id");
                continue;
            };
            if id == own {
                continue;
            }
            let (key, name) = (self::key(partition, &id), text("Name").unwrap_or_else(|| id.clone()));
            out.relationship(Relationship::new(ACCOUNT, "HAS", ACCOUNT, own_key, &key))?;
            out.entity(entity(&id, &key, &name).prop("status", text("Status")).prop("email", text("Email")))?;
        }
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    account_id: Option<String>,
    collected: Option<bool>,
}

/// What templates may name: from the configuration, and from what the first step has emitted.
///
/// # Errors
/// When that step found no account; it has said why.
pub fn names(cx: &Cx<'_>, region: &str) -> Result<Names, StepError> {
    for account in cx.entities::<Properties>(ACCOUNT) {
        if let Properties { account_id: Some(account), collected: Some(true) } = account?.properties {
            return Ok(Names { partition: cx.config("partition")?.to_owned(), account, region: region.to_owned() });
        }
    }
    Err(StepError::Other("the step `account` found no account".to_owned()))
}

/// The regions that are collected: those of the configuration, or all that are switched on in the account.
///
/// # Errors
/// When AWS doesn't say which.
pub fn regions(cx: &Cx<'_>) -> Result<Vec<String>, StepError> {
    let wanted = cx.config("regions")?;
    if wanted != "all" {
        return Ok(sorted(wanted.split(' ').map(str::to_owned)));
    }
    let reply = reply::read(&cx.call(Call::new("ec2:DescribeRegions").credential(engine::SLOT))?)?;
    let is_on = |region: &&Value| path::text(region, "optInStatus").is_none_or(|status| status != "not-opted-in");
    let on = path::each(&reply, "regionInfo/item").into_iter().filter(is_on);
    let regions = sorted(on.filter_map(|region| path::text(region, "regionName")).map(std::borrow::Cow::into_owned));
    if regions.is_empty() {
        return Err(StepError::Unexpected("`ec2:DescribeRegions`: the reply names no region".to_owned()));
    }
    Ok(regions)
}

fn sorted(regions: impl Iterator<Item = String>) -> Vec<String> {
    let mut regions: Vec<_> = regions.collect();
    regions.sort();
    regions.dedup();
    regions
}
