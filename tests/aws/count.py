"""Counts what another fake has, by botocore: `count.py URL` prints how much of each type its lists have, as JSON.

It proves that pages and wire forms of a fake are those that the provider's own client reads.
"""

import json
import sys
from collections import Counter

from fill import Account


def pages(client, operation, key, **arguments):
    for page in client.get_paginator(operation).paginate(**arguments):
        yield from page[key]


def count(aws):
    found, iam = Counter(), aws.client("iam")
    for kind, operation, key, more in [
            ("aws_iam_user", "list_users", "Users", {}), ("aws_iam_group", "list_groups", "Groups", {}),
            ("aws_iam_role", "list_roles", "Roles", {}), ("aws_iam_managed_policy", "list_policies", "Policies", {"Scope": "Local"})]:
        found[kind] = len({item["Arn"] for item in pages(iam, operation, key, **more)})
    for group in pages(iam, "list_groups", "Groups"):
        name = group["GroupName"]
        found["aws_iam_group CONTAINS aws_iam_user"] += len(list(pages(iam, "get_group", "Users", GroupName=name)))
        for policy in pages(iam, "list_group_policies", "PolicyNames", GroupName=name):
            document = iam.get_group_policy(GroupName=name, PolicyName=policy)["PolicyDocument"]
            found["aws_iam_group_policy"] += document["Version"] == "2012-10-17"
    for policy in pages(iam, "list_policies", "Policies", Scope="Local"):
        for kind in ("User", "Group", "Role"):
            of = pages(iam, "list_entities_for_policy", f"Policy{kind}s", PolicyArn=policy["Arn"])
            found[f"aws_iam_{kind.lower()} HAS aws_iam_managed_policy"] += len(list(of))
    found["aws_s3_bucket"] = len({b["Name"] for b in pages(aws.client("s3"), "list_buckets", "Buckets", PaginationConfig={"PageSize": 7})})
    for region in aws.client("ec2").describe_regions()["Regions"]:
        regional(found, aws, region["RegionName"])
    return found


def regional(found, aws, region):
    ec2, config, gateway = aws.client("ec2", region), aws.client("config", region), aws.client("apigateway", region)
    for kind, operation, key in [
            ("aws_ec2_volume", "describe_volumes", "Volumes"), ("aws_ec2_subnet", "describe_subnets", "Subnets"),
            ("aws_ec2_vpc", "describe_vpcs", "Vpcs"), ("aws_ec2_security_group", "describe_security_groups", "SecurityGroups")]:
        found[kind] += len(list(pages(ec2, operation, key)))
    for reservation in pages(ec2, "describe_instances", "Reservations"):
        for instance in reservation["Instances"]:
            groups = {g["GroupId"] for i in instance["NetworkInterfaces"] for g in i["Groups"]}
            groups |= {g["GroupId"] for g in instance["SecurityGroups"]}
            found["aws_ec2_instance"] += 1
            found["aws_ec2_instance USES aws_ec2_volume"] += len(instance["BlockDeviceMappings"])
            found["aws_ec2_security_group PROTECTS aws_ec2_instance"] += len(groups)
    found["aws_lambda_function"] += len(list(pages(aws.client("lambda", region), "list_functions", "Functions")))
    for api in pages(gateway, "get_rest_apis", "items"):
        resources = pages(gateway, "get_resources", "items", restApiId=api["id"], embed=["methods"])
        methods = [m["methodIntegration"] for r in resources for m in r.get("resourceMethods", {}).values()]
        found["aws_apigateway_rest_api"] += 1
        found["aws_apigateway_rest_api TRIGGERS aws_lambda_function"] += len({m["uri"] for m in methods})
    for rule in pages(config, "describe_config_rules", "ConfigRules"):
        results = pages(config, "get_compliance_details_by_config_rule", "EvaluationResults", ConfigRuleName=rule["ConfigRuleName"])
        found["aws_config_rule"] += 1
        found["aws_config_rule EVALUATES aws_ec2_instance"] += len(list(results))


if __name__ == "__main__":
    print(json.dumps(count(Account(sys.argv[1], "111111111111"))))
