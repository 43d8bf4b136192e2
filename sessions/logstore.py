"""The SQL of the sequencer: what has no place in the log yet, the log's state, and its fence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db.backends.base.base import BaseDatabaseWrapper

from sessions import guards, statements, store

STATE: Final = "mcp_sessions_sequencerstate"
_CHUNK: Final = 1000


@dataclass(frozen=True, slots=True)
class State:
    """The log as the last holder of the office left it."""

    epoch: int
    size: int
    frontier: bytes
    low_water: int


def unindexed(connection: BaseDatabaseWrapper, low_water: int, limit: int) -> list[tuple[int, bytes]]:
    """Return id and leaf hash of committed entries above `low_water` without a place, in order of id."""
    sql = (
        f"SELECT e.id, e.leaf_hash FROM {guards.ENTRY} e WHERE e.id > %s AND NOT EXISTS "  # noqa: S608 - names of ours only
        # The bound is repeated for the planner's sake: it would read the whole index rather than its end.
        f"(SELECT 1 FROM {guards.LOG_INDEX} i WHERE i.entry_id = e.id AND i.entry_id > %s) ORDER BY e.id LIMIT %s"
    )
    return [(row[0], bytes(row[1])) for row in store.query(connection, sql, [low_water, low_water, limit])]


def highest_settled(connection: BaseDatabaseWrapper) -> int:
    """Return an entry id up to which no further entry can appear. To be called in a transaction.

    Ids are drawn before they commit, so that a higher one may be there first. Every writer holds the record's
    lock shared until its transaction ends; while we hold it exclusively, none is in flight, and whoever comes
    later draws a higher id. Raises OperationalError when the lock is not to be had within 100 ms.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '100ms'")
    store.lock(connection, exclusive=True)
    rows = store.query(connection, f"SELECT MAX(id) FROM {guards.ENTRY}", [])  # noqa: S608 - a name of ours
    return int(rows[0][0] or 0)


def state(connection: BaseDatabaseWrapper) -> State:
    """Return the log's state; that of an empty log when there is none yet."""
    sql = f"SELECT epoch, size, frontier, low_water FROM {STATE} WHERE id = 1"  # noqa: S608 - a name of ours
    rows = store.query(connection, sql, [])
    if not rows:
        return State(0, 0, b"", 0)
    epoch, size, frontier, low_water = rows[0]
    return State(epoch, size, bytes(frontier), low_water)


def advance(connection: BaseDatabaseWrapper, epoch: int, size: int, frontier: bytes) -> bool:
    """Set size and frontier; false, and nothing set, when the office was taken over meanwhile."""
    return _fenced(connection, epoch, "size = %s, frontier = %s", [size, frontier])


def raise_low_water(connection: BaseDatabaseWrapper, epoch: int, low_water: int) -> bool:
    """Note that everything up to an id has its place; false when the office was taken over meanwhile."""
    return _fenced(connection, epoch, "low_water = %s", [low_water])


def append(
    connection: BaseDatabaseWrapper, places: Sequence[tuple[int, int]], size: int, root: bytes, note: str
) -> None:
    """Store the places (log index, entry id) and the checkpoint over them."""
    statements.insert(connection, guards.LOG_INDEX, ("log_index", "entry_id"), places)
    statements.insert(connection, guards.CHECKPOINT, ("size", "root", "note"), [(size, root, note)])


def last_note(connection: BaseDatabaseWrapper) -> str | None:
    """Return the note of the newest checkpoint."""
    sql = f"SELECT note FROM {guards.CHECKPOINT} ORDER BY size DESC LIMIT 1"  # noqa: S608 - a name of ours
    rows = store.query(connection, sql, [])
    return rows[0][0] if rows else None


def root_of(connection: BaseDatabaseWrapper, size: int) -> bytes | None:
    """Return the root of the checkpoint of this size; None without one."""
    sql = f"SELECT root FROM {guards.CHECKPOINT} WHERE size = %s"  # noqa: S608 - a name of ours
    rows = store.query(connection, sql, [size])
    return bytes(rows[0][0]) if rows else None


def signed_size(connection: BaseDatabaseWrapper) -> int:
    """Return the size of the newest checkpoint; 0 without one."""
    rows = store.query(connection, f"SELECT MAX(size) FROM {guards.CHECKPOINT}", [])  # noqa: S608 - a name of ours
    return int(rows[0][0] or 0)


def notes_after(connection: BaseDatabaseWrapper, size: int) -> Iterator[str]:
    """Yield the notes of the checkpoints above a size, oldest first."""
    sql = f"SELECT size, note FROM {guards.CHECKPOINT} WHERE size > %s ORDER BY size LIMIT %s"  # noqa: S608 - a name of ours
    while rows := store.query(connection, sql, [size, _CHUNK]):
        for _, note in rows:
            yield note
        size = rows[-1][0]


def _fenced(connection: BaseDatabaseWrapper, epoch: int, change: str, values: list[Any]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {STATE} SET {change} WHERE id = 1 AND epoch = %s",  # noqa: S608 - text of ours only
            [*values, epoch],
        )
        changed: int = cursor.rowcount
        return changed == 1
