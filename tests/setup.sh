#!/bin/sh
# Installs what the tests and the benchmark need and this machine lacks: PostgreSQL's server, HAProxy, PgBouncer, promtool, a JDK with pgjdbc,
# and a Python environment with the drivers in target/venv. Does nothing, silently, where all is there. Services of the installed packages are not started.
#
#   tests/setup.sh [NAME]…     only these: postgresql haproxy pgbouncer prometheus jdbc python libclang   (default: all)
set -eu
cd "$(dirname "$0")/.."
wanted=${*:-postgresql haproxy pgbouncer prometheus jdbc python libclang}
venv=target/venv
packages=

has() { PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1; }
has_server() {
    [ -n "${CHRONOGUARD_PG_BIN:-}" ] && return 0
    for dir in "$(pg_config --bindir 2>/dev/null || true)" /usr/lib/postgresql/*/bin; do
        [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ] && has psql && return 0
    done
    return 1
}

for name in $wanted; do
    case $name in
        postgresql) has_server || packages="$packages postgresql" ;;
        haproxy) has haproxy || packages="$packages haproxy" ;;
        pgbouncer) has pgbouncer || packages="$packages pgbouncer" ;;
        prometheus) has promtool || packages="$packages prometheus" ;;
        jdbc)
            has javac || packages="$packages default-jdk-headless"
            [ -e /usr/share/java/postgresql.jar ] || packages="$packages libpostgresql-jdbc-java" ;;
        python)
            # ensurepip is in a package of its own on Debian
            [ -x "$venv/bin/python" ] || python3 -c 'import venv, ensurepip' 2>/dev/null || packages="$packages python3 python3-venv" ;;
        # bindgen of the crate pg_query, in the tests only
        libclang)
            # the C library; libclang-cpp.so may be there without it
            for file in /usr/lib/llvm-*/lib/libclang.so* /usr/lib/llvm-*/lib/libclang-[0-9]*.so*; do [ -e "$file" ] && continue 2; done
            packages="$packages libclang-dev" ;;
        *) echo "setup: unknown name $name" >&2; exit 2 ;;
    esac
done

if [ -n "$packages" ]; then
    if ! has apt-get; then
        echo "setup: please install:$packages" >&2
        exit 1
    fi
    as_root=
    if [ "$(id -u)" != 0 ]; then
        has sudo || { echo "setup: not root, and no sudo; please install:$packages" >&2; exit 1; }
        as_root=sudo
    fi
    echo "setup: installing$packages" >&2
    if [ ! -e /usr/sbin/policy-rc.d ]; then # its exit code 101 says: start no service
        printf '#!/bin/sh\nexit 101\n' | $as_root tee /usr/sbin/policy-rc.d >/dev/null
        $as_root chmod 755 /usr/sbin/policy-rc.d
        trap '$as_root rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    log=$(mktemp)
    install="apt-get install -y -q --no-install-recommends"
    # shellcheck disable=SC2086
    if ! { $as_root env DEBIAN_FRONTEND=noninteractive $install $packages >"$log" 2>&1 ||
        { $as_root apt-get update -q >"$log" 2>&1 && $as_root env DEBIAN_FRONTEND=noninteractive $install $packages >"$log" 2>&1; }; }; then
        tail -n 20 "$log" >&2
        exit 1
    fi
    rm -f "$log"
fi

case " $wanted " in *" python "*)
    stamp=$venv/requirements.txt
    if ! cmp -s examples/requirements.txt "$stamp"; then
        echo "setup: Python drivers into $venv" >&2
        [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check -r examples/requirements.txt
        cp examples/requirements.txt "$stamp"
    fi
esac
