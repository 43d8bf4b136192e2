"""Deciding, withdrawing and expiring approval requests: the one engine behind dashboard, API and Slack.

Each transition is a compare-and-set and stands in one transaction with its record entry. The outcome is returned as a
value; the surfaces only render it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from django.db.models import F, Q

from approvals import keys
from approvals.database import database_now
from approvals.eligibility import has_asked, is_same_person
from approvals.entries import approval_entry
from approvals.models import ApprovalRequest, Person, Vote
from approvals.selectors import may_decide
from approvals.standing import caller_of
from approvals.states import Status, is_allowed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from approvals.publication import Snapshot
    from approvals.runtime import Runtime
    from approvals.verdicts import Caller
    from sessions.events import Event

MAX_COMMENT = 4000
SWEEP_BATCH = 200


@dataclass(frozen=True, slots=True)
class Decided:
    """The vote, or the withdrawal, counted."""

    request: ApprovalRequest


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The same person said the same before; nothing happened."""

    request: ApprovalRequest


@dataclass(frozen=True, slots=True)
class TooLate:
    """The request is no longer open; its status says why."""

    request: ApprovalRequest


@dataclass(frozen=True, slots=True)
class VersionMoved:
    """The request changed since the version that the person had before them."""

    request: ApprovalRequest


@dataclass(frozen=True, slots=True)
class NotEligible:
    """This person may not decide this request in this way."""

    reason: str


@dataclass(frozen=True, slots=True)
class CommentMissing:
    """The rule asks for a comment."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotFound:
    """There is no such request, or none that this caller may see."""


Outcome = Decided | Unchanged | TooLate | VersionMoved | NotEligible | CommentMissing | NotFound


class _Rejected(Exception):
    """Carries an outcome out of a transaction that must be rolled back."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(type(outcome).__name__)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class _Ballot:
    approver: Caller
    decision: Literal["approve", "deny", "resolve"]
    comment: str
    via: str
    version: int | None


def move(request_id: str, old: Status, new: Status, *conditions: Q, **fields: Any) -> bool:
    """Go from one status to another if the row still stands at the first and the conditions hold; say whether it did.

    The only place that writes a status. Raises ValueError for a transition that the table does not know.
    """
    if not is_allowed(old, new):
        msg = f"no transition from {old} to {new}"
        raise ValueError(msg)
    rows = ApprovalRequest.objects.filter(*conditions, pk=request_id, status=old.value)
    return rows.update(status=new.value, version=F("version") + 1, **fields) == 1


def decide(
    runtime: Runtime,
    *,
    approval_id: str,
    approver: Caller,
    decision: Literal["approve", "deny", "resolve"],
    comment: str = "",
    via: str,
    version: int | None = None,
) -> Outcome:
    """Count one person's decision and return what came of it.

    `version` is the one the person had before them, if the surface knows it. Raises RecordUnavailable when the
    decision could not be committed; it is not counted then.
    """
    ballot = _Ballot(approver, decision, comment.strip(), via, version)
    try:
        outcome = runtime.journal.transact_now(lambda: _vote(runtime, approval_id, ballot))
    except _Rejected as rejected:
        outcome = rejected.outcome
        if isinstance(outcome, NotEligible):
            _record_refused_vote(runtime, approval_id, ballot, outcome.reason)
    runtime.waiting.hint([approval_id])
    return outcome


def _vote(runtime: Runtime, approval_id: str, ballot: _Ballot) -> tuple[Outcome, Sequence[Event]]:
    # Locked before it is read: who clicks at the same moment, in whatever process, reads what came of the first. SQLite
    # has no row locks and needs none, for there one transaction at a time writes.
    request = ApprovalRequest.objects.select_for_update().filter(pk=approval_id).first()
    if request is None:
        raise _Rejected(NotFound())
    snapshot = runtime.policies.reload()
    # Masked as everything of this connection is, and cut only then: half a secret is none that could be found.
    ballot = replace(ballot, comment=snapshot.outlet(request.connection).text(ballot.comment)[:MAX_COMMENT])
    now = database_now()
    if refused := _refused(request, ballot, snapshot, now):
        raise _Rejected(refused)
    if ballot.decision == "resolve":
        return _resolve(request, ballot, snapshot)
    if request.expires_at <= now:
        return _expire(request, snapshot)
    rules = request.terms["rules"]
    if snapshot.policy.fingerprint_of(rules, request.connection) != request.rule_fingerprint:
        return _supersede(request, snapshot)
    ApprovalRequest.objects.filter(pk=request.pk).update(version=F("version") + 1)
    vote = _cast(request, ballot, snapshot, now)
    entry = approval_entry(
        request,
        "voted",
        snapshot,
        actor=keys.actor(ballot.approver.key),
        comment=vote.comment,
        decision=vote.decision,
        via=vote.via,
    )
    return _count(request, ballot, snapshot, now, entry)


def _refused(request: ApprovalRequest, ballot: _Ballot, snapshot: Snapshot, now: datetime) -> Outcome | None:
    """Return why this ballot cannot be counted, or None. The first reason that a person would want to hear wins."""
    may_not = may_decide(request, ballot.approver, snapshot.policy, via=ballot.via) or _switched_off(ballot.approver)
    if reason := may_not or _voted_before(request, ballot, snapshot):
        return NotEligible(reason)
    before = request.votes.filter(iss=ballot.approver.iss, sub=ballot.approver.sub).first()
    if before is not None and before.decision == ballot.decision:
        return Unchanged(request)
    wanted = Status.OUTCOME_UNKNOWN if ballot.decision == "resolve" else Status.PENDING
    if request.status != wanted:
        return TooLate(request)
    if ballot.version is not None and ballot.version != request.version:
        return VersionMoved(request)
    rule = "required" if ballot.decision == "resolve" else request.terms["comment"]
    if not ballot.comment and (rule == "required" or (rule == "required_on_deny" and ballot.decision == "deny")):
        return CommentMissing("Say why in a comment; the rule asks for one.")
    return None


def _voted_before(request: ApprovalRequest, ballot: _Ballot, snapshot: Snapshot) -> str:
    """Say that this person has voted already under another account: a quorum counts people, not accounts."""
    if ballot.decision == "resolve":
        return ""  # no vote
    mine, policy = ballot.approver, snapshot.policy
    for vote in request.votes.exclude(iss=mine.iss, sub=mine.sub):
        voter = Person.objects.filter(iss=vote.iss, sub=vote.sub).first()
        if voter is not None and is_same_person(caller_of(voter, policy), mine, policy.config):
            return "You voted on this request under another account of yours; each person counts once."
    return ""


def _switched_off(approver: Caller) -> str:
    """A token stays valid for a while after its holder was switched off here."""
    off = Person.objects.filter(iss=approver.iss, sub=approver.sub, is_active=False).exists()
    return "This account is switched off." if off else ""


def _cast(request: ApprovalRequest, ballot: _Ballot, snapshot: Snapshot, now: datetime) -> Vote:
    approver = ballot.approver
    _remember(approver, snapshot, now)
    groups = sorted(approver.groups & request.quorum.groups)
    vote, _ = Vote.objects.update_or_create(
        request=request,
        iss=approver.iss,
        sub=approver.sub,
        defaults={
            "display": approver.display[:200],
            "groups": groups,
            "decision": ballot.decision,
            "comment": ballot.comment,
            "via": ballot.via,
            "at": now,
        },
    )
    return vote


def _remember(approver: Caller, snapshot: Snapshot, now: datetime) -> None:
    """Keep who voted as a person, so that their standing can be looked at again when the call is claimed.

    Who votes in more groups than their last sign-in gives them came with a token, which is the issuer's newer word.
    """
    issued = sorted(group for group in approver.groups if "/" in group)
    said = {"email": approver.email or "", "issuer_groups": issued, "issuer_groups_at": now}
    person, made = Person.objects.get_or_create(
        iss=approver.iss,
        sub=approver.sub,
        defaults={**said, "display": approver.display[:200], "last_seen_at": now},
    )
    if not made and not approver.groups <= caller_of(person, snapshot.policy).groups:
        Person.objects.filter(pk=person.pk).update(**said)


def _count(
    request: ApprovalRequest, ballot: _Ballot, snapshot: Snapshot, now: datetime, voted: Event
) -> tuple[Outcome, Sequence[Event]]:
    """One deny denies; enough distinct people approve."""
    events = [voted]
    live = Q(expires_at__gt=now)
    if ballot.decision == "deny":
        if move(request.pk, Status.PENDING, Status.DENIED, live, decided_at=now, ended_at=now):
            events.append(approval_entry(request, "denied", snapshot, actor=voted.actor))
    elif request.quorum.met(_approving(request)):
        execute_by = now + timedelta(seconds=request.terms["collect_within"])
        if move(request.pk, Status.PENDING, Status.APPROVED, live, decided_at=now, execute_by=execute_by):
            events.append(approval_entry(request, "approved", snapshot, actor=voted.actor))
    request.refresh_from_db()
    return Decided(request), events


def _approving(request: ApprovalRequest) -> list[frozenset[str]]:
    return [frozenset(vote.groups) for vote in request.votes.filter(decision="approve")]


def _resolve(request: ApprovalRequest, ballot: _Ballot, snapshot: Snapshot) -> tuple[Outcome, Sequence[Event]]:
    """Somebody found out what an interrupted call did; the same call may be asked for again. Nothing is re-sent."""
    actor = keys.actor(ballot.approver.key)
    # The kept answer said that nobody knows; it would be given to the next call of the same key.
    move(request.pk, Status.OUTCOME_UNKNOWN, Status.FAILED, result=None, result_until=None)
    request.refresh_from_db()
    return Decided(request), [approval_entry(request, "resolved", snapshot, actor=actor, comment=ballot.comment)]


def _expire(request: ApprovalRequest, snapshot: Snapshot) -> tuple[Outcome, Sequence[Event]]:
    moved = move(request.pk, Status.PENDING, Status.EXPIRED, ended_at=database_now())
    request.refresh_from_db()
    return TooLate(request), [approval_entry(request, "expired", snapshot)] if moved else []


def _supersede(request: ApprovalRequest, snapshot: Snapshot) -> tuple[Outcome, Sequence[Event]]:
    """The rule that asked is gone or was changed: the waiting call is judged afresh, this request is history."""
    moved = move(request.pk, Status.PENDING, Status.SUPERSEDED, ended_at=database_now())
    request.refresh_from_db()
    return TooLate(request), [approval_entry(request, "superseded", snapshot, cause="policy")] if moved else []


def _record_refused_vote(runtime: Runtime, approval_id: str, ballot: _Ballot, reason: str) -> None:
    request = ApprovalRequest.objects.get(pk=approval_id)
    actor = keys.actor(ballot.approver.key)
    snapshot = runtime.policies.current
    runtime.journal.append_now(
        approval_entry(request, "vote_refused", snapshot, actor=actor, comment=reason, decision=ballot.decision)
    )


def cancel(runtime: Runtime, *, approval_id: str, caller: Caller) -> Decided | TooLate | NotFound:
    """Withdraw a request that is still pending, for the one who asked or the person behind them."""

    def work() -> tuple[Decided | TooLate | NotFound, Sequence[Event]]:
        request = ApprovalRequest.objects.filter(pk=approval_id).first()
        snapshot = runtime.policies.reload()
        if request is None or not has_asked(request, caller, snapshot.policy.config):
            return NotFound(), ()
        now = database_now()
        moved = move(request.pk, Status.PENDING, Status.CANCELLED, decided_at=now, ended_at=now)
        request.refresh_from_db()
        if not moved:
            return TooLate(request), ()
        return Decided(request), [approval_entry(request, "cancelled", snapshot, actor=keys.actor(caller.key))]

    outcome = runtime.journal.transact_now(work)
    runtime.waiting.hint([approval_id])
    return outcome


def run_due(runtime: Runtime) -> int:
    """Expire what nobody decided and lapse what nobody collected, by the database's clock; return how many.

    Safe to run anywhere, at any time, twice: each row moves by compare-and-set.
    """

    def work() -> tuple[list[str], Sequence[Event]]:
        now = database_now()
        snapshot = runtime.policies.reload()
        moved: list[str] = []
        events: list[Event] = []
        overdue = Q(status=Status.PENDING, expires_at__lte=now) | Q(status=Status.APPROVED, execute_by__lte=now)
        for request in ApprovalRequest.objects.filter(overdue)[:SWEEP_BATCH]:
            old = Status(request.status)
            new = Status.EXPIRED if old is Status.PENDING else Status.LAPSED
            if move(request.pk, old, new, overdue, ended_at=now):
                moved.append(request.pk)
                events.append(approval_entry(request, new.value, snapshot))
        ApprovalRequest.objects.filter(result_until__lte=now, result__isnull=False).update(result=None)
        return moved, events

    moved = runtime.journal.transact_now(work) if _something_due() else []
    runtime.waiting.hint(moved)
    return len(moved)


def _something_due() -> bool:
    now = database_now()
    overdue = Q(status=Status.PENDING, expires_at__lte=now) | Q(status=Status.APPROVED, execute_by__lte=now)
    kept = Q(result_until__lte=now, result__isnull=False)
    return bool(ApprovalRequest.objects.filter(overdue | kept).exists())


def still_approved(request: ApprovalRequest, snapshot: Snapshot) -> bool:
    """Say whether the people who approved may still decide, by their standing now; asked again at the claim."""
    policy = snapshot.policy
    entitled: list[Caller] = []
    for vote in request.votes.filter(decision="approve"):
        person = Person.objects.filter(iss=vote.iss, sub=vote.sub).first()
        if person is None or not person.is_active:
            continue
        caller = caller_of(person, policy)
        counted = any(is_same_person(caller, other, policy.config) for other in entitled)
        if not counted and not may_decide(request, caller, policy):
            entitled.append(caller)
    return request.quorum.met([caller.groups & request.quorum.groups for caller in entitled])
