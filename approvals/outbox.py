"""The outbox: who is to be told of an approval request, written in the transaction that changes it, sent afterwards.

A message says which request, what happened and where to; whoever sends it reads the request at that moment. So nothing
that is waiting here holds arguments or secrets, and a late message tells what is true now. It goes out at least once:
a worker that dies while it sends lets go of its lease after `LEASE`, and somebody else sends again.
"""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from django.db.models import Exists, F, OuterRef

from approvals.database import database_now
from approvals.models import ApprovalRequest, OutboundMessage
from approvals.notices import routes
from approvals.rules.emergency import BROKEN
from sessions.events import Event

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from django.db.models import QuerySet

    from approvals.runtime import Runtime

log = logging.getLogger("holdgate.outbox")

# Longer than any sender may take, all its time-outs added up.
LEASE = timedelta(seconds=60)
MAX_ATTEMPTS = 15
LONGEST_PAUSE = 3600.0
BATCH = 100
ALARMS = frozenset({BROKEN, "reviewed"})
KEPT = timedelta(days=90)
QUEUED, SENT, DEAD = OutboundMessage.Status.QUEUED, OutboundMessage.Status.SENT, OutboundMessage.Status.DEAD
SKIPPED = OutboundMessage.Status.SKIPPED


@dataclass(frozen=True, slots=True)
class Sent:
    """The channel took the message; `ref` is what it is known by there, to be edited or answered to later."""

    ref: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Retry:
    """Not now: try again after so many seconds, or later. The reason is shown to operators and holds no secret."""

    reason: str
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Dead:
    """Never: the route is wrong, or the channel refuses the message for good."""

    reason: str


@dataclass(frozen=True, slots=True)
class Skip:
    """Not needed: nobody has to be told of this by this channel, or not any more."""

    reason: str


Delivery = Sent | Retry | Dead | Skip


class Sender(Protocol):
    """What sends the messages of one channel. It raises nothing that it can foresee, and has time-outs of its own."""

    def __call__(self, message: OutboundMessage, runtime: Runtime) -> Delivery: ...


def enqueue(request: ApprovalRequest, event: str) -> None:
    """Write one message for each route of the request, and for each that was told of it, in this thread's transaction.

    Called for every transition by `services.move`; for what is no transition (asked, voted, reminded) by who does it.
    """
    now = database_now()
    OutboundMessage.objects.bulk_create(
        OutboundMessage(
            channel=channel, target=target, approval=request.pk, event=event, created_at=now, next_attempt_at=now
        )
        for channel, target in dict.fromkeys([*routes_of(request, event), *_told_of(request)])
    )


def _told_of(request: ApprovalRequest) -> Sequence[tuple[str, str]]:
    """Return the routes that were told of a request although its rule does not name them: the fallback's.

    Who has heard that something waits must hear what came of it, also when the rule's own routes work again.
    """
    rows = OutboundMessage.objects.filter(approval=request.pk).order_by("channel", "target")
    return list(rows.values_list("channel", "target").distinct())


def routes_of(request: ApprovalRequest, event: str) -> Sequence[tuple[str, str]]:
    """Return channel and target of each route that the request's rule names, as `notify` stood when it was asked.

    A request that a grant approved asks nobody, so nobody is told of it. Of an approval in an emergency, and of its
    review, the rule's routes for alarms hear as well.
    """
    if request.grant_id is not None:
        return ()
    found = [next(iter(route.items())) for route in request.terms.get("notify", ())]
    if event in ALARMS and request.emergency is not None:
        found += request.emergency.notify
    return [*dict.fromkeys((str(channel), str(target)) for channel, target in found)]


def due(limit: int = BATCH) -> list[str]:
    """Return the ids of messages to be sent now: one at a time for each request and route, in the order written."""
    now = database_now()
    resting = routes.resting().filter(channel=OuterRef("channel"), target=OuterRef("target"))
    rows = _in_turn(now).exclude(Exists(resting)).order_by("next_attempt_at", "id")
    return list(rows.values_list("id", flat=True)[:limit])


def _in_turn(now: datetime) -> QuerySet[OutboundMessage]:
    earlier = OutboundMessage.objects.filter(
        approval=OuterRef("approval"),
        subject=OuterRef("subject"),
        channel=OuterRef("channel"),
        target=OuterRef("target"),
        status=QUEUED,
        id__lt=OuterRef("id"),
    )
    return OutboundMessage.objects.filter(~Exists(earlier), status=QUEUED, next_attempt_at__lte=now)


def deliver(runtime: Runtime, message_id: str, senders: Mapping[str, Sender]) -> bool:
    """Send one message if it is due and nobody else has it; say whether it was ours to send.

    What came of it is kept and recorded. A sender that fails in a way it did not foresee counts as one to try again.
    """
    waiting = _in_turn(database_now()).filter(pk=message_id).first()
    if waiting is None or not routes.may_try(waiting.channel, waiting.target):
        return False
    message = _lease(message_id)
    if message is None:
        return False
    started = time.monotonic()
    delivery = _attempt(message, runtime, senders)
    if isinstance(delivery, Retry) and message.attempts >= MAX_ATTEMPTS:
        delivery = Dead(f"given up after {MAX_ATTEMPTS} attempts: {delivery.reason}")
    _observe(runtime, message, delivery, time.monotonic() - started)
    _settle(runtime, message, delivery)
    return True


def _attempt(message: OutboundMessage, runtime: Runtime, senders: Mapping[str, Sender]) -> Delivery:
    sender = senders.get(message.channel)
    if sender is None:
        return Dead(f"this gateway has no channel {message.channel}")
    try:
        return sender(message, runtime)
    except Exception as error:  # noqa: BLE001 - nothing is let through, and its text may quote a token or an address
        log.error("the sender of %s failed: %s", message.channel, type(error).__name__)
        return Retry(type(error).__name__)


def _observe(runtime: Runtime, message: OutboundMessage, delivery: Delivery, seconds: float) -> None:
    """Keep how the route fared. Where it is dead, or has failed for a while, the fallback is told instead."""
    match delivery:
        case Skip():
            routes.let_try(message.channel, message.target)
        case Sent(ref):
            routes.attempted(message, "sent", f"answered {ref['status']}" if "status" in ref else "", seconds=seconds)
        case Retry(reason, after):
            routes.attempted(message, "retry", reason, after=after, seconds=seconds)
        case Dead(reason):
            routes.attempted(message, "dead", reason, seconds=seconds)
    if isinstance(delivery, Dead) or (isinstance(delivery, Retry) and message.attempts == routes.PATIENCE):
        routes.fall_back(message, runtime.policies.reload().policy.config.channels.fallback)


def _lease(message_id: str) -> OutboundMessage | None:
    now = database_now()
    # The route's rest is no matter here: whoever was let try has just taken it.
    mine = _in_turn(now).filter(pk=message_id)
    if mine.update(attempts=F("attempts") + 1, next_attempt_at=now + LEASE) != 1:
        return None
    return OutboundMessage.objects.get(pk=message_id)


def _settle(runtime: Runtime, message: OutboundMessage, delivery: Delivery) -> None:
    """Keep what came of an attempt, unless somebody else has the message by now."""
    now = database_now()
    changes: dict[str, Any]
    match delivery:
        case Sent(ref):
            changes = {"status": SENT, "ref": dict(ref), "sent_at": now, "error": ""}
        case Retry(reason, after):
            pause = timedelta(seconds=max(after, _pause(message.attempts)))
            changes = {"next_attempt_at": now + pause, "error": reason[:300]}
        case Skip(reason):
            changes = {"status": SKIPPED, "error": reason[:300]}
        case Dead(reason):
            changes = {"status": DEAD, "error": reason[:300]}
            log.error("a notification by %s cannot be sent: %s", message.channel, reason[:300])

    def work() -> tuple[None, Sequence[Event]]:
        ours = OutboundMessage.objects.filter(pk=message.pk, status=QUEUED, attempts=message.attempts)
        settled = ours.update(**changes) == 1 and not isinstance(delivery, Retry)
        return None, [entry(runtime, message, changes["status"])] if settled else []

    runtime.journal.transact_now(work)


def _pause(attempts: int) -> float:
    """Return seconds before the next attempt: twice as long each time, and never the same for two messages."""
    return min(LONGEST_PAUSE, 2.0**attempts) * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, guards nothing


def entry(runtime: Runtime, message: OutboundMessage, status: str, *, actor: str = "") -> Event:
    """Return the entry `notification.<status>` of a message; `actor` is the pseudonym of who did it, if anybody did."""
    request = ApprovalRequest.objects.filter(pk=message.approval).first()
    snapshot = runtime.policies.reload()
    return Event(
        kind=f"notification.{status}",
        call_id=request.call_id if request else "",
        session=request.session if request else "",
        connection=request.connection if request else "",
        actor=actor,
        policy_revision=snapshot.revision,
        policy_digest=snapshot.digest,
        facts={
            "approval": message.approval,
            **({"subject": message.subject} if message.subject else {}),
            "message": message.pk,
            "channel": message.channel,
            "about": message.event,
            "attempts": message.attempts,
        },
    )


def forget_old() -> int:
    """Delete messages of long ago that are settled; return how many."""
    settled = OutboundMessage.objects.filter(created_at__lte=database_now() - KEPT).exclude(status=QUEUED)
    return settled.delete()[0]
