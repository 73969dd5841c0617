#!/usr/bin/env bash
# One large organisation through the whole path, twice: wall time next to the fake's own, memory peaks, how far the
# sequencer of the audit log is behind when a run ends, and what checking the log offline takes.
# Usage: load.sh BIN_DIR GUESTS_DIR REPOS MEMBERS TEAMS [STEP-OFF...]
. "$(dirname "${BASH_SOURCE[0]}")/stage.sh"
repos=$3 members=$4 teams=$5
shift 5
start_fake --rate-limit 100000000 --repos "$repos" --members "$members" --teams "$teams"
start_worker
porthole status --wait 60 > /dev/null
vouch github
porthole tenant create acme > /dev/null
porthole instance create acme/github --module github --set login=acme > /dev/null
porthole credential set acme/github --slot api --method pat --file "$work/token" > /dev/null

for step in "$@"; do porthole grant set acme/github --step-off "$step" > /dev/null; done

# The worker does the run; this process only watches, so that the worker's peaks are a worker's.
watch() {
  porthole run acme/github --detach > /dev/null
  while ! porthole runs list acme/github --limit 1 --json | grep -q '"state": "finished"'; do sleep 2; done
  porthole audit status
  porthole runs show acme/github
}
cpu() { awk '{ printf "%.1f", ($14 + $15) / 100 }' "/proc/$1/stat"; }
before=$(cpu $fake_pid)
echo "first run: $repos repositories, $members members, $teams teams"
watch
echo "  the fake's own CPU: $(echo "$(cpu $fake_pid) $before" | awk '{ print $1 - $2 }') s, the worker's: $(cpu $up) s"
echo
echo "second run: nothing changed"
watch

echo
porthole audit key > "$work/log.vkeys"
porthole audit export --out "$work/log" > /dev/null
time porthole audit verify "$work/log" --key "$work/log.vkeys"
