"""Held calls: opening a request or joining one, claiming it for its one execution, and keeping what came of it.

Everything here is synchronous ORM work that the journal runs in its own transaction, together with the entries.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import Q

from approvals import keyed, keys
from approvals.database import database_now
from approvals.entries import approval_entry
from approvals.models import ApprovalRequest
from approvals.services import move, still_approved
from approvals.states import LIVE, Status
from sessions.liveness import is_alive

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from approvals.publication import Snapshot
    from approvals.verdicts import Call, Hold
    from sessions.events import Event, Payload

# A call whose outcome is unknown blocks its repeat for so long, unless somebody resolves it.
UNKNOWN_BLOCKS = timedelta(hours=24)
KEYED_RESULT_KEPT = timedelta(hours=24)
CANDIDATES = 20


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
    reason: str = ""  # masked
    idempotency: str = ""
    approval_id: str = ""
    process: str = ""


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

    Raises KeyTaken when the call's Idempotency-Key belongs to another call.
    """
    now = database_now()
    if ask.idempotency:
        keyed.take_for_held(ask.idempotency, ask.call_digest, ask.call_id)
    candidates = ApprovalRequest.objects.filter(call_digest=ask.call_digest).order_by("-id")[:CANDIDATES]
    for candidate in candidates:
        if _joins(ask, candidate, now):
            if candidate.status in {Status.PENDING, Status.APPROVED} and _unattended(candidate):
                ApprovalRequest.objects.filter(pk=candidate.pk).update(attached_to=ask.process)
            return candidate, ()
    request = _create(ask, snapshot, now)
    entry = approval_entry(
        request,
        "requested",
        snapshot,
        actor=keys.actor(ask.call.caller.key),
        expires_at=request.expires_at.isoformat(),
        tool_digest=ask.tool_digest,
    )
    return request, [_with_payloads(entry, ask.payloads)]


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
        return in_time and (handle or _unattended(candidate))
    if status in {Status.EXECUTED, Status.FAILED}:
        kept = candidate.result is not None and (candidate.result_until or now) > now
        return kept and (handle or candidate.delivered_at is None)
    if status is Status.DENIED:
        return candidate.expires_at > now and (not ask.reason or ask.reason == candidate.reason)
    ended = candidate.ended_at or candidate.created_at
    return status is Status.OUTCOME_UNKNOWN and ended + UNKNOWN_BLOCKS > now


def _unattended(candidate: ApprovalRequest) -> bool:
    return not candidate.attached_to or not is_alive(candidate.attached_to)


def _create(ask: Ask, snapshot: Snapshot, now: datetime) -> ApprovalRequest:
    caller, terms = ask.call.caller, ask.hold.terms
    return ApprovalRequest.objects.create(
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
        idempotency=ask.idempotency,
        requester_iss=caller.iss,
        requester_sub=caller.sub,
        requester_kind=caller.kind,
        requester_display=caller.display[:200],
        requester_person=caller.person or "",
        requester_run=dict(caller.run),
        requester_email=keys.email_digest(caller.email),
        requester_owners=list(caller.owned_by),
        rule=ask.hold.rule,
        rule_fingerprint=terms.fingerprint,
        policy_revision=snapshot.revision,
        terms=terms.as_json(),
        created_at=now,
        expires_at=now + timedelta(seconds=terms.expires_after),
        attached_to=ask.process,
    )


def claim(request_id: str, snapshot: Snapshot) -> tuple[str, Sequence[Event]]:
    """Take an approved request for its one execution; return the claim, or empty when it is not to be had.

    Compare-and-set: approved, not overdue, unclaimed. It is superseded when the rule that held it is not the same any
    more, or when those who approved may not decide it any more.
    """
    now = database_now()
    request = ApprovalRequest.objects.get(pk=request_id)
    if request.status != Status.APPROVED:
        return "", ()
    if snapshot.policy.fingerprint_of(request.terms["rules"], request.connection) != request.rule_fingerprint:
        return "", supersede(request, snapshot, cause="policy")
    if not still_approved(request, snapshot):
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


def detach(request_id: str, process: str) -> None:
    """Note that no caller of this process waits any more, so that the caller's repeat joins."""
    ApprovalRequest.objects.filter(pk=request_id, attached_to=process).update(attached_to="")
