#!/bin/sh
# The integration tests on another major version of PostgreSQL, of those that tests/setup.sh has put into target/majors.
#
#   tests/majors/run.sh MAJOR [FILTER]…
set -eu
cd "$(dirname "$0")/../.."
major=$1
shift
# The server runs as a user who may not be able to come here.
server=$(mktemp -d)
trap 'rm -rf "$server"' EXIT
chmod 755 "$server"
cp -R "target/majors/node_modules/postgresql-$major/native" "$server"
echo "PostgreSQL $("$server/native/bin/postgres" --version | sed 's/.* //')"
CHRONOGUARD_PG_BIN=$server/native/bin cargo test --test it -- "$@"
