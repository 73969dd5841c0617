#!/usr/bin/env bash
# Writes docs/review.md: the walk of a security reviewer through a module and its runs, with what the commands print.
# Usage: review.sh BIN_DIR GUESTS_DIR > docs/review.md. Every command in it is really run.
. "$(dirname "${BASH_SOURCE[0]}")/stage.sh"
start_fake --repos 120 --members 40 --teams 8

# Paths and digests of this run would change the document each time; only the folder is shortened.
tidy() { sed -e "s#$guests#GUESTS#g" -e "s#$work/##g" -e 's/[[:space:]]*$//'; }
# Shows commands and their output as one block.
block() {
  echo '```'
  local first=1 line
  while IFS= read -r line; do
    [ -n "$line" ] || continue
    if [ -z "$first" ]; then echo; fi
    first=''
    printf '$ %s\n' "$line"
    (cd "$work" && eval "$line" 2>&1 | tidy) || true
  done
  echo '```'
}
silently() { "$@" > "$work/out" 2>&1 || { cat "$work/out" >&2; return 1; }; }
# The runs of the instance, newest first.
runs() { porthole runs list acme/github --json 2> /dev/null | sed -n 's/^    "id": "\(.*\)",$/\1/p'; }
export USER=olga
unset SUDO_USER

{
  start_worker
  silently porthole status --wait 60
  for who in porthole ada ben; do silently porthole module keygen --out "$work/$who.key"; done
  silently porthole publisher add porthole --key "$work/porthole.key.pub"
  silently porthole reviewer add ada --key "$work/ada.key.pub"
  silently porthole reviewer add ben --key "$work/ben.key.pub"
  next_version "$work/next.toml"
  cp guests/github/manifest.toml "$work/manifest.toml"
  cp "$guests/porthole_github.wasm" "$work/github.wasm"
  silently porthole module pack --manifest "$work/manifest.toml" --wasm "$work/github.wasm" --out "$work/github-0.1.0.porthole"
  silently porthole module pack --manifest "$work/next.toml" --wasm "$work/github.wasm" --out "$work/github-0.2.0.porthole"
  for version in 0.1.0 0.2.0; do
    silently porthole module sign "$work/github-$version.porthole" --key "$work/porthole.key" --publisher porthole
    silently porthole module publish "$work/github-$version.porthole"
  done
  silently porthole module approve github@0.1.0 --key "$work/ada.key" --reviewer ada --reason "read every operation"
  silently porthole module approve github@0.1.0 --key "$work/ben.key" --reviewer ben --reason "only metadata, no code"
  silently porthole tenant create acme
  silently porthole instance create acme/github --module github@0.1.0 --set login=acme
  silently porthole credential set acme/github --slot api --method pat --file "$work/token"
  silently porthole run acme/github --record "$work/run.transcript"
  silently porthole grant set acme/github --deny list-outside-collaborators
  porthole run acme/github > /dev/null 2>&1 || true
  silently porthole grant set acme/github --allow list-outside-collaborators
  silently porthole run acme/github
} >&2

cat <<'MD'
# A reviewer's walk

You have never seen Porthole, and somebody asks you to let it read your organisation. Here are the questions you would
ask, the commands that answer them, and what they print. `scripts/review.sh` made this page by running every command in
it against a provider on loopback; digests, keys and times are those of that run.

The cast: `porthole` publishes the module `github`; `ada` and `ben` review; the tenant `acme` runs it as `acme/github`.
You hold three files: the module `github-0.1.0.porthole`, its signature beside it, and the publisher's public key, which
you got from the publisher and not from whoever runs Porthole.

## 1. What may this module do?

Ask the file itself; no database and no network take part.

MD
block <<'SH'
porthole module verify github-0.1.0.porthole --key porthole.key.pub
porthole module inspect github-0.1.0.porthole --key porthole.key.pub
SH
cat <<'MD'

Everything on that screen is enforced by the host and not by the module: it has no other way out than these operations.
A module that imports anything but these interfaces, or whose operations aren't proved to be reads, isn't admitted.

## 2. Who agreed to it?

MD
block <<'SH'
porthole module show github@0.1.0
porthole audit list --platform --limit 12
SH
cat <<'MD'

An approval is a statement that the reviewer signed with a key of their own: the module's digest, the digest of the
difference they were shown, their reason. It can't be made by whoever has the database. The worker checks signature and
approvals twice, when a run is planned and when the code is handed to the sandbox.

## 3. What did it do?

MD
block <<'SH'
porthole runs show acme/github
porthole audit show acme/github
SH
cat <<'MD'

The record of a call is written before the call is sent. What was refused is there too; this is the run before:

MD
run=$(runs | sed -n 2p)
block <<SH
porthole audit show $run
SH
cat <<'MD'

## 4. What did it never use?

MD
block <<'SH'
porthole grant propose acme/github
SH
cat <<'MD'

## 5. What does the new version add?

Version 0.2.0 is published and waits for its reviewers. For each thing that got wider there is a request that the new
version could make and the old one could not.

MD
block <<'SH'
porthole module diff github-0.1.0.porthole github-0.2.0.porthole
porthole module compare github-0.1.0.porthole github-0.2.0.porthole --replay run.transcript
porthole module show github@0.2.0
SH
cat <<'MD'

`compare` plays yesterday's run to both versions. It shows what the new one would have done differently on the same
input; what it asks beyond that input can't be answered, and is listed.

## 6. How do I check that without trusting you?

**The module** is what its source makes: packing the same source gives the same bytes.

MD
block <<'SH'
porthole module pack --manifest manifest.toml --wasm github.wasm --out again.porthole && cmp again.porthole github-0.1.0.porthole && echo identical
SH
cat <<'MD'

**The log** is an RFC 6962 Merkle tree with signed checkpoints. Export it, take it to another machine, and check it there
with the public key that you were given when you started; keep the newest checkpoint, and hold the log to it next time.

MD
block <<'SH'
porthole audit key > log.vkeys; cat log.vkeys
porthole audit export --out acme.log
porthole audit verify acme.log --key log.vkeys --keep kept.checkpoint
porthole run acme/github > /dev/null; porthole audit export --out acme-later.log > /dev/null
porthole audit verify acme-later.log --key log.vkeys --checkpoint kept.checkpoint
sed 's/list-teams/list-repos/' acme.log > tampered.log; porthole audit verify tampered.log --key log.vkeys
SH
record=$(porthole audit list --platform --limit 50 --json 2> /dev/null | grep '"module.approved"' | tail -1 | grep -o '"id":"0[0-9a-f-]*"' | tail -1 | cut -d'"' -f4)
cat <<'MD'

**One record** can be proved alone, without showing the rest of the log: here that the platform's administrators recorded
an approval. A tenant checks it with the platform's public key.

MD
block <<SH
porthole audit prove $record --platform --out approval.proof
porthole audit verify-proof approval.proof --key log.vkeys
SH
cat <<'MD'

**A witness** remembers what it has seen of a log and co-signs only what grew from that; a log with two histories finds
no second co-signature.

MD
block <<'SH'
head -n 1 log.vkeys > acme.vkey; porthole audit checkpoint --since 0 --out request
porthole audit witness request --log-key acme.vkey --key witness.key --name witness.example/1 --state seen
SH
cat <<'MD'

**A run** can be repeated from its transcript, in the same sandbox, without network and database. The digest of the graph
is that of the run's record.

MD
first=$(runs | tail -n 1)
block <<SH
porthole runs show $first --json > run.json
porthole replay run.transcript --module github-0.1.0.porthole --run run.json
SH
cat <<'MD'

What you still have to believe: that the binary on the machine is the one you read, and that the keys you were given are
the right ones. [SECURITY.md](../SECURITY.md) says what else is left.
MD
