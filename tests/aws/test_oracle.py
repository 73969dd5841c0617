"""What the oracle says is always the same, and has everything."""

import json
import unittest

import fill
import oracle
from accounts import MAIN, OTHER, REGIONS
from asking import TOLD, Bed, start, stop

# Every relationship of the base, between which types.
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


class Oracle(Bed):
    def lines(self, admin, account):
        return oracle.expect(fill.Account(f"http://127.0.0.1:{admin}", account), REGIONS).lines()

    def test_two_beds_are_the_same(self):
        process, told = start()
        try:
            for account in (MAIN, OTHER):
                self.assertEqual(self.lines(TOLD["admin"], account), self.lines(told["admin"], account))
        finally:
            stop(process)

    def test_every_relationship_of_the_base_is_there(self):
        lines = [json.loads(line) for line in self.lines(TOLD["admin"], MAIN)]
        kinds = {line["key"]: line["entity"] for line in lines if "entity" in line}
        found = {f"{kinds[line['from']]} {line['verb']} {kinds[line['to']]}" for line in lines if "from" in line}
        self.assertEqual(sorted(WANTED - found), [])


if __name__ == "__main__":
    unittest.main()
