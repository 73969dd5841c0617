# What the AWS demo, bed and load stand on: the stage, and an AWS account that needs no account. Sourced, like stage.sh.
. "$(dirname "${BASH_SOURCE[0]}")/stage.sh"

# The emulator of the tests: two filled accounts behind a layer that checks every signature, role, session policy and page.
# It ends with this script; `tell` says what it says of itself.
start_bed() {
  python="${PORTHOLE_AWS_EMULATOR:-${XDG_CACHE_HOME:-$HOME/.cache}/porthole/aws-emulator}/bin/python"
  [ -x "$python" ] || { echo "the AWS emulator isn't installed: ./just aws-emulator" >&2; exit 1; }
  coproc BED { exec "$python" -B tests/aws/emulator.py 2> "$work/bed.log"; }
  fake_pid=$BED_PID
  read -r told <&"${BED[0]}"
  account=$(tell reader account)
  role=$(tell roles "$account")
  map_aws "$(tell port)"
  # Whose the platform's own key is: tenants' roles trust its account.
  printf 'access_key_id=%s\nsecret_access_key=%s\n' "$(tell platform key)" "$(tell platform secret)" > "$work/platform.key"
  chmod 600 "$work/platform.key"
  printf '\n[platform]\nkey-file = "%s"\nprincipal = "arn:aws:iam::%s:user/porthole"\n' "$work/platform.key" \
    "$(tell platform account)" >> "$PORTHOLE_CONFIG"
}
tell() {
  "$python" -c 'import json, sys
value = json.loads(sys.argv[1])
for name in sys.argv[2:]: value = value[name]
print(value)' "$told" "$@"
}
# Looks at something of the emulator (GET) or sets it (POST): `tests/aws/control.py` says what there is.
bed() { ask "$(tell admin)" "$1" "/_bed/$2" "${3:-}"; }

# For development an operator may map a provider's hosts to another endpoint; every run record says so.
map_aws() { printf '[endpoints]\n"*.amazonaws.com" = "http://127.0.0.1:%s"\n' "$1" > "$PORTHOLE_CONFIG"; }

# Steps of the base come first in the manifest. Neither the emulator nor the large account answers the others as AWS does.
base_steps_only() {
  local off
  mapfile -t off < <(sed -n '/^id = "ec2-addresses"$/,$ s/^id = "\(.*\)"$/\1/p' guests/aws/manifest.toml)
  porthole grant set "$1" "${off[@]/#/--step-off=}"
}

# What the account's administrator does: the role demands the external id of this instance.
trust_instance() {
  local id
  id=$(porthole instance show "$1" | sed -n 's/^  external id: //p')
  bed POST external-id "{\"account\": \"$account\", \"value\": \"$id\"}" > /dev/null
}
