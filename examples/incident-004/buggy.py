"""Incident 004, the buggy ingester: the duration is the event's end minus the event's own time.

Usage: buggy.py [URL]   (or DATABASE_URL)
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
FINALIZED = """
INSERT INTO ops (op_id, end_ts, duration_us) VALUES (%s, %s, %s)
ON CONFLICT (op_id) DO UPDATE SET end_ts = excluded.end_ts, duration_us = excluded.duration_us
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
    # The bug: event.ts is the end as well. It should be the persisted start.
    write(connection, FINALIZED, (event.op_id, event.end_ts, event.end_ts - event.ts))



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


if __name__ == "__main__":
    main()
