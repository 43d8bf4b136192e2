"""Streams follow the log: from where each stands, in order, at least once, one process at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from django.db.models import Q

from approvals import keys
from approvals.database import database_now
from approvals.outbox import Dead, Retry
from approvals.searching import Unfit, moment
from approvals.streams import places
from approvals.streams.forms import Placed
from approvals.streams.models import StreamProgress
from sessions import leaf as leaves
from sessions import progress
from sessions.events import Event, Fact
from sessions.models import Entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from approvals.config.schema import Config
    from approvals.config.streams import Stream
    from approvals.runtime import Runtime
    from approvals.verdicts import Caller

BATCH: Final = 200
MOST_BATCHES: Final = 50
# Longer than a batch can take; who holds it and dies is waited for so long.
LEASE: Final = timedelta(seconds=60)
BUSY: Final = timedelta(seconds=25)
FIRST_PAUSE: Final = 5.0
LONGEST_PAUSE: Final = 300.0


class NoSuchPlace(ValueError):
    """A stream cannot be set to there; the text says why."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a stream fares: by how many entries it is behind, since how many seconds, and its last failure."""

    name: str
    stream: Stream
    position: int
    behind: int
    seconds: float
    attempts: int
    error: str
    sent_at: datetime | None

    @property
    def place(self) -> str:
        """Where it goes, in words."""
        if self.stream.file is not None:
            return f"file {self.stream.file}"
        if self.stream.syslog is not None:
            return f"syslog {self.stream.syslog.host}:{self.stream.syslog.port}"
        return f"webhook {self.stream.webhook.url}" if self.stream.webhook is not None else ""


def advance(house: Runtime, name: str) -> int:
    """Send what a stream lacks, for a while; return how many entries arrived. A new one begins with what comes now."""
    stream = house.policies.reload().policy.config.channels.streams.get(name)
    if stream is None:
        return 0
    now = database_now()
    StreamProgress.objects.get_or_create(pk=name, defaults={"position": progress.size()})
    free = Q(leased_until=None) | Q(leased_until__lt=now)
    due = Q(next_attempt_at=None) | Q(next_attempt_at__lte=now)
    lease = now + LEASE
    if not StreamProgress.objects.filter(free, due, pk=name).update(leased_until=lease):
        return 0
    # Only while the lease is ours: whoever took it over goes on from what arrived.
    ours = StreamProgress.objects.filter(pk=name, leased_until=lease)
    arrived = 0
    for _ in range(MOST_BATCHES):
        row = ours.first()
        batch = _entries(row.position) if row is not None else []
        if row is None or not batch or database_now() > now + BUSY:
            break
        outcome = places.send(name, stream, batch)
        if isinstance(outcome, Retry | Dead):
            pause = min(FIRST_PAUSE * 2**row.attempts, LONGEST_PAUSE)
            ours.update(
                attempts=row.attempts + 1, error=outcome.reason[:300],
                next_attempt_at=database_now() + timedelta(seconds=pause), leased_until=None,
            )  # fmt: skip
            return arrived
        if not ours.update(
            position=batch[-1].place + 1, attempts=0, error="", next_attempt_at=None, sent_at=database_now()
        ):
            return arrived
        arrived += len(batch)
    ours.update(leased_until=None)
    return arrived


def standings(config: Config) -> list[Standing]:
    """Return how each stream of the configuration fares."""
    rows, size, now = StreamProgress.objects.in_bulk(), progress.size(), database_now()
    return [
        _standing(name, stream, rows.get(name), size, now) for name, stream in sorted(config.channels.streams.items())
    ]


def replay(house: Runtime, person: Caller, name: str, start: str) -> int:
    """Let a stream send again from a place of the log, or from a time, on; return the place. Recorded.

    Raises NoSuchPlace, RecordUnavailable.
    """
    if name not in house.policies.reload().policy.config.channels.streams:
        raise NoSuchPlace("There is no such stream.")
    place = _place(start)

    def work() -> tuple[None, Sequence[Event]]:
        row, _ = StreamProgress.objects.get_or_create(pk=name, defaults={"position": progress.size()})
        # The lease ends too: a batch that is on its way does not move the place any more.
        StreamProgress.objects.filter(pk=name).update(
            position=place, attempts=0, error="", next_attempt_at=None, leased_until=None
        )
        current = house.policies.current
        facts: dict[str, Fact] = {"stream": name, "from": place, "was": row.position}
        return None, [
            Event(
                kind="notification.replayed",
                actor=keys.actor(person.key),
                policy_revision=current.revision,
                policy_digest=current.digest,
                facts=facts,
            )
        ]

    house.journal.transact_now(work)
    return place


def _entries(position: int) -> list[Placed]:
    rows = Entry.objects.filter(place__log_index__gte=position, place__log_index__lt=position + BATCH)
    found = rows.order_by("place__log_index").values_list("place__log_index", "leaf_hash", "leaf")
    return [Placed(index, bytes(digest).hex(), leaves.decode(bytes(leaf))) for index, digest, leaf in found]


def _standing(name: str, stream: Stream, row: StreamProgress | None, size: int, now: datetime) -> Standing:
    position = size if row is None else row.position
    oldest = Entry.objects.filter(place__log_index=position).values_list("ts", flat=True).first()
    seconds = max(0.0, (now - oldest).total_seconds()) if oldest is not None else 0.0
    failed = (0, "", None) if row is None else (row.attempts, row.error, row.sent_at)
    return Standing(name, stream, position, max(0, size - position), seconds, *failed)


def _place(start: str) -> int:
    if start.isascii() and start.isdigit() and len(start) < 19:
        if int(start) > progress.size():
            raise NoSuchPlace(f"The log has {progress.size()} entries.")
        return int(start)
    try:
        at = moment("from", start)
    except Unfit as error:
        raise NoSuchPlace(f"It {error}, or a place of the log.") from error
    if at is None:
        raise NoSuchPlace("Say from where on: a place of the log, or a time.")
    rows = Entry.objects.filter(ts__gte=at, place__isnull=False).order_by("ts", "id")
    first = rows.values_list("place__log_index", flat=True).first()
    return progress.size() if first is None else int(first)
