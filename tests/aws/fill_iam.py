"""Users, groups, policies and roles: what the derivations of a collector can meet."""

import json

from accounts import MAIN as HERE, OTHER as THERE, PLATFORM

ANN = f"arn:aws:iam::{HERE}:user/dev/ann@acme.example"
BOB = f"arn:aws:iam::{HERE}:user/bob.smith@Acme.Example"

# User name and path. The first ones are e-mail addresses, the next only look like it.
USERS = [("ann@acme.example", "/dev/"), ("bob.smith@Acme.Example", "/"), ("sam+aws@acme.example", "/"),
         ("nodot@localhost", "/"), ("a@b@c.example", "/"), ("ci-deploy", "/bots/"), ("eve", "/"), ("zoe", "/"),
         ("porthole-reader", "/")]
GROUPS = {"admins": "/", "developers": "/eng/", "auditors": "/", "empty": "/"}
MEMBERS = {"admins": ["eve"], "developers": ["ann@acme.example", "bob.smith@Acme.Example", "ci-deploy", "zoe", "eve"],
           "auditors": ["porthole-reader", "sam+aws@acme.example"]}


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action, resource="*", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def trust(principal, action="sts:AssumeRole", effect="Allow", **more):
    return {"Effect": effect, "Principal": principal, "Action": action, **more}


def federated(arn, action, **more):
    return trust({"Federated": arn}, action, **more)


# What the collector needs beyond SecurityAudit.
ADDITIONAL = document(allow(["cloudwatch:GetMetricData", "batch:Describe*", "batch:ListJobs", "s3:GetReplicationConfiguration",
                             "transfer:List*", "workspaces:Describe*", "workspaces:List*", "apigateway:GET"]))
SAML = f"arn:aws:iam::{HERE}:saml-provider/okta"
OIDC = f"arn:aws:iam::{HERE}:oidc-provider/token.actions.githubusercontent.com"
ROOT, ROOT_THERE = f"arn:aws:iam::{HERE}:root", f"arn:aws:iam::{THERE}:root"

# Trust policies by the name of their role.
ROLES = {
    "service-ec2": [trust({"Service": "ec2.amazonaws.com"})],
    "service-lambda": [trust({"Service": "lambda.amazonaws.com"})],
    "service-config": [trust({"Service": ["config.amazonaws.com", "s3.amazonaws.com"]})],
    "service-several": [trust({"Service": ["ecs-tasks.amazonaws.com", "apigateway.amazonaws.com"]})],
    "service-and-root": [trust({"Service": "states.amazonaws.com", "AWS": ROOT})],
    "delegated": [trust({"AWS": HERE})],
    "delegated-with-mfa": [trust({"AWS": ROOT}, Condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}})],
    "vendor": [trust({"AWS": ROOT_THERE}, Condition={"StringEquals": {"sts:ExternalId": "a vendor's id"}})],
    "vendor-two-ways": [trust({"AWS": ROOT_THERE}, Condition={"StringEquals": {"sts:ExternalId": "x"}}),
                        trust({"AWS": THERE})],
    "everyone": [trust("*")],
    "everyone-of-the-organisation": [trust({"AWS": "*"}, Condition={"StringEquals": {"aws:PrincipalOrgID": "o-1"}})],
    "direct": [trust({"AWS": [ANN, f"arn:aws:iam::{THERE}:role/ci"]}, ["sts:TagSession", "STS:assume*"])],
    "deny-bob": [trust({"AWS": [ANN, BOB]}), trust({"AWS": BOB}, effect="Deny")],
    "deny-account": [trust({"AWS": [f"arn:aws:iam::{THERE}:role/ci", ANN]}), trust({"AWS": ROOT_THERE}, effect="Deny")],
    "deny-everyone": [trust({"Service": "ec2.amazonaws.com"}), trust("*", "sts:*", effect="Deny")],
    "deny-sometimes": [trust({"AWS": ANN}), trust("*", effect="Deny",
                                                  Condition={"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}})],
    "spared": [trust({"AWS": [ANN, BOB]}),
               {"Effect": "Deny", "NotPrincipal": {"AWS": [ANN, ROOT]}, "Action": "sts:AssumeRole"}],
    "saml": [federated(SAML, "sts:AssumeRoleWithSAML", Condition={"StringEquals": {"SAML:aud": "https://signin.aws.amazon.com/saml"}})],
    "saml-by-mistake": [federated(SAML, "sts:AssumeRole")],
    "oidc": [federated(OIDC, "sts:AssumeRoleWithWebIdentity",
                       Condition={"StringLike": {"token.actions.githubusercontent.com:sub": "repo:acme/*"}})],
    "cognito": [federated("cognito-identity.amazonaws.com", "sts:AssumeRoleWithWebIdentity")],
    "chain-1": [trust({"Service": "ec2.amazonaws.com"})],
    "chain-2": [trust({"AWS": f"arn:aws:iam::{HERE}:role/path/chain-1"})],
    "chain-3": [trust({"AWS": [f"arn:aws:iam::{HERE}:role/path/chain-2", f"arn:aws:iam::{HERE}:role/path/chain-3"]})],
    "session": [trust({"AWS": [f"arn:aws:sts::{THERE}:assumed-role/ci/deploy-bot",
                               f"arn:aws:sts::{HERE}:assumed-role/chain-1/i-1"]})],
    "leftovers": [trust({"AWS": ["AIDAEXAMPLEID", "AROAEXAMPLEID", ANN, f"arn:aws:iam::{HERE}:group/admins",
                                 f"arn:aws:iam::{HERE}:user/*"]})],
    "tags-only": [trust({"AWS": ANN}, "sts:TagSession")],
    "govcloud": [trust({"AWS": "arn:aws-us-gov:iam::222222222222:role/x"})],
}
# Roles with a path: a session's ARN has none.
PATHS = {"chain-1": "/path/", "chain-2": "/path/", "chain-3": "/path/"}

POLICIES = {
    "everywhere": document(allow("s3:ListAllMyBuckets")),
    "versions": document(allow("ec2:*")),
    "nowhere": document(allow("sqs:*")),
    "boundary-only": document({"Effect": "Allow", "NotAction": "sts:*", "Resource": "*"}),
    "may-assume": document(allow("sts:AssumeRole", [f"arn:aws:iam::{HERE}:role/delegated", f"arn:aws:iam::{HERE}:role/dele*mfa"])),
    "may-assume-with-mfa": document(allow("sts:Assume*", Condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}})),
    "may-not-assume": document({"Effect": "Deny", "Action": "sts:AssumeRole", "Resource": "*"}),
}


def trust_policy(external_id):
    """The collector's account is trusted, with this external id; without any, if there is none."""
    condition = {"Condition": {"StringEquals": {"sts:ExternalId": external_id}}} if external_id else {}
    return document(trust({"AWS": f"arn:aws:iam::{PLATFORM}:root"}, **condition))


def integration(account, external_id):
    """The role that the collector takes, one without external id, and what both may do."""
    iam = account.client("iam")
    for name, wanted in {"porthole": external_id, "porthole-open": None}.items():
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust_policy(wanted), MaxSessionDuration=7200)
        iam.attach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/SecurityAudit")
        iam.put_role_policy(RoleName=name, PolicyName="additional", PolicyDocument=ADDITIONAL)


def main(account):
    iam = account.client("iam")
    iam.create_account_alias(AccountAlias="acme-main")
    iam.update_account_password_policy(MinimumPasswordLength=14, RequireSymbols=True)
    policies = {name: iam.create_policy(PolicyName=name, PolicyDocument=text, Path="/" if name != "nowhere" else "/spare/")
                ["Policy"]["Arn"] for name, text in POLICIES.items()}
    iam.create_policy_version(PolicyArn=policies["versions"], PolicyDocument=document(allow("ec2:Describe*")), SetAsDefault=True)
    for name, path in USERS:
        iam.create_user(UserName=name, Path=path, Tags=[{"Key": "team", "Value": "core"}])
    people(iam, policies)
    iam.create_saml_provider(Name="okta", SAMLMetadataDocument="x" * 1024)
    iam.create_open_id_connect_provider(Url="https://token.actions.githubusercontent.com", ThumbprintList=["0" * 40])
    for name, statements in ROLES.items():
        iam.create_role(RoleName=name, Path=PATHS.get(name, "/"), AssumeRolePolicyDocument=document(*statements))
    for name in ["service-ec2", "service-lambda", "service-config", "chain-1"]:
        iam.attach_role_policy(RoleName=name, PolicyArn=policies["everywhere"])
    iam.attach_role_policy(RoleName="chain-2", PolicyArn=policies["may-assume"])
    for number in range(4):
        iam.put_role_policy(RoleName="service-lambda", PolicyName=f"inline-{number}", PolicyDocument=POLICIES["everywhere"])
    iam.put_role_policy(RoleName="chain-3", PolicyName="assume-all", PolicyDocument=document(allow("*")))
    # Allowed by its own policy, forbidden by its boundary.
    iam.create_role(RoleName="bounded", AssumeRolePolicyDocument=document(trust({"Service": "ec2.amazonaws.com"})),
                    PermissionsBoundary=policies["boundary-only"])
    iam.put_role_policy(RoleName="bounded", PolicyName="assume-all", PolicyDocument=document(allow("*")))


def people(iam, policies):
    for name, path in GROUPS.items():
        iam.create_group(GroupName=name, Path=path)
        for user in MEMBERS.get(name, []):
            iam.add_user_to_group(GroupName=name, UserName=user)
    for user in ["ann@acme.example", "bob.smith@Acme.Example", "zoe"]:
        iam.attach_user_policy(UserName=user, PolicyArn=policies["everywhere"])
    for group in ["admins", "developers"]:
        iam.attach_group_policy(GroupName=group, PolicyArn=policies["everywhere"])
    iam.attach_group_policy(GroupName="developers", PolicyArn=policies["may-assume-with-mfa"])
    iam.attach_group_policy(GroupName="admins", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    iam.attach_user_policy(UserName="porthole-reader", PolicyArn="arn:aws:iam::aws:policy/SecurityAudit")
    iam.put_user_policy(UserName="porthole-reader", PolicyName="additional", PolicyDocument=ADDITIONAL)
    iam.attach_user_policy(UserName="sam+aws@acme.example", PolicyArn="arn:aws:iam::aws:policy/job-function/ViewOnlyAccess")
    iam.attach_user_policy(UserName="ci-deploy", PolicyArn=policies["may-assume"])
    iam.attach_user_policy(UserName="eve", PolicyArn=policies["may-not-assume"])
    for number in range(4):
        iam.put_user_policy(UserName="ann@acme.example", PolicyName=f"inline-{number}", PolicyDocument=POLICIES["everywhere"])
        iam.put_group_policy(GroupName="developers", PolicyName=f"inline-{number}", PolicyDocument=POLICIES["everywhere"])
    iam.create_access_key(UserName="ci-deploy")


def other(account):
    """The second account: what crosses from one to the other, and little else."""
    iam = account.client("iam")
    iam.create_user(UserName="eve")
    iam.create_user(UserName="ann@acme.example")
    iam.create_role(RoleName="ci", AssumeRolePolicyDocument=document(trust({"Service": "codebuild.amazonaws.com"})))
    iam.create_role(RoleName="from-main", AssumeRolePolicyDocument=document(trust({"AWS": f"arn:aws:iam::{HERE}:role/porthole"})))
    iam.put_role_policy(RoleName="ci", PolicyName="assume", PolicyDocument=document(allow("sts:AssumeRole")))
    iam.attach_user_policy(UserName="ann@acme.example", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
