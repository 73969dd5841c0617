#!/usr/bin/env bash
# The main job from nothing: private Postgres, a signed and approved module, tenant, instance, credential, run, graph,
# changes, a denial; an upgrade that asks for more; a run played back; the audit log checked without us, and one bit of
# it flipped.
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
# Shows a command that has to be refused; being accepted ends the demo.
refused() {
  printf '%s$ %s%s\n' "$dim" "$*" "$off"
  if "$@"; then echo "this should have been refused" >&2; return 1; fi
}
# Shows a command, but only the first or last lines of what it prints.
show_first() { local n=$1; shift; printf '%s$ %s%s\n' "$dim" "$*" "$off"; "$@" > "$work/out"; head -n "$n" "$work/out"; echo '  …'; }
show_last() { local n=$1; shift; printf '%s$ %s%s\n' "$dim" "$*" "$off"; "$@" > "$work/out"; echo '  …'; tail -n "$n" "$work/out"; }
quietly() { printf '%s$ %s%s\n' "$dim" "$*" "$off"; "$@" > "$work/out" 2>&1 || { cat "$work/out"; return 1; }; tail -n 1 "$work/out"; }
# Flips one bit in the middle of a file.
flip() {
  local at byte
  at=$(($(stat -c %s "$1") / 2))
  byte=$(od -An -tu1 -j "$at" -N 1 "$1")
  printf "\\x$(printf %x $((byte ^ 1)))" | dd of="$1" bs=1 seek="$at" conv=notrunc status=none
  echo "byte $at of $1: $((byte)) is now $((byte ^ 1))"
}
# Asks the fake's own door (bash speaks TCP; a fresh machine may have no curl).
fake() {
  local body=${3:-}
  exec 9<> "/dev/tcp/127.0.0.1/$fake_port"
  printf '%s /_fake/%s HTTP/1.1\r\nhost: fake\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s' \
    "$1" "$2" "${#body}" "$body" >&9
  sed '1,/^\r*$/d' <&9
  exec 9>&-
}

up='' fake_pid=''
finish() {
  status=$?
  if [ -n "$up" ] && kill -TERM "$up" 2>/dev/null; then wait "$up" 2>/dev/null || true; fi
  if [ -n "$fake_pid" ]; then kill "$fake_pid" 2>/dev/null || true; fi
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
fake_port=$(cat "$work/port")
fake_addr="127.0.0.1:$fake_port"

# For development an operator may map a provider's host to another endpoint; every run record says so.
cat > "$PORTHOLE_CONFIG" <<TOML
[endpoints]
"api.github.com" = "http://$fake_addr"
TOML

title "1. A private Postgres and a worker"
printf '%s$ porthole up &%s\n' "$dim" "$off"
porthole up > "$log" 2>&1 &
up=$!
show porthole status --wait 60

title "2. The GitHub module: packed, signed by its publisher, checked, approved by two people"
for who in publisher ada ben; do porthole module keygen --out "$work/$who.key" > /dev/null; done
show porthole publisher add porthole --key "$work/publisher.key.pub"
show porthole reviewer add ada --key "$work/ada.key.pub"
show porthole reviewer add ben --key "$work/ben.key.pub"
show porthole module pack --manifest guests/github/manifest.toml --wasm "$guests/porthole_github.wasm" --out "$work/github.porthole"
show porthole module sign "$work/github.porthole" --key "$work/publisher.key" --publisher porthole
show porthole module publish "$work/github.porthole"
show_first 6 porthole module approve github@0.1.0 --key "$work/ada.key" --reviewer ada --reason "read every operation"
show_last 4 porthole module approve github@0.1.0 --key "$work/ben.key" --reviewer ben --reason "the second pair of eyes"

title "3. A tenant, an instance, a credential that the guest never sees"
show porthole tenant create acme
show porthole instance create acme/github --module github --set login=acme
show porthole credential set acme/github --slot api --method pat --file "$work/token"

title "4. A run"
show porthole run acme/github

title "5. What it collected"
show porthole graph acme
show porthole graph acme --type github_team --limit 3
team=$(porthole graph acme --type github_team --limit 1 --json 2> /dev/null | sed -n 's/.*"_key":"\([^"]*\)".*/\1/p')
show porthole graph acme --show "$team"

title "6. The same again: nothing changed, nothing is written"
show porthole run acme/github

title "7. Two repositories more and one less, and the members of one team can't be read any more"
fake POST mutate '{"add_repos": 2, "remove_repos": 1}' > /dev/null
slug=$(porthole graph acme --type github_team --limit 1 --json 2> /dev/null | sed -n 's/.*"slug":"\([^"]*\)".*/\1/p')
fake POST faults "{\"path\": \"/teams?/[^/]*$slug/members\", \"action\": {\"kind\": \"forbidden_integration\"}}" > /dev/null
show porthole run acme/github || true
fake DELETE faults > /dev/null

title "8. The tenant takes an operation away: it is denied, and nothing of it is deleted"
show porthole grant set acme/github --deny list-collaborators
show porthole run acme/github || true

title "9. An upgrade that asks for more: what exactly, and not before two people agree"
sed -e 's/^version = "0.1.0"/version = "0.2.0"/' -e 's/(member|maintainer)/(member|maintainer|all)/' \
  -e 's/^uses = \["get-account", "get-organization"\]/uses = ["get-account", "get-organization", "list-hooks"]/' \
  guests/github/manifest.toml > "$work/manifest.toml"
cat >> "$work/manifest.toml" <<'TOML'

[[operations]]
id = "list-hooks"
request = "GET https://{config.host}{config.rest}/orgs/{config.login}/hooks"
query = { per_page = "=100", page = "int<=100000" }
auth = "api"
pages = "link"
permission = 'organisation permission "Webhooks: read"'
TOML
show porthole module pack --manifest "$work/manifest.toml" --wasm "$guests/porthole_github.wasm" --out "$work/github-0.2.0.porthole"
show porthole module sign "$work/github-0.2.0.porthole" --key "$work/publisher.key" --publisher porthole
show porthole module publish "$work/github-0.2.0.porthole"
show porthole module diff "$work/github.porthole" "$work/github-0.2.0.porthole" || true
quietly porthole module approve github@0.2.0 --key "$work/ada.key" --reviewer ada --reason "webhooks are wanted"
refused porthole instance set acme/github --module github@0.2.0
quietly porthole module approve github@0.2.0 --key "$work/ben.key" --reviewer ben --reason "agreed with the security team"
show porthole instance set acme/github --module github@0.2.0

title "10. The narrower grant that would have sufficed"
show porthole grant propose acme/github

title "11. A run kept as a transcript and played back: no network, no database, the same graph"
quietly porthole run acme/github --record "$work/run.transcript"
show porthole replay "$work/run.transcript" --module "$work/github-0.2.0.porthole"

title "12. The audit log, checked with one public key: no database, no network"
show porthole audit key --tenant acme
porthole audit key --tenant acme > "$work/log.vkeys"
show porthole audit export --tenant acme --out "$work/acme.log"
show porthole audit verify "$work/acme.log" --key "$work/log.vkeys"

title "13. One bit flipped"
flip "$work/acme.log"
refused porthole audit verify "$work/acme.log" --key "$work/log.vkeys"

title "14. What the provider saw"
writes=$(fake GET stats | tr ',' '\n' | grep -c '"graphql":"mutation"' || true)
echo "requests that could have changed something: $writes"
