"""Questions to the index of calls: matching calls and sessions newest first, in pages by key, and a count with a cap.

Each question costs about the same on a thousand calls and on millions: see `_ids` for how.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from sessions import store
from sessions.models import RecordedCall, RecordedSession
from sessions.search.index import first_id
from sessions.search.tables import CALLS, FTS
from sessions.search.terms import asked, facet, fits, postgresql_query, sqlite_query

MOST_COUNTED: Final = 10_000
MOST_SHOWN: Final = 3
_CHUNK: Final = 500
_MOST_CHUNKS: Final = 20
_NEWEST: Final = 20_000
_BEYOND: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Wanted:
    """What calls must have; empty is anything.

    `own` and `actors` are pseudonyms: the call is of `own`, and of one of `actors` unless that is None. `text` is
    words that arguments must have; `word*` is the beginning of one.
    """

    own: str = ""
    actors: tuple[str, ...] | None = None
    connection: str = ""
    tool: str = ""
    verdict: str = ""
    outcome: str = ""
    rule: str = ""
    masked: str = ""
    exposed: str = ""
    since: datetime | None = None
    until: datetime | None = None
    text: str = ""

    @property
    def facets(self) -> list[tuple[str, ...]]:
        """Return groups of terms, of each of which a call must have one; that of `own` first."""
        groups: list[tuple[str, ...]] = [(facet("actor", self.own),)] if self.own else []
        if self.actors is not None:
            groups.append(tuple(facet("actor", one) for one in self.actors) or (facet("actor", "nobody"),))
        plain = ("connection", "tool", "verdict", "outcome", "rule", "masked", "exposed")
        return groups + [(facet(name, value),) for name in plain if (value := getattr(self, name))]


@dataclass(frozen=True, slots=True)
class Found:
    """A session with calls that fit, newest first: how many were met for this page, and the newest of them."""

    session: RecordedSession
    calls: list[RecordedCall] = field(default_factory=list)
    met: int = 0


def sessions_with(wanted: Wanted, *, before: int = 0, limit: int = 50) -> tuple[list[Found], int | None]:
    """Return sessions by their newest call that fits, and where the next page begins (None at the end).

    `before` is what an earlier page returned. A page may be short and yet have one after it, where few sessions have
    very many calls.
    """
    found: dict[str, list[RecordedCall]] = {}
    shown = _Shown(wanted, before)
    last = before or _BEYOND
    for _ in range(_MOST_CHUNKS):
        ids = _ids(wanted, last, _CHUNK)
        rows = RecordedCall.objects.filter(id__in=ids).defer("words", "facets").order_by("-id")
        for row in rows:
            if row.session not in found and not shown.has(row.session):
                if len(found) == limit:
                    return _named(found), last
                found[row.session] = []
            if row.session in found:
                found[row.session].append(row)
            last = row.id
        if len(ids) < _CHUNK:
            return _named(found), None
    return _named(found), last


def calls_of(wanted: Wanted, *, before: int = 0, limit: int = 50) -> tuple[list[RecordedCall], int | None]:
    """Return calls that fit, newest first, and where the next page begins (None at the end)."""
    ids = _ids(wanted, before or _BEYOND, limit + 1)
    rows = list(RecordedCall.objects.filter(id__in=ids).defer("words", "facets").order_by("-id"))
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


def count(wanted: Wanted) -> tuple[int, bool]:
    """Return how many calls fit, and whether that is all of them: it stops at MOST_COUNTED."""
    found = len(_ids(wanted, _BEYOND, MOST_COUNTED + 1, in_order=False))
    return min(found, MOST_COUNTED), found <= MOST_COUNTED


class _Shown:
    """Which sessions stood on an earlier page: those with a call that fits at or above where this one begins."""

    def __init__(self, wanted: Wanted, before: int) -> None:
        self._wanted, self._before = wanted, before
        self._known: dict[str, bool] = {}

    def has(self, session: str) -> bool:
        if not self._before:
            return False
        if session not in self._known:
            rows = RecordedCall.objects.filter(session=session, id__gte=self._before, id__lt=_highest(self._wanted))
            groups, said = self._wanted.facets, asked(self._wanted.text)
            told = rows.order_by("id").values_list("facets", "words").iterator()
            self._known[session] = any(fits(facets, words, groups, said) for facets, words in told)
        return self._known[session]


def _named(found: dict[str, list[RecordedCall]]) -> list[Found]:
    rows = RecordedSession.objects.in_bulk(list(found))
    return [Found(rows[session], calls[:MOST_SHOWN], len(calls)) for session, calls in found.items() if session in rows]


def _highest(wanted: Wanted) -> int:
    return first_id(wanted.until) if wanted.until else _BEYOND


def _ids(wanted: Wanted, before: int, limit: int, *, in_order: bool = True) -> list[int]:
    """Return ids of calls that fit and are below `before`: the newest ones, or any where not `in_order`."""
    low = first_id(wanted.since) - 1 if wanted.since else -1
    high = min(before, _highest(wanted))
    groups, words = wanted.facets, asked(wanted.text)
    if wanted.text and not words:
        return []  # nothing but signs, which no search finds
    connection = store.current()
    if not groups and not words:
        sql = f"SELECT id FROM {CALLS} WHERE id > %s AND id < %s ORDER BY id DESC LIMIT %s"  # noqa: S608 - a name of ours
        return _column(connection, sql, [low, high, limit])
    if connection.vendor == "sqlite":
        # FTS5 walks its lists by row id, downwards too, and stops at the limit.
        sql = f"SELECT rowid FROM {FTS} WHERE {FTS} MATCH %s AND rowid > %s AND rowid < %s ORDER BY rowid DESC LIMIT %s"  # noqa: S608 - names of ours
        return _column(connection, sql, [sqlite_query(groups, words), low, high, limit])
    return _of_postgresql(connection, postgresql_query(groups, words), (low, high, limit), in_order=in_order)


def _of_postgresql(
    connection: BaseDatabaseWrapper, query: str, bounds: tuple[int, int, int], *, in_order: bool
) -> list[int]:
    """First look among the newest calls, which is quick where many fit; then by the index, quick where few do.

    The planner, left alone, takes the one way for the other where two frequent terms hardly ever meet.
    """
    low, high, limit = bounds
    if in_order:
        some = f"SELECT id, terms FROM {CALLS} WHERE id > %s AND id < %s ORDER BY id DESC LIMIT {_NEWEST}"  # noqa: S608 - names of ours
        newest = f"SELECT id FROM ({some}) newest WHERE terms @@ %s::tsquery ORDER BY id DESC LIMIT %s"  # noqa: S608 - text of ours
        found = _column(connection, newest, [low, high, query, limit])
        if len(found) == limit:
            return found
    order = "ORDER BY id DESC" if in_order else ""
    sql = f"SELECT id FROM {CALLS} WHERE terms @@ %s::tsquery AND id > %s AND id < %s {order} LIMIT %s"  # noqa: S608 - names of ours
    with transaction.atomic():
        store.execute(connection, "SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off")
        found = _column(connection, sql, [query, low, high, limit])
        store.execute(connection, "SET LOCAL enable_seqscan = on; SET LOCAL enable_indexscan = on")
    return found


def _column(connection: BaseDatabaseWrapper, sql: str, values: Sequence[Any]) -> list[int]:
    return [int(row[0]) for row in store.query(connection, sql, values)]
