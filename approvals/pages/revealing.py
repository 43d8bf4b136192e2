"""The page on which an approver has one hidden argument shown: a form, and once, in its answer, the value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.decorators import login_required
from django.http import Http404
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from approvals import revealing, services
from approvals.pages.requests import sheet_of
from approvals.runtime import runtime
from sessions.journal import RecordUnavailable

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from approvals.pages.sheet import Sheet
    from approvals.revealing import Revealed


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def reveal(request: HttpRequest, approval_id: str) -> HttpResponse:
    """Ask for a reason and, when that is recorded, show one value. Loading the page again shows none."""
    sheet = sheet_of(request, approval_id)
    if request.method == "GET":
        if not sheet.may_reveal and sheet.is_pending:
            raise Http404
        return _page(request, sheet)
    wish = revealing.Wish(
        sheet.caller, request.POST.get("place", ""), request.POST.get("reason", ""), "dashboard", sheet.sign_in
    )
    try:
        outcome = revealing.reveal(runtime(), approval_id, wish)
    except RecordUnavailable as error:
        return _page(request, sheet, 503, f"{services.unrecorded(error)} Nothing is shown.")
    match outcome:
        case revealing.Revealed():
            return _page(request, sheet, revealed=outcome)
        case services.NotEligible(reason):
            return _page(request, sheet, 403, reason)
        case services.CommentMissing(reason):
            return _page(request, sheet, 400, reason)
        case services.TooLate():
            return _page(request, sheet_of(request, approval_id), 409, revealing.GONE)
        case services.NotFound():
            raise Http404


def _page(
    request: HttpRequest, sheet: Sheet, status: int = 200, problem: str = "", revealed: Revealed | None = None
) -> HttpResponse:
    context = {
        "sheet": sheet,
        "problem": problem,
        "revealed": revealed,
        "place": request.POST.get("place", request.GET.get("place", "")),
        "reason": "" if revealed else request.POST.get("reason", ""),
    }
    return render(request, "approvals/reveal.html", context, status=status)
