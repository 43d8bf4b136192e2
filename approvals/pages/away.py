"""The page "Away": who decides in one's place and when, and for whom one decides oneself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_http_methods, require_POST

from approvals import delegation, services
from approvals.database import database_now
from approvals.runtime import runtime
from sessions.journal import RecordUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from approvals.models import Delegation, Person

UNREADABLE = "Say when it ends, and when it begins if that is not now: a date and a time, in UTC."


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def away(request: HttpRequest) -> HttpResponse:
    """Show who stands in for the viewer and for whom the viewer does; a POST names somebody."""
    person = cast("Person", request.user)
    if request.method == "POST":
        begins, ends = _moment(request.POST.get("starts_at", "")), _moment(request.POST.get("ends_at", ""))
        if ends is None or (begins is None and request.POST.get("starts_at")):
            return _page(request, person, UNREADABLE)
        to = request.POST.get("delegate", "")
        return _done(
            request, lambda: delegation.delegate(runtime(), person, to, begins, ends), "It is set and recorded."
        )
    return _page(request, person)


@require_POST
@login_required
def revoke(request: HttpRequest, delegation_id: str) -> HttpResponse:
    """End a delegation before its date."""
    person = cast("Person", request.user)
    return _done(request, lambda: delegation.revoke(runtime(), delegation_id, person), "It is over.")


def _done(
    request: HttpRequest, work: Callable[[], delegation.Delegated | delegation.Refused], done: str
) -> HttpResponse:
    try:
        outcome = work()
    except RecordUnavailable as error:
        return _page(request, cast("Person", request.user), services.unrecorded(error), status=503)
    if isinstance(outcome, delegation.Refused):
        return _page(request, cast("Person", request.user), outcome.reason)
    messages.success(request, done)
    return redirect("away")


def _page(request: HttpRequest, person: Person, problem: str = "", status: int = 400) -> HttpResponse:
    now = database_now()
    rows = delegation.of(person)
    open_rows = [row for row in rows if row.revoked_at is None and row.ends_at > now]
    context: dict[str, Any] = {
        "mine": [_shown(row, now) for row in open_rows if row.delegator == person.key],
        "theirs": [_shown(row, now) for row in open_rows if row.delegate == person.key],
        "over": [row for row in rows if row not in open_rows],
        "choices": delegation.may_be_delegates(person, runtime().policies.current.policy.config),
        "days": settings.DELEGATION_DAYS,
        "now": now,
        "problem": problem,
        "given": request.POST,
    }
    return render(request, "approvals/away.html", context, status=status if problem else 200)


def _shown(row: Delegation, now: datetime) -> tuple[Delegation, bool]:
    """Return a delegation, and whether it is in force."""
    return row, row.starts_at <= now


def _moment(text: str) -> datetime | None:
    """Read what a browser's field for a date and a time sends; it stands in UTC."""
    try:
        at = parse_datetime(text)
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at
