"""What policies allow: the part of IAM's evaluation that a collector can meet.

Not here: service control policies, resource policies other than trust policies, and any condition but those named.
"""

import json
import re


def many(value):
    return value if isinstance(value, list) else [value] if value is not None else []


def statements(document):
    document = json.loads(document) if isinstance(document, str) else document
    return many(document.get("Statement"))


def like(pattern, text):
    """IAM's wildcards: `*` and `?`."""
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), text, re.S) is not None


def covers(statement, key, value, fold=False):
    """Does `Action`/`NotAction` (or `Resource`/`NotResource`) cover the value?"""
    value = value.lower() if fold else value
    match = lambda patterns: any(like(p.lower() if fold else p, value) for p in many(patterns))
    if f"Not{key}" in statement:
        return not match(statement[f"Not{key}"])
    return match(statement.get(key))


def holds(conditions, context):
    """Do all conditions hold? `context` has lower-case keys; one that is absent is not in the request."""
    for operator, wanted in (conditions or {}).items():
        for key, values in wanted.items():
            if not holds_one(operator, context.get(key.lower()), [str(v) for v in many(values)]):
                return False
    return True


def holds_one(operator, actual, values):
    base, absent_ok = re.sub(r"IfExists$", "", operator), operator.endswith("IfExists")
    if actual is None:
        return absent_ok or base in ("StringNotEquals", "StringNotLike")
    tests = {
        "StringEquals": lambda: actual in values,
        "StringLike": lambda: any(like(v, actual) for v in values),
        "StringNotEquals": lambda: actual not in values,
        "StringNotLike": lambda: not any(like(v, actual) for v in values),
        "StringEqualsIgnoreCase": lambda: actual.lower() in [v.lower() for v in values],
        "ArnEquals": lambda: any(like(v, actual) for v in values),
        "ArnLike": lambda: any(like(v, actual) for v in values),
        "Bool": lambda: actual.lower() in [v.lower() for v in values],
    }
    if base not in tests:
        raise ValueError(f"the bed doesn't know the condition operator {operator}")
    return tests[base]()


def allows(documents, action, resource, context):
    """Identity or session policies: something allows it and nothing denies it."""
    allowed = False
    for document in documents:
        for statement in statements(document):
            if not covers(statement, "Action", action, fold=True) or not covers(statement, "Resource", resource):
                continue
            if not holds(statement.get("Condition"), context):
                continue
            if statement["Effect"] == "Deny":
                return False
            allowed = True
    return allowed


def trusts(document, caller, action, context):
    """What a role's trust policy says of a caller: `direct` (by name or `*`), `account` (its account), or None."""
    best = None
    for statement in statements(document):
        if not covers(statement, "Action", action, fold=True) or not holds(statement.get("Condition"), context):
            continue
        how = named(statement, caller)
        if how and statement["Effect"] == "Deny":
            return None
        if how and statement["Effect"] == "Allow" and best != "direct":
            best = how
    return best


def named(statement, caller):
    if "NotPrincipal" in statement:
        names = principals(statement["NotPrincipal"])
        return None if caller.arn in names and caller.root in names else "direct"
    names = principals(statement.get("Principal"))
    if caller.arn in names or caller.role_arn in names or "*" in names:
        return "direct"
    return "account" if caller.root in names else None


def principals(value):
    if value == "*":
        return ["*"]
    names = many((value or {}).get("AWS"))
    return [f"arn:aws:iam::{n}:root" if re.fullmatch(r"\d{12}", n) else n for n in names]
