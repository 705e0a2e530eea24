#!/bin/sh
# Runs the tests after setting up what they use: sh scripts/test.sh [test files or options of node --test]
# CI calls this too. Environment: TEST_TIMEOUT_MS per file (default 300000), TEST_CONCURRENCY files at once (default 3).
set -eu
. "$(dirname -- "$0")/setup.sh"
sh "$root/scripts/debian-packages.sh"
buildx=$(sh "$root/scripts/docker-buildx.sh")
[ -z "$buildx" ] || PATH=$PATH:$buildx
engine=$(sh "$root/scripts/docker-engine.sh")
[ -z "$engine" ] || PATH=$engine:$PATH
BUILDFLEET_TEST_EMULATION=$(sh "$root/scripts/emulation.sh")
export BUILDFLEET_TEST_EMULATION
# Debian keeps some of the tools where only root's PATH looks.
PATH=$PATH:/usr/sbin:/sbin
export PATH

cd "$root"
[ $# -gt 0 ] || set -- 'test/**/*.test.ts'
exec "$node" --test --test-concurrency="${TEST_CONCURRENCY:-3}" --test-timeout="${TEST_TIMEOUT_MS:-300000}" \
  --test-reporter=spec "$@"
