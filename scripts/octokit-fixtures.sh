#!/usr/bin/env bash
# Installs the recorded GitHub traffic that tests replay (npm package @octokit/fixtures, MIT) into a folder outside the
# checkout. Usage: octokit-fixtures.sh DIR. Does nothing when DIR has the pinned version already.
set -euo pipefail
pins="$(cd "$(dirname "${BASH_SOURCE[0]}")/../tests/octokit" && pwd)"
dir=${1:?usage: octokit-fixtures.sh DIR}

# Written last, so that an installation that was interrupted is done again.
stamp="$dir/.installed"
if cmp -s "$pins/package-lock.json" "$stamp" && [ -d "$dir/node_modules/@octokit/fixtures/scenarios" ]; then
  exit 0
fi
command -v npm > /dev/null || { echo "octokit-fixtures: npm isn't installed" >&2; exit 1; }
mkdir -p "$dir"
rm -f "$stamp"
cp "$pins/package.json" "$pins/package-lock.json" "$dir/"
# No scripts of packages run: they are read as data.
(cd "$dir" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
cp "$pins/package-lock.json" "$stamp"
