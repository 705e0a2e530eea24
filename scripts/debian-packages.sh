#!/bin/sh
# Installs the Debian packages that the tests use and that are missing. Only root can; anybody else is told what is missing.
set -eu
list=$(dirname -- "$0")/debian-packages.txt
command -v dpkg-query >/dev/null 2>&1 || exit 0

missing=
for package in $(grep -v '^#' "$list"); do
  case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true) in
    installed) ;;
    *) missing="$missing $package" ;;
  esac
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "Missing Debian packages, so some tests will be skipped:$missing" >&2
  exit 0
fi

echo "Installing Debian packages:$missing" >&2
# Some of them are daemons; the tests start their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >&2 || true
available=
for package in $missing; do
  if apt-cache show "$package" >/dev/null 2>&1; then
    available="$available $package"
  else
    echo "Not in this distribution, so some tests will be skipped: $package" >&2
  fi
done
[ -z "$available" ] || apt-get install -y -qq --no-install-recommends $available >&2 ||
  echo "apt-get failed, so some tests will be skipped" >&2
