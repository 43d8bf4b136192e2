"""The page of the load on approvers: what waits, how fast people decide, and what stands out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from approvals.database import database_now
from approvals.models import ApprovalRequest, Vote
from approvals.pages.load_figures import Asked, Said, by_day, by_group, by_hour, is_night
from approvals.pages.plots import stacked
from approvals.pages.requests import viewer
from approvals.pages.sheet import APPROVED
from approvals.reachability import people_by_group, unreachable_quorums
from approvals.selectors import groups_of_rule, visible_to
from approvals.standing import roles_of
from approvals.states import Status
from sessions.ids import first_id

if TYPE_CHECKING:
    from django.db.models import QuerySet

DAYS = 30
# Figures are over the newest of so many requests, and as many votes.
MOST = 20_000


@require_GET
@login_required
def load(request: HttpRequest) -> HttpResponse:
    """Show the figures: approvers those of what they may see, everybody else with a role those of the house."""
    caller, policy = viewer(request)
    roles = roles_of(caller, policy)
    if not roles:
        raise Http404
    everything = bool(roles - {"approver"})
    now = database_now()
    rows = ApprovalRequest.objects.all() if everything else visible_to(caller, policy)
    # What a remembered decision covered asked nobody.
    rows = rows.filter(id__gt=first_id(now - timedelta(days=DAYS)), grant=None)
    asked, said = _asked(rows, now), _said(rows)
    people = people_by_group(policy)
    if not everything:
        people = {name: count for name, count in people.items() if name in caller.groups}
    groups, days, hours = by_group(asked, said, people, now), by_day(asked, now, DAYS), by_hour(asked)
    context: dict[str, Any] = {
        "groups": groups,
        "signs": [(group.name, sign) for group in groups for sign in group.signs],
        "gaps": unreachable_quorums(policy),
        "days": days,
        "day_plot": stacked([[("approved", d.approved), ("denied", d.denied), ("other", d.other)] for d in days]),
        "hours": list(enumerate(hours)),
        "hour_plot": stacked([[("night" if _is_night(hour) else "day", count)] for hour, count in enumerate(hours)]),
        "total": len(asked),
        "is_cut": len(asked) == MOST,
        "most": MOST,
        "window": DAYS,
    }
    return render(request, "approvals/load.html", context)


def _is_night(hour: int) -> bool:
    return is_night(database_now().replace(hour=hour))


def _asked(rows: QuerySet[ApprovalRequest], now: Any) -> Sequence[Asked]:
    names = ("rule_fingerprint", "escalated", "created_at", "expires_at", "decided_at", "status")
    found = []
    for fingerprint, escalated, at, until, decided_at, status in rows.order_by("-id").values_list(*names)[:MOST]:
        outcome = _outcome(Status(status), is_over=until <= now)
        by_people = outcome in {"approved", "denied"}
        found.append(Asked(_groups(fingerprint, escalated), at, outcome, decided_at if by_people else None))
    return found


def _outcome(status: Status, *, is_over: bool) -> str | None:
    if status is Status.PENDING:
        return "expired" if is_over else None
    if status in APPROVED:
        return "approved"
    return status.value


def _groups(fingerprint: str, escalated: int) -> frozenset[str]:
    steps = groups_of_rule(fingerprint)
    return steps[min(escalated, len(steps) - 1)] if steps else frozenset()


def _said(rows: QuerySet[ApprovalRequest]) -> Sequence[Said]:
    votes = Vote.objects.filter(request__in=rows).order_by("-id")
    names = ("groups", "at", "request__created_at", "decision")
    return [
        Said(frozenset(groups), (at - asked).total_seconds(), decision == "approve")
        for groups, at, asked, decision in votes.values_list(*names)[:MOST]
    ]
