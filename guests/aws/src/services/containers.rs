//! Images and containers: ECR, ECS, EKS, Batch.

use crate::ec2::{INSTANCE, SECURITY_GROUP};
use crate::engine::Run;
use crate::iam::{ROLE, add};
use crate::path::{self, Names};
use crate::policy;
use crate::spec::{Ask, Link, Resource, Sink, Source, Step, Table, ask, ask_with, detail, from, regional, to};
use porthole_sdk::StepError;
use serde_json::Value;

const REPOSITORY: &str = "aws_ecr_repository";
const IMAGE: &str = "aws_ecr_image";
const CLUSTER: &str = "aws_ecs_cluster";
const TASK: &str = "aws_ecs_task";
const TASK_DEFINITION: &str = "aws_ecs_task_definition";
const CONTAINER_INSTANCE: &str = "aws_ecs_container_instance";
const QUEUE: &str = "aws_batch_job_queue";

const REPOSITORIES: Step = regional(
    "ecr-repositories",
    "Image repositories",
    Table {
        source: &Source::List(ask("ecr:DescribeRepositories", "repositories")),
        details: &[
            detail("_policy", "ecr:GetRepositoryPolicy", &[("repositoryName", "{repositoryName}")], ""),
            detail("_lifecycle", "ecr:GetLifecyclePolicy", &[("repositoryName", "{repositoryName}")], ""),
            detail("_tags", "ecr:ListTagsForResource", &[("resourceArn", "{repositoryArn}")], "tags"),
        ],
        prepare: Some(repository),
        resources: &[Resource {
            kind: REPOSITORY,
            class: &["Repository"],
            key: "{repositoryArn}",
            name: "repositoryName",
            props: "arn=repositoryArn name=repositoryName uri=repositoryUri @createdOn=createdAt \
                    tagMutability=imageTagMutability ?scanOnPush=imageScanningConfiguration/scanOnPush \
                    encryptionType=encryptionConfiguration/encryptionType kmsKeyId=encryptionConfiguration/kmsKey \
                    policy=_shown ?hasLifecyclePolicy=_hasLifecycle",
            tags: "_tags Key Value",
            links: &[from("HAS", "aws_ecr", ".", "aws_ecr:{ACCOUNT}")],
            ..Resource::NEW
        }],
    },
);

fn repository(value: &mut Value, _: &Names) {
    let document = path::text(value, "_policy/policyText").and_then(|text| policy::read(&text).ok());
    add(value, "_shown", document.map(|document| Value::String(policy::shown(&document))));
    let lifecycle = value.get("_lifecycle").map(|policy| Value::Bool(policy.is_object()));
    add(value, "_hasLifecycle", lifecycle);
}

const IMAGES: Step = regional(
    "ecr-images",
    "Images",
    Table {
        source: &Source::Each(
            &Source::Stored(REPOSITORY, &["name"]),
            ask_with("ecr:DescribeImages", &[("repositoryName", "{name}")], "imageDetails"),
        ),
        resources: &[Resource {
            kind: IMAGE,
            class: &["Image"],
            key: "{^KEY}@{imageDigest}",
            name: "imageTags|imageDigest",
            props: "digest=imageDigest repositoryName *imageTags @pushedOn=imagePushedAt #sizeBytes=imageSizeInBytes \
                    scanStatus=imageScanStatus/status mediaType=imageManifestMediaType",
            links: &[from("HAS", REPOSITORY, ".", "{^KEY}")],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
)
.after(&["ecr-repositories"]);

const IMAGE_FINDINGS: Step = regional(
    "ecr-findings",
    "Findings in images",
    Table {
        source: &Source::Each(
            &Source::Stored(IMAGE, &["digest", "repositoryName"]),
            ask_with(
                "ecr:DescribeImageScanFindings",
                &[("repositoryName", "{repositoryName}"), ("imageId/imageDigest", "{digest}")],
                "imageScanFindings/findings",
            ),
        ),
        prepare: Some(image_finding),
        resources: &[Resource {
            kind: "aws_ecr_image_scan_finding",
            class: &["Finding"],
            key: "{^KEY}:{name}:{_package}:{_version}",
            name: "name",
            props: "name severity description uri package=_package version=_version",
            links: &[from("HAS", IMAGE, ".", "{^KEY}")],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
)
.after(&["ecr-images"]);

/// The package and its version, which a finding has in a list of names and values.
fn image_finding(value: &mut Value, _: &Names) {
    for (field, name) in [("_package", "package_name"), ("_version", "package_version")] {
        let attributes = path::each(value, "attributes");
        let found = attributes.into_iter().find(|a| path::text(a, "key").is_some_and(|key| key == name));
        let text = found.and_then(|a| path::text(a, "value")).map_or_else(|| "-".to_owned(), Into::into);
        add(value, field, Some(Value::String(text)));
    }
}

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

const OF_BATCH: Link = from("HAS", "aws_batch", ".", "aws_batch:{ACCOUNT}");

const COMPUTE_ENVIRONMENTS: Step = regional(
    "batch-compute-environments",
    "Batch compute environments",
    Table {
        source: &Source::List(ask("batch:DescribeComputeEnvironments", "computeEnvironments")),
        resources: &[Resource {
            kind: "aws_batch_compute_environment",
            class: &["Configuration"],
            key: "{computeEnvironmentArn}",
            name: "computeEnvironmentName",
            props: "arn=computeEnvironmentArn name=computeEnvironmentName type state status serviceRoleArn=serviceRole \
                    resourceType=computeResources/type",
            tags: "tags",
            links: &[OF_BATCH, to("USES", CLUSTER, ".", "{ecsClusterArn}"), to("USES", ROLE, ".", "{serviceRole}")],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const JOB_QUEUES: Step = regional(
    "batch-job-queues",
    "Batch job queues",
    Table {
        source: &Source::List(ask("batch:DescribeJobQueues", "jobQueues")),
        resources: &[Resource {
            kind: QUEUE,
            class: &["Queue"],
            key: "{jobQueueArn}",
            name: "jobQueueName",
            props: "arn=jobQueueArn name=jobQueueName state status #priority",
            tags: "tags",
            links: &[OF_BATCH],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const JOB_DEFINITIONS: Step = regional(
    "batch-job-definitions",
    "Batch job definitions",
    Table {
        source: &Source::List(ask_with("batch:DescribeJobDefinitions", &[("status", "ACTIVE")], "jobDefinitions")),
        resources: &[Resource {
            kind: "aws_batch_job_definition",
            class: &["Configuration", "Function"],
            key: "{jobDefinitionArn}",
            name: "jobDefinitionName",
            props: "arn=jobDefinitionArn name=jobDefinitionName #revision type state=status \
                    image=containerProperties/image jobRoleArn=containerProperties/jobRoleArn \
                    ?privileged=containerProperties/privileged *platforms=platformCapabilities",
            tags: "tags",
            links: &[OF_BATCH],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const JOBS: Step = regional(
    "batch-jobs",
    "Batch jobs",
    Table {
        source: &Source::Code(&["batch:ListJobs"], &[(QUEUE, &["region"])], jobs),
        resources: &[Resource {
            kind: "aws_batch_job",
            class: &["Process", "Task"],
            key: "{jobArn}",
            name: "jobName",
            props: "arn=jobArn name=jobName jobId state=status @createdOn=createdAt @startedOn=startedAt \
                    @stoppedOn=stoppedAt jobDefinitionArn=jobDefinition",
            links: &[from("HAS", QUEUE, ".", "{^KEY}")],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
)
.after(&["batch-job-queues"]);

/// The jobs of every queue: AWS lists those of one status, and without one those that run.
fn jobs(run: &Run<'_>, sink: &mut Sink<'_>) -> Result<(), StepError> {
    const fn of(arguments: &'static [(&'static str, &'static str)]) -> Ask {
        ask_with("batch:ListJobs", arguments, "jobSummaryList")
    }
    const STATUSES: [Ask; 7] = [
        of(&[("jobQueue", "{KEY}"), ("jobStatus", "SUBMITTED")]),
        of(&[("jobQueue", "{KEY}"), ("jobStatus", "PENDING")]),
        of(&[("jobQueue", "{KEY}"), ("jobStatus", "RUNNABLE")]),
        of(&[("jobQueue", "{KEY}"), ("jobStatus", "STARTING")]),
        of(&[("jobQueue", "{KEY}"), ("jobStatus", "RUNNING")]),
        of(&[("jobQueue", "{KEY}"), ("jobStatus", "SUCCEEDED")]),
        of(&[("jobQueue", "{KEY}"), ("jobStatus", "FAILED")]),
    ];
    run.stored(QUEUE, &mut |queues| STATUSES.iter().try_for_each(|ask| run.each(ask, queues.clone(), sink)))
}

/// The steps.
pub const STEPS: &[&Step] = &[
    &REPOSITORIES,
    &IMAGES,
    &IMAGE_FINDINGS,
    &CLUSTERS,
    &CONTAINER_INSTANCES,
    &SERVICES,
    &TASKS,
    &TASK_DEFINITIONS,
    &EKS_CLUSTERS,
    &COMPUTE_ENVIRONMENTS,
    &JOB_QUEUES,
    &JOB_DEFINITIONS,
    &JOBS,
];
