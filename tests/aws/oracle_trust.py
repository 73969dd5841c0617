"""Who can assume a role, as the oracle reads it: from trust policies, and through the account from identity policies."""

import json
import re

from policy import covers, many, statements

NODES = {f"{name}.amazonaws.com": name for name in ("ec2", "lambda", "s3", "apigateway", "config")}
POSITIVE = {"stringequals", "stringequalsignorecase", "stringlike"}


class Source:
    """Where an edge comes from."""

    def __init__(self, key, kind, named, account=None, session=None):
        self.key, self.kind, self.account, self.session = key, kind, account, session
        self.names = {named, key}  # how a Deny may name it


def can_assume(graph, details):
    """Adds the edges of all roles."""
    roles = {role["RoleName"]: role["Arn"] for role in details["RoleDetailList"]}
    for role in details["RoleDetailList"]:
        partition, account = role["Arn"].split(":")[1], role["Arn"].split(":")[4]
        edges = direct(role["AssumeRolePolicyDocument"], partition, account, roles)
        root = f"arn:{partition}:iam::{account}:root"
        for source, properties in list(edges.values()):
            add(graph, source, role["Arn"], properties)
        if root in edges:
            for item in details["UserDetailList"] + details["RoleDetailList"]:
                delegated(graph, details, item, role, edges, root)


def add(graph, source, role, properties):
    inferred = source.kind in ("aws_account", "everyone")
    graph.edge(source.key, "CAN_ASSUME", role, properties, inferred=inferred, mapped=source.kind)


def direct(document, partition, account, roles):
    """Edges that the trust policy itself gives, by the source's key."""
    found = {}
    for statement in statements(document):
        if statement["Effect"] != "Allow" or "Principal" not in statement:
            continue
        for kind, value in listed(statement["Principal"]):
            source = source_of(kind, value, partition, account, roles)
            if source is None or not covers(statement, "Action", action_of(source), fold=True):
                continue
            properties = demands(statement.get("Condition"))
            if source.account:
                properties["crossAccount"] = source.account != account
            if source.session:
                properties["sessionName"] = source.session
            merge(found, source, properties)
    for key, (source, properties) in list(found.items()):
        verdict = denied(document, source)
        if verdict == "always":
            del found[key]
        elif verdict == "sometimes":
            properties["conditionalDeny"] = True
    return found


def listed(principal):
    if principal == "*":
        return [("AWS", "*")]
    return [(kind, value) for kind, values in principal.items() for value in many(values)]


def source_of(kind, value, partition, account, roles):
    """The node behind a principal; None when there is none."""
    if kind == "Service":
        if value in NODES:
            return Source(f"aws_{NODES[value]}:{account}", f"aws_{NODES[value]}", value)
        return Source(f"service:{value}", "aws_service", value)
    if kind == "Federated":
        provider = re.fullmatch(r"arn:[\w-]+:iam::\d{12}:(saml|oidc)-provider/.+", value)
        return Source(value, f"aws_iam_{provider.group(1)}_provider" if provider else "federated_provider", value)
    if kind != "AWS":
        return None
    if value == "*":
        return Source("global:everyone", "everyone", "*")
    if re.fullmatch(r"\d{12}", value):
        value = f"arn:{partition}:iam::{value}:root"
    arn = re.fullmatch(r"arn:([\w-]+):iam::(\d{12}):(root|user/.+|role/.+)", value)
    if arn and "*" not in value:
        kind = {"root": "aws_account", "user": "aws_iam_user", "role": "aws_iam_role"}[arn.group(3).partition("/")[0]]
        return Source(value, kind, value, arn.group(2))
    session = re.fullmatch(r"arn:([\w-]+):sts::(\d{12}):assumed-role/([^/*]+)/([^/*]+)", value)
    if session:
        their, owner, name, label = session.groups()
        key = roles.get(name) if owner == account else None
        return Source(key or f"arn:{their}:iam::{owner}:role/{name}", "aws_iam_role", value, owner, label)
    return None


def action_of(source):
    if source.kind == "aws_iam_saml_provider":
        return "sts:AssumeRoleWithSAML"
    federated = source.kind in ("aws_iam_oidc_provider", "federated_provider")
    return "sts:AssumeRoleWithWebIdentity" if federated else "sts:AssumeRole"


def demands(condition):
    """What a condition demands of whoever comes."""
    properties = {"conditional": bool(condition)}
    for operator, keys in (condition or {}).items():
        for key, values in keys.items():
            if key.lower() == "sts:externalid" and operator.lower() in POSITIVE:
                properties["externalIdRequired"] = True
            if key.lower() == "aws:multifactorauthpresent" and operator == "Bool" and [str(v).lower() for v in many(values)] == ["true"]:
                properties["mfaRequired"] = True
    return properties


def merge(found, source, properties):
    """Of two ways in, the one that demands less counts."""
    if source.key not in found:
        found[source.key] = (source, properties)
        return
    first, old = found[source.key]
    first.names |= source.names
    for name in ("conditional", "externalIdRequired", "mfaRequired"):
        both = old.get(name, False) and properties.get(name, False)
        if name == "conditional" or both:
            old[name] = both
        else:
            old.pop(name, None)
    if old.get("sessionName") != properties.get("sessionName"):
        old.pop("sessionName", None)


def denied(document, source):
    """`always`, `sometimes` or None."""
    verdict = None
    for statement in statements(document):
        if statement["Effect"] != "Deny" or not covers(statement, "Action", action_of(source), fold=True):
            continue
        root = source.account and re.sub(r"^(arn:[\w-]+):.*$", rf"\1:iam::{source.account}:root", source.key)
        if "NotPrincipal" in statement:
            names = full(statement["NotPrincipal"], source)
            spared = bool(source.names & names) and (root is None or root in names)
            hit = not spared
        else:
            names = full(statement.get("Principal", {}), source)
            hit = "*" in names or bool(source.names & names) or (root is not None and root in names)
        if hit and not statement.get("Condition"):
            return "always"
        if hit:
            verdict = "sometimes"
    return verdict


def full(principal, source):
    """The names in a principal, accounts as ARNs."""
    partition = source.key.split(":")[1] if source.key.startswith("arn:") else "aws"
    return {f"arn:{partition}:iam::{v}:root" if re.fullmatch(r"\d{12}", v) else v for _, v in listed(principal)}


def delegated(graph, details, item, role, edges, root):
    """A user or role of the account that trusts itself, and whose own policies allow it."""
    if item["Arn"] in edges:
        return
    trusted = edges[root][1]
    me = Source(item["Arn"], "aws_iam_user" if "UserName" in item else "aws_iam_role", item["Arn"], root.split(":")[4])
    verdict = denied(role["AssumeRolePolicyDocument"], me)
    allowed = judge(identity(details, item), role["Arn"])
    if verdict == "always" or allowed == "no":
        return
    bounded = "yes"
    if item["Boundary"]:
        bounded = judge([details["Documents"][item["Boundary"]]], role["Arn"])
        if bounded == "no":
            return
    sometimes = trusted["conditional"] or "sometimes" in (allowed, bounded)
    properties = {k: v for k, v in trusted.items() if k != "conditional"}
    properties |= {"conditional": sometimes, "crossAccount": False, "via": "identity-policy"}
    if verdict == "sometimes":
        properties["conditionalDeny"] = True
    graph.edge(me.key, "CAN_ASSUME", role["Arn"], properties, inferred=True, mapped=me.kind)


def identity(details, item):
    """The documents of a user (with its groups) or role."""
    holders = [(item, item.get("UserPolicyList") or item.get("RolePolicyList") or [])]
    for group in details["GroupDetailList"]:
        if group["GroupName"] in item.get("GroupList", []):
            holders.append((group, group.get("GroupPolicyList", [])))
    documents = []
    for holder, inline in holders:
        documents += [policy["PolicyDocument"] for policy in inline]
        documents += [details["Documents"][p["PolicyArn"]] for p in holder["AttachedManagedPolicies"]]
    return [json.loads(d) if isinstance(d, str) else d for d in documents]


def judge(documents, role):
    """Do they allow to assume the role: `yes`, `sometimes`, `no`?"""
    answer = "no"
    matching = [s for d in documents for s in statements(d)
                if covers(s, "Action", "sts:AssumeRole", fold=True) and covers(s, "Resource", role)]
    for statement in matching:
        if statement["Effect"] == "Allow" and answer != "yes":
            answer = "sometimes" if statement.get("Condition") else "yes"
    denies = [s for s in matching if s["Effect"] == "Deny"]
    if any(not s.get("Condition") for s in denies):
        return "no"
    return "sometimes" if denies and answer == "yes" else answer
