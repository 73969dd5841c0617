//! The further services: every way in which their items are found, with replies as AWS sends them (shortened, made up).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod common;

use common::{ACCOUNT, answer, aws, bare, ends, run, run_region, xml};
use porthole_aws::Aws;
use porthole_sdk::testing::MemoryHost;
use serde_json::{Value, json};

const IN: (&str, &str) = ("region", "eu-west-1");

fn arn(service: &str, rest: &str) -> String {
    format!("arn:aws:{service}:eu-west-1:{ACCOUNT}:{rest}")
}

#[test]
fn databases_with_what_they_use() {
    let instance = format!(
        "<DBInstances><DBInstance><DBInstanceIdentifier>db</DBInstanceIdentifier><DBInstanceArn>{}</DBInstanceArn>\
         <Engine>postgres</Engine><PubliclyAccessible>true</PubliclyAccessible><StorageEncrypted>false</StorageEncrypted>\
         <DBClusterIdentifier>c</DBClusterIdentifier><Endpoint><Address>db.example</Address><Port>5432</Port></Endpoint>\
         <VpcSecurityGroups><VpcSecurityGroupMembership><VpcSecurityGroupId>sg-1</VpcSecurityGroupId></VpcSecurityGroupMembership></VpcSecurityGroups>\
         <DBParameterGroups><DBParameterGroup><DBParameterGroupName>pg</DBParameterGroupName></DBParameterGroup></DBParameterGroups>\
         <TagList><Tag><Key>a</Key><Value>b</Value></Tag></TagList></DBInstance></DBInstances>",
        arn("rds", "db:db")
    );
    let host = aws().raw("rds:DescribeDBInstances", &[IN], &[], &answer("DescribeDBInstances", &instance));
    run_region(&host, "rds-instances").unwrap();
    let instance = &host.entities("aws_db_instance")[0];
    for (name, value) in [
        ("public", json!(true)),
        ("encrypted", json!(false)),
        ("port", json!(5432)),
        ("host", json!("db.example")),
        ("tag.a", json!("b")),
    ] {
        assert_eq!(instance.properties[name], value, "{name}");
    }
    let key = instance.key.as_str();
    assert_eq!(
        ends(&host.relationships("aws_rds_cluster_contains_aws_db_instance")),
        [(arn("rds", "cluster:c").as_str(), key)]
    );
    assert_eq!(
        ends(&host.relationships("aws_db_instance_uses_aws_db_parameter_group")),
        [(key, arn("rds", "pg:pg").as_str())]
    );
    assert!(host.relationships("aws_db_instance_uses_aws_kms_key").is_empty(), "it has no key");
    assert_eq!(
        ends(&host.relationships("aws_db_instance_has_aws_ec2_security_group")),
        [(key, arn("ec2", "security-group/sg-1").as_str())]
    );
}

#[test]
fn tables_are_described_one_by_one() {
    let table = json!({"Table": {"TableArn": arn("dynamodb", "table/t"), "TableStatus": "ACTIVE", "CreationDateTime": 1_704_164_645.5,
        "SSEDescription": {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": arn("kms", "key/1")}}});
    let backups = json!({"ContinuousBackupsDescription": {"PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "ENABLED"}}});
    let host = aws()
        .pages("dynamodb:ListTables", &[IN], [json!({"TableNames": ["t"]}), json!({"TableNames": []})])
        .reply("dynamodb:DescribeTable", &[IN, ("TableName", "t")], table)
        .reply("dynamodb:DescribeContinuousBackups", &[IN, ("TableName", "t")], backups)
        .pages(
            "dynamodb:ListTagsOfResource",
            &[IN, ("ResourceArn", &arn("dynamodb", "table/t"))],
            [json!({"Tags": [{"Key": "a", "Value": "1"}]}), json!({"Tags": [{"Key": "b", "Value": ""}]})],
        );
    run_region(&host, "dynamodb-tables").unwrap();
    let table = &host.entities("aws_dynamodb_table")[0];
    assert_eq!(table.key, arn("dynamodb", "table/t"));
    assert_eq!(
        (&table.properties["createdOn"], &table.properties["pointInTimeRecovery"]),
        (&json!("2024-01-02T03:04:05Z"), &json!(true))
    );
    assert_eq!((&table.properties["tag.a"], &table.properties["tag.b"]), (&json!("1"), &json!("")));
    assert_eq!(ends(&host.relationships("aws_dynamodb_table_uses_aws_kms_key"))[0].1, arn("kms", "key/1"));
    assert_eq!(host.unfollowed_pages(), 0);
}

#[test]
fn tasks_are_described_by_their_ids_in_batches() {
    let (one, two) = (arn("ecs", "cluster/one"), arn("ecs", "cluster/two"));
    let task = |n: usize| arn("ecs", &format!("task/one/{n:03}"));
    let many: Vec<_> = (0..150).map(task).collect();
    let described = |ids: &[String]| {
        let tasks: Vec<_> = ids
            .iter()
            .map(|id| json!({"taskArn": id, "clusterArn": one, "group": "service:web", "taskDefinitionArn": arn("ecs", "task-definition/d:1")}))
            .collect();
        json!({"tasks": tasks, "failures": []})
    };
    let asked = |ids: &[String]| -> Vec<(String, String)> {
        let fixed = [("region", "eu-west-1"), ("cluster", one.as_str()), ("include", "TAGS")];
        let fixed = fixed.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned()));
        fixed.chain(ids.iter().map(|id| ("tasks".to_owned(), id.clone()))).collect()
    };
    let mut host = aws()
        .stored("aws_ecs_cluster", &one, json!({"region": "eu-west-1"}))
        .stored("aws_ecs_cluster", &two, json!({"region": "eu-west-1"}))
        .pages(
            "ecs:ListTasks",
            &[IN, ("cluster", &one)],
            [json!({"taskArns": many[..120]}), json!({"taskArns": many[120..]})],
        )
        .reply("ecs:ListTasks", &[IN, ("cluster", &two)], json!({"taskArns": []}));
    for ids in [&many[..100], &many[100..]] {
        let arguments = asked(ids);
        let arguments: Vec<_> = arguments.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        host = host.reply("ecs:DescribeTasks", &arguments, described(ids));
    }
    run_region(&host, "ecs-tasks").unwrap();
    assert_eq!(host.entities("aws_ecs_task").len(), 150);
    let runs = host.relationships("aws_ecs_cluster_runs_aws_ecs_task");
    assert_eq!((runs.len(), runs[0].from_key.as_str()), (150, one.as_str()));
    let triggers = host.relationships("aws_ecs_service_triggers_aws_ecs_task");
    assert_eq!(triggers[0].from_key, arn("ecs", "service/one/web"));
    assert_eq!(host.unfollowed_pages(), 0);
}

#[test]
fn keys_of_aws_are_not_asked_about() {
    let (own, theirs) = (arn("kms", "key/own"), arn("kms", "key/aws"));
    let key = |id: &str, manager: &str| json!({"KeyMetadata": {"KeyId": id, "KeyManager": manager, "Enabled": true}});
    let policy = json!({"Policy": json!({"Statement": []}).to_string()});
    let host = aws()
        .reply(
            "kms:ListAliases",
            &[IN],
            json!({"Aliases": [{"AliasName": "alias/app", "TargetKeyId": "own"}, {"AliasName": "alias/aws/x"}]}),
        )
        .reply(
            "kms:ListKeys",
            &[IN],
            json!({"Keys": [{"KeyId": "own", "KeyArn": own}, {"KeyId": "aws", "KeyArn": theirs}]}),
        )
        .reply("kms:DescribeKey", &[IN, ("KeyId", "own")], key("own", "CUSTOMER"))
        .reply("kms:DescribeKey", &[IN, ("KeyId", "aws")], key("aws", "AWS"))
        .reply("kms:GetKeyPolicy", &[IN, ("KeyId", "own"), ("PolicyName", "default")], policy)
        .reply("kms:GetKeyRotationStatus", &[IN, ("KeyId", "own")], json!({"KeyRotationEnabled": true}));
    run_region(&host, "kms-keys").unwrap();
    let keys = host.entities("aws_kms_key");
    assert_eq!((keys[0].key.as_str(), keys[0].name.as_str()), (own.as_str(), "alias/app"));
    assert_eq!(
        (&keys[0].properties["rotationEnabled"], &keys[0].properties["policy"]),
        (&json!(true), &json!("{\"Statement\":[]}"))
    );
    assert_eq!((&keys[1].properties["manager"], keys[1].properties.get("rotationEnabled")), (&json!("AWS"), None));
    assert!(host.logs().is_empty());
}

#[test]
fn records_are_followed_by_three_values() {
    let zone = "arn:aws:route53:::hostedzone/Z1";
    let set = |name: &str, more: &str| {
        format!("<ResourceRecordSet><Name>{name}</Name><Type>A</Type>{more}</ResourceRecordSet>")
    };
    let page = |sets: &str, next: &str| {
        let truncated = if next.is_empty() { "false" } else { "true" };
        xml(
            "ListResourceRecordSetsResponse",
            &format!("<ResourceRecordSets>{sets}</ResourceRecordSets><IsTruncated>{truncated}</IsTruncated>{next}"),
        )
    };
    let first = page(
        &set(
            "\\052.acme.example.",
            "<TTL>60</TTL><ResourceRecords><ResourceRecord><Value>192.0.2.1</Value></ResourceRecord></ResourceRecords>",
        ),
        "<NextRecordName>b.</NextRecordName><NextRecordType>A</NextRecordType><NextRecordIdentifier>eu</NextRecordIdentifier>",
    );
    let second = page(
        &set("b.", "<SetIdentifier>eu</SetIdentifier><Weight>1</Weight>"),
        "<NextRecordName>c.</NextRecordName><NextRecordType>A</NextRecordType>",
    );
    let host = aws()
        .stored("aws_route53_zone", zone, json!({"zoneId": "Z1"}))
        .raw("route53:ListResourceRecordSets", &[("zone_id", "Z1")], &[], &first)
        .raw(
            "route53:ListResourceRecordSets",
            &[("zone_id", "Z1"), ("name", "b."), ("type", "A"), ("identifier", "eu")],
            &[],
            &second,
        )
        .raw(
            "route53:ListResourceRecordSets",
            &[("zone_id", "Z1"), ("name", "c."), ("type", "A")],
            &[],
            &page(&set("c.", ""), ""),
        );
    run(&host, "route53-records").unwrap();
    let records = host.entities("aws_route53_record");
    let keys: Vec<_> = records.iter().map(|r| r.key.strip_prefix(zone).unwrap()).collect();
    assert_eq!(keys, [":*.acme.example:A:-", ":b:A:eu", ":c:A:-"]);
    assert_eq!(records[0].properties["values"], json!(["192.0.2.1"]));
    assert!(host.relationships("aws_route53_zone_has_aws_route53_record").iter().all(|r| r.from_key == zone));
}

#[test]
fn zones_without_paths_and_dots() {
    let zone = "<HostedZones><HostedZone><Id>/hostedzone/Z1</Id><Name>acme.example.</Name><Config><PrivateZone>false</PrivateZone></Config></HostedZone></HostedZones>";
    let tags = "<ResourceTagSet><ResourceId>Z1</ResourceId><Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags></ResourceTagSet>";
    let host = aws().raw("route53:ListHostedZones", &[], &[], &xml("ListHostedZonesResponse", zone)).raw(
        "route53:ListTagsForResource",
        &[("zone_id", "Z1")],
        &[],
        &xml("ListTagsForResourceResponse", tags),
    );
    run(&host, "route53-zones").unwrap();
    let zone = &host.entities("aws_route53_zone")[0];
    assert_eq!(
        (zone.key.as_str(), zone.name.as_str(), &zone.properties["tag.a"]),
        ("arn:aws:route53:::hostedzone/Z1", "acme.example", &json!("b"))
    );
    assert_eq!(
        ends(&host.relationships("aws_route53_domain_has_aws_route53_zone"))[0].0,
        "aws_route53_domain:acme.example"
    );
}

#[test]
fn distributions_lead_to_buckets_apis_functions_and_certificates() {
    let summary = "<Items><DistributionSummary><Id>E1</Id><ARN>arn:aws:cloudfront::111111111111:distribution/E1</ARN><DomainName>d.cloudfront.net</DomainName>\
        <Origins><Quantity>2</Quantity><Items><Origin><Id>o1</Id><DomainName>site.s3.eu-west-1.amazonaws.com</DomainName><CustomHeaders><Items><OriginCustomHeader>\
        <HeaderName>x</HeaderName><HeaderValue>hush</HeaderValue></OriginCustomHeader></Items></CustomHeaders></Origin>\
        <Origin><Id>o2</Id><DomainName>abc.execute-api.eu-west-1.amazonaws.com</DomainName></Origin></Items></Origins>\
        <DefaultCacheBehavior><LambdaFunctionAssociations><Items><LambdaFunctionAssociation>\
        <LambdaFunctionARN>arn:aws:lambda:us-east-1:111111111111:function:f:3</LambdaFunctionARN></LambdaFunctionAssociation></Items></LambdaFunctionAssociations></DefaultCacheBehavior>\
        <ViewerCertificate><ACMCertificateArn>arn:aws:acm:us-east-1:111111111111:certificate/c</ACMCertificateArn></ViewerCertificate><WebACLId>w-1</WebACLId>\
        </DistributionSummary></Items><IsTruncated>false</IsTruncated>";
    let key = "arn:aws:cloudfront::111111111111:distribution/E1";
    let host = aws().raw("cloudfront:ListDistributions", &[], &[], &xml("DistributionList", summary)).raw(
        "cloudfront:ListTagsForResource",
        &[("Resource", key)],
        &[],
        &xml("Tags", "<Items/>"),
    );
    run(&host, "cloudfront-distributions").unwrap();
    let to = |edge: &str| host.relationships(&format!("aws_cloudfront_distribution_{edge}"))[0].to_key.clone();
    assert_eq!(to("connects_aws_s3_bucket"), "arn:aws:s3:::site");
    assert_eq!(to("connects_aws_apigateway_rest_api"), "arn:aws:apigateway:eu-west-1::/restapis/abc");
    assert_eq!(to("triggers_aws_lambda_function"), "arn:aws:lambda:us-east-1:111111111111:function:f");
    assert_eq!(to("uses_aws_acm_certificate"), "arn:aws:acm:us-east-1:111111111111:certificate/c");
    assert_eq!(
        host.relationships("aws_waf_web_acl_protects_aws_cloudfront_distribution")[0].from_key,
        "arn:aws:waf::111111111111:webacl/w-1"
    );
    let origins = host.entities("aws_cloudfront_distribution_origin");
    assert_eq!(
        origins.iter().map(|o| o.key.as_str()).collect::<Vec<_>>(),
        [format!("{key}/origin/o1"), format!("{key}/origin/o2")]
    );
    assert!(!format!("{origins:?}").contains("hush"));
}

#[test]
fn services_that_a_partition_or_a_region_lacks_are_not_asked() {
    let named = json!({"partition": "aws", "regions": "ca-west-1 eu-west-1"});
    for (step, regions) in [("workspaces", ["eu-west-1"].as_slice()), ("sqs-queues", &["ca-west-1", "eu-west-1"])] {
        assert_eq!(bare().config(named.clone()).partitions(&Aws, step).unwrap(), regions);
    }
    let config = json!({"partition": "aws-cn", "regions": "all", "organization": "no", "sts_region": "cn-north-1"});
    let host = bare().config(config).stored("aws_account", "a", json!({"accountId": ACCOUNT, "collected": true}));
    for step in ["waf-web-acls", "route53-domains"] {
        run(&host, step).unwrap();
    }
    assert!(host.calls().is_empty() && host.emitted_types().is_empty());
}

#[test]
fn topics_subscriptions_and_queues() {
    let (topic, queue) = (arn("sns", "t"), arn("sqs", "q"));
    let url = "https://sqs.eu-west-1.amazonaws.com/111111111111/q";
    let attributes = "<Attributes><entry><key>DisplayName</key><value>T</value></entry><entry><key>Policy</key><value>{&quot;Statement&quot;:[]}</value></entry></Attributes>";
    let subscription = |arn: &str, protocol: &str, endpoint: &str| {
        format!(
            "<member><SubscriptionArn>{arn}</SubscriptionArn><Protocol>{protocol}</Protocol><Endpoint>{endpoint}</Endpoint><TopicArn>{topic}</TopicArn></member>"
        )
    };
    let subscriptions = format!(
        "<Subscriptions>{}{}{}</Subscriptions>",
        subscription(&arn("sns", "t:1"), "sqs", &queue),
        subscription(&arn("sns", "t:2"), "email", "jo@acme.example"),
        subscription("PendingConfirmation", "https", "https://hook.example/?token=hush")
    );
    let host = aws()
        .raw("sns:ListTopics", &[IN], &[], &answer("ListTopics", &format!("<Topics><member><TopicArn>{topic}</TopicArn></member></Topics>")))
        .raw("sns:GetTopicAttributes", &[IN, ("TopicArn", &topic)], &[], &answer("GetTopicAttributes", attributes))
        .raw("sns:ListTagsForResource", &[IN, ("ResourceArn", &topic)], &[], &answer("ListTagsForResource", "<Tags/>"))
        .raw("sns:ListSubscriptions", &[IN], &[], &answer("ListSubscriptions", &subscriptions))
        .reply("sqs:ListQueues", &[IN, ("MaxResults", "1000")], json!({"QueueUrls": [url]}))
        .reply("sqs:GetQueueAttributes", &[IN, ("QueueUrl", url), ("AttributeNames", "All")],
            json!({"Attributes": {"QueueArn": queue, "SqsManagedSseEnabled": "true", "ApproximateNumberOfMessages": "7", "CreatedTimestamp": "1704164645"}}))
        .reply("sqs:ListQueueTags", &[IN, ("QueueUrl", url)], json!({"Tags": {"a": "b"}}));
    for step in ["sns-topics", "sns-subscriptions", "sqs-queues"] {
        run_region(&host, step).unwrap();
    }
    let topics = host.entities("aws_sns_topic");
    assert_eq!((topics[0].name.as_str(), &topics[0].properties["policy"]), ("T", &json!("{\"Statement\":[]}")));
    let subscriptions = host.entities("aws_sns_subscription");
    assert_eq!(subscriptions.len(), 2);
    assert!(subscriptions[1].properties.get("endpoint").is_none() && !format!("{subscriptions:?}").contains("jo@"));
    assert_eq!(
        ends(&host.relationships("aws_sns_subscription_connects_aws_sqs_queue")),
        [(arn("sns", "t:1").as_str(), queue.as_str())]
    );
    let queue = &host.entities("aws_sqs_queue")[0];
    assert_eq!(
        (queue.name.as_str(), &queue.properties["createdOn"], &queue.properties["tag.a"]),
        ("q", &json!("2024-01-02T03:04:05Z"), &json!("b"))
    );
    assert!(!queue.properties.values().any(|v| *v == json!("7")));
}

fn ec2(host: MemoryHost, action: &str, inner: &str) -> MemoryHost {
    host.raw(&format!("ec2:{action}"), &[IN], &[], &xml(&format!("{action}Response"), inner))
}

#[test]
fn subnets_that_name_no_route_table_use_the_main_one() {
    let subnet = |id: &str| arn("ec2", &format!("subnet/{id}"));
    let table = |id: &str, vpc: &str, association: &str| {
        format!(
            "<item><routeTableId>{id}</routeTableId><vpcId>{vpc}</vpcId><ownerId>{ACCOUNT}</ownerId><associationSet>{association}</associationSet></item>"
        )
    };
    let tables = format!(
        "<routeTableSet>{}{}{}</routeTableSet>",
        table("rtb-main", "vpc-1", "<item><main>true</main></item>"),
        table("rtb-own", "vpc-1", "<item><main>false</main><subnetId>subnet-1</subnetId></item>"),
        table("rtb-other", "vpc-2", "<item><main>true</main></item>")
    );
    let mut host = aws().stored(
        "aws_ec2_subnet",
        "elsewhere",
        json!({"subnetId": "subnet-9", "vpcId": "vpc-1", "region": "us-east-1"}),
    );
    for (id, vpc) in [("subnet-1", "vpc-1"), ("subnet-2", "vpc-1"), ("subnet-3", "vpc-2")] {
        host = host.stored("aws_ec2_subnet", &subnet(id), json!({"subnetId": id, "vpcId": vpc, "region": "eu-west-1"}));
    }
    let host = ec2(host, "DescribeRouteTables", &tables);
    run_region(&host, "ec2-route-tables").unwrap();
    let table = |id: &str| arn("ec2", &format!("route-table/{id}"));
    let uses = host.relationships("aws_ec2_subnet_uses_aws_route_table");
    let expected = [("subnet-2", "rtb-main"), ("subnet-1", "rtb-own"), ("subnet-3", "rtb-other")]
        .map(|(s, t)| (subnet(s), table(t)));
    assert_eq!(uses.iter().map(|r| (r.from_key.clone(), r.to_key.clone())).collect::<Vec<_>>(), expected);
}

#[test]
fn network_acls_allow_and_deny() {
    let entry = |number: u32, action: &str, egress: bool| {
        format!(
            "<item><ruleNumber>{number}</ruleNumber><protocol>6</protocol><ruleAction>{action}</ruleAction><egress>{egress}</egress><cidrBlock>10.0.0.0/8</cidrBlock><portRange><from>22</from><to>22</to></portRange></item>"
        )
    };
    let acl = format!(
        "<networkAclSet><item><networkAclId>acl-1</networkAclId><vpcId>vpc-1</vpcId><ownerId>{ACCOUNT}</ownerId><default>false</default>\
         <entrySet>{}{}</entrySet><associationSet><item><subnetId>subnet-1</subnetId></item></associationSet></item></networkAclSet>",
        entry(100, "allow", false),
        entry(32767, "deny", true)
    );
    let host = ec2(aws(), "DescribeNetworkAcls", &acl);
    run_region(&host, "ec2-network-acls").unwrap();
    let key = arn("ec2", "network-acl/acl-1");
    let allows = &host.relationships("aws_network_acl_allows_network")[0];
    assert_eq!(allows.key, format!("{key}|ALLOWS|cidr:10.0.0.0/8|ingress|100"));
    assert_eq!(
        Value::Object(allows.properties.clone()),
        json!({"egress": false, "ruleNumber": 100, "protocol": "6", "fromPort": 22, "toPort": 22, "cidr": "10.0.0.0/8", "internal": true})
    );
    assert_eq!(host.relationships("aws_network_acl_denies_network")[0].properties["egress"], true);
    assert_eq!(
        ends(&host.relationships("aws_network_acl_protects_aws_ec2_subnet")),
        [(key.as_str(), arn("ec2", "subnet/subnet-1").as_str())]
    );
}

#[test]
fn only_own_snapshots_and_images() {
    let snapshot = |id: &str, owner: &str| {
        format!("<item><snapshotId>{id}</snapshotId><volumeId>vol-1</volumeId><ownerId>{owner}</ownerId></item>")
    };
    let set =
        format!("<snapshotSet>{}{}</snapshotSet>", snapshot("snap-1", ACCOUNT), snapshot("snap-2", "999999999999"));
    let public = xml(
        "R",
        "<createVolumePermission><item><group>all</group></item><item><userId>222222222222</userId></item></createVolumePermission>",
    );
    let host = ec2(aws(), "DescribeSnapshots", &set)
        .raw("ec2:DescribeSnapshotAttribute", &[IN, ("SnapshotId", "snap-1")], &[], &public)
        .raw(
            "ec2:DescribeSnapshotAttribute",
            &[IN, ("SnapshotId", "snap-2")],
            &[],
            &xml("R", "<createVolumePermission/>"),
        );
    run_region(&host, "ec2-snapshots").unwrap();
    let snapshots = host.entities("aws_ebs_snapshot");
    assert_eq!((snapshots.len(), snapshots[0].key.as_str()), (1, "arn:aws:ec2:eu-west-1::snapshot/snap-1"));
    assert_eq!(
        (&snapshots[0].properties["public"], &snapshots[0].properties["sharedWith"]),
        (&json!(true), &json!(["222222222222"]))
    );
}

#[test]
fn jobs_of_every_status_and_findings_of_every_detector() {
    let queue = arn("batch", "job-queue/q");
    let mut host = aws().stored("aws_batch_job_queue", &queue, json!({"region": "eu-west-1"}));
    for status in ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED"] {
        let jobs = json!({"jobSummaryList": [{"jobArn": arn("batch", &format!("job/{status}")), "jobName": status, "createdAt": 1_704_164_645_000_u64}]});
        host = host.reply("batch:ListJobs", &[IN, ("jobQueue", &queue), ("jobStatus", status)], jobs);
    }
    run_region(&host, "batch-jobs").unwrap();
    let jobs = host.entities("aws_batch_job");
    assert_eq!((jobs.len(), &jobs[0].properties["createdOn"]), (7, &json!("2024-01-02T03:04:05Z")));
    assert_eq!(host.relationships("aws_batch_job_queue_has_aws_batch_job").len(), 7);

    let detector = arn("guardduty", "detector/d1");
    let finding = json!({"arn": format!("{detector}/finding/f"), "id": "f", "title": "T", "severity": 5.5,
        "resource": {"resourceType": "Instance", "instanceDetails": {"instanceId": "i-1"}}, "service": {"archived": false, "count": 3}});
    let host = aws()
        .stored("aws_guardduty_detector", &detector, json!({"detectorId": "d1", "region": "eu-west-1"}))
        .reply("guardduty:ListFindings", &[IN, ("detector_id", "d1")], json!({"findingIds": ["f"]}))
        .reply(
            "guardduty:GetFindings",
            &[IN, ("detector_id", "d1"), ("findingIds", "f")],
            json!({"findings": [finding]}),
        );
    run_region(&host, "guardduty-findings").unwrap();
    let finding = &host.entities("aws_guardduty_finding")[0];
    assert_eq!(finding.properties["severity"], 5.5);
    assert_eq!(
        ends(&host.relationships("aws_guardduty_detector_identified_aws_guardduty_finding")),
        [(detector.as_str(), finding.key.as_str())]
    );
    assert_eq!(
        ends(&host.relationships("aws_ec2_instance_has_aws_guardduty_finding"))[0].0,
        arn("ec2", "instance/i-1")
    );
}

#[test]
fn names_lead_to_what_was_collected() {
    let (record, balancer) =
        ("arn:aws:route53:::hostedzone/Z1:a:A:-", arn("elasticloadbalancing", "loadbalancer/app/x/1"));
    let host = aws()
        .stored("aws_route53_record", record, json!({"aliasTarget": "dualstack.X-1.eu-west-1.elb.amazonaws.com."}))
        .stored("aws_route53_record", "other", json!({"values": ["192.0.2.1", "192.0.2.9"]}))
        .stored("aws_alb", &balancer, json!({"dnsName": "x-1.eu-west-1.elb.amazonaws.com"}))
        .stored("aws_ec2_instance", "i-1", json!({"publicIpAddress": "192.0.2.1"}))
        .stored("aws_ec2_instance", "i-2", json!({}));
    let host = ["aws_elb", "aws_nlb", "aws_cloudfront_distribution"].iter().fold(host, |host, kind| host.reads(kind));
    run(&host, "route53-connections").unwrap();
    assert_eq!(ends(&host.relationships("aws_route53_record_connects_aws_alb")), [(record, balancer.as_str())]);
    assert_eq!(ends(&host.relationships("aws_route53_record_connects_aws_ec2_instance")), [("other", "i-1")]);
    assert!(host.calls().is_empty());
}

#[test]
fn instances_use_key_pairs_by_name() {
    let host = aws()
        .stored("aws_key_pair", "pair", json!({"name": "k", "region": "eu-west-1"}))
        .stored("aws_key_pair", "elsewhere", json!({"name": "k", "region": "us-east-1"}))
        .stored("aws_ec2_instance", "i-1", json!({"keyName": "k", "region": "eu-west-1"}))
        .stored("aws_ec2_instance", "i-2", json!({"keyName": "gone", "region": "eu-west-1"}))
        .stored("aws_ec2_instance", "i-3", json!({"keyName": "k", "region": "us-east-1"}));
    run_region(&host, "ec2-instance-keys").unwrap();
    assert_eq!(ends(&host.relationships("aws_ec2_instance_uses_aws_key_pair")), [("i-1", "pair")]);
}
