#!/usr/bin/env bash
# One large AWS account through the whole path, twice: requests, wall time, CPU and memory peaks; then what was collected
# against what the account has.
# Usage: load-aws.sh BIN_DIR GUESTS_DIR RESOURCES
. "$(dirname "${BASH_SOURCE[0]}")/stage-aws.sh"
resources=$3
fake-aws --port-file "$work/port" --resources "$resources" > "$work/fake.log" 2>&1 &
fake_pid=$!
for _ in $(seq 100); do [ -s "$work/port" ] && break; sleep 0.1; done
map_aws "$(cat "$work/port")"
start_worker
porthole status --wait 60 > /dev/null
vouch aws
porthole tenant create acme > /dev/null
porthole instance create acme/aws --module aws > /dev/null
base_steps_only acme/aws > /dev/null
# The account checks no signature; a key is enough, and saves it roles and sessions.
echo '{"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}' > "$work/keys"
porthole credential set acme/aws --method keys --file "$work/keys" > /dev/null

cpu() { awk '{ printf "%.1f", ($14 + $15) / 100 }' "/proc/$1/stat"; }
# The worker does the run; this process only watches, so that the worker's peaks are a worker's.
watch() {
  local fake worker
  fake=$(cpu "$fake_pid") worker=$(cpu "$up")
  porthole run acme/aws --detach > /dev/null
  while ! porthole runs list acme/aws --limit 1 --json | grep -q '"state": "finished"'; do sleep 2; done
  porthole runs show acme/aws > "$work/run"
  # A hundred types make a long table: its head and its sum.
  sed '/^   TYPE /,/^   all /{/^   TYPE /p;/^   all /p;d}' "$work/run"
  awk -v fake="$fake $(cpu "$fake_pid")" -v worker="$worker $(cpu "$up")" '
    match($0, /in [0-9.]+ s/) && !wall { wall = substr($0, RSTART + 3) + 0 }
    / calls, / && !calls { line = $0; sub(/ calls,.*/, "", line); gsub(/[^0-9]/, "", line); calls = line + 0 }
    END {
      split(fake, f); split(worker, w)
      printf "  %d requests in %.1f s: %.0f a second\n", calls, wall, calls / wall
      printf "  CPU: worker %.1f s, the account itself %.1f s (%.0f %% of one core)\n", w[2] - w[1], f[2] - f[1], (f[2] - f[1]) / wall * 100
    }' "$work/run"
}
echo "first run: an account of about $resources resources in 17 regions"
watch
echo
echo "second run: nothing changed"
watch

echo
echo "collected against what the account has"
porthole graph acme > "$work/graph"
kill "$fake_pid"
wait "$fake_pid" || true
awk '
  # `expected aws_iam_group CONTAINS aws_iam_user: 2000` is the type aws_iam_group_contains_aws_iam_user.
  FNR == NR && $1 == "expected" {
    count = $NF; $1 = $NF = ""; gsub(/^ | $/, ""); sub(/:.*/, ""); gsub(/ /, "_"); sub(/_$/, "")
    expected[tolower($0)] = count
  }
  FNR == NR && $1 == "unknown" { print "  asked what the account has not: " $0; wrong++ }
  FNR == NR && / requests, / { print "  the account counted " $0 }
  FNR < NR && ($1 == "entity" || $1 == "relationship" || $1 == "dangling") {
    kind = $1; type = $2; $1 = $2 = ""; gsub(/[^0-9]/, "")
    total[kind] += $0
    if (kind != "dangling") found[type] = $0
  }
  END {
    for (type in expected) {
      types++
      if (found[type] + 0 != expected[type]) { print "  " type ": " found[type] + 0 ", not " expected[type]; wrong++ }
    }
    print "  " total["entity"] " entities and " total["relationship"] " relationships in the graph, " total["dangling"] + 0 " more wait for an other end"
    if (wrong || !types) { print "  these are NOT what the account has"; exit 1 }
    print "  of " types " types the account knows how many there are: all are there, and no more"
  }' "$work/fake.log" "$work/graph"
