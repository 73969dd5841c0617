"""What a collector has to find in one account: entities and relationships, as sorted JSON lines.

    oracle.py ADMIN_URL ACCOUNT [REGION…]

An oracle of its own: it asks by other operations where there are any, and shares no code with what it judges. A line is
`{"entity", "key", "class"}` or `{"from", "verb", "to"}`; `mapped` marks a far end that isn't collected from this account,
`inferred` what the data model only infers, `properties` what else is known of an edge.
"""

import ipaddress
import json
import re
import sys

import oracle_trust
from fill import Account

# Types and their classes.
TYPES = {
    "aws_account": ["Account"], "aws_apigateway": ["Service"], "aws_config": ["Service"], "aws_ec2": ["Service"],
    "aws_iam": ["Service"], "aws_lambda": ["Service"], "aws_s3": ["Service"], "aws_apigateway_rest_api": ["Gateway"],
    "aws_ec2_instance": ["Host"], "aws_ec2_volume": ["DataStore", "Disk"], "aws_ec2_security_group": ["Firewall"],
    "aws_ec2_vpc": ["Network"], "aws_ec2_subnet": ["Network"], "aws_iam_user": ["User"], "aws_iam_group": ["UserGroup"],
    "aws_iam_role": ["AccessRole"], "aws_iam_user_policy": ["AccessPolicy"], "aws_iam_group_policy": ["AccessPolicy"],
    "aws_iam_role_policy": ["AccessPolicy"], "aws_iam_managed_policy": ["AccessPolicy"], "aws_s3_bucket": ["DataStore"],
    "aws_lambda_function": ["Function", "Workload"], "aws_config_rule": ["ControlPolicy"],
    # Far ends.
    "person": ["Person"], "everyone": ["UserGroup"], "internet": ["Internet", "Network"], "aws_service": ["Service"],
    "federated_provider": ["Service"], "aws_iam_saml_provider": ["Service"], "aws_iam_oidc_provider": ["Service"],
    "network": ["Network"], "host": ["Host"], "prefix_list": ["Network"],
}
SERVICES = ["apigateway", "config", "ec2", "iam", "lambda", "s3"]
INTERNAL = [ipaddress.ip_network(n) for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")]


class Graph:
    """What is expected."""

    def __init__(self, account):
        self.account, self.entities, self.edges, self.mapped, self.ids = account, {}, {}, {}, {}

    def entity(self, kind, key, *ids):
        """`ids` are other names under which a resource is spoken of."""
        self.entities[key] = kind
        for name in ids:
            self.ids[kind, name] = key
        return key

    def edge(self, source, verb, target, properties=None, inferred=False, mapped=None):
        """`mapped` is the type of the end that may not be collected."""
        line = {"from": source, "verb": verb, "to": target}
        for end in (source, target):
            if end not in self.entities:
                if mapped is None:
                    return
                self.mapped[end] = mapped
                line["mapped"] = True
        if inferred:
            line["inferred"] = True
        if properties:
            line["properties"] = properties
        rest = properties if verb == "ALLOWS" else None
        self.edges[source, verb, target, json.dumps(rest, sort_keys=True)] = line

    def service(self, name):
        return f"aws_{name}:{self.account}"

    def has(self, service, key):
        self.edge(self.service(service), "HAS", key)

    def lines(self):
        out = [{"entity": kind, "key": key, "class": TYPES[kind]} for key, kind in self.entities.items()]
        out += [{"entity": kind, "key": key, "class": TYPES[kind], "mapped": True}
                for key, kind in self.mapped.items() if key not in self.entities]
        return sorted(json.dumps(line, sort_keys=True) for line in out + list(self.edges.values()))


def expect(aws, regions):
    """Everything that is in the account."""
    graph = Graph(aws.id)
    root = graph.entity("aws_account", f"arn:aws:iam::{aws.id}:root", aws.id)
    for name in SERVICES:
        graph.edge(root, "HAS", graph.entity(f"aws_{name}", graph.service(name)))
    details = iam(graph, aws.client("iam"))
    for bucket in aws.client("s3").list_buckets()["Buckets"]:
        graph.has("s3", graph.entity("aws_s3_bucket", f"arn:aws:s3:::{bucket['Name']}", bucket["Name"]))
    for region in regions:
        ec2(graph, aws.client("ec2", region), region)
        compute(graph, aws, region)
    for region in regions:
        rules(graph, aws.client("config", region), region)
    oracle_trust.can_assume(graph, details)
    return graph


def pages(client, operation, key, **arguments):
    """All items of a list; where botocore doesn't page, the one answer."""
    if client.can_paginate(operation):
        return [item for page in client.get_paginator(operation).paginate(**arguments) for item in page.get(key, [])]
    return getattr(client, operation)(**arguments).get(key, [])


def iam(graph, client):
    """All of IAM by one operation that collectors with fewer rights don't have."""
    details = {"UserDetailList": [], "GroupDetailList": [], "RoleDetailList": []}
    for page in client.get_paginator("get_account_authorization_details").paginate(Filter=["User", "Group", "Role"]):
        for name, items in details.items():
            items += page[name]
    for scope, more in [("Local", {}), ("AWS", {"OnlyAttached": True})]:
        for policy in pages(client, "list_policies", "Policies", Scope=scope, **more):
            graph.has("iam", graph.entity("aws_iam_managed_policy", policy["Arn"]))
    kinds = [("user", "UserDetailList", "UserPolicyList", "UserId"), ("group", "GroupDetailList", "GroupPolicyList", "GroupId"),
             ("role", "RoleDetailList", "RolePolicyList", "RoleId")]
    for kind, lists, inline, unique in kinds:
        for item in details[lists]:
            key = graph.entity(f"aws_iam_{kind}", item["Arn"], item[unique])
            graph.has("iam", key)
            for policy in item.get(inline, []):
                its = graph.entity(f"aws_iam_{kind}_policy", f"aws_iam_{kind}_policy:{key}:{policy['PolicyName']}")
                graph.has("iam", its)
                graph.edge(key, "HAS", its)
            for policy in item["AttachedManagedPolicies"]:
                graph.edge(key, "HAS", policy["PolicyArn"])
    groups = {group["GroupName"]: group["Arn"] for group in details["GroupDetailList"]}
    for user in details["UserDetailList"]:
        for group in client.list_groups_for_user(UserName=user["UserName"])["Groups"]:
            graph.edge(groups[group["GroupName"]], "CONTAINS", user["Arn"])
        name = user["UserName"].strip()
        if re.fullmatch(r"[^@\s]+@[^@\s]*\.[^@\s]*", name):
            graph.edge(user["Arn"], "IS", f"person:{name.lower()}", mapped="person")
        boundary = client.get_user(UserName=user["UserName"])["User"].get("PermissionsBoundary")
        user["Boundary"] = boundary and boundary["PermissionsBoundaryArn"]
    for role in details["RoleDetailList"]:
        boundary = client.get_role(RoleName=role["RoleName"])["Role"].get("PermissionsBoundary")
        role["Boundary"] = boundary and boundary["PermissionsBoundaryArn"]
    details["Documents"] = {}
    for arn in [key for key, kind in graph.entities.items() if kind == "aws_iam_managed_policy"]:
        version = client.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        found = client.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
        details["Documents"][arn] = found
    return details


def ec2(graph, client, region):
    arn = lambda kind, id, owner=graph.account: f"arn:aws:ec2:{region}:{owner}:{kind}/{id}"
    for vpc in pages(client, "describe_vpcs", "Vpcs"):
        graph.has("ec2", graph.entity("aws_ec2_vpc", arn("vpc", vpc["VpcId"], vpc["OwnerId"])))
    for subnet in pages(client, "describe_subnets", "Subnets"):
        key = graph.entity("aws_ec2_subnet", arn("subnet", subnet["SubnetId"], subnet["OwnerId"]))
        graph.has("ec2", key)
        graph.edge(arn("vpc", subnet["VpcId"], subnet["OwnerId"]), "CONTAINS", key)
    for volume in pages(client, "describe_volumes", "Volumes"):
        graph.has("ec2", graph.entity("aws_ec2_volume", arn("volume", volume["VolumeId"]), (region, volume["VolumeId"])))
    groups = pages(client, "describe_security_groups", "SecurityGroups")
    for group in groups:
        key = arn("security-group", group["GroupId"], group["OwnerId"])
        graph.has("ec2", graph.entity("aws_ec2_security_group", key, (region, group["GroupId"])))
    for group in groups:
        for rule, ingress in [(r, True) for r in group["IpPermissions"]] + [(r, False) for r in group["IpPermissionsEgress"]]:
            allows(graph, arn("security-group", group["GroupId"], group["OwnerId"]), rule, ingress, arn)
    for reservation in pages(client, "describe_instances", "Reservations"):
        for instance in reservation["Instances"]:
            if instance["State"]["Name"] == "terminated":
                continue
            key = arn("instance", instance["InstanceId"], reservation["OwnerId"])
            graph.has("ec2", graph.entity("aws_ec2_instance", key, (region, instance["InstanceId"])))
            for mapping in instance["BlockDeviceMappings"]:
                graph.edge(key, "USES", arn("volume", mapping["Ebs"]["VolumeId"]))
            behind = [g for i in instance["NetworkInterfaces"] for g in i["Groups"]] + instance["SecurityGroups"]
            for group in behind:
                graph.edge(graph.ids.get(("aws_ec2_security_group", (region, group["GroupId"]))), "PROTECTS", key)


def allows(graph, group, rule, ingress, arn):
    """One edge for each peer of a rule."""
    protocol = rule["IpProtocol"]
    properties = {"ingress": ingress, "protocol": protocol}
    if protocol != "-1":
        properties |= {"fromPort": rule.get("FromPort"), "toPort": rule.get("ToPort")}
    blocks = [r["CidrIp"] for r in rule.get("IpRanges", [])] + [r["CidrIpv6"] for r in rule.get("Ipv6Ranges", [])]
    for block in blocks:
        network = ipaddress.ip_network(block)
        if network.prefixlen == 0:
            graph.edge(group, "ALLOWS", "global:internet", properties, mapped="internet")
        elif network.num_addresses == 1:
            graph.edge(group, "ALLOWS", f"ip:{block.partition('/')[0]}", properties, mapped="host")
        else:
            graph.edge(group, "ALLOWS", f"cidr:{block}", properties, mapped="network")
    for pair in rule.get("UserIdGroupPairs", []):
        peer = arn("security-group", pair["GroupId"], pair["UserId"])
        graph.edge(group, "ALLOWS", peer, properties, mapped="aws_ec2_security_group")
    for prefix in rule.get("PrefixListIds", []):
        peer = arn("prefix-list", prefix["PrefixListId"])
        graph.edge(group, "ALLOWS", peer, properties, inferred=True, mapped="prefix_list")


def compute(graph, aws, region):
    """Functions and the APIs before them."""
    for function in pages(aws.client("lambda", region), "list_functions", "Functions"):
        key = graph.entity("aws_lambda_function", function["FunctionArn"])
        graph.has("lambda", key)
        graph.edge(key, "HAS", function["Role"])
    client = aws.client("apigateway", region)
    for api in pages(client, "get_rest_apis", "items"):
        key = graph.entity("aws_apigateway_rest_api", f"arn:aws:apigateway:{region}::/restapis/{api['id']}")
        graph.has("apigateway", key)
        for resource in pages(client, "get_resources", "items", restApiId=api["id"]):
            for method in resource.get("resourceMethods", {}):
                found = client.get_integration(restApiId=api["id"], resourceId=resource["id"], httpMethod=method)
                uri = re.search(r":lambda:path/2015-03-31/functions/(arn:[^/]+)/invocations$", found.get("uri", ""))
                if found["type"] in ("AWS", "AWS_PROXY") and uri:
                    graph.edge(key, "TRIGGERS", ":".join(uri.group(1).split(":")[:7]))


def rules(graph, client, region):
    kinds = {"AWS::EC2::Instance": "aws_ec2_instance", "AWS::EC2::Volume": "aws_ec2_volume",
             "AWS::EC2::SecurityGroup": "aws_ec2_security_group"}
    others = {"AWS::::Account": "aws_account", "AWS::S3::Bucket": "aws_s3_bucket", "AWS::IAM::User": "aws_iam_user",
              "AWS::IAM::Group": "aws_iam_group", "AWS::IAM::Role": "aws_iam_role"}
    for rule in pages(client, "describe_config_rules", "ConfigRules"):
        key = graph.entity("aws_config_rule", rule["ConfigRuleArn"])
        graph.has("config", key)
        for result in pages(client, "get_compliance_details_by_config_rule", "EvaluationResults", ConfigRuleName=rule["ConfigRuleName"]):
            what = result["EvaluationResultIdentifier"]["EvaluationResultQualifier"]
            kind, id = what["ResourceType"], what["ResourceId"]
            found = graph.ids.get((kinds[kind], (region, id))) if kind in kinds else graph.ids.get((others.get(kind), id))
            if found:
                graph.edge(key, "EVALUATES", found, {"complianceType": result["ComplianceType"]})


def main():
    url, account, *regions = sys.argv[1:]
    graph = expect(Account(url, account), regions or ["us-east-1", "eu-west-1", "ap-southeast-2"])
    print("\n".join(graph.lines()))


if __name__ == "__main__":
    main()
