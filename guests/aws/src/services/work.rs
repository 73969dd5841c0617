//! Groups of machines, stacks, and desktops.

use crate::ec2::{INSTANCE, SUBNET};
use crate::spec::{Resource, Source, Step, Table, ask, detail, from, regional, to};

const BUNDLE: &str = "aws_workspaces_bundle";
const BUNDLE_KEY: &str = "arn:{P}:workspaces:{REGION}:{ACCOUNT}:workspacebundle/{BundleId}";

const SCALING_GROUPS: Step = regional(
    "autoscaling-groups",
    "Auto Scaling groups",
    Table {
        source: &Source::List(ask(
            "autoscaling:DescribeAutoScalingGroups",
            "DescribeAutoScalingGroupsResult/AutoScalingGroups/member",
        )),
        resources: &[Resource {
            kind: "aws_autoscaling_group",
            class: &["Deployment", "Group"],
            key: "{AutoScalingGroupARN}",
            name: "AutoScalingGroupName",
            props: "arn=AutoScalingGroupARN name=AutoScalingGroupName #minimum=MinSize #maximum=MaxSize \
                    launchConfigurationName=LaunchConfigurationName launchTemplateId=LaunchTemplate/LaunchTemplateId \
                    healthCheckType=HealthCheckType @createdOn=CreatedTime *availabilityZones=AvailabilityZones/member \
                    subnetIds=VPCZoneIdentifier",
            tags: "Tags/member Key Value",
            links: &[
                from("HAS", "aws_autoscaling", ".", "aws_autoscaling:{ACCOUNT}"),
                to("HAS", INSTANCE, "Instances/member", "arn:{P}:ec2:{REGION}:{ACCOUNT}:instance/{InstanceId}"),
            ],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const STACKS: Step = regional(
    "cloudformation-stacks",
    "Stacks",
    Table {
        source: &Source::List(ask("cloudformation:DescribeStacks", "DescribeStacksResult/Stacks/member")),
        resources: &[Resource {
            kind: "aws_cloudformation_stack",
            class: &["Configuration"],
            key: "{StackId}",
            name: "StackName",
            // Values of parameters and outputs may be secrets: only the names are kept.
            props: "arn=StackId name=StackName state=StackStatus description=Description roleArn=RoleARN \
                    @createdOn=CreationTime @updatedOn=LastUpdatedTime ?terminationProtection=EnableTerminationProtection \
                    driftStatus=DriftInformation/StackDriftStatus *parameterNames=Parameters/member/ParameterKey \
                    *outputNames=Outputs/member/OutputKey parentArn=ParentId",
            tags: "Tags/member Key Value",
            links: &[from("HAS", "aws_cloudformation", ".", "aws_cloudformation:{ACCOUNT}")],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

/// The regions that have WorkSpaces.
const WITH_WORKSPACES: &[&str] = &[
    "af-south-1",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-5",
    "ca-central-1",
    "cn-northwest-1",
    "eu-central-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-west-2",
];

const BUNDLES: Step = regional(
    "workspaces-bundles",
    "Bundles of WorkSpaces",
    Table {
        // Without an owner AWS lists the account's own.
        source: &Source::List(ask("workspaces:DescribeWorkspaceBundles", "Bundles")),
        resources: &[Resource {
            kind: BUNDLE,
            class: &["Configuration"],
            key: BUNDLE_KEY,
            name: "Name",
            props: "bundleId=BundleId name=Name owner=Owner description=Description computeType=ComputeType/Name imageId=ImageId",
            links: &[from("HAS", "aws_workspaces", ".", "aws_workspaces:{ACCOUNT}")],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
).only_in(WITH_WORKSPACES);

const WORKSPACES: Step = regional(
    "workspaces",
    "WorkSpaces",
    Table {
        source: &Source::List(ask("workspaces:DescribeWorkspaces", "Workspaces")),
        details: &[detail("_tags", "workspaces:DescribeTags", &[("ResourceId", "{WorkspaceId}")], "TagList")],
        resources: &[Resource {
            kind: "aws_workspace",
            class: &["Host"],
            key: "arn:{P}:workspaces:{REGION}:{ACCOUNT}:workspace/{WorkspaceId}",
            name: "ComputerName|WorkspaceId",
            props: "workspaceId=WorkspaceId directoryId=DirectoryId username=UserName ipAddress=IpAddress \
                    computerName=ComputerName bundleId=BundleId subnetId=SubnetId kmsKeyId=VolumeEncryptionKey \
                    ?rootEncrypted=RootVolumeEncryptionEnabled ?userVolumeEncrypted=UserVolumeEncryptionEnabled \
                    runningMode=WorkspaceProperties/RunningMode computeType=WorkspaceProperties/ComputeTypeName",
            tags: "_tags Key Value",
            links: &[
                from("HAS", "aws_workspaces", ".", "aws_workspaces:{ACCOUNT}"),
                to("USES", BUNDLE, ".", BUNDLE_KEY),
                from("HAS", SUBNET, ".", "arn:{P}:ec2:{REGION}:{ACCOUNT}:subnet/{SubnetId}"),
            ],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
)
.only_in(WITH_WORKSPACES);

/// The steps.
pub const STEPS: &[&Step] = &[&SCALING_GROUPS, &STACKS, &BUNDLES, &WORKSPACES];
