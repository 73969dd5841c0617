"""The checking layer before the emulator: every request is read, verified, judged and counted, and only then answered.

Two WSGI applications: `Bed` for whoever is tested, `Admin` without checks and pages for what fills and what expects.
"""

import io
import json
import re
from threading import Lock
from urllib.parse import unquote
from xml.sax.saxutils import escape

import compliance
import paging
import signature
import wire
from keys import Keys
from moto.s3.models import s3_backends
from werkzeug.test import run_wsgi_app
from wire import Refused, Request

# The most requests and violations that are kept one by one.
LOG_MAX = 20_000
DENIED = {"query": (403, "AccessDenied"), "ec2": (403, "UnauthorizedOperation"), "json": (400, "AccessDeniedException"),
          "rest-json": (403, "AccessDeniedException"), "rest-xml": (403, "AccessDenied")}
THROTTLED = {"query": (400, "Throttling"), "ec2": (503, "RequestLimitExceeded"), "json": (400, "ThrottlingException"),
             "rest-json": (429, "TooManyRequestsException"), "rest-xml": (503, "SlowDown")}


class State:
    """What both applications share, and what a test can set and look at."""

    def __init__(self, regions):
        self.lock = Lock()
        self.keys = Keys()
        self.compliance = compliance.Compliance()
        self.regions = regions
        self.page = 3
        self.deny = set()  # `action` or `action@region`
        self.throttle = {}  # action or `action@region` -> how often yet
        self.reset()

    def reset(self):
        """Forgets what was asked."""
        self.counts, self.log, self.violations = {}, [], []

    def record(self, call, principal, status):
        name = f"{call.action or call.operation.name}@{call.region}"
        self.counts[name] = self.counts.get(name, 0) + 1
        if len(self.log) < LOG_MAX:
            self.log.append([name, principal.arn if principal else "", status])

    def violation(self, request, why):
        if len(self.violations) < LOG_MAX:
            self.violations.append({"request": f"{request.method} {request.header('host')}{request.target}", "why": why})


class Moto:
    """The emulator, asked in this process."""

    def __init__(self, app):
        self.app = app

    def ask(self, environ, target, body, account):
        path, _, query = target.partition("?")
        environ = dict(environ)
        environ.update({
            "PATH_INFO": unquote(path, "latin-1"), "QUERY_STRING": query, "RAW_URI": target, "REQUEST_URI": target,
            "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body), "HTTP_X_MOTO_ACCOUNT_ID": account,
        })
        chunks, status, headers = run_wsgi_app(self.app, environ)
        kept = [(k, v) for k, v in headers if k.lower() not in ("content-length", "transfer-encoding", "connection")]
        return int(status.split()[0]), kept, b"".join(chunks)


def read(environ):
    headers = {k[5:].replace("_", "-").lower(): v for k, v in environ.items() if k.startswith("HTTP_")}
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.replace("_", "-").lower()] = environ[name]
    # Whoever maps the provider's host to this one says so here. What was signed is the provider's host.
    headers["host"] = headers.get("x-forwarded-host", headers.get("host", ""))
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    return Request(environ["REQUEST_METHOD"], environ["RAW_URI"], headers, body)


def reply(start_response, status, headers, body):
    body = body.encode() if isinstance(body, str) else body
    headers = list(headers.items()) if isinstance(headers, dict) else headers
    start_response(f"{status} -", headers + [("content-length", str(len(body)))])
    return [body]


class Bed:
    """What is tested talks to this."""

    def __init__(self, state, moto):
        self.state, self.moto = state, moto

    def __call__(self, environ, start_response):
        request = read(environ)
        # One at a time: the emulator's own state isn't made for two.
        with self.state.lock:
            call = principal = None
            try:
                call = wire.read(request)
                principal = signature.verify(call, self.state.keys.find)
                call.account = principal.account
                status, headers, body = self.answer(environ, call, principal)
            except Refused as refused:
                if refused.status >= 500 and refused.code.startswith("Unknown"):
                    self.state.violation(request, str(refused))
                status, headers, body = wire.said(call, request, refused)
            if call:
                self.state.record(call, principal, status)
            if status >= 500 and call and call.action and status != 503:
                self.state.violation(request, f"the emulator answered {status}: {body[:300]!r}")
        return reply(start_response, status, headers, body if request.method != "HEAD" else b"")

    def answer(self, environ, call, principal):
        state, request = self.state, call.request
        if not call.action:
            raise Refused(500, "UnknownOperation", f"{call.operation.name} is no read that a collector may ask for")
        if call.region not in state.regions:
            raise signature.wrong(call, "key", f"The account isn't enabled in {call.region}.")
        here = f"{call.action}@{call.region}"
        for name in (call.action, here):
            if state.throttle.get(name, 0) > 0:
                state.throttle[name] -= 1
                raise Refused(*THROTTLED[call.protocol], "Rate exceeded")
        denied = state.deny & {call.action, here}
        own = call.service.service_name == "sts"  # judged by the one who is asked
        if denied or not own and not state.keys.allowed(principal, call.action, resource(call), call.region):
            raise Refused(*DENIED[call.protocol], f"User: {principal.arn} is not authorized to perform: {call.action} on "
                          f"resource: {resource(call)}")
        if own:
            return self.sts(call, principal)
        if call.service.service_name == "s3" and "Bucket" in call.params:
            self.right_region(call)
        forward = lambda target, body: self.moto.ask(environ, target, body, principal.account)
        if state.compliance.answers(request.header("x-amz-target")):
            forward = lambda target, body: state.compliance.answer(
                call.operation.name, call.account, call.region, json.loads(body))
        rule = paging.rule(call)
        if rule and call.operation.name == "ListBuckets":
            return self.bucket_regions(call, *paging.cut(call, rule, state.page, forward))
        if rule:
            return paging.cut(call, rule, state.page, forward)
        status, headers, body = forward(request.target, request.body)
        if call.action == "ec2:DescribeRegions" and status == 200:
            body = self.enabled(body)
        return status, headers, body

    def enabled(self, body):
        """Leaves the regions out in which the accounts aren't enabled."""
        keep = lambda item: re.search(r"<regionName>(.*?)</regionName>", item.group(0)).group(1) in self.state.regions
        return re.sub(r"<item>.*?</item>", lambda m: m.group(0) if keep(m) else "", body.decode(), flags=re.S).encode()

    def bucket_regions(self, call, status, headers, body):
        """A list in pages says where each bucket is; one in a piece doesn't."""
        if "max-buckets" not in call.params or status != 200:
            return status, headers, body
        answer = paging.parse(call, body)
        for item in answer.items("Buckets"):
            region = s3_backends[call.account]["aws"].buckets[item.findtext("Name")].region_name
            paging.ET.SubElement(item, "BucketRegion").text = region
        return status, headers, answer.text()

    def right_region(self, call):
        """S3 answers for a bucket only where it is; elsewhere it says where that would be."""
        name = call.params["Bucket"]
        bucket = s3_backends[call.account]["aws"].buckets.get(name)
        if bucket is None:
            raise Refused(404, "NoSuchBucket", "The specified bucket does not exist")
        everywhere = call.operation.name == "GetBucketLocation" and call.region == "us-east-1"
        if bucket.region_name != call.region and not everywhere:
            raise Refused(301, "PermanentRedirect", "The bucket you are attempting to access must be addressed using the "
                          f"specified endpoint: s3.{bucket.region_name}.amazonaws.com")

    def sts(self, call, principal):
        if call.operation.name == "AssumeRole":
            session, role = self.state.keys.assume(principal, call.params)
            name = session.arn.rpartition("/")[2]
            result = (f"<Credentials><AccessKeyId>{session.key}</AccessKeyId><SecretAccessKey>{session.secret}"
                      f"</SecretAccessKey><SessionToken>{session.token}</SessionToken><Expiration>"
                      f"{session.expires:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials><AssumedRoleUser><AssumedRoleId>"
                      f"{role.id}:{escape(name)}</AssumedRoleId><Arn>{escape(session.arn)}</Arn></AssumedRoleUser>")
        elif call.operation.name == "GetCallerIdentity":
            result = (f"<Arn>{escape(principal.arn)}</Arn><UserId>{principal.key}</UserId>"
                      f"<Account>{principal.account}</Account>")
        else:
            raise Refused(500, "UnknownOperation", call.operation.name)
        name = call.operation.name
        body = (f'<{name}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{name}Result>{result}</{name}Result>'
                f"<ResponseMetadata><RequestId>00000000-0000-4000-8000-000000000000</RequestId></ResponseMetadata>"
                f"</{name}Response>")
        return 200, {"content-type": "text/xml"}, body


def resource(call):
    """The ARN that policies speak of, for the two services whose grants name any; `*` for all others."""
    if call.service.service_name == "s3" and "Bucket" in call.params:
        return f"arn:aws:s3:::{call.params['Bucket']}"
    if call.service.service_name == "apigateway":
        return f"arn:aws:apigateway:{call.region}::{call.request.path}"
    return "*"


class Admin:
    """No checks: an access key of twelve digits is the account. Paths below `/_bed/` are the controls."""

    def __init__(self, state, moto, controls):
        self.state, self.moto, self.controls = state, moto, controls

    def __call__(self, environ, start_response):
        request = read(environ)
        with self.state.lock:
            if request.path.startswith("/_bed/"):
                status, answer = self.controls(self.state, request)
                return reply(start_response, status, {"content-type": "application/json"}, json.dumps(answer))
            scope = re.search(r"Credential=(\d{12})/\d{8}/([\w-]+)/", request.header("authorization"))
            account, region = scope.groups() if scope else ("123456789012", "us-east-1")
            target = request.header("x-amz-target")
            if self.state.compliance.answers(target):
                try:
                    answer = self.state.compliance.answer(target.rpartition(".")[2], account, region, json.loads(request.body))
                except Refused as refused:
                    answer = wire.said(None, request, refused)
            else:
                answer = self.moto.ask(environ, request.target, request.body, account)
        return reply(start_response, *answer)
