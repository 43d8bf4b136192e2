"""How the record stands now: how fresh its proof is, how far the anchor follows, and what a stretch of days holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Count, Exists, Min, OuterRef

from sessions import logstore, store
from sessions.anchors import AnchorBroken, FileAnchor
from sessions.calls import HELD
from sessions.events import ENDS, INTENT
from sessions.evidence.gwverify.populations import CALL_KINDS, population_of
from sessions.models import Entry, OpenCall, RecordedCall
from sessions.progress import waits_since

# The sequencer works every second; so much later something is wrong.
LATE: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Proof:
    """Entries under a signed checkpoint, the newest of them, what waits since when, and what the anchor holds.

    `last_entry` and `last_call` are when something, and when a call, was written down last.
    """

    signed: int
    newest: datetime | None
    waiting: int
    waiting_since: datetime | None
    anchored: int
    anchor_problem: str
    anchored_newest: datetime | None = None
    last_entry: datetime | None = None
    last_call: datetime | None = None

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


def alarms(anchor: FileAnchor, now: datetime) -> list[str]:
    """Return one sentence for each thing about the proof that somebody must look at. Cheap: every page may ask.

    What whoever signs has not done within a minute is one; what is only on its way is none.
    """
    connection = store.current()
    since = waits_since(connection)
    found = [] if since is None or now - since <= LATE else ["the log has not been extended for more than a minute"]
    try:
        anchored = anchor.latest_size()
    except AnchorBroken as error:
        return [*found, str(error)]
    # Read after the anchor, which holds only what was committed before.
    signed = logstore.signed_size(connection)
    if anchored > signed:
        found.append(f"the database holds less than its anchor: {signed} of {anchored} entries")
    elif (oldest := _at(anchored + 1) if anchored < signed else None) is not None and now - oldest > LATE:
        found.append(f"the anchor holds {anchored} of {signed} signed entries")
    return found


def proof(anchor: FileAnchor) -> Proof:
    """Return how the proof of the record stands. The anchor is read first: what it holds was committed before."""
    problem, anchored = "", 0
    try:
        anchored = anchor.latest_size()
    except AnchorBroken as error:
        problem = str(error)
    signed = logstore.signed_size(store.current())
    unplaced = Entry.objects.filter(place=None, id__gt=logstore.state(store.current()).low_water)
    told = unplaced.aggregate(waiting=Count("id"), since=Min("ts"))
    last = Entry.objects.order_by("-id").values_list("ts", flat=True).first()
    return Proof(
        signed, _at(signed), told["waiting"], told["since"], anchored, problem, _at(anchored), last, _last_call()
    )


def _at(size: int) -> datetime | None:
    """When the newest of so many entries of the log was written."""
    return Entry.objects.filter(place__log_index=size - 1).values_list("ts", flat=True).first() if size else None


def _last_call() -> datetime | None:
    # Not by the time of all entries: an index says which call was begun last.
    return RecordedCall.objects.order_by("-id").values_list("at", flat=True).first()


def counted(since: datetime) -> Mapping[str, int]:
    """Return how many entries of each kind there are since a moment."""
    rows = Entry.objects.filter(ts__gte=since).values_list("kind").annotate(number=Count("id")).order_by("kind")
    return dict(rows)


def begun_and_ended(kinds: Mapping[str, int]) -> tuple[int, int]:
    """Return how many calls were forwarded, and how many of those have an end."""
    return kinds.get(INTENT, 0), sum(kinds.get(kind, 0) for kind in ENDS)


def counted_tables(kinds: Mapping[str, int]) -> Mapping[str, int]:
    """Return how many rows each table of a bundle would have, for these numbers of entries by kind."""
    found: Counter[str] = Counter()
    for kind, number in kinds.items():
        found[population_of(kind)] += number
    found["calls"] = sum(kinds.get(kind, 0) for kind in CALL_KINDS if kind != HELD)
    found["approvals"] = kinds.get(HELD, 0)
    return found


def ends_without_intent(newest: int = 1000) -> tuple[int, int]:
    """Return of the newest ends of forwarded calls: how many were looked at, and how many have no intent."""
    ends = Entry.objects.filter(kind__in=ENDS).order_by("-id").values_list("call_id", flat=True)[:newest]
    calls = set(ends)
    begun = Entry.objects.filter(kind=INTENT, call_id__in=calls).values_list("call_id", flat=True)
    return len(calls), len(calls - set(begun))


def ran_twice(since: datetime) -> int:
    """Return how many calls that people decided on were forwarded more than once under one approval."""
    held = Entry.objects.filter(kind=HELD, ts__gte=since).values("call_id")
    runs = Entry.objects.filter(kind=INTENT, call_id__in=held).values("call_id").annotate(runs=Count("id"))
    return runs.filter(runs__gt=1).count()


def voted_on_own(since: datetime) -> int:
    """Return how many counted votes are of who made the request."""
    asked = Entry.objects.filter(kind=HELD, call_id=OuterRef("call_id"), actor=OuterRef("actor")).exclude(actor="")
    return Entry.objects.filter(kind="approval.voted", ts__gte=since).filter(Exists(asked)).count()


def never_ended(now: datetime) -> int:
    """Return how many forwarded calls have been without an end for longer than they may be."""
    return OpenCall.objects.filter(recover_after__lt=now - LATE).count()
