"""The SQL of the record's writer, portable between PostgreSQL and SQLite. No ORM: this is the hot path."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from sessions import guards
from sessions.statements import Statements

# Every writer holds it shared until its transaction ends. Held exclusively it means: no write is in flight.
# The upper half of the number is "HOLD" in ASCII: ours alone in the space of advisory locks.
WRITE_LOCK: Final = 0x484F4C44_00000001
_CALLS_AT_ONCE: Final = 500

_ENTRY_COLUMNS: Final = (
    "leaf", "leaf_hash", "kind", "ts", "call_id", "session", "connection", "tool", "actor",
)  # fmt: skip
_PAYLOAD_COLUMNS: Final = ("commitment", "leaf_hash", "name", "call_id", "salt", "body")
_SESSION_COLUMNS: Final = ("id", "actor", "connection", "run", "started_at")
_OPEN_CALL_COLUMNS: Final = ("call_id", "leaf_hash", "writer", "recover_after")
_OPEN_CALL: Final = "mcp_sessions_opencall"


@dataclass(slots=True)
class Rows:
    """Everything one transaction writes; tuples in the order of the columns above. Datetimes are aware."""

    entries: list[tuple[Any, ...]] = field(default_factory=list)
    payloads: list[tuple[Any, ...]] = field(default_factory=list)
    sessions: list[tuple[Any, ...]] = field(default_factory=list)
    opened: list[tuple[Any, ...]] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Begun:
    """What a transaction finds at its begin: the database's clock, the policy's revision, and which calls are open.

    That a call is open holds to the end: who ends the calls of another process has the record's lock exclusively.
    """

    now: datetime
    revision: int | None
    open_calls: set[str]


class Transaction:
    """One transaction of the record's writer: `begin`, `write`, `commit`; leave the block before that to roll back.

    With `orm` it is one of Django's, so that work of others takes part. Otherwise PostgreSQL gets two messages, one
    that begins, locks and asks, and one that writes and commits: each round trip costs as much as a small statement.
    SQLite, which is in our own process, always has Django's. Everything raises django.db.Error.
    """

    def __init__(self, connection: BaseDatabaseWrapper, *, orm: bool) -> None:
        self._connection = connection
        self._is_postgresql = connection.vendor == "postgresql"
        self._atomic = transaction.atomic(durable=True) if orm or not self._is_postgresql else None
        self._statements = Statements(connection)
        self._committed = False

    def __enter__(self) -> Self:
        if self._atomic is not None:
            self._atomic.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._committed:
            return
        if self._atomic is not None:
            self._atomic.__exit__(kind, error, trace)
            return
        # A connection that is broken has nothing to roll back.
        with contextlib.suppress(Exception):
            execute(self._connection, "ROLLBACK")

    def begin(self, *, exclusive: bool = False, revision: str = "", calls: Sequence[str] = ()) -> Begun:
        """Take the record's lock, read the revision with that query, if any, and find which of the calls are open."""
        if not self._is_postgresql:
            # One writer at a time from BEGIN IMMEDIATE on, and no clock of its own.
            number = query(self._connection, revision)[0][0] if revision else None
            return Begun(datetime.now(UTC), number, open_among(self._connection, calls))
        asked = self._statements
        if self._atomic is None:
            asked.add("BEGIN")
        asked.add(_lock(exclusive=exclusive))
        if revision:
            asked.add(revision)
        if calls:
            asked.add(f"SELECT call_id FROM {_OPEN_CALL} WHERE call_id IN ", [calls])  # noqa: S608 - a name of ours
        found = asked.ask()
        is_open = {row[0] for row in found[-1]} if calls else set()
        return Begun(found[0][0][1], found[1][0][0] if revision else None, is_open)

    def write(self, rows: Rows) -> None:
        """Insert the rows and delete the calls that ended; what is small goes with the COMMIT where that is ours.

        A call that is opened while it is open already is an IntegrityError, here or at the commit.
        """
        if not self._is_postgresql:
            rows = _adapted(self._connection, rows)
        self._statements.insert(guards.ENTRY, _ENTRY_COLUMNS, rows.entries)
        self._statements.insert(guards.PAYLOAD, _PAYLOAD_COLUMNS, rows.payloads)
        self._statements.insert(
            "mcp_sessions_recordedsession", _SESSION_COLUMNS, rows.sessions, "ON CONFLICT DO NOTHING"
        )
        self._statements.insert(_OPEN_CALL, _OPEN_CALL_COLUMNS, rows.opened)
        self._statements.delete(_OPEN_CALL, "call_id", rows.closed)
        if self._atomic is not None:
            self._statements.send()

    def commit(self) -> None:
        """Commit. Where this fails, only the database knows whether it happened."""
        if self._atomic is not None:
            self._committed = True
            self._atomic.__exit__(None, None, None)
            return
        self._statements.add("COMMIT")
        self._statements.send()
        self._committed = True


def _adapted(connection: BaseDatabaseWrapper, rows: Rows) -> Rows:
    """Return the rows with moments as SQLite keeps them."""
    adapt = connection.ops.adapt_datetimefield_value
    return Rows(
        entries=[(*row[:3], adapt(row[3]), *row[4:]) for row in rows.entries],
        payloads=rows.payloads,
        sessions=[(*row[:4], adapt(row[4])) for row in rows.sessions],
        opened=[(*row[:3], adapt(row[3])) for row in rows.opened],
        closed=rows.closed,
    )


def current() -> BaseDatabaseWrapper:
    """Return this thread's connection to the default database."""
    return connections[DEFAULT_DB_ALIAS]


def lock(connection: BaseDatabaseWrapper, *, exclusive: bool) -> None:
    """Take the record's lock until the transaction ends; SQLite has one writer at a time from BEGIN IMMEDIATE on."""
    if connection.vendor == "postgresql":
        query(connection, _lock(exclusive=exclusive))


def _lock(*, exclusive: bool) -> str:
    return f"SELECT pg_advisory_xact_lock{'' if exclusive else '_shared'}({WRITE_LOCK}), clock_timestamp()"


def open_among(connection: BaseDatabaseWrapper, calls: Sequence[str]) -> set[str]:
    """Return those of the calls that are open."""
    found: set[str] = set()
    for at in range(0, len(calls), _CALLS_AT_ONCE):
        chunk = calls[at : at + _CALLS_AT_ONCE]
        marks = ", ".join(["%s"] * len(chunk))
        rows = query(connection, f"SELECT call_id FROM {_OPEN_CALL} WHERE call_id IN ({marks})", chunk)  # noqa: S608 - marks only
        found.update(row[0] for row in rows)
    return found


def insert_process(connection: BaseDatabaseWrapper, process_id: str, now: datetime) -> None:
    """Announce a writer process, alive at `now`."""
    moment = connection.ops.adapt_datetimefield_value(now)
    execute(
        connection,
        "INSERT INTO mcp_sessions_gatewayprocess (id, started_at, heartbeat_at) VALUES (%s, %s, %s) "
        "ON CONFLICT DO NOTHING",
        [process_id, moment, moment],
    )


def beat(connection: BaseDatabaseWrapper, process_id: str, now: datetime, *, stopped: bool = False) -> None:
    """Say that a writer process was alive at `now`, or that it stopped then."""
    moment = connection.ops.adapt_datetimefield_value(now)
    execute(
        connection,
        "UPDATE mcp_sessions_gatewayprocess SET heartbeat_at = %s, stopped_at = %s WHERE id = %s",
        [moment, moment if stopped else None, process_id],
    )


def has_entry(connection: BaseDatabaseWrapper, leaf_hash: bytes) -> bool:
    """Return whether an entry with this leaf hash is committed."""
    return bool(query(connection, f"SELECT 1 FROM {guards.ENTRY} WHERE leaf_hash = %s", [leaf_hash]))  # noqa: S608 - a name of ours


def execute(connection: BaseDatabaseWrapper, statement: str, values: Sequence[Any] = ()) -> None:
    """Run one statement."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)


def query(connection: BaseDatabaseWrapper, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Run one query and return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows
