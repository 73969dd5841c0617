"""The bed itself holds what it promises. Run by the Python that `scripts/aws-emulator.sh` set up: `python -B test_bed.py`."""

import json
import socket
import subprocess
import sys
import time
import unittest
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path
from unittest import mock

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

import fill
import oracle
import wire

HERE = Path(__file__).parent
REGION = "us-east-1"
real_getaddrinfo = socket.getaddrinfo


def on_loopback(host, *rest, **more):
    """Every host of the provider is this machine."""
    name = host.decode() if isinstance(host, bytes) else host
    return real_getaddrinfo("127.0.0.1" if name.endswith(".amazonaws.com") else name, *rest, **more)


def start():
    process = subprocess.Popen([sys.executable, "-B", str(HERE / "emulator.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    return process, json.loads(process.stdout.readline())


def setUpModule():
    global PROCESS, TOLD, ADMIN
    mock.patch("socket.getaddrinfo", on_loopback).start()
    PROCESS, TOLD = start()
    ADMIN = f"http://127.0.0.1:{TOLD['admin']}"


def tearDownModule():
    PROCESS.stdin.close()
    PROCESS.wait(10)
    PROCESS.stdout.close()


def control(name, value=None):
    data = None if value is None else json.dumps(value).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{ADMIN}/_bed/{name}", data)) as answer:
        return json.load(answer)


def host(service, region):
    prefix = wire.MODELS.get_service_model(service).endpoint_prefix
    return f"{prefix}.amazonaws.com" if service in ("iam", "route53", "cloudfront") else f"{prefix}.{region}.amazonaws.com"


def client(service, who=None, region=REGION, **more):
    """A client of the checked port. `who` has `key`, `secret` and perhaps `token`."""
    who = who or TOLD["reader"]
    keys = {"aws_access_key_id": who["key"], "aws_secret_access_key": who["secret"], "aws_session_token": who.get("token")}
    url = f"http://{host(service, region)}:{TOLD['port']}"
    return fill.SESSION.client(service, region, endpoint_url=url, **keys, config=Config(
        retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, parameter_validation=False, **more))


def assume(account=fill.MAIN, role=None, who=None, **more):
    sts = client("sts", who or TOLD["platform"])
    found = sts.assume_role(RoleArn=role or TOLD["roles"][account], RoleSessionName="test", **more)["Credentials"]
    return {"key": found["AccessKeyId"], "secret": found["SecretAccessKey"], "token": found["SessionToken"]}


def refused(test, code, act, *rest, **more):
    with test.assertRaises(ClientError) as caught:
        act(*rest, **more)
    test.assertEqual(caught.exception.response["Error"]["Code"], code)
    return caught.exception.response["ResponseMetadata"]["HTTPStatusCode"]


class Bed(unittest.TestCase):
    def setUp(self):
        for name, value in [("page-size", 3), ("deny", []), ("throttle", {}), ("reset", 0)]:
            control(name, value)


class Signatures(Bed):
    def test_a_right_signature_is_accepted_in_every_protocol(self):
        self.assertTrue(client("iam").list_users()["Users"])
        self.assertTrue(client("ec2", region="eu-west-1").describe_vpcs()["Vpcs"])
        self.assertTrue(client("config").describe_config_rules()["ConfigRules"])
        self.assertTrue(client("lambda").list_functions()["Functions"])
        self.assertTrue(client("apigateway").get_rest_apis()["items"])
        self.assertTrue(client("s3").list_buckets()["Buckets"])
        self.assertTrue(client("s3").get_bucket_acl(Bucket="acme-full")["Grants"])
        self.assertEqual(control("violations"), [])

    def test_a_wrong_secret_is_refused_in_each_protocols_words(self):
        wrong = {**TOLD["reader"], "secret": "x" * 40}
        self.assertEqual(refused(self, "SignatureDoesNotMatch", client("iam", wrong).list_users), 403)
        self.assertEqual(refused(self, "SignatureDoesNotMatch", client("ec2", wrong).describe_vpcs), 403)
        self.assertEqual(refused(self, "InvalidSignatureException", client("config", wrong).describe_config_rules), 400)
        self.assertEqual(refused(self, "InvalidSignatureException", client("lambda", wrong).list_functions), 403)
        self.assertEqual(refused(self, "SignatureDoesNotMatch", client("s3", wrong).list_buckets), 403)

    def test_an_unknown_key_or_a_token_of_another_is_refused(self):
        refused(self, "InvalidClientTokenId", client("iam", {"key": "AKIANOBODY", "secret": "x"}).list_users)
        session = assume(ExternalId=TOLD["external_ids"][fill.MAIN])
        other = assume(ExternalId=TOLD["external_ids"][fill.MAIN])
        refused(self, "InvalidClientTokenId", client("iam", {**session, "token": other["token"]}).list_users)
        refused(self, "InvalidClientTokenId", client("iam", {**session, "token": None}).list_users)
        control("expire", 0)
        refused(self, "ExpiredToken", client("iam", session).list_users)

    def send(self, change=lambda request: None, region=REGION, service="iam", at=None):
        """A request that botocore signs and `change` spoils. Gives status and body."""
        body = b"Action=ListGroups&Version=2010-05-08"
        request = AWSRequest("POST", "http://iam.amazonaws.com/", {
            "Content-Type": "application/x-www-form-urlencoded; charset=utf-8", "Host": "iam.amazonaws.com"}, body)
        signer = SigV4Auth(Credentials(TOLD["reader"]["key"], TOLD["reader"]["secret"]), service, region)
        with mock.patch("botocore.auth.get_current_datetime", lambda: at or datetime.now(timezone.utc)):
            signer.add_auth(request)
        change(request)
        raw = urllib.request.Request(f"http://127.0.0.1:{TOLD['port']}/", request.data, dict(request.headers.items()))
        try:
            with urllib.request.urlopen(raw) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def test_what_was_signed_is_what_was_sent(self):
        self.assertEqual(self.send()[0], 200)

        def other_body(request):
            request.data = b"Action=ListUsers&Version=2010-05-08"

        def unsigned_header(request):
            request.headers["X-Amz-Anything"] = "1"

        def other_date(request):
            del request.headers["X-Amz-Date"]
            request.headers["X-Amz-Date"] = datetime.now(timezone.utc).strftime("%Y%m%dT000001Z")

        for change in (other_body, unsigned_header, other_date):
            status, body = self.send(change)
            self.assertEqual(status, 403, change.__name__)
            self.assertIn("<Code>SignatureDoesNotMatch</Code>", body)

    def test_region_service_and_time_have_to_be_right(self):
        now = datetime.now(timezone.utc)
        self.assertIn("correct service: 'iam'", self.send(service="sts")[1])
        self.assertIn("valid region, not 'eu-west-1'", self.send(region="eu-west-1")[1])
        for minutes, status in [(-14, 200), (14, 200), (-16, 403), (16, 403)]:
            self.assertEqual(self.send(at=now + timedelta(minutes=minutes))[0], status, minutes)


class Roles(Bed):
    def test_the_external_id_decides(self):
        right = TOLD["external_ids"][fill.MAIN]
        self.assertEqual(refused(self, "AccessDenied", assume), 403)
        refused(self, "AccessDenied", assume, ExternalId="guessed")
        refused(self, "AccessDenied", assume, fill.OTHER, ExternalId=right)
        who = client("sts", assume(ExternalId=right)).get_caller_identity()
        self.assertEqual(who["Arn"], f"arn:aws:sts::{fill.MAIN}:assumed-role/porthole/test")
        # A role that doesn't demand one may be entered without.
        self.assertTrue(assume(role=TOLD["open_roles"][fill.OTHER]))
        refused(self, "AccessDenied", assume, role=f"arn:aws:iam::{fill.MAIN}:role/nobody")
        refused(self, "AccessDenied", assume, role=f"arn:aws:iam::{fill.MAIN}:role/direct")

    def test_an_account_sees_its_own(self):
        names = {}
        for account in (fill.MAIN, fill.OTHER):
            session = assume(account, ExternalId=TOLD["external_ids"][account])
            names[account] = {b["Name"] for b in client("s3", session).list_buckets()["Buckets"]}
        self.assertEqual(names[fill.OTHER], {"acme-other-data"})
        self.assertIn("acme-full", names[fill.MAIN])

    def test_a_session_policy_is_a_limit_in_every_protocol(self):
        document = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": ["iam:ListUsers", "s3:GetBucketAcl"], "Resource": "*"}]}
        session = assume(ExternalId=TOLD["external_ids"][fill.MAIN], Policy=json.dumps(document))
        self.assertTrue(client("iam", session).list_users()["Users"])
        self.assertTrue(client("s3", session).get_bucket_acl(Bucket="acme-full"))
        for code, status, act in [
            ("AccessDenied", 403, client("iam", session).list_roles), ("UnauthorizedOperation", 403, client("ec2", session).describe_vpcs),
            ("AccessDeniedException", 400, client("config", session).describe_config_rules),
            ("AccessDeniedException", 403, client("lambda", session).list_functions),
            ("AccessDenied", 403, client("s3", session).list_buckets)]:
            self.assertEqual(refused(self, code, act), status)
        self.assertEqual(control("sessions")[-1]["policies"], [document])

    def test_a_session_policy_gives_nothing_that_the_role_lacks(self):
        document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
        session = assume(ExternalId=TOLD["external_ids"][fill.MAIN], Policy=json.dumps(document))
        refused(self, "AccessDenied", assume, role=f"arn:aws:iam::{fill.MAIN}:role/delegated", who=session)

    def test_limits_of_sessions(self):
        right = {"ExternalId": TOLD["external_ids"][fill.MAIN]}
        refused(self, "ValidationError", assume, **right, DurationSeconds=899)
        refused(self, "ValidationError", assume, **right, DurationSeconds=7201)
        refused(self, "ValidationError", assume, **right, Policy="x" * 2049)
        refused(self, "MalformedPolicyDocument", assume, **right, Policy="{}")

    def test_what_is_denied_is_denied_where_it_is_denied(self):
        control("deny", ["iam:ListUsers", "ec2:DescribeVolumes@eu-west-1"])
        refused(self, "AccessDenied", client("iam").list_users)
        refused(self, "UnauthorizedOperation", client("ec2", region="eu-west-1").describe_volumes)
        self.assertTrue(client("ec2").describe_volumes()["Volumes"])
        control("throttle", {"ec2:DescribeVpcs": 1, "iam:ListRoles@us-east-1": 1})
        refused(self, "RequestLimitExceeded", client("ec2").describe_vpcs)
        refused(self, "Throttling", client("iam").list_roles)
        self.assertTrue(client("ec2").describe_vpcs()["Vpcs"])


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
ENTITIES = ("list_entities_for_policy", {"PolicyArn": f"arn:aws:iam::{fill.MAIN}:policy/everywhere", "PolicyUsageFilter": "PermissionsPolicy"})


class Pages(Bed):
    def both(self, service, operation, arguments, *keys):
        """The pages of the checked port, and the whole list of the other one."""
        checked = list(client(service).get_paginator(operation).paginate(**arguments))
        whole = fill.Account(ADMIN, fill.MAIN).client(service).get_paginator(operation).paginate(**arguments)
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
        api = next(a["id"] for page in client("apigateway").get_paginator("get_rest_apis").paginate() for a in page["items"] if a["name"] == "shop")
        checked, ours, whole = self.both("apigateway", "get_resources", {"restApiId": api}, "items")
        self.assertEqual((len(checked), len(whole[0])), (3, 7))
        self.assertEqual(ours, whole)

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


class Reads(Bed):
    def test_whatever_is_no_read_is_a_violation(self):
        refused(self, "UnknownOperation", client("iam").create_user, UserName="mallory")
        with self.assertRaises(ClientError):
            client("s3").get_object(Bucket="acme-full", Key="x")
        with self.assertRaises(ClientError):
            client("lambda").get_function(FunctionName="job-0")
        self.assertEqual(len(control("violations")), 3)
        names = [u["UserName"] for u in fill.Account(ADMIN, fill.MAIN).client("iam").list_users()["Users"]]
        self.assertNotIn("mallory", names)

    def test_requests_are_counted(self):
        client("ec2", region="eu-west-1").describe_vpcs()
        list(client("iam").get_paginator("list_users").paginate())
        self.assertEqual(control("counts"), {"ec2:DescribeVpcs@eu-west-1": 1, "iam:ListUsers@us-east-1": 3})

    def test_buckets_and_regions_are_where_they_are(self):
        names = [r["RegionName"] for r in client("ec2").describe_regions()["Regions"]]
        self.assertEqual(sorted(names), sorted(fill.REGIONS))
        refused(self, "AuthFailure", client("ec2", region="eu-central-1").describe_vpcs)
        self.assertEqual(client("s3", region="eu-west-1").get_bucket_versioning(Bucket="acme-eu")["ResponseMetadata"]["HTTPStatusCode"], 200)
        status, body = self.raw_versioning("acme-full", "eu-west-1")
        self.assertEqual(status, 301)
        self.assertIn("PermanentRedirect", body)
        refused(self, "NoSuchBucketPolicy", client("s3").get_bucket_policy, Bucket="acme-bare")
        refused(self, "NoSuchTagSet", client("s3").get_bucket_tagging, Bucket="acme-bare")

    def raw_versioning(self, bucket, region):
        """botocore follows such a redirect by itself, so this asks without it."""
        from botocore.auth import S3SigV4Auth

        url = f"http://s3.{region}.amazonaws.com/{bucket}?versioning"
        request = AWSRequest("GET", url, {"Host": f"s3.{region}.amazonaws.com"})
        S3SigV4Auth(Credentials(TOLD["reader"]["key"], TOLD["reader"]["secret"]), "s3", region).add_auth(request)
        raw = urllib.request.Request(f"http://127.0.0.1:{TOLD['port']}/{bucket}?versioning", headers=dict(request.headers.items()))
        try:
            with urllib.request.urlopen(raw) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


class Oracle(Bed):
    def lines(self, admin, account):
        return oracle.expect(fill.Account(f"http://127.0.0.1:{admin}", account), fill.REGIONS).lines()

    def test_two_beds_are_the_same(self):
        process, told = start()
        try:
            for account in (fill.MAIN, fill.OTHER):
                self.assertEqual(self.lines(TOLD["admin"], account), self.lines(told["admin"], account))
        finally:
            process.stdin.close()
            process.wait(10)
            process.stdout.close()

    def test_every_relationship_of_the_base_is_there(self):
        lines = [json.loads(line) for line in self.lines(TOLD["admin"], fill.MAIN)]
        kinds = {line["key"]: line["entity"] for line in lines if "entity" in line}
        found = {f"{kinds[line['from']]} {line['verb']} {kinds[line['to']]}" for line in lines if "from" in line}
        self.assertEqual(sorted(WANTED - found), [])


WANTED = {line.strip() for line in """
aws_account HAS aws_apigateway
aws_apigateway HAS aws_apigateway_rest_api
aws_apigateway_rest_api TRIGGERS aws_lambda_function
aws_config HAS aws_config_rule
aws_config_rule EVALUATES aws_account
aws_config_rule EVALUATES aws_ec2_instance
aws_config_rule EVALUATES aws_ec2_security_group
aws_config_rule EVALUATES aws_ec2_volume
aws_config_rule EVALUATES aws_iam_user
aws_config_rule EVALUATES aws_iam_group
aws_config_rule EVALUATES aws_iam_role
aws_config_rule EVALUATES aws_s3_bucket
aws_ec2 HAS aws_ec2_instance
aws_ec2_instance USES aws_ec2_volume
aws_ec2_security_group PROTECTS aws_ec2_instance
aws_ec2_vpc CONTAINS aws_ec2_subnet
aws_iam HAS aws_iam_managed_policy
aws_iam HAS aws_iam_role_policy
aws_iam_group HAS aws_iam_group_policy
aws_iam_group CONTAINS aws_iam_user
aws_iam_group HAS aws_iam_managed_policy
aws_iam_role HAS aws_iam_managed_policy
aws_iam_user HAS aws_iam_managed_policy
aws_iam_user HAS aws_iam_user_policy
aws_lambda_function HAS aws_iam_role
aws_s3 HAS aws_s3_bucket
aws_iam_user IS person
aws_iam_user CAN_ASSUME aws_iam_role
aws_iam_role CAN_ASSUME aws_iam_role
aws_ec2 CAN_ASSUME aws_iam_role
aws_lambda CAN_ASSUME aws_iam_role
aws_s3 CAN_ASSUME aws_iam_role
aws_apigateway CAN_ASSUME aws_iam_role
aws_config CAN_ASSUME aws_iam_role
aws_service CAN_ASSUME aws_iam_role
aws_iam_saml_provider CAN_ASSUME aws_iam_role
aws_iam_oidc_provider CAN_ASSUME aws_iam_role
federated_provider CAN_ASSUME aws_iam_role
aws_account CAN_ASSUME aws_iam_role
everyone CAN_ASSUME aws_iam_role
aws_ec2_security_group ALLOWS internet
aws_ec2_security_group ALLOWS network
aws_ec2_security_group ALLOWS host
aws_ec2_security_group ALLOWS aws_ec2_security_group
aws_ec2_security_group ALLOWS prefix_list
""".split("\n") if line.strip()}

if __name__ == "__main__":
    unittest.main()
