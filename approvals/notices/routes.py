"""The health of routes: what came of each attempt is kept, and a route that fails rests.

A route that failed is tried again by one message at a time, after a rest that grows with each failure: so one that
hangs takes one worker now and then, and delays nobody else.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce

from approvals.database import database_now
from approvals.models import OutboundMessage
from approvals.notices.models import Attempt, RouteState
from approvals.notices.notice import QUIET

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.models import QuerySet

    from approvals.config.channels import Route

LONGEST_REST: Final = 60.0
# Longer than a sender takes; whoever probes and dies keeps others off for so long.
PROBE: Final = timedelta(seconds=60)
# So many attempts fail before others are told instead and the route counts as broken: a receiver may restart.
PATIENCE: Final = 3
KEPT: Final = timedelta(days=30)


def key_of(channel: str, target: str) -> str:
    """Return the key of a route's state."""
    return f"{channel}:{target}"


def resting() -> QuerySet[RouteState]:
    """Return the routes by which nothing is sent now."""
    return RouteState.objects.filter(rests_until__gt=database_now())


def may_try(channel: str, target: str) -> bool:
    """Say whether a message may be tried by this route now; where the last one failed, one at a time may."""
    now = database_now()
    rows = RouteState.objects.filter(pk=key_of(channel, target), failures__gt=0)
    if not rows.exists():
        return True
    return rows.filter(Q(rests_until=None) | Q(rests_until__lte=now)).update(rests_until=now + PROBE) == 1


def let_try(channel: str, target: str) -> None:
    """Let the next message be tried at once, whatever the route did before."""
    RouteState.objects.filter(pk=key_of(channel, target)).update(rests_until=None)


def attempted(message: OutboundMessage, outcome: str, said: str, *, seconds: float, after: float = 0.0) -> None:
    """Keep what came of an attempt: `sent`, `retry` or `dead`. `after` is the receiver's own wish, in seconds."""
    with transaction.atomic():
        Attempt.objects.create(
            message=message.pk,
            number=message.attempts,
            at=database_now(),
            milliseconds=int(seconds * 1000),
            outcome=outcome,
            said=said[:300],
        )
        RouteState.objects.get_or_create(
            pk=key_of(message.channel, message.target),
            defaults={"channel": message.channel, "target": message.target},
        )
        if outcome == "sent":
            _works(message)
        else:
            _fails(message, outcome == "dead", said, after)


def _works(message: OutboundMessage) -> None:
    now = database_now()
    rows = RouteState.objects.filter(pk=key_of(message.channel, message.target))
    if rows.filter(failures__gt=0).exists():
        _hurry(message.channel, message.target)
    rows.update(sent=F("sent") + 1, last_sent_at=now, failures=0, is_dead=False, failing_since=None, rests_until=None)


def _hurry(channel: str, target: str) -> None:
    """Let what waits for this route go out now. Whatever a worker may have in hand keeps its lease."""
    now = database_now()
    waiting = OutboundMessage.objects.filter(channel=channel, target=target, status=OutboundMessage.Status.QUEUED)
    waiting.filter(next_attempt_at__gt=now + PROBE).update(next_attempt_at=now)


def _fails(message: OutboundMessage, for_good: bool, said: str, after: float) -> None:
    now = database_now()
    rows = RouteState.objects.filter(pk=key_of(message.channel, message.target))
    failures = rows.get().failures + 1
    # Who refuses for good answers at once and holds up nobody: it needs no rest, and may have been put right.
    rest = None if for_good else now + timedelta(seconds=max(after, min(2.0**failures, LONGEST_REST)))
    rows.update(
        failed=F("failed") + 1,
        given_up=F("given_up") + int(for_good),
        failures=failures,
        is_dead=for_good,
        failing_since=Coalesce("failing_since", now),
        last_error=said[:300],
        rests_until=rest,
    )


def fall_back(message: OutboundMessage, fallback: Iterable[Route]) -> None:
    """Tell the fallback routes of what this message was to tell, each once whatever number of routes failed."""
    if not (message.approval or message.subject) or message.event in QUIET:
        return
    now = database_now()
    for route in fallback:
        told = {
            "approval": message.approval,
            "subject": message.subject,
            "event": message.event,
            "created_at": message.created_at,  # equal for all messages of one event
            "channel": route.channel,
            "target": route.target,
        }
        if not OutboundMessage.objects.filter(**told).exists():
            OutboundMessage.objects.create(**told, next_attempt_at=now)


def write_test(channel: str, target: str) -> OutboundMessage:
    """Write a message that says that the route works, to go out at once."""
    now = database_now()
    let_try(channel, target)
    return OutboundMessage.objects.create(
        channel=channel, target=target, approval="", event="test", created_at=now, next_attempt_at=now
    )


def forget_old() -> int:
    """Delete attempts of long ago; return how many."""
    return Attempt.objects.filter(at__lte=database_now() - KEPT).delete()[0]
