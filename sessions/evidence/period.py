"""The stretch of the log that holds a period, between two checkpoints, read from one view of the database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sessions import guards, store
from sessions.keychain import KINDS
from sessions.leaf import decode
from sessions.ledger import Ledger
from sessions.rows import CheckpointRow, PayloadRow

_CHUNK: Final = 500
_HASHES: Final = 10_000
_ENTRIES: Final = (
    f"SELECT i.log_index, e.leaf FROM {guards.LOG_INDEX} i JOIN {guards.ENTRY} e ON e.id = i.entry_id "  # noqa: S608 - names of ours only
    "WHERE i.log_index >= %s AND i.log_index < %s ORDER BY i.log_index"
)
_LEAF_HASHES: Final = (
    f"SELECT e.leaf_hash FROM {guards.LOG_INDEX} i JOIN {guards.ENTRY} e ON e.id = i.entry_id "  # noqa: S608 - names of ours only
    "WHERE i.log_index >= %s AND i.log_index < %s ORDER BY i.log_index"
)
_WITHIN: Final = (
    f"SELECT MIN(i.log_index), MAX(i.log_index) FROM {guards.LOG_INDEX} i JOIN {guards.ENTRY} e ON e.id = i.entry_id "  # noqa: S608 - names of ours only
    "WHERE e.ts >= %s AND e.ts < %s"
)
_BEFORE: Final = (
    f"SELECT MAX(i.log_index) FROM {guards.LOG_INDEX} i JOIN {guards.ENTRY} e ON e.id = i.entry_id WHERE e.ts < %s"  # noqa: S608 - names of ours only
)
_AROUND: Final = (
    f"SELECT (SELECT MAX(size) FROM {guards.CHECKPOINT} WHERE size <= %s), "  # noqa: S608 - names of ours only
    f"(SELECT MIN(size) FROM {guards.CHECKPOINT} WHERE size >= %s)"
)
_PUBLISHED: Final = (
    f"SELECT i.log_index, e.leaf FROM {guards.LOG_INDEX} i JOIN {guards.ENTRY} e ON e.id = i.entry_id "  # noqa: S608 - names of ours only
    "WHERE e.kind = 'policy.published' AND i.log_index < %s ORDER BY i.log_index"
)
_KEYS: Final = (
    f"SELECT i.log_index, e.leaf FROM {guards.LOG_INDEX} i JOIN {guards.ENTRY} e ON e.id = i.entry_id "  # noqa: S608 - names of ours only
    "WHERE e.kind IN (%s, %s) AND i.log_index < %s ORDER BY i.log_index"
)
_STARTED: Final = (
    f"SELECT i.log_index, e.leaf FROM {guards.LOG_INDEX} i JOIN {guards.ENTRY} e ON e.id = i.entry_id "  # noqa: S608 - names of ours only
    "WHERE e.session = %s AND e.kind = 'session.started' AND i.log_index < %s ORDER BY i.log_index LIMIT 1"
)
_UNPLACED: Final = (
    f"SELECT COUNT(*) FROM {guards.ENTRY} e WHERE e.ts >= %s AND e.ts < %s AND NOT EXISTS "  # noqa: S608 - names of ours only
    f"(SELECT 1 FROM {guards.LOG_INDEX} i WHERE i.entry_id = e.id)"
)


class NotSealed(Exception):
    """Entries of the period wait for their place in the log, or for the checkpoint over it."""


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` to `end` (exclusive, as numbers of the log): everything of the period lies between."""

    start: int
    end: int


class Log:
    """One view of the record, read stretch by stretch: memory does not grow with it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._connection = store.current()

    def period(self, since: datetime, until: datetime) -> Period:
        """Return the stretch between two checkpoints that holds everything of a period. Raises NotSealed."""
        if waiting := self._one(_UNPLACED, since, until)[0]:
            raise NotSealed(f"{waiting} entries of the period have no place in the log yet; is a gateway running?")
        first, last = self._one(_WITHIN, since, until)
        if first is None:
            before = self._one(_BEFORE, since)[0]
            first = last = -1 if before is None else before
        start, end = self._one(_AROUND, max(first, 0), last + 1)
        if end is None:
            raise NotSealed("no checkpoint covers the end of the period yet; try again in a second")
        return Period(start or 0, end)

    def entries(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Yield log index and leaf of a stretch."""
        for at in range(start, end, _CHUNK):
            for row in self._all(_ENTRIES, at, min(at + _CHUNK, end)):
                yield row[0], bytes(row[1])

    def leaf_hashes(self, end: int) -> list[bytes]:
        """Return the leaf hashes from the beginning of the log: 32 bytes each, all in memory."""
        found: list[bytes] = []
        for at in range(0, end, _HASHES):
            found += [bytes(row[0]) for row in self._all(_LEAF_HASHES, at, min(at + _HASHES, end))]
        return found

    def checkpoints(self, period: Period) -> Iterator[CheckpointRow]:
        """Yield the checkpoints from the one at which the stretch begins to the one at which it ends."""
        for row in self._ledger.checkpoints():
            if row.size > period.end:
                return
            if row.size >= period.start and row.size:
                yield row

    def payloads(self, commitments: list[str]) -> dict[str, PayloadRow]:
        """Return those of the payloads (by commitment, hex) that exist."""
        found: dict[str, PayloadRow] = {}
        for at in range(0, len(commitments), _CHUNK):
            wanted = [bytes.fromhex(one) for one in commitments[at : at + _CHUNK]]
            found |= {row.commitment.hex(): row for row in self._ledger.payloads(wanted).values()}
        return found

    def publications(self, end: int) -> Iterator[tuple[int, bytes]]:
        """Yield log index and leaf of each publication of a policy below a log index."""
        for row in self._all(_PUBLISHED, end):
            yield row[0], bytes(row[1])

    def key_changes(self, end: int) -> Iterator[tuple[int, bytes]]:
        """Yield log index and leaf of each entry below a log index that signs a key in, or retires one."""
        for row in self._all(_KEYS, *KINDS, end):
            yield row[0], bytes(row[1])

    def start_of(self, session: str, end: int) -> tuple[int, bytes, PayloadRow] | None:
        """Return log index and leaf of the entry with which a session began, and the payload that says who calls.

        None when it is not below `end`, or its payload is erased.
        """
        for row in self._all(_STARTED, session, end):
            committed = decode(bytes(row[1])).payloads.get("caller")
            stored = self.payloads([committed.digest]) if committed else {}
            for payload in stored.values():
                return row[0], bytes(row[1]), payload
        return None

    def _one(self, sql: str, *params: Any) -> tuple[Any, ...]:
        return self._all(sql, *params)[0]

    def _all(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, list(params))
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows
