"""Legal holds, and erasures that somebody asks for: by auditors and admins, with a reason, each on record.

An erasure takes two people: who asked never confirms it, under whatever account. What is held is not erased.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.db.models import F

from approvals import keys
from approvals.config.connections import Connection
from approvals.database import database_now
from approvals.eligibility import is_same_person
from approvals.models import ApprovalRequest, KeyedCall, Vote
from approvals.standing import caller_of, roles_of
from approvals.states import LIVE
from approvals.ties import people_with, retied
from approvals.verdicts import Caller
from sessions import retention
from sessions.events import Event, Fact
from sessions.models import ErasedPayload, ErasureRequest, LegalHold, RecordedSession
from sessions.retention import Why

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from approvals.policy import Policy
    from approvals.runtime import Runtime

MAX_REASON: Final = 2_000
MOST_STEPS: Final = 20
FORGOTTEN_AT_ONCE: Final = 500
USUAL: Final = int(Connection.model_fields["keep_payloads"].default)
GONE: Final = '{"erased": true}'
_WAITING, _CONFIRMED = ErasureRequest.Status.WAITING, ErasureRequest.Status.CONFIRMED


class Refused(ValueError):
    """It cannot be done so; the text says why, in plain words. Nothing was changed."""


def may(caller: Caller, policy: Policy) -> bool:
    """Say whether this person may hold and erase."""
    return bool(roles_of(caller, policy) & {"auditor", "admin"})


def place(house: Runtime, person: Caller, reason: str, **what: str | datetime | None) -> LegalHold:
    """Hold everything that fits all of `what` (connection, session, call_id, actor, since, until). Raises Refused."""
    reason = _reason(reason)
    if not any(what.get(name) for name in ("connection", "session", "call_id", "actor")):
        raise Refused("Name a connection, a session, a call or a caller: a hold on everything would never end.")

    def work() -> tuple[LegalHold, Sequence[Event]]:
        made = LegalHold.objects.create(
            reason=reason, placed_by=person.key, placed_display=person.display or person.sub,
            placed_at=database_now(), **what,
        )  # fmt: skip
        facts = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in what.items()}
        return made, [_entry(house, "held", person, reason, hold=made.pk, **{k: v for k, v in facts.items() if v})]

    return house.journal.transact_now(work)


def lift(house: Runtime, person: Caller, hold: LegalHold, reason: str) -> None:
    """End a hold; what it kept too long is erased by and by. Raises Refused when it has ended."""
    reason = _reason(reason)

    def work() -> tuple[None, Sequence[Event]]:
        ended = {"lifted_by": person.key, "lifted_display": person.display or person.sub, "lifted_at": database_now()}
        if not LegalHold.objects.filter(pk=hold.pk, lifted_at=None).update(**ended):
            raise Refused("It was lifted in the meantime.")
        retention.look_again(hold)
        return None, [_entry(house, "released", person, reason, hold=hold.pk)]

    house.journal.transact_now(work)


def ask(house: Runtime, person: Caller, session: str, call_id: str, reason: str) -> ErasureRequest:
    """Ask for the payloads of a session, or of one call in it, to be erased. Raises Refused."""
    reason = _reason(reason)
    if not RecordedSession.objects.filter(pk=session).exists():
        raise Refused("The record has no such session.")
    _require_free(session, call_id)

    def work() -> tuple[ErasureRequest, Sequence[Event]]:
        made = ErasureRequest.objects.create(
            session=session, call_id=call_id, reason=reason, asked_by=person.key,
            asked_display=person.display or person.sub, asked_at=database_now(),
        )  # fmt: skip
        return made, [_entry(house, "erasure_requested", person, reason, **_what(made))]

    return house.journal.transact_now(work)


def why_not(row: ErasureRequest, person: Caller, policy: Policy) -> str:
    """Return in plain words why this person may not confirm an erasure; empty when they may."""
    if row.status != _WAITING:
        return "It does not wait any more."
    asker = people_with([row.asked_by]).first()
    iss, _, sub = row.asked_by.partition("|")
    other = Caller(iss=iss, sub=sub, kind="person") if asker is None else caller_of(asker, policy)
    return "You asked for it; another person must confirm it." if is_same_person(retied(person, policy), other) else ""


def confirm(house: Runtime, person: Caller, row: ErasureRequest) -> None:
    """Decide that it is erased; it is, within minutes. Raises Refused."""
    if reason := why_not(row, person, house.policies.reload().policy):
        raise Refused(reason)
    _require_free(row.session, row.call_id)
    _end(house, person, row, _CONFIRMED, "erasure_confirmed")


def withdraw(house: Runtime, person: Caller, row: ErasureRequest) -> None:
    """End a request without erasing anything. Raises Refused when it does not wait any more."""
    _end(house, person, row, ErasureRequest.Status.WITHDRAWN, "erasure_withdrawn")


def run(house: Runtime) -> int:
    """Erase what was confirmed, and some steps of what is over; return how many payloads.

    By a process whose database role may: on a hardened database that is `manage.py run_retention` alone.
    """
    erased = sum(_carry_out(house, row) for row in ErasureRequest.objects.filter(status=_CONFIRMED).order_by("id"))
    now, config = database_now(), house.policies.reload().policy.config
    for name in sorted({*_recorded_connections(), *config.connections} - {""}):
        kept = config.connections[name].keep_payloads if name in config.connections else USUAL
        before = now - timedelta(seconds=kept)
        why = _why(house, {"why": "expired", "before": before.isoformat()})
        for _ in range(MOST_STEPS):
            step = retention.expire(house.journal, name, before, why)
            erased += step.erased
            if not step.more:
                break
    return erased


def forget() -> int:
    """Take what was erased out of the gateway's working tables, a little at a time; return how many calls are left."""
    rows = ErasedPayload.objects.filter(is_forgotten=False)
    calls = set(rows.values_list("call_id", flat=True).distinct()[:FORGOTTEN_AT_ONCE])
    if not calls:
        return 0
    ended = ApprovalRequest.objects.filter(call_id__in=calls - {""}).exclude(status__in=[one.value for one in LIVE])
    Vote.objects.filter(request__in=ended).exclude(comment="").update(comment="")
    ended.update(arguments=GONE, reason="", result=None, ended_comment="")
    RecordedSession.objects.filter(pk__in=rows.filter(call_id="").values("session")).exclude(run="").update(run="")
    KeyedCall.objects.filter(call_id__in=calls - {""}).update(answer=None)
    rows.filter(call_id__in=calls).update(is_forgotten=True)
    return int(rows.values("call_id").distinct().count())


def runs_here() -> bool:
    """Say whether web and worker of this installation may erase."""
    return not settings.HARDENED


def _recorded_connections() -> Iterator[str]:
    """Yield the connections that have sessions, also former ones: one look into the index for each."""
    rows, name = RecordedSession.objects.order_by("connection").values_list("connection", flat=True), ""
    while found := rows.filter(connection__gt=name).first():
        yield found
        name = found


def _carry_out(house: Runtime, row: ErasureRequest) -> int:
    why = _why(house, {
        "why": "request", "request": row.pk,
        "asked_by": keys.actor(row.asked_by), "confirmed_by": keys.actor(row.ended_by),
    }, actor=keys.actor(row.ended_by))  # fmt: skip
    try:
        erased = retention.erase_session(house.journal, row.session, row.call_id, why)
    except retention.Held:
        return 0  # held since it was confirmed: it waits for the hold to be lifted
    # What a crash repeats, or two do at once, has fewer left to erase than there were: all of it counts.
    carried_out = ErasureRequest.objects.filter(pk=row.pk, status__in=[_CONFIRMED, ErasureRequest.Status.DONE])
    carried_out.update(status=ErasureRequest.Status.DONE, erased=F("erased") + erased)
    return erased


def _end(house: Runtime, person: Caller, row: ErasureRequest, status: str, what: str) -> None:
    def work() -> tuple[None, Sequence[Event]]:
        ended = {"ended_by": person.key, "ended_display": person.display or person.sub, "ended_at": database_now()}
        if not ErasureRequest.objects.filter(pk=row.pk, status=_WAITING).update(status=status, **ended):
            raise Refused("Somebody else has ended it in the meantime.")
        return None, [_entry(house, what, person, "", **_what(row))]

    house.journal.transact_now(work)


def _require_free(session: str, call_id: str) -> None:
    try:
        retention.require_free(session, call_id)
    except retention.Held:
        raise Refused("A legal hold stands on it; lift that first.") from None


def _reason(text: str) -> str:
    if not (found := text.strip()):
        raise Refused("Say why: it stands in the record.")
    return found[:MAX_REASON]


def _what(row: ErasureRequest) -> dict[str, Fact]:
    return {"request": row.pk, "session": row.session, **({"call": row.call_id} if row.call_id else {})}


def _why(house: Runtime, facts: dict[str, Fact], actor: str = "") -> Why:
    current = house.policies.current
    return Why(facts=facts, actor=actor, revision=current.revision, digest=current.digest)


def _entry(house: Runtime, what: str, person: Caller, reason: str, **facts: Fact) -> Event:
    snapshot = house.policies.current
    return Event(
        kind=f"payload.{what}",
        actor=keys.actor(person.key),
        policy_revision=snapshot.revision,
        policy_digest=snapshot.digest,
        facts=facts,
        payloads={"reason": snapshot.outlet("").value_for_record(reason)} if reason else {},
    )
