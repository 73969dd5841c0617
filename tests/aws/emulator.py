"""Starts the test bed: the emulator, filled, behind a layer that checks everything.

Prints one line of JSON when it is ready, and ends when its standard input closes. Listens on loopback only.

    {"port": the checked port, "admin": the one without checks, "platform": {"key", "secret", "account"},
     "reader": {…}, "roles": {account: arn}, "open_roles": {account: arn}, "external_ids": {account: id}, "regions": […],
     "canary": a secret that nothing may store}
"""

import json
import os
import sys
import threading

# Sets are walked in an order that follows from this seed, and ids from the order.
if os.environ.get("PYTHONHASHSEED") != "0":
    os.execve(sys.executable, [sys.executable, "-B", *sys.argv], os.environ | {"PYTHONHASHSEED": "0"})

# The emulator reads these when it is imported.
os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")

from moto.moto_api._internal import mock_random
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

import control
import fill
import fill_regions
from bed import Admin, Bed, Moto, State
from keys import PLATFORM, static


class Quiet(WSGIRequestHandler):
    """Connections stay open between requests, and nothing is printed."""

    protocol_version = "HTTP/1.1"

    def log(self, *_):
        pass


def serve(app):
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def main():
    mock_random.seed(1)
    state = State(list(fill.REGIONS))
    moto = Moto(DomainDispatcherApplication(create_backend_app))
    platform = state.keys.add(static("platform", PLATFORM, "porthole"))
    reader = state.keys.add(static("reader", fill.MAIN, "porthole-reader"))
    admin = serve(Admin(state, moto, control.answer))
    if "--empty" not in sys.argv:
        fill.fill(f"http://127.0.0.1:{admin}")
    port = serve(Bed(state, moto))
    told = lambda p: {"key": p.key, "secret": p.secret, "account": p.account}
    roles = lambda name: {account: f"arn:aws:iam::{account}:role/{name}" for account in fill.EXTERNAL_IDS}
    print(json.dumps({
        "port": port, "admin": admin, "platform": told(platform), "reader": told(reader), "roles": roles("porthole"),
        "open_roles": roles("porthole-open"), "external_ids": fill.EXTERNAL_IDS, "regions": fill.REGIONS,
        "canary": fill_regions.CANARY,
    }), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
