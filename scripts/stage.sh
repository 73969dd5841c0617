# What the demo, the review walk and the load stand on: a work folder, a provider on loopback, an operator's
# configuration, and helpers that show a command and run it. Sourced; the caller's arguments are BIN_DIR GUESTS_DIR …, and
# with `--keep` as the third the folder stays.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
name=$(basename "$0" .sh)
bin=$1 guests=$2 keep=${3:-}
work=$(mktemp -d "/tmp/porthole-$name.XXXXXX")
chmod 755 "$work"
export PATH="$bin:$PATH" PORTHOLE_DATA="$work/data" PORTHOLE_CONFIG="$work/porthole.toml"
unset DATABASE_URL
log="$work/worker.log"

if [ -t 1 ]; then bold=$'\033[1m' dim=$'\033[2m' off=$'\033[0m'; else bold='' dim='' off=''; fi
title() { printf '\n%s%s%s\n' "$bold" "$*" "$off"; }
# Shows a command and runs it.
show() { printf '%s$ %s%s\n' "$dim" "$*" "$off"; "$@"; }
# Shows a command that has to be refused; being accepted ends the demo.
refused() {
  printf '%s$ %s%s\n' "$dim" "$*" "$off"
  if "$@"; then echo "this should have been refused" >&2; return 1; fi
}
# Shows a command, but only the first or last lines of what it prints.
show_first() { local n=$1; shift; printf '%s$ %s%s\n' "$dim" "$*" "$off"; "$@" > "$work/out"; head -n "$n" "$work/out"; echo '  …'; }
show_last() { local n=$1; shift; printf '%s$ %s%s\n' "$dim" "$*" "$off"; "$@" > "$work/out"; echo '  …'; tail -n "$n" "$work/out"; }
# Shows a command line with pipes and runs it.
show_line() { printf '%s$ %s%s\n' "$dim" "$1" "$off"; eval "$1"; }
# The same for one that must not succeed.
refused_line() { if show_line "$1"; then echo "this should not have succeeded" >&2; return 1; fi; }
quietly() { printf '%s$ %s%s\n' "$dim" "$*" "$off"; "$@" > "$work/out" 2>&1 || { cat "$work/out"; return 1; }; tail -n 1 "$work/out"; }
# Flips one bit in the middle of a file.
flip() {
  local at byte
  at=$(($(stat -c %s "$1") / 2))
  byte=$(od -An -tu1 -j "$at" -N 1 "$1")
  printf "\\x$(printf %x $((byte ^ 1)))" | dd of="$1" bs=1 seek="$at" conv=notrunc status=none
  echo "byte $at of $1: $((byte)) is now $((byte ^ 1))"
}
# One request to a door on loopback, and the body of its answer (bash speaks TCP; a fresh machine may have no curl).
ask() {
  local port=$1 method=$2 path=$3 body=${4:-}
  exec 9<> "/dev/tcp/127.0.0.1/$port"
  printf '%s %s HTTP/1.1\r\nhost: fake\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s' \
    "$method" "$path" "${#body}" "$body" >&9
  sed '1,/^\r*$/d' <&9
  exec 9>&-
}
# Asks the fake's own door.
fake() { ask "$fake_port" "$1" "/_fake/$2" "${3:-}"; }

up='' fake_pid=''
finish() {
  status=$?
  if [ -n "$up" ] && kill -TERM "$up" 2>/dev/null; then wait "$up" 2>/dev/null || true; fi
  if [ -n "$fake_pid" ]; then kill "$fake_pid" 2>/dev/null || true; fi
  if [ $status -ne 0 ]; then echo "$(basename "$0") failed; the worker's log:" >&2; tail -n 40 "$log" >&2 || true; fi
  if [ "$keep" = --keep ]; then echo "kept: $work"; else rm -rf "$work"; fi
  exit $status
}
trap finish EXIT

# A provider that needs no account: an organisation made from a seed, with GitHub's paging, limits and errors. Takes its
# size and other flags of `fake-github`.
start_fake() {
  head -c 20 /dev/urandom | base64 | tr -dc 'A-Za-z0-9' | sed 's/^/ghp_demo/' > "$work/token"
  fake-github --port-file "$work/port" --token-file "$work/token" --org acme --seed 7 "$@" > "$work/fake.log" 2>&1 &
  fake_pid=$!
  for _ in $(seq 100); do [ -s "$work/port" ] && break; sleep 0.1; done
  fake_port=$(cat "$work/port")
  # For development an operator may map a provider's host to another endpoint; every run record says so.
  printf '[endpoints]\n"api.github.com" = "http://127.0.0.1:%s"\n' "$fake_port" > "$PORTHOLE_CONFIG"
}

# Starts a private Postgres and a worker; `porthole status --wait` says when they are there.
start_worker() {
  porthole up > "$log" 2>&1 &
  up=$!
}
# Publishes and approves a module, without showing it.
vouch() {
  local who
  {
    porthole module pack --manifest "guests/$1/manifest.toml" --wasm "$guests/porthole_$1.wasm" --out "$work/$1.porthole"
    for who in publisher ada ben; do porthole module keygen --out "$work/$who.key"; done
    porthole publisher add porthole --key "$work/publisher.key.pub"
    porthole module sign "$work/$1.porthole" --key "$work/publisher.key" --publisher porthole
    porthole module publish "$work/$1.porthole"
    for who in ada ben; do
      porthole reviewer add "$who" --key "$work/$who.key.pub"
      porthole module approve "$work/$1.porthole" --key "$work/$who.key" --reviewer "$who" --reason "$name"
    done
  } > "$work/out"
}
# Makes the next version of the GitHub module: it wants one operation more, and one argument wider.
next_version() {
  sed -e 's/^version = "0.1.0"/version = "0.2.0"/' -e 's/(member|maintainer)/(member|maintainer|all)/' \
    -e 's/^uses = \["get-account", "get-organization"\]/uses = ["get-account", "get-organization", "list-hooks"]/' \
    guests/github/manifest.toml > "$1"
  cat >> "$1" <<'TOML'

[[operations]]
id = "list-hooks"
request = "GET https://{config.host}{config.rest}/orgs/{config.login}/hooks"
query = { per_page = "=100", page = "int<=100000" }
auth = "api"
pages = "link"
permission = 'organisation permission "Webhooks: read"'
TOML
}
