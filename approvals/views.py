"""The pages of approvals.

Inbox, detail, and the form post that decides. They only render; services decide.
"""

from __future__ import annotations

from typing import Any, Literal, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from approvals import services
from approvals.cards import Card, Sheet
from approvals.database import database_now
from approvals.models import ApprovalRequest, Person
from approvals.policy import Policy
from approvals.reachability import unreachable_quorums
from approvals.runtime import runtime
from approvals.selectors import visible_to
from approvals.standing import caller_of, roles_of
from approvals.states import Status
from approvals.verdicts import Caller
from sessions.journal import RecordUnavailable

OPEN_SHOWN = 200
PAGE = 50
RECENT = 8
SHOWS = {"mine": "Mine to decide", "asked": "I asked", "all": "Everything"}
NOT_COUNTED = "The record cannot be written at the moment, so your decision was not counted. Please try again."


def viewer(request: HttpRequest) -> tuple[Caller, Policy]:
    """Return the signed-in person as the current policy sees them, and that policy."""
    policy = runtime().policies.current.policy
    return caller_of(cast("Person", request.user), policy), policy


@require_GET
@login_required
def inbox(request: HttpRequest) -> HttpResponse:
    """Show what waits for the viewer.

    `show=asked` what they asked for, `show=all` everything they may see.
    """
    caller, policy = viewer(request)
    show = request.GET.get("show", "mine")
    if show not in SHOWS:
        raise Http404
    now = database_now()
    rows = visible_to(caller, policy).prefetch_related("votes")
    waiting = rows.filter(status=Status.PENDING, expires_at__gt=now).order_by("expires_at")[:OPEN_SHOWN]
    pending = [Card(row, caller, policy, now) for row in waiting]
    mine = [card for card in pending if not card.why_not and not card.approved_already]
    context: dict[str, Any] = {"show": show, "shows": SHOWS, "mine": mine, "others": len(pending) - len(mine)}
    if show == "mine":
        recent = rows.exclude(status=Status.PENDING).order_by("-id")[:RECENT]
        context |= {"cards": mine, "recent": [Card(row, caller, policy, now) for row in recent]}
    else:
        page = _page(rows.filter(_asked_by(caller)) if show == "asked" else rows, request)
        cards = [Card(row, caller, policy, now) for row in page[:PAGE]]
        context |= {"cards": cards, "before": page[PAGE - 1].pk if len(page) > PAGE else ""}
    if roles_of(caller, policy) & {"admin", "approver"}:
        context["gaps"] = unreachable_quorums(policy)
    context["state"] = " ".join(card.state for card in [*context["cards"], *context.get("recent", [])])
    return render(request, "approvals/inbox.html", context)


def _asked_by(caller: Caller) -> Q:
    return Q(requester_iss=caller.iss, requester_sub=caller.sub) | Q(requester_person=caller.key)


def _page(rows: QuerySet[ApprovalRequest], request: HttpRequest) -> list[ApprovalRequest]:
    if before := request.GET.get("before", ""):
        rows = rows.filter(id__lt=before)
    return list(rows.order_by("-id")[: PAGE + 1])


def _sheet(request: HttpRequest, approval_id: str) -> Sheet:
    """Return the request if the viewer may see it; for everybody else there is none."""
    caller, policy = viewer(request)
    row = visible_to(caller, policy).prefetch_related("votes").filter(pk=approval_id).first()
    if row is None:
        raise Http404
    return Sheet(row, caller, policy, database_now())


@require_GET
@login_required
def detail(request: HttpRequest, approval_id: str) -> HttpResponse:
    """Show one request: what, why, who, until when, and the two buttons for whom may press them."""
    return render(request, "approvals/detail.html", {"sheet": _sheet(request, approval_id)})


@require_POST
@login_required
def decide(request: HttpRequest, approval_id: str) -> HttpResponse:
    """Count the viewer's decision and go back to the page, which then shows what came of it."""
    sheet = _sheet(request, approval_id)
    decision, version = request.POST.get("decision", ""), request.POST.get("version", "")
    if decision not in {"approve", "deny", "resolve"}:
        return _again(request, sheet, 400, "Choose approve or deny.")
    try:
        outcome = services.decide(
            runtime(),
            approval_id=approval_id,
            approver=sheet.caller,
            decision=cast("Literal['approve', 'deny', 'resolve']", decision),
            comment=request.POST.get("comment", ""),
            via="dashboard",
            version=int(version) if version.isascii() and version.isdigit() else None,
        )
    except RecordUnavailable:
        return _again(request, sheet, 503, NOT_COUNTED)
    match outcome:
        case services.NotFound():
            raise Http404
        case services.CommentMissing(reason):
            return _again(request, sheet, 400, reason)
        case services.NotEligible(reason):
            return _again(request, sheet, 403, reason)
        case services.VersionMoved():
            messages.warning(request, "Something changed while you looked at it. Look again, then decide.")
        case services.TooLate(row):
            standing = Card(row, sheet.caller, sheet.policy, sheet.now).label.lower()
            messages.warning(request, f"Your decision came too late and was not counted: {standing}.")
        case services.Decided() | services.Unchanged():
            messages.success(request, "Your decision is counted and recorded.")
    return redirect("approval", approval_id=approval_id)


def _again(request: HttpRequest, sheet: Sheet, status: int, problem: str) -> HttpResponse:
    context = {"sheet": sheet, "problem": problem, "comment": request.POST.get("comment", "")}
    return render(request, "approvals/detail.html", context, status=status)


@require_POST
@login_required
def cancel(request: HttpRequest, approval_id: str) -> HttpResponse:
    """Withdraw the viewer's own request."""
    sheet = _sheet(request, approval_id)
    try:
        outcome = services.cancel(runtime(), approval_id=approval_id, caller=sheet.caller)
    except RecordUnavailable:
        return _again(request, sheet, 503, NOT_COUNTED)
    match outcome:
        case services.NotFound():
            return _again(request, sheet, 403, "Only the requester can withdraw a request.")
        case services.TooLate():
            messages.warning(request, "It is too late to withdraw this request.")
        case services.Decided():
            messages.success(request, "The request is withdrawn. Nothing was run.")
    return redirect("approval", approval_id=approval_id)
