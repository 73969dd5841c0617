#!/usr/bin/env bash
# Installs the AWS emulator of the tests (moto, Apache-2.0) with its client (boto3) into a Python environment outside the
# checkout. Usage: aws-emulator.sh DIR. Does nothing when DIR has the pinned versions already.
set -euo pipefail
pins="$(cd "$(dirname "${BASH_SOURCE[0]}")/../tests/aws" && pwd)/requirements.txt"
dir=${1:?usage: aws-emulator.sh DIR}

# Written last, so that an installation that was interrupted is done again.
stamp="$dir/.installed"
if cmp -s "$pins" "$stamp" && [ -x "$dir/bin/python" ]; then
  exit 0
fi
command -v python3 > /dev/null || { echo "aws-emulator: python3 isn't installed" >&2; exit 1; }
python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "aws-emulator: python3 is older than 3.10" >&2; exit 1; }
python3 -c 'import ensurepip, venv' 2> /dev/null || { echo "aws-emulator: python3 has no venv" >&2; exit 1; }
rm -rf "$dir"
python3 -m venv "$dir"
# Wheels only: no code of a package runs while it is installed.
"$dir/bin/pip" install --quiet --disable-pip-version-check --no-input --only-binary :all: --require-hashes -r "$pins" \
  || { echo "aws-emulator: the package registry can't be reached, or has other packages" >&2; exit 1; }
cp "$pins" "$stamp"
