"""Each delivery from Slack once. One that was begun and not done, because its process died, may come again."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from approvals.database import database_now
from approvals.slack.models import SlackDelivery

if TYPE_CHECKING:
    from collections.abc import Iterator

# Longer than anybody works on one, and shorter than Slack's signature counts.
BUSY: Final = timedelta(seconds=30)
# Signatures count for five minutes; a redelivery by Socket Mode has no such limit, and none comes so late.
KEPT: Final = timedelta(days=1)


@contextmanager
def once(digest: str) -> Iterator[bool]:
    """Say whether this delivery is to be worked on; it counts as done when the block ends without an error."""
    now = database_now()
    made = SlackDelivery.objects.bulk_create([SlackDelivery(digest=digest, received_at=now)], ignore_conflicts=True)
    mine = bool(made) and SlackDelivery.objects.filter(pk=digest, received_at=now).exists()
    if not mine:
        left = SlackDelivery.objects.filter(pk=digest, done_at=None, received_at__lt=now - BUSY)
        mine = left.update(received_at=now) == 1
    yield mine
    if mine:
        SlackDelivery.objects.filter(pk=digest).update(done_at=database_now())


def forget_old() -> int:
    """Delete deliveries that cannot come again; return how many."""
    return SlackDelivery.objects.filter(received_at__lt=database_now() - KEPT).delete()[0]
