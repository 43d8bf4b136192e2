"""The pages of approvals.

Detail, and the form posts that decide, withdraw, nudge and revoke; the inbox is next door. They only render.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from approvals import recall, services
from approvals.database import database_now
from approvals.models import Person
from approvals.pages import unsent
from approvals.pages.cards import Card
from approvals.pages.sheet import Sheet
from approvals.policy import Policy
from approvals.rules.remembering import Wish
from approvals.runtime import runtime
from approvals.second_factor import SignIn
from approvals.selectors import visible_to
from approvals.standing import caller_of
from approvals.ties import tied
from approvals.verdicts import Caller
from sessions.journal import RecordUnavailable

if TYPE_CHECKING:
    from approvals.config.rules import Scope


def viewer(request: HttpRequest) -> tuple[Caller, Policy]:
    """Return the signed-in person as the current policy sees them, and that policy."""
    policy = runtime().policies.current.policy
    return tied(caller_of(cast("Person", request.user), policy), policy), policy


def sheet_of(request: HttpRequest, approval_id: str) -> Sheet:
    """Return the request if the viewer may see it; for everybody else there is none."""
    caller, policy = viewer(request)
    row = visible_to(caller, policy).prefetch_related("votes").filter(pk=approval_id).first()
    if row is None:
        raise Http404
    sheet = Sheet(row, caller, policy, database_now())
    sheet.sign_in = SignIn.kept(request.session)
    return sheet


@require_GET
@login_required
def detail(request: HttpRequest, approval_id: str) -> HttpResponse:
    """Show one request: what, why, who, until when, and the two buttons for whom may press them."""
    sheet = sheet_of(request, approval_id)
    return render(
        request, "approvals/detail.html", {"sheet": sheet, "comment": unsent.kept(request.session, approval_id)}
    )


@require_POST
@login_required
def decide(request: HttpRequest, approval_id: str) -> HttpResponse:
    """Count the viewer's decision and go back to the page, which then shows what came of it."""
    sheet = sheet_of(request, approval_id)
    decision, version = request.POST.get("decision", ""), request.POST.get("version", "")
    if decision not in {"approve", "deny", "resolve"}:
        return again(request, sheet, 400, "Choose approve or deny.")
    try:
        outcome = services.decide(
            runtime(),
            approval_id=approval_id,
            approver=sheet.caller,
            decision=cast("Literal['approve', 'deny', 'resolve']", decision),
            comment=request.POST.get("comment", ""),
            via="dashboard",
            version=int(version) if version.isascii() and version.isdigit() else None,
            # Who approves has seen what they approve; a denial is counted also from a page that does not say so.
            view=request.POST.get("view", "" if decision == "approve" else None),
            sign_in=sheet.sign_in,
            remember=_wish(request.POST.get("remember", "")) if decision == "approve" else None,
        )
    except RecordUnavailable as error:
        return again(request, sheet, 503, services.unrecorded(error))
    match outcome:
        case services.NotFound():
            raise Http404
        case services.CommentMissing(reason) | services.NotOffered(reason):
            return again(request, sheet, 400, reason)
        case services.NotEligible(reason):
            return again(request, sheet, 403, reason)
    if isinstance(outcome, services.Decided | services.Unchanged):
        unsent.forget(request.session, approval_id)
    tone, text = told(outcome, sheet)
    messages.add_message(request, messages.SUCCESS if tone == "go" else messages.WARNING, text)
    return redirect("approval", approval_id=approval_id)


def told(outcome: services.Outcome, card: Card) -> tuple[str, str]:
    """Return what came of a decision as people are told it: how it looks, and a sentence."""
    match outcome:
        case services.Decided() | services.Unchanged():
            return "go", "Your decision is counted and recorded."
        case services.VersionMoved():
            return "wait", "Something changed while you looked at it. Look again, then decide."
        case services.TooLate(row):
            standing = Card(row, card.caller, card.policy, card.now).label.lower()
            return "wait", f"Your decision came too late and was not counted: {standing}."
        case services.NotFound():
            return "stop", "There is no such request."
        case services.CommentMissing(reason) | services.NotEligible(reason) | services.NotOffered(reason):
            return "stop", reason


def _wish(scope: str) -> Wish | None:
    """Return what the form asks to remember: as much as the rule allows of the scope that was chosen."""
    return Wish(cast("Scope", scope)) if scope else None


def again(request: HttpRequest, sheet: Sheet, status: int, problem: str) -> HttpResponse:
    """Show the page once more, with what was wrong and what was written."""
    said = {name: request.POST.get(name, "") for name in ("comment", "remember", "reason")}
    context = {"sheet": sheet, "problem": problem, **said}
    return render(request, "approvals/detail.html", context, status=status)


@require_POST
@login_required
def cancel(request: HttpRequest, approval_id: str) -> HttpResponse:
    """Withdraw the viewer's own request."""
    sheet = sheet_of(request, approval_id)
    try:
        outcome = services.cancel(runtime(), approval_id=approval_id, caller=sheet.caller)
    except RecordUnavailable as error:
        return again(request, sheet, 503, services.unrecorded(error))
    match outcome:
        case services.NotFound():
            return again(request, sheet, 403, "Only the requester can withdraw a request.")
        case services.TooLate():
            messages.warning(request, "It is too late to withdraw this request.")
        case services.Decided():
            messages.success(request, "The request is withdrawn. Nothing was run.")
    return redirect("approval", approval_id=approval_id)


@require_POST
@login_required
def nudge(request: HttpRequest, approval_id: str) -> HttpResponse:
    """Bring the viewer's own request to people's minds."""
    sheet = sheet_of(request, approval_id)
    try:
        outcome = recall.nudge(runtime(), approval_id=approval_id, caller=sheet.caller)
    except RecordUnavailable as error:
        return again(request, sheet, 503, services.unrecorded(error))
    match outcome:
        case services.NotFound():
            return again(request, sheet, 403, "Only the requester can do that.")
        case recall.TooSoon(at):
            messages.warning(request, f"They were asked a moment ago; you can do that again from {at:%H:%M} UTC on.")
        case services.TooLate():
            messages.warning(request, "It does not wait any more.")
        case recall.Nudged():
            messages.success(request, "Everybody who was told of it is asked to look.")
    return redirect("approval", approval_id=approval_id)


@require_POST
@login_required
def revoke(request: HttpRequest, approval_id: str) -> HttpResponse:
    """Take an approval back before it runs."""
    sheet = sheet_of(request, approval_id)
    said = request.POST.get("comment", "")
    try:
        outcome = recall.revoke(runtime(), approval_id=approval_id, person=sheet.caller, comment=said, via="dashboard")
    except RecordUnavailable as error:
        return again(request, sheet, 503, services.unrecorded(error))
    match outcome:
        case services.NotEligible(reason):
            return again(request, sheet, 403, reason)
        case services.TooLate() | services.NotFound():
            messages.warning(request, "It is too late to take the approval back.")
        case services.Decided():
            messages.success(request, "The approval is taken back. Nothing was run.")
    return redirect("approval", approval_id=approval_id)
