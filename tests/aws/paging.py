"""Cuts every list into pages, with tokens that only we can have given.

The emulator ignores most page sizes. Which lists page, and what their tokens are called, is in botocore's paginators; where
a list is in an answer is in its service models. So every list that botocore pages with one token is cut, in any protocol.
"""

import base64
import hmac
import json
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import parse_qsl, quote, urlencode

from wire import MODELS, Refused

SECRET = b"tokens of the test bed"
# How each protocol calls a token that it didn't give.
BAD_TOKEN = {"query": "ValidationError", "ec2": "InvalidParameterValue", "json": "InvalidNextTokenException",
             "rest-json": "BadRequestException", "rest-xml": "InvalidArgument"}
# Lists that page though botocore has no paginator for them: token in, token out, lists, more, page size.
EXTRA = {
    ("s3", "ListBucketInventoryConfigurations"): dict(
        input_token="ContinuationToken", output_token="NextContinuationToken", more_results="IsTruncated",
        result_key="InventoryConfigurationList"),
    ("waf", "ListWebACLs"): dict(input_token="NextMarker", output_token="NextMarker", result_key="WebACLs",
                                 limit_key="Limit"),
    ("waf-regional", "ListWebACLs"): dict(input_token="NextMarker", output_token="NextMarker", result_key="WebACLs",
                                          limit_key="Limit"),
}
# Lists that come in one piece unless a page size was asked for.
ONLY_WITH_LIMIT = {("s3", "ListBuckets")}


@dataclass
class Rule:
    """How one list pages. Names are those of the model, not of the wire."""

    token_in: str
    token_out: str
    lists: list
    more: str
    limit: str


def rule(call):
    """The rule of a call's list; None when it doesn't page, or by more than one token."""
    where = (call.service.service_name, call.operation.name)
    config = EXTRA.get(where)
    if config is None:
        try:
            pages = MODELS.get_paginator_model(where[0])
            config = pages.get_paginator(where[1])
        except Exception:  # botocore raises its own kinds for "no such file" and "no such paginator"
            return None
    token_in, token_out = one(config["input_token"]), one(config["output_token"])
    lists = config["result_key"]
    lists = [name for name in (lists if isinstance(lists, list) else [lists]) if is_list(call.operation, name)]
    if not token_in or not token_out or not lists or "||" in token_out:
        return None
    return Rule(token_in, token_out, lists, config.get("more_results"), config.get("limit_key"))


def one(names):
    names = names if isinstance(names, list) else [names]
    return names[0] if len(names) == 1 else None


def is_list(operation, path):
    shape = operation.output_shape
    for name in path.split("."):
        shape = shape.members.get(name) if shape is not None and shape.type_name == "structure" else None
    return shape is not None and shape.type_name == "list"


# -- The request's side.


def wire_name(call, member):
    """What an input member is called on the wire, and whether it is in the query."""
    shape = call.operation.input_shape.members[member]
    if call.protocol == "ec2":
        name = shape.serialization.get("queryName") or shape.serialization.get("name", member)
        return name[0].upper() + name[1:], False
    in_query = shape.serialization.get("location") == "querystring"
    return (member if call.protocol == "json" else shape.serialization.get("name", member)), in_query


def without(call, rule, token=None):
    """The request without page size, with another token or none."""
    drop = {wire_name(call, name)[0] for name in (rule.token_in, rule.limit) if name}
    name, in_query = wire_name(call, rule.token_in)
    request = call.request
    if call.protocol in ("query", "ec2"):
        pairs = [(k, v) for k, v in parse_qsl(request.body.decode(), keep_blank_values=True) if k not in drop]
        return request.target, urlencode(pairs + ([(name, token)] if token else [])).encode()
    if in_query:
        pairs = [(k, v) for k, v in request.pairs if k not in drop] + ([(name, token)] if token else [])
        query = "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in pairs)
        return request.path + (f"?{query}" if query else ""), request.body
    body = {k: v for k, v in call.params.items() if k not in drop} | ({name: token} if token else {})
    return request.target, json.dumps(body).encode()


def asked(call, rule, size):
    """Where the page begins, and how long it may be."""
    limit = call.params.get(wire_name(call, rule.limit)[0]) if rule.limit else None
    if limit is None and (call.service.service_name, call.operation.name) in ONLY_WITH_LIMIT:
        size = 1_000_000
    token = call.params.get(wire_name(call, rule.token_in)[0])
    start = 0 if token is None else open_token(call, rule, token)
    if limit is not None and not str(limit).isdigit():
        raise Refused(400, "ValidationError", f"page size `{limit}` is no number")
    return start, min(size, int(limit)) if limit is not None else size


def sealed(call, rule, start):
    """A token: where the next page begins, for this request alone. It has letters that need escaping."""
    fixed = {wire_name(call, name)[0] for name in (rule.token_in, rule.limit) if name}
    same = {k: v for k, v in call.params.items() if k not in fixed}
    about = json.dumps([call.action, call.region, call.account, same, start], sort_keys=True)
    mac = hmac.new(SECRET, about.encode(), sha256).digest()
    return base64.b64encode(b"\xfb\xef" + start.to_bytes(4, "big") + mac).decode()


def open_token(call, rule, token):
    try:
        start = int.from_bytes(base64.b64decode(token, validate=True)[2:6], "big")
    except (ValueError, TypeError):
        start = None
    if start is None or not hmac.compare_digest(sealed(call, rule, start), token):
        raise Refused(400, BAD_TOKEN[call.protocol], f"The token `{token}` was not given for this request")
    return start


# -- The answer's side.


class Json:
    """An answer in JSON."""

    def __init__(self, call, text):
        self.root, self.operation = json.loads(text or b"{}"), call.operation

    def place(self, path, make=False):
        """The object that holds a path's last name, and that name."""
        shape, node = self.operation.output_shape, self.root
        names = path.split(".")
        for number, name in enumerate(names):
            shape = shape.members[name]
            wire = shape.serialization.get("name", name)
            if number == len(names) - 1:
                return node, wire
            node = node.setdefault(wire, {}) if make else node.get(wire) or {}

    def items(self, path):
        node, name = self.place(path)
        return node.get(name) or []

    def keep(self, path, items):
        node, name = self.place(path)
        if name in node:
            node[name] = items

    def value(self, path):
        node, name = self.place(path)
        return node.get(name)

    def put(self, path, value):
        node, name = self.place(path, make=True)
        node.pop(name, None)
        if value is not None:
            node[name] = value

    def text(self):
        return json.dumps(self.root).encode()


class Xml:
    """An answer in XML: query, EC2, REST. Namespaces are left out while it is worked on."""

    def __init__(self, call, text):
        self.call, self.root, self.xmlns = call, ET.fromstring(text), ""
        for node in self.root.iter():
            namespace, _, name = node.tag.rpartition("}")
            self.xmlns, node.tag = self.xmlns or namespace.lstrip("{"), name

    def top(self):
        """The element that the output shape describes."""
        shape = self.call.operation.output_shape
        wrapper = shape.serialization.get("resultWrapper")
        return self.root.find(wrapper) if wrapper else self.root

    def place(self, path):
        shape, node = self.call.operation.output_shape, self.top()
        payload = shape.serialization.get("payload")
        names = path.split(".")
        if payload and names[0] == payload:
            shape, names = shape.members[payload], names[1:]
        for number, name in enumerate(names):
            shape = shape.members[name]
            wire = shape.serialization.get("name", name)
            if number == len(names) - 1:
                return node, wire, shape
            node = node.find(wire) if node is not None else None

    def held(self, path):
        """The element whose children are the items, and what they are called."""
        node, wire, shape = self.place(path)
        if node is None:
            return None, ""
        if shape.serialization.get("flattened"):
            return node, shape.member.serialization.get("name", wire)
        return node.find(wire), shape.member.serialization.get("name", "member")

    def items(self, path):
        node, name = self.held(path)
        return [] if node is None else node.findall(name)

    def keep(self, path, items):
        node, name = self.held(path)
        if node is None:
            return
        for item in node.findall(name):
            node.remove(item)
        node.extend(items)
        quantity = self.place(path)[0].find("Quantity")
        if quantity is not None:
            quantity.text = str(len(items))

    def value(self, path):
        node, wire, _ = self.place(path)
        return node.findtext(wire) if node is not None else None

    def put(self, path, value):
        node, wire, _ = self.place(path)
        for old in node.findall(wire):
            node.remove(old)
        if value is not None:
            ET.SubElement(node, wire).text = str(value).lower() if isinstance(value, bool) else str(value)

    def text(self):
        if self.xmlns:
            self.root.set("xmlns", self.xmlns)
        return b'<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(self.root)


def parse(call, body):
    return Xml(call, body) if call.protocol in ("query", "ec2", "rest-xml") else Json(call, body)


def cut(call, rule, size, forward):
    """Answers one page. `forward(target, body)` asks the emulator, which may page by itself: everything is fetched."""
    start, size = asked(call, rule, size)
    status, headers, body = forward(*without(call, rule))
    if status != 200:
        return status, headers, body
    answer = parse(call, body)
    items = [(path, item) for path in rule.lists for item in answer.items(path)]
    theirs = answer.value(rule.token_out)
    while theirs:
        status, headers, body = forward(*without(call, rule, theirs))
        more = parse(call, body)
        items += [(path, item) for path in rule.lists for item in more.items(path)]
        theirs = more.value(rule.token_out)
    page = items[start : start + size]
    for path in rule.lists:
        answer.keep(path, [item for at, item in page if at == path])
    more = start + size < len(items)
    answer.put(rule.token_out, sealed(call, rule, start + size) if more else None)
    if rule.more:
        answer.put(rule.more, more)
    return status, headers, answer.text()
