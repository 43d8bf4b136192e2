"""The page "My access": what the viewer may use, what is open for a while, and the form that asks for more."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST
from pydantic_core import PydanticCustomError

from approvals import access
from approvals.campaigns.services import to_review
from approvals.config.values import parse_duration
from approvals.database import database_now
from approvals.models import ApprovalRequest
from approvals.pages.cards import Card
from approvals.pages.requests import viewer
from approvals.recall import may_not_revoke
from approvals.rules.ruleset import ACCESS
from approvals.runtime import runtime
from approvals.selectors import asked_by, visible_to
from approvals.services import unrecorded
from approvals.states import Status
from sessions.journal import RecordUnavailable

if TYPE_CHECKING:
    from approvals.verdicts import Caller

SHOWN = 100
OVER_SHOWN = 20
ASKED = "It is asked and recorded. Whoever may decide sees it in their inbox."


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def mine(request: HttpRequest) -> HttpResponse:
    """Show what the viewer may use and asked for; a POST asks for access."""
    if request.method != "POST":
        return _page(request)
    caller, _ = viewer(request)
    try:
        outcome = _ask(caller, request)
    except PydanticCustomError as error:
        return _page(request, f"The duration {error.message()}.")
    except RecordUnavailable as error:
        return _page(request, unrecorded(error), status=503)
    if isinstance(outcome, access.Refused):
        return _page(request, outcome.message)
    messages.success(request, "The same request is open already." if outcome.joined else ASKED)
    return redirect("access")


def _ask(caller: Caller, request: HttpRequest) -> access.Asked | access.Refused:
    form = request.POST
    return access.ask(
        runtime(),
        caller,
        connection=form.get("connection", ""),
        tools=re.split(r"[\s,]+", form.get("tools", "").strip()) if form.get("tools", "").strip() else ["*"],
        seconds=cast("int", parse_duration(form.get("duration", "").strip())),
        reason=form.get("reason", ""),
        ends_with_session="ends_with_session" in form,
    )


@require_POST
@login_required
def end(request: HttpRequest, access_id: str) -> HttpResponse:
    """End access of the viewer's own, or take back the request for it."""
    caller, _ = viewer(request)
    try:
        outcome = access.end(runtime(), access_id=access_id, caller=caller)
    except RecordUnavailable as error:
        return _page(request, unrecorded(error), status=503)
    if isinstance(outcome, access.Refused):
        raise Http404
    messages.success(request, "It is over, with every held or running call that rested on it.")
    return redirect("access")


def _page(request: HttpRequest, problem: str = "", status: int = 400) -> HttpResponse:
    caller, policy = viewer(request)
    now = database_now()
    asked = ApprovalRequest.objects.filter(asked_by(caller, policy), rule=ACCESS).prefetch_related("votes")
    waiting = asked.filter(status=Status.PENDING, expires_at__gt=now)
    windows = access.open_windows(now)
    others = visible_to(caller, policy).filter(pk__in=windows).exclude(pk__in=asked).prefetch_related("votes")

    def cards(rows: Any, most: int = SHOWN) -> list[Card]:
        return [Card(row, caller, policy, now) for row in rows.order_by("-pk")[:most]]

    over = asked.exclude(pk__in=windows).exclude(pk__in=waiting)
    shown = {
        "windows": cards(asked.filter(pk__in=windows)),
        "waiting": cards(waiting),
        "over": cards(over, OVER_SHOWN),
        "others": cards(others),
    }
    context: dict[str, Any] = {
        **shown,
        "revocable": {card.request.pk for card in shown["others"] if not may_not_revoke(card.request, caller, policy)},
        "usable": [
            (name, connection.description or "", tools)
            for name, connection in sorted(policy.config.connections.items())
            if (tools := policy.tools_of(caller, name))
        ],
        "requestable": access.requestable(policy),
        "state": " ".join(card.state for found in shown.values() for card in found),
        "reviews": to_review(caller),
        "problem": problem,
        "given": request.POST,
    }
    return render(request, "approvals/access.html", context, status=status if problem else 200)
