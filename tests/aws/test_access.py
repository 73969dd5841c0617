"""Who may do what: signatures, roles, session policies, reads only."""

import json
import unittest
from datetime import datetime, timedelta, timezone
from unittest import mock

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

import fill
from accounts import MAIN, OTHER, REGIONS
from asking import ADMIN, REGION, TOLD, Bed, assume, client, control, refused


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
        session = assume(ExternalId=TOLD["external_ids"][MAIN])
        other = assume(ExternalId=TOLD["external_ids"][MAIN])
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
        return self.raw(request)

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
        right = TOLD["external_ids"][MAIN]
        self.assertEqual(refused(self, "AccessDenied", assume), 403)
        refused(self, "AccessDenied", assume, ExternalId="guessed")
        refused(self, "AccessDenied", assume, OTHER, ExternalId=right)
        who = client("sts", assume(ExternalId=right)).get_caller_identity()
        self.assertEqual(who["Arn"], f"arn:aws:sts::{MAIN}:assumed-role/porthole/test")
        # A role that doesn't demand one may be entered without.
        self.assertTrue(assume(role=TOLD["open_roles"][OTHER]))
        refused(self, "AccessDenied", assume, role=f"arn:aws:iam::{MAIN}:role/nobody")
        refused(self, "AccessDenied", assume, role=f"arn:aws:iam::{MAIN}:role/direct")

    def test_an_external_id_can_be_another_one(self):
        former = TOLD["external_ids"][OTHER]
        control("external-id", {"account": OTHER, "value": "another"})
        try:
            refused(self, "AccessDenied", assume, OTHER, ExternalId=former)
            refused(self, "AccessDenied", assume, OTHER)
            self.assertTrue(assume(OTHER, ExternalId="another"))
        finally:
            control("external-id", {"account": OTHER, "value": former})
        self.assertTrue(assume(OTHER, ExternalId=former))

    def test_an_account_sees_its_own(self):
        names = {}
        for account in (MAIN, OTHER):
            session = assume(account, ExternalId=TOLD["external_ids"][account])
            names[account] = {b["Name"] for b in client("s3", session).list_buckets()["Buckets"]}
        self.assertEqual(names[OTHER], {"acme-other-data"})
        self.assertIn("acme-full", names[MAIN])

    def test_a_session_policy_is_a_limit_in_every_protocol(self):
        document = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": ["iam:ListUsers", "s3:GetBucketAcl"], "Resource": "*"}]}
        session = assume(ExternalId=TOLD["external_ids"][MAIN], Policy=json.dumps(document))
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
        session = assume(ExternalId=TOLD["external_ids"][MAIN], Policy=json.dumps(document))
        refused(self, "AccessDenied", assume, role=f"arn:aws:iam::{MAIN}:role/delegated", who=session)

    def test_limits_of_sessions(self):
        right = {"ExternalId": TOLD["external_ids"][MAIN]}
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


class Reads(Bed):
    def test_whatever_is_no_read_is_a_violation(self):
        refused(self, "UnknownOperation", client("iam").create_user, UserName="mallory")
        with self.assertRaises(ClientError):
            client("s3").get_object(Bucket="acme-full", Key="x")
        with self.assertRaises(ClientError):
            client("lambda").get_function(FunctionName="job-0")
        self.assertEqual(len(control("violations")), 3)
        names = [u["UserName"] for u in fill.Account(ADMIN, MAIN).client("iam").list_users()["Users"]]
        self.assertNotIn("mallory", names)

    def test_answers_look_like_the_providers(self):
        body = b"Action=ListRoles&Version=2010-05-08"
        request = AWSRequest("POST", "http://iam.amazonaws.com/", {
            "Content-Type": "application/x-www-form-urlencoded", "Host": "iam.amazonaws.com"}, body)
        reader = Credentials(TOLD["reader"]["key"], TOLD["reader"]["secret"])
        SigV4Auth(reader, "iam", REGION).add_auth(request)
        self.assertIn("<AssumeRolePolicyDocument>%7B%22Version%22%3A", self.raw(request)[1])
        self.assertTrue(client("iam").list_users()["Users"][0]["UserId"].startswith("AIDA"))
        host = "s3.us-east-1.amazonaws.com"
        request = AWSRequest("GET", f"http://{host}/acme-full?versioning", {"Host": host})
        S3SigV4Auth(reader, "s3", REGION).add_auth(request)
        self.assertIn("<VersioningConfiguration ", self.raw(request)[1])
        refused(self, "AWSOrganizationsNotInUseException", client("organizations").list_accounts)

    def test_requests_are_counted(self):
        client("ec2", region="eu-west-1").describe_vpcs()
        list(client("iam").get_paginator("list_users").paginate())
        self.assertEqual(control("counts"), {"ec2:DescribeVpcs@eu-west-1": 1, "iam:ListUsers@us-east-1": 3})

    def test_buckets_and_regions_are_where_they_are(self):
        names = [r["RegionName"] for r in client("ec2").describe_regions()["Regions"]]
        self.assertEqual(sorted(names), sorted(REGIONS))
        refused(self, "AuthFailure", client("ec2", region="eu-central-1").describe_vpcs)
        self.assertEqual(client("s3", region="eu-west-1").get_bucket_versioning(Bucket="acme-eu")["ResponseMetadata"]["HTTPStatusCode"], 200)
        # botocore would follow the redirect.
        host = "s3.eu-west-1.amazonaws.com"
        request = AWSRequest("GET", f"http://{host}/acme-full?versioning", {"Host": host})
        S3SigV4Auth(Credentials(TOLD["reader"]["key"], TOLD["reader"]["secret"]), "s3", "eu-west-1").add_auth(request)
        status, body = self.raw(request)
        self.assertEqual(status, 301)
        self.assertIn("PermanentRedirect", body)
        refused(self, "NoSuchBucketPolicy", client("s3").get_bucket_policy, Bucket="acme-bare")
        refused(self, "NoSuchTagSet", client("s3").get_bucket_tagging, Bucket="acme-bare")


if __name__ == "__main__":
    unittest.main()
