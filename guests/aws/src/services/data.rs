//! Databases: RDS and Redshift.

use crate::ec2::{SECURITY_GROUP, VPC};
use crate::spec::{Link, Resource, Source, Step, Table, ask, from, regional, to};

const KEY: &str = "aws_kms_key";
const OF_RDS: Link = from("HAS", "aws_rds", ".", "aws_rds:{ACCOUNT}");
const RDS_GROUPS: Link = to(
    "HAS",
    SECURITY_GROUP,
    "VpcSecurityGroups/VpcSecurityGroupMembership",
    "arn:{P}:ec2:{REGION}:{ACCOUNT}:security-group/{VpcSecurityGroupId}",
);

const DB_INSTANCES: Step = regional(
    "rds-instances",
    "Database instances",
    Table {
        source: &Source::List(ask("rds:DescribeDBInstances", "DescribeDBInstancesResult/DBInstances/DBInstance")),
        resources: &[Resource {
            kind: "aws_db_instance",
            class: &["DataStore", "Database", "Host"],
            key: "{DBInstanceArn}",
            name: "DBInstanceIdentifier",
            props: "arn=DBInstanceArn name=DBInstanceIdentifier engine=Engine engineVersion=EngineVersion \
                    instanceClass=DBInstanceClass state=DBInstanceStatus ?public=PubliclyAccessible \
                    ?encrypted=StorageEncrypted kmsKeyId=KmsKeyId ?multiAz=MultiAZ clusterId=DBClusterIdentifier \
                    host=Endpoint/Address #port=Endpoint/Port @createdOn=InstanceCreateTime vpcId=DBSubnetGroup/VpcId \
                    #backupRetentionDays=BackupRetentionPeriod ?deletionProtection=DeletionProtection \
                    ?iamAuthentication=IAMDatabaseAuthenticationEnabled ?autoMinorUpgrade=AutoMinorVersionUpgrade \
                    caCertificate=CACertificateIdentifier",
            tags: "TagList/Tag Key Value",
            links: &[
                OF_RDS,
                RDS_GROUPS,
                from(
                    "CONTAINS",
                    "aws_rds_cluster",
                    ".",
                    "arn:{P}:rds:{REGION}:{ACCOUNT}:cluster:{DBClusterIdentifier}",
                ),
                to("USES", KEY, ".", "{KmsKeyId}"),
                to(
                    "USES",
                    "aws_db_parameter_group",
                    "DBParameterGroups/DBParameterGroup",
                    "arn:{P}:rds:{REGION}:{ACCOUNT}:pg:{DBParameterGroupName}",
                ),
            ],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const DB_CLUSTERS: Step = regional(
    "rds-clusters",
    "Database clusters",
    Table {
        source: &Source::List(ask("rds:DescribeDBClusters", "DescribeDBClustersResult/DBClusters/DBCluster")),
        resources: &[Resource {
            kind: "aws_rds_cluster",
            class: &["DataStore", "Database", "Cluster"],
            key: "{DBClusterArn}",
            name: "DBClusterIdentifier",
            props: "arn=DBClusterArn name=DBClusterIdentifier engine=Engine engineVersion=EngineVersion state=Status \
                    ?encrypted=StorageEncrypted kmsKeyId=KmsKeyId ?multiAz=MultiAZ host=Endpoint #port=Port \
                    @createdOn=ClusterCreateTime #backupRetentionDays=BackupRetentionPeriod \
                    ?deletionProtection=DeletionProtection ?iamAuthentication=IAMDatabaseAuthenticationEnabled \
                    ?public=PubliclyAccessible",
            tags: "TagList/Tag Key Value",
            links: &[OF_RDS, RDS_GROUPS, to("USES", KEY, ".", "{KmsKeyId}")],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const DB_SNAPSHOTS: Step = regional(
    "rds-snapshots",
    "Database snapshots",
    Table {
        source: &Source::List(ask("rds:DescribeDBSnapshots", "DescribeDBSnapshotsResult/DBSnapshots/DBSnapshot")),
        resources: &[Resource {
            kind: "aws_db_snapshot",
            class: &["DataStore", "Database", "Image"],
            key: "{DBSnapshotArn}",
            name: "DBSnapshotIdentifier",
            props: "arn=DBSnapshotArn name=DBSnapshotIdentifier engine=Engine state=Status snapshotType=SnapshotType \
                    ?encrypted=Encrypted kmsKeyId=KmsKeyId @createdOn=SnapshotCreateTime #sizeGb=AllocatedStorage",
            tags: "TagList/Tag Key Value",
            links: &[from(
                "CONTAINS",
                "aws_db_instance",
                ".",
                "arn:{P}:rds:{REGION}:{ACCOUNT}:db:{DBInstanceIdentifier}",
            )],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const DB_CLUSTER_SNAPSHOTS: Step = regional(
    "rds-cluster-snapshots",
    "Snapshots of database clusters",
    Table {
        source: &Source::List(ask(
            "rds:DescribeDBClusterSnapshots",
            "DescribeDBClusterSnapshotsResult/DBClusterSnapshots/DBClusterSnapshot",
        )),
        resources: &[Resource {
            kind: "aws_db_cluster_snapshot",
            class: &["DataStore", "Database", "Image"],
            key: "{DBClusterSnapshotArn}",
            name: "DBClusterSnapshotIdentifier",
            props: "arn=DBClusterSnapshotArn name=DBClusterSnapshotIdentifier engine=Engine state=Status \
                    snapshotType=SnapshotType ?encrypted=StorageEncrypted kmsKeyId=KmsKeyId @createdOn=SnapshotCreateTime",
            tags: "TagList/Tag Key Value",
            links: &[from(
                "CONTAINS",
                "aws_rds_cluster",
                ".",
                "arn:{P}:rds:{REGION}:{ACCOUNT}:cluster:{DBClusterIdentifier}",
            )],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const DB_PARAMETER_GROUPS: Step = regional(
    "rds-parameter-groups",
    "Parameter groups of databases",
    Table {
        source: &Source::List(ask(
            "rds:DescribeDBParameterGroups",
            "DescribeDBParameterGroupsResult/DBParameterGroups/DBParameterGroup",
        )),
        resources: &[Resource {
            kind: "aws_db_parameter_group",
            class: &["Configuration"],
            key: "{DBParameterGroupArn}",
            name: "DBParameterGroupName",
            props: "arn=DBParameterGroupArn name=DBParameterGroupName family=DBParameterGroupFamily description=Description",
            links: &[OF_RDS],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const DB_CLUSTER_PARAMETER_GROUPS: Step = regional(
    "rds-cluster-parameter-groups",
    "Parameter groups of database clusters",
    Table {
        source: &Source::List(ask(
            "rds:DescribeDBClusterParameterGroups",
            "DescribeDBClusterParameterGroupsResult/DBClusterParameterGroups/DBClusterParameterGroup",
        )),
        resources: &[Resource {
            kind: "aws_db_cluster_parameter_group",
            class: &["Configuration"],
            key: "{DBClusterParameterGroupArn}",
            name: "DBClusterParameterGroupName",
            props: "arn=DBClusterParameterGroupArn name=DBClusterParameterGroupName family=DBParameterGroupFamily \
                    description=Description",
            links: &[OF_RDS],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const REDSHIFT: Step = regional(
    "redshift-clusters",
    "Redshift clusters",
    Table {
        source: &Source::List(ask("redshift:DescribeClusters", "DescribeClustersResult/Clusters/Cluster")),
        resources: &[Resource {
            kind: "aws_redshift_cluster",
            class: &["DataStore", "Database", "Cluster"],
            key: "arn:{P}:redshift:{REGION}:{ACCOUNT}:cluster:{ClusterIdentifier}",
            name: "ClusterIdentifier",
            props: "name=ClusterIdentifier nodeType=NodeType state=ClusterStatus vpcId=VpcId ?public=PubliclyAccessible \
                    ?encrypted=Encrypted kmsKeyId=KmsKeyId host=Endpoint/Address #port=Endpoint/Port \
                    @createdOn=ClusterCreateTime engineVersion=ClusterVersion",
            tags: "Tags/Tag Key Value",
            links: &[
                from("HAS", "aws_redshift", ".", "aws_redshift:{ACCOUNT}"),
                from("HAS", VPC, ".", "arn:{P}:ec2:{REGION}:{ACCOUNT}:vpc/{VpcId}"),
                to(
                    "HAS",
                    SECURITY_GROUP,
                    "VpcSecurityGroups/VpcSecurityGroup",
                    "arn:{P}:ec2:{REGION}:{ACCOUNT}:security-group/{VpcSecurityGroupId}",
                ),
            ],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

/// The steps.
pub const STEPS: &[&Step] = &[
    &DB_CLUSTERS,
    &DB_INSTANCES,
    &DB_SNAPSHOTS,
    &DB_CLUSTER_SNAPSHOTS,
    &DB_PARAMETER_GROUPS,
    &DB_CLUSTER_PARAMETER_GROUPS,
    &REDSHIFT,
];
