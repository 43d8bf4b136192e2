"""Reading the record in the order of its log, from a place on: for counts that go on where they stopped.

The log's order is given after commit and is dense, so that nothing is met late, which ids of entries do not promise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import orjson
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Max

from sessions import logstore
from sessions.events import INTENT, LATE
from sessions.models import Entry, LogIndex

_COUNTING: Final = (INTENT, "call.blocked", "call.result", "call.message", LATE)
_COUNTED: Final = ("masked", "exposed")
_MARKS: Final = tuple(f'"{name}":['.encode() for name in _COUNTED)


@dataclass(frozen=True, slots=True)
class Counts:
    """What one entry says of masking: by name how often it was hidden, and how often this actor saw it."""

    day: date
    connection: str
    actor: str
    masked: dict[str, int]
    exposed: dict[str, int]


def size() -> int:
    """Return how many entries have their place in the log."""
    last = LogIndex.objects.aggregate(last=Max("log_index"))["last"]
    return 0 if last is None else int(last) + 1


def masking_counts(first: int, behind: int) -> Iterator[Counts]:
    """Yield what the entries of these places say of masking, those that say something; times are UTC.

    The facts are read without the checks that verifying makes: what was altered, `verify` finds.
    """
    rows = Entry.objects.filter(place__log_index__gte=first, place__log_index__lt=behind, kind__in=_COUNTING)
    for at, connection, actor, leaf in rows.values_list("ts", "connection", "actor", "leaf").iterator():
        stored = bytes(leaf)
        if any(mark in stored for mark in _MARKS):
            facts = orjson.loads(stored)["facts"]
            masked, exposed = (numbers(facts.get(name)) for name in _COUNTED)
            if masked or exposed:
                yield Counts(at.date(), connection, actor, masked, exposed)


def numbers(fact: Any) -> dict[str, int]:
    """Read counts as an entry has them: `["email:3", …]`; anything else is none."""
    found: dict[str, int] = {}
    for one in fact if isinstance(fact, list) else ():
        name, separator, count = str(one).rpartition(":")
        if separator and count.isascii() and count.isdigit() and len(count) < 10:
            found[name] = found.get(name, 0) + int(count)
    return found


def waits_since(connection: BaseDatabaseWrapper) -> datetime | None:
    """Return the time of the oldest entry without a place in the log; None when all have theirs."""
    found = logstore.unindexed(connection, logstore.state(connection).low_water, 1)
    return Entry.objects.filter(pk=found[0][0]).values_list("ts", flat=True).first() if found else None
