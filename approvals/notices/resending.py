"""What an operator does about a route: send a test by it, or a message again. Both are recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Q

from approvals import keys, outbox
from approvals.database import database_now
from approvals.models import OutboundMessage
from approvals.notices import routes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from approvals.runtime import Runtime
    from approvals.verdicts import Caller
    from sessions.events import Event

# What was given up may be sent again by any route; what was sent, only where a repeated one is known by its id.
AGAIN = Q(status=OutboundMessage.Status.DEAD) | Q(status=OutboundMessage.Status.SENT, channel="webhook")


def send_test(runtime: Runtime, channel: str, target: str, *, caller: Caller) -> OutboundMessage:
    """Send a test by a route, at once whatever the route did before. Raises RecordUnavailable."""

    def work() -> tuple[OutboundMessage, Sequence[Event]]:
        message = routes.write_test(channel, target)
        return message, [outbox.entry(runtime, message, "tested", actor=keys.actor(caller.key))]

    return runtime.journal.transact_now(work)


def send_again(runtime: Runtime, message_id: str, *, caller: Caller) -> bool:
    """Send a message again, under the same id; say whether it is one that can be. Raises RecordUnavailable."""

    def work() -> tuple[bool, Sequence[Event]]:
        rows = OutboundMessage.objects.filter(AGAIN, pk=message_id)
        queued = {"status": OutboundMessage.Status.QUEUED, "attempts": 0, "error": ""}
        if rows.update(**queued, next_attempt_at=database_now()) != 1:
            return False, []
        message = OutboundMessage.objects.get(pk=message_id)
        routes.let_try(message.channel, message.target)
        return True, [outbox.entry(runtime, message, "sent_again", actor=keys.actor(caller.key))]

    return runtime.journal.transact_now(work)
