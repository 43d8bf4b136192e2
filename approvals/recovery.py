"""After a crash: calls whose outcome nobody will ever report are marked unknown. Nothing is sent again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from approvals.database import database_now
from approvals.models import ApprovalRequest
from approvals.services import move
from approvals.states import LIVE, Status
from sessions.events import Event
from sessions.recovery import open_calls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from approvals.publication import Snapshot
    from approvals.runtime import Runtime
    from sessions.recovery import AbandonedCall


def recover(runtime: Runtime, *, exclusive: bool) -> int:
    """Mark as `outcome_unknown` what was interrupted between its intent and its result; return how many calls.

    `exclusive` says that no other process lives, so that every open call of another process is interrupted and nobody
    waits for the requests that it had on the line. Safe to run twice and in two processes at once.
    """
    own = runtime.journal.process_id

    def work() -> tuple[int, Sequence[Event]]:
        snapshot = runtime.policies.reload()
        calls = open_calls(now=database_now(), exclusive=exclusive, writer=own)
        if exclusive:
            live = ApprovalRequest.objects.filter(status__in=[status.value for status in LIVE])
            live.exclude(attached_to__in=["", own]).update(attached_to="")
        return len(calls), [_mark(call, snapshot) for call in calls]

    if not exclusive and not open_calls(now=database_now(), writer=own):
        return 0
    # Alone: two processes that recover at the same moment would both find the call open, and both end it.
    return runtime.journal.transact_now(work, exclusive=True)


def _mark(call: AbandonedCall, snapshot: Snapshot) -> Event:
    facts: dict[str, str] = {"executed": "unknown", "writer": call.writer}
    request = ApprovalRequest.objects.filter(call_id=call.call_id, status=Status.EXECUTING).first()
    if request is not None:
        now = database_now()
        move(request.pk, Status.EXECUTING, Status.OUTCOME_UNKNOWN, executed="unknown", ended_at=now)
        facts["approval"] = request.pk
    return Event(
        kind="call.unknown",
        call_id=call.call_id,
        session=call.leaf.session,
        connection=call.leaf.connection,
        method=call.leaf.method,
        tool=call.leaf.tool,
        actor=call.leaf.actor,
        policy_revision=snapshot.revision,
        policy_digest=snapshot.digest,
        facts=facts,
    )


def end_late(intents: Sequence[Event]) -> Sequence[Event]:
    """End calls whose intent was committed after their callers had been refused: nothing was forwarded."""
    ended = []
    for intent in intents:
        now = database_now()
        for request in ApprovalRequest.objects.filter(call_id=intent.call_id, status=Status.EXECUTING):
            move(request.pk, Status.EXECUTING, Status.FAILED, executed="false", ended_at=now)
        ended.append(
            Event(
                kind="call.abandoned",
                call_id=intent.call_id,
                session=intent.session,
                connection=intent.connection,
                method=intent.method,
                tool=intent.tool,
                actor=intent.actor,
                policy_revision=intent.policy_revision,
                policy_digest=intent.policy_digest,
                facts={"executed": "false"},
            )
        )
    return ended
