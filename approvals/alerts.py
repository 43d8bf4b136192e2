"""Alerts of the house: that a publication loosens something, or waits for a second admin.

They go to the routes of `channels.alerts`, those of the configuration before as well as those of the one that comes:
who takes a route away is told of by that route. Written in the transaction that publishes, sent by the outbox.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from approvals.database import database_now
from approvals.models import OutboundMessage

if TYPE_CHECKING:
    from approvals.config.schema import Config

LOOSENED: Final = "policy.loosened"
PROPOSED: Final = "policy.proposed"


def of_revision(number: int, before: Config, now: Config) -> None:
    """Tell of a revision that is looser than the one before."""
    _enqueue(LOOSENED, f"revision/{number}", before, now)


def of_proposal(proposal: str, now: Config, wanted: Config) -> None:
    """Tell of a proposal that waits for a second admin."""
    _enqueue(PROPOSED, f"proposal/{proposal}", now, wanted)


def _enqueue(event: str, subject: str, *configs: Config) -> None:
    routes = dict.fromkeys((route.channel, route.target) for one in configs for route in one.channels.alerts)
    now = database_now()
    OutboundMessage.objects.bulk_create(
        OutboundMessage(
            channel=channel, target=target, event=event, subject=subject, created_at=now, next_attempt_at=now
        )
        for channel, target in routes
    )
