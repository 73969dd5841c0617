"""Lists come in pages, and whole."""

import unittest

import fill
from accounts import MAIN
from asking import ADMIN, Bed, client, control, refused

# Every list of the services that are always collected: service, operation, result, arguments.
LISTS = [
    ("iam", "list_users", "Users", {}), ("iam", "list_groups", "Groups", {}), ("iam", "list_roles", "Roles", {}),
    ("iam", "list_policies", "Policies", {"Scope": "Local"}), ("iam", "list_policies", "Policies", {"Scope": "AWS", "OnlyAttached": True}),
    ("iam", "get_group", "Users", {"GroupName": "developers"}),
    ("iam", "list_user_policies", "PolicyNames", {"UserName": "ann@acme.example"}),
    ("iam", "list_group_policies", "PolicyNames", {"GroupName": "developers"}),
    ("iam", "list_role_policies", "PolicyNames", {"RoleName": "service-lambda"}),
    ("iam", "list_account_aliases", "AccountAliases", {}),
    ("ec2", "describe_instances", "Reservations", {}), ("ec2", "describe_volumes", "Volumes", {}),
    ("ec2", "describe_security_groups", "SecurityGroups", {}), ("ec2", "describe_vpcs", "Vpcs", {}),
    ("ec2", "describe_subnets", "Subnets", {}), ("ec2", "describe_network_interfaces", "NetworkInterfaces", {}),
    ("lambda", "list_functions", "Functions", {}), ("apigateway", "get_rest_apis", "items", {}),
    ("config", "describe_config_rules", "ConfigRules", {}),
    ("config", "describe_compliance_by_config_rule", "ComplianceByConfigRules", {}),
    ("config", "get_compliance_details_by_config_rule", "EvaluationResults", {"ConfigRuleName": "mfa-for-users"}),
    ("kms", "list_keys", "Keys", {}), ("kms", "list_aliases", "Aliases", {}),
]
ENTITIES = ("list_entities_for_policy", {"PolicyArn": f"arn:aws:iam::{MAIN}:policy/everywhere", "PolicyUsageFilter": "PermissionsPolicy"})


class Pages(Bed):
    def both(self, service, operation, arguments, *keys):
        """The pages of the checked port, and the whole list of the other one."""
        checked = list(client(service).get_paginator(operation).paginate(**arguments))
        whole = fill.Account(ADMIN, MAIN).client(service).get_paginator(operation).paginate(**arguments)
        join = lambda pages: [[repr(i) for p in pages for i in p.get(key, [])] for key in keys]
        return checked, join(checked), join(whole)

    def test_every_list_comes_in_pages_and_whole(self):
        for service, operation, key, arguments in LISTS:
            with self.subTest(f"{service} {operation}"):
                checked, ours, whole = self.both(service, operation, arguments, key)
                self.assertEqual(ours, whole)
                self.assertTrue(all(len(page.get(key, [])) <= 3 for page in checked))
                self.assertEqual(len(checked), max(1, -(-len(whole[0]) // 3)))
        self.assertEqual(control("violations"), [])

    def test_the_lists_that_matter_have_more_than_one_page(self):
        single = {"list_account_aliases", "list_keys", "list_aliases"}
        for service, operation, key, arguments in LISTS:
            if operation not in single and arguments != {"Scope": "AWS", "OnlyAttached": True}:
                whole = self.both(service, operation, arguments, key)[2][0]
                self.assertGreater(len(whole), 3, f"{service} {operation}")

    def test_one_answer_of_three_lists(self):
        operation, arguments = ENTITIES
        checked, ours, whole = self.both("iam", operation, arguments, "PolicyGroups", "PolicyUsers", "PolicyRoles")
        self.assertEqual(ours, whole)
        self.assertEqual([len(part) for part in whole], [2, 3, 4])
        self.assertEqual(len(checked), 3)

    def test_buckets_page_only_when_asked(self):
        self.assertEqual(len(client("s3").list_buckets()["Buckets"]), 5)
        pages = list(client("s3").get_paginator("list_buckets").paginate(PaginationConfig={"PageSize": 2}))
        self.assertEqual([len(page["Buckets"]) for page in pages], [2, 2, 1])
        self.assertTrue(all(b["BucketRegion"] for page in pages for b in page["Buckets"]))
        found = client("s3").list_bucket_inventory_configurations(Bucket="acme-full")
        again = client("s3").list_bucket_inventory_configurations(Bucket="acme-full", ContinuationToken=found["NextContinuationToken"])
        self.assertEqual([len(p["InventoryConfigurationList"]) for p in (found, again)], [3, 1])

    def test_the_paths_of_an_api_page(self):
        apis = client("apigateway").get_paginator("get_rest_apis").paginate()
        api = next(a["id"] for page in apis for a in page["items"] if a["name"] == "shop")
        checked, _, whole = self.both("apigateway", "get_resources", {"restApiId": api}, "items")
        self.assertEqual((len(checked), len(whole[0])), (3, 7))
        methods = lambda pages: [m for p in pages for i in p["items"] for m in i.get("resourceMethods", {}).values()]
        self.assertFalse(any(methods(checked)))
        embedded = client("apigateway").get_paginator("get_resources").paginate(restApiId=api, embed=["methods"])
        found = sorted(m["methodIntegration"]["type"] for m in methods(embedded))
        self.assertEqual(found, ["AWS", "AWS_PROXY", "AWS_PROXY", "AWS_PROXY", "HTTP", "MOCK"])

    def test_boundaries_count_unless_they_are_filtered_out(self):
        policy = {"PolicyArn": f"arn:aws:iam::{MAIN}:policy/boundary-only"}
        self.assertEqual([r["RoleName"] for r in client("iam").list_entities_for_policy(**policy)["PolicyRoles"]], ["bounded"])
        filtered = client("iam").list_entities_for_policy(**policy, PolicyUsageFilter="PermissionsPolicy")
        self.assertEqual(filtered["PolicyRoles"], [])

    def test_a_token_is_good_for_its_own_request_alone(self):
        iam = client("iam")
        token = iam.list_users()["Marker"]
        self.assertTrue(iam.list_users(Marker=token)["Users"])
        for act, more in [(iam.list_roles, {}), (iam.list_users, {"PathPrefix": "/dev/"})]:
            refused(self, "ValidationError", act, Marker=token, **more)
        refused(self, "ValidationError", iam.list_users, Marker="1")
        refused(self, "InvalidParameterValue", client("ec2").describe_vpcs, NextToken=token)
        refused(self, "InvalidNextTokenException", client("config").describe_config_rules, NextToken="x")
        refused(self, "BadRequestException", client("apigateway").get_rest_apis, position="x")


if __name__ == "__main__":
    unittest.main()
