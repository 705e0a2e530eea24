#!/bin/sh
# A daemon for recorded corpora and upstream's tests: sh scripts/compat-server.sh [flags of buildfleet standalone]
# Listens on tcp://127.0.0.1:1300, takes docker.io's images from the plain HTTP registry on localhost:5000, allows all
# entitlements, and keeps its state in a directory that goes when it ends.
set -eu
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
cat >"$state/buildkitd.toml" <<'TOML'
[registry."docker.io"]
  mirrors = ["localhost:5000"]
[registry."localhost:5000"]
  http = true
[registry."127.0.0.1:5000"]
  http = true
[worker.oci]
  gc = false
TOML
node=${NODE:-node}
"$node" "$(dirname -- "$0")/../bin/buildfleet.mjs" standalone --config "$state/buildkitd.toml" --root "$state/root" \
  --addr "${COMPAT_ADDR:-tcp://127.0.0.1:1300}" --allow-insecure-entitlement network.host \
  --allow-insecure-entitlement security.insecure "$@" &
daemon=$!
trap 'kill "$daemon"' INT TERM
# The first wait ends with the signal, the second with the daemon.
wait "$daemon" || wait "$daemon" || true
