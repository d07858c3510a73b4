#!/bin/sh
# Fetches the SQL files of PostgreSQL's regression and isolation suites from Debian's source package postgresql-15
# into target/oracle (or $CHRONOGUARD_ORACLE_DIR). Does nothing if they are there. Needs apt-get, tar, bzip2 or python3; changes nothing on the system.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=${CHRONOGUARD_ORACLE_DIR:-$here/../../target/oracle}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
if [ -f "$dir/complete" ]; then
    echo "sources are in $dir"
    exit 0
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp/lists/partial" "$tmp/archives/partial" "$tmp/parts"
# The machine's own sources, as sources of source packages; in both formats that apt knows.
sed -n 's/^deb[[:space:]]/deb-src /p' /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null >"$tmp/sources.list" || true
for file in /etc/apt/sources.list.d/*.sources; do
    [ -e "$file" ] && sed 's/^Types:.*/Types: deb-src/' "$file" >"$tmp/parts/$(basename "$file")"
done
apt() {
    apt-get -q -o Dir::Etc::SourceList="$tmp/sources.list" -o Dir::Etc::SourceParts="$tmp/parts" \
        -o Dir::State::Lists="$tmp/lists" -o Dir::Cache::Archives="$tmp/archives" -o APT::Sandbox::User=root "$@"
}
apt update || true # a source without source packages is no harm
cache() {
    apt-cache -o Dir::Etc::SourceList="$tmp/sources.list" -o Dir::Etc::SourceParts="$tmp/parts" -o Dir::State::Lists="$tmp/lists" \
        -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= "$@"
}
# The newest version may have left a mirror, or not reached it yet: take the newest that is there.
for version in $(cache showsrc postgresql-15 | sed -n 's/^Version: //p' | sort -Vr); do
    if (cd "$tmp" && apt source --download-only --tar-only "postgresql-15=$version"); then
        break
    fi
done
orig=$(ls "$tmp"/postgresql-15_*.orig.tar.*)
mkdir "$tmp/src"
# python3 where tar has no bzip2 to call.
tar -xf "$orig" -C "$tmp/src" --strip-components=1 --wildcards '*/src/test/regress/sql/*' '*/src/test/isolation/specs/*' 2>/dev/null ||
    python3 - "$orig" "$tmp/src" <<'PY'
import sys, tarfile
with tarfile.open(sys.argv[1]) as tar:
    for member in tar:
        path = member.name.split("/", 1)[-1]
        if member.isfile() and path.startswith(("src/test/regress/sql/", "src/test/isolation/specs/")):
            member.name = path
            tar.extract(member, sys.argv[2])
PY
rm -rf "$dir/regress" "$dir/isolation"
mv "$tmp/src/src/test/regress/sql" "$dir/regress"
mv "$tmp/src/src/test/isolation/specs" "$dir/isolation"
basename "$orig" > "$dir/complete"
echo "$(ls "$dir/regress" | wc -l) SQL files and $(ls "$dir/isolation" | wc -l) isolation specs are in $dir"
