#!/bin/sh
# Prints a directory with dockerd and what it starts, for the tests, or nothing: from a newer suite of the machine's own Debian
# mirror, unpacked into .cache without touching the system. Debian 13's engine (26.1) is too old: its Dockerfile frontend
# gives steps with mounts other cache keys.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cache=$root/.cache/docker-engine
programs='usr/sbin/dockerd usr/bin/containerd usr/bin/containerd-shim-runc-v2 usr/bin/tini-static'

found() {
  if "$cache/dockerd" --version >/dev/null 2>&1 && "$cache/docker-init" --version >/dev/null 2>&1; then
    echo "$cache"
    exit 0
  fi
}

found
# Nobody else can run it.
[ "$(id -u)" = 0 ] || exit 0
mkdir -p "$root/.cache"
unpacked=$(mktemp -d "$root/.cache/docker-engine-XXXXXX")
trap 'rm -rf "$unpacked"' EXIT
for suite in testing unstable; do
  sh "$root/scripts/unpack-debian.sh" "$suite" "$unpacked" docker.io containerd tini-static || continue
  mkdir -p "$cache"
  (cd "$unpacked" && mv -f $programs "$cache/" && ln -sf tini-static "$cache/docker-init") || continue
  found
done
echo "No Docker engine found: its tests will be skipped" >&2
