"""The page of remembered decisions."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from approvals import revocation
from approvals.database import database_now
from approvals.grant_cards import GrantCard, grants_for
from approvals.grants import open_at
from approvals.pages.requests import viewer
from approvals.runtime import runtime
from approvals.services import unrecorded
from sessions.journal import RecordUnavailable

OPEN_SHOWN = 200
ENDED_SHOWN = 20


@require_GET
@login_required
def grants(request: HttpRequest) -> HttpResponse:
    """Show the decisions that are remembered now, and those that ended last."""
    caller, policy = viewer(request)
    now, rows = database_now(), grants_for(caller, policy)
    standing = rows.filter(pk__in=open_at(now))
    cards = [GrantCard(row, caller, policy, now) for row in standing.order_by("expires_at")[:OPEN_SHOWN]]
    over = rows.exclude(pk__in=open_at(now)).order_by("-id")[:ENDED_SHOWN]
    ended = [GrantCard(row, caller, policy, now) for row in over]
    state = " ".join(card.state for card in [*cards, *ended])
    return render(request, "approvals/grants.html", {"cards": cards, "ended": ended, "state": state})


@require_POST
@login_required
def revoke(request: HttpRequest, grant_id: str) -> HttpResponse:
    """Take a remembered decision back."""
    caller, _ = viewer(request)
    try:
        outcome = revocation.revoke_grant(runtime(), grant_id=grant_id, caller=caller)
    except RecordUnavailable as error:
        messages.error(request, unrecorded(error))
        return redirect("grants")
    match outcome:
        case revocation.Unknown():
            raise Http404
        case revocation.NotYours(reason):
            messages.error(request, reason)
        case revocation.Revoked():
            messages.success(request, "It is taken back and recorded. The next such call asks people again.")
    return redirect("grants")
