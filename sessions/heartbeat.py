"""An entry of an idle log, so that it goes on being signed and anchored: silence then means that something is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sessions.events import Event
from sessions.models import Entry

ALIVE: Final = "log.alive"


def is_due(now: datetime, seconds: float) -> bool:
    """Say whether the newest entry is older than so many seconds; `now` is the database's clock."""
    newest = Entry.objects.order_by("-id").values_list("ts", flat=True).first()
    return newest is None or now - newest >= timedelta(seconds=seconds)


def work(now: datetime, seconds: float) -> tuple[None, Sequence[Event]]:
    """Return the entry when it is due: for `Journal.transact`, so that of several processes one writes it."""
    return None, [Event(kind=ALIVE)] if is_due(now, seconds) else []
