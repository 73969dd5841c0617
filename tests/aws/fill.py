"""Fills the emulator with two accounts in three regions. Every id is the same in every run.

    fill(admin_url)        through the admin port, which has no checks
"""

import json
import os
from urllib.request import Request, urlopen

# Whoever runs the tests has settings and credentials of their own: none of them matters here.
for name in [n for n in os.environ if n.startswith("AWS_") or n.lower().endswith("_proxy")]:
    del os.environ[name]
os.environ |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true"}

import boto3
from botocore.config import Config

import fill_iam
import fill_regions
from accounts import EXTERNAL_IDS, MAIN, OTHER, REGIONS

CONFIG = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
# One for all clients: it reads each service's model once.
SESSION = boto3.Session()


class Account:
    """Clients of one account, by service and region."""

    def __init__(self, url, account):
        self.url, self.id, self.clients = url, account, {}

    def client(self, service, region="us-east-1"):
        if (service, region) not in self.clients:
            self.clients[service, region] = SESSION.client(
                service, region, endpoint_url=self.url, aws_access_key_id=self.id, aws_secret_access_key="any", config=CONFIG)
        return self.clients[service, region]


def post(url, name, value):
    """Sets something through the controls."""
    with urlopen(Request(f"{url}/_bed/{name}", json.dumps(value).encode(), method="POST")) as answer:
        return json.load(answer)


def fill(url):
    main, other = Account(url, MAIN), Account(url, OTHER)
    for account in (main, other):
        fill_iam.integration(account, EXTERNAL_IDS[account.id])
        for region in REGIONS:
            # The emulator makes a region's default network when it is first looked at; it has to be always the same one.
            account.client("ec2", region).describe_vpcs()
    fill_iam.main(main)
    fill_iam.other(other)
    for region, size in zip(REGIONS, (3, 2, 0)):
        fill_regions.network(main, region, size)
    fill_regions.network(other, "us-east-1", size=1)
    functions = {region: fill_regions.functions(main, region, count) for region, count in [("us-east-1", 5), ("eu-west-1", 1)]}
    for region, arns in functions.items():
        fill_regions.apis(main, region, arns)
    fill_regions.buckets(main)
    fill_regions.bucket(other, "acme-other-data", "us-east-1")
    for region in REGIONS[:2]:
        for rule, results in fill_regions.rules(main, region).items():
            post(url, "compliance", {"account": MAIN, "region": region, "rule": rule, "results": results})
    fill_regions.orphan_function(main)
