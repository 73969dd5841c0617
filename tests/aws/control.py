"""The controls of the bed: what a test sets, and what it looks at afterwards. JSON in, JSON out, on the admin port."""

import json

import fill_iam
from keys import find_role


def answer(state, request):
    """GET looks, POST sets."""
    name = request.path.removeprefix("/_bed/")
    if request.method == "GET":
        look = LOOK.get(name)
        return (200, look(state)) if look else (404, {"error": f"nothing to look at: {name}"})
    change = SET.get(name)
    if change is None:
        return 404, {"error": f"nothing to set: {name}"}
    try:
        change(state, json.loads(request.body or b"null"))
    except (ValueError, KeyError, TypeError) as error:
        return 400, {"error": f"{name}: {error!r}"}
    return 200, {}


LOOK = {
    # {"iam:ListUsers@us-east-1": 3}
    "counts": lambda state: state.counts,
    # [["iam:ListUsers@us-east-1", who, status]], in order
    "log": lambda state: state.log,
    # [{"request", "why"}]: whatever wasn't a read that a collector may ask for
    "violations": lambda state: state.violations,
    # [{"arn", "external_id", "policies", "expires"}]: what AssumeRole handed out
    "sessions": lambda state: [
        {"arn": s.arn, "external_id": s.external_id, "policies": s.policies, "expires": s.expires.isoformat()}
        for s in state.keys.sessions],
}


def set_page(state, size):
    if not isinstance(size, int) or size < 1:
        raise ValueError("a page has at least one item")
    state.page = size


def set_compliance(state, value):
    state.compliance.set(value["account"], value["region"], value["rule"], value["results"])


def set_external_id(state, value):
    role = find_role(f"arn:aws:iam::{value['account']}:role/porthole")
    if role is None:
        raise ValueError("an account without the role")
    role.assume_role_policy_document = fill_iam.trust_policy(value["value"])


SET = {
    "page-size": set_page,
    # ["iam:ListUsers", "ec2:DescribeVolumes@eu-west-1"]; replaces what was denied before
    "deny": lambda state, value: setattr(state, "deny", set(value)),
    # {"iam:ListUsers": 2}: so many answers are "slow down"
    "throttle": lambda state, value: setattr(state, "throttle", dict(value)),
    # the regions in which the accounts are enabled
    "regions": lambda state, value: setattr(state, "regions", list(value)),
    # ends the sessions so far
    "expire": lambda state, value: state.keys.expire(),
    # {"account", "region", "rule", "results": [[type, id, compliance]]}
    "compliance": set_compliance,
    # {"account", "value"}: what the account's role demands from now on
    "external-id": set_external_id,
    "reset": lambda state, value: state.reset(),
}
