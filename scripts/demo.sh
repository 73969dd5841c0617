#!/usr/bin/env bash
# The main job from nothing: private Postgres, module, tenant, instance, credential, run, graph, changes, a denial.
# Usage: demo.sh BIN_DIR GUESTS_DIR [--keep]. Every command that is shown is really run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bin=$1 guests=$2 keep=${3:-}
work=$(mktemp -d /tmp/porthole-demo.XXXXXX)
chmod 755 "$work"
export PATH="$bin:$PATH" PORTHOLE_DATA="$work/data" PORTHOLE_CONFIG="$work/porthole.toml"
unset DATABASE_URL
log="$work/worker.log"

if [ -t 1 ]; then bold=$'\033[1m' dim=$'\033[2m' off=$'\033[0m'; else bold='' dim='' off=''; fi
title() { printf '\n%s%s%s\n' "$bold" "$*" "$off"; }
# Shows a command and runs it.
show() { printf '%s$ %s%s\n' "$dim" "$*" "$off"; "$@"; }
fake() { curl -sf -o /dev/null -X "$1" "http://$fake_addr/_fake/$2" -H 'content-type: application/json' ${3:+-d "$3"}; }

up='' fake_pid=''
finish() {
  status=$?
  [ -n "$up" ] && kill -TERM "$up" 2>/dev/null && wait "$up" 2>/dev/null || true
  [ -n "$fake_pid" ] && kill "$fake_pid" 2>/dev/null || true
  if [ $status -ne 0 ]; then echo "the demo failed; the worker's log:" >&2; tail -n 40 "$log" >&2 || true; fi
  if [ -n "$keep" ]; then echo "kept: $work"; else rm -rf "$work"; fi
  exit $status
}
trap finish EXIT

# A provider that needs no account: an organisation made from a seed, with GitHub's paging, limits and errors.
head -c 20 /dev/urandom | base64 | tr -dc 'A-Za-z0-9' | sed 's/^/ghp_demo/' > "$work/token"
fake-github --port-file "$work/port" --token-file "$work/token" --org acme --seed 7 --repos 120 --members 40 --teams 8 \
  > "$work/fake.log" 2>&1 &
fake_pid=$!
for _ in $(seq 100); do [ -s "$work/port" ] && break; sleep 0.1; done
fake_addr="127.0.0.1:$(cat "$work/port")"

# For development an operator may map a provider's host to another endpoint; every run record says so.
cat > "$PORTHOLE_CONFIG" <<TOML
[endpoints]
"api.github.com" = "http://$fake_addr"
TOML
