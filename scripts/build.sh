#!/bin/sh
# Compiles src/ to dist/, which starts three times as fast as the sources, and builds the page (web/) into
# dist/web. `build.sh server` or `build.sh web` does one of them. A stamp is written before anything is read,
# so an edit made meanwhile counts as newer than the build.
set -eu
cd "$(dirname "$0")/.."

build_server() {
  rm -rf dist.new
  mkdir -p dist.new
  : > dist.new/.built
  node_modules/.bin/tsc -p tsconfig.build.json --outDir dist.new
  if [ -d dist/web ]; then mv dist/web dist.new/web; fi
  rm -rf dist
  mv dist.new dist
}

build_web() {
  mkdir -p dist
  : > dist/.web-started
  sh scripts/node.sh node_modules/vite/bin/vite.js build --config web/vite.config.ts --logLevel warn
  rm -rf dist/web
  mv dist/web.new dist/web
  mv dist/.web-started dist/web/.built
}

case ${1:-all} in
  server) build_server ;;
  web) build_web ;;
  all)
    build_server
    build_web
    ;;
  *)
    echo 'usage: build.sh [server|web]' >&2
    exit 2
    ;;
esac
