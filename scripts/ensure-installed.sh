#!/bin/sh
# Makes a fresh clone runnable: installs the locked packages when they are missing or the lockfile changed,
# and builds when the sources are newer than the build. Says what it does, since both can take a while.
set -eu
cd "$(dirname "$0")/.."
if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.cmail-installed ]; then
  echo "cmail: installing packages (npm ci); the first time this takes about a minute ..." >&2
  npm ci --no-audit --no-fund
  : > node_modules/.cmail-installed
fi
if [ ! -f dist/.built ] || [ -n "$(find src -newer dist/.built -print | head -n 1)" ]; then
  echo "cmail: building ..." >&2
  sh scripts/build.sh server
fi
# What the page takes from src/ are words of src/mail and types, which are gone after compiling.
if [ ! -f dist/web/.built ] || [ -n "$(find web src/mail package-lock.json -newer dist/web/.built -print | head -n 1)" ]; then
  echo "cmail: building the page ..." >&2
  sh scripts/build.sh web
fi
