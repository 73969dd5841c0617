//! Stores of data that aren't relational: DynamoDB, ElastiCache, Elasticsearch.

use crate::ec2::SECURITY_GROUP;
use crate::spec::{Link, Resource, Source, Step, Table, ask, ask_with, detail, from, regional, to};

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
                to("USES", "aws_kms_key", ".", "{_table/Table/SSEDescription/KMSMasterKeyArn}"),
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
pub const STEPS: &[&Step] = &[&DYNAMODB_TABLES, &DYNAMODB_BACKUPS, &CACHES, &CACHE_PARAMETER_GROUPS, &SEARCH_DOMAINS];
