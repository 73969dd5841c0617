"""What is in regions: networks, instances, functions, APIs, buckets, rules."""

import io
import json
import zipfile

import fill_iam
from fill_iam import HERE, THERE

# An image that the emulator has in every region; asking for its list takes seconds.
IMAGE = "ami-12c6146b"
# A secret in a function's environment: whatever stores it has failed.
CANARY = "AWS-ENVIRONMENT-SECRET-3f9a"


def network(account, region, size):
    """So many networks with as many hosts each and some more; 0 is hardly more than what every region has."""
    ec2 = account.client("ec2", region)
    image = IMAGE
    for number in range(size):
        vpc = ec2.create_vpc(CidrBlock=f"10.{number}.0.0/16")["Vpc"]["VpcId"]
        ec2.create_tags(Resources=[vpc], Tags=[{"Key": "Name", "Value": f"net-{number}"}])
        subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.{number}.{n}.0/24")["Subnet"]["SubnetId"] for n in range(size)]
        groups = firewalls(ec2, vpc)
        for n in range(size):
            instance(ec2, image, subnets[n], groups[n % len(groups)], f"host-{number}-{n}")
        two_interfaces(ec2, image, subnets, groups)
    volumes = [ec2.create_volume(AvailabilityZone=f"{region}a", Size=8 + n, Encrypted=n % 2 == 0)["VolumeId"] for n in range(size + 1)]
    if size > 1:
        first = ec2.describe_instances()["Reservations"][0]["Instances"][0]["InstanceId"]
        ec2.attach_volume(InstanceId=first, VolumeId=volumes[0], Device="/dev/sdf")
        gone = instance(ec2, image, subnets[0], groups[0], "gone")
        stopped = instance(ec2, image, subnets[0], groups[1], "stopped")
        ec2.terminate_instances(InstanceIds=[gone])
        ec2.stop_instances(InstanceIds=[stopped])
    key = account.client("kms", region).create_key(Description="of the test")["KeyMetadata"]["KeyId"]
    account.client("kms", region).create_alias(AliasName="alias/test", TargetKeyId=key)


def instance(ec2, image, subnet, group, name):
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}, {"Key": "empty", "Value": ""}]}]
    made = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, InstanceType="t3.micro", SubnetId=subnet,
                             SecurityGroupIds=[group], TagSpecifications=tags)
    return made["Instances"][0]["InstanceId"]


def two_interfaces(ec2, image, subnets, groups):
    """The second interface has a group that the instance itself doesn't name."""
    interfaces = [ec2.create_network_interface(SubnetId=subnets[n % len(subnets)], Groups=[groups[n]])["NetworkInterface"]["NetworkInterfaceId"]
                  for n in range(2)]
    ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, NetworkInterfaces=[
        {"DeviceIndex": n, "NetworkInterfaceId": interface} for n, interface in enumerate(interfaces)])


def firewalls(ec2, vpc):
    """Three groups; together their rules have every kind of peer."""
    groups = [ec2.create_security_group(GroupName=name, Description=f"{name} <&> \"quoted\"", VpcId=vpc)["GroupId"]
              for name in ("web", "db", "odd")]
    web, db, odd = groups
    lists = ec2.create_managed_prefix_list(PrefixListName="offices", MaxEntries=2, AddressFamily="IPv4",
                                           Entries=[{"Cidr": "198.51.100.0/24"}])["PrefixList"]["PrefixListId"]
    tcp = lambda port, **peers: {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **peers}
    ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=[
        tcp(443, IpRanges=[{"CidrIp": "0.0.0.0/0", "Description": "all"}], Ipv6Ranges=[{"CidrIpv6": "::/0"}]),
        tcp(22, IpRanges=[{"CidrIp": "203.0.113.7/32"}, {"CidrIp": "198.51.100.0/24"}],
            Ipv6Ranges=[{"CidrIpv6": "2001:db8::1/128"}])])
    ec2.authorize_security_group_ingress(GroupId=db, IpPermissions=[
        tcp(5432, UserIdGroupPairs=[{"GroupId": web}, {"GroupId": db}]),
        tcp(5433, IpRanges=[{"CidrIp": "10.0.0.0/8"}, {"CidrIp": "100.64.0.0/10"}], Ipv6Ranges=[{"CidrIpv6": "fc00::/7"}])])
    ec2.authorize_security_group_ingress(GroupId=odd, IpPermissions=[
        {"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1, "IpRanges": [{"CidrIp": "192.168.0.0/16"}]},
        {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": web}]},
        tcp(8080, PrefixListIds=[{"PrefixListId": lists}])])
    ec2.revoke_security_group_egress(GroupId=odd, IpPermissions=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}])
    ec2.authorize_security_group_egress(GroupId=odd, IpPermissions=[
        {"IpProtocol": "udp", "FromPort": 53, "ToPort": 54, "IpRanges": [{"CidrIp": "172.16.5.0/24"}]}])
    return groups


def code():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo("index.py"), "def handler(event, context): return 1\n")
    return packed.getvalue()


def functions(account, region, count):
    aws = account.client("lambda", region)
    return [aws.create_function(
        FunctionName=f"job-{n}", Runtime="python3.12", Role=f"arn:aws:iam::{account.id}:role/service-lambda", Handler="index.handler",
        Code={"ZipFile": code()}, Environment={"Variables": {"PASSWORD": f"{CANARY}-{n}"}}, Tags={"stage": "test"})["FunctionArn"]
        for n in range(count)]


def orphan_function(account):
    """A function whose role is gone."""
    iam, name = account.client("iam"), "short-lived"
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=fill_iam.document(fill_iam.trust({"Service": "lambda.amazonaws.com"})))
    account.client("lambda").create_function(FunctionName="orphan", Runtime="python3.12", Handler="index.handler",
                                             Role=f"arn:aws:iam::{account.id}:role/{name}", Code={"ZipFile": code()})
    iam.delete_role(RoleName=name)


def apis(account, region, functions):
    """An API of several paths, with every kind of integration; others with one, and one with nothing."""
    gateway = account.client("apigateway", region)
    uri = lambda arn: f"arn:aws:apigateway:{region}:lambda:path/2015-03-31/functions/{arn}/invocations"
    wanted = [("GET", "AWS_PROXY", uri(functions[0])), ("POST", "AWS_PROXY", uri(functions[0])),
              ("PUT", "AWS", uri(functions[-1] + ":live")), ("DELETE", "MOCK", None),
              ("PATCH", "HTTP", "https://backend.acme.example/"),
              ("GET", "AWS_PROXY", uri("${stageVariables.function}"))]
    api = gateway.create_rest_api(name="shop", tags={"stage": "test"})["id"]
    parent = gateway.get_resources(restApiId=api)["items"][0]["id"]
    for number, (method, kind, target) in enumerate(wanted):
        child = gateway.create_resource(restApiId=api, parentId=parent, pathPart=f"part{number}")["id"]
        gateway.put_method(restApiId=api, resourceId=child, httpMethod=method, authorizationType="NONE")
        more = {"uri": target} if target else {}
        gateway.put_integration(restApiId=api, resourceId=child, httpMethod=method, type=kind, integrationHttpMethod="POST", **more)
    for number in range(len(functions) - 1):
        gateway.create_rest_api(name=f"small-{number}")


def bucket(account, name, region):
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    account.client("s3", region).create_bucket(Bucket=name, **where)


def buckets(account):
    """One with every configuration, some with none, in two regions."""
    for name, region in [("acme-bare", "us-east-1"), ("acme-logs", "us-east-1"), ("acme-eu", "eu-west-1"), ("acme-eu-copy", "eu-west-1")]:
        bucket(account, name, region)
    s3, name = account.client("s3"), "acme-full"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_versioning(Bucket="acme-logs", VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": "owner", "Value": "ann"}, {"Key": "empty", "Value": ""}]})
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": {
        "SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/test"}, "BucketKeyEnabled": True}]})
    s3.put_bucket_acl(Bucket="acme-logs", ACL="log-delivery-write")
    s3.put_bucket_logging(Bucket=name, BucketLoggingStatus={"LoggingEnabled": {"TargetBucket": "acme-logs", "TargetPrefix": "full/"}})
    s3.put_bucket_acl(Bucket=name, AccessControlPolicy={"Owner": {"ID": "owner"}, "Grants": [
        {"Grantee": {"Type": "CanonicalUser", "ID": "owner"}, "Permission": "FULL_CONTROL"},
        {"Grantee": {"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AllUsers"}, "Permission": "READ"}]})
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{name}/public/*"}]}))
    s3.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]})
    s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [
        {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 90}}]})
    s3.put_bucket_replication(Bucket=name, ReplicationConfiguration={
        "Role": f"arn:aws:iam::{account.id}:role/service-config",
        "Rules": [{"ID": "all", "Status": "Enabled", "Priority": 1, "Filter": {"Prefix": ""}, "DeleteMarkerReplication": {
            "Status": "Disabled"}, "Destination": {"Bucket": "arn:aws:s3:::acme-logs"}}]})
    s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration={
        "BlockPublicAcls": True, "IgnorePublicAcls": False, "BlockPublicPolicy": True, "RestrictPublicBuckets": False})
    s3.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration={
        "ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}})
    for number in range(4):
        s3.put_bucket_inventory_configuration(Bucket=name, Id=f"weekly-{number}", InventoryConfiguration={
            "Id": f"weekly-{number}", "IsEnabled": True, "IncludedObjectVersions": "All", "Schedule": {"Frequency": "Weekly"},
            "Destination": {"S3BucketDestination": {"Bucket": "arn:aws:s3:::acme-logs", "Format": "CSV"}}})


def rules(account, region):
    """Rules, and what each of them found: of every kind of resource, and of some that nobody knows."""
    config, ec2, iam = account.client("config", region), account.client("ec2", region), account.client("iam")
    wanted = {
        "mfa-for-users": "IAM_USER_MFA_ENABLED", "root-has-mfa": "ROOT_ACCOUNT_MFA_ENABLED",
        "encrypted-volumes": "ENCRYPTED_VOLUMES", "closed-ssh": "INCOMING_SSH_DISABLED", "unused": "S3_BUCKET_LOGGING_ENABLED",
    }
    for name, identifier in wanted.items():
        config.put_config_rule(ConfigRule={"ConfigRuleName": name, "Source": {"Owner": "AWS", "SourceIdentifier": identifier}})
    users = [u["UserId"] for u in iam.list_users()["Users"]]
    roles = [r["RoleId"] for r in iam.list_roles()["Roles"]][:2]
    groups = [g["GroupId"] for g in iam.list_groups()["Groups"]][:1]
    instances = [i["InstanceId"] for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]]
    volumes = [v["VolumeId"] for v in ec2.describe_volumes()["Volumes"]]
    closed = [g["GroupId"] for g in ec2.describe_security_groups()["SecurityGroups"]][:2]
    found = lambda kind, ids, compliance: [[kind, id, compliance] for id in ids]
    return {
        "mfa-for-users": found("AWS::IAM::User", users, "NON_COMPLIANT") + found("AWS::IAM::Role", roles, "COMPLIANT")
        + found("AWS::IAM::Group", groups, "NOT_APPLICABLE") + found("AWS::IAM::User", ["AIDANOBODY"], "COMPLIANT"),
        "root-has-mfa": found("AWS::::Account", [account.id], "COMPLIANT"),
        "encrypted-volumes": found("AWS::EC2::Volume", volumes, "COMPLIANT") + found("AWS::EC2::Instance", instances, "NON_COMPLIANT"),
        "closed-ssh": found("AWS::EC2::SecurityGroup", closed, "NON_COMPLIANT")
        + found("AWS::S3::Bucket", ["acme-full", "acme-nowhere"], "COMPLIANT") + found("AWS::KMS::Key", ["k-1"], "COMPLIANT"),
        "unused": [],
    }
