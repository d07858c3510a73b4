"""Incident 003, the fixed client: created_at and updated_at of a recovered child are left to the database.

Usage: fixed.py [URL]   (or DATABASE_URL)
"""

import os
import sys
from datetime import datetime
from uuid import UUID

import psycopg
from sqlalchemy import DateTime, ForeignKey, create_engine, func, insert, literal, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

EACH = 20  # flows recovered in each of the four ways

sent = landed = refused = 0


class Base(DeclarativeBase):
    pass


class MasterFlow(Base):
    __tablename__ = "master_flows"
    __table_args__ = {"schema": "migration"}
    flow_id: Mapped[UUID] = mapped_column(primary_key=True)
    flow_name: Mapped[str | None]
    flow_status: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class DiscoveryFlow(Base):
    __tablename__ = "discovery_flows"
    __table_args__ = {"schema": "migration"}
    id: Mapped[int] = mapped_column(primary_key=True)
    flow_id: Mapped[UUID]
    master_flow_id: Mapped[UUID] = mapped_column(ForeignKey(MasterFlow.flow_id))
    flow_name: Mapped[str | None]
    status: Mapped[str]
    current_phase: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now(), onupdate=func.now())


# Columns of the child, and what the recovery takes from the master flow for them.
COPIED = {
    "flow_id": "flow_id",
    "master_flow_id": "flow_id",
    "flow_name": "flow_name",
    "status": "flow_status",
}


def child_of(master):
    values = {column: getattr(master, source) for column, source in COPIED.items()}
    return DiscoveryFlow(current_phase="resuming", **values)


def attempt(session, way, rows, write):
    """Runs one write of `rows` rows; the statement lands whole or not at all."""
    global sent, landed, refused
    sent += rows
    try:
        write()
        session.commit()
        landed += rows
        print(f"{way:16} landed   {rows} rows")
    except (IntegrityError, psycopg.errors.CheckViolation) as error:
        session.rollback()
        refused += rows
        cause = getattr(error, "orig", error)
        if not isinstance(cause, psycopg.errors.CheckViolation):
            raise
        print(f"{way:16} refused  {rows} rows, {cause.diag.constraint_name}: {cause.diag.message_primary}")


def add_all(session, masters):
    session.add_all([child_of(master) for master in masters])
    session.flush()


def insert_select(session, masters):
    chosen = select(*(getattr(MasterFlow, source) for source in COPIED.values()), literal("resuming"))
    chosen = chosen.where(MasterFlow.flow_id.in_([master.flow_id for master in masters]))
    session.execute(insert(DiscoveryFlow).from_select([*COPIED, "current_phase"], chosen))


def copy(session, masters):
    cursor = session.connection().connection.cursor()
    columns = ", ".join([*COPIED, "current_phase"])
    with cursor.copy(f"COPY migration.discovery_flows ({columns}) FROM STDIN") as lines:
        for master in masters:
            lines.write_row([*(getattr(master, source) for source in COPIED.values()), "resuming"])


def main():
    url = sys.argv[1] if len(sys.argv) > 1 else os.environ["DATABASE_URL"]
    _, _, rest = url.partition("://")
    engine = create_engine(f"postgresql+psycopg://{rest}")
    with Session(engine, expire_on_commit=False) as session:
        recovered = select(DiscoveryFlow.flow_id)
        missing = select(MasterFlow).where(MasterFlow.flow_id.not_in(recovered)).order_by(MasterFlow.created_at)
        masters = session.scalars(missing.limit(4 * EACH)).all()
        session.expunge_all()  # or a rollback would have them read again, in the middle of a COPY too
        session.commit()
        for master in masters[:EACH]:
            attempt(session, "single insert", 1, lambda: add_all(session, [master]))
        for way, write, start in [("bulk insert", add_all, 1), ("insert select", insert_select, 2), ("copy", copy, 3)]:
            some = masters[start * EACH : (start + 1) * EACH]
            attempt(session, way, len(some), lambda: write(session, some))
    print(f"sent {sent}, landed {landed}, refused {refused}")
    sys.exit(1 if refused else 0)


if __name__ == "__main__":
    main()
