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

# The mirror and its key, as the machine is configured: deb822 sources first, then one-line ones.
for file in /etc/apt/sources.list.d/*.sources; do
  [ -z "${mirror:-}" ] && [ -e "$file" ] || continue
  mirror=$(awk '/^URIs:/ && $2 ~ /\/debian\/?$/ { print $2; exit }' "$file")
done
[ -n "${mirror:-}" ] ||
  mirror=$(awk '$1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /:\/\/.*\/debian\/?$/) { print $i; exit } }' \
    /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null || true)
[ -n "$mirror" ] || exit 0
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e "$keyring" ] || exit 0

apt=$root/.cache/apt
for suite in stable testing unstable; do
  echo "Looking for docker-buildx in Debian $suite ..." >&2
  mkdir -p "$apt/$suite/lists/partial" "$apt/$suite/archives/partial" "$cache"
  echo "deb [signed-by=$keyring] $mirror $suite main" >"$apt/$suite/sources.list"
  set -- -qq -o "Dir::Etc::sourcelist=$apt/$suite/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o "Dir::State::lists=$apt/$suite/lists" -o "Dir::Cache=$apt/$suite" -o Debug::NoLocking=1 \
    -o APT::Sandbox::User="$(id -un)"
  apt-get "$@" update >&2 || continue
  (cd "$cache" && rm -f ./*.deb && apt-get "$@" download docker-buildx >&2) || continue
  for package in "$cache"/*.deb; do dpkg-deb -x "$package" "$cache"; done
  rm -f "$cache"/*.deb
  rm -rf "$apt"
  found "$cache/$plugins"
done
rm -rf "$apt"
echo "No docker-buildx found: its tests will be skipped" >&2
