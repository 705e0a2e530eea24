#!/bin/sh
# Unpacks Debian packages without installing them: sh scripts/unpack-debian.sh SUITE DIRECTORY PACKAGE[:ARCHITECTURE]...
# They come from that suite of the machine's own Debian mirror. Fails when they cannot be had.
set -eu
suite=$1
directory=$2
shift 2
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
command -v apt-get >/dev/null 2>&1 || exit 1

# The mirror and its key, as the machine is configured: deb822 sources first, then one-line ones.
for file in /etc/apt/sources.list.d/*.sources; do
  [ -z "${mirror:-}" ] && [ -e "$file" ] || continue
  mirror=$(awk '/^URIs:/ && $2 ~ /\/debian\/?$/ { print $2; exit }' "$file")
done
[ -n "${mirror:-}" ] ||
  mirror=$(awk '$1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /:\/\/.*\/debian\/?$/) { print $i; exit } }' \
    /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null || true)
[ -n "$mirror" ] || exit 1
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e "$keyring" ] || exit 1

echo "Looking in Debian $suite for: $*" >&2
mkdir -p "$root/.cache" "$directory"
apt=$(mktemp -d "$root/.cache/apt-XXXXXX")
trap 'rm -rf "$apt"' EXIT
mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$apt/packages"
echo "deb [signed-by=$keyring] $mirror $suite main" >"$apt/sources.list"
packages=$*
set -- -qq -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
  -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt" -o Debug::NoLocking=1 -o APT::Sandbox::User="$(id -un)"
set -- "$@" -o "APT::Architectures::=$(dpkg --print-architecture)"
for package in $packages; do
  case $package in *:*) set -- "$@" -o "APT::Architectures::=${package#*:}" ;; esac
done
apt-get "$@" update >&2
(cd "$apt/packages" && apt-get "$@" download $packages >&2)
for package in "$apt"/packages/*.deb; do dpkg-deb -x "$package" "$directory"; done
