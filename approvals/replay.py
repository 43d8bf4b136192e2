"""The record as people read it: the list of sessions, and one session step by step. Payloads are the masked ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from approvals import keys, searching, tracing_calls
from approvals.chain import chain
from approvals.pages.requests import viewer
from approvals.pages.timeline import lines, named
from approvals.runtime import runtime
from approvals.searching import Search, Unfit, reads_all
from approvals.standing import roles_of
from sessions import selectors
from sessions.events import Event, Fact
from sessions.journal import RecordUnavailable
from sessions.models import RecordedSession
from sessions.search.index import OUTCOMES, VERDICTS, behind

if TYPE_CHECKING:
    from approvals.policy import Policy
    from approvals.verdicts import Caller
    from sessions.selectors import CallSummary

STEPS: Final = 300
NOT_RECORDED: Final = RecordUnavailable("that it was read could not be recorded")


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
    search, problem, found = Search.of(request.GET), None, None
    try:
        found = searching.page(search, caller, policy, cursor=request.GET.get("cursor", ""))
    except selectors.CursorInvalid as error:
        raise Http404 from error
    except RecordUnavailable:
        return render(request, "503.html", status=503)
    except Unfit as error:
        problem = error
    config = policy.config
    masks = {name for rule in config.in_force.masking for name in (*rule.detectors, *rule.fields)}
    context = {
        "search": search,
        "found": found,
        "problem": problem,
        "own": keys.actor(caller.key),
        "all": reads_all(caller, policy),
        "searches_words": searching.may_search_words(caller, policy),
        "connections": sorted(config.connections),
        "rules": sorted(rule.name for rule in config.in_force.rules),
        "classes": sorted(masks),
        "verdicts": VERDICTS,
        "outcomes": OUTCOMES,
        "behind": behind() if search.given else 0,
    }
    return render(request, "sessions/list.html", context, status=400 if problem else 200)


@require_GET
@login_required
def session(request: HttpRequest, session_id: str) -> HttpResponse:
    """Replay one session, from its beginning, from an entry or from a call on.

    That somebody read the session of another is itself recorded, before it is shown.
    """
    caller, policy = viewer(request)
    row = readable(session_id, caller, policy)
    if row is None:
        raise Http404
    if row.actor != keys.actor(caller.key) and not record_read(caller, policy, row):
        return render(request, "503.html", status=503)
    after = _after(request, row)
    entries = selectors.entries_of_session(row.pk, after=after, limit=STEPS + 1)
    shown, explains = sees_payloads(row, caller, policy), reads_all(caller, policy)
    told = lines(entries[:STEPS], sees_payloads=shown)
    tracing_calls.add_what_was_seen(told, sees_payloads=shown)
    tracing_calls.add_erasures(told)
    if explains:
        tracing_calls.add_traces(told, shows_values=shown)
    context: dict[str, Any] = {
        "session": row,
        "lines": told,
        "chain": chain(entries[:STEPS]),
        "sees_payloads": shown,
        "explains": explains,
        "who": named(entries) if shown else {},
        "after": after,
        "is_print": request.GET.get("view") == "print",
        "more": entries[STEPS - 1].id if len(entries) > STEPS else None,
    }
    return render(request, "sessions/replay.html", context)


def record_read(caller: Caller, policy: Policy, row: RecordedSession | CallSummary) -> bool:
    """Record that somebody reads a session of another, or a call in it; say whether that could be recorded."""
    facts: dict[str, Fact] = {"session": row.pk if isinstance(row, RecordedSession) else row.session}
    if not isinstance(row, RecordedSession):
        facts["call"] = row.call_id
    event = Event(
        kind="record.read",
        actor=keys.actor(caller.key),
        policy_revision=policy.revision,
        policy_digest=policy.digest,
        facts=facts,
    )
    try:
        runtime().journal.append_now(event)
    except RecordUnavailable:
        return False
    return True


def _after(request: HttpRequest, row: RecordedSession) -> int:
    """Return the entry after which the page begins: `after`, or before the first entry of `call`."""
    if call := request.GET.get("call", ""):
        return selectors.entry_before_call(row.pk, call)
    after = request.GET.get("after", "")
    return int(after) if after.isascii() and after.isdigit() and len(after) < 19 else 0
