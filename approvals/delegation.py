"""Somebody is away, and somebody else decides in their place, between two dates.

It widens no right: the delegate decides what the delegator could at that moment, counts once, and is never the
requester, nor the delegator under another account. Who stands in hands nothing on. Asked at each vote and again at the
claim, see `eligibility.stood_for`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import Q

from approvals import keys
from approvals.database import database_now
from approvals.eligibility import is_same_person, may_stand_in
from approvals.models import Delegation, Person
from approvals.standing import caller_of
from approvals.ties import in_force, people_with, retied
from sessions.events import Event

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from approvals.config.schema import Config
    from approvals.models import ApprovalRequest
    from approvals.policy import Policy
    from approvals.publication import Snapshot
    from approvals.runtime import Runtime

# It may begin so long from now at most.
AHEAD = timedelta(days=90)
MOST_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Delegated:
    """It is as the delegation says now."""

    delegation: Delegation


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing changed; the reason is for people to read."""

    reason: str


def may_be_delegates(person: Person, config: Config) -> list[Person]:
    """Return whom this person may choose: the others who may sign in, by name."""
    logins = [issuer.issuer for issuer in config.issuers if issuer.login]
    found = Person.objects.filter(is_active=True, iss__in=logins).exclude(pk=person.pk)
    return sorted(found, key=lambda other: (str(other).casefold(), other.key))


def delegate(runtime: Runtime, person: Person, to: str, starts: datetime | None, ends: datetime) -> Delegated | Refused:
    """Let the person of the account `to` decide in this person's place, from now or later on. Raises RecordUnavailable.

    One at a time: what overlaps another one of the same person's is refused.
    """

    def work() -> tuple[Delegated | Refused, Sequence[Event]]:
        Person.objects.select_for_update().get(pk=person.pk)  # two of one person's at once are made one by one
        now, snapshot = database_now(), runtime.policies.reload()
        begins = max(starts or now, now)
        other = people_with([to]).first()
        reason = _why_not_then(begins, ends, now) or _why_not_whom(person, other, snapshot)
        taken = Delegation.objects.filter(_by(person), revoked_at=None, starts_at__lt=ends, ends_at__gt=begins)
        if not reason and taken.exists():
            reason = "Somebody stands in for you then already; revoke that first."
        if reason or other is None:
            return Refused(reason), ()
        made = Delegation.objects.create(
            delegator=person.key,
            delegator_display=str(person)[:200],
            delegate=other.key,
            delegate_display=str(other)[:200],
            starts_at=begins,
            ends_at=ends,
            made_at=now,
        )
        return Delegated(made), [_entry("made", made, snapshot, person.key)]

    return runtime.journal.transact_now(work)


def revoke(runtime: Runtime, delegation_id: str, person: Person) -> Delegated | Refused:
    """End a delegation before its date, for either of the two people. Raises RecordUnavailable.

    A decision that was made in the other's place and has not run yet does not count any more.
    """

    return _revoke(runtime, _by(person) | Q(delegate=person.key), delegation_id, person.key)


def end(runtime: Runtime, delegation: Delegation, *, by: str) -> None:
    """End a delegation before its date for an admin (`iss|sub`). Raises RecordUnavailable."""
    _revoke(runtime, Q(), delegation.pk, by)


def _revoke(runtime: Runtime, which: Q, delegation_id: str, by: str) -> Delegated | Refused:
    def work() -> tuple[Delegated | Refused, Sequence[Event]]:
        now = database_now()
        found = Delegation.objects.filter(which, pk=delegation_id)
        if found.filter(revoked_at=None, ends_at__gt=now).update(revoked_at=now, revoked_by=by) != 1:
            return Refused("There is nothing of yours to revoke here, or it is over."), ()
        ended = found.get()
        return Delegated(ended), [_entry("revoked", ended, runtime.policies.reload(), by)]

    return runtime.journal.transact_now(work)


def of(person: Person) -> list[Delegation]:
    """Return the delegations of this person and to them that are in force or to come, and some that are over."""
    return list(Delegation.objects.filter(_by(person) | Q(delegate=person.key))[:50])


def stand_ins(request: ApprovalRequest, policy: Policy) -> list[Delegation]:
    """Return who may decide a request in somebody else's place now."""
    found = []
    for row in Delegation.objects.filter(in_force())[:MOST_SHOWN]:
        away, other = people_with([row.delegator]).first(), people_with([row.delegate]).first()
        if away is None or other is None or not (away.is_active and other.is_active):
            continue
        voter = retied(caller_of(other, policy), policy, deep=False)
        if may_stand_in(request, voter, retied(caller_of(away, policy), policy, deep=False)):
            found.append(row)
    return found


def _by(person: Person) -> Q:
    return Q(delegator=person.key)


def _why_not_then(starts: datetime, ends: datetime, now: datetime) -> str:
    most = timedelta(days=settings.DELEGATION_DAYS)
    if not most:
        return "Nobody can decide in another one's place on this gateway."
    if ends <= starts:
        return "It must end after it begins, and later than now."
    if ends - starts > most:
        return f"It can last {settings.DELEGATION_DAYS:g} days at most."
    return "" if starts <= now + AHEAD else f"It can begin {AHEAD.days} days from now at the latest."


def _why_not_whom(person: Person, other: Person | None, snapshot: Snapshot) -> str:
    policy = snapshot.policy
    if other is None or other not in may_be_delegates(person, policy.config):
        return "Choose somebody else who signs in here."
    if is_same_person(retied(caller_of(person, policy), policy), caller_of(other, policy)):
        return "That is you under another account; choose somebody else."
    return ""


def _entry(what: str, delegation: Delegation, snapshot: Snapshot, by: str) -> Event:
    names = {"delegator": delegation.delegator, "delegate": delegation.delegate}
    return Event(
        kind=f"delegation.{what}",
        actor=keys.actor(by),
        policy_revision=snapshot.revision,
        policy_digest=snapshot.digest,
        facts={
            "delegation": delegation.pk,
            **{role: keys.actor(account) for role, account in names.items()},
            "starts_at": delegation.starts_at.isoformat(),
            "ends_at": delegation.ends_at.isoformat(),
        },
        payloads={"people": snapshot.outlet("").value_for_record(names)},
    )
