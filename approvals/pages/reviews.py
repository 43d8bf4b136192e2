"""The page of what emergencies owe, and the form posts that approve alone and that close a review."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from approvals import services
from approvals.break_glass import Breaking, break_glass, close_review
from approvals.debts import debt_of, reviews_for
from approvals.pages.requests import again, sheet_of, viewer
from approvals.runtime import runtime
from sessions.journal import RecordUnavailable

OPEN_SHOWN = 200
CLOSED_SHOWN = 20


@require_GET
@login_required
def reviews(request: HttpRequest) -> HttpResponse:
    """Show what waits for a second person, and what was looked at last."""
    caller, policy = viewer(request)
    rows = reviews_for(caller, policy)
    owed = [debt_of(row, caller, policy) for row in rows.filter(closed_at=None).order_by("opened_at")[:OPEN_SHOWN]]
    latest = rows.exclude(closed_at=None).order_by("-closed_at")[:CLOSED_SHOWN]
    closed = [debt_of(row, caller, policy) for row in latest]
    return render(request, "approvals/reviews.html", {"owed": owed, "closed": closed})


@require_POST
@login_required
def alone(request: HttpRequest, approval_id: str) -> HttpResponse:
    """Approve alone, in an emergency, and go back to the page, which then shows what that owes."""
    sheet = sheet_of(request, approval_id)
    version, reason = request.POST.get("version", ""), request.POST.get("reason", "")
    breaking = Breaking(
        person=sheet.caller,
        reason=reason,
        via="dashboard",
        version=int(version) if version.isascii() and version.isdigit() else None,
        view=request.POST.get("view", ""),
        sign_in=sheet.sign_in,
    )
    try:
        outcome = break_glass(runtime(), approval_id, breaking)
    except RecordUnavailable as error:
        return again(request, sheet, 503, services.unrecorded(error))
    match outcome:
        case services.NotFound():
            raise Http404
        case services.CommentMissing(reason):
            return again(request, sheet, 400, reason)
        case services.NotEligible(reason):
            return again(request, sheet, 403, reason)
        case services.VersionMoved():
            messages.warning(request, "Something changed while you looked at it. Look again, then decide.")
        case services.Decided():
            messages.success(request, "Approved alone. Everybody is told, and a second person must look at it.")
        case _:
            messages.warning(request, "It is too late; nothing was counted.")
    return redirect("approval", approval_id=approval_id)


@require_POST
@login_required
def close(request: HttpRequest, approval_id: str) -> HttpResponse:
    """Close a review as the second person."""
    caller, policy = viewer(request)
    if not reviews_for(caller, policy).filter(pk=approval_id).exists():
        raise Http404
    comment = request.POST.get("comment", "")
    try:
        outcome = close_review(runtime(), approval_id=approval_id, person=caller, comment=comment, via="dashboard")
    except RecordUnavailable as error:
        messages.error(request, services.unrecorded(error))
        return redirect("reviews")
    match outcome:
        case services.NotEligible(reason) | services.CommentMissing(reason):
            messages.error(request, reason)
        case services.TooLate() | services.NotFound():
            messages.warning(request, "Somebody has looked at it already.")
        case services.Decided():
            messages.success(request, "The review is closed and recorded.")
    return redirect("reviews")
