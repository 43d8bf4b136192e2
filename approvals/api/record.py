"""The record over the API: one call, the list of sessions, one session."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, cast

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from approvals import keys, searching
from approvals.api.listing import Listing
from approvals.api.requests import unavailable, visible
from approvals.chain import chain
from approvals.outlet import counts_in
from approvals.replay import NOT_RECORDED, STEPS, readable, record_read, sees_payloads
from approvals.rules import judged
from approvals.runtime import runtime
from approvals.searching import NAMES, Search, Unfit, reads_all
from approvals.standing import roles_of
from sessions import selectors
from sessions.calls import recorded_call
from sessions.events import INTENT, TERMINAL_KINDS
from sessions.journal import RecordUnavailable
from sessions.leaf import encode, leaf_hash
from sessions.models import RecordedSession
from sessions.search.index import behind

if TYPE_CHECKING:
    from approvals.policy import Policy
    from approvals.verdicts import Caller
    from sessions.models import RecordedCall
    from sessions.search.calls import Found
    from sessions.selectors import CallSummary, RecordedEntry

FILTERS: Final = {
    "connection": "on this server",
    "caller": "pseudonym, iss|sub, subject, name or e-mail address of one account",
    "person": "the same, with every account that is linked to it",
    "tool": "the whole name",
    "verdict": "allow, hold, deny or refused",
    "outcome": "what came of it, such as answered, failed or unknown",
    "rule": "a rule that spoke",
    "masked": "a detector or field that hid something",
    "exposed": "a detector or field whose values this caller was shown unmasked",
    "since": "calls that came at this time or later",
    "until": "calls that came before this time",
    "q": "words of the masked arguments, all of them; `word*` is the beginning of one",
}

# What the newest entry that tells says about whether something was executed, unless the entry itself says so.
EXECUTED = {"call.result": "true", "call.blocked": "false", "call.refused": "false"}


class Call(APIView):
    """One call as the record has it."""

    @extend_schema(operation_id="call_retrieve", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request, call_id: str) -> Response:
        """Return what came of a call; 404 also for one that is not the caller's to see."""
        caller = cast("Caller", request.auth)
        approval = visible(request).filter(call_id=call_id).order_by("-id").first()
        summary = selectors.call_summary(call_id)
        policy = runtime().policies.current.policy
        may_see = approval is not None or reads_all(caller, policy)
        if summary is None or not (may_see or summary.actor == keys.actor(caller.key)):
            raise NotFound
        told = {}
        if reads_all(caller, policy):
            if summary.actor != keys.actor(caller.key) and not record_read(caller, policy, summary):
                return unavailable(NOT_RECORDED)
            told = {"judged": _judged(summary, caller, policy)}
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
        "receipt": _receipt(summary),
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


def _receipt(summary: CallSummary) -> dict[str, Any] | None:
    """Return which entry ends the call, as its receipt names it; who signs receipts gave the caller theirs."""
    ends = [entry.leaf for entry in summary.entries if entry.leaf.kind in TERMINAL_KINDS]
    if not ends:
        return None
    leaf = ends[-1]
    return {"origin": leaf.origin, "writer": leaf.writer, "n": leaf.n, "entry": leaf_hash(encode(leaf)).hex()}


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


class Calls(APIView):
    """Recorded calls."""

    @extend_schema(
        operation_id="calls_list",
        parameters=[OpenApiParameter(name, OpenApiTypes.STR, description=says) for name, says in FILTERS.items()],
        responses={200: OpenApiTypes.OBJECT, 400: OpenApiTypes.OBJECT, 503: OpenApiTypes.OBJECT},
    )
    def get(self, request: Request) -> Response:
        """List calls, newest first, by the filters of sessions: all of them for auditors and admins, else one's own."""
        caller, policy = cast("Caller", request.auth), runtime().policies.current.policy
        listing = Listing.of(request.query_params, NAMES)
        try:
            rows, following = searching.calls_page(
                Search.of(listing.filters), caller, policy, cursor=listing.cursor, limit=listing.limit
            )
        except selectors.CursorInvalid as error:
            raise ValidationError({"cursor": [str(error)]}) from error
        except Unfit as error:
            raise ValidationError({error.name: [str(error)]}) from error
        except RecordUnavailable as error:
            return unavailable(error)
        results = [_searched(row) | {"session": row.session, "connection": row.connection} for row in rows]
        return Response({"next": following or None, "results": results, "not_yet_searchable": behind()})


class Sessions(APIView):
    """Recorded sessions."""

    @extend_schema(
        operation_id="sessions_list",
        parameters=[OpenApiParameter(name, OpenApiTypes.STR, description=says) for name, says in FILTERS.items()],
        responses={200: OpenApiTypes.OBJECT, 400: OpenApiTypes.OBJECT, 503: OpenApiTypes.OBJECT},
    )
    def get(self, request: Request) -> Response:
        """List sessions, newest first: all of them for auditors and admins, their own for everybody else.

        Narrowed to calls, each session comes with its newest calls that fit, and with how many fit in all.
        """
        caller, policy = cast("Caller", request.auth), runtime().policies.current.policy
        listing = Listing.of(request.query_params, NAMES)
        search = Search.of(listing.filters)
        try:
            page = searching.page(search, caller, policy, cursor=listing.cursor, limit=listing.limit)
        except selectors.CursorInvalid as error:
            raise ValidationError({"cursor": [str(error)]}) from error
        except Unfit as error:
            raise ValidationError({error.name: [str(error)]}) from error
        except RecordUnavailable as error:
            return unavailable(error)
        told: dict[str, Any] = {"next": page.following or None, "results": [_found(one) for one in page.found]}
        if page.calls is not None:
            told["calls"] = {"count": page.calls, "complete": page.is_all, "not_yet_searchable": behind()}
        return Response(told)


class Session(APIView):
    """One recorded session, entry by entry."""

    @extend_schema(
        operation_id="session_retrieve",
        parameters=[
            OpenApiParameter("after", OpenApiTypes.INT, description="entries after this one; `next` of an answer"),
            OpenApiParameter("call", OpenApiTypes.STR, description="from the first entry of this call on"),
        ],
        responses={200: OpenApiTypes.OBJECT, 404: OpenApiTypes.OBJECT, 503: OpenApiTypes.OBJECT},
    )
    def get(self, request: Request, session_id: str) -> Response:
        """Return the entries with their masked payloads, which an admin does not see, and how the proof stands."""
        caller, policy = cast("Caller", request.auth), runtime().policies.current.policy
        row = readable(session_id, caller, policy)
        if row is None:
            raise NotFound
        if row.actor != keys.actor(caller.key) and not record_read(caller, policy, row):
            return unavailable(NOT_RECORDED)
        shown = sees_payloads(row, caller, policy)
        after = request.query_params.get("after", "0")
        start = int(after) if after.isascii() and after.isdigit() and len(after) < 19 else 0
        if call := request.query_params.get("call"):
            start = selectors.entry_before_call(row.pk, call)
        entries = selectors.entries_of_session(row.pk, after=start, limit=STEPS + 1)
        told = {
            "next": entries[STEPS - 1].id if len(entries) > STEPS else None,
            "proof": asdict(chain(entries[:STEPS])),
            "entries": [_entry(one, shown=shown) for one in entries[:STEPS]],
        }
        return Response(_session(row) | told)


def _entry(one: RecordedEntry, *, shown: bool) -> dict[str, Any]:
    leaf = one.leaf
    payloads = {name: body.decode("utf-8", "replace") for name, body in one.payloads.items()} if shown else None
    return {
        "id": one.id,
        "log_index": one.log_index,
        "leaf_hash": one.leaf_hash.hex(),
        "is_sound": one.is_sound,
        **{name: getattr(leaf, name) for name in ("kind", "ts", "call", "method", "tool", "actor")},
        "policy": {"revision": leaf.revision, "digest": leaf.digest},
        "facts": dict(leaf.facts),
        "commitments": {name: commitment.digest for name, commitment in leaf.payloads.items()},
        "payloads": payloads,
        "missing": sorted(leaf.payloads.keys() - one.payloads.keys()),
    }


def _found(found: Found) -> dict[str, Any]:
    return _session(found.session) | {"calls": [_searched(call) for call in found.calls]}


def _searched(call: RecordedCall) -> dict[str, Any]:
    told = ("call_id", "actor", "method", "tool", "verdict", "outcome", "rules", "masked", "exposed")
    return {"at": call.at.isoformat(), **{name: getattr(call, name) for name in told}}


def _session(row: RecordedSession) -> dict[str, Any]:
    return {
        "id": row.pk,
        "connection": row.connection,
        "actor": row.actor,
        "run": row.run,
        "started_at": row.started_at.isoformat(),
        "url": f"{runtime().public_url}/sessions/{row.pk}/",
    }
