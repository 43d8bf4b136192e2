"""Approving alone in an emergency, and the review that this owes.

The rule says who may. It is never the requester, it beats no rule that denies, and everybody hears of it at once. What
it leaves is a debt that stays until a second person has looked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import F, Q

from approvals import hints, keys, outbox
from approvals.database import database_now
from approvals.eligibility import is_same_person, stood_for, why_not_alone
from approvals.entries import approval_entry
from approvals.models import ApprovalRequest, Person
from approvals.reviews import Review
from approvals.rules.emergency import BROKEN
from approvals.second_factor import SignIn, lacking
from approvals.seen import view_digest
from approvals.selectors import may_decide
from approvals.services import (
    MAX_COMMENT,
    CommentMissing,
    Decided,
    NotEligible,
    NotFound,
    Outcome,
    TooLate,
    VersionMoved,
    expire,
    is_outdated,
    move,
    remember_person,
    supersede_outdated,
    switched_off,
)
from approvals.standing import caller_of
from approvals.states import Status
from approvals.ties import retied, tied

if TYPE_CHECKING:
    from collections.abc import Sequence

    from approvals.policy import Policy
    from approvals.publication import Snapshot
    from approvals.runtime import Runtime
    from approvals.verdicts import Caller
    from sessions.events import Event


@dataclass(frozen=True, slots=True)
class Breaking:
    """One person's wish to approve alone, and what they had before them (`version` and `view`, where known)."""

    person: Caller
    reason: str
    via: str
    version: int | None = None
    view: str | None = None
    sign_in: SignIn | None = None


def break_glass(runtime: Runtime, approval_id: str, breaking: Breaking) -> Outcome:
    """Approve a pending request alone, for who may in an emergency; return what came of it.

    Raises RecordUnavailable when it could not be committed, see `services.unrecorded`.
    """

    def work() -> tuple[Outcome, Sequence[Event]]:
        # Locked before it is read, as for a vote.
        request = ApprovalRequest.objects.select_for_update().filter(pk=approval_id).first()
        if request is None:
            return NotFound(), ()
        snapshot, now = runtime.policies.reload(), database_now()
        person = retied(breaking.person, snapshot.policy)
        if reason := _may_not(request, person, breaking, snapshot.policy, now):
            return NotEligible(reason), [_refused(request, person, reason, snapshot)]
        if request.status == Status.PENDING and request.expires_at <= now:
            return expire(request, snapshot)
        if request.status == Status.PENDING and is_outdated(request, snapshot):
            return supersede_outdated(request, snapshot)
        said = snapshot.outlet(request.connection).text(breaking.reason.strip())[:MAX_COMMENT]
        if wanting := _wanting(request, breaking, said):
            return wanting, ()
        return _approve(request, person, breaking, said, snapshot, now)

    outcome = runtime.journal.transact_now(work)
    runtime.waiting.hint([approval_id])
    return outcome


def may_not_break(request: ApprovalRequest, caller: Caller, policy: Policy, *, via: str = "") -> str:
    """Return in plain words why this caller may not approve the request alone; empty when they may."""
    return why_not_alone(request, tied(caller, policy), via=via)


def unproven(request: ApprovalRequest, caller: Caller, sign_in: SignIn | None, policy: Policy, now: datetime) -> str:
    """Return why this sign-in does not do for approving alone; empty when it does, or none is asked for."""
    if request.emergency is None or request.emergency.mfa != "required":
        return ""
    issuer = next((known for known in policy.config.issuers if known.issuer == caller.iss and known.login), None)
    return lacking(sign_in, caller, issuer, now=now.timestamp(), within=settings.SECOND_FACTOR_SECONDS)


def _may_not(request: ApprovalRequest, person: Caller, breaking: Breaking, policy: Policy, now: datetime) -> str:
    return (
        why_not_alone(request, person, via=breaking.via)
        or switched_off(person)
        or unproven(request, person, breaking.sign_in, policy, now)
    )


def _wanting(request: ApprovalRequest, breaking: Breaking, said: str) -> Outcome | None:
    if request.status != Status.PENDING:
        return TooLate(request)
    if breaking.version not in {None, request.version} or breaking.view not in {None, view_digest(request)}:
        return VersionMoved(request)
    return None if said else CommentMissing("Say why this cannot wait for the people whom the rule asks.")


def _refused(request: ApprovalRequest, person: Caller, reason: str, snapshot: Snapshot) -> Event:
    actor = keys.actor(person.key)
    return approval_entry(request, "vote_refused", snapshot, actor=actor, comment=reason, decision=BROKEN)


def _approve(
    request: ApprovalRequest, person: Caller, breaking: Breaking, said: str, snapshot: Snapshot, now: datetime
) -> tuple[Outcome, Sequence[Event]]:
    remember_person(person, snapshot, now)
    execute_by = now + timedelta(seconds=request.terms["collect_within"])
    live = Q(expires_at__gt=now)
    if not move(
        request.pk, Status.PENDING, Status.APPROVED, live, decided_at=now, execute_by=execute_by, source=BROKEN
    ):
        request.refresh_from_db()
        return TooLate(request), ()
    Review.objects.create(
        request=request,
        iss=person.iss,
        sub=person.sub,
        display=person.display[:200],
        reason=said,
        via=breaking.via,
        opened_at=now,
    )
    outbox.enqueue(request, BROKEN)
    request.refresh_from_db()
    actor, taken = keys.actor(person.key), int((now - request.created_at).total_seconds() * 1000)
    shown = breaking.sign_in.facts() if breaking.sign_in is not None else {}
    broken = approval_entry(
        request, BROKEN, snapshot, actor=actor, comment=said, voter=person, via=breaking.via, **shown
    )
    return Decided(request), [
        broken,
        approval_entry(request, "approved", snapshot, actor=actor, milliseconds=taken, source=BROKEN),
    ]


def breaker_still_may(request: ApprovalRequest, snapshot: Snapshot) -> bool:
    """Say whether the person who approved alone still may, by their standing now; asked again at the claim."""
    review = Review.objects.filter(request=request).first()
    person = Person.objects.filter(iss=review.iss, sub=review.sub, is_active=True).first() if review else None
    return person is not None and not may_not_break(request, caller_of(person, snapshot.policy), snapshot.policy)


def close_review(
    runtime: Runtime, *, approval_id: str, person: Caller, comment: str, via: str
) -> Decided | TooLate | NotEligible | CommentMissing | NotFound:
    """Close the review of a break-glass, for a second person of those whom the rule would have asked.

    Raises RecordUnavailable when it could not be committed, see `services.unrecorded`.
    """

    def work() -> tuple[Decided | TooLate | NotEligible | CommentMissing | NotFound, Sequence[Event]]:
        review = Review.objects.select_related("request").filter(pk=approval_id).first()
        if review is None:
            return NotFound(), ()
        request, snapshot = review.request, runtime.policies.reload()
        caller = retied(person, snapshot.policy)
        if reason := may_not_close(review, caller, snapshot.policy):
            return NotEligible(reason), ()
        said = snapshot.outlet(request.connection).text(comment.strip())[:MAX_COMMENT]
        if not said:
            return CommentMissing("Say what you found; a review has a comment."), ()
        by = {"closed_iss": caller.iss, "closed_sub": caller.sub, "closed_by": caller.display[:200], "comment": said}
        if Review.objects.filter(pk=review.pk, closed_at=None).update(closed_at=database_now(), **by) != 1:
            return TooLate(request), ()
        # Nothing of the request moves, but open pages show the debt.
        ApprovalRequest.objects.filter(pk=request.pk).update(version=F("version") + 1)
        hints.changed(request.pk)
        outbox.enqueue(request, "reviewed")
        actor = keys.actor(caller.key)
        return Decided(request), [
            approval_entry(request, "reviewed", snapshot, actor=actor, comment=said, voter=caller, via=via)
        ]

    outcome = runtime.journal.transact_now(work)
    runtime.waiting.hint([approval_id])
    return outcome


def may_not_close(review: Review, caller: Caller, policy: Policy) -> str:
    """Return in plain words why this caller may not close the review; empty when they may."""
    mine = tied(caller, policy)
    person = Person.objects.filter(iss=review.iss, sub=review.sub).first()
    breaker = None if person is None else tied(caller_of(person, policy), policy)
    stands_for = stood_for(review.request, mine) or mine
    if breaker is not None and (is_same_person(breaker, mine) or is_same_person(breaker, stands_for)):
        return "You approved this alone yourself, or stand in for who did; a second person must look at it."
    return switched_off(mine) or may_decide(review.request, mine, policy)
