"""Which operation a raw request asks for, and how each protocol says that something is wrong.

All of it follows from botocore's service models and from `actions.tsv`; nothing here knows a single operation.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote
from uuid import uuid5, NAMESPACE_URL
from xml.sax.saxutils import escape

import botocore.session

MODELS = botocore.session.get_session()
# A host name's last labels, by partition.
SUFFIXES = (".amazonaws.com.cn", ".amazonaws.com")
# What services without a region in their name are signed for.
GLOBAL_REGION = {".amazonaws.com": "us-east-1", ".amazonaws.com.cn": "cn-north-1"}


class Refused(Exception):
    """A request that gets an error in its protocol's own form."""

    def __init__(self, status, code, message):
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message = status, code, message


@dataclass
class Request:
    """A request as it came: nothing decoded but what HTTP itself decodes."""

    method: str
    target: str
    headers: dict  # by lower-case name
    body: bytes

    @property
    def path(self):
        return self.target.partition("?")[0]

    @property
    def query(self):
        return self.target.partition("?")[2]

    def header(self, name):
        return self.headers.get(name, "")

    @property
    def pairs(self):
        """The query, decoded: `+` is a plus sign, as RFC 3986 has it."""
        parts = [p.partition("=") for p in self.query.split("&") if p]
        return [(unquote(k), unquote(v)) for k, _, v in parts]


@dataclass
class Call:
    """A request whose operation is known."""

    request: Request
    service: object  # botocore's ServiceModel
    operation: object  # botocore's OperationModel
    protocol: str  # query, ec2, json, rest-json, rest-xml
    region: str
    action: str = ""  # as IAM calls it; empty when it isn't in actions.tsv
    params: dict = field(default_factory=dict)  # by the names on the wire

    @property
    def signing_name(self):
        return self.service.signing_name


def read_actions():
    """IAM's name for each (service, operation) that a collector may ask for."""
    lines = Path(__file__).with_name("actions.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return {(service, operation): action for service, operation, action in rows}


ACTIONS = read_actions()


def load_services():
    """The models of the services in `actions.tsv`, by the first label of their hosts."""
    by_prefix = {}
    for name in sorted({service for service, _ in ACTIONS}):
        model = MODELS.get_service_model(name)
        by_prefix.setdefault(model.endpoint_prefix, []).append(model)
    return by_prefix


SERVICES = load_services()


def place(host):
    """From a host name to a service's prefix, region and (where the name has one) account."""
    host = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    suffix = next((s for s in SUFFIXES if host.endswith(s)), None)
    if suffix is None:
        raise Refused(500, "UnknownHost", f"`{host}` is no host of this provider")
    labels = host[: -len(suffix)].split(".")
    if ".".join(labels) in SERVICES:
        return ".".join(labels), GLOBAL_REGION[suffix], None
    prefix, region = ".".join(labels[:-1]), labels[-1]
    account, _, rest = prefix.partition(".")
    if re.fullmatch(r"\d{12}", account):
        return rest, region, account
    return prefix, region, None


def read(request):
    """Finds the operation of a request.

    Refuses what no model describes: the bed takes that for a mistake of the caller.
    """
    prefix, region, _ = place(request.header("host"))
    models = SERVICES.get(prefix, [])
    if not models:
        raise Refused(500, "UnknownHost", f"no service at `{request.header('host')}`")
    target = request.header("x-amz-target")
    content = request.header("content-type").partition(";")[0].strip()
    if target:
        return by_target(request, models, region, target)
    if content == "application/x-www-form-urlencoded" or content == "" and request.method == "POST" and len(models) > 0 and speaks(models[0], ("query", "ec2")):
        return by_form(request, models, region)
    for model in models:
        found = by_route(request, model)
        if found:
            operation, params = found
            return call(request, model, operation, model.metadata["protocol"], region, params)
    raise Refused(500, "UnknownOperation", f"no operation for {request.method} {request.path} at {prefix}")


def speaks(model, protocols):
    named = model.metadata.get("protocols", []) + [model.metadata["protocol"]]
    return any(p in named for p in protocols)


def by_target(request, models, region, target):
    prefix, _, name = target.rpartition(".")
    for model in models:
        if model.metadata.get("targetPrefix") == prefix and name in model.operation_names:
            version = model.metadata.get("jsonVersion", "1.1")
            wanted = f"application/x-amz-json-{version}"
            content = request.header("content-type")
            if content not in (wanted, "application/x-amz-json-1.0", "application/x-amz-json-1.1"):
                raise Refused(400, "UnknownOperationException", f"content type `{content}` for {target}")
            if request.method != "POST" or request.target != "/":
                raise Refused(404, "UnknownOperationException", f"{request.method} {request.target}")
            try:
                params = json.loads(request.body or b"{}")
            except ValueError as error:
                raise Refused(400, "SerializationException", str(error)) from error
            return call(request, model, model.operation_model(name), "json", region, params)
    raise Refused(500, "UnknownOperation", f"no operation for target {target}")


def by_form(request, models, region):
    params = dict(parse_qsl(request.body.decode("utf-8"), keep_blank_values=True))
    name, version = params.get("Action", ""), params.get("Version", "")
    for model in models:
        if version == model.api_version and name in model.operation_names and speaks(model, ("query", "ec2")):
            protocol = "ec2" if speaks(model, ("ec2",)) else "query"
            return call(request, model, model.operation_model(name), protocol, region, params)
    raise Refused(400, "InvalidAction", f"The action {name} is not valid for this web service (version {version!r}).")


def by_route(request, model):
    """The operation of a REST service: method, path, and the query parameters that its route demands."""
    asked, best = dict(request.pairs), None
    for name in model.operation_names:
        operation = model.operation_model(name)
        path, _, literal = operation.http["requestUri"].partition("?")
        wanted = [p.partition("=") for p in literal.split("&") if p]
        if operation.deprecated or operation.http["method"] != request.method:
            continue
        if any(key not in asked or (value and asked[key] != value) for key, _, value in wanted):
            continue
        if not needs(operation, asked):
            continue
        match = re.fullmatch(route(path), request.path)
        if match and (best is None or len(wanted) > best[0]):
            values = [unquote(v) for v in match.groups()]
            names = re.findall(r"\{(\w+)\+?\}", path)
            best = (len(wanted), operation, dict(zip(names, values)) | asked)
    return best and best[1:]


def needs(operation, asked):
    """Two routes can differ in a query parameter that one of them requires."""
    shape = operation.input_shape
    members = {n: shape.members[n] for n in shape.required_members} if shape else {}
    in_query = [m for m in members.values() if m.serialization.get("location") == "querystring"]
    return all(m.serialization.get("name") in asked for m in in_query)


def route(path):
    """A route's path as a regular expression; `{Key+}` may hold slashes."""
    parts = re.split(r"(\{\w+\+?\})", path)
    out = [("(.+)" if p.endswith("+}") else "([^/]+)") if p.startswith("{") else re.escape(p) for p in parts]
    return "".join(out) + "/?"


def call(request, model, operation, protocol, region, params):
    action = ACTIONS.get((model.service_name, operation.name), "")
    return Call(request, model, operation, protocol, region, action, params)


def said(call_or_none, request, refused):
    """An error as its protocol says it: status, headers, body."""
    protocol = call_or_none.protocol if call_or_none else guess(request)
    number = str(uuid5(NAMESPACE_URL, request.target + refused.message))
    code, message = escape(refused.code), escape(refused.message)
    headers = {"x-amzn-requestid": number}
    if protocol == "query":
        xmlns = call_or_none.service.metadata.get("xmlNamespace", "") if call_or_none else ""
        kind = "Sender" if refused.status < 500 else "Receiver"
        body = (f'<ErrorResponse xmlns="{xmlns}"><Error><Type>{kind}</Type><Code>{code}</Code>'
                f"<Message>{message}</Message></Error><RequestId>{number}</RequestId></ErrorResponse>")
        return refused.status, headers | {"content-type": "text/xml"}, body
    if protocol == "ec2":
        body = (f'<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error><Code>{code}</Code>'
                f"<Message>{message}</Message></Error></Errors><RequestID>{number}</RequestID></Response>")
        return refused.status, headers | {"content-type": "text/xml;charset=UTF-8"}, body
    if protocol == "rest-xml":
        body = (f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message>'
                f"<RequestId>{number}</RequestId></Error>")
        return refused.status, headers | {"content-type": "application/xml"}, body
    if protocol == "rest-json":
        headers |= {"content-type": "application/json", "x-amzn-errortype": refused.code}
        return refused.status, headers, json.dumps({"message": refused.message})
    headers |= {"content-type": "application/x-amz-json-1.1"}
    return refused.status, headers, json.dumps({"__type": refused.code, "message": refused.message})


def guess(request):
    """The protocol of a request whose operation isn't known."""
    if request.header("x-amz-target"):
        return "json"
    if "form-urlencoded" in request.header("content-type"):
        return "query"
    return "rest-xml" if request.header("host").startswith("s3.") else "rest-json"
