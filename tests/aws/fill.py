"""Fills the emulator with two accounts in three regions. Every id is the same in every run.

    fill(admin_url)        through the admin port, which has no checks
"""

import json

import boto3
from botocore.config import Config

import fill_iam
import fill_regions

# The accounts, with the external id that each one's role for the collector demands.
MAIN, OTHER = "111111111111", "222222222222"
EXTERNAL_IDS = {MAIN: "acme-7f3c-main", OTHER: "acme-7f3c-other"}
REGIONS = ["us-east-1", "eu-west-1", "ap-southeast-2"]
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
    from urllib.request import Request, urlopen

    with urlopen(Request(f"{url}/_bed/{name}", json.dumps(value).encode(), method="POST")) as answer:
        return json.load(answer)


def fill(url):
    for account in (MAIN, OTHER):
        fill_iam.integration(Account(url, account), EXTERNAL_IDS[account])
    main, other = Account(url, MAIN), Account(url, OTHER)
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
