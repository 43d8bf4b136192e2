"""How the record stands now: how fresh its proof is, how far the anchor follows, and what a stretch of days holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Count, Min

from sessions import logstore, store
from sessions.anchors import AnchorBroken, FileAnchor
from sessions.events import ENDS, INTENT
from sessions.models import Entry

# The sequencer works every second; so much later something is wrong.
LATE: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Proof:
    """Entries under a signed checkpoint, the newest of them, what waits since when, and what the anchor holds."""

    signed: int
    newest: datetime | None
    waiting: int
    waiting_since: datetime | None
    anchored: int
    anchor_problem: str

    def gaps(self, now: datetime) -> list[str]:
        """Return what an operator must look at, in words; nothing when the proof keeps up."""
        found = []
        if self.waiting_since is not None and now - self.waiting_since > LATE:
            found.append(f"{self.waiting} entries have waited for their place in the log for more than a minute")
        if self.anchor_problem:
            found.append(self.anchor_problem)
        elif self.anchored < self.signed:
            found.append(f"the anchor holds {self.anchored} of {self.signed} signed entries")
        elif self.anchored > self.signed:
            found.append(f"the database holds less than its anchor: {self.signed} of {self.anchored} entries")
        return found


def proof(anchor: FileAnchor) -> Proof:
    """Return how the proof of the record stands. The anchor is read first: what it holds was committed before."""
    problem, anchored = "", 0
    try:
        anchored = anchor.latest_size()
    except AnchorBroken as error:
        problem = str(error)
    signed = logstore.signed_size(store.current())
    newest = Entry.objects.filter(place__log_index=signed - 1).values_list("ts", flat=True).first() if signed else None
    unplaced = Entry.objects.filter(place=None, id__gt=logstore.state(store.current()).low_water)
    told = unplaced.aggregate(waiting=Count("id"), since=Min("ts"))
    return Proof(signed, newest, told["waiting"], told["since"], anchored, problem)


def counted(since: datetime) -> Mapping[str, int]:
    """Return how many entries of each kind there are since a moment."""
    rows = Entry.objects.filter(ts__gte=since).values_list("kind").annotate(number=Count("id")).order_by("kind")
    return dict(rows)


def begun_and_ended(kinds: Mapping[str, int]) -> tuple[int, int]:
    """Return how many calls were forwarded, and how many of those have an end."""
    return kinds.get(INTENT, 0), sum(kinds.get(kind, 0) for kind in ENDS)
