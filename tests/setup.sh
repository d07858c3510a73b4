#!/bin/sh
# Installs what the tests and the benchmark need and this machine lacks: PostgreSQL's server, HAProxy, PgBouncer, promtool, a JDK with pgjdbc,
# a Python environment with the drivers in target/venv, the job queues of tests/queues there and in target/queues (npm), and servers of other majors in
# target/majors (npm). Does nothing, silently, where all is there. Services of the installed packages are not started.
#
#   tests/setup.sh [NAME]…     only these: postgresql haproxy pgbouncer prometheus jdbc python queues majors libclang   (default: all)
set -eu
cd "$(dirname "$0")/.."
wanted=${*:-postgresql haproxy pgbouncer prometheus jdbc python queues majors libclang}
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
        python | queues)
            # ensurepip is in a package of its own on Debian
            [ -x "$venv/bin/python" ] || python3 -c 'import venv, ensurepip' 2>/dev/null || packages="$packages python3 python3-venv"
            [ "$name" = python ] || has npm || packages="$packages nodejs npm" ;;
        majors) has npm || packages="$packages nodejs npm" ;;
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

# What a requirements file names, into the environment.
python_packages() {
    stamp=$venv/$(echo "$1" | tr / _)
    cmp -s "$1" "$stamp" && return 0
    echo "setup: $1 into $venv" >&2
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$1"
    cp "$1" "$stamp"
}

# What tests/$1/package-lock.json names, into target/$1.
npm_packages() {
    name=$1
    shift
    cmp -s "tests/$name/package-lock.json" "target/$name/installed" && return 0
    echo "setup: npm packages into target/$name" >&2
    mkdir -p "target/$name"
    cp "tests/$name/package.json" "tests/$name/package-lock.json" "target/$name"
    npm ci --prefix "target/$name" --no-audit --no-fund --loglevel error "$@" >/dev/null
    cp "tests/$name/package-lock.json" "target/$name/installed"
}

case " $wanted " in *" python "*) python_packages examples/requirements.txt ;; esac
case " $wanted " in *" queues "*)
    python_packages tests/queues/requirements.txt
    # The Node that runs npm is too old for them, and need not be newer: one that is new enough is among them.
    npm_packages queues --ignore-scripts ;;
esac
# A script of theirs makes the symbolic links that npm does not keep.
case " $wanted " in *" majors "*) npm_packages majors ;; esac
