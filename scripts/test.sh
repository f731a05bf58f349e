#!/bin/sh
# Everything a change must pass: style, types, folder arrows, generated pages, tests. Goes on after a failure,
# so that one run shows all of them, and fails in the end. With test files as arguments it runs only those.
# With CMAIL_TEST_STORE=postgres it runs what depends on where servers keep their mail, each on a database of its own.
set -u
cd "$(dirname "$0")/.." || exit 1

failed=''
step() {
  name=$1
  shift
  echo "cmail test: $name ..." >&2
  if ! "$@"; then
    echo "cmail test: $name FAILED" >&2
    failed="$failed${failed:+, }$name"
  fi
}

# The time limit ends a test that hangs; the longest, kill -9 twenty times in CI, takes some minutes.
run_tests() {
  sh scripts/node.sh --test --test-concurrency=2 --test-timeout=900000 "$@"
}

# One PostgreSQL for all of them, in a scratch folder; without it each test file that wants one starts its own.
run_tests_beside_postgres() {
  sh scripts/node.sh test/support/run-with-postgres.ts \
    sh scripts/node.sh --test --test-concurrency=2 --test-timeout=900000 "$@"
}

# Tests of real servers. Left out are those about SQLite's files and the disk they are on, and those that bring a
# PostgreSQL of their own and so are the same in every run. Unit and contract tests do not depend on the store of the
# run either: the contract's run on both engines anyway.
tests_of_servers() {
  find test/scenarios test/server test/peers test/faults -name '*.test.ts' \
    ! -path test/faults/disk.test.ts \
    ! -path 'test/faults/power-cut*.test.ts' \
    ! -path test/faults/database-away.test.ts \
    ! -path test/faults/nodes.test.ts \
    ! -path 'test/server/nodes*.test.ts' \
    ! -path test/server/postgres-start.test.ts
}

if [ $# -gt 0 ]; then
  step 'tests' run_tests "$@"
elif [ "${CMAIL_TEST_STORE:-sqlite}" = postgres ]; then
  # shellcheck disable=SC2046 # no file has a space in its name
  step 'tests on PostgreSQL' run_tests_beside_postgres $(tests_of_servers)
else
  step 'style (biome)' node_modules/.bin/biome check .
  step 'types (tsc)' node_modules/.bin/tsc --noEmit -p .
  step 'types of the page (tsc)' node_modules/.bin/tsc --noEmit -p web
  step 'size of the page' sh scripts/node.sh scripts/check-page-size.ts
  step 'folder arrows' sh scripts/node.sh scripts/check-arrows.ts
  step 'settings reference' sh scripts/node.sh scripts/write-settings-reference.ts --check
  step 'OpenAPI document' sh scripts/node.sh scripts/write-openapi.ts --check
  step 'Samples of notices' sh scripts/node.sh scripts/write-notices.ts --check
  step 'tests' run_tests_beside_postgres 'test/**/*.test.ts'
fi

if [ -n "$failed" ]; then
  echo "cmail test: failed: $failed" >&2
  exit 1
fi
echo 'cmail test: all passed' >&2
