"""Where the emulator answers otherwise than the provider, and a collector could take advantage of it."""

import json
import re
from html import unescape
from urllib.parse import quote

from moto.iam.models import Group, User, iam_backends
from moto.organizations.models import organizations_backends
from moto.s3.models import s3_backends

import paging
from wire import Refused

# What S3 calls the roots of two answers.
ROOTS = {"GetBucketVersioningResponse": "VersioningConfiguration",
         "ListBucketInventoryConfigurationsResponse": "ListInventoryConfigurationsResult"}


def unique_ids():
    """Ids of users and groups begin as the provider's do."""
    for kind, prefix in ((User, "AIDA"), (Group, "AGPA")):
        def made(self, *rest, original=kind.__init__, prefix=prefix, **more):
            original(self, *rest, **more)
            self.id = (prefix + self.id.upper())[:21]
        kind.__init__ = made


def correct(state, call, status, headers, body):
    """The emulator's answer as the provider would give it."""
    service, operation = call.service.service_name, call.operation.name
    if status != 200:
        return status, headers, body
    if service == "organizations" and organizations_backends[call.account]["aws"].org is None:
        raise Refused(400, "AWSOrganizationsNotInUseException", "Your account is not a member of an organization.")
    if service == "iam":
        body = encoded_documents(body)
    if service == "s3":
        for theirs, right in ROOTS.items():
            body = re.sub(rf"(</?){theirs}\b".encode(), rf"\g<1>{right}".encode(), body)
    change = CHANGES.get((service, operation))
    return status, headers, change(state, call, body) if change else body


def encoded_documents(body):
    """Every policy document in IAM's answers is URL-encoded; the emulator forgets some."""
    def encode(match):
        tag, text = match.groups()
        text = unescape(text)
        return f"<{tag}>{text if text.startswith('%') else quote(text, safe='')}</{tag}>"

    names = "Document|PolicyDocument|AssumeRolePolicyDocument"
    return re.sub(rf"<({names})>([^<]+)</\1>", encode, body.decode()).encode()


def enabled_regions(state, call, body):
    """The emulator has every region; the accounts are enabled in some."""
    keep = lambda item: re.search(r"<regionName>(.*?)</regionName>", item.group(0)).group(1) in state.regions
    return re.sub(r"<item>.*?</item>", lambda m: m.group(0) if keep(m) else "", body.decode(), flags=re.S).encode()


def bucket_regions(state, call, body):
    """A list of buckets says where each one is, but only when a page size was asked for."""
    if "max-buckets" not in call.params:
        return body
    answer = paging.parse(call, body)
    for item in answer.items("Buckets"):
        region = s3_backends[call.account]["aws"].buckets[item.findtext("Name")].region_name
        paging.ET.SubElement(item, "BucketRegion").text = region
    return answer.text()


def boundaries_count_too(state, call, body):
    """Without a filter, a policy's entities are also those whose boundary it is."""
    if call.params.get("PolicyUsageFilter") == "PermissionsPolicy":
        return body
    answer = paging.parse(call, body)
    roles, _, _ = answer.place("PolicyRoles")
    for role in iam_backends[call.account]["aws"].roles.values():
        if role.permissions_boundary_arn == call.params.get("PolicyArn"):
            member = paging.ET.SubElement(roles.find("PolicyRoles"), "member")
            paging.ET.SubElement(member, "RoleName").text = role.name
            paging.ET.SubElement(member, "RoleId").text = role.id
    return answer.text()


def methods_only_when_asked(state, call, body):
    """A path's methods are named; what is behind them only with `embed=methods`."""
    if call.params.get("embed") == "methods":
        return body
    answer = json.loads(body)
    for item in answer.get("item", []):
        if "resourceMethods" in item:
            item["resourceMethods"] = {method: {} for method in item["resourceMethods"]}
    return json.dumps(answer).encode()


CHANGES = {
    ("ec2", "DescribeRegions"): enabled_regions,
    ("s3", "ListBuckets"): bucket_regions,
    ("iam", "ListEntitiesForPolicy"): boundaries_count_too,
    ("apigateway", "GetResources"): methods_only_when_asked,
}
