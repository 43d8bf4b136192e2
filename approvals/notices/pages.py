"""The page of the routes: how each fares, what was sent by it, a test, and sending again. For who runs the gateway."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from approvals.database import database_now
from approvals.models import OutboundMessage
from approvals.notices import resending
from approvals.notices.health import NO_LINKS, Health, health_of, routes_of
from approvals.notices.models import Attempt
from approvals.pages.requests import viewer
from approvals.policy import Policy
from approvals.runtime import runtime
from approvals.standing import roles_of
from approvals.verdicts import Caller
from sessions.journal import RecordUnavailable

PAGE: Final = 30
READERS: Final = frozenset({"admin", "operator", "auditor"})
ACTORS: Final = frozenset({"admin", "operator"})
SHOWS: Final = {"": "All", "queued": "Waiting", "dead": "Given up"}
# For so long the page looks by itself what became of a test.
FOLLOWED: Final = timedelta(minutes=5)
_NOT_RECORDED: Final = "The record cannot be written now, so nothing was sent. Please try again."


def _allowed(request: HttpRequest, roles: frozenset[str]) -> tuple[Caller, Policy]:
    caller, policy = viewer(request)
    if not roles_of(caller, policy) & roles:
        raise PermissionDenied
    return caller, policy


@require_GET
@login_required
def routes(request: HttpRequest) -> HttpResponse:
    """Show every route of the policy and the newest messages."""
    caller, policy = _allowed(request, READERS)
    show = request.GET.get("show", "")
    if show not in SHOWS:
        raise Http404
    rows = OutboundMessage.objects.filter(status=show) if show else OutboundMessage.objects.all()
    page = _page(rows, request.GET.get("before", ""))
    health, sent = health_of(policy.config), with_attempts(page[:PAGE])
    working = _on_its_way(page[:PAGE], database_now())
    context: dict[str, Any] = {
        "routes": health,
        "no_links": "" if settings.PUBLIC_URL else f"The {NO_LINKS}.",
        "silent": silent_rules(policy),
        "may_act": bool(roles_of(caller, policy) & ACTORS),
        "show": show,
        "shows": SHOWS,
        "sent": sent,
        "state": f"{working} {_state(sent, health)}",
        "working": working,
        "before": page[PAGE - 1].pk if len(page) > PAGE else "",
    }
    return render(request, "notices/routes.html", context)


def _state(rows: list[tuple[OutboundMessage, list[Attempt], bool]], routes: list[Health]) -> str:
    """Return what changes exactly when the page must show something else."""
    told = (f"{row.pk}:{row.status}:{len(attempts)}:{'pressed' in row.ref}" for row, attempts, _ in rows)
    return " ".join([*(f"{route.standing}:{route.queued}" for route in routes), *told])


def _on_its_way(rows: list[OutboundMessage], now: datetime) -> bool:
    """Say whether a test was sent off just now and has not come all the way, in Slack by somebody's click."""
    tests = (row for row in rows if row.event == "test" and now - row.created_at < FOLLOWED)
    return any(
        row.status == OutboundMessage.Status.QUEUED
        or (row.channel == "slack" and row.status == OutboundMessage.Status.SENT and "pressed" not in row.ref)
        for row in tests
    )


def silent_rules(policy: Policy) -> list[str]:
    """Return the rules that hold calls and tell nobody of it."""
    return [rule.name for rule in policy.config.rules if rule.action == "hold" and not rule.notify]


def _page(rows: QuerySet[OutboundMessage], before: str) -> list[OutboundMessage]:
    if before:
        rows = rows.filter(pk__lt=before[:36])
    return list(rows.order_by("-id")[: PAGE + 1])


def with_attempts(rows: list[OutboundMessage]) -> list[tuple[OutboundMessage, list[Attempt], bool]]:
    """Return each message with its attempts, oldest first, and whether it may be sent again."""
    found: dict[str, list[Attempt]] = {row.pk: [] for row in rows}
    for attempt in Attempt.objects.filter(message__in=found).order_by("id"):
        found[attempt.message].append(attempt)
    again = set(OutboundMessage.objects.filter(resending.AGAIN, pk__in=found).values_list("pk", flat=True))
    return [(row, found[row.pk], row.pk in again) for row in rows]


@require_POST
@login_required
def test(request: HttpRequest) -> HttpResponse:
    """Send a test by one of the policy's routes."""
    caller, policy = _allowed(request, ACTORS)
    channel, target = request.POST.get("channel", ""), request.POST.get("target", "")
    if (channel, target) not in routes_of(policy.config):
        raise Http404
    try:
        resending.send_test(runtime(), channel, target, caller=caller)
    except RecordUnavailable:
        messages.warning(request, _NOT_RECORDED)
    else:
        messages.success(request, "A test is on its way. Its line below says what comes of it.")
    return redirect("routes")


@require_POST
@login_required
def again(request: HttpRequest, message_id: str) -> HttpResponse:
    """Send a message again."""
    caller, _ = _allowed(request, ACTORS)
    try:
        is_sent = resending.send_again(runtime(), message_id, caller=caller)
    except RecordUnavailable:
        messages.warning(request, _NOT_RECORDED)
        return redirect("routes")
    if is_sent:
        messages.success(request, "The message is on its way again.")
    else:
        messages.warning(request, "This message cannot be sent again.")
    return redirect("routes")
