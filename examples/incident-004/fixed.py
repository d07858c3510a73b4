"""Incident 004, the fixed ingester: the duration is the end minus the persisted start, NULL for an orphan.

Usage: fixed.py [URL]   (or DATABASE_URL)
"""

import os
import random
import sys
import time
from dataclasses import dataclass

import psycopg

OPS = 40

STARTED = """
INSERT INTO ops (op_id, session_id, name, start_ts) VALUES (%s, %s, %s, %s)
ON CONFLICT (op_id) DO UPDATE SET start_ts = LEAST(ops.start_ts, excluded.start_ts)
"""
# One gate for both columns: an end that is not recorded, or before the start, changes neither.
FINALIZED = """
INSERT INTO ops (op_id, end_ts) VALUES (%(op_id)s, NULLIF(%(end_ts)s, 0)::bigint)
ON CONFLICT (op_id) DO UPDATE SET
  end_ts = CASE WHEN excluded.end_ts >= COALESCE(ops.start_ts, 0) THEN excluded.end_ts ELSE ops.end_ts END,
  duration_us = CASE WHEN excluded.end_ts >= COALESCE(ops.start_ts, 0) THEN excluded.end_ts - ops.start_ts ELSE ops.duration_us END
"""

sent = landed = refused = 0
refusals = {}


@dataclass
class Started:
    op_id: str
    ts: int


@dataclass
class Finalized:
    op_id: str
    ts: int  # events are sorted by it, so it is the end
    end_ts: int  # microseconds since the epoch; 0: not recorded


def write(connection, sql, values):
    global sent, landed, refused
    sent += 1
    try:
        connection.execute(sql, values)
        landed += 1
    except psycopg.errors.CheckViolation as error:
        refused += 1
        refusals[error.diag.constraint_name] = refusals.get(error.diag.constraint_name, 0) + 1


def events():
    """A stream as the adapters send it: most ops end well, some are finalized twice, some have no start."""
    now = time.time_ns() // 1000
    run = f"{now:x}"
    for number in range(OPS):
        op_id, start = f"op-{run}-{number}", now + number * 1_000_000
        end = start + random.randint(900, 5_000_000)
        if number % 10 != 9:  # every tenth is an orphan
            yield Started(op_id, start)
        yield Finalized(op_id, end, end)
        if number % 10 == 3:
            yield Finalized(op_id, end, 0)
        if number % 10 == 6:  # from a machine whose clock is a minute behind
            yield Finalized(op_id, end - 60_000_000, end - 60_000_000)


def apply_finalized(connection, event):
    write(connection, FINALIZED, {"op_id": event.op_id, "end_ts": event.end_ts})



def main():
    url = sys.argv[1] if len(sys.argv) > 1 else os.environ["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        for event in events():
            if isinstance(event, Started):
                write(connection, STARTED, (event.op_id, "session-1", "completion", event.ts))
            else:
                apply_finalized(connection, event)
        wrong = connection.execute(
            "SELECT count(*) FROM ops WHERE end_ts <= 0 OR end_ts < start_ts OR duration_us <> end_ts - start_ts"
        ).fetchone()[0]
    for constraint, count in sorted(refusals.items()):
        print(f"refused by {constraint}: {count}")
    print(f"{wrong} stored ops have a wrong end or duration")
    print(f"sent {sent}, landed {landed}, refused {refused}")
    sys.exit(1 if refused else 0)


if __name__ == "__main__":
    main()
