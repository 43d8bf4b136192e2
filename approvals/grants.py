"""Remembered decisions: making a grant, using one, and its end. What takes one back is in `approvals.revocation`.

Everything here is synchronous ORM work that the journal runs in its own transaction, together with the entries.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import F, Q, QuerySet

from approvals import keys
from approvals.memory import Grant
from approvals.rules.remembering import agreed
from sessions.events import Event

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from approvals.models import ApprovalRequest
    from approvals.publication import Snapshot
    from approvals.verdicts import Call
    from sessions.events import Fact

SWEEP_BATCH = 200


def tool_scope(call: Call, tool_digest: str) -> str:
    """Return what all calls of one tool have in common: caller and run, connection, method, name, tool definition."""
    run = "\n".join(f"{name}={value}" for name, value in sorted(call.caller.run))
    return keys.keyed_digest("tool", call.caller.key, run, call.connection, call.method, call.name, tool_digest)


def remember(request: ApprovalRequest, snapshot: Snapshot, now: datetime) -> Sequence[Event]:
    """Make the grant that those who just approved the request agreed on, if they did; return its entry."""
    memory = agreed([vote.remember for vote in request.votes.filter(decision="approve")])
    if memory is None:
        return ()
    grant = Grant.objects.create(
        request=request,
        scope=memory.scope,
        covers=request.call_digest if memory.scope == "same_arguments" else request.tool_scope,
        rule_fingerprint=request.rule_fingerprint,
        max_age=memory.max_age,
        max_uses=memory.max_uses,
        made_at=now,
        expires_at=now + timedelta(seconds=memory.max_age),
    )
    return (entry(grant, request, "made", snapshot, facts=facts_of(memory.document())),)


def open_at(now: datetime) -> QuerySet[Grant]:
    """Return the grants that may be used at this moment."""
    return Grant.objects.filter(revoked_at=None, expires_at__gt=now, uses__lt=F("max_uses"))


def fitting(request: ApprovalRequest, now: datetime) -> QuerySet[Grant]:
    """Return the grants that cover this call, held by this rule as it was then; the narrowest first."""
    same_call = Q(scope="same_arguments", covers=request.call_digest)
    same_tool = Q(scope="same_tool", covers=request.tool_scope)
    rows = open_at(now).filter(same_call | same_tool, rule_fingerprint=request.rule_fingerprint)
    return rows.select_related("request").order_by("scope", "id")


def take(grant: Grant, now: datetime) -> bool:
    """Count one use; say whether there was one left. However many ask at once, no more get one than there are."""
    taken = open_at(now).filter(pk=grant.pk).update(uses=F("uses") + 1) == 1
    if taken:
        grant.refresh_from_db(fields=["uses"])
    return taken


def due(now: datetime) -> QuerySet[Grant]:
    """Return the grants whose end by time is not recorded yet."""
    return Grant.objects.filter(revoked_at=None, expired_at=None, expires_at__lte=now)


def expire(snapshot: Snapshot, now: datetime) -> list[Event]:
    """Return the entries of the grants that are over; each is told once."""
    return [
        entry(grant, grant.request, "expired", snapshot, facts={"uses": grant.uses})
        for grant in due(now).select_related("request")[:SWEEP_BATCH]
        if due(now).filter(pk=grant.pk).update(expired_at=now) == 1
    ]


def entry(
    grant: Grant,
    request: ApprovalRequest,
    what: str,
    snapshot: Snapshot,
    *,
    actor: str = "",
    facts: Mapping[str, Fact],
) -> Event:
    """Return the entry `grant.<what>` about this request: the one it remembers, or one that it covers."""
    return Event(
        kind=f"grant.{what}",
        call_id=request.call_id,
        session=request.session,
        connection=request.connection,
        method=request.method,
        tool=request.tool,
        actor=actor,
        policy_revision=snapshot.revision,
        policy_digest=snapshot.digest,
        facts={
            "grant": grant.pk,
            "approval": request.pk,
            "binding": request.binding,
            "rule": request.rule,
            "covers": grant.covers,
            **facts,
        },
    )


def facts_of(memory: Mapping[str, Any] | None) -> dict[str, Fact]:
    """Return what an entry says of what is remembered."""
    return {} if memory is None else {f"remember_{name}": value for name, value in memory.items()}
