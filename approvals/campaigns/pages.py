"""Pages of reviews of access: the list with the form that starts one, and one with its lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.dateparse import parse_date
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from approvals.campaigns import services
from approvals.campaigns.models import Campaign, Line
from approvals.campaigns.standing_access import stands
from approvals.models import Person
from approvals.pages.requests import viewer
from approvals.runtime import runtime
from approvals.services import unrecorded
from approvals.standing import caller_of, roles_of
from sessions.journal import RecordUnavailable

if TYPE_CHECKING:
    from datetime import date

    from approvals.policy import Policy
    from approvals.verdicts import Caller

MOST_PEOPLE: Final = 500


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def campaigns(request: HttpRequest) -> HttpResponse:
    """List reviews; a POST starts one."""
    caller, policy = viewer(request)
    if request.method != "POST":
        return _list(request, caller, policy)
    form = request.POST
    try:
        outcome = services.start(
            runtime(), caller, title=form.get("title", ""), due=_date(form.get("due", "")),
            reviewers=form.getlist("reviewers"),
        )  # fmt: skip
    except ValueError:
        return _list(request, caller, policy, "The day must be a date.", 400)
    except RecordUnavailable as error:
        return _list(request, caller, policy, unrecorded(error), 503)
    if isinstance(outcome, services.Refused):
        return _list(request, caller, policy, outcome.message, 403 if outcome.is_forbidden else 400)
    messages.success(request, "The review has begun, and the record says so.")
    return redirect("access-review", campaign_id=outcome.pk)


@require_GET
@login_required
def campaign(request: HttpRequest, campaign_id: str) -> HttpResponse:
    """Show one review line by line."""
    return _one(request, campaign_id)


@require_POST
@login_required
def decide(request: HttpRequest, campaign_id: str, number: int) -> HttpResponse:
    """Note the viewer's decision on a line."""
    caller, line = viewer(request)[0], _line(request, campaign_id, number)
    said = {"decision": request.POST.get("decision", ""), "comment": request.POST.get("comment", "")}
    try:
        outcome = services.decide(runtime(), caller, line, **said)
    except RecordUnavailable as error:
        return _one(request, campaign_id, number, unrecorded(error), 503)
    return _after(request, campaign_id, number, outcome)


@require_POST
@login_required
def settle(request: HttpRequest, campaign_id: str, number: int) -> HttpResponse:
    """Close what a line left to do."""
    caller, line = viewer(request)[0], _line(request, campaign_id, number)
    try:
        outcome = services.settle(runtime(), caller, line, comment=request.POST.get("comment", ""))
    except RecordUnavailable as error:
        return _one(request, campaign_id, number, unrecorded(error), 503)
    return _after(request, campaign_id, number, outcome)


@require_POST
@login_required
def close(request: HttpRequest, campaign_id: str) -> HttpResponse:
    """End a review in which nothing is open."""
    caller, row = viewer(request)[0], _found(request, campaign_id)
    try:
        outcome = services.close(runtime(), caller, row)
    except RecordUnavailable as error:
        return _one(request, campaign_id, 0, unrecorded(error), 503)
    return _after(request, campaign_id, 0, outcome)


def _after(
    request: HttpRequest, campaign_id: str, number: int, outcome: Line | Campaign | services.Refused
) -> HttpResponse:
    if isinstance(outcome, services.Refused):
        return _one(request, campaign_id, number, outcome.message, 403 if outcome.is_forbidden else 400)
    answer = redirect("access-review", campaign_id=campaign_id)
    answer["Location"] += f"#line-{number}" if number else ""
    return answer


def _list(request: HttpRequest, caller: Caller, policy: Policy, problem: str = "", status: int = 200) -> HttpResponse:
    rows = list(services.visible(caller, policy).prefetch_related("lines"))
    runs = services.may_run(caller, policy)
    if not rows and not runs:
        raise Http404
    context: dict[str, Any] = {
        "campaigns": [(row, sum(not line.is_open for line in row.lines.all()), len(row.lines.all())) for row in rows],
        "runs": runs,
        "people": _people(policy) if runs else [],
        "chosen": request.POST.getlist("reviewers"),
        "given": request.POST,
        "problem": problem,
    }
    return render(request, "campaigns/list.html", context, status=status)


def _people(policy: Policy) -> list[tuple[Person, str]]:
    """Whoever may review: people who have signed in, those with a role first."""
    people = Person.objects.filter(is_active=True).order_by("display", "sub")[:MOST_PEOPLE]
    told = [(person, ", ".join(sorted(roles_of(caller_of(person, policy), policy)))) for person in people]
    return sorted(told, key=lambda one: not one[1])


def _one(request: HttpRequest, campaign_id: str, number: int = 0, problem: str = "", status: int = 200) -> HttpResponse:
    row = _found(request, campaign_id)
    caller, policy = viewer(request)
    found = list(row.lines.select_related("campaign"))
    lines = [
        {
            "line": line,
            "may_not": services.may_not_decide(line, caller, policy),
            "stands": line.decision == Line.Decision.REMOVE and stands(line, policy.config),
            "problem": problem if line.number == number else "",
        }
        for line in found
    ]
    context: dict[str, Any] = {
        "campaign": row,
        "lines": lines,
        "done": sum(not line.is_open for line in found),
        "runs": services.may_run(caller, policy),
        "problem": "" if number else problem,
    }
    return render(request, "campaigns/one.html", context, status=status)


def _found(request: HttpRequest, campaign_id: str) -> Campaign:
    row = services.visible(*viewer(request)).filter(pk=campaign_id).first()
    if row is None:
        raise Http404
    return row


def _line(request: HttpRequest, campaign_id: str, number: int) -> Line:
    line = _found(request, campaign_id).lines.select_related("campaign").filter(number=number).first()
    if line is None:
        raise Http404
    return line


def _date(text: str) -> date:
    day = parse_date(text)
    if day is None:
        raise ValueError(text)
    return day
