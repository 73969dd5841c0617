#!/usr/bin/env bash
# A shell in which `porthole` works against an AWS account on loopback: worker and private Postgres run, the AWS module is
# published and approved, the tenant has an instance, and the account's role demands its external id. Everything ends with
# the shell. Reads commands from standard input when that is no terminal.
# Usage: aws-bed.sh BIN_DIR GUESTS_DIR
. "$(dirname "${BASH_SOURCE[0]}")/stage-aws.sh"
start_bed
start_worker
porthole status --wait 60 > /dev/null
vouch aws
porthole tenant create acme > /dev/null
porthole instance create acme/aws --module aws
base_steps_only acme/aws
trust_instance acme/aws
echo "the role of account $account that trusts it: $role"
echo
echo "  porthole credential set acme/aws --method role --field role_arn=$role"
echo "  porthole run acme/aws"
echo
if [ -t 0 ]; then
  PS1='aws-bed$ ' bash --norc -i || true
else
  bash -eu
fi
