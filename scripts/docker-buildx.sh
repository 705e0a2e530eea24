#!/bin/sh
# Prints the directory of a docker-buildx for the tests, or nothing: from the PATH, the docker plugin directories, the
# distribution, or a newer suite of the machine's own Debian mirror, unpacked into .cache without touching the system.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
plugins=usr/libexec/docker/cli-plugins
cache=$root/.cache/docker-buildx

found() {
  if [ -x "$1/docker-buildx" ] && "$1/docker-buildx" version >/dev/null 2>&1; then
    echo "$1"
    exit 0
  fi
}

on_path=$(command -v docker-buildx || true)
[ -z "$on_path" ] || found "$(dirname "$on_path")"
for directory in "${HOME:-/root}/.docker/cli-plugins" "/$plugins" /usr/lib/docker/cli-plugins "$cache/$plugins"; do
  found "$directory"
done
command -v apt-get >/dev/null 2>&1 || exit 0

if [ "$(id -u)" = 0 ] && apt-cache show docker-buildx >/dev/null 2>&1; then
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker-buildx >&2 || true
  found "/$plugins"
fi

for suite in stable testing unstable; do
  sh "$root/scripts/unpack-debian.sh" "$suite" "$cache" docker-buildx || continue
  found "$cache/$plugins"
done
echo "No docker-buildx found: its tests will be skipped" >&2
