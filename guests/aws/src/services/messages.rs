//! Topics, queues and events.

use crate::api::FUNCTION;
use crate::iam::add;
use crate::path::{self, Names};
use crate::policy;
use crate::spec::{Resource, Source, Step, Table, ask, ask_with, detail, from, regional, to};
use serde_json::{Map, Value};

const TOPIC: &str = "aws_sns_topic";
const QUEUE: &str = "aws_sqs_queue";

const TOPICS: Step = regional(
    "sns-topics",
    "Topics",
    Table {
        source: &Source::List(ask("sns:ListTopics", "ListTopicsResult/Topics/member")),
        details: &[
            detail(
                "_entries",
                "sns:GetTopicAttributes",
                &[("TopicArn", "{TopicArn}")],
                "GetTopicAttributesResult/Attributes/entry",
            ),
            detail(
                "_tags",
                "sns:ListTagsForResource",
                &[("ResourceArn", "{TopicArn}")],
                "ListTagsForResourceResult/Tags/member",
            ),
        ],
        prepare: Some(topic),
        resources: &[Resource {
            kind: TOPIC,
            class: &["Channel"],
            key: "{TopicArn}",
            name: "_attributes/DisplayName|TopicArn",
            props: "arn=TopicArn displayName=_attributes/DisplayName kmsKeyId=_attributes/KmsMasterKeyId \
                    ?fifo=_attributes/FifoTopic policy=_shown",
            tags: "_tags Key Value",
            links: &[from("HAS", "aws_sns", ".", "aws_sns:{ACCOUNT}")],
            ..Resource::NEW
        }],
    },
);

/// The attributes by name, which the reply has as a list of names and values.
fn topic(value: &mut Value, _: &Names) {
    let entries = path::each(value, "_entries").into_iter();
    let named = |entry: &Value| {
        Some((path::text(entry, "key")?.into_owned(), Value::String(path::text(entry, "value")?.into_owned())))
    };
    let attributes: Map<String, Value> = entries.filter_map(named).collect();
    add(value, "_attributes", Some(Value::Object(attributes)));
    shown(value, "_attributes/Policy");
}

/// The policy at a path, as `_shown`.
fn shown(value: &mut Value, at: &str) {
    let document = path::text(value, at).and_then(|text| policy::read(&text).ok());
    add(value, "_shown", document.map(|document| Value::String(policy::shown(&document))));
}

const SUBSCRIPTIONS: Step = regional(
    "sns-subscriptions",
    "Subscriptions of topics",
    Table {
        source: &Source::List(ask("sns:ListSubscriptions", "ListSubscriptionsResult/Subscriptions/member")),
        prepare: Some(subscription),
        resources: &[Resource {
            kind: "aws_sns_subscription",
            class: &["Subscription"],
            // One that nobody has confirmed has no ARN.
            when: "SubscriptionArn!=PendingConfirmation,Deleted",
            key: "{SubscriptionArn}",
            // Addresses of people and of web hooks are not kept: they are personal, or hold tokens.
            props: "arn=SubscriptionArn protocol=Protocol topicArn=TopicArn ownerId=Owner endpoint=_endpoint",
            links: &[from("HAS", TOPIC, ".", "{TopicArn}"), to("CONNECTS", QUEUE, ".", "{_queue}")],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

fn subscription(value: &mut Value, _: &Names) {
    let endpoint = super::arn(value, "Endpoint");
    let is_queue = path::text(value, "Protocol").is_some_and(|protocol| protocol == "sqs");
    add(value, "_queue", endpoint.clone().filter(|_| is_queue).map(Value::String));
    add(value, "_endpoint", endpoint.map(Value::String));
}

const QUEUES: Step = regional(
    "sqs-queues",
    "Queues",
    Table {
        // It pages only when it is told how many to send.
        source: &Source::List(ask_with("sqs:ListQueues", &[("MaxResults", "1000")], "QueueUrls")),
        details: &[
            detail("a", "sqs:GetQueueAttributes", &[("QueueUrl", "{value}"), ("AttributeNames", "All")], ""),
            detail("_tags", "sqs:ListQueueTags", &[("QueueUrl", "{value}")], ""),
        ],
        prepare: Some(queue),
        resources: &[Resource {
            kind: QUEUE,
            class: &["Queue"],
            key: "{a/Attributes/QueueArn}",
            name: "_name",
            props: "arn=a/Attributes/QueueArn name=_name url=value kmsKeyId=a/Attributes/KmsMasterKeyId \
                    ?sqsManagedEncryption=a/Attributes/SqsManagedSseEnabled ?fifo=a/Attributes/FifoQueue \
                    #retentionSeconds=a/Attributes/MessageRetentionPeriod @createdOn=a/Attributes/CreatedTimestamp policy=_shown",
            tags: "_tags/Tags",
            links: &[from("HAS", "aws_sqs", ".", "aws_sqs:{ACCOUNT}")],
            ..Resource::NEW
        }],
    },
);

fn queue(value: &mut Value, _: &Names) {
    let name = path::text(value, "value").and_then(|url| url.rsplit('/').next().map(str::to_owned));
    add(value, "_name", name.map(Value::String));
    shown(value, "a/Attributes/Policy");
}

const EVENT_RULES: Step = regional(
    "events-rules",
    "Rules of EventBridge",
    Table {
        source: &Source::List(ask("events:ListRules", "Rules")),
        // What is sent to a target may be a secret: only its ARN is read.
        details: &[detail("_targets", "events:ListTargetsByRule", &[("Rule", "{Name}")], "Targets")],
        prepare: Some(event_rule),
        resources: &[Resource {
            kind: "aws_cloudwatch_event_rule",
            class: &["Task"],
            key: "{Arn}",
            name: "Name",
            props: "arn=Arn name=Name description=Description ?enabled=State schedule=ScheduleExpression \
                    eventPattern=EventPattern eventBus=EventBusName managedBy=ManagedBy roleArn=RoleArn \
                    *targetArns=_targets/Arn",
            links: &[
                from("HAS", "aws_cloudwatch", ".", "aws_cloudwatch:{ACCOUNT}"),
                to("TRIGGERS", FUNCTION, "_functions", "{.}"),
            ],
            ..Resource::NEW
        }],
    },
);

/// The functions among the targets, without alias or version.
fn event_rule(value: &mut Value, _: &Names) {
    let targets = path::each(value, "_targets/Arn").into_iter().filter_map(Value::as_str);
    let functions = targets.filter(|arn| arn.contains(":lambda:") && arn.contains(":function:"));
    let plain = |arn: &str| Value::String(arn.split(':').take(7).collect::<Vec<_>>().join(":"));
    let functions = functions.map(plain).collect();
    add(value, "_functions", Some(Value::Array(functions)));
}

/// The steps.
pub const STEPS: &[&Step] = &[&TOPICS, &SUBSCRIPTIONS, &QUEUES, &EVENT_RULES];
