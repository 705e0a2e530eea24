#!/bin/sh
# Runs a TypeScript file with the right Node: sh scripts/run.sh <file> [arguments]
set -eu
. "$(dirname -- "$0")/setup.sh"
exec "$node" "$@"
