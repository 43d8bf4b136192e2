"""Access for a while: asking for it, the windows that people opened, and their end.

A window is an approved request of its own kind (`ApprovalRequest.is_access`): it is open until `execute_by`, by the
database's clock, and over when its status says something else. Everything that ends requests ends windows as well.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import Exists, OuterRef, Q

from approvals import hints, keys, outbox
from approvals.config.values import format_duration
from approvals.database import database_now
from approvals.denials import DeniedTooOften, refuse_a_loop
from approvals.eligibility import has_asked
from approvals.entries import approval_entry
from approvals.holding import TooManyPending, refuse_a_flood, requester_columns, supersede
from approvals.models import ApprovalRequest
from approvals.rules.matching import Globs
from approvals.rules.ruleset import ACCESS
from approvals.selectors import still_approved
from approvals.services import MAX_COMMENT, move
from approvals.states import Status
from approvals.ties import person_behind, retied
from approvals.verdicts import Window
from sessions.ids import uuid7
from sessions.journal import RevisionMoved

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from django.db.models import QuerySet

    from approvals.policy import Policy
    from approvals.publication import Snapshot
    from approvals.runtime import Runtime
    from approvals.verdicts import ApprovalTerms, Caller
    from sessions.events import Event

METHOD = "access/request"
TOOL = "access"
MOST_TOOLS = 20
SWEEP_BATCH = 200
# Whose access a window is: account and run.
Owner = tuple[str, tuple[tuple[str, str], ...]]
_TOOL = re.compile(r"[A-Za-z0-9_.:/*?-]{1,128}\Z")
NOT_REQUESTABLE = "There is no such connection, or access to it cannot be asked for."
NO_TOOL = "A tool is named by letters, digits and _ . : / -, with the wildcards * and ?."
NOBODY_KNOWN = "It is not known who must not approve this: the token names nobody who started the job."


@dataclass(frozen=True, slots=True)
class Requestable:
    """A connection to which access can be asked for; `max_duration` in seconds."""

    name: str
    description: str
    max_duration: int


@dataclass(frozen=True, slots=True)
class Asked:
    """The request that people decide; `joined` says that the same one was open already."""

    request: ApprovalRequest
    joined: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """The window, or the request for one, is over, now or before."""

    request: ApprovalRequest


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was asked or ended. `reason`: forbidden, invalid_request or rate_limited."""

    reason: str
    message: str


class WindowClosed(RevisionMoved):
    """The window on which a call's access rests is over: what it was judged by is no longer the current state."""


def requestable(policy: Policy) -> tuple[Requestable, ...]:
    """Return where access can be asked for. Their names and descriptions are no secret from anybody known here."""
    return tuple(
        Requestable(name, connection.description or "", connection.access_requests.max_duration)
        for name, connection in sorted(policy.config.connections.items())
        if connection.access_requests is not None
    )


def ask(
    runtime: Runtime,
    caller: Caller,
    *,
    connection: str,
    seconds: int,
    reason: str,
    tools: Sequence[str] = ("*",),
    ends_with_session: bool = False,
) -> Asked | Refused:
    """Ask people to let this caller (and run) use a connection for so many seconds from their approval on.

    `tools` are globs over names of tools. With `ends_with_session` the window also ends when the caller ends a protocol
    session with that connection. Raises RecordUnavailable.
    """

    def work() -> tuple[Asked | Refused, Sequence[Event]]:
        snapshot = runtime.policies.reload()
        terms = snapshot.policy.access_terms(connection)
        if terms is None:
            return Refused("forbidden", NOT_REQUESTABLE), ()
        masked = snapshot.outlet(connection).text(reason.strip())[:MAX_COMMENT]
        if refused := _not_acceptable(caller, terms, snapshot, connection, tools, seconds, masked):
            return refused, ()
        wanted = {"tools": sorted(set(tools)), "seconds": seconds, "ends_with_session": ends_with_session}
        return _open(caller, connection, replace(terms, collect_within=seconds), wanted, masked, snapshot)

    outcome = runtime.journal.transact_now(work)
    if isinstance(outcome, Asked):
        runtime.waiting.hint([outcome.request.pk])
    return outcome


def _not_acceptable(
    caller: Caller,
    terms: ApprovalTerms,
    snapshot: Snapshot,
    connection: str,
    tools: Sequence[str],
    seconds: int,
    reason: str,
) -> Refused | None:
    outlet = snapshot.outlet(connection)
    if not reason:
        return Refused("invalid_request", "Say why you need access.")
    if not 0 < seconds <= terms.collect_within:
        longest = format_duration(terms.collect_within)
        return Refused("invalid_request", f"Access to {connection} is given for {longest} at most.")
    if not tools or len(tools) > MOST_TOOLS:
        return Refused("invalid_request", f"Name at least one tool, and {MOST_TOOLS} at most; * stands for all.")
    if not all(_TOOL.match(tool) and outlet.text(tool) == tool for tool in tools):
        return Refused("invalid_request", NO_TOOL)
    if caller.kind == "ci" and not caller.owned_by and not person_behind(caller):
        return Refused("forbidden", NOBODY_KNOWN)
    return None


def _open(
    caller: Caller,
    connection: str,
    terms: ApprovalTerms,
    wanted: dict[str, Any],
    reason: str,
    snapshot: Snapshot,
) -> tuple[Asked | Refused, Sequence[Event]]:
    now = database_now()
    run = json.dumps(sorted(caller.run))
    digest = keys.keyed_digest("access", caller.key, run, connection, json.dumps(wanted), terms.fingerprint)
    same = ApprovalRequest.objects.filter(call_digest=digest, status=Status.PENDING, expires_at__gt=now).first()
    if same is not None:
        return Asked(same, joined=True), ()
    try:
        refuse_a_flood(caller, now)
        refuse_a_loop(caller, connection, METHOD, TOOL, now)
    except (TooManyPending, DeniedTooOften) as error:
        return Refused("rate_limited", str(error)), ()
    shown = {"tools": wanted["tools"], "duration": format_duration(wanted["seconds"])}
    if wanted["ends_with_session"]:
        shown["ends_with_session"] = True
    first = terms.timetable.next_after(0, 0)
    request = ApprovalRequest.objects.create(
        call_id=uuid7(),
        connection=connection,
        method=METHOD,
        tool=TOOL,
        arguments=json.dumps(shown, indent=2),
        reason=reason,
        call_digest=digest,
        binding=keys.keyed_digest("binding", digest, snapshot.digest, terms.rule, terms.fingerprint),
        **requester_columns(caller, snapshot.policy.config),
        rule=terms.rule,
        rule_fingerprint=terms.fingerprint,
        policy_revision=snapshot.revision,
        terms={**terms.as_json(), "access": wanted},
        created_at=now,
        expires_at=now + timedelta(seconds=terms.expires_after),
        next_action_at=None if first is None else now + timedelta(seconds=first),
    )
    hints.changed(request.pk)
    outbox.enqueue(request, "requested")
    outlet = snapshot.outlet(connection)
    payloads = {"request": outlet.value_for_record(shown), "reason": outlet.value_for_record(reason)}
    facts = {"expires_at": request.expires_at.isoformat(), "seconds": wanted["seconds"]}
    entry = approval_entry(request, "requested", snapshot, actor=keys.actor(caller.key), **facts)
    return Asked(request), (replace(entry, payloads=payloads),)


def open_windows(now: datetime) -> QuerySet[ApprovalRequest]:
    """Return the windows that are open at this moment."""
    return ApprovalRequest.objects.filter(rule=ACCESS, status=Status.APPROVED, execute_by__gt=now)


def load(policy: Policy) -> dict[Owner, tuple[Window, ...]]:
    """Return every window that is open on the terms of this policy, by whose it is."""
    found: dict[Owner, tuple[Window, ...]] = {}
    for request in open_windows(database_now()).order_by("pk"):
        if policy.fingerprint_of((ACCESS,), request.connection) != request.rule_fingerprint:
            continue
        wanted = request.terms["access"]
        window = Window(
            id=request.pk,
            connection=request.connection,
            tools=Globs(wanted["tools"]),
            fingerprint=request.rule_fingerprint,
            ends_with_session=wanted["ends_with_session"],
        )
        account = f"{request.requester_iss}|{request.requester_sub}"
        owner = (account, tuple(sorted(request.requester_run.items())))
        found[owner] = (*found.get(owner, ()), window)
    return found


def require_open(window_id: str) -> None:
    """Hold a window open until this transaction ends, for a call whose access rests on it. Raises WindowClosed.

    The row is locked: whoever ends the window waits until the intent of the call is committed, or was first.
    """
    rows = open_windows(database_now()).select_for_update(no_key=True)
    if window_id and rows.filter(pk=window_id).first() is None:
        raise WindowClosed(0)


def end(runtime: Runtime, *, access_id: str, caller: Caller) -> Ended | Refused:
    """End a window, or take back the request for one, for who asked and the person behind them.

    Held calls that came under it end with it, and running ones in whatever process. Raises RecordUnavailable.
    """
    return _end(runtime, Q(pk=access_id), caller)


def end_with_session(runtime: Runtime, caller: Caller, connection: str) -> None:
    """End the windows of this caller that were to end with their protocol session. Raises RecordUnavailable."""
    for window in caller.windows:
        if window.connection == connection and window.ends_with_session:
            _end(runtime, Q(pk=window.id), caller)


def _end(runtime: Runtime, which: Q, caller: Caller) -> Ended | Refused:
    def work() -> tuple[Ended | Refused, Sequence[Event]]:
        snapshot, now = runtime.policies.reload(), database_now()
        request = ApprovalRequest.objects.filter(which, rule=ACCESS).first()
        if request is None or not has_asked(request, retied(caller, snapshot.policy)):
            return Refused("forbidden", "You have no such access."), ()
        old = Status(request.status)
        events: list[Event] = []
        if old in {Status.PENDING, Status.APPROVED} and move(request.pk, old, Status.CANCELLED, ended_at=now):
            events = [approval_entry(request, "cancelled", snapshot, actor=keys.actor(caller.key))]
            events += _end_held(snapshot, now, _held().filter(access=request.pk))
        request.refresh_from_db()
        return Ended(request), events

    outcome = runtime.journal.transact_now(work)
    if isinstance(outcome, Ended):
        tell(runtime, outcome.request.pk)
    return outcome


def tell(runtime: Runtime, window_id: str) -> None:
    """Say in this process that a window ended, and every held call with it."""
    held = ApprovalRequest.objects.filter(access=window_id).values_list("pk", flat=True)
    runtime.waiting.hint([window_id, *held])


def run_due(runtime: Runtime) -> int:
    """End what has lost its ground: windows whose terms or givers changed, held calls whose window is over.

    Return how many. Whatever ended a window, the held calls that came under it end within one sweep.
    """
    if not (_orphans(now := database_now()).exists() or open_windows(now).exists()):
        return 0

    def work() -> tuple[list[str], Sequence[Event]]:
        snapshot, now = runtime.policies.reload(), database_now()
        events = [event for window in open_windows(now)[:SWEEP_BATCH] for event in _weigh(window, snapshot)]
        events += _end_held(snapshot, now, _orphans(now))
        return [str(event.facts["approval"]) for event in events], events

    moved = runtime.journal.transact_now(work)
    runtime.waiting.hint(moved)
    return len(moved)


def _weigh(window: ApprovalRequest, snapshot: Snapshot) -> Sequence[Event]:
    """Supersede a window whose terms are others by now, or whose givers may not give it any more."""
    if snapshot.policy.fingerprint_of((ACCESS,), window.connection) != window.rule_fingerprint:
        return supersede(window, snapshot, cause="policy")
    return () if still_approved(window, snapshot) else supersede(window, snapshot, cause="approvers")


def _held() -> QuerySet[ApprovalRequest]:
    """Return the calls that came under some window and have not begun to run."""
    return ApprovalRequest.objects.filter(~Q(access=""), status__in=[Status.PENDING, Status.APPROVED])


def _orphans(now: datetime) -> QuerySet[ApprovalRequest]:
    """Return those of them whose window is not open any more."""
    return _held().exclude(Exists(open_windows(now).filter(pk=OuterRef("access"))))


def _end_held(snapshot: Snapshot, now: datetime, held: QuerySet[ApprovalRequest]) -> list[Event]:
    """Revoke these calls; of what follows for their callers, nothing was run."""
    return [
        approval_entry(request, "revoked", snapshot, cause="access", access=request.access)
        for request in held[:SWEEP_BATCH]
        if move(request.pk, Status(request.status), Status.REVOKED, ended_at=now)
    ]
