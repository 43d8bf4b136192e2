"""The SQL of the record's writer, portable between PostgreSQL and SQLite. No ORM: this is the hot path."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, cast

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from sessions import guards

# Every writer holds it shared until its transaction ends. Held exclusively it means: no write is in flight.
# The upper half of the number is "HOLD" in ASCII: ours alone in the space of advisory locks.
WRITE_LOCK: Final = 0x484F4C44_00000001
_ROWS_PER_STATEMENT: Final = 200
_ROWS_WORTH_A_COPY: Final = 6

_ENTRY_COLUMNS: Final = (
    "leaf", "leaf_hash", "kind", "ts", "call_id", "session", "connection", "tool", "actor",
)  # fmt: skip
_PAYLOAD_COLUMNS: Final = ("commitment", "leaf_hash", "name", "call_id", "salt", "body")
_SESSION_COLUMNS: Final = ("id", "actor", "connection", "run", "started_at")
_OPEN_CALL_COLUMNS: Final = ("call_id", "leaf_hash", "writer", "recover_after")
# PostgreSQL's types of the columns that are no text, for COPY.
_TYPES: Final = {
    **dict.fromkeys(("leaf", "leaf_hash", "commitment", "salt", "body", "root"), "bytea"),
    **dict.fromkeys(("ts", "started_at", "heartbeat_at", "recover_after"), "timestamptz"),
    **dict.fromkeys(("log_index", "entry_id", "size"), "int8"),
}


@dataclass(slots=True)
class Rows:
    """Everything one transaction writes; tuples in the order of the columns above. Datetimes are aware."""

    entries: list[tuple[Any, ...]] = field(default_factory=list)
    payloads: list[tuple[Any, ...]] = field(default_factory=list)
    sessions: list[tuple[Any, ...]] = field(default_factory=list)
    opened: list[tuple[Any, ...]] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)


def current() -> BaseDatabaseWrapper:
    """Return this thread's connection to the default database."""
    return connections[DEFAULT_DB_ALIAS]


def lock(connection: BaseDatabaseWrapper, *, exclusive: bool) -> datetime:
    """Take the record's lock until the transaction ends; return the database's clock.

    SQLite has one writer at a time from BEGIN IMMEDIATE on and no clock of its own.
    """
    if connection.vendor != "postgresql":
        return datetime.now(UTC)
    function = "pg_advisory_xact_lock" if exclusive else "pg_advisory_xact_lock_shared"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s), clock_timestamp()", [WRITE_LOCK])
        now: datetime = cursor.fetchone()[1]
    return now


def write(connection: BaseDatabaseWrapper, rows: Rows) -> None:
    """Insert the rows and delete the calls that ended, inside the caller's transaction.

    Raises django.db.Error, among others when a call is opened that is open already.
    """
    adapt = connection.ops.adapt_datetimefield_value
    entries = [(*row[:3], adapt(row[3]), *row[4:]) for row in rows.entries]
    sessions = [(*row[:4], adapt(row[4])) for row in rows.sessions]
    opened = [(*row[:3], adapt(row[3])) for row in rows.opened]
    batch = _Batch(connection)
    batch.insert(guards.ENTRY, _ENTRY_COLUMNS, entries)
    batch.insert(guards.PAYLOAD, _PAYLOAD_COLUMNS, rows.payloads)
    batch.insert("mcp_sessions_recordedsession", _SESSION_COLUMNS, sessions, "ON CONFLICT DO NOTHING")
    batch.insert("mcp_sessions_opencall", _OPEN_CALL_COLUMNS, opened)
    for chunk in _chunks(rows.closed):
        marks = ", ".join(["%s"] * len(chunk))
        batch.add(f"DELETE FROM mcp_sessions_opencall WHERE call_id IN ({marks})", chunk)  # noqa: S608 - marks only
    batch.flush()


class _Batch:
    """Statements for PostgreSQL that wait to be sent together: a round trip costs more than a small statement.

    Rows worth a COPY and everything for SQLite, which is in our own process, are run at once.
    """

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection
        self._statements: list[str] = []
        self._values: list[Any] = []

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]], suffix: str = "") -> None:
        """Insert rows into one of the record's own tables, in the way that costs this database least."""
        if not rows:
            return
        if self._connection.vendor == "sqlite":
            _insert_each(self._connection, f"{_head(table, columns)} {_marks(len(columns))} {suffix}", rows)
        elif len(rows) >= _ROWS_WORTH_A_COPY and not suffix:
            _copy(self._connection, table, columns, rows)
        else:
            for chunk in _chunks(rows):
                marks = ", ".join([_marks(len(columns))] * len(chunk))
                self.add(f"{_head(table, columns)} {marks} {suffix}", [value for row in chunk for value in row])

    def add(self, statement: str, values: Sequence[Any]) -> None:
        """Put one statement behind the others."""
        self._statements.append(statement)
        self._values += values
        if self._connection.vendor == "sqlite":
            self.flush()

    def flush(self) -> None:
        """Run what waits, as one message: the cursor binds on this side, so several statements fit in it."""
        if self._statements:
            with self._connection.cursor() as cursor:
                cursor.execute("; ".join(self._statements), self._values)
            self._statements, self._values = [], []


def insert_process(connection: BaseDatabaseWrapper, process_id: str, now: datetime) -> None:
    """Announce a writer process, alive at `now`."""
    moment = connection.ops.adapt_datetimefield_value(now)
    insert(
        connection,
        "mcp_sessions_gatewayprocess",
        ("id", "started_at", "heartbeat_at"),
        [(process_id, moment, moment)],
        "ON CONFLICT DO NOTHING",
    )


def beat(connection: BaseDatabaseWrapper, process_id: str, now: datetime, *, stopped: bool = False) -> None:
    """Say that a writer process was alive at `now`, or that it stopped then."""
    moment = connection.ops.adapt_datetimefield_value(now)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE mcp_sessions_gatewayprocess SET heartbeat_at = %s, stopped_at = %s WHERE id = %s",
            [moment, moment if stopped else None, process_id],
        )


def has_entry(connection: BaseDatabaseWrapper, leaf_hash: bytes) -> bool:
    """Return whether an entry with this leaf hash is committed."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM {guards.ENTRY} WHERE leaf_hash = %s", [leaf_hash])  # noqa: S608 - a name of ours
        return cursor.fetchone() is not None


def insert(
    connection: BaseDatabaseWrapper,
    table: str,
    columns: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
    suffix: str = "",
) -> None:
    """Insert rows into one of the record's own tables now, in the way that costs this database least."""
    batch = _Batch(connection)
    batch.insert(table, columns, rows, suffix)
    batch.flush()


def _insert_each(connection: BaseDatabaseWrapper, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """One statement, prepared once and run for every row: SQLite is in our own process."""
    with connection.cursor() as cursor:
        cursor.executemany(statement, rows)


def _copy(connection: BaseDatabaseWrapper, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """COPY in binary: psycopg need not look for a placeholder per value, nor spell bytes as hex."""
    with connection.cursor() as cursor:
        # Django hands the cursor's copy() through without knowing its type.
        statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"
        with cast(Any, cursor).copy(statement) as copy:
            copy.set_types([_TYPES.get(column, "text") for column in columns])
            for row in rows:
                copy.write_row(row)


def _head(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES"


def _marks(count: int) -> str:
    return f"({', '.join(['%s'] * count)})"


def _chunks(rows: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (rows[at : at + _ROWS_PER_STATEMENT] for at in range(0, len(rows), _ROWS_PER_STATEMENT))
