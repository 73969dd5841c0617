//! Machines, networks, functions, buckets and rules, with replies as AWS sends them (shortened, with made-up names).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod common;

use common::{ACCOUNT, aws, ends, run, run_region, xml};
use porthole_sdk::testing::MemoryHost;
use porthole_sdk::{Fault, StepError};
use serde_json::{Value, json};

const IN: (&str, &str) = ("region", "eu-west-1");

fn ec2(action: &str, inner: &str) -> MemoryHost {
    let reply = xml(&format!("{action}Response"), &format!("<requestId>1-2</requestId>{inner}"));
    aws().raw(&format!("ec2:{action}"), &[IN], &[], &reply)
}

fn arn(rest: &str) -> String {
    format!("arn:aws:ec2:eu-west-1:{ACCOUNT}:{rest}")
}

#[test]
fn instances_with_their_disks_and_all_their_groups() {
    let instance = "<instanceId>i-1</instanceId><imageId>ami-1</imageId><instanceState><code>80</code><name>stopped</name></instanceState>\
        <keyName>k</keyName><instanceType>t3.small</instanceType><launchTime>2024-01-02T03:04:05.000Z</launchTime>\
        <vpcId>vpc-1</vpcId><subnetId>subnet-1</subnetId><ebsOptimized>false</ebsOptimized>\
        <groupSet><item><groupId>sg-1</groupId><groupName>web</groupName></item></groupSet>\
        <blockDeviceMapping><item><deviceName>/dev/xvda</deviceName><ebs><volumeId>vol-1</volumeId></ebs></item></blockDeviceMapping>\
        <networkInterfaceSet><item><networkInterfaceId>eni-1</networkInterfaceId><groupSet><item><groupId>sg-1</groupId></item></groupSet></item>\
        <item><networkInterfaceId>eni-2</networkInterfaceId><groupSet><item><groupId>sg-2</groupId></item></groupSet></item></networkInterfaceSet>\
        <metadataOptions><httpTokens>required</httpTokens></metadataOptions>\
        <tagSet><item><key>Name</key><value>web 1</value></item><item><key>empty</key><value/></item></tagSet>";
    let gone = "<instanceId>i-2</instanceId><instanceState><name>terminated</name></instanceState>";
    let set = format!(
        "<reservationSet><item><reservationId>r-1</reservationId><ownerId>222222222222</ownerId><groupSet/>\
         <instancesSet><item>{instance}</item><item>{gone}</item></instancesSet></item></reservationSet>"
    );
    let host = ec2("DescribeInstances", &set);
    run_region(&host, "ec2-instances").unwrap();
    let instances = host.entities("aws_ec2_instance");
    assert_eq!(instances.len(), 1);
    let key = "arn:aws:ec2:eu-west-1:222222222222:instance/i-1";
    assert_eq!((instances[0].key.as_str(), instances[0].name.as_str()), (key, "web 1"));
    let properties = &instances[0].properties;
    for (name, value) in [
        ("region", json!("eu-west-1")),
        ("state", json!("stopped")),
        ("ebsOptimized", json!(false)),
        ("metadataTokens", json!("required")),
        ("networkInterfaceIds", json!(["eni-1", "eni-2"])),
        ("tag.Name", json!("web 1")),
        ("tag.empty", json!("")),
    ] {
        assert_eq!(properties[name], value, "{name}");
    }
    assert_eq!(
        ends(&host.relationships("aws_ec2_instance_uses_aws_ec2_volume")),
        [(key, arn("volume/vol-1").as_str())]
    );
    let group = |id: &str| format!("arn:aws:ec2:eu-west-1:222222222222:security-group/{id}");
    assert_eq!(
        ends(&host.relationships("aws_ec2_security_group_protects_aws_ec2_instance")),
        [(group("sg-1").as_str(), key), (group("sg-2").as_str(), key)]
    );
    assert_eq!(ends(&host.relationships("aws_ec2_has_aws_ec2_instance")), [("aws_ec2:111111111111", key)]);
}

#[test]
fn volumes_vpcs_and_subnets() {
    let volume = "<volumeSet><item><volumeId>vol-1</volumeId><size>8</size><status>in-use</status><volumeType>gp3</volumeType>\
        <encrypted>true</encrypted><kmsKeyId>arn:aws:kms:eu-west-1:111111111111:key/1</kmsKeyId><createTime>2024-01-02T03:04:05.123Z</createTime>\
        </item></volumeSet>";
    let host = ec2("DescribeVolumes", volume);
    run_region(&host, "ec2-volumes").unwrap();
    let volume = &host.entities("aws_ec2_volume")[0];
    assert_eq!(
        (volume.key.as_str(), &volume.class),
        (arn("volume/vol-1").as_str(), &vec!["DataStore".to_owned(), "Disk".to_owned()])
    );
    assert_eq!((&volume.properties["sizeGb"], &volume.properties["encrypted"]), (&json!(8), &json!(true)));

    let vpc = "<vpcSet><item><vpcId>vpc-1</vpcId><ownerId>222222222222</ownerId><cidrBlock>10.0.0.0/16</cidrBlock><isDefault>false</isDefault>\
        <cidrBlockAssociationSet><item><cidrBlock>10.1.0.0/16</cidrBlock></item><item><cidrBlock>10.0.0.0/16</cidrBlock></item></cidrBlockAssociationSet></item></vpcSet>";
    let host = ec2("DescribeVpcs", vpc);
    run_region(&host, "ec2-vpcs").unwrap();
    let vpc = &host.entities("aws_ec2_vpc")[0];
    assert_eq!(vpc.key, "arn:aws:ec2:eu-west-1:222222222222:vpc/vpc-1");
    assert_eq!(vpc.properties["CIDRs"], json!(["10.0.0.0/16", "10.1.0.0/16"]));

    let subnet = "<subnetSet><item><subnetId>subnet-1</subnetId><ownerId>222222222222</ownerId><vpcId>vpc-1</vpcId>\
        <cidrBlock>10.0.1.0/24</cidrBlock><mapPublicIpOnLaunch>true</mapPublicIpOnLaunch></item></subnetSet>";
    let host = ec2("DescribeSubnets", subnet);
    run_region(&host, "ec2-subnets").unwrap();
    let contains = host.relationships("aws_ec2_vpc_contains_aws_ec2_subnet");
    let subnet = "arn:aws:ec2:eu-west-1:222222222222:subnet/subnet-1";
    assert_eq!(ends(&contains), [("arn:aws:ec2:eu-west-1:222222222222:vpc/vpc-1", subnet)]);
    assert_eq!(host.entities("aws_ec2_subnet")[0].properties["publicIpOnLaunch"], true);
}

#[test]
fn security_groups_allow_each_peer_of_each_rule() {
    let group = "<securityGroupInfo><item><ownerId>111111111111</ownerId><groupId>sg-1</groupId><groupName>web</groupName>\
        <groupDescription>d</groupDescription><vpcId>vpc-1</vpcId><ipPermissions>\
        <item><ipProtocol>tcp</ipProtocol><fromPort>22</fromPort><toPort>22</toPort>\
          <groups><item><userId>333333333333</userId><groupId>sg-9</groupId></item><item><groupId>sg-1</groupId></item></groups>\
          <ipRanges><item><cidrIp>0.0.0.0/0</cidrIp></item><item><cidrIp>203.0.113.7/32</cidrIp><description>office</description></item>\
            <item><cidrIp>10.0.0.0/8</cidrIp></item></ipRanges>\
          <ipv6Ranges><item><cidrIpv6>::/0</cidrIpv6></item></ipv6Ranges>\
          <prefixListIds><item><prefixListId>pl-1</prefixListId></item></prefixListIds></item>\
        <item><ipProtocol>icmp</ipProtocol><fromPort>-1</fromPort><toPort>-1</toPort><groups/><ipRanges><item><cidrIp>0.0.0.0/0</cidrIp></item></ipRanges></item>\
        </ipPermissions><ipPermissionsEgress><item><ipProtocol>-1</ipProtocol><groups/><ipRanges><item><cidrIp>0.0.0.0/0</cidrIp></item></ipRanges></item>\
        </ipPermissionsEgress></item></securityGroupInfo>";
    let host = ec2("DescribeSecurityGroups", group);
    run_region(&host, "ec2-security-groups").unwrap();
    let own = arn("security-group/sg-1");
    let internet = host.relationships("aws_ec2_security_group_allows_internet");
    let keys: Vec<_> = internet.iter().map(|e| e.key.strip_prefix(&own).unwrap()).collect();
    let expected = ["ingress|tcp|22|22", "ingress|icmp|-1|-1", "egress|-1||"]
        .map(|rule| format!("|ALLOWS|global:internet|{rule}"));
    assert_eq!(keys, expected);
    assert_eq!(
        Value::Object(internet[0].properties.clone()),
        json!({"ingress": true, "fromPort": 22, "toPort": 22, "protocol": "tcp", "cidr": "0.0.0.0/0", "internal": false})
    );
    assert_eq!(internet[2].properties["allProtocols"], true);
    assert!(!internet[2].properties.contains_key("fromPort"));
    let far = internet[0].far.as_ref().unwrap();
    assert_eq!(
        (far.end.as_str(), far.object_type.as_str(), far.class.join(",")),
        ("to", "internet", "Internet,Network".to_owned())
    );
    let to = |kind: &str| host.relationships(&format!("aws_ec2_security_group_allows_{kind}"));
    assert_eq!(to("host")[0].to_key, "ip:203.0.113.7");
    assert_eq!(to("host")[0].properties["description"], "office");
    assert_eq!(
        (to("network")[0].to_key.as_str(), &to("network")[0].properties["internal"]),
        ("cidr:10.0.0.0/8", &json!(true))
    );
    let groups = to("aws_ec2_security_group");
    let other = "arn:aws:ec2:eu-west-1:333333333333:security-group/sg-9";
    assert_eq!(ends(&groups), [(own.as_str(), other), (own.as_str(), own.as_str())]);
    assert_eq!(to("aws_ec2_prefix_list")[0].to_key, arn("prefix-list/pl-1"));
}

#[test]
fn functions_without_their_secrets() {
    let function = |name: &str| {
        json!({
            "FunctionArn": format!("arn:aws:lambda:eu-west-1:111111111111:function:{name}"), "FunctionName": name,
            "Role": "arn:aws:iam::111111111111:role/fn", "Runtime": "python3.13", "Timeout": 3,
            "LastModified": "2024-01-02T03:04:05.000+0000", "Environment": {"Variables": {"KEY": "hush"}},
            "VpcConfig": {"VpcId": "vpc-1", "SubnetIds": ["subnet-2", "subnet-1"], "SecurityGroupIds": []},
        })
    };
    let arn = |name: &str| format!("arn:aws:lambda:eu-west-1:111111111111:function:{name}");
    let pages = [
        json!({"Functions": [function("a")], "NextMarker": "x"}),
        json!({"Functions": [function("b")], "NextMarker": null}),
    ];
    let host = aws()
        .pages("lambda:ListFunctions", &[IN], pages)
        .reply("lambda:ListTags", &[IN, ("function_arn", &arn("a"))], json!({"Tags": {"team": "x"}}))
        .empty("lambda:ListTags", &[IN, ("function_arn", &arn("b"))], 404);
    run_region(&host, "lambda-functions").unwrap();
    let functions = host.entities("aws_lambda_function");
    assert_eq!((functions.len(), functions[0].key.as_str()), (2, arn("a").as_str()));
    assert_eq!(
        (&functions[0].properties["tag.team"], &functions[0].properties["timeoutSeconds"]),
        (&json!("x"), &json!(3))
    );
    assert_eq!(functions[0].properties["subnetIds"], json!(["subnet-1", "subnet-2"]));
    assert!(!format!("{functions:?}").contains("hush"));
    let roles = host.relationships("aws_lambda_function_has_aws_iam_role");
    assert_eq!(ends(&roles)[1], (arn("b").as_str(), "arn:aws:iam::111111111111:role/fn"));
    assert_eq!(host.unfollowed_pages(), 0);
}

#[test]
fn rest_apis_trigger_functions_once() {
    let function = "arn:aws:lambda:eu-west-1:111111111111:function:hello";
    let uri = |function: &str| {
        format!("arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/{function}/invocations")
    };
    let method = |kind: &str, uri: String| json!({"httpMethod": "X", "methodIntegration": {"type": kind, "uri": uri}});
    let resources = json!({"item": [
        {"id": "1", "path": "/", "resourceMethods": {
            "GET": method("AWS_PROXY", uri(function)), "PUT": method("AWS", uri(&format!("{function}:live")))}},
        {"id": "2", "path": "/x", "resourceMethods": {
            "GET": method("HTTP_PROXY", "https://example.com".into()), "PUT": method("AWS_PROXY", uri("${stageVariables.f}"))}},
        {"id": "3", "path": "/empty"},
    ]});
    let api = json!({"id": "abc", "name": "api", "createdDate": 1_704_164_645, "tags": {"a": "b"},
        "endpointConfiguration": {"types": ["REGIONAL"]}, "disableExecuteApiEndpoint": false});
    let host = aws().reply("apigateway:GetRestApis", &[IN], json!({"item": [api]})).reply(
        "apigateway:GetResources",
        &[IN, ("restapi_id", "abc")],
        resources,
    );
    run_region(&host, "apigateway-rest-apis").unwrap();
    let api = &host.entities("aws_apigateway_rest_api")[0];
    assert_eq!(api.key, "arn:aws:apigateway:eu-west-1::/restapis/abc");
    assert_eq!((&api.properties["createdOn"], &api.properties["tag.a"]), (&json!("2024-01-02T03:04:05Z"), &json!("b")));
    assert_eq!(
        ends(&host.relationships("aws_apigateway_rest_api_triggers_aws_lambda_function")),
        [(api.key.as_str(), function)]
    );
}

fn bucket(host: MemoryHost, name: &str, region: &str, replies: &[(&str, &str)]) -> MemoryHost {
    let arguments = [("region", region), ("bucket", name)];
    let all = [
        "s3:GetBucketAcl",
        "s3:GetBucketEncryption",
        "s3:GetBucketLogging",
        "s3:GetBucketReplication",
        "s3:GetBucketTagging",
        "s3:GetBucketVersioning",
        "s3:GetBucketLifecycleConfiguration",
        "s3:GetBucketCors",
        "s3:GetBucketPolicyStatus",
        "s3:GetPublicAccessBlock",
        "s3:GetObjectLockConfiguration",
        "s3:ListBucketInventoryConfigurations",
    ];
    all.iter().fold(host, |host, operation| match replies.iter().find(|(asked, _)| asked == operation) {
        Some((_, inner)) => host.raw(operation, &arguments, &[], &xml("Root", inner)),
        None => host.empty(operation, &arguments, 404),
    })
}

#[test]
fn buckets_are_asked_about_where_they_are() {
    let list = "<Owner><ID>x</ID></Owner><Buckets><Bucket><Name>old</Name><CreationDate>2010-01-02T03:04:05.000Z</CreationDate></Bucket>\
        <Bucket><Name>new</Name><BucketRegion>eu-central-1</BucketRegion></Bucket></Buckets>";
    let everybody = "<AccessControlList><Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"Group\">\
        <URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>READ</Permission></Grant>\
        <Grant><Grantee><ID>x</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant></AccessControlList>";
    let host = aws().raw("s3:ListBuckets", &[], &[], &xml("ListAllMyBucketsResult", list)).raw(
        "s3:GetBucketLocation",
        &[("bucket", "old")],
        &[],
        &xml("LocationConstraint", "EU"),
    );
    let host = bucket(
        host,
        "old",
        "eu-west-1",
        &[
            ("s3:GetBucketAcl", everybody),
            (
                "s3:GetBucketLogging",
                "<LoggingEnabled><TargetBucket>logs</TargetBucket><TargetPrefix>p/</TargetPrefix></LoggingEnabled>",
            ),
            (
                "s3:GetBucketReplication",
                "<Role>r</Role><Rule><Destination><Bucket>arn:aws:s3:::copy</Bucket></Destination></Rule>",
            ),
            (
                "s3:ListBucketInventoryConfigurations",
                "<InventoryConfiguration><Id>i</Id><Destination><S3BucketDestination>\
                <Bucket>arn:aws:s3:::lists</Bucket></S3BucketDestination></Destination></InventoryConfiguration>",
            ),
        ],
    );
    let host = bucket(
        host,
        "new",
        "eu-central-1",
        &[
            ("s3:GetBucketAcl", everybody),
            (
                "s3:GetPublicAccessBlock",
                "<IgnorePublicAcls>true</IgnorePublicAcls><RestrictPublicBuckets>false</RestrictPublicBuckets>",
            ),
            ("s3:GetBucketPolicyStatus", "<IsPublic>TRUE</IsPublic>"),
            ("s3:GetBucketVersioning", "<Status>Enabled</Status>"),
            ("s3:GetBucketTagging", "<TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet>"),
            (
                "s3:GetBucketEncryption",
                "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm>\
                <KMSMasterKeyID>k</KMSMasterKeyID></ApplyServerSideEncryptionByDefault></Rule>",
            ),
        ],
    );
    run(&host, "s3-buckets").unwrap();
    let buckets = host.entities("aws_s3_bucket");
    let find = |name: &str| &buckets.iter().find(|b| b.name == name).unwrap().properties;
    let (old, new) = (find("old"), find("new"));
    assert_eq!((&old["region"], &old["public"], &old["encrypted"]), (&json!("eu-west-1"), &json!(true), &json!(false)));
    for (name, value) in [
        ("region", json!("eu-central-1")),
        ("public", json!(true)),
        ("policyIsPublic", json!(true)),
        ("versioning", json!(true)),
        ("encryption", json!("aws:kms")),
        ("encrypted", json!(true)),
        ("ignorePublicAcls", json!(true)),
        ("tag.a", json!("b")),
    ] {
        assert_eq!(new[name], value, "{name}");
    }
    let everyone = host.relationships("aws_s3_bucket_allows_everyone");
    assert_eq!(ends(&everyone), [("arn:aws:s3:::old", "global:everyone")]);
    assert_eq!(everyone[0].properties["permission"], "READ");
    for (verb, to) in [("logs", "logs"), ("connects", "copy"), ("publishes", "lists")] {
        let edges = host.relationships(&format!("aws_s3_bucket_{verb}_aws_s3_bucket"));
        assert_eq!(ends(&edges), [("arn:aws:s3:::old", format!("arn:aws:s3:::{to}").as_str())]);
    }
}

#[test]
fn a_bucket_that_cannot_be_asked_is_neither_public_nor_not() {
    let list = "<Buckets><Bucket><Name>b</Name><BucketRegion>eu-west-1</BucketRegion></Bucket></Buckets>";
    let host = aws().raw("s3:ListBuckets", &[], &[], &xml("ListAllMyBucketsResult", list)).fault(
        "s3:GetBucketAcl",
        &[("region", "eu-west-1"), ("bucket", "b")],
        Fault::status(403, "AccessDenied"),
    );
    run(&host, "s3-buckets").unwrap();
    let bucket = &host.entities("aws_s3_bucket")[0];
    assert!(!bucket.properties.contains_key("public") && !bucket.properties.contains_key("encrypted"));
}

#[test]
fn bucket_policies_are_only_where_there_are_some() {
    let policy = json!({"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::a/*"}]});
    let host = aws()
        .stored("aws_s3_bucket", "arn:aws:s3:::a", json!({"name": "a", "region": "eu-west-1"}))
        .stored("aws_s3_bucket", "arn:aws:s3:::b", json!({"name": "b", "region": "us-east-1"}))
        .raw("s3:GetBucketPolicy", &[("region", "eu-west-1"), ("bucket", "a")], &[], policy.to_string().as_bytes())
        .empty("s3:GetBucketPolicy", &[("region", "us-east-1"), ("bucket", "b")], 404);
    run(&host, "s3-bucket-policies").unwrap();
    let policies = host.entities("aws_s3_bucket_policy");
    assert_eq!((policies.len(), policies[0].key.as_str()), (1, "aws_s3_bucket_policy:a"));
    assert!(policies[0].properties["policy"].as_str().unwrap().contains("s3:GetObject"));
    assert_eq!(
        ends(&host.relationships("aws_s3_bucket_has_aws_s3_bucket_policy")),
        [("arn:aws:s3:::a", "aws_s3_bucket_policy:a")]
    );
}

#[test]
fn rules_and_what_they_evaluate() {
    let rule = "arn:aws:config:eu-west-1:111111111111:config-rule/config-rule-1";
    let host = aws()
        .reply(
            "config:DescribeConfigRules",
            &[IN],
            json!({"ConfigRules": [{"ConfigRuleName": "r", "ConfigRuleArn": rule, "ConfigRuleId": "config-rule-1",
                "Source": {"Owner": "AWS", "SourceIdentifier": "X"}, "ConfigRuleState": "ACTIVE"}]}),
        )
        .reply(
            "config:DescribeComplianceByConfigRule",
            &[IN],
            json!({"ComplianceByConfigRules": [{"ConfigRuleName": "r", "Compliance": {"ComplianceType": "NON_COMPLIANT"}}]}),
        );
    run_region(&host, "config-rules").unwrap();
    let rules = host.entities("aws_config_rule");
    assert_eq!((rules[0].key.as_str(), &rules[0].properties["complianceType"]), (rule, &json!("NON_COMPLIANT")));

    let result = |kind: &str, id: &str| {
        let qualifier = json!({"ConfigRuleName": "r", "ResourceType": kind, "ResourceId": id});
        json!({"EvaluationResultIdentifier": {"EvaluationResultQualifier": qualifier}, "ComplianceType": "COMPLIANT"})
    };
    let results = [
        ("AWS::::Account", "111111111111"),
        ("AWS::EC2::Instance", "i-1"),
        ("AWS::EC2::Volume", "vol-1"),
        ("AWS::EC2::SecurityGroup", "sg-1"),
        ("AWS::S3::Bucket", "b"),
        ("AWS::IAM::User", "AIDA1"),
        ("AWS::IAM::User", "AIDAGONE"),
        ("AWS::IAM::Group", "AGPA1"),
        ("AWS::IAM::Role", "AROA1"),
        ("AWS::RDS::DBInstance", "db-1"),
    ];
    let host = aws()
        .stored("aws_config_rule", rule, json!({"name": "r", "region": "eu-west-1"}))
        .stored("aws_config_rule", "elsewhere", json!({"name": "e", "region": "us-east-1"}))
        .stored("aws_iam_user", "arn:aws:iam::111111111111:user/ann", json!({"userId": "AIDA1"}))
        .stored("aws_iam_group", "arn:aws:iam::111111111111:group/ops", json!({"groupId": "AGPA1"}))
        .stored("aws_iam_role", "arn:aws:iam::111111111111:role/r", json!({"roleId": "AROA1"}))
        .pages(
            "config:GetComplianceDetailsByConfigRule",
            &[IN, ("ConfigRuleName", "r"), ("Limit", "100")],
            results
                .chunks(4)
                .map(|page| json!({"EvaluationResults": page.iter().map(|(k, id)| result(k, id)).collect::<Vec<_>>()})),
        );
    run_region(&host, "config-evaluations").unwrap();
    for (kind, to) in [
        ("aws_account", "arn:aws:iam::111111111111:root"),
        ("aws_ec2_instance", "arn:aws:ec2:eu-west-1:111111111111:instance/i-1"),
        ("aws_ec2_volume", "arn:aws:ec2:eu-west-1:111111111111:volume/vol-1"),
        ("aws_ec2_security_group", "arn:aws:ec2:eu-west-1:111111111111:security-group/sg-1"),
        ("aws_s3_bucket", "arn:aws:s3:::b"),
        ("aws_iam_user", "arn:aws:iam::111111111111:user/ann"),
        ("aws_iam_group", "arn:aws:iam::111111111111:group/ops"),
        ("aws_iam_role", "arn:aws:iam::111111111111:role/r"),
    ] {
        let edges = host.relationships(&format!("aws_config_rule_evaluates_{kind}"));
        assert_eq!(ends(&edges), [(rule, to)], "{kind}");
        assert_eq!(edges[0].properties["complianceType"], "COMPLIANT");
    }
    assert!(host.entities("aws_config_rule").is_empty());
    assert_eq!((host.calls().len(), host.unfollowed_pages()), (1, 0));
}

#[test]
fn an_answer_that_is_none_fails_the_step() {
    for body in ["<html><body>502 Bad Gateway</body></html>", "upstream connect error", "{\"broken\":"] {
        let host = aws().raw("ec2:DescribeVpcs", &[IN], &[], body.as_bytes());
        assert!(matches!(run_region(&host, "ec2-vpcs"), Err(StepError::Unexpected(_))));
    }
    let host = aws().fault("ec2:DescribeVpcs", &[IN], Fault::status(403, "UnauthorizedOperation"));
    assert!(run_region(&host, "ec2-vpcs").unwrap_err().to_string().contains("UnauthorizedOperation"));
}
