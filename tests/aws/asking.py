"""How the bed's own tests ask it: through botocore, with every host of the provider on loopback."""

import atexit
import json
import socket
import subprocess
import sys
import unittest
import urllib.error
import urllib.request
from pathlib import Path
from unittest import mock

from botocore.config import Config
from botocore.exceptions import ClientError

import fill
import wire
from accounts import MAIN

HERE = Path(__file__).parent
REGION = "us-east-1"
real_getaddrinfo = socket.getaddrinfo


def on_loopback(host, *rest, **more):
    """Every host of the provider is this machine."""
    name = host.decode() if isinstance(host, bytes) else host
    return real_getaddrinfo("127.0.0.1" if name.endswith(".amazonaws.com") else name, *rest, **more)


mock.patch("socket.getaddrinfo", on_loopback).start()


def start():
    """A bed of its own: its process, and what it says of itself."""
    command = [sys.executable, "-B", str(HERE / "emulator.py")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    return process, json.loads(process.stdout.readline())


def stop(process):
    process.stdin.close()
    process.wait(10)
    process.stdout.close()


# One for all tests.
PROCESS, TOLD = start()
atexit.register(stop, PROCESS)
ADMIN = f"http://127.0.0.1:{TOLD['admin']}"


def control(name, value=None):
    data = None if value is None else json.dumps(value).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{ADMIN}/_bed/{name}", data)) as answer:
        return json.load(answer)


def host(service, region):
    prefix = wire.MODELS.get_service_model(service).endpoint_prefix
    return f"{prefix}.amazonaws.com" if service in ("iam", "route53", "cloudfront") else f"{prefix}.{region}.amazonaws.com"


def client(service, who=None, region=REGION):
    """A client of the checked port. `who` has `key`, `secret` and perhaps `token`."""
    who = who or TOLD["reader"]
    keys = {"aws_access_key_id": who["key"], "aws_secret_access_key": who["secret"], "aws_session_token": who.get("token")}
    url = f"http://{host(service, region)}:{TOLD['port']}"
    return fill.SESSION.client(service, region, endpoint_url=url, **keys, config=Config(
        retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, parameter_validation=False))


def assume(account=MAIN, role=None, who=None, **more):
    sts = client("sts", who or TOLD["platform"])
    found = sts.assume_role(RoleArn=role or TOLD["roles"][account], RoleSessionName="test", **more)["Credentials"]
    return {"key": found["AccessKeyId"], "secret": found["SecretAccessKey"], "token": found["SessionToken"]}


def refused(test, code, act, *rest, **more):
    with test.assertRaises(ClientError) as caught:
        act(*rest, **more)
    test.assertEqual(caught.exception.response["Error"]["Code"], code)
    return caught.exception.response["ResponseMetadata"]["HTTPStatusCode"]


class Bed(unittest.TestCase):
    def setUp(self):
        for name, value in [("page-size", 3), ("deny", []), ("throttle", {}), ("reset", 0)]:
            control(name, value)

    def raw(self, request):
        """Sends what botocore signed as it is, without its retries and redirects. Gives status and body."""
        path = request.url.partition(".amazonaws.com")[2]
        url, data = f"http://127.0.0.1:{TOLD['port']}{path}", request.data or None
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data, dict(request.headers.items()))) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
