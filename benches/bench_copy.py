#!/usr/bin/env python3
"""Measures COPY: plain, judged in its WHERE, and through a stage, side by side. Prints one table.

Needs what bench.py needs, but no other relay. Runs are interleaved and medians are taken: believe ratios, not figures.

    benches/bench_copy.py                  about 3 minutes
    benches/bench_copy.py --rows 100000 --rounds 1
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import bench

COLUMNS = "(id bigint, job_id bigint, created_at timestamptz, started_at timestamptz, completed_at timestamptz, note text)"

# What one COPY of the same rows takes: name, table, relay.
SCENARIOS = [
    ("direct", "free", "direct"),
    ("chronoguard, no rule", "free", "chronoguard"),
    ("chronoguard, order (in WHERE)", "ordered", "chronoguard"),
    ("chronoguard, order and parent, reject (staged)", "parented", "chronoguard"),
    ("chronoguard, order and parent, observe (staged)", "watched", "chronoguard"),
    ("direct, BEFORE trigger", "triggered", "direct"),
    ("chronoguard, order, BEFORE trigger (staged)", "judged", "chronoguard"),
    ("direct, into a table and INSERT SELECT by hand", "byhand", "direct"),
]
BASE = {"chronoguard, order, BEFORE trigger (staged)": "direct, BEFORE trigger"}

ORDER = "      - name: {0}_order\n        order: [created_at, started_at, completed_at]\n"
PARENT = "      - name: {0}_reuse\n        parent: {{table: public.jobs, join: {{job_id: id}}, not_reused: {{created_at: created_at}}}}\n"
TABLE = "  - table: public.{0}\n    on_violation: {1}\n    rules:\n"
RULES = "version: 1\ntables:\n" + "".join(
    (TABLE + rules).format(name, action)
    for name, action, rules in [
        ("ordered", "reject", ORDER), ("parented", "reject", ORDER + PARENT),
        ("watched", "observe", ORDER + PARENT), ("judged", "reject", ORDER),
    ]
)
TRIGGER = """
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := NEW.note; RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER touch BEFORE INSERT ON judged FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TABLE jobs (id bigint PRIMARY KEY, created_at timestamptz);
INSERT INTO jobs SELECT g, '2026-01-01'::timestamptz + g * interval '1 s' FROM generate_series(1, 100000) g;
ANALYZE jobs;
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--binary", type=pathlib.Path, default=bench.ROOT / "target/release/chronoguard")
    options = parser.parse_args()
    bench.TABLES = {name: COLUMNS for name in ["free", "ordered", "parented", "watched", "triggered", "judged", "byhand"]}
    bench.TRIGGER, bench.RULES = TRIGGER, RULES
    with tempfile.TemporaryDirectory(prefix="chronoguard-bench-") as directory:
        os.chmod(directory, 0o755)
        machine = bench.Bench(pathlib.Path(directory), options)
        try:
            machine.start({"chronoguard"})
            times = measure(machine, options)
        finally:
            machine.stop()
    report(times, options)


def measure(machine, options):
    data = machine.directory / "rows"
    rows = (
        f"{n}\t{n % 100000 + 1}\t2026-02-01 00:00:00+00\t2026-02-02 00:00:00+00\t2026-02-03 00:00:00+00\tnote {n}\n"
        for n in range(options.rows)
    )
    data.write_text("".join(rows))
    direct = machine.relays["direct"][0]
    times = {}
    for number in range(options.rounds):
        for name, table, relay in SCENARIOS:
            bench.progress(f"{number + 1}/{options.rounds}  {name}")
            machine.psql(direct, f"TRUNCATE {', '.join(bench.TABLES)}; CHECKPOINT")
            commands = [rf"\copy {table} from '{data}'"]
            if table == "byhand":
                commands = [
                    "CREATE TEMP TABLE s AS SELECT * FROM byhand WITH NO DATA", rf"\copy s from '{data}'",
                    "INSERT INTO byhand SELECT * FROM s", "DROP TABLE s",
                ]
            begin = time.monotonic()
            copy(machine.relays[relay][0], commands)
            times.setdefault(name, []).append(time.monotonic() - begin)
            landed = int(machine.psql(direct, f"SELECT count(*) FROM {table}"))
            if landed != options.rows:
                sys.exit(f"{name}: {landed} rows landed of {options.rows}")
    bench.progress("")
    return times


def copy(port, commands):
    arguments = [part for command in commands for part in ("-c", command)]
    command = [bench.need("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-d", "postgres"]
    subprocess.run(command + arguments, check=True)


def report(times, options):
    median = {name: statistics.median(runs) for name, runs in times.items()}
    width = max(map(len, median))
    print(f"{options.rows} rows, {options.rounds} rounds, medians; {os.cpu_count()} cores shared by client, relay and server")
    print(f"{'what':<{width}}  {'seconds':>8}  {'us/row':>7}  {'ratio':>6}  least and most seconds")
    for name, _, _ in SCENARIOS:
        ratio = median[name] / median[BASE.get(name, "direct")]
        runs = times[name]
        print(f"{name:<{width}}  {median[name]:>8.2f}  {median[name] / options.rows * 1e6:>7.2f}  {ratio:>6.2f}  {min(runs):.2f} {max(runs):.2f}")
    print("ratio: seconds against the same COPY direct, without a rule; with a trigger against direct with that trigger.")


if __name__ == "__main__":
    main()
