"""The record as people read it.

The list of sessions, and one session step by step. Payloads are the masked ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from approvals import keys
from approvals.legible import Piece, whole
from approvals.policy import Policy
from approvals.runtime import runtime
from approvals.standing import roles_of
from approvals.verdicts import Caller
from approvals.views import viewer
from sessions import selectors
from sessions.events import Event
from sessions.journal import RecordUnavailable
from sessions.leaf import moment
from sessions.models import RecordedSession
from sessions.selectors import RecordedEntry

STEPS = 500
OPEN_BYTES = 1_500
# Kind of entry: how it looks, and what it means.
KINDS: dict[str, tuple[str, str]] = {
    "session.started": ("", "Session began"),
    "call.intent": ("go", "Forwarded to the upstream"),
    "call.result": ("go", "Answered"),
    "call.message": ("", "The upstream sent a message"),
    "call.failed": ("stop", "Failed"),
    "call.unknown": ("stop", "Outcome unknown"),
    "call.cancelled": ("", "Cancelled"),
    "call.abandoned": ("", "The caller left"),
    "call.blocked": ("stop", "Blocked by policy"),
    "call.refused": ("stop", "Refused"),
    "approval.requested": ("wait", "Held: people are asked"),
    "approval.voted": ("wait", "A person voted"),
    "approval.vote_refused": ("", "A vote was not accepted"),
    "approval.approved": ("go", "Approved"),
    "approval.denied": ("stop", "Denied"),
    "approval.expired": ("", "Expired: nobody decided in time"),
    "approval.cancelled": ("", "Withdrawn by the requester"),
    "approval.superseded": ("", "Superseded: something it rested on changed"),
    "approval.lapsed": ("", "Lapsed: nobody collected it in time"),
    "approval.resolved": ("", "A person settled the outcome"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of the record on the replay page."""

    entry: RecordedEntry
    payloads: tuple[tuple[str, tuple[tuple[Piece, ...], bool]], ...]
    """Name, text, and whether it is short enough to be open at first."""
    erased: tuple[str, ...]

    @property
    def tone(self) -> str:
        return KINDS.get(self.entry.leaf.kind, ("", ""))[0]

    @property
    def title(self) -> str:
        return KINDS.get(self.entry.leaf.kind, ("", self.entry.leaf.kind))[1]

    @property
    def at(self) -> datetime:
        return moment(self.entry.leaf.ts)

    @property
    def facts(self) -> list[tuple[str, object]]:
        return sorted((name, value) for name, value in self.entry.leaf.facts.items() if value not in (None, "", []))


def step(entry: RecordedEntry, *, sees_payloads: bool) -> Step:
    """Return the step of an entry; without payloads for who must not see them."""
    bodies = sorted(entry.payloads.items()) if sees_payloads else []
    shown = tuple((name, (whole(body.decode("utf-8", "replace")), _is_open(name, body))) for name, body in bodies)
    return Step(entry, shown, tuple(sorted(entry.leaf.payloads.keys() - entry.payloads.keys())))


def _is_open(name: str, body: bytes) -> bool:
    return name != "actor" and len(body) <= OPEN_BYTES


def reads_all(caller: Caller, policy: Policy) -> bool:
    """Say whether this person may list the sessions of others."""
    return bool(roles_of(caller, policy) & {"auditor", "admin"})


def sees_payloads(session: RecordedSession, caller: Caller, policy: Policy) -> bool:
    """Say whether this person may see what calls carried: auditors, and callers their own."""
    return session.actor == keys.actor(caller.key) or "auditor" in roles_of(caller, policy)


def readable(session_id: str, caller: Caller, policy: Policy) -> RecordedSession | None:
    """Return a session that this person may open, or None."""
    session = RecordedSession.objects.filter(pk=session_id).first()
    if session is None or not (session.actor == keys.actor(caller.key) or reads_all(caller, policy)):
        return None
    return session


@require_GET
@login_required
def sessions(request: HttpRequest) -> HttpResponse:
    """List sessions, newest first: all of them for auditors and admins, one's own for everybody else."""
    caller, policy = viewer(request)
    own = keys.actor(caller.key)
    try:
        rows, following = selectors.recorded_sessions(
            cursor=request.GET.get("cursor", ""),
            connection=request.GET.get("connection", ""),
            actor="" if reads_all(caller, policy) else own,
        )
    except selectors.CursorInvalid as error:
        raise Http404 from error
    names = sorted(policy.config.connections) if reads_all(caller, policy) else []
    context = {
        "rows": rows,
        "next": following,
        "connections": names,
        "chosen": request.GET.get("connection", ""),
    }
    return render(request, "sessions/list.html", context | {"own": own, "all": reads_all(caller, policy)})


@require_GET
@login_required
def session(request: HttpRequest, session_id: str) -> HttpResponse:
    """Replay one session.

    That somebody read the session of another is itself recorded, before it is shown.
    """
    caller, policy = viewer(request)
    row = readable(session_id, caller, policy)
    if row is None:
        raise Http404
    if row.actor != keys.actor(caller.key) and not _recorded_read(caller, policy, row):
        return render(request, "503.html", status=503)
    after = request.GET.get("after", "0")
    entries = selectors.entries_of_session(row.pk, after=int(after) if after.isdecimal() else 0, limit=STEPS + 1)
    shown = sees_payloads(row, caller, policy)
    steps = [step(entry, sees_payloads=shown) for entry in entries[:STEPS]]
    context: dict[str, Any] = {
        "session": row,
        "steps": steps,
        "sees_payloads": shown,
        "who": _who(entries, shown),
    }
    context["more"] = steps[-1].entry.id if len(entries) > STEPS else None
    return render(request, "sessions/replay.html", context)


def _recorded_read(caller: Caller, policy: Policy, row: RecordedSession) -> bool:
    event = Event(
        kind="record.read",
        actor=keys.actor(caller.key),
        policy_revision=policy.revision,
        policy_digest=policy.digest,
        facts={"session": row.pk},
    )
    try:
        runtime().journal.append_now(event)
    except RecordUnavailable:
        return False
    return True


def _who(entries: list[RecordedEntry], shown: bool) -> dict[str, Any]:
    """Return who called, as the first entry that says so has it; empty once that was erased."""
    for entry in entries if shown else []:
        for name in ("actor", "caller"):
            if body := entry.payloads.get(name):
                found = orjson.loads(body)
                return found if isinstance(found, dict) else {}
    return {}
