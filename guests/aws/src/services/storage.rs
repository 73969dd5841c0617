//! Files: EFS and Transfer.

use crate::ec2::{SECURITY_GROUP, SUBNET};
use crate::iam::{ROLE, add};
use crate::path::{self, Names};
use crate::s3::BUCKET;
use crate::spec::{Resource, Source, Step, Table, ask, ask_with, detail, from, regional, to};
use serde_json::{Value, json};

const FILE_SYSTEM: &str = "aws_efs_file_system";
const SERVER: &str = "aws_transfer_server";

const FILE_SYSTEMS: Step = regional(
    "efs-file-systems",
    "File systems",
    Table {
        source: &Source::List(ask("elasticfilesystem:DescribeFileSystems", "FileSystems")),
        details: &[detail(
            "_policy",
            "elasticfilesystem:DescribeFileSystemPolicy",
            &[("file_system_id", "{FileSystemId}")],
            "",
        )],
        prepare: Some(file_system),
        resources: &[Resource {
            kind: FILE_SYSTEM,
            class: &["DataStore"],
            key: "{FileSystemArn}",
            name: "Name|FileSystemId",
            props: "arn=FileSystemArn name=Name fileSystemId=FileSystemId state=LifeCycleState ?encrypted=Encrypted \
                    kmsKeyId=KmsKeyId @createdOn=CreationTime performanceMode=PerformanceMode policy=_shown",
            tags: "Tags Key Value",
            links: &[from("HAS", "aws_efs", ".", "aws_efs:{ACCOUNT}")],
            ..Resource::NEW
        }],
    },
);

fn file_system(value: &mut Value, _: &Names) {
    let document = path::text(value, "_policy/Policy").and_then(|text| crate::policy::read(&text).ok());
    add(value, "_shown", document.map(|document| json!(crate::policy::shown(&document))));
}

const MOUNT_TARGETS: Step = regional(
    "efs-mount-targets",
    "Mount targets",
    Table {
        source: &Source::Each(
            &Source::Stored(FILE_SYSTEM, &["fileSystemId"]),
            ask_with("elasticfilesystem:DescribeMountTargets", &[("FileSystemId", "{fileSystemId}")], "MountTargets"),
        ),
        details: &[detail(
            "_groups",
            "elasticfilesystem:DescribeMountTargetSecurityGroups",
            &[("mount_target_id", "{MountTargetId}")],
            "SecurityGroups",
        )],
        resources: &[Resource {
            kind: "aws_efs_mount_target",
            class: &["NetworkEndpoint"],
            key: "{^KEY}#{MountTargetId}",
            name: "MountTargetId",
            props: "mountTargetId=MountTargetId state=LifeCycleState ipAddress=IpAddress vpcId=VpcId subnetId=SubnetId \
                    availabilityZone=AvailabilityZoneName networkInterfaceId=NetworkInterfaceId",
            links: &[
                from("HAS", FILE_SYSTEM, ".", "{^KEY}"),
                to(
                    "USES",
                    "aws_eni",
                    ".",
                    "arn:{P}:ec2:{REGION}:{OwnerId|ACCOUNT}:network-interface/{NetworkInterfaceId}",
                ),
                to("HAS", SECURITY_GROUP, "_groups", "arn:{P}:ec2:{REGION}:{ACCOUNT}:security-group/{.}"),
                from("HAS", SUBNET, ".", "arn:{P}:ec2:{REGION}:{OwnerId|ACCOUNT}:subnet/{SubnetId}"),
            ],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
)
.after(&["efs-file-systems"]);

const SERVERS: Step = regional(
    "transfer-servers",
    "Transfer servers",
    Table {
        source: &Source::List(ask("transfer:ListServers", "Servers")),
        details: &[detail("_tags", "transfer:ListTagsForResource", &[("Arn", "{Arn}")], "Tags")],
        resources: &[Resource {
            kind: SERVER,
            class: &["Host", "Gateway"],
            key: "{Arn}",
            name: "ServerId",
            props: "arn=Arn serverId=ServerId state=State domain=Domain endpointType=EndpointType \
                    identityProviderType=IdentityProviderType loggingRoleArn=LoggingRole",
            tags: "_tags Key Value",
            links: &[
                from("HAS", "aws_transfer", ".", "aws_transfer:{ACCOUNT}"),
                from("ASSIGNED", ROLE, ".", "{LoggingRole}"),
            ],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const USERS: Step = regional(
    "transfer-users",
    "Transfer users",
    Table {
        source: &Source::Each(
            &Source::Stored(SERVER, &["serverId"]),
            ask_with("transfer:ListUsers", &[("ServerId", "{serverId}")], "Users"),
        ),
        prepare: Some(user),
        resources: &[Resource {
            kind: "aws_transfer_user",
            class: &["User"],
            key: "{Arn}",
            name: "UserName",
            props: "arn=Arn username=UserName name=UserName homeDirectory=HomeDirectory homeDirectoryType=HomeDirectoryType \
                    roleArn=Role #sshKeys=SshPublicKeyCount",
            links: &[
                from("HAS", SERVER, ".", "{^KEY}"),
                from("ALLOWS", BUCKET, ".", "{_bucket}"),
                from("ASSIGNED", ROLE, ".", "{Role}"),
            ],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
)
.after(&["transfer-servers"]);

/// The bucket of a home that is in one. Homes in EFS begin with the id of the file system.
fn user(value: &mut Value, names: &Names) {
    let home = path::text(value, "HomeDirectory").and_then(|home| home.split('/').nth(1).map(str::to_owned));
    let bucket = home.filter(|name| !name.is_empty() && !name.starts_with("fs-"));
    add(value, "_bucket", bucket.map(|name| json!(format!("arn:{}:s3:::{name}", names.partition))));
}

/// The steps.
pub const STEPS: &[&Step] = &[&FILE_SYSTEMS, &MOUNT_TARGETS, &SERVERS, &USERS];
