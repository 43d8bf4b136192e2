"""Bundles of evidence that people ask for: who may have which, and what the record says of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from django.conf import settings

from approvals import keys
from approvals.database import database_now
from approvals.runtime import Runtime
from approvals.standing import roles_of
from sessions import installation
from sessions.events import Event
from sessions.evidence import jobs
from sessions.evidence.report import report
from sessions.ids import uuid7
from sessions.models import BundleJob

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from approvals.policy import Policy
    from approvals.publication import Snapshot
    from approvals.verdicts import Caller

KEPT: Final = timedelta(days=7)
"""So long is a bundle's file kept; that it was made stands in the record for good."""
REMEMBERED: Final = timedelta(days=30)
MOST_OPEN: Final = 5
State = BundleJob.State
_UNDER_WAY: Final = (State.WANTED, State.MAKING, State.MADE)


@dataclass(frozen=True, slots=True)
class Refused:
    """Why there will be no such bundle, for people to read."""

    field: str
    message: str


def may_export(caller: Caller, policy: Policy) -> bool:
    """Say whether this person may have bundles at all: auditors and admins."""
    return bool(roles_of(caller, policy) & {"auditor", "admin"})


def may_have_payloads(caller: Caller, policy: Policy) -> bool:
    """Say whether this person may have what calls carried: auditors, as on the pages of sessions."""
    return "auditor" in roles_of(caller, policy)


def listed() -> QuerySet[BundleJob]:
    """Return every bundle that is not forgotten, newest first."""
    return BundleJob.objects.order_by("-pk")


def ask(caller: Caller, policy: Policy, *, since: datetime, until: datetime, payloads: bool) -> BundleJob | Refused:
    """Note that somebody wants the bundle of a period; it is made in the background."""
    if since >= until:
        return Refused("until", "The period ends before it begins.")
    if payloads and not may_have_payloads(caller, policy):
        return Refused("payloads", "What calls carried is for auditors.")
    if BundleJob.objects.filter(state__in=_UNDER_WAY).count() >= MOST_OPEN:
        return Refused("since", f"{MOST_OPEN} bundles are being made already. Wait for one of them.")
    return BundleJob.objects.create(
        id=uuid7(),
        since=since,
        until=until,
        payloads=payloads,
        asked_at=database_now(),
        asked_by={"iss": caller.iss, "sub": caller.sub, "display": caller.display},
        actor=keys.actor(caller.key),
    )


def handed_out(house: Runtime, job: BundleJob, caller: Caller, policy: Policy) -> Iterator[bytes] | None:
    """Return the file, piece by piece, once the record says who got it; None when it is not theirs or not there.

    Raises RecordUnavailable.
    """
    if job.state != State.READY or (job.payloads and not may_have_payloads(caller, policy)):
        return None
    event = _event(house.policies.current, "evidence.downloaded", job, keys.actor(caller.key))
    house.journal.append_now(event)
    return jobs.parts(job)


def delete(house: Runtime, job: BundleJob, caller: Caller) -> bool:
    """Delete a bundle's file before its time, or stop making it; False when it is over. Raises RecordUnavailable."""
    return _end(house, job, keys.actor(caller.key), "asked")


def run_due(house: Runtime) -> int:
    """Make what is wanted where this process has the log's key, tell the record, delete what is too old."""
    if not settings.HARDENED and BundleJob.objects.filter(state__in=[State.WANTED, State.MAKING]).exists():
        jobs.make_next(installation.signer(), report)
    made = [_recorded(house, job) for job in BundleJob.objects.filter(state=State.MADE)]
    now = database_now()
    for job in BundleJob.objects.filter(state=State.READY, expires_at__lt=now):
        _end(house, job, "", "expired")
    BundleJob.objects.filter(state__in=[State.DELETED, State.FAILED], asked_at__lt=now - REMEMBERED).delete()
    jobs.clear()
    return sum(made)


def _recorded(house: Runtime, job: BundleJob) -> bool:
    """Nobody gets a bundle of which the record does not say that it was made."""
    snapshot = house.policies.current
    by = snapshot.outlet("").value_for_record({**job.asked_by, "via": "page"})
    event = _event(snapshot, "evidence.exported", job, job.actor)
    facts = {
        "from": job.since.isoformat(), "to": job.until.isoformat(), "payloads": job.payloads,
        "start": job.first, "end": job.last, **event.facts,
    }  # fmt: skip
    told = Event(
        kind=event.kind, actor=event.actor, policy_revision=event.policy_revision,
        policy_digest=event.policy_digest, facts=facts, payloads={"by": by},
    )  # fmt: skip

    def work() -> tuple[bool, list[Event]]:
        ready = BundleJob.objects.filter(pk=job.pk, state=State.MADE)
        done = bool(ready.update(state=State.READY, expires_at=database_now() + KEPT))
        return done, [told] if done else []

    return house.journal.transact_now(work)


def _end(house: Runtime, job: BundleJob, actor: str, reason: str) -> bool:
    event = _event(house.policies.current, "evidence.deleted", job, actor, reason=reason)

    def work() -> tuple[bool, list[Event]]:
        done = jobs.end(job)
        return done, [event] if done else []

    return house.journal.transact_now(work)


def _event(snapshot: Snapshot, kind: str, job: BundleJob, actor: str, **facts: str) -> Event:
    return Event(
        kind=kind,
        actor=actor,
        policy_revision=snapshot.revision,
        policy_digest=snapshot.digest,
        facts={"bundle": job.pk, "manifest": job.manifest, **facts},
    )
