"""The record over the API: one call, and the list of sessions."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, cast

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from approvals import judged, keys
from approvals.api import visible
from approvals.listing import Listing
from approvals.outlet import counts_in
from approvals.replay import reads_all
from approvals.runtime import runtime
from approvals.standing import roles_of
from approvals.verdicts import Caller
from sessions import selectors
from sessions.calls import recorded_call
from sessions.events import INTENT
from sessions.models import RecordedSession
from sessions.selectors import CallSummary

if TYPE_CHECKING:
    from approvals.policy import Policy

# What the newest entry that tells says about whether something was executed, unless the entry itself says so.
EXECUTED = {"call.result": "true", "call.blocked": "false", "call.refused": "false"}


class Call(APIView):
    """One call as the record has it."""

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request, call_id: str) -> Response:
        """Return what came of a call; 404 also for one that is not the caller's to see."""
        caller = cast("Caller", request.auth)
        approval = visible(request).filter(call_id=call_id).order_by("-id").first()
        summary = selectors.call_summary(call_id)
        policy = runtime().policies.current.policy
        may_see = approval is not None or reads_all(caller, policy)
        if summary is None or not (may_see or summary.actor == keys.actor(caller.key)):
            raise NotFound
        told = {"judged": _judged(summary, caller, policy)} if reads_all(caller, policy) else {}
        return Response(_call(summary, approval.pk if approval else None) | told)


def _call(summary: CallSummary, approval: str | None) -> dict[str, Any]:
    last = summary.entries[-1].leaf
    facts = {name: value for entry in summary.entries for name, value in entry.leaf.facts.items()}
    return {
        "call_id": summary.call_id,
        "connection": summary.connection,
        "method": summary.method,
        "tool": summary.tool,
        "session": summary.session,
        "started_at": summary.started_at.isoformat(),
        "ended_at": summary.ended_at.isoformat() if summary.ended_at else None,
        "executed": facts.get("executed") or _executed(summary),
        "reason": facts.get("reason"),
        "policy_revision": last.revision,
        "approval": approval,
        "masked": _counted(summary, "masked"),
        "exposed": _counted(summary, "exposed"),
        "receipt": None,
    }


def _judged(summary: CallSummary, caller: Caller, policy: Policy) -> dict[str, Any] | None:
    """Return what was kept of the verdict when it was come to, for who may read rules; places for auditors alone."""
    found = recorded_call(summary.call_id)
    if found is None or found.rules_read is None:
        return None
    kept = judged.read(found.judged)
    with_places = "auditor" in roles_of(caller, policy)
    rules = [] if kept is None else judged.as_json(kept, with_places=with_places)["rules"]
    return {"policy_revision": found.revision, "rules_read": found.rules_read, "rules": rules}


def _counted(summary: CallSummary, what: str) -> dict[str, int]:
    """Return how many values of each class were hidden in this call, or shown to its caller whom a rule excepts."""
    found: Counter[str] = Counter()
    for entry in summary.entries:
        found.update(counts_in(entry.leaf.facts.get(what)))
    return dict(sorted(found.items()))


def _executed(summary: CallSummary) -> str:
    """Say what the entries tell: without an intent nothing was ever forwarded."""
    if all(entry.leaf.kind != INTENT for entry in summary.entries):
        return "false"
    return EXECUTED.get(summary.kind, "unknown")


class Sessions(APIView):
    """Recorded sessions."""

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        """List sessions, newest first: all of them for auditors and admins, their own for everybody else."""
        caller, policy = cast("Caller", request.auth), runtime().policies.current.policy
        listing = Listing.of(request.query_params, ("connection", "caller"))
        try:
            rows, following = selectors.recorded_sessions(
                cursor=listing.cursor,
                limit=listing.limit,
                connection=listing.filters.get("connection", ""),
                actor=listing.filters.get("caller", "") if reads_all(caller, policy) else keys.actor(caller.key),
            )
        except selectors.CursorInvalid as error:
            raise ValidationError({"cursor": [str(error)]}) from error
        return Response({"next": following, "results": [_session(row) for row in rows]})


def _session(row: RecordedSession) -> dict[str, Any]:
    return {
        "id": row.pk,
        "connection": row.connection,
        "actor": row.actor,
        "run": row.run,
        "started_at": row.started_at.isoformat(),
        "url": f"{runtime().public_url}/sessions/{row.pk}/",
    }
