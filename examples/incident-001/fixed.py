"""Incident 001, the fixed client: a start is written once, a completion is never before it.

Usage: fixed.py [URL]   (or DATABASE_URL; JOBS is how many rows they race over, 200 if not set)
"""

import asyncio
import os
import random
import sys
from datetime import datetime, timedelta, timezone

import asyncpg

WORKERS = 10
MILLISECOND = timedelta(milliseconds=1)

sent = landed = refused = 0
refusals = {}

async def write(statement):
    global sent, landed, refused
    sent += 1
    try:
        await statement
        landed += 1
    except asyncpg.CheckViolationError as error:
        refused += 1
        refusals[error.constraint_name] = refusals.get(error.constraint_name, 0) + 1


def now():
    """As JavaScript's Date: milliseconds."""
    moment = datetime.now(timezone.utc)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


# One statement each: what it reads of the row is what it locks.
ACTIVE = """
UPDATE job_status SET status = 'active', attempts = $2, started_at = COALESCE(started_at, GREATEST($3, created_at))
WHERE job_id = $1 AND completed_at IS NULL
"""
COMPLETED = """
UPDATE job_status SET status = 'completed', started_at = COALESCE(started_at, created_at + interval '1 ms'),
  completed_at = GREATEST($2, COALESCE(started_at, created_at + interval '1 ms') + interval '1 ms')
WHERE job_id = $1
"""
# The same as PostgREST would run it, were it a view or a function's body.
COMPLETED_CTE = f"WITH pgrst_source AS ({COMPLETED} RETURNING job_status.*) SELECT coalesce(json_agg(t), '[]') FROM (SELECT * FROM pgrst_source) t"


async def mark_job_active(connection, job_id, attempt):
    await asyncio.sleep(random.uniform(0, 0.006))
    await write(connection.execute(ACTIVE, job_id, attempt, now()))


async def mark_job_completed(connection, job_id):
    completed_at = now() + 2 * MILLISECOND
    await asyncio.sleep(random.uniform(0, 0.006))
    if job_id % 2:
        await write(connection.fetchval(COMPLETED_CTE, job_id, completed_at))
    else:
        await write(connection.execute(COMPLETED, job_id, completed_at))


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
    sys.exit(1 if refused or impossible else 0)


if __name__ == "__main__":
    asyncio.run(main())
