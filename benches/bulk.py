#!/usr/bin/env python3
"""Measures a bulk UPDATE under rules that need the row before it, against the same UPDATE without rules, both through chronoguard and past it.

Each run updates every row of a fresh table in one statement, plain and joined with another table: before PostgreSQL 18 the old values are recorded in the
WHERE of the one and in the SET of the other. Runs are interleaved and medians are taken: believe ratios, not figures. CHRONOGUARD_PG_BIN picks a server.

    benches/bulk.py                  50,000 rows, about a minute
"""

import argparse
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

import bench

COLUMNS = "(id bigint PRIMARY KEY, key2 text, status text, started_at timestamptz, updated_at timestamptz, n int)"

RULES = """version: 1
tables:
  - table: public.guarded
    on_violation: warn
    rules:
      - name: guarded_once
        write_once: [started_at]
"""

MORE_RULES = """      - name: guarded_advances
        monotonic: [updated_at]
"""

FILL = """TRUNCATE {0}; INSERT INTO {0} SELECT g, 'key ' || g, 'queued', CASE WHEN g % 2 = 0 THEN now() END, now(), 0 FROM generate_series(1, {1}) g;
VACUUM ANALYZE {0}; CHECKPOINT"""

UPDATES = {
    "one rule, plain": "UPDATE {} t SET n = n + 1, started_at = COALESCE(started_at, now())",
    "one rule, joined": "UPDATE {} t SET n = n + 1, started_at = COALESCE(started_at, now()) FROM other o WHERE o.id = t.id",
    "two rules, plain": "UPDATE {} t SET n = n + 1, started_at = COALESCE(started_at, now()), updated_at = now()",
    "two rules, joined": "UPDATE {} t SET n = n + 1, started_at = COALESCE(started_at, now()), updated_at = now() FROM other o WHERE o.id = t.id",
}

WAYS = [("direct", "free"), ("chronoguard", "free"), ("chronoguard", "guarded")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=bench.ROOT / "target/release/chronoguard", type=pathlib.Path, help="default: the release build")
    parser.add_argument("--rows", type=int, default=50_000, help="rows of the table (%(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="how often each run is made (%(default)s)")
    options = parser.parse_args()
    bench.TABLES = {"free": COLUMNS, "guarded": COLUMNS, "checked": COLUMNS, "triggered": COLUMNS, "other": "(id bigint PRIMARY KEY)"}
    bench.RULES = RULES + MORE_RULES
    times = {}
    with tempfile.TemporaryDirectory(prefix="chronoguard-bench-") as directory:
        os.chmod(directory, 0o755)
        server = bench.Bench(pathlib.Path(directory), options)
        try:
            server.start({"chronoguard"})
            server.psql(server.relays["direct"][0], f"INSERT INTO other SELECT generate_series(1, {options.rows})")
            for number in range(options.rounds):
                for name, update in UPDATES.items():
                    for way in WAYS:
                        bench.progress(f"{number + 1}/{options.rounds}  {name}  {' '.join(way)}")
                        times.setdefault((name, way), []).append(timed(server, way, update, options.rows))
            bench.progress("")
        finally:
            server.stop()
    report(times, options)


def timed(server, way, update, rows):
    """Milliseconds, by psql's clock."""
    relay, table = way
    for statement in FILL.format(table, rows).split(";"):
        server.psql(server.relays["direct"][0], statement)
    command = [
        bench.need("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(server.relays[relay][0]), "-U", "postgres", "-d", "postgres",
    ]
    # The first statement is there for what a session learns once.
    script = f"{update.format(table)} {'AND' if 'WHERE' in update else 'WHERE'} false;\n\\timing on\n{update.format(table)};\n"
    done = subprocess.run(command, input=script, check=True, capture_output=True, text=True)
    if "WARNING" in done.stderr:
        sys.exit(done.stderr)
    return float(re.search(r"Time: ([0-9.]+) ms", done.stdout).group(1))


def report(times, options):
    print(f"{options.rows} rows in one UPDATE, medians of {options.rounds} runs in ms")
    print(f"{'rules':<18}  {'direct':>8}  {'through':>8}  {'guarded':>8}  {'ratio':>6}")
    for name in UPDATES:
        direct, through, guarded = (statistics.median(times[name, way]) for way in WAYS)
        print(f"{name:<18}  {direct:>8.0f}  {through:>8.0f}  {guarded:>8.0f}  {guarded / through:>6.2f}")
    for name in UPDATES:
        _, through, guarded = (statistics.median(times[name, way]) for way in WAYS)
        bench.judge(f"{name}: guarded against unguarded", guarded / through, 2.0, False)


if __name__ == "__main__":
    main()
