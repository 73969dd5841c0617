#!/usr/bin/env bash
# The main job from nothing: private Postgres, a signed and approved module, tenant, instance, credential, run, graph,
# changes, a denial; an upgrade that asks for more; a run played back; the audit log checked without us, and one bit of
# it flipped.
# Usage: demo.sh BIN_DIR GUESTS_DIR [--keep]. Every command that is shown is really run.
. "$(dirname "${BASH_SOURCE[0]}")/stage.sh"
start_fake --repos 120 --members 40 --teams 8

title "1. A private Postgres and a worker"
printf '%s$ porthole up &%s\n' "$dim" "$off"
start_worker
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
next_version "$work/manifest.toml"
show porthole module pack --manifest "$work/manifest.toml" --wasm "$guests/porthole_github.wasm" --out "$work/github-0.2.0.porthole"
show porthole module sign "$work/github-0.2.0.porthole" --key "$work/publisher.key" --publisher porthole
show porthole module publish "$work/github-0.2.0.porthole"
show porthole module diff "$work/github.porthole" "$work/github-0.2.0.porthole" || true
quietly porthole module approve github@0.2.0 --key "$work/ada.key" --reviewer ada --reason "webhooks are wanted"
refused porthole instance set acme/github --module github@0.2.0
quietly porthole module approve github@0.2.0 --key "$work/ben.key" --reviewer ben --reason "agreed with the security team"
show porthole instance set acme/github --module github@0.2.0

title "10. A run kept as a transcript and played back: no network, no database, the same graph"
quietly porthole grant set acme/github --allow list-collaborators
quietly porthole run acme/github --record "$work/run.transcript"
show porthole replay "$work/run.transcript" --module "$work/github-0.2.0.porthole"

title "11. The narrower grant that would have sufficed"
show porthole grant propose acme/github

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
