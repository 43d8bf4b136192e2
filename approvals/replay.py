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
from approvals.entry_words import ENTRIES
from approvals.legible import Piece, whole
from approvals.outlet import counts_in
from approvals.policy import Policy
from approvals.runtime import runtime
from approvals.standing import roles_of
from approvals.verdicts import Caller
from approvals.views import viewer
from sessions import selectors
from sessions.calls import HELD, OPENING
from sessions.events import Event
from sessions.journal import RecordUnavailable
from sessions.leaf import moment
from sessions.models import RecordedSession
from sessions.selectors import RecordedEntry

STEPS = 500
OPEN_BYTES = 1_500
_COUNTS = ("masked", "exposed")  # shown as sentences of their own


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of the record on the replay page."""

    entry: RecordedEntry
    payloads: tuple[tuple[str, tuple[tuple[Piece, ...], bool]], ...]
    """Name, text, and whether it is short enough to be open at first."""
    erased: tuple[str, ...]

    @property
    def is_judged(self) -> bool:
        """Whether rules decided on a call here, for the first time."""
        leaf = self.entry.leaf
        return (
            leaf.kind in OPENING and "request" in leaf.payloads and (leaf.kind == HELD or "approval" not in leaf.facts)
        )

    @property
    def tone(self) -> str:
        return ENTRIES.get(self.entry.leaf.kind, ("", ""))[0]

    @property
    def title(self) -> str:
        return ENTRIES.get(self.entry.leaf.kind, ("", self.entry.leaf.kind))[1]

    @property
    def at(self) -> datetime:
        return moment(self.entry.leaf.ts)

    @property
    def facts(self) -> list[tuple[str, object]]:
        told = self.entry.leaf.facts.items()
        return sorted((name, value) for name, value in told if name not in _COUNTS and value not in (None, "", []))

    @property
    def masked(self) -> dict[str, int]:
        """What was hidden here, by class."""
        return counts_in(self.entry.leaf.facts.get("masked"))

    @property
    def exposed(self) -> dict[str, int]:
        """What a rule hides from others and this caller was shown, by class."""
        return counts_in(self.entry.leaf.facts.get("exposed"))


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
    own, chosen = keys.actor(caller.key), request.GET.get("caller", "")
    try:
        rows, following = selectors.recorded_sessions(
            cursor=request.GET.get("cursor", ""),
            connection=request.GET.get("connection", ""),
            actor=chosen if reads_all(caller, policy) else own,
        )
    except selectors.CursorInvalid as error:
        raise Http404 from error
    names = sorted(policy.config.connections) if reads_all(caller, policy) else []
    context = {
        "rows": rows,
        "next": following,
        "connections": names,
        "chosen": request.GET.get("connection", ""),
        "chosen_caller": chosen if reads_all(caller, policy) else "",
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
    if row.actor != keys.actor(caller.key) and not record_read(caller, policy, row):
        return render(request, "503.html", status=503)
    after = request.GET.get("after", "0")
    entries = selectors.entries_of_session(row.pk, after=int(after) if after.isdecimal() else 0, limit=STEPS + 1)
    shown = sees_payloads(row, caller, policy)
    steps = [step(entry, sees_payloads=shown) for entry in entries[:STEPS]]
    context: dict[str, Any] = {
        "session": row,
        "steps": steps,
        "sees_payloads": shown,
        "explains": reads_all(caller, policy),
        "who": _who(entries, shown),
    }
    context["more"] = steps[-1].entry.id if len(entries) > STEPS else None
    return render(request, "sessions/replay.html", context)


def record_read(caller: Caller, policy: Policy, row: RecordedSession) -> bool:
    """Record that somebody reads a session of another; say whether that could be recorded."""
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
