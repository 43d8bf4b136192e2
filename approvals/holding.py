"""Held calls: opening a request or joining one, claiming it for its one execution, and keeping what came of it.

Everything here is synchronous ORM work that the journal runs in its own transaction, together with the entries.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db.models import Q

from approvals import grants, hints, keyed, keys, outbox, revealing
from approvals.break_glass import breaker_still_may
from approvals.database import database_now
from approvals.denials import refuse_a_loop
from approvals.entries import approval_entry, unspoken
from approvals.models import ApprovalRequest
from approvals.rules.emergency import BROKEN
from approvals.selectors import still_approved
from approvals.services import is_outdated, move
from approvals.states import LIVE, Status
from approvals.ties import lately, linked, person_behind
from sessions.liveness import is_alive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from approvals.config.schema import Config
    from approvals.publication import Snapshot
    from approvals.verdicts import Call, Caller, Hold
    from sessions.events import Event, Payload

# A call whose outcome is unknown blocks its repeat for so long, unless somebody resolves it.
UNKNOWN_BLOCKS = timedelta(hours=24)
KEYED_RESULT_KEPT = timedelta(hours=24)
# Within which a caller who had to send a call again, and hung up with its answer, may have missed that.
DOUBTED = timedelta(minutes=1)
CANDIDATES = 20


class TooManyPending(Exception):
    """This caller has asked for so much that is still open that nobody would look through it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One call that a rule holds: what is asked, by whom, and the handles it brought to join an open request."""

    call_id: str
    session: str
    call: Call
    hold: Hold
    tool: str  # masked
    call_digest: str
    tool_digest: str
    arguments: str  # JSON as an approver sees it
    payloads: Mapping[str, Payload]
    masked: Sequence[str] = ()  # what is hidden in them, counted
    reason: str = ""  # masked
    idempotency: str = ""
    approval_id: str = ""
    process: str = ""
    # Whether the callers of a request are gone, although its row does not say so yet: see approvals.waiting.
    is_left: Callable[[str], bool] = field(default=lambda _: False, repr=False)
    access: str = ""  # the window on which the caller's access rests, if it does
    sent: str = field(default="", repr=False)  # what the caller sent, unmasked; only where `reveal_to` is said


def call_digest(call: Call, canonical: bytes, tool_digest: str) -> str:
    """Return what makes two calls identical: caller and run, connection, method, name, arguments, tool definition."""
    run = "\n".join(f"{name}={value}" for name, value in sorted(call.caller.run))
    return keys.keyed_digest(
        "call", call.caller.key, run, call.connection, call.method, call.name, canonical, tool_digest
    )


def binding(digest: str, snapshot: Snapshot, hold: Hold) -> str:
    """Return what a decision is bound to: the identical call, the policy that judged it, and the rule that held it."""
    return keys.keyed_digest("binding", digest, snapshot.digest, hold.rule, hold.terms.fingerprint)


def open_or_join(ask: Ask, snapshot: Snapshot) -> tuple[ApprovalRequest, Sequence[Event]]:
    """Return the request that this call waits for: an open one that it may join, or a new one with its entry.

    Raises KeyTaken when the call's Idempotency-Key belongs to another call, TooManyPending when a new request would be
    one too many of this caller, DeniedTooOften when people have denied this caller too many like it.
    """
    now = database_now()
    if ask.idempotency:
        keyed.take_for_held(ask.idempotency, ask.call_digest, ask.call_id)
    candidates = ApprovalRequest.objects.filter(call_digest=ask.call_digest).order_by("-id")[:CANDIDATES]
    for candidate in candidates:
        if _joins(ask, candidate, now):
            if Status(candidate.status) in LIVE and _unattended(ask, candidate):
                ApprovalRequest.objects.filter(pk=candidate.pk).update(attached_to=ask.process)
            return candidate, ()
    return _open(ask, snapshot, now)


def _open(ask: Ask, snapshot: Snapshot, now: datetime) -> tuple[ApprovalRequest, Sequence[Event]]:
    """Make a new request with its entries: one that people must decide, or one that a grant has approved."""
    request = _request(ask, snapshot, now)
    covered = _cover(request, snapshot, now)
    if not covered:
        refuse_a_flood(ask.call.caller, now)
    refuse_a_loop(ask.call.caller, ask.call.connection, ask.call.method, ask.tool[:500], now)
    request.save(force_insert=True)
    revealing.keep(request, ask.sent)
    hints.changed(request.pk)
    outbox.enqueue(request, "requested")
    entry = approval_entry(
        request,
        "requested",
        snapshot,
        actor=keys.actor(ask.call.caller.key),
        expires_at=request.expires_at.isoformat(),
        tool_digest=ask.tool_digest,
        masked=list(ask.masked),
        rules=list(ask.hold.rules),
        rules_read=snapshot.policy.rules_read,
        **unspoken(ask.hold),
    )
    return request, [_with_payloads(entry, ask.payloads), *covered]


def _cover(request: ApprovalRequest, snapshot: Snapshot, now: datetime) -> Sequence[Event]:
    """Approve a new request by a grant that covers it, if there is one that stands; return the entries of that.

    The use is counted in the transaction that makes the request, whether or not its caller comes to run it.
    """
    for grant in grants.fitting(request, now):
        request.grant = grant
        if still_approved(request, snapshot) and grants.take(grant, now):
            collect_until = now + timedelta(seconds=request.terms["collect_within"])
            request.status, request.decided_at, request.source = Status.APPROVED.value, now, "grant"
            request.execute_by = min(collect_until, grant.expires_at)
            used = grants.entry(grant, request, "used", snapshot, facts={"use": grant.uses})
            return used, approval_entry(request, "approved", snapshot, grant=grant.pk)
    request.grant = None
    return ()


def refuse_a_flood(caller: Caller, now: datetime) -> None:
    """Raise TooManyPending when one more request of this caller would be one too many."""
    most = settings.MAX_HELD_PER_CALLER
    pending = ApprovalRequest.objects.filter(
        status=Status.PENDING, requester_iss=caller.iss, requester_sub=caller.sub, expires_at__gt=now
    ).order_by()
    # The row that would be one too many is looked for, instead of counting: an index leads to it.
    if most and pending[most - 1 : most].exists():
        msg = f"You have {most} requests that nobody has decided yet."
        raise TooManyPending(msg)


def _with_payloads(entry: Event, payloads: Mapping[str, Payload]) -> Event:
    return replace(entry, payloads={**entry.payloads, **payloads})


def _joins(ask: Ask, candidate: ApprovalRequest, now: datetime) -> bool:
    """Say whether the call meets this request again. Two identical calls at the same time stay two requests."""
    keyed = bool(ask.idempotency) and candidate.idempotency == ask.idempotency
    handle = keyed or ask.approval_id == candidate.pk
    status = Status(candidate.status)
    if status in LIVE:
        open_until = candidate.expires_at if status is Status.PENDING else candidate.execute_by
        in_time = status is Status.EXECUTING or (open_until is not None and open_until > now)
        return in_time and (handle or _unattended(ask, candidate))
    if status in {Status.EXECUTED, Status.FAILED}:
        kept = candidate.result is not None and (candidate.result_until or now) > now
        delivered = candidate.delivered_at
        doubted = delivered is not None and delivered > now and ask.idempotency == candidate.idempotency
        return kept and (handle or delivered is None or doubted or ask.is_left(candidate.pk))
    if status is Status.DENIED:
        return candidate.expires_at > now and (not ask.reason or ask.reason == candidate.reason)
    ended = candidate.ended_at or candidate.created_at
    return status is Status.OUTCOME_UNKNOWN and ended + UNKNOWN_BLOCKS > now


def _unattended(ask: Ask, candidate: ApprovalRequest) -> bool:
    return not candidate.attached_to or ask.is_left(candidate.pk) or not is_alive(candidate.attached_to)


def _request(ask: Ask, snapshot: Snapshot, now: datetime) -> ApprovalRequest:
    """Return the request, not saved yet."""
    caller, terms = ask.call.caller, ask.hold.terms
    first = terms.timetable.next_after(0, 0)
    return ApprovalRequest(
        call_id=ask.call_id,
        session=ask.session,
        connection=ask.call.connection,
        method=ask.call.method,
        tool=ask.tool[:500],
        arguments=ask.arguments,
        reason=ask.reason,
        call_digest=ask.call_digest,
        binding=binding(ask.call_digest, snapshot, ask.hold),
        tool_digest=ask.tool_digest,
        tool_scope=grants.tool_scope(ask.call, ask.tool_digest),
        idempotency=ask.idempotency,
        **requester_columns(caller, snapshot.policy.config),
        access=ask.access,
        rule=ask.hold.rule,
        rule_fingerprint=terms.fingerprint,
        policy_revision=snapshot.revision,
        terms=terms.as_json() | {"spoke": list(ask.hold.rules), "observed": list(ask.hold.observed)},
        created_at=now,
        expires_at=now + timedelta(seconds=terms.expires_after),
        next_action_at=None if first is None else now + timedelta(seconds=first),
        attached_to=ask.process,
    )


def requester_columns(caller: Caller, config: Config) -> dict[str, Any]:
    """Return what a request keeps of who asks: also which accounts are theirs now, whatever becomes of the links."""
    asking = {account for account in (caller.key, caller.person, caller.starter) if account}
    return {
        "requester_iss": caller.iss,
        "requester_sub": caller.sub,
        "requester_kind": caller.kind,
        "requester_display": caller.display[:200],
        "requester_person": person_behind(caller),
        "requester_starter": caller.starter or "",
        "requester_linked": sorted(linked(asking, config, lately()) - asking) or None,
        "requester_run": dict(caller.run),
        "requester_email": keys.email_digest(caller.email),
        "requester_owners": list(caller.owned_by),
    }


def claim(request_id: str, snapshot: Snapshot) -> tuple[str, Sequence[Event]]:
    """Take an approved request for its one execution; return the claim, or empty when it is not to be had.

    Compare-and-set: approved, not overdue, unclaimed. It is superseded when the rule that held it is not the same any
    more, or when those who approved may not decide it any more.
    """
    now = database_now()
    request = ApprovalRequest.objects.get(pk=request_id)
    if request.status != Status.APPROVED:
        return "", ()
    if is_outdated(request, snapshot):
        return "", supersede(request, snapshot, cause="policy")
    if request.grant is not None and request.grant.revoked_at is not None:
        return "", supersede(request, snapshot, cause="grant")
    if not (breaker_still_may if request.source == BROKEN else still_approved)(request, snapshot):
        return "", supersede(request, snapshot, cause="approvers")
    token = str(uuid.uuid4())
    fits = Q(execute_by__gt=now, claim="")
    return (token if move(request_id, Status.APPROVED, Status.EXECUTING, fits, claim=token) else ""), ()


def supersede(request: ApprovalRequest, snapshot: Snapshot, *, cause: str) -> Sequence[Event]:
    """End a live request because what it was asked for changed; the caller must ask again."""
    old = Status(request.status)
    if old in {Status.PENDING, Status.APPROVED} and move(request.pk, old, Status.SUPERSEDED, ended_at=database_now()):
        return (approval_entry(request, "superseded", snapshot, cause=cause),)
    return ()


def finish(request_id: str, token: str, new: Status, *, executed: str, result: bytes, heard: bool) -> bool:
    """Keep what came of a claimed call, for callers that join or come back; False when the claim is not ours any more.

    `result` is the masked answer, kept for a while. `heard` says that a caller is there to take it: the identical
    call is a new request then.
    """
    now = database_now()
    request = ApprovalRequest.objects.get(pk=request_id)
    kept = timedelta(seconds=request.terms["collect_within"])
    ours = Q(claim=token)
    return move(
        request_id,
        Status.EXECUTING,
        new,
        ours,
        executed=executed,
        result=result,
        result_until=now + (max(kept, KEYED_RESULT_KEPT) if request.idempotency else kept),
        ended_at=now,
        delivered_at=now if heard else None,
    )


def deliver(request_id: str) -> None:
    """Note that a caller is getting the result: from now on the identical call is a new request."""
    ApprovalRequest.objects.filter(pk=request_id, delivered_at=None).update(delivered_at=database_now())


def undeliver(request_id: str) -> None:
    """Note that the caller left before the result reached them: the identical call may fetch it."""
    ApprovalRequest.objects.filter(pk=request_id).update(delivered_at=None)


def doubt(request_id: str) -> None:
    """Note that the caller may have missed the result: for a minute the identical call fetches it."""
    rows = ApprovalRequest.objects.filter(pk=request_id, delivered_at__isnull=False)
    rows.update(delivered_at=database_now() + DOUBTED)


def detach(request_id: str, process: str) -> None:
    """Note that no caller of this process waits any more, so that the caller's repeat joins."""
    ApprovalRequest.objects.filter(pk=request_id, attached_to=process).update(attached_to="")
