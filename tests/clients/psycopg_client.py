"""psycopg 3 against a rejecting rule on `ex`. Arguments: port, database. Exits with a traceback if anything is not as it should be."""

import sys
from datetime import datetime, timezone

import psycopg

PORT, DATABASE = sys.argv[1], sys.argv[2]
EARLY = datetime(2026, 3, 1, tzinfo=timezone.utc)
LATE = datetime(2026, 3, 2, tzinfo=timezone.utc)
INSERT = "INSERT INTO ex (id, created_at, started_at) VALUES (%s, %s, %s)"


def connect(**options):
    return psycopg.connect(f"host=127.0.0.1 port={PORT} dbname={DATABASE} user=postgres", **options)


def refused(run):
    try:
        run()
    except psycopg.errors.CheckViolation as error:
        diag = error.diag
        assert (diag.sqlstate, diag.severity) == ("23514", "ERROR"), diag
        assert (diag.schema_name, diag.table_name, diag.constraint_name) == ("public", "ex", "ex_order"), diag
        assert diag.message_detail and diag.message_hint, diag
        assert isinstance(error, psycopg.IntegrityError)
        return
    raise AssertionError("the write was not refused")


def autocommit():
    with connect(autocommit=True) as conn:
        refused(lambda: conn.execute(INSERT, (101, LATE, EARLY)))
        assert conn.execute("SELECT 42").fetchone() == (42,)
        refused(lambda: conn.execute(INSERT, (101, LATE, EARLY), binary=True))
        refused(lambda: conn.execute(INSERT + " RETURNING id", (101, LATE, EARLY), prepare=True))
        assert conn.execute(INSERT + " RETURNING id", (110, EARLY, LATE), prepare=True).fetchone() == (110,)
        cursor = conn.execute("UPDATE ex SET note = 'x' WHERE id = 110 RETURNING *")
        assert [column.name for column in cursor.description] == ["id", "job_id", "status", "created_at", "started_at", "completed_at", "note"]


def transactions():
    with connect() as conn:
        conn.execute(INSERT, (111, EARLY, LATE))
        refused(lambda: conn.execute(INSERT, (101, LATE, EARLY)))
        assert conn.info.transaction_status == psycopg.pq.TransactionStatus.INERROR
        conn.rollback()
        conn.execute(INSERT, (112, EARLY, LATE))
        try:
            with conn.transaction():
                conn.execute(INSERT, (113, EARLY, LATE))
                conn.execute(INSERT, (101, LATE, EARLY))
        except psycopg.errors.CheckViolation:
            pass
        conn.execute(INSERT, (114, EARLY, LATE))
        conn.commit()
        assert ids(conn, 111, 114) == [112, 114]


def many():
    with connect() as conn:
        with conn.cursor() as cursor:
            cursor.executemany(INSERT, [(n, EARLY, LATE) for n in range(1000, 2000)])
            assert cursor.rowcount == 1000
            cursor.executemany(INSERT + " RETURNING id", [(n, EARLY, LATE) for n in range(2000, 2010)], returning=True)
            returned = []
            while True:
                returned += [row[0] for row in cursor.fetchall()]
                if not cursor.nextset():
                    break
            assert returned == list(range(2000, 2010)), returned
        conn.commit()
        refused(lambda: conn.cursor().executemany(INSERT, [(n, LATE if n == 2500 else EARLY, EARLY) for n in range(2400, 2600)]))
        conn.rollback()
        assert ids(conn, 2400, 2600) == []


def prepared_long_ago():
    with connect(autocommit=True) as conn:
        for n in range(3000, 4000):
            conn.execute(INSERT, (n, EARLY, LATE), prepare=True)
        refused(lambda: conn.execute(INSERT, (101, LATE, EARLY), prepare=True))
        conn.execute(INSERT, (4000, EARLY, LATE), prepare=True)


def pipeline():
    with connect(autocommit=True) as conn:
        try:
            with conn.pipeline():
                conn.execute(INSERT, (120, EARLY, LATE))
                conn.execute(INSERT, (101, LATE, EARLY))
                conn.execute(INSERT, (121, EARLY, LATE))
        except psycopg.errors.CheckViolation as error:
            assert error.diag.constraint_name == "ex_order"
        else:
            raise AssertionError("the pipeline was not refused")
        assert ids(conn, 120, 121) == []
        with conn.pipeline():
            conn.execute(INSERT, (122, EARLY, LATE))
            cursor = conn.execute("SELECT count(*) FROM ex WHERE id = 122")
        assert cursor.fetchone() == (1,)


def copy():
    def rows(bad):
        with conn.cursor().copy("COPY ex (id, created_at, started_at) FROM STDIN") as copy:
            for n in range(5000, 6000):
                copy.write_row((n, LATE if n == bad else EARLY, EARLY))

    with connect(autocommit=True) as conn:
        refused(lambda: rows(5500))
        assert ids(conn, 5000, 6000) == []
        rows(None)
        assert len(ids(conn, 5000, 6000)) == 1000


def ids(conn, low, high):
    return [row[0] for row in conn.execute("SELECT id FROM ex WHERE id BETWEEN %s AND %s ORDER BY id", (low, high))]


for step in (autocommit, transactions, many, prepared_long_ago, pipeline, copy):
    step()
    print(step.__name__, "ok")
