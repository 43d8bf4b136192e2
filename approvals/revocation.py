"""Taking back what was granted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from approvals import grants, keys
from approvals.database import database_now
from approvals.eligibility import has_asked
from approvals.entries import approval_entry
from approvals.memory import Grant
from approvals.models import ApprovalRequest
from approvals.selectors import visible_to
from approvals.services import move
from approvals.standing import roles_of
from approvals.states import Status
from approvals.ties import tied

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from approvals.policy import Policy
    from approvals.publication import Snapshot
    from approvals.runtime import Runtime
    from approvals.verdicts import Caller
    from sessions.events import Event


@dataclass(frozen=True, slots=True)
class Revoked:
    """It is taken back, now or before."""

    grant: Grant


@dataclass(frozen=True, slots=True)
class NotYours:
    """This caller may not take it back."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """There is no such grant, or none that this caller may see."""


def why_not(request: ApprovalRequest, caller: Caller, policy: Policy) -> str:
    """Return in plain words why this caller may not take back what was granted on this request; empty when they may.

    Giving up rights needs less than giving them: whoever has approved, could approve, asked for it, or is an admin.
    """
    if has_asked(request, tied(caller, policy)):
        return ""
    entitled = caller.groups & request.quorum.groups or "admin" in roles_of(caller, policy)
    approved = request.votes.filter(iss=caller.iss, sub=caller.sub, decision="approve").exists()
    if caller.kind == "person" and (entitled or approved):
        return ""
    return "Only who approved it, could approve it, asked for it, or is an admin can take it back."


def revoke_grant(runtime: Runtime, *, grant_id: str, caller: Caller) -> Revoked | NotYours | Unknown:
    """End a grant, and every call that it let through and that has not begun to run. Raises RecordUnavailable."""

    def work() -> tuple[Revoked | NotYours | Unknown, Sequence[Event]]:
        snapshot, now = runtime.policies.reload(), database_now()
        seen = visible_to(caller, snapshot.policy)
        grant = Grant.objects.select_related("request").filter(pk=grant_id, request__in=seen).first()
        if grant is None:
            return Unknown(), ()
        if reason := why_not(grant.request, caller, snapshot.policy):
            return NotYours(reason), ()
        # First the grant: who is just using it has committed by then, and their request is found below.
        ended = Grant.objects.filter(pk=grant.pk, revoked_at=None, expired_at=None)
        events: list[Event] = []
        if ended.update(revoked_at=now, revoked_by=caller.key) == 1:
            actor = keys.actor(caller.key)
            events.append(
                grants.entry(grant, grant.request, "revoked", snapshot, actor=actor, facts={"uses": grant.uses})
            )
            events.extend(_take_back(grant, snapshot, actor, now))
        grant.refresh_from_db()
        return Revoked(grant), events

    outcome = runtime.journal.transact_now(work)
    if isinstance(outcome, Revoked):
        runtime.waiting.hint(list(outcome.grant.covered.values_list("id", flat=True)))
    return outcome


def _take_back(grant: Grant, snapshot: Snapshot, actor: str, now: datetime) -> list[Event]:
    """Revoke the calls that the grant approved and that nobody has begun to run."""
    return [
        approval_entry(request, "revoked", snapshot, actor=actor, grant=grant.pk)
        for request in ApprovalRequest.objects.filter(grant=grant, status=Status.APPROVED)
        if move(request.pk, Status.APPROVED, Status.REVOKED, ended_at=now)
    ]
