"""Incident 001, the buggy client: two handlers race, and a retry overwrites started_at.

Usage: buggy.py [URL]   (or DATABASE_URL; JOBS is how many rows they race over, 200 if not set)
"""

import asyncio
import json
import os
import random
import sys
from datetime import datetime, timedelta, timezone

import asyncpg

WORKERS = 10
MILLISECOND = timedelta(milliseconds=1)

sent = landed = refused = 0
refusals = {}

# What PostgREST makes of PATCH /job_status?job_id=eq.…
POSTGREST = """
WITH pgrst_source AS (
  UPDATE "public"."job_status" SET {assignments}
  FROM (SELECT $1::json AS json_data) pgrst_payload,
    LATERAL (SELECT {names} FROM json_to_record(pgrst_payload.json_data) AS _({columns})) pgrst_body
  WHERE "public"."job_status"."job_id" = $2
  RETURNING "public"."job_status".*
)
SELECT '' AS total_result_set, pg_catalog.count(_postgrest_t) AS page_total, array[]::text[] AS header,
  coalesce(json_agg(_postgrest_t), '[]') AS body
FROM (SELECT * FROM pgrst_source) _postgrest_t
"""
TYPES = {"status": "text", "attempts": "integer", "started_at": "timestamptz", "completed_at": "timestamptz"}


async def patch(connection, job_id, changes):
    """updateJobStatus(): odd jobs through PostgREST's statement, even ones through an ORM's."""
    if job_id % 2:
        sql = POSTGREST.format(
            assignments=", ".join(f'"{name}" = "pgrst_body"."{name}"' for name in changes),
            names=", ".join(f'"{name}"' for name in changes),
            columns=", ".join(f'"{name}" {TYPES[name]}' for name in changes),
        )
        body = json.dumps(changes, default=datetime.isoformat)
        await write(connection.fetchrow(sql, body, job_id))
    else:
        assignments = ", ".join(f"{name} = ${number}" for number, name in enumerate(changes, 2))
        sql = f"UPDATE job_status SET {assignments} WHERE job_id = $1"
        await write(connection.execute(sql, job_id, *changes.values()))


async def write(statement):
    global sent, landed, refused
    sent += 1
    try:
        await statement
        landed += 1
    except asyncpg.CheckViolationError as error:
        refused += 1
        refusals[error.constraint_name] = refusals.get(error.constraint_name, 0) + 1


async def status_of(connection, job_id):
    return await connection.fetchrow("SELECT * FROM job_status WHERE job_id = $1", job_id)


def now():
    """As JavaScript's Date: milliseconds."""
    moment = datetime.now(timezone.utc)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


async def mark_job_active(connection, job_id, attempt):
    started_at = now()
    await asyncio.sleep(random.uniform(0, 0.006))  # the event handler's delay
    existing = await status_of(connection, job_id)
    if existing["started_at"] is None or attempt == 2:  # the bug: a retry sets it again
        started_at = max(started_at, now())
        await patch(connection, job_id, {"status": "active", "attempts": attempt, "started_at": started_at})


async def mark_job_completed(connection, job_id):
    completed_at = now() + 2 * MILLISECOND
    await asyncio.sleep(random.uniform(0, 0.006))
    existing = await status_of(connection, job_id)
    if existing["started_at"] is None:
        await patch(connection, job_id, {"started_at": existing["created_at"] + MILLISECOND})
    await patch(connection, job_id, {"status": "completed", "completed_at": completed_at})


async def worker(pool, handlers):
    async with pool.acquire() as connection:
        while handlers:
            handler, *arguments = handlers.pop()
            await handler(connection, *arguments)


async def main():
    url = sys.argv[1] if len(sys.argv) > 1 else os.environ["DATABASE_URL"]
    jobs = int(os.environ.get("JOBS", "200"))
    async with asyncpg.create_pool(url, min_size=WORKERS, max_size=WORKERS) as pool:
        first = await pool.fetchval("SELECT coalesce(max(job_id), 0) + 1 FROM job_status")
        ids = list(range(first, first + jobs))
        await pool.executemany("INSERT INTO job_status (job_id) VALUES ($1)", [(job_id,) for job_id in ids])
        handlers = []
        for job_id in ids:  # both handlers of a job, and the retry's, side by side in either order
            events = [(mark_job_completed, job_id), (mark_job_active, job_id, 1), (mark_job_active, job_id, 2)]
            random.shuffle(events)
            handlers += events
        await asyncio.gather(*(worker(pool, handlers) for _ in range(WORKERS)))
        impossible = await pool.fetchval(
            "SELECT count(*) FROM job_status WHERE job_id >= $1 AND completed_at < started_at + interval '1 ms'", first
        )
    for constraint, count in sorted(refusals.items()):
        print(f"refused by {constraint}: {count}")
    print(f"{jobs} jobs, {impossible} with a completion before their start")
    print(f"sent {sent}, landed {landed}, refused {refused}")


if __name__ == "__main__":
    asyncio.run(main())
