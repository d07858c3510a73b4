"""asyncpg against a rejecting rule on `ex`. Arguments: port, database. Exits with a traceback if anything is not as it should be."""

import asyncio
import sys
from datetime import datetime, timezone

import asyncpg

PORT, DATABASE = int(sys.argv[1]), sys.argv[2]
EARLY = datetime(2026, 3, 1, tzinfo=timezone.utc)
LATE = datetime(2026, 3, 2, tzinfo=timezone.utc)
INSERT = "INSERT INTO ex (id, created_at, started_at) VALUES ($1, $2, $3)"


async def connect():
    return await asyncpg.connect(host="127.0.0.1", port=PORT, database=DATABASE, user="postgres")


async def refused(awaitable):
    try:
        await awaitable
    except asyncpg.CheckViolationError as error:
        assert (error.sqlstate, error.severity) == ("23514", "ERROR"), error
        assert (error.schema_name, error.table_name, error.constraint_name) == ("public", "ex", "ex_order"), error
        assert error.detail and error.hint, error
        assert isinstance(error, asyncpg.IntegrityConstraintViolationError)
        return
    raise AssertionError("the write was not refused")


async def one_by_one(conn):
    # asyncpg prepares everything with parameters and caches the statements.
    await refused(conn.execute(INSERT, 101, LATE, EARLY))
    assert await conn.fetchval("SELECT 42") == 42
    assert await conn.execute(INSERT, 110, EARLY, LATE) == "INSERT 0 1"
    await refused(conn.execute("INSERT INTO ex (id, created_at, started_at) VALUES (101, '2026-03-02', '2026-03-01')"))
    assert await conn.fetchval(INSERT + " RETURNING id", 111, EARLY, LATE) == 111
    row = await conn.fetchrow("UPDATE ex SET note = 'x' WHERE id = 111 RETURNING *")
    assert list(row.keys()) == ["id", "job_id", "status", "created_at", "started_at", "completed_at", "note"], row
    await refused(conn.fetchrow("UPDATE ex SET started_at = $1 WHERE id = 111 RETURNING *", datetime(2020, 1, 1, tzinfo=timezone.utc)))


async def transactions(conn):
    try:
        async with conn.transaction():
            await conn.execute(INSERT, 112, EARLY, LATE)
            await conn.execute(INSERT, 101, LATE, EARLY)
    except asyncpg.CheckViolationError:
        pass
    async with conn.transaction():
        await conn.execute(INSERT, 113, EARLY, LATE)
        try:
            async with conn.transaction():
                await conn.execute(INSERT, 114, EARLY, LATE)
                await conn.execute(INSERT, 101, LATE, EARLY)
        except asyncpg.CheckViolationError:
            pass
        await conn.execute(INSERT, 115, EARLY, LATE)
    assert await ids(conn, 112, 115) == [113, 115]


async def prepared_long_ago(conn):
    statement = await conn.prepare(INSERT + " RETURNING id")
    for n in range(1000, 2000):
        assert await statement.fetchval(n, EARLY, LATE) == n
    await refused(statement.fetchval(101, LATE, EARLY))
    assert await statement.fetchval(2000, EARLY, LATE) == 2000
    assert [p.name for p in statement.get_parameters()] == ["int8", "timestamptz", "timestamptz"]
    assert [a.name for a in statement.get_attributes()] == ["id"]


async def many(conn):
    await conn.executemany(INSERT, [(n, EARLY, LATE) for n in range(3000, 4000)])
    await refused(conn.executemany(INSERT, [(n, LATE if n == 4500 else EARLY, EARLY) for n in range(4000, 5000)]))
    assert await ids(conn, 4000, 5000) == []


async def copy(conn):
    def records(bad):
        return [(n, LATE if n == bad else EARLY, EARLY) for n in range(5000, 6000)]

    columns = ["id", "created_at", "started_at"]
    await refused(conn.copy_records_to_table("ex", records=records(5500), columns=columns))
    assert await ids(conn, 5000, 6000) == []
    assert await conn.copy_records_to_table("ex", records=records(None), columns=columns) == "COPY 1000"


async def cursors(conn):
    async with conn.transaction():
        seen = 0
        async for _ in conn.cursor("UPDATE ex SET note = 'seen' WHERE id BETWEEN 5000 AND 5100 RETURNING id", prefetch=10):
            seen += 1
        assert seen == 101, seen


async def ids(conn, low, high):
    return [row[0] for row in await conn.fetch("SELECT id FROM ex WHERE id BETWEEN $1 AND $2 ORDER BY id", low, high)]


async def main():
    for step in (one_by_one, transactions, prepared_long_ago, many, copy, cursors):
        conn = await connect()
        await step(conn)
        await conn.close()
        print(step.__name__, "ok")


asyncio.run(main())
