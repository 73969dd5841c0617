"""The accounts of the test bed."""

# The account of whoever runs the collector.
PLATFORM = "999999999999"
# The accounts that are collected, with the external id that each one's role demands.
MAIN, OTHER = "111111111111", "222222222222"
EXTERNAL_IDS = {MAIN: "acme-7f3c-main", OTHER: "acme-7f3c-other"}
# Where both are enabled.
REGIONS = ["us-east-1", "eu-west-1", "ap-southeast-2"]
