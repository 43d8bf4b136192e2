"""Counting what masking hid and what was seen, from the record: a little at a time, each entry once.

Place and counts move in one transaction, and the place by compare-and-set, so that no two processes count the same.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from django.db import transaction
from django.db.models import F, Max, Sum

from approvals.masks.models import MaskingCount, MaskingProgress
from sessions import progress

if TYPE_CHECKING:
    from collections.abc import Sequence

STEP: Final = 5_000
MOST_STEPS: Final = 20
MOST_SEEN: Final = 200


@dataclass(frozen=True, slots=True)
class Seen:
    """Who saw what unmasked: the actor as the record knows them, where, what, how often, and on which day last."""

    actor: str
    connection: str
    name: str
    count: int
    last: date


def count_up(steps: int = MOST_STEPS, step: int = STEP) -> int:
    """Count on from where it stopped, at most so many steps of so many entries; return how many are left."""
    for _ in range(steps):
        left = _count(step)
        if left <= 0:
            return 0
    return behind()


def behind() -> int:
    """Return how many entries of the log are not counted yet."""
    return max(0, progress.size() - _position())


def hidden_by_day(first: date) -> dict[date, Counter[str]]:
    """Return what was hidden on each day from the first on, by name."""
    found: dict[date, Counter[str]] = {}
    rows = MaskingCount.objects.filter(day__gte=first, actor="").values_list("day", "name").annotate(all=Sum("count"))
    for day, name, count in rows.order_by("day", "name"):
        found.setdefault(day, Counter())[name] = count
    return found


def seen(first: date) -> Sequence[Seen]:
    """Return who saw what unmasked from the first day on, the most often first."""
    rows = MaskingCount.objects.filter(day__gte=first).exclude(actor="").values_list("actor", "connection", "name")
    found = rows.annotate(all=Sum("count"), last=Max("day")).order_by("-all", "actor", "connection", "name")
    return [Seen(*row) for row in found[:MOST_SEEN]]


def recount() -> None:
    """Forget all counts; they are counted again from the record."""
    with transaction.atomic():
        MaskingProgress.objects.update(position=0)
        MaskingCount.objects.all().delete()


def _position() -> int:
    row = MaskingProgress.objects.filter(pk=1).first()
    return 0 if row is None else row.position


def _count(step: int) -> int:
    """Count one step; return how many entries are left after it, 0 also where another process counts."""
    MaskingProgress.objects.get_or_create(pk=1)
    size, first = progress.size(), _position()
    last = min(size, first + step)
    if last <= first:
        return 0
    counts: Counter[tuple[date, str, str, str]] = Counter()
    for one in progress.masking_counts(first, last):
        for name, count in one.masked.items():
            counts[one.day, one.connection, "", name] += count
        for name, count in one.exposed.items():
            counts[one.day, one.connection, one.actor, name] += count
    with transaction.atomic():
        if MaskingProgress.objects.filter(pk=1, position=first).update(position=last) != 1:
            return 0
        for key, count in sorted(counts.items()):
            _add(key, count)
    return size - last


def _add(key: tuple[date, str, str, str], count: int) -> None:
    fields = dict(zip(("day", "connection", "actor", "name"), (*key[:3], key[3][:200]), strict=True))
    if not MaskingCount.objects.filter(**fields).update(count=F("count") + count):
        MaskingCount.objects.create(**fields, count=count)


def first_day(today: date, days: int) -> date:
    """Return the first of so many days that end today."""
    return today - timedelta(days=days - 1)
