//! Containers: ECS and EKS.

use crate::ec2::{INSTANCE, SECURITY_GROUP};
use crate::iam::{ROLE, add};
use crate::path::{self, Names};
use crate::spec::{Resource, Source, Step, Table, ask, ask_with, detail, from, regional, to};
use serde_json::Value;

const CLUSTER: &str = "aws_ecs_cluster";
const TASK: &str = "aws_ecs_task";
const TASK_DEFINITION: &str = "aws_ecs_task_definition";
const CONTAINER_INSTANCE: &str = "aws_ecs_container_instance";

const CLUSTERS: Step = regional(
    "ecs-clusters",
    "ECS clusters",
    Table {
        source: &Source::Batch(
            &Source::List(ask("ecs:ListClusters", "clusterArns")),
            "{value}",
            "clusters",
            100,
            ask_with("ecs:DescribeClusters", &[("include", "TAGS")], "clusters"),
        ),
        resources: &[Resource {
            kind: CLUSTER,
            class: &["Cluster"],
            key: "{clusterArn}",
            name: "clusterName",
            props: "arn=clusterArn name=clusterName state=status *capacityProviders",
            tags: "tags key value",
            links: &[from("HAS", "aws_ecs", ".", "aws_ecs:{ACCOUNT}")],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

/// The ids that a cluster has of something.
macro_rules! of_clusters {
    ($operation:literal, $items:literal) => {
        &Source::Each(&Source::Stored(CLUSTER, &[]), ask_with($operation, &[("cluster", "{KEY}")], $items))
    };
}

const CONTAINER_INSTANCES: Step = regional(
    "ecs-container-instances",
    "ECS container instances",
    Table {
        source: &Source::Batch(
            of_clusters!("ecs:ListContainerInstances", "containerInstanceArns"),
            "{value}",
            "containerInstances",
            100,
            ask_with("ecs:DescribeContainerInstances", &[("cluster", "{^KEY}")], "containerInstances"),
        ),
        resources: &[Resource {
            kind: CONTAINER_INSTANCE,
            class: &["Host", "Container"],
            key: "{containerInstanceArn}",
            props: "arn=containerInstanceArn instanceId=ec2InstanceId state=status ?agentConnected \
                    agentVersion=versionInfo/agentVersion @registeredOn=registeredAt",
            tags: "tags key value",
            links: &[
                from("HAS", CLUSTER, ".", "{^KEY}"),
                from("RUNS", INSTANCE, ".", "arn:{P}:ec2:{REGION}:{ACCOUNT}:instance/{ec2InstanceId}"),
            ],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
)
.after(&["ecs-clusters"]);

const SERVICES: Step = regional(
    "ecs-services",
    "ECS services",
    Table {
        source: &Source::Batch(
            of_clusters!("ecs:ListServices", "serviceArns"),
            "{value}",
            "services",
            10,
            ask_with("ecs:DescribeServices", &[("cluster", "{^KEY}"), ("include", "TAGS")], "services"),
        ),
        resources: &[Resource {
            kind: "aws_ecs_service",
            class: &["Service"],
            key: "{serviceArn}",
            name: "serviceName",
            props: "arn=serviceArn name=serviceName state=status launchType taskDefinitionArn=taskDefinition \
                    schedulingStrategy @createdOn=createdAt roleArn ?executeCommand=enableExecuteCommand \
                    publicIp=networkConfiguration/awsvpcConfiguration/assignPublicIp",
            tags: "tags key value",
            links: &[from("HAS", CLUSTER, ".", "{^KEY}"), from("DEFINES", TASK_DEFINITION, ".", "{taskDefinition}")],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
)
.after(&["ecs-clusters"]);

const TASKS: Step = regional(
    "ecs-tasks",
    "ECS tasks",
    Table {
        source: &Source::Batch(
            of_clusters!("ecs:ListTasks", "taskArns"),
            "{value}",
            "tasks",
            100,
            ask_with("ecs:DescribeTasks", &[("cluster", "{^KEY}"), ("include", "TAGS")], "tasks"),
        ),
        prepare: Some(task),
        resources: &[Resource {
            kind: TASK,
            class: &["Task", "Process"],
            key: "{taskArn}",
            props: "arn=taskArn state=lastStatus launchType group taskDefinitionArn @createdOn=createdAt startedBy \
                    ?executeCommand=enableExecuteCommand platformVersion",
            tags: "tags key value",
            links: &[
                from("RUNS", CLUSTER, ".", "{clusterArn}"),
                from("RUNS", CONTAINER_INSTANCE, ".", "{containerInstanceArn}"),
                from("DEFINES", TASK_DEFINITION, ".", "{taskDefinitionArn}"),
                from("TRIGGERS", "aws_ecs_service", ".", "{_service}"),
            ],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
)
.after(&["ecs-clusters"]);

/// The service that started a task, as an ARN with the cluster's name in it.
fn task(value: &mut Value, _: &Names) {
    let cluster = path::text(value, "clusterArn")
        .and_then(|arn| arn.split_once(":cluster/").map(|(before, name)| (before.to_owned(), name.to_owned())));
    let service = path::text(value, "group").and_then(|group| group.strip_prefix("service:").map(str::to_owned));
    let arn = cluster.zip(service).map(|((before, cluster), service)| format!("{before}:service/{cluster}/{service}"));
    add(value, "_service", arn.map(Value::String));
}

const TASK_DEFINITIONS: Step = regional(
    "ecs-task-definitions",
    "ECS task definitions",
    Table {
        source: &Source::List(ask("ecs:ListTaskDefinitions", "taskDefinitionArns")),
        details: &[detail("_found", "ecs:DescribeTaskDefinition", &[("taskDefinition", "{value}")], "")],
        resources: &[Resource {
            kind: TASK_DEFINITION,
            class: &["Function", "Configuration"],
            key: "{value}",
            name: "_found/taskDefinition/family",
            // The environment of containers holds secrets: only what they run is kept.
            props: "arn=value family=_found/taskDefinition/family #revision=_found/taskDefinition/revision \
                    state=_found/taskDefinition/status networkMode=_found/taskDefinition/networkMode \
                    *launchTypes=_found/taskDefinition/requiresCompatibilities \
                    *images=_found/taskDefinition/containerDefinitions/image \
                    taskRoleArn=_found/taskDefinition/taskRoleArn executionRoleArn=_found/taskDefinition/executionRoleArn",
            links: &[
                from("HAS", "aws_ecs", ".", "aws_ecs:{ACCOUNT}"),
                to("USES", ROLE, "_found/taskDefinition/taskRoleArn + _found/taskDefinition/executionRoleArn", "{.}"),
            ],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const EKS_CLUSTERS: Step = regional(
    "eks-clusters",
    "EKS clusters",
    Table {
        source: &Source::List(ask("eks:ListClusters", "clusters")),
        details: &[detail("c", "eks:DescribeCluster", &[("name", "{value}")], "")],
        resources: &[Resource {
            kind: "aws_eks_cluster",
            class: &["Cluster"],
            key: "arn:{P}:eks:{REGION}:{ACCOUNT}:cluster/{value}",
            name: "value",
            props: "name=value version=c/cluster/version state=c/cluster/status endpoint=c/cluster/endpoint \
                    @createdOn=c/cluster/createdAt roleArn=c/cluster/roleArn vpcId=c/cluster/resourcesVpcConfig/vpcId \
                    ?public=c/cluster/resourcesVpcConfig/endpointPublicAccess \
                    *publicCidrs=c/cluster/resourcesVpcConfig/publicAccessCidrs \
                    kmsKeyId=c/cluster/encryptionConfig/provider/keyArn platformVersion=c/cluster/platformVersion",
            tags: "c/cluster/tags",
            links: &[
                from("HAS", "aws_eks", ".", "aws_eks:{ACCOUNT}"),
                to(
                    "HAS",
                    SECURITY_GROUP,
                    "c/cluster/resourcesVpcConfig/securityGroupIds + c/cluster/resourcesVpcConfig/clusterSecurityGroupId",
                    "arn:{P}:ec2:{REGION}:{ACCOUNT}:security-group/{.}",
                ),
            ],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

/// The steps.
pub const STEPS: &[&Step] = &[&CLUSTERS, &CONTAINER_INSTANCES, &SERVICES, &TASKS, &TASK_DEFINITIONS, &EKS_CLUSTERS];
