//! Batch: where jobs run, their queues, definitions and the jobs themselves.

use crate::engine::Run;
use crate::iam::ROLE;
use crate::spec::{Ask, Link, Resource, Sink, Source, Step, Table, ask, ask_with, from, regional, to};
use porthole_sdk::StepError;

const QUEUE: &str = "aws_batch_job_queue";

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
            links: &[
                OF_BATCH,
                to("USES", "aws_ecs_cluster", ".", "{ecsClusterArn}"),
                to("USES", ROLE, ".", "{serviceRole}"),
            ],
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
pub const STEPS: &[&Step] = &[&COMPUTE_ENVIRONMENTS, &JOB_QUEUES, &JOB_DEFINITIONS, &JOBS];
