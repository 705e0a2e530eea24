#!/bin/sh
# Prints a directory with an emulator of arm64 and a program to run with it, for the tests, or nothing: from the machine's own
# Debian mirror, unpacked into .cache. Installing the emulator would register it for the whole machine.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cache=$root/.cache/emulation

found() {
  if [ "$("$cache/qemu-aarch64-static" "$cache/busybox-arm64" uname -m 2>/dev/null)" = aarch64 ]; then
    echo "$cache"
    exit 0
  fi
}

found
mkdir -p "$root/.cache"
unpacked=$(mktemp -d "$root/.cache/emulation-XXXXXX")
trap 'rm -rf "$unpacked"' EXIT
if sh "$root/scripts/unpack-debian.sh" bookworm "$unpacked" qemu-user-static busybox-static:arm64; then
  mkdir -p "$cache"
  mv -f "$unpacked/usr/bin/qemu-aarch64-static" "$cache/"
  mv -f "$unpacked/bin/busybox" "$cache/busybox-arm64"
  found
fi
echo "No emulator found: its tests will be skipped" >&2
