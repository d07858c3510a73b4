#!/usr/bin/env python3
"""Measures what chronoguard costs, side by side with other relays and with checks inside the database. Prints one table.

Needs PostgreSQL's server binaries, pgbench, haproxy and pgbouncer (Debian: postgresql haproxy pgbouncer); Python's standard library only.

Every run is a few seconds of pgbench over TCP on loopback. Runs are interleaved (A B C A B C ...) and medians are taken, so that a noisy
machine hits all of them alike: believe ratios, not figures. The CPU time is that of the relay process alone, all its threads
(utime + stime of /proc/PID/stat), divided by the transactions of the run. p50 and p99 come from pgbench's log of each transaction; in the last
table from benches/latency.rs, a client that runs one statement of each kind in turn on connections side by side, so that noise hits all alike.

    benches/bench.py                 about 9 minutes
    benches/bench.py --quick         about 1 minute, to see that it works
    benches/bench.py --long          about 40 minutes
"""

import argparse
import glob
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")

SCHEMA = """
CREATE TABLE items (id int PRIMARY KEY, v int);
INSERT INTO items SELECT g, g FROM generate_series(1, 100000) g;
"""

COLUMNS = """(id bigserial PRIMARY KEY, status text, created_at timestamptz DEFAULT now(), started_at timestamptz, completed_at timestamptz{})"""

TABLES = {
    "free": COLUMNS.format(""),
    "guarded": COLUMNS.format(""),
    "checked": COLUMNS.format(", CHECK (started_at >= created_at AND completed_at >= started_at)"),
    "triggered": COLUMNS.format(""),
}

TRIGGER = """
CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.started_at < NEW.created_at OR NEW.completed_at < NEW.started_at THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = 'wrong order';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER judge BEFORE INSERT OR UPDATE ON triggered FOR EACH ROW EXECUTE FUNCTION judge();
"""

RULES = """version: 1
tables:
  - table: public.guarded
    on_violation: reject
    rules:
      - name: guarded_order
        order: [created_at, started_at, completed_at]
"""

READ = "\\set id random(1, 100000)\nSELECT v FROM items WHERE id = :id;\n"
INSERT = (
    "\\set a random(1, 1000000000)\n\\set b :a + 10\n\\set c :a + 20\n"
    "INSERT INTO {} (status, created_at, started_at, completed_at)"
    " VALUES ('done', to_timestamp(:a), to_timestamp(:b), to_timestamp(:c));\n"
)

# Name, script, relay, pgbench protocol, the name it is compared with.
SCENARIOS = [
    ("read: direct", READ, "direct", "prepared", "read: pgbouncer"),
    ("read: haproxy (TCP)", READ, "haproxy", "prepared", "read: pgbouncer"),
    ("read: pgbouncer", READ, "pgbouncer", "prepared", "read: pgbouncer"),
    ("read: chronoguard", READ, "chronoguard", "prepared", "read: pgbouncer"),
    ("insert prepared: direct", INSERT.format("free"), "direct", "prepared", "insert prepared: chronoguard, no rule"),
    ("insert prepared: chronoguard, no rule", INSERT.format("free"), "chronoguard", "prepared", "insert prepared: chronoguard, no rule"),
    ("insert prepared: chronoguard, guarded", INSERT.format("guarded"), "chronoguard", "prepared", "insert prepared: chronoguard, no rule"),
    ("insert prepared: chronoguard, CHECK", INSERT.format("checked"), "chronoguard", "prepared", "insert prepared: chronoguard, no rule"),
    ("insert prepared: chronoguard, trigger", INSERT.format("triggered"), "chronoguard", "prepared", "insert prepared: chronoguard, no rule"),
    ("insert simple: direct", INSERT.format("free"), "direct", "simple", "insert simple: chronoguard, no rule"),
    ("insert simple: pgbouncer", INSERT.format("free"), "pgbouncer", "simple", "insert simple: chronoguard, no rule"),
    ("insert simple: chronoguard, no rule", INSERT.format("free"), "chronoguard", "simple", "insert simple: chronoguard, no rule"),
    ("insert simple: chronoguard, guarded", INSERT.format("guarded"), "chronoguard", "simple", "insert simple: chronoguard, no rule"),
    ("insert simple: chronoguard, CHECK", INSERT.format("checked"), "chronoguard", "simple", "insert simple: chronoguard, no rule"),
    ("insert simple: chronoguard, trigger", INSERT.format("triggered"), "chronoguard", "simple", "insert simple: chronoguard, no rule"),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=ROOT / "target/release/chronoguard", type=pathlib.Path, help="default: the release build")
    parser.add_argument("--seconds", type=float, default=2, help="length of one run (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each run is made (%(default)s)")
    parser.add_argument("--clients", default="1,8,32", help="numbers of clients (%(default)s)")
    parser.add_argument("--only", default="", help="only scenarios whose name has this in it")
    parser.add_argument("--quick", action="store_true", help="one round of one second, 1 and 8 clients")
    parser.add_argument("--long", action="store_true", help="five rounds of ten seconds")
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.rounds, options.clients = 1, 1, "1,8"
    if options.long:
        options.seconds, options.rounds = 10, 5
    clients = [int(c) for c in options.clients.split(",")]
    scenarios = [s for s in SCENARIOS if options.only in s[0]]
    run(["cargo", "bench", "--quiet", "--bench", "latency", "--no-run"], cwd=ROOT, stderr=subprocess.PIPE)
    with tempfile.TemporaryDirectory(prefix="chronoguard-bench-") as directory:
        os.chmod(directory, 0o755)
        bench = Bench(pathlib.Path(directory), options)
        try:
            bench.start({s[2] for s in scenarios})
            results = bench.measure(scenarios, clients)
            latencies = bench.latencies(scenarios)
        finally:
            bench.stop()
    report(results, scenarios, clients, options)
    report_latencies(latencies)


class Bench:
    """The database, the relays, and one run after the other."""

    def __init__(self, directory, options):
        self.directory = directory
        self.options = options
        self.processes = []
        self.relays = {}
        self.bin = server_binaries()

    def start(self, relays):
        port = self.start_postgres()
        self.relays["direct"] = (port, None)
        if "haproxy" in relays:
            self.relays["haproxy"] = self.start_haproxy(port)
        if "pgbouncer" in relays:
            self.relays["pgbouncer"] = self.start_pgbouncer(port)
        if "chronoguard" in relays:
            self.relays["chronoguard"] = self.start_chronoguard(port)
        for name, (at, _) in self.relays.items():
            await_ready(name, lambda: self.psql(at, "SELECT 1"))

    def start_postgres(self):
        data = self.directory / "data"
        data.mkdir()
        if os.geteuid() == 0:
            shutil.chown(data, "postgres", "postgres")
        run([*unprivileged(), self.bin / "initdb", "-A", "trust", "-U", "postgres", "-N", "--locale=C", "-E", "UTF8", "-D", data], stdout=subprocess.DEVNULL)
        port = free_port()
        settings = {
            "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off", "synchronous_commit": "off",
            "full_page_writes": "off", "autovacuum": "off", "max_connections": "200", "shared_buffers": "256MB", "max_wal_size": "8GB",
        }
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self.spawn("postgres", [*unprivileged(), self.bin / "postgres", "-D", data, "-p", str(port), *arguments])
        await_ready("postgres", lambda: self.psql(port, "SELECT 1"))
        tables = "".join(f"CREATE TABLE {name} {columns};" for name, columns in TABLES.items())
        self.psql(port, SCHEMA + tables + TRIGGER)
        self.psql(port, "VACUUM ANALYZE items")
        return port

    def start_haproxy(self, upstream):
        port = free_port()
        config = self.directory / "haproxy.cfg"
        config.write_text(
            "global\n  maxconn 1000\n"
            "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n"
            f"listen pg\n  bind 127.0.0.1:{port}\n  server pg 127.0.0.1:{upstream}\n"
        )
        process = self.spawn("haproxy", [*unprivileged(), need("haproxy"), "-db", "-f", config])
        return port, process.pid

    def start_pgbouncer(self, upstream):
        port = free_port()
        users = self.directory / "users.txt"
        users.write_text('"postgres" ""\n')
        config = self.directory / "pgbouncer.ini"
        config.write_text(
            f"[databases]\n* = host=127.0.0.1 port={upstream}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {users}\n"
            "pool_mode = session\nmax_client_conn = 200\ndefault_pool_size = 100\nlog_connections = 0\nlog_disconnections = 0\nlog_stats = 0\n"
            "server_reset_query = DISCARD ALL\nignore_startup_parameters = extra_float_digits\n"
        )
        process = self.spawn("pgbouncer", [*unprivileged(), need("pgbouncer"), "-q", config])
        return port, process.pid

    def start_chronoguard(self, upstream):
        if not self.options.binary.exists():
            sys.exit(f"{self.options.binary} is not there: cargo build --release")
        port = free_port()
        rules = self.directory / "rules.yaml"
        rules.write_text(RULES)
        process = self.spawn(
            "chronoguard",
            [self.options.binary, "run", "--listen", f"127.0.0.1:{port}", "--upstream", f"127.0.0.1:{upstream}",
             "--admin", f"127.0.0.1:{free_port()}", "--rules", rules],
        )
        return port, process.pid

    def spawn(self, name, command):
        log = open(self.directory / f"{name}.log", "wb")
        process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        self.processes.append((name, process))
        return process

    def stop(self):
        for name, process in reversed(self.processes):
            if process.poll() is not None and process.returncode:
                sys.stderr.write(f"{name} ended early:\n{(self.directory / f'{name}.log').read_text()[-2000:]}\n")
            if name == "postgres":
                process.send_signal(3)
            else:
                process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def psql(self, port, sql):
        command = [need("psql"), "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-d", "postgres", "-c", sql]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def measure(self, scenarios, clients):
        results = {}
        total = self.options.rounds * len(clients) * len(scenarios)
        done = 0
        for _ in range(self.options.rounds):
            for count in clients:
                for scenario in scenarios:
                    done += 1
                    progress(f"{done}/{total}  {count} clients  {scenario[0]}")
                    results.setdefault((scenario[0], count), []).append(self.run_once(scenario, count))
        progress("")
        return results

    def latencies(self, scenarios):
        """p50 and p99 of the prepared statements, one of each in turn."""
        measured = [s for s in scenarios if s[3] == "prepared"]
        if not measured:
            return []
        progress("latency client")
        self.psql(self.relays["direct"][0], "TRUNCATE free, guarded, checked, triggered; CHECKPOINT")
        arguments = []
        for name, script, relay, _, _ in measured:
            if script == READ:
                sql = "SELECT v FROM items WHERE id = 1 + $1::float8::int % 100000"
            else:
                sql = script.splitlines()[-1].rstrip(";").replace(":a", "$1::float8").replace(":b", "$1::float8 + 10").replace(":c", "$1::float8 + 20")
            arguments += [name, f"postgresql://postgres@127.0.0.1:{self.relays[relay][0]}/postgres", sql]
        rounds = str(max(1_000, round(self.options.seconds * self.options.rounds * 500)))
        done = subprocess.run(
            ["cargo", "bench", "--quiet", "--bench", "latency", "--", rounds, *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True,
        )
        progress("")
        return [line.split("\t") for line in done.stdout.splitlines()]

    def run_once(self, scenario, count):
        _, script, relay, protocol, _ = scenario
        port, pid = self.relays[relay]
        self.psql(self.relays["direct"][0], "TRUNCATE free, guarded, checked, triggered; CHECKPOINT")
        with tempfile.TemporaryDirectory(prefix="chronoguard-bench-") as directory:
            path = pathlib.Path(directory) / "script.sql"
            path.write_text(script)
            command = [
                need("pgbench"), "-n", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-f", path, "-M", protocol, "-c", str(count),
                "-j", str(min(count, 2)), "-T", str(max(1, round(self.options.seconds))), "-l", f"--log-prefix={directory}/log", "postgres",
            ]
            before = cpu_seconds(pid)
            run([str(c) for c in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            cpu = cpu_seconds(pid) - before
            latencies, begin, end = [], None, None
            for log in glob.glob(f"{directory}/log*"):
                with open(log) as lines:
                    for line in lines:
                        fields = line.split()
                        at = int(fields[4]) + int(fields[5]) / 1e6
                        latencies.append(int(fields[2]))
                        begin = at if begin is None else min(begin, at)
                        end = at if end is None else max(end, at)
        latencies.sort()
        transactions = len(latencies)
        return {
            "tps": transactions / (end - begin),
            "cpu": cpu / transactions * 1e6 if pid else None,
            "p50": latencies[transactions // 2],
            "p99": latencies[transactions * 99 // 100],
        }


def report(results, scenarios, clients, options):
    median = {key: {k: middle(run[k] for run in runs) for k in runs[0]} for key, runs in results.items()}
    width = max(len(s[0]) for s in scenarios)
    print(f"{options.rounds} rounds of {options.seconds:g} s, medians; {os.cpu_count()} cores shared by clients, relay and server")
    print(f"{'clients':>7}  {'what':<{width}}  {'tps':>8}  {'ratio':>6}  {'CPU us/tx':>9}  {'ratio':>6}  {'p50 us':>7}  {'+p50':>6}  {'p99 us':>7}")
    for count in clients:
        for name, _, _, _, base in scenarios:
            row, against = median[name, count], median.get((base, count))
            ratio = f"{row['tps'] / against['tps']:.2f}" if against else ""
            cpu = f"{row['cpu']:.1f}" if row["cpu"] is not None else ""
            cpu_ratio = f"{row['cpu'] / against['cpu']:.2f}" if against and row["cpu"] is not None and against["cpu"] else ""
            more = f"{row['p50'] - against['p50']:+.0f}" if against else ""
            print(f"{count:>7}  {name:<{width}}  {row['tps']:>8.0f}  {ratio:>6}  {cpu:>9}  {cpu_ratio:>6}  {row['p50']:>7.0f}  {more:>6}  {row['p99']:>7.0f}")
        print()
    print("ratio, +p50: reads against PgBouncer in session mode, inserts against the same insert through chronoguard without a rule.")
    bars(median, clients)


def report_latencies(lines):
    """The latency client's table, and what was set as the bar."""
    if not lines:
        return
    p50 = {name: int(micros) for name, micros, _ in lines}
    base = {name: against for name, _, _, _, against in SCENARIOS}
    width = max(len(name) for name in p50)
    print(f"\none statement of each in turn, 1 client\n{'what':<{width}}  {'p50 us':>7}  {'+p50':>6}  {'p99 us':>7}")
    for name, micros, p99 in lines:
        more = f"{int(micros) - p50[base[name]]:+}" if base[name] in p50 else ""
        print(f"{name:<{width}}  {micros:>7}  {more:>6}  {p99:>7}")
    guarded, free = p50.get("insert prepared: chronoguard, guarded"), p50.get("insert prepared: chronoguard, no rule")
    if guarded and free:
        judge("guarded prepared write over the unguarded one, p50 in us", guarded - free, 15, False)


def bars(median, clients):
    """What has been set as the bar for each figure, and whether it is reached here."""
    for count in clients:
        ours, theirs = median.get(("read: chronoguard", count)), median.get(("read: pgbouncer", count))
        if ours and theirs:
            judge(f"{count} clients: pass-through throughput against PgBouncer", ours["tps"] / theirs["tps"], 0.9, True)
            judge(f"{count} clients: pass-through CPU against PgBouncer", ours["cpu"] / theirs["cpu"], 1.2, False)


def judge(what, value, bar, at_least):
    reached = value >= bar if at_least else value <= bar
    print(f"{'reached' if reached else 'MISSED ':<7}  {what}: {value:.2f} (bar {'>=' if at_least else '<='} {bar})")


def middle(values):
    values = list(values)
    return None if None in values else statistics.median(values)


def cpu_seconds(pid):
    """utime + stime of a process, all its threads, in seconds."""
    if pid is None:
        return 0.0
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    fields = stat.rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def unprivileged():
    """PostgreSQL and PgBouncer refuse to run as root."""
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []


def server_binaries():
    given = os.environ.get("CHRONOGUARD_PG_BIN")
    if given:
        return pathlib.Path(given)
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda p: float(p.split("/")[4]))
    if not found:
        sys.exit("no PostgreSQL server binaries: apt-get install postgresql")
    return pathlib.Path(found[-1]).parent


def need(program):
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin") or next(iter(glob.glob(str(server_binaries() / program))), None)
    if not found:
        sys.exit(f"{program} is not installed (Debian: apt-get install postgresql haproxy pgbouncer)")
    return found


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def await_ready(name, probe):
    for _ in range(200):
        try:
            return probe()
        except subprocess.CalledProcessError as error:
            last = error
            time.sleep(0.1)
    sys.exit(f"{name} did not come up: {last.stderr}")


def run(command, **more):
    done = subprocess.run([str(c) for c in command], **more)
    if done.returncode:
        sys.exit(f"{command[0]} failed: {done.stderr.decode() if done.stderr else done.returncode}")


def progress(text):
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


if __name__ == "__main__":
    main()
