"""The live database as the verifier's source: one consistent view, read in chunks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.dateparse import parse_datetime

from sessions import guards, logstore, store
from sessions.rows import CheckpointRow, EntryRow, PayloadRow, Place

_CHUNK: Final = 500
_COLUMNS: Final = "e.id, e.leaf, e.leaf_hash, e.kind, e.ts, e.call_id, e.session, e.connection, e.tool, e.actor"
_PLACES: Final = f"""
    SELECT i.log_index, i.entry_id, {_COLUMNS} FROM {guards.LOG_INDEX} i
    LEFT JOIN {guards.ENTRY} e ON e.id = i.entry_id
    WHERE i.log_index > %s ORDER BY i.log_index LIMIT %s"""  # noqa: S608 - names of ours only
_UNPLACED: Final = f"""
    SELECT {_COLUMNS} FROM {guards.ENTRY} e
    WHERE e.id > %s AND NOT EXISTS (SELECT 1 FROM {guards.LOG_INDEX} i WHERE i.entry_id = e.id)
    ORDER BY e.id LIMIT %s"""  # noqa: S608 - names of ours only
_CHECKPOINTS: Final = f"""
    SELECT size, root, note FROM {guards.CHECKPOINT} WHERE size > %s ORDER BY size LIMIT %s"""  # noqa: S608 - names of ours only
_PAYLOADS: Final = f"""
    SELECT commitment, leaf_hash, name, call_id, salt, body FROM {guards.PAYLOAD} WHERE commitment IN """  # noqa: S608 - names of ours only
_OWNERS: Final = f"""
    SELECT p.commitment, e.leaf FROM {guards.PAYLOAD} p
    LEFT JOIN {guards.ENTRY} e ON e.leaf_hash = p.leaf_hash
    WHERE p.commitment > %s ORDER BY p.commitment LIMIT %s"""  # noqa: S608 - names of ours only


@contextlib.contextmanager
def snapshot() -> Iterator[Ledger]:
    """Open one view of the record that does not change while it is read, and that keeps no writer waiting."""
    connection = store.current()
    if connection.vendor == "postgresql":
        with transaction.atomic(durable=True):
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield Ledger(connection)
        return
    with connection.cursor() as cursor:
        # Not Django's atomic(): that begins IMMEDIATE and would keep every writer out.
        cursor.execute("BEGIN DEFERRED")
        try:
            yield Ledger(connection)
        finally:
            cursor.execute("ROLLBACK")


class Ledger:
    """Reads the tables of the record; a `sessions.rows.Source`."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection
        # SQLite keeps any text in the column, and Django's converter would stumble over what is no moment.
        self._ts = "CAST(e.ts AS TEXT)" if connection.vendor == "sqlite" else "e.ts"

    def places(self) -> Iterator[Place]:
        """Yield LogIndex with its entries, in order of the log index."""
        for row in self._pages(_PLACES, -1):
            yield Place(row[0], row[1], _entry(row[2:]) if row[2] is not None else None)

    def unplaced(self) -> Iterator[EntryRow]:
        """Yield the entries without LogIndex, in order of id."""
        return (_entry(row) for row in self._pages(_UNPLACED, -1))

    def checkpoints(self) -> Iterator[CheckpointRow]:
        """Yield the checkpoints in order of size."""
        return (CheckpointRow(row[0], _bytes(row[1]), str(row[2])) for row in self._pages(_CHECKPOINTS, -1))

    def payloads(self, commitments: list[bytes]) -> dict[bytes, PayloadRow]:
        """Return those of the payloads that exist, by commitment."""
        if not commitments:
            return {}
        rows = self._all(f"{_PAYLOADS} ({', '.join(['%s'] * len(commitments))})", commitments)
        found = (
            PayloadRow(_bytes(row[0]), _bytes(row[1]), str(row[2]), str(row[3]), _bytes(row[4]), _bytes(row[5]))
            for row in rows
        )
        return {row.commitment: row for row in found}

    def payload_count(self) -> int:
        """Return the number of payloads."""
        count: int = self._all(f"SELECT COUNT(*) FROM {guards.PAYLOAD}", [])[0][0]  # noqa: S608 - a name of ours
        return count

    def payload_owners(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield each payload's commitment with the leaf of the entry it names; None without one."""
        for row in self._pages(_OWNERS, b""):
            yield _bytes(row[0]), None if row[1] is None else _bytes(row[1])

    def low_water(self) -> int:
        """Return the entry id up to which the sequencer gave everything its place."""
        return logstore.state(self._connection).low_water

    def _pages(self, sql: str, after: int | bytes) -> Iterator[tuple[Any, ...]]:
        sql = sql.replace("e.ts", self._ts)
        while rows := self._all(sql, [after, _CHUNK]):
            yield from rows
            after = _bytes(rows[-1][0]) if isinstance(after, bytes) else rows[-1][0]

    def _all(self, sql: str, params: list[Any]) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, params)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows


def _entry(row: tuple[Any, ...]) -> EntryRow:
    texts = [str(value) for value in row[5:]]
    return EntryRow(row[0], _bytes(row[1]), _bytes(row[2]), str(row[3]), _moment(row[4]), *texts)


def _bytes(value: Any) -> bytes:
    """SQLite keeps any type in any column, also one that somebody put there."""
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()


def _moment(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    try:
        moment = parse_datetime(str(value))
    except ValueError:
        return None
    # SQLite's column holds UTC without saying so.
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else None
