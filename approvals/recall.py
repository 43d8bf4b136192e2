"""Between the asking and the running: the requester brings it to mind, an approver takes the approval back.

Like every transition these are compare-and-set, and stand in one transaction with their record entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import Q

from approvals import keys, outbox
from approvals.database import database_now
from approvals.eligibility import has_asked
from approvals.entries import approval_entry
from approvals.models import ApprovalRequest
from approvals.selectors import may_decide
from approvals.services import MAX_COMMENT, Decided, NotEligible, NotFound, TooLate, move, switched_off
from approvals.standing import roles_of
from approvals.states import Status
from approvals.ties import retied

if TYPE_CHECKING:
    from collections.abc import Sequence

    from approvals.policy import Policy
    from approvals.runtime import Runtime
    from approvals.verdicts import Caller
    from sessions.events import Event

NUDGE_EVERY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Nudged:
    """Everybody who was told of the request is told that it still waits."""

    request: ApprovalRequest


@dataclass(frozen=True, slots=True)
class TooSoon:
    """It was asked, or brought to mind, a moment ago; from `at` on it may be again."""

    at: datetime


def nudge_from(request: ApprovalRequest) -> datetime:
    """Return from when on the requester may bring a pending request to mind."""
    return (request.nudged_at or request.created_at) + NUDGE_EVERY


def nudge(runtime: Runtime, *, approval_id: str, caller: Caller) -> Nudged | TooSoon | TooLate | NotFound:
    """Bring a pending request to people's minds, for the one who asked or the person behind them.

    Raises RecordUnavailable when it could not be recorded; then nobody is told either.
    """

    def work() -> tuple[Nudged | TooSoon | TooLate | NotFound, Sequence[Event]]:
        request = ApprovalRequest.objects.filter(pk=approval_id).first()
        snapshot = runtime.policies.reload()
        if request is None or not has_asked(request, retied(caller, snapshot.policy)):
            return NotFound(), ()
        now = database_now()
        rows = ApprovalRequest.objects.filter(pk=request.pk, status=Status.PENDING, expires_at__gt=now)
        rested = Q(nudged_at=None, created_at__lte=now - NUDGE_EVERY) | Q(nudged_at__lte=now - NUDGE_EVERY)
        moved = rows.filter(rested).update(nudged_at=now)
        request.refresh_from_db()
        if not moved:
            return TooSoon(nudge_from(request)) if rows.exists() else TooLate(request), ()
        outbox.enqueue(request, "nudged")
        return Nudged(request), [approval_entry(request, "nudged", snapshot, actor=keys.actor(caller.key))]

    return runtime.journal.transact_now(work)


def revoke(
    runtime: Runtime, *, approval_id: str, person: Caller, comment: str = "", via: str
) -> Decided | TooLate | NotEligible | NotFound:
    """Take an approval back before it runs: for who approved it, who may decide it, and admins.

    Its caller hears the comment. Raises RecordUnavailable when it could not be committed, see `services.unrecorded`.
    """

    def work() -> tuple[Decided | TooLate | NotEligible | NotFound, Sequence[Event]]:
        request = ApprovalRequest.objects.filter(pk=approval_id).first()
        if request is None:
            return NotFound(), ()
        snapshot = runtime.policies.reload()
        if reason := may_not_revoke(request, retied(person, snapshot.policy), snapshot.policy):
            return NotEligible(reason), ()
        now, said = database_now(), snapshot.outlet(request.connection).text(comment.strip())[:MAX_COMMENT]
        by = {"ended_by": person.display[:200], "ended_comment": said}
        moved = move(request.pk, Status.APPROVED, Status.REVOKED, ended_at=now, **by)
        request.refresh_from_db()
        if not moved:
            return TooLate(request), ()
        actor = keys.actor(person.key)
        return Decided(request), [approval_entry(request, "revoked", snapshot, actor=actor, comment=said, via=via)]

    outcome = runtime.journal.transact_now(work)
    runtime.waiting.hint([approval_id])
    return outcome


def may_not_revoke(request: ApprovalRequest, caller: Caller, policy: Policy) -> str:
    """Return in plain words why this caller, whose ties are known, may not take the approval back; empty if they may.

    Taking back is the safe direction: who approved may do so also when they may not decide any more.
    """
    if reason := switched_off(caller):
        return reason
    if caller.kind == "person":
        accounts = caller.ties.accounts if caller.ties else {caller.key}
        voted = any(f"{vote.iss}|{vote.sub}" in accounts for vote in request.votes.filter(decision="approve"))
        if voted or "admin" in roles_of(caller, policy):
            return ""
    return may_decide(request, caller, policy)
