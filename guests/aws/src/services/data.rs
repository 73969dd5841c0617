//! Databases: RDS, Redshift, DynamoDB, ElastiCache, Elasticsearch.

use crate::ec2::{SECURITY_GROUP, VPC};
use crate::spec::{Link, Resource, Source, Step, Table, ask, ask_with, detail, from, regional, to};

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

const DYNAMODB_TABLES: Step = regional(
    "dynamodb-tables",
    "DynamoDB tables",
    Table {
        source: &Source::List(ask("dynamodb:ListTables", "TableNames")),
        details: &[
            detail("_table", "dynamodb:DescribeTable", &[("TableName", "{value}")], ""),
            detail("_backups", "dynamodb:DescribeContinuousBackups", &[("TableName", "{value}")], ""),
            detail("_tags", "dynamodb:ListTagsOfResource", &[("ResourceArn", "{_table/Table/TableArn}")], "Tags"),
        ],
        resources: &[Resource {
            kind: "aws_dynamodb_table",
            class: &["DataStore", "Database"],
            key: "arn:{P}:dynamodb:{REGION}:{ACCOUNT}:table/{value}",
            name: "value",
            props: "name=value tableId=_table/Table/TableId state=_table/Table/TableStatus \
                    @createdOn=_table/Table/CreationDateTime encryptionType=_table/Table/SSEDescription/SSEType \
                    kmsKeyId=_table/Table/SSEDescription/KMSMasterKeyArn \
                    ?deletionProtection=_table/Table/DeletionProtectionEnabled \
                    billingMode=_table/Table/BillingModeSummary/BillingMode ?streamEnabled=_table/Table/StreamSpecification/StreamEnabled \
                    ?pointInTimeRecovery=_backups/ContinuousBackupsDescription/PointInTimeRecoveryDescription/PointInTimeRecoveryStatus",
            tags: "_tags Key Value",
            links: &[
                from("HAS", "aws_dynamodb", ".", "aws_dynamodb:{ACCOUNT}"),
                to("USES", KEY, ".", "{_table/Table/SSEDescription/KMSMasterKeyArn}"),
            ],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const DYNAMODB_BACKUPS: Step = regional(
    "dynamodb-backups",
    "DynamoDB backups",
    Table {
        source: &Source::List(ask("dynamodb:ListBackups", "BackupSummaries")),
        resources: &[Resource {
            kind: "aws_dynamodb_backup",
            class: &["Backup"],
            key: "{BackupArn}",
            name: "BackupName",
            props: "arn=BackupArn name=BackupName state=BackupStatus backupType=BackupType @createdOn=BackupCreationDateTime",
            links: &[from("HAS", "aws_dynamodb_table", ".", "{TableArn}")],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

/// What clusters and nodes of ElastiCache have in common.
const CACHE: Resource = Resource {
    key: "{ARN}",
    name: "CacheClusterId",
    props: "arn=ARN name=CacheClusterId engine=Engine engineVersion=EngineVersion nodeType=CacheNodeType \
            state=CacheClusterStatus @createdOn=CacheClusterCreateTime ?encryptedInTransit=TransitEncryptionEnabled \
            ?encrypted=AtRestEncryptionEnabled ?authToken=AuthTokenEnabled replicationGroupId=ReplicationGroupId",
    tags: "_tags Key Value",
    ..Resource::NEW
};
const CACHE_GROUPS: Link = to(
    "HAS",
    SECURITY_GROUP,
    "SecurityGroups/member",
    "arn:{P}:ec2:{REGION}:{ACCOUNT}:security-group/{SecurityGroupId}",
);
const OF_ELASTICACHE: Link = from("HAS", "aws_elasticache", ".", "aws_elasticache:{ACCOUNT}");
const REDIS: &str = "arn:{P}:elasticache:{REGION}:{ACCOUNT}:replicationgroup:{ReplicationGroupId}";

const CACHES: Step = regional(
    "elasticache-clusters",
    "Caches",
    Table {
        source: &Source::List(ask(
            "elasticache:DescribeCacheClusters",
            "DescribeCacheClustersResult/CacheClusters/CacheCluster",
        )),
        details: &[detail(
            "_tags",
            "elasticache:ListTagsForResource",
            &[("ResourceName", "{ARN}")],
            "ListTagsForResourceResult/TagList/Tag",
        )],
        resources: &[
            Resource {
                kind: "aws_elasticache_memcached_cluster",
                class: &["Database", "DataStore", "Cluster"],
                when: "Engine=memcached",
                links: &[OF_ELASTICACHE, CACHE_GROUPS],
                ..CACHE
            },
            // What Redis calls a cluster is a replication group, and this is one of its nodes.
            Resource {
                kind: "aws_elasticache_cluster_node",
                class: &["Database", "DataStore", "Host"],
                when: "Engine!=memcached",
                links: &[from("HAS", "aws_elasticache_redis_cluster", ".", REDIS)],
                ..CACHE
            },
            Resource {
                kind: "aws_elasticache_redis_cluster",
                class: &["Database", "DataStore", "Cluster"],
                when: "ReplicationGroupId!=",
                key: REDIS,
                name: "ReplicationGroupId",
                props: "name=ReplicationGroupId engine=Engine",
                links: &[OF_ELASTICACHE],
                ..Resource::NEW
            },
        ],
        ..Table::NEW
    },
);

const CACHE_PARAMETER_GROUPS: Step = regional(
    "elasticache-parameter-groups",
    "Parameter groups of caches",
    Table {
        source: &Source::List(ask(
            "elasticache:DescribeCacheParameterGroups",
            "DescribeCacheParameterGroupsResult/CacheParameterGroups/CacheParameterGroup",
        )),
        resources: &[Resource {
            kind: "aws_elasticache_parameter_group",
            class: &["Configuration"],
            key: "{ARN}",
            name: "CacheParameterGroupName",
            props: "arn=ARN name=CacheParameterGroupName family=CacheParameterGroupFamily description=Description",
            links: &[OF_ELASTICACHE],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const SEARCH_DOMAINS: Step = regional(
    "es-domains",
    "Elasticsearch and OpenSearch domains",
    Table {
        source: &Source::Batch(
            &Source::List(ask("es:ListDomainNames", "DomainNames")),
            "{DomainName}",
            "DomainNames",
            5,
            ask_with("es:DescribeElasticsearchDomains", &[], "DomainStatusList"),
        ),
        details: &[detail("_tags", "es:ListTags", &[("arn", "{ARN}")], "TagList")],
        resources: &[Resource {
            kind: "aws_elasticsearch_domain",
            class: &["Database", "DataStore", "Cluster"],
            key: "{ARN}",
            name: "DomainName",
            props: "arn=ARN name=DomainName domainId=DomainId engineVersion=ElasticsearchVersion endpoint=Endpoint \
                    vpcId=VPCOptions/VPCId ?encrypted=EncryptionAtRestOptions/Enabled \
                    kmsKeyId=EncryptionAtRestOptions/KmsKeyId ?encryptedBetweenNodes=NodeToNodeEncryptionOptions/Enabled \
                    ?enforceHttps=DomainEndpointOptions/EnforceHTTPS minimumTls=DomainEndpointOptions/TLSSecurityPolicy",
            tags: "_tags Key Value",
            links: &[
                from("HAS", "aws_es", ".", "aws_es:{ACCOUNT}"),
                to(
                    "HAS",
                    SECURITY_GROUP,
                    "VPCOptions/SecurityGroupIds",
                    "arn:{P}:ec2:{REGION}:{ACCOUNT}:security-group/{.}",
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
    &DYNAMODB_TABLES,
    &DYNAMODB_BACKUPS,
    &CACHES,
    &CACHE_PARAMETER_GROUPS,
    &SEARCH_DOMAINS,
];
