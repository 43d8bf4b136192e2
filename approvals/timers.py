"""What time does to approval requests: they expire, lapse, are brought to mind again, and more groups join.

All of it stands in columns and is found by a sweep, by the database's clock. The sweep is safe to run anywhere, at any
time, twice: each row moves by compare-and-set. After a decision nothing of it happens any more.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import F, Q, QuerySet

from approvals import grants, hints, outbox
from approvals.database import database_now
from approvals.entries import approval_entry
from approvals.models import ApprovalRequest
from approvals.services import move
from approvals.states import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from approvals.publication import Snapshot
    from approvals.runtime import Runtime
    from sessions.events import Event

SWEEP_BATCH = 200


def run_due(runtime: Runtime) -> int:
    """Expire what nobody decided, lapse what nobody collected, remind and escalate; return for how many requests."""
    done = 0
    if _overdue(now := database_now()).exists() or _kept_too_long(now).exists():
        done += _act(runtime, _end)
    if _prompted(now).exists():
        done += _act(runtime, _prompt)
    if grants.due(now).exists():
        done += _act(runtime, _end_grants)
    return done


def _act(runtime: Runtime, work: Callable[[datetime, Snapshot], tuple[list[str], list[Event]]]) -> int:
    def transaction() -> tuple[list[str], Sequence[Event]]:
        return work(database_now(), runtime.policies.reload())

    moved = runtime.journal.transact_now(transaction)
    runtime.waiting.hint(moved)
    return len(moved)


def _overdue(now: datetime) -> QuerySet[ApprovalRequest]:
    return ApprovalRequest.objects.filter(_is_overdue(now))


def _is_overdue(now: datetime) -> Q:
    return Q(status=Status.PENDING, expires_at__lte=now) | Q(status=Status.APPROVED, execute_by__lte=now)


def _kept_too_long(now: datetime) -> QuerySet[ApprovalRequest]:
    return ApprovalRequest.objects.filter(result_until__lte=now, result__isnull=False)


def _prompted(now: datetime) -> QuerySet[ApprovalRequest]:
    return ApprovalRequest.objects.filter(status=Status.PENDING, next_action_at__lte=now, expires_at__gt=now)


def _end(now: datetime, snapshot: Snapshot) -> tuple[list[str], list[Event]]:
    moved, events = [], []
    for request in _overdue(now)[:SWEEP_BATCH]:
        old = Status(request.status)
        new = Status.EXPIRED if old is Status.PENDING else Status.LAPSED
        if move(request.pk, old, new, _is_overdue(now), ended_at=now):
            moved.append(request.pk)
            events.append(approval_entry(request, new.value, snapshot))
    _kept_too_long(now).update(result=None)
    return moved, events


def _end_grants(now: datetime, snapshot: Snapshot) -> tuple[list[str], list[Event]]:
    events = grants.expire(snapshot, now)
    return [str(event.facts["approval"]) for event in events], events


def _prompt(now: datetime, snapshot: Snapshot) -> tuple[list[str], list[Event]]:
    prompted, events = [], []
    for request in _prompted(now)[:SWEEP_BATCH]:
        if said := _prompt_one(request, now, snapshot):
            prompted.append(request.pk)
            events += said
    return prompted, events


def _prompt_one(request: ApprovalRequest, now: datetime, snapshot: Snapshot) -> list[Event]:
    """Catch up with all that is due for one request: every escalation, but one reminder however many were missed."""
    timetable, began = request.timetable, (request.reminded, request.escalated)
    reminded, escalated = timetable.due((now - request.created_at).total_seconds())
    after = timetable.next_after(reminded, escalated)
    fields: dict[str, Any] = {
        "reminded": reminded,
        "escalated": escalated,
        "next_action_at": None if after is None else request.created_at + timedelta(seconds=after),
    }
    joined = timetable.escalations[request.escalated : escalated]
    if joined:  # a reminder changes nothing that a person who is about to decide has before them
        fields["version"] = F("version") + 1
    unmoved = _prompted(now).filter(pk=request.pk, reminded=began[0], escalated=began[1])
    if unmoved.update(**fields) != 1:
        return []
    if joined:
        hints.changed(request.pk)
    events = [approval_entry(request, "escalated", snapshot, groups=list(step.groups)) for step in joined]
    if reminded > began[0]:
        events.append(approval_entry(request, "reminded", snapshot, number=reminded))
    for event in events:
        outbox.enqueue(request, event.kind.removeprefix("approval."))
    return events
