//! Machines, disks and networks of the base: instances, volumes, security groups, VPCs and subnets.

use crate::firewall;
use crate::spec::{Link, Resource, Source, Step, Table, ask, from, regional, to};

/// Instances.
pub const INSTANCE: &str = "aws_ec2_instance";
/// Volumes.
pub const VOLUME: &str = "aws_ec2_volume";
/// Security groups.
pub const SECURITY_GROUP: &str = "aws_ec2_security_group";
/// VPCs.
pub const VPC: &str = "aws_ec2_vpc";
/// Subnets.
pub const SUBNET: &str = "aws_ec2_subnet";

/// What belongs to the service node.
pub const OF_EC2: Link = from("HAS", "aws_ec2", ".", "aws_ec2:{ACCOUNT}");

/// The security groups of all interfaces of an instance.
const ALL_GROUPS: &str = "groupSet/item + networkInterfaceSet/item/groupSet/item";
const OWNERS_GROUP: &str = "arn:{P}:ec2:{REGION}:{^ownerId|ACCOUNT}:security-group/{groupId}";

const INSTANCES: Step = regional(
    "ec2-instances",
    "Instances",
    Table {
        source: &Source::List(ask("ec2:DescribeInstances", "reservationSet/item > instancesSet/item")),
        resources: &[Resource {
            kind: INSTANCE,
            class: &["Host"],
            when: "instanceState/name!=terminated",
            key: "arn:{P}:ec2:{REGION}:{^ownerId|ACCOUNT}:instance/{instanceId}",
            name: "tag|instanceId",
            props: "instanceId state=instanceState/name instanceType imageId keyName @launchedOn=launchTime platformDetails \
                architecture availabilityZone=placement/availabilityZone vpcId subnetId privateIpAddress \
                publicIpAddress=ipAddress privateDnsName publicDnsName=dnsName instanceProfileArn=iamInstanceProfile/arn \
                metadataTokens=metadataOptions/httpTokens metadataEndpoint=metadataOptions/httpEndpoint ?ebsOptimized \
                *networkInterfaceIds=networkInterfaceSet/item/networkInterfaceId",
            tags: "tagSet/item key value",
            links: &[
                OF_EC2,
                to("USES", VOLUME, "blockDeviceMapping/item/ebs", "arn:{P}:ec2:{REGION}:{ACCOUNT}:volume/{volumeId}"),
                // A secondary interface's groups are only said there.
                from("PROTECTS", SECURITY_GROUP, ALL_GROUPS, OWNERS_GROUP),
                to("HAS", SECURITY_GROUP, ALL_GROUPS, OWNERS_GROUP),
                to(
                    "USES",
                    "aws_eni",
                    "networkInterfaceSet/item",
                    "arn:{P}:ec2:{REGION}:{ownerId|ACCOUNT}:network-interface/{networkInterfaceId}",
                ),
                to("USES", "aws_ami", ".", "arn:{P}:ec2:{REGION}::image/{imageId}"),
                to("USES", "aws_iam_instance_profile", ".", "{iamInstanceProfile/arn}"),
                from("HAS", SUBNET, ".", "arn:{P}:ec2:{REGION}:{^ownerId|ACCOUNT}:subnet/{subnetId}"),
            ],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const VOLUMES: Step = regional(
    "ec2-volumes",
    "Volumes",
    Table {
        source: &Source::List(ask("ec2:DescribeVolumes", "volumeSet/item")),
        resources: &[Resource {
            kind: VOLUME,
            class: &["DataStore", "Disk"],
            key: "arn:{P}:ec2:{REGION}:{ACCOUNT}:volume/{volumeId}",
            name: "tag|volumeId",
            props: "volumeId state=status #sizeGb=size volumeType #iops #throughput ?encrypted kmsKeyId snapshotId \
                availabilityZone @createdOn=createTime ?multiAttachEnabled",
            tags: "tagSet/item key value",
            links: &[
                OF_EC2,
                to("USES", "aws_ebs_snapshot", ".", "arn:{P}:ec2:{REGION}::snapshot/{snapshotId}"),
                to("USES", "aws_kms_key", ".", "{kmsKeyId}"),
            ],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const VPCS: Step = regional(
    "ec2-vpcs",
    "VPCs",
    Table {
        source: &Source::List(ask("ec2:DescribeVpcs", "vpcSet/item")),
        resources: &[Resource {
            kind: VPC,
            class: &["Network"],
            key: "arn:{P}:ec2:{REGION}:{ownerId|ACCOUNT}:vpc/{vpcId}",
            name: "tag|vpcId",
            props: "vpcId state CIDR=cidrBlock *CIDRs=cidrBlockAssociationSet/item/cidrBlock \
                *ipv6CIDRs=ipv6CidrBlockAssociationSet/item/ipv6CidrBlock ?default=isDefault tenancy=instanceTenancy ownerId",
            tags: "tagSet/item key value",
            links: &[OF_EC2],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const SUBNETS: Step = regional(
    "ec2-subnets",
    "Subnets",
    Table {
        source: &Source::List(ask("ec2:DescribeSubnets", "subnetSet/item")),
        resources: &[Resource {
            kind: SUBNET,
            class: &["Network"],
            key: "arn:{P}:ec2:{REGION}:{ownerId|ACCOUNT}:subnet/{subnetId}",
            name: "tag|subnetId",
            props: "subnetId vpcId state CIDR=cidrBlock *ipv6CIDRs=ipv6CidrBlockAssociationSet/item/ipv6CidrBlock \
                availabilityZone ?default=defaultForAz ?publicIpOnLaunch=mapPublicIpOnLaunch ownerId",
            tags: "tagSet/item key value",
            links: &[OF_EC2, from("CONTAINS", VPC, ".", "arn:{P}:ec2:{REGION}:{ownerId|ACCOUNT}:vpc/{vpcId}")],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

/// What every rule of a security group says.
const RULE: &str = "?ingress #fromPort #toPort protocol ?allProtocols cidr ?internal description";

const SECURITY_GROUPS: Step = regional(
    "ec2-security-groups",
    "Security groups and what they allow",
    Table {
        source: &Source::List(ask("ec2:DescribeSecurityGroups", "securityGroupInfo/item")),
        prepare: Some(firewall::security_group),
        resources: &[Resource {
            kind: SECURITY_GROUP,
            class: &["Firewall"],
            key: "arn:{P}:ec2:{REGION}:{ownerId|ACCOUNT}:security-group/{groupId}",
            name: "groupName",
            props: "groupId name=groupName description=groupDescription vpcId ownerId",
            tags: "tagSet/item key value",
            links: &[
                OF_EC2,
                from("HAS", VPC, ".", "arn:{P}:ec2:{REGION}:{ownerId|ACCOUNT}:vpc/{vpcId}"),
                to("ALLOWS", "internet", "_rules/internet", "{to}")
                    .props(RULE)
                    .apart("{apart}")
                    .carried(&["Internet", "Network"]),
                to("ALLOWS", "network", "_rules/network", "{to}").props(RULE).apart("{apart}").carried(&["Network"]),
                to("ALLOWS", "host", "_rules/host", "{to}").props(RULE).apart("{apart}").carried(&["Host"]),
                to("ALLOWS", SECURITY_GROUP, "_rules/group", "{to}")
                    .props(RULE)
                    .apart("{apart}")
                    .carried(&["Firewall"]),
                to("ALLOWS", "aws_ec2_prefix_list", "_rules/list", "{to}")
                    .props(RULE)
                    .apart("{apart}")
                    .carried(&["Network"]),
            ],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

/// The steps.
pub const STEPS: &[&Step] = &[&VPCS, &SUBNETS, &SECURITY_GROUPS, &VOLUMES, &INSTANCES];
