#!/usr/bin/env bash
# The AWS module from nothing: an emulator that checks every signature, role and session policy, an instance with its
# external id, the role to set up, a run, who can assume which role and why, and what AWS refuses.
# Usage: demo-aws.sh BIN_DIR GUESTS_DIR [--keep]. Every command that is shown is really run.
. "$(dirname "${BASH_SOURCE[0]}")/stage-aws.sh"

title "1. An AWS account on loopback, a private Postgres, a worker, the signed and approved AWS module"
start_bed
start_worker
quietly porthole status --wait 60
show cat "$PORTHOLE_CONFIG"
vouch aws
show porthole module show aws@0.1.0

title "2. A tenant and an instance: nobody chooses its external id, and no other instance has it"
show porthole tenant create acme
show porthole instance create acme/aws --module aws
show porthole instance show acme/aws
# The emulator answers the base as AWS does; of the further services it lacks too much.
printf '%s$ porthole grant set acme/aws --step-off ec2-addresses --step-off …%s\n' "$dim" "$off"
base_steps_only acme/aws

title "3. What the account's administrator sets up: a role with exactly the actions of the grant, for this instance alone"
show_line "porthole grant policy acme/aws --format cloudformation > $work/role.json"
show_line "grep -A 16 '\"Statement\"' $work/role.json | head -n 12; echo '  …'"
show_line "sed -n '/AssumeRolePolicyDocument/,/Version/p' $work/role.json"

title "4. The administrator makes the role and gives back its name: no secret changes hands"
trust_instance acme/aws
show porthole credential set acme/aws --slot aws --method role --field "role_arn=$role"

title "5. A run: a role, sessions limited to the grant, pages of three, three regions"
show_line "porthole run acme/aws | grep -v '^   aws_account_has\|^   [a-z0-9_]*  *1 '"

title "6. Who can assume which role"
show_line "porthole graph acme | grep can_assume"
show porthole graph acme --show "arn:aws:iam::$account:role/delegated"
title "7. Why: which run and step says that ci-deploy can"
show porthole graph why acme --from "arn:aws:iam::$account:user/bots/ci-deploy" --verb CAN_ASSUME \
  --to "arn:aws:iam::$account:role/delegated"

title "8. AWS denies one action in one region: its slice is incomplete, nothing of it is deleted"
bed POST deny '["ec2:DescribeVolumes@eu-west-1"]' > /dev/null
refused_line "porthole run acme/aws | grep -v '^  ✓' | grep -v '^   [a-z0-9]*_'"
bed POST deny '[]' > /dev/null

title "9. A role that anybody could have Porthole assume is refused before anything is read"
show porthole instance create acme/open --module aws
show porthole credential set acme/open --slot aws --method role --field "role_arn=$(tell open_roles "$account")"
refused_line "porthole run acme/open | sed -n '/^run /,/calls/p'"

title "10. The record: who asked what, in the signed log"
show_first 24 porthole audit show acme/aws

title "11. What AWS saw"
bed GET sessions > "$work/sessions"
bed GET violations > "$work/violations"
"$python" - "$work" <<'PY'
import json, pathlib, sys
sessions, violations = (json.loads((pathlib.Path(sys.argv[1]) / name).read_text()) for name in ("sessions", "violations"))
sessions = [s for s in sessions if ":assumed-role/porthole/" in s["arn"]]
actions = {action for s in sessions for p in s["policies"] for t in p["Statement"] for action in t["Action"]}
print(f"sessions of the role: {len(sessions)}, all with the external id: {all(s['external_id'] for s in sessions)}")
print(f"actions that their session policies allow: {len(actions)}, those of the steps that are on")
print(f"requests that could have changed something, or that nobody may make: {len(violations)}")
PY
