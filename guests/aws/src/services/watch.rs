//! What watches: trails, alarms, logs, and what finds things.

use super::arn;
use crate::ec2::INSTANCE;
use crate::iam::add;
use crate::path::{self, Names};
use crate::s3::BUCKET;
use crate::spec::{Resource, Source, Step, Table, ask, ask_with, detail, from, regional, to};
use serde_json::{Value, json};

const LOG_GROUP: &str = "aws_cloudwatch_log_group";
const ANALYZER: &str = "aws_accessanalyzer_analyzer";
const DETECTOR: &str = "aws_guardduty_detector";

const TRAILS: Step = regional(
    "cloudtrail-trails",
    "Trails",
    Table {
        // Each in the region where it is at home: the others have its shadow.
        source: &Source::List(ask_with("cloudtrail:DescribeTrails", &[("includeShadowTrails", "false")], "trailList")),
        prepare: Some(trail),
        resources: &[Resource {
            kind: "aws_cloudtrail_trail",
            class: &["Logs"],
            when: "HomeRegion=,{REGION}",
            key: "{TrailARN}",
            name: "Name",
            props: "arn=TrailARN name=Name bucketName=S3BucketName ?multiRegion=IsMultiRegionTrail \
                    ?organization=IsOrganizationTrail ?globalEvents=IncludeGlobalServiceEvents \
                    ?logFileValidation=LogFileValidationEnabled kmsKeyId=KmsKeyId logGroupArn=_group",
            links: &[
                from("HAS", "aws_cloudtrail_service", ".", "aws_cloudtrail_service:{ACCOUNT}"),
                to("LOGS", BUCKET, ".", "arn:{P}:s3:::{S3BucketName}"),
                to("LOGS", LOG_GROUP, ".", "{_group}"),
            ],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

fn trail(value: &mut Value, _: &Names) {
    let group = path::text(value, "CloudWatchLogsLogGroupArn").map(|arn| json!(arn.trim_end_matches(":*")));
    add(value, "_group", group);
}

const ALARMS: Step = regional(
    "cloudwatch-alarms",
    "Alarms",
    Table {
        source: &Source::List(ask("cloudwatch:DescribeAlarms", "MetricAlarms")),
        details: &[detail("_tags", "cloudwatch:ListTagsForResource", &[("ResourceARN", "{AlarmArn}")], "Tags")],
        resources: &[Resource {
            kind: "aws_cloudwatch_metric_alarm",
            class: &["Monitor"],
            key: "{AlarmArn}",
            name: "AlarmName",
            // Whether it rings changes by itself, and is no configuration.
            props: "arn=AlarmArn name=AlarmName description=AlarmDescription metricName=MetricName namespace=Namespace \
                    comparison=ComparisonOperator #threshold=Threshold #periodSeconds=Period ?actionsEnabled=ActionsEnabled \
                    *alarmActions=AlarmActions",
            tags: "_tags Key Value",
            links: &[from("HAS", "aws_cloudwatch", ".", "aws_cloudwatch:{ACCOUNT}")],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const LOG_GROUPS: Step = regional(
    "logs-groups",
    "Log groups",
    Table {
        source: &Source::List(ask("logs:DescribeLogGroups", "logGroups")),
        details: &[detail("_tags", "logs:ListTagsLogGroup", &[("logGroupName", "{logGroupName}")], "")],
        resources: &[Resource {
            kind: LOG_GROUP,
            class: &["Logs"],
            key: "arn:{P}:logs:{REGION}:{ACCOUNT}:log-group:{logGroupName}",
            name: "logGroupName",
            props: "name=logGroupName #retentionDays=retentionInDays kmsKeyId @createdOn=creationTime logGroupClass",
            tags: "_tags/tags",
            links: &[from("HAS", "aws_cloudwatch", ".", "aws_cloudwatch:{ACCOUNT}")],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const ANALYZERS: Step = regional(
    "accessanalyzer-analyzers",
    "Access analyzers",
    Table {
        source: &Source::List(ask("access-analyzer:ListAnalyzers", "analyzers")),
        resources: &[Resource {
            kind: ANALYZER,
            class: &["Assessment", "Scanner"],
            key: "{arn}",
            name: "name",
            props: "arn name analyzerType=type state=status @createdOn=createdAt",
            tags: "tags",
            links: &[from("HAS", "aws_accessanalyzer", ".", "aws_accessanalyzer:{ACCOUNT}")],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const ANALYZER_FINDINGS: Step = regional(
    "accessanalyzer-findings",
    "Findings of access analyzers",
    Table {
        source: &Source::Each(
            &Source::Stored(ANALYZER, &[]),
            ask_with("access-analyzer:ListFindings", &[("analyzerArn", "{KEY}")], "findings"),
        ),
        resources: &[Resource {
            kind: "aws_accessanalyzer_finding",
            class: &["Finding"],
            key: "{^KEY}/finding/{id}",
            name: "resource|id",
            props: "id resource resourceType ?public=isPublic state=status @createdOn=createdAt *actions=action \
                    ownerAccount=resourceOwnerAccount *principals=principal/*",
            links: &[from("IDENTIFIED", ANALYZER, ".", "{^KEY}")],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
)
.after(&["accessanalyzer-analyzers"]);

const DETECTORS: Step = regional(
    "guardduty-detectors",
    "GuardDuty detectors",
    Table {
        source: &Source::List(ask("guardduty:ListDetectors", "detectorIds")),
        details: &[detail("d", "guardduty:GetDetector", &[("detector_id", "{value}")], "")],
        resources: &[Resource {
            kind: DETECTOR,
            class: &["Assessment", "Scanner"],
            key: "arn:{P}:guardduty:{REGION}:{ACCOUNT}:detector/{value}",
            props: "detectorId=value ?enabled=d/status frequency=d/findingPublishingFrequency @createdOn=d/createdAt \
                    roleArn=d/serviceRole",
            tags: "d/tags",
            links: &[from("HAS", "aws_guardduty", ".", "aws_guardduty:{ACCOUNT}")],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const DETECTOR_FINDINGS: Step = regional(
    "guardduty-findings",
    "Findings of GuardDuty",
    Table {
        source: &Source::Batch(
            &Source::Each(
                &Source::Stored(DETECTOR, &["detectorId"]),
                ask_with("guardduty:ListFindings", &[("detector_id", "{detectorId}")], "findingIds"),
            ),
            "{value}",
            "findingIds",
            50,
            ask_with("guardduty:GetFindings", &[("detector_id", "{^detectorId}")], "findings"),
        ),
        resources: &[Resource {
            kind: "aws_guardduty_finding",
            class: &["Finding"],
            key: "{arn}",
            name: "title",
            props: "arn id findingType=type title description #severity @createdOn=createdAt ?archived=service/archived \
                    resourceType=resource/resourceType",
            links: &[
                from("IDENTIFIED", DETECTOR, ".", "{^KEY}"),
                from("HAS", INSTANCE, ".", "arn:{P}:ec2:{REGION}:{ACCOUNT}:instance/{resource/instanceDetails/instanceId}"),
            ],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
)
.after(&["guardduty-detectors"]);

/// The regions that have Inspector Classic.
const INSPECTOR: &[&str] = &[
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-south-1",
    "ap-southeast-2",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-west-1",
    "us-west-2",
];

const ASSESSMENTS: Step = regional(
    "inspector-assessments",
    "Runs of Inspector Classic",
    Table {
        source: &Source::Batch(
            &Source::List(ask("inspector:ListAssessmentRuns", "assessmentRunArns")),
            "{value}",
            "assessmentRunArns",
            10,
            ask("inspector:DescribeAssessmentRuns", "assessmentRuns"),
        ),
        resources: &[Resource {
            kind: "aws_inspector_assessment",
            class: &["Assessment"],
            key: "{arn}",
            name: "name",
            props: "arn name state templateArn=assessmentTemplateArn @createdOn=createdAt @completedOn=completedAt",
            links: &[from("HAS", "aws_inspector", ".", "aws_inspector:{ACCOUNT}")],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
)
.only_in(INSPECTOR);

const ASSESSMENT_FINDINGS: Step = regional(
    "inspector-findings",
    "Findings of Inspector Classic",
    Table {
        source: &Source::Batch(
            &Source::List(ask("inspector:ListFindings", "findingArns")),
            "{value}",
            "findingArns",
            10,
            ask("inspector:DescribeFindings", "findings"),
        ),
        prepare: Some(assessment_finding),
        resources: &[Resource {
            kind: "aws_inspector_finding",
            class: &["Finding"],
            key: "{arn}",
            name: "title",
            props: "arn title description severity #numericSeverity id recommendation @createdOn=createdAt",
            links: &[
                from("IDENTIFIED", "aws_inspector_assessment", ".", "{_run}"),
                from("HAS", INSTANCE, ".", "arn:{P}:ec2:{REGION}:{ACCOUNT}:instance/{assetAttributes/agentId}"),
            ],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
)
.only_in(INSPECTOR);

fn assessment_finding(value: &mut Value, _: &Names) {
    let run = arn(value, "serviceAttributes/assessmentRunArn");
    add(value, "_run", run.map(Value::String));
}

/// The steps.
pub const STEPS: &[&Step] = &[
    &TRAILS,
    &ALARMS,
    &LOG_GROUPS,
    &ANALYZERS,
    &ANALYZER_FINDINGS,
    &DETECTORS,
    &DETECTOR_FINDINGS,
    &ASSESSMENTS,
    &ASSESSMENT_FINDINGS,
];
