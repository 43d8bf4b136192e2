"""The page of retention: how long payloads are kept, what is held, and what somebody asked to erase."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from approvals import erasure
from approvals.pages.requests import viewer
from approvals.runtime import runtime
from approvals.searching import Unfit, moment
from sessions.journal import RecordUnavailable
from sessions.models import ErasureRequest, LegalHold, RetentionProgress

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse

    from approvals.policy import Policy
    from approvals.verdicts import Caller

MOST_SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class Lifetime:
    """A connection: how many seconds its payloads are kept, and up to when they were looked at."""

    connection: str
    seconds: int
    until: datetime | None


@require_GET
@login_required
def page(request: HttpRequest) -> HttpResponse:
    """Show lifetimes, holds and erasures to auditors and admins."""
    caller, policy = _allowed(request)
    looked = dict(RetentionProgress.objects.values_list("connection", "ts"))
    connections = policy.config.connections
    context = {
        "lifetimes": [
            Lifetime(name, connections[name].keep_payloads, looked.get(name)) for name in sorted(connections)
        ],
        "holds": LegalHold.objects.all()[:MOST_SHOWN],
        "erasures": [(row, erasure.why_not(row, caller, policy)) for row in ErasureRequest.objects.all()[:MOST_SHOWN]],
        "session": request.GET.get("session", "")[:64],
        "call": request.GET.get("call", "")[:64],
        "connections": sorted(connections),
        "runs_here": erasure.runs_here(),
    }
    return render(request, "sessions/retention.html", context)


@require_POST
@login_required
def hold(request: HttpRequest) -> HttpResponse:
    """Place a hold."""
    caller, _ = _allowed(request)
    sent = request.POST

    def work() -> None:
        what = {name: sent.get(name, "").strip()[:200] for name in ("connection", "session", "call_id", "actor")}
        since, until = moment("since", sent.get("since", "")), moment("until", sent.get("until", ""))
        erasure.place(runtime(), caller, sent.get("reason", ""), **what, since=since, until=until)

    return _done(request, work, "It is held, and stays until somebody lifts the hold.")


@require_POST
@login_required
def lift(request: HttpRequest, hold_id: str) -> HttpResponse:
    """Lift a hold."""
    caller, _ = _allowed(request)
    row = LegalHold.objects.filter(pk=hold_id).first()
    if row is None:
        raise Http404
    reason = request.POST.get("reason", "")
    return _done(request, lambda: erasure.lift(runtime(), caller, row, reason), "The hold was lifted.")


@require_POST
@login_required
def ask(request: HttpRequest) -> HttpResponse:
    """Ask for an erasure."""
    caller, _ = _allowed(request)
    session, call, reason = (request.POST.get(name, "").strip() for name in ("session", "call_id", "reason"))
    return _done(
        request,
        lambda: erasure.ask(runtime(), caller, session[:64], call[:64], reason),
        "It waits for a second person.",
    )


@require_POST
@login_required
def confirm(request: HttpRequest, erasure_id: str) -> HttpResponse:
    """Confirm an erasure that somebody else asked for."""
    caller, row = _allowed(request)[0], _erasure(erasure_id)
    return _done(request, lambda: erasure.confirm(runtime(), caller, row), "It will be erased within minutes.")


@require_POST
@login_required
def withdraw(request: HttpRequest, erasure_id: str) -> HttpResponse:
    """End an erasure that was asked for; nothing is erased."""
    caller, row = _allowed(request)[0], _erasure(erasure_id)
    return _done(request, lambda: erasure.withdraw(runtime(), caller, row), "It was withdrawn; nothing is erased.")


def _allowed(request: HttpRequest) -> tuple[Caller, Policy]:
    caller, policy = viewer(request)
    if not erasure.may(caller, policy):
        raise Http404
    return caller, policy


def _erasure(erasure_id: str) -> ErasureRequest:
    row = ErasureRequest.objects.filter(pk=erasure_id).first()
    if row is None:
        raise Http404
    return row


def _done(request: HttpRequest, work: Callable[[], Any], said: str) -> HttpResponse:
    try:
        work()
    except (erasure.Refused, Unfit) as error:
        messages.warning(request, str(error))
    except RecordUnavailable:
        return render(request, "503.html", status=503)
    else:
        messages.success(request, said)
    return redirect("retention")
