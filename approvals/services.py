"""Deciding and withdrawing approval requests: the one engine behind dashboard, API and Slack.

Each transition is a compare-and-set and stands in one transaction with its record entry. The outcome is returned as a
value; the surfaces only render it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from django.db.models import F, Q

from approvals import grants, hints, keys, outbox
from approvals.database import database_now
from approvals.eligibility import has_asked, is_same_person, stood_for
from approvals.entries import approval_entry
from approvals.models import ApprovalRequest, Person, SealedArguments, Vote
from approvals.rules import remembering
from approvals.seen import view_digest
from approvals.selectors import approving, may_decide, proven, unproven_factor
from approvals.standing import caller_of
from approvals.states import Status, is_allowed
from approvals.ties import retied
from sessions.journal import RecordUncertain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from approvals.publication import Snapshot
    from approvals.runtime import Runtime
    from approvals.second_factor import SignIn
    from approvals.verdicts import Caller
    from sessions.events import Event
    from sessions.journal import RecordUnavailable

MAX_COMMENT = 4000
NOT_COUNTED = "The record cannot be written now, so nothing was counted. Please try again."
NOT_KNOWN_YET = "The record did not answer in time; it is not known yet whether this was counted. Please look again."


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
class NotOffered:
    """The rule does not let this be remembered."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotFound:
    """There is no such request, or none that this caller may see."""


Outcome = Decided | Unchanged | TooLate | VersionMoved | NotEligible | CommentMissing | NotOffered | NotFound


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
    view: str | None
    sign_in: SignIn | None
    remember: remembering.Wish | None


def move(request_id: str, old: Status, new: Status, *conditions: Q, **fields: Any) -> bool:
    """Go from one status to another if the row still stands at the first and the conditions hold; say whether it did.

    The only place that writes a status; with the transaction other processes hear of it. Raises ValueError for a
    transition that the table does not know.
    """
    if not is_allowed(old, new):
        msg = f"no transition from {old} to {new}"
        raise ValueError(msg)
    rows = ApprovalRequest.objects.filter(*conditions, pk=request_id, status=old.value)
    if rows.update(status=new.value, version=F("version") + 1, **fields) != 1:
        return False
    if old is Status.PENDING:
        SealedArguments.objects.filter(pk=request_id).delete()
    hints.changed(request_id)
    if new is not Status.EXECUTING:  # nobody needs to be told that it has begun; what came of it follows
        outbox.enqueue(ApprovalRequest.objects.only("terms", "grant").get(pk=request_id), new.value)
    return True


def decide(
    runtime: Runtime,
    *,
    approval_id: str,
    approver: Caller,
    decision: Literal["approve", "deny", "resolve"],
    comment: str = "",
    via: str,
    version: int | None = None,
    view: str | None = None,
    sign_in: SignIn | None = None,
    remember: remembering.Wish | None = None,
) -> Outcome:
    """Count one person's decision and return what came of it.

    `version` and `view` (see `seen`) are those the person had before them, if the surface knows them; `sign_in` is that
    of their browser, for rules that ask for a fresh second factor; `remember` is what they want a grant for, within
    what `remembering.offers` says. Raises RecordUnavailable when the decision could not be committed; it is not counted
    then, unless that is RecordUncertain: see `unrecorded`.
    """
    ballot = _Ballot(approver, decision, comment.strip(), via, version, view, sign_in, remember)
    try:
        outcome = runtime.journal.transact_now(lambda: _vote(runtime, approval_id, ballot))
    except _Rejected as rejected:
        outcome = rejected.outcome
        if isinstance(outcome, NotEligible):
            _record_refused_vote(runtime, approval_id, ballot, outcome.reason)
    runtime.waiting.hint([approval_id])
    return outcome


def unrecorded(error: RecordUnavailable) -> str:
    """Return what is true for the person whose decision or withdrawal met this error."""
    return NOT_KNOWN_YET if isinstance(error, RecordUncertain) else NOT_COUNTED


def _vote(runtime: Runtime, approval_id: str, ballot: _Ballot) -> tuple[Outcome, Sequence[Event]]:
    # Locked before it is read: who clicks at the same moment, in whatever process, reads what came of the first. SQLite
    # has no row locks and needs none, for there one transaction at a time writes.
    request = ApprovalRequest.objects.select_for_update().filter(pk=approval_id).first()
    if request is None:
        raise _Rejected(NotFound())
    snapshot = runtime.policies.reload()
    # Masked as everything of this connection is, and cut only then: half a secret is none that could be found.
    approver = retied(ballot.approver, snapshot.policy)
    ballot = replace(
        ballot, approver=approver, comment=snapshot.outlet(request.connection).text(ballot.comment)[:MAX_COMMENT]
    )
    now = database_now()
    if refused := _refused(request, ballot, snapshot, now):
        raise _Rejected(refused)
    if ballot.decision == "resolve":
        return _resolve(request, ballot, snapshot)
    if request.expires_at <= now:
        return expire(request, snapshot)
    if is_outdated(request, snapshot):
        return supersede_outdated(request, snapshot)
    ApprovalRequest.objects.filter(pk=request.pk).update(version=F("version") + 1)
    hints.changed(request.pk)
    vote = _cast(request, ballot, snapshot, now)
    entry = approval_entry(
        request,
        "voted",
        snapshot,
        actor=keys.actor(ballot.approver.key),
        comment=vote.comment,
        voter=ballot.approver,
        decision=vote.decision,
        via=vote.via,
        **({"view": vote.view} if vote.view else {}),
        **({"on_behalf_of": keys.actor(vote.on_behalf_of)} if vote.on_behalf_of else {}),
        **proven(request, ballot.sign_in),
        **grants.facts_of(vote.remember),
    )
    outbox.enqueue(request, "voted")
    return _count(request, ballot, snapshot, now, entry)


def _refused(request: ApprovalRequest, ballot: _Ballot, snapshot: Snapshot, now: datetime) -> Outcome | None:
    """Return why this ballot cannot be counted, or None. The first reason that a person would want to hear wins."""
    may_not = may_decide(request, ballot.approver, snapshot.policy, via=ballot.via) or switched_off(ballot.approver)
    unproven = unproven_factor(request, ballot.approver, ballot.sign_in, snapshot.policy, now)
    if reason := may_not or unproven or _voted_before(request, ballot, snapshot):
        return NotEligible(reason)
    before = request.votes.filter(iss=ballot.approver.iss, sub=ballot.approver.sub).first()
    if before is not None and before.decision == ballot.decision:
        return Unchanged(request)
    wanted = Status.OUTCOME_UNKNOWN if ballot.decision == "resolve" else Status.PENDING
    if request.status != wanted:
        return TooLate(request)
    if ballot.version not in {None, request.version} or ballot.view not in {None, view_digest(request)}:
        return VersionMoved(request)
    return _incomplete(request, ballot)


def _incomplete(request: ApprovalRequest, ballot: _Ballot) -> Outcome | None:
    """Return what the ballot lacks, or has too much of, by the terms of the rule."""
    rule = "required" if ballot.decision == "resolve" else request.terms["comment"]
    if not ballot.comment and (rule == "required" or (rule == "required_on_deny" and ballot.decision == "deny")):
        return CommentMissing("Say why in a comment; the rule asks for one.")
    try:
        remembering.kept(ballot.remember, ballot.decision, request.terms)
    except remembering.NotOffered as error:
        return NotOffered(str(error))
    return None


def _voted_before(request: ApprovalRequest, ballot: _Ballot, snapshot: Snapshot) -> str:
    """Say that this person has voted already under another account: a quorum counts people, not accounts."""
    if ballot.decision == "resolve":
        return ""  # no vote
    mine, policy = ballot.approver, snapshot.policy
    for vote in request.votes.exclude(iss=mine.iss, sub=mine.sub):
        voter = Person.objects.filter(iss=vote.iss, sub=vote.sub).first()
        if voter is not None and is_same_person(mine, caller_of(voter, policy)):
            return "You voted on this request under another account of yours; each person counts once."
    return ""


def switched_off(approver: Caller) -> str:
    """Say that this account is switched off; a token stays valid for a while after that. Empty when it is not."""
    off = Person.objects.filter(iss=approver.iss, sub=approver.sub, is_active=False).exists()
    return "This account is switched off." if off else ""


def _cast(request: ApprovalRequest, ballot: _Ballot, snapshot: Snapshot, now: datetime) -> Vote:
    approver = ballot.approver
    remember_person(approver, snapshot, now)
    # Also those that a later escalation will ask for: then this vote may fill a place that is there only then.
    away = stood_for(request, approver)
    groups = sorted((away or approver).groups & request.last_quorum.groups)
    vote, _ = Vote.objects.update_or_create(
        request=request,
        iss=approver.iss,
        sub=approver.sub,
        defaults={
            "display": approver.display[:200],
            "on_behalf_of": away.key if away else "",
            "on_behalf_display": away.display[:200] if away else "",
            "groups": groups,
            "decision": ballot.decision,
            "comment": ballot.comment,
            "remember": remembering.kept(ballot.remember, ballot.decision, request.terms),
            "via": ballot.via,
            "view": ballot.view or "",
            "at": now,
        },
    )
    return vote


def remember_person(approver: Caller, snapshot: Snapshot, now: datetime) -> None:
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
    taken = int((now - request.created_at).total_seconds() * 1000)
    live = Q(expires_at__gt=now)
    if ballot.decision == "deny":
        if move(request.pk, Status.PENDING, Status.DENIED, live, decided_at=now, ended_at=now):
            events.append(approval_entry(request, "denied", snapshot, actor=voted.actor, milliseconds=taken))
    elif request.quorum.met(approving(request, snapshot)):
        execute_by = now + timedelta(seconds=request.terms["collect_within"])
        if move(request.pk, Status.PENDING, Status.APPROVED, live, decided_at=now, execute_by=execute_by):
            events.append(approval_entry(request, "approved", snapshot, actor=voted.actor, milliseconds=taken))
            events.extend(grants.remember(request, snapshot, now))
    request.refresh_from_db()
    return Decided(request), events


def _resolve(request: ApprovalRequest, ballot: _Ballot, snapshot: Snapshot) -> tuple[Outcome, Sequence[Event]]:
    """Somebody found out what an interrupted call did; the same call may be asked for again. Nothing is re-sent."""
    actor, shown = keys.actor(ballot.approver.key), proven(request, ballot.sign_in)
    if away := stood_for(request, ballot.approver):
        shown["on_behalf_of"] = keys.actor(away.key)
    # The kept answer said that nobody knows; it would be given to the next call of the same key.
    move(request.pk, Status.OUTCOME_UNKNOWN, Status.FAILED, result=None, result_until=None)
    request.refresh_from_db()
    return Decided(request), [
        approval_entry(
            request, "resolved", snapshot, actor=actor, comment=ballot.comment, voter=ballot.approver, **shown
        )
    ]


def expire(request: ApprovalRequest, snapshot: Snapshot) -> tuple[Outcome, Sequence[Event]]:
    """End a pending request that somebody meets after its time; return that they are too late."""
    moved = move(request.pk, Status.PENDING, Status.EXPIRED, ended_at=database_now())
    request.refresh_from_db()
    return TooLate(request), [approval_entry(request, "expired", snapshot)] if moved else []


def is_outdated(request: ApprovalRequest, snapshot: Snapshot) -> bool:
    """Say whether the rule that asked is gone or was changed."""
    return snapshot.policy.fingerprint_of(request.terms["rules"], request.connection) != request.rule_fingerprint


def supersede_outdated(request: ApprovalRequest, snapshot: Snapshot) -> tuple[Outcome, Sequence[Event]]:
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
    """Withdraw a request that has not begun to run, for the one who asked or the person behind them."""

    def work() -> tuple[Decided | TooLate | NotFound, Sequence[Event]]:
        request = ApprovalRequest.objects.filter(pk=approval_id).first()
        snapshot = runtime.policies.reload()
        if request is None or not has_asked(request, retied(caller, snapshot.policy)):
            return NotFound(), ()
        now = database_now()
        moved = move(request.pk, Status.PENDING, Status.CANCELLED, decided_at=now, ended_at=now)
        moved = moved or move(request.pk, Status.APPROVED, Status.CANCELLED, ended_at=now)
        request.refresh_from_db()
        if not moved:
            return TooLate(request), ()
        return Decided(request), [approval_entry(request, "cancelled", snapshot, actor=keys.actor(caller.key))]

    outcome = runtime.journal.transact_now(work)
    runtime.waiting.hint([approval_id])
    return outcome
