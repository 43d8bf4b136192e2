"""Showing an approver one hidden argument of a request that waits: a reasoned act, recorded before it is shown.

What the caller sent lies sealed beside the request, only where its rule names who may look (`reveal_to`), and only
while it waits: whatever ends the waiting deletes it in the same transaction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidTag

from approvals import keys
from approvals.database import database_now
from approvals.entries import approval_entry
from approvals.hidden_places import HiddenPlace, hidden_places, value_at
from approvals.models import ApprovalRequest, SealedArguments
from approvals.selectors import may_decide, proven, unproven_factor
from approvals.services import MAX_COMMENT, CommentMissing, NotEligible, NotFound, TooLate, switched_off
from approvals.states import Status
from approvals.ties import retied
from masking import documents

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from approvals.policy import Policy
    from approvals.publication import Snapshot
    from approvals.runtime import Runtime
    from approvals.second_factor import SignIn
    from approvals.verdicts import Caller
    from sessions.events import Event

WHY = "Say why you must see it; the record keeps that beside your name."
GONE = "The value is not there any more."


@dataclass(frozen=True, slots=True)
class Wish:
    """Who wants to see which place, why, and through which surface."""

    person: Caller
    place: str
    reason: str
    via: str
    sign_in: SignIn | None = None


@dataclass(frozen=True, slots=True)
class Revealed:
    """The value of one place. Never stored, cached or logged."""

    name: str
    value: str = field(repr=False)


Outcome = Revealed | NotEligible | CommentMissing | TooLate | NotFound


def keep(request: ApprovalRequest, sent: str) -> None:
    """Seal what was sent for a request that waits, if its rule lets somebody look and something is hidden."""
    if not request.terms.get("reveal_to") or request.status != Status.PENDING:
        return
    places = hidden_places(documents.read(sent)[0], documents.read(request.arguments)[0])
    if places:
        SealedArguments.objects.create(
            request=request,
            sealed=keys.seal(sent.encode(), context=_context(request)),
            places=[[one.id, one.name] for one in places],
        )


def places_for(
    request: ApprovalRequest, person: Caller, policy: Policy, now: datetime, *, via: str
) -> list[HiddenPlace]:
    """Return what this person may have revealed of a request; nothing for everybody else."""
    if not request.terms.get("reveal_to") or request.status != Status.PENDING or request.expires_at <= now:
        return []
    if _may_not(request, person, policy, via):
        return []
    row = SealedArguments.objects.filter(pk=request.pk).first()
    return [HiddenPlace(*one) for one in row.places] if row else []


def reveal(runtime: Runtime, approval_id: str, wish: Wish) -> Outcome:
    """Record that somebody looks at one hidden value, and then return it.

    Raises RecordUnavailable when that could not be committed; nothing is shown then.
    """

    def work() -> tuple[Outcome, Sequence[Event]]:
        # Locked before it is read, so that no decision comes between.
        request = ApprovalRequest.objects.select_for_update().filter(pk=approval_id).first()
        return (NotFound(), ()) if request is None else _reveal(request, wish, runtime.policies.reload())

    return runtime.journal.transact_now(work)


def _reveal(request: ApprovalRequest, wish: Wish, snapshot: Snapshot) -> tuple[Outcome, Sequence[Event]]:
    now, person = database_now(), retied(wish.person, snapshot.policy)
    reason = (
        _may_not(request, person, snapshot.policy, wish.via)
        or switched_off(person)
        or unproven_factor(request, person, wish.sign_in, snapshot.policy, now)
    )
    actor = keys.actor(person.key)
    if reason:
        refused = approval_entry(request, "reveal_refused", snapshot, actor=actor, comment=reason, via=wish.via)
        return NotEligible(reason), (refused,)
    if request.status != Status.PENDING or request.expires_at <= now:
        return TooLate(request), ()
    said = snapshot.outlet(request.connection).text(wish.reason.strip())[:MAX_COMMENT]
    if not said:
        return CommentMissing(WHY), ()
    found = _opened(request, wish.place)
    if found is None:
        return TooLate(request), ()
    facts: dict[str, Any] = {"via": wish.via, "place": wish.place, **proven(request, wish.sign_in)}
    entry = approval_entry(request, "revealed", snapshot, actor=actor, comment=said, voter=person, **facts)
    return found, (entry,)


def _opened(request: ApprovalRequest, place: str) -> Revealed | None:
    row = SealedArguments.objects.filter(pk=request.pk).first()
    names: dict[str, Any] = dict(row.places) if row else {}
    if row is None or place not in names:
        return None
    try:
        sent = keys.unseal(bytes(row.sealed), context=_context(request)).decode()
        return Revealed(names[place], value_at(documents.read(sent)[0], place))
    except (InvalidTag, LookupError):
        return None  # sealed by another key, as after a restore


def _may_not(request: ApprovalRequest, person: Caller, policy: Policy, via: str) -> str:
    """Say why this person may not have anything revealed; empty when they may."""
    if reason := may_decide(request, person, policy, via=via):
        return reason
    allowed = frozenset(request.terms.get("reveal_to") or ())
    return "" if allowed & person.groups else "The rule lets nobody of your groups see what is hidden."


def _context(request: ApprovalRequest) -> str:
    return f"arguments/{request.call_id}/{request.pk}"
