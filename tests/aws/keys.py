"""Who can sign: static keys, and the sessions that AssumeRole hands out.

Roles, users and their policies are those of the emulator. What it doesn't enforce is enforced here: trust policies with
their external id, session policies, durations.
"""

import base64
import json
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from hashlib import sha256

import policy
from moto.iam.models import iam_backends
from wire import Refused

# The account of whoever runs the collector.
PLATFORM = "999999999999"
# Limits of AssumeRole: <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>.
SESSION_POLICY_MAX = 2048
SECONDS_MIN, SECONDS_CHAINED_MAX = 900, 3600


@dataclass
class Principal:
    """One access key and whom it stands for."""

    key: str
    secret: str
    arn: str
    account: str
    token: str = None
    expires: datetime = None
    role_arn: str = None  # of a session
    external_id: str = None  # with which a session was opened
    policies: list = field(default_factory=list)  # session policies, as documents

    @property
    def root(self):
        return f"arn:aws:iam::{self.account}:root"


def made(what, length, alphabet):
    """Letters that look random and are the same in every run."""
    digest = sha256(what.encode()).digest() * 4
    return "".join(alphabet[b % len(alphabet)] for b in digest[:length])


UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def static(name, account, user):
    return Principal("AKIA" + made(f"id {name}", 16, UPPER), made(f"secret {name}", 40, BASE64),
                     f"arn:aws:iam::{account}:user/{user}", account)


class Keys:
    """All keys that are known."""

    def __init__(self):
        self.known, self.sessions = {}, []

    def add(self, principal):
        self.known[principal.key] = principal
        return principal

    def find(self, key):
        return self.known.get(key)

    def expire(self):
        """Ends every session that was opened so far."""
        for session in self.sessions:
            session.expires = datetime.now(timezone.utc)

    def allowed(self, principal, action, resource, region):
        """Do the policies of the principal and of its session allow this?"""
        if principal.account == PLATFORM:
            return action in ("sts:AssumeRole", "sts:GetCallerIdentity")
        if action == "sts:GetCallerIdentity":
            return True
        context = {"aws:requestedregion": region, "aws:principalarn": principal.role_arn or principal.arn}
        if not policy.allows(identity_policies(principal), action, resource, context):
            return False
        return not principal.policies or policy.allows(principal.policies, action, resource, context)

    def assume(self, caller, params, now=None):
        """AssumeRole: a new session, or why not."""
        now = now or datetime.now(timezone.utc)
        arn, name = params.get("RoleArn", ""), params.get("RoleSessionName", "")
        external = params.get("ExternalId")
        for what, value, pattern in [("roleArn", arn, r"arn:aws[\w-]*:iam::\d{12}:role/[\w+=,.@/-]{1,512}"),
                                     ("roleSessionName", name, r"[\w+=,.@-]{2,64}"),
                                     ("externalId", external, r"[\w+=,.@:/\\-]{2,1224}")]:
            if value is not None and not re.fullmatch(pattern, value, re.A):
                raise Refused(400, "ValidationError", f"1 validation error detected: Value '{value}' at '{what}' failed to "
                              f"satisfy constraint: Member must satisfy regular expression pattern: {pattern}")
        role = find_role(arn)
        context = {"sts:externalid": external, "aws:multifactorauthpresent": None if caller.token is None else "false",
                   "aws:principalarn": caller.role_arn or caller.arn, "sts:rolesessionname": name}
        trusted = role and policy.trusts(role.assume_role_policy_document, caller, "sts:AssumeRole", context)
        own = self.allowed(caller, "sts:AssumeRole", arn, "us-east-1")
        # Across accounts both sides have to allow it; within one, a policy that names the caller is enough.
        needs_own = trusted == "account" or (role and caller.account != arn.split(":")[4])
        if not trusted or (needs_own and not own):
            raise Refused(403, "AccessDenied", f"User: {caller.arn} is not authorized to perform: sts:AssumeRole on "
                          f"resource: {arn}")
        seconds = duration(params, role, caller)
        documents = session_policies(params)
        number = f"session {len(self.sessions)} {arn}"
        session = Principal(
            key="ASIA" + made(f"id {number}", 16, UPPER), secret=made(f"secret {number}", 40, BASE64),
            arn=f"arn:aws:sts::{arn.split(':')[4]}:assumed-role/{role.name}/{name}", account=arn.split(":")[4],
            token=base64.b64encode(sha256(number.encode()).digest() * 8).decode(), role_arn=arn,
            expires=now + timedelta(seconds=seconds), policies=documents, external_id=external)
        self.sessions.append(session)
        return self.add(session), role


def find_role(arn):
    account, partition = arn.split(":")[4], arn.split(":")[1]
    roles = iam_backends[account][partition].roles.values()
    return next((role for role in roles if role.arn == arn), None)


def identity_policies(principal):
    """The policies of the user or role behind a principal: inline and attached, for a user those of its groups too."""
    iam = iam_backends[principal.account][(principal.role_arn or principal.arn).split(":")[1]]
    if principal.role_arn:
        holders = [find_role(principal.role_arn)]
    else:
        holders = [u for u in iam.users.values() if u.arn == principal.arn]
        holders += [g for g in iam.groups.values() if any(u.arn == principal.arn for u in g.users)]
    documents = []
    for holder in filter(None, holders):
        documents += list(holder.policies.values())
        documents += [default(attached) for attached in holder.managed_policies.values()]
    return documents


def default(managed):
    """The document of a managed policy's default version."""
    return next(v.document for v in managed.versions if v.version_id == managed.default_version_id)


def duration(params, role, caller):
    seconds = int(params.get("DurationSeconds", "3600"))
    if seconds < SECONDS_MIN:
        raise Refused(400, "ValidationError", f"1 validation error detected: Value '{seconds}' at 'durationSeconds' "
                      f"failed to satisfy constraint: Member must have value greater than or equal to {SECONDS_MIN}")
    if seconds > int(role.max_session_duration or 3600):
        raise Refused(400, "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for "
                      "this role.")
    if caller.role_arn and seconds > SECONDS_CHAINED_MAX:
        raise Refused(400, "ValidationError", "The requested DurationSeconds exceeds the 1 hour session limit for roles "
                      "assumed by role chaining.")
    return seconds


def session_policies(params):
    if any(name.startswith("PolicyArns.") for name in params):
        raise Refused(400, "ValidationError", "the bed doesn't do PolicyArns: give the policy itself")
    text = params.get("Policy")
    if text is None:
        return []
    if not 1 <= len(text) <= SESSION_POLICY_MAX:
        raise Refused(400, "ValidationError", f"1 validation error detected: Value at 'policy' failed to satisfy "
                      f"constraint: Member must have length less than or equal to {SESSION_POLICY_MAX}")
    try:
        document = json.loads(text)
        if document["Version"] != "2012-10-17" or not policy.statements(document):
            raise ValueError("no statement, or another version than 2012-10-17")
        for statement in policy.statements(document):
            if statement["Effect"] not in ("Allow", "Deny") or not {"Resource", "NotResource"} & set(statement):
                raise ValueError("a statement without effect or resource")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused(400, "MalformedPolicyDocument", f"This policy contains invalid Json: {error}") from error
    return [document]
