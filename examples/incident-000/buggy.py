"""Incident 000, the buggy client: created_at is left to DEFAULT now().

Usage: buggy.py [URL]   (or DATABASE_URL)
"""

import asyncio
import os
import re
import sys
import time
from datetime import datetime, timezone

import asyncpg
import psycopg

JOB = "bias-detection-1760288315095"
INSERT = """
    INSERT INTO executions (job_id, provider_id, region, status, started_at, completed_at,
                            output_data, receipt_data, model_id, question_id)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    RETURNING id
"""
TIMES = {"5", "6", "11"}
ROUNDS = 10

sent = landed = refused = 0


def utc_now():
    """The columns have no zone; the service keeps UTC in them."""
    return datetime.now(timezone.utc).replace(tzinfo=None)


def execution():
    """Does the work, and gives the row as the service builds it."""
    started_at = utc_now()
    time.sleep(0.005)
    completed_at = utc_now()
    time.sleep(0.02)  # receipt, signature, queue: the INSERT comes later
    values = [JOB, "modal-us-east", "US", "failed", started_at, completed_at, "{}", "{}", "llama3.2-1b", None]
    return values


def report(driver, *, error=None, constraint=None, row=None):
    global sent, landed, refused
    sent += 1
    if error is None:
        landed += 1
        print(f"{driver:16} landed   id {row}")
    else:
        refused += 1
        print(f"{driver:16} refused  {constraint}: {error}")


def with_psycopg(url, binary):
    driver = "psycopg binary" if binary else "psycopg text"
    # %t and %b become $1, $2, … again, each as text or as eight binary bytes.
    insert = re.sub(r"\$(\d+)", lambda n: "%b" if binary and n[1] in TIMES else "%t", INSERT)
    with psycopg.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("SET timezone = 'UTC'")
        for _ in range(ROUNDS):
            try:
                row = cursor.execute(insert, execution()).fetchone()
                report(driver, row=row[0])
            except psycopg.errors.CheckViolation as error:
                report(driver, error=error.diag.message_primary, constraint=error.diag.constraint_name)


async def with_asyncpg(url):
    connection = await asyncpg.connect(url, server_settings={"timezone": "UTC"})
    for _ in range(ROUNDS):
        try:
            report("asyncpg", row=await connection.fetchval(INSERT, *execution()))
        except asyncpg.CheckViolationError as error:
            report("asyncpg", error=error.message, constraint=error.constraint_name)
    await connection.close()


def main():
    url = sys.argv[1] if len(sys.argv) > 1 else os.environ["DATABASE_URL"]
    with_psycopg(url, binary=False)
    with_psycopg(url, binary=True)
    asyncio.run(with_asyncpg(url))
    print(f"sent {sent}, landed {landed}, refused {refused}")


if __name__ == "__main__":
    main()
