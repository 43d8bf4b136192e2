"""The evidence page: what the house promises, beside what the record says of it by now, and what is wrong in red."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from approvals.database import database_now
from approvals.models import ApprovalRequest
from approvals.reviews import Review
from approvals.standing import roles_of
from approvals.states import Status
from approvals.views import viewer
from sessions import installation
from sessions.evidence import standing

DAYS = 30


@dataclass(frozen=True, slots=True)
class Line:
    """One promise: what it says, what was counted for it, and what is open about it, in words (nothing: all well)."""

    promise: str
    counted: str
    gap: str = ""


@require_GET
@login_required
def evidence(request: HttpRequest) -> HttpResponse:
    """Show auditors, admins and operators how the record stands and what its last days hold."""
    caller, policy = viewer(request)
    if not roles_of(caller, policy) & {"auditor", "admin", "operator"}:
        raise Http404
    now = database_now()
    proof = standing.proof(installation.anchor())
    kinds = standing.counted(now - timedelta(days=DAYS))
    context = {
        "proof": proof,
        "gaps": proof.gaps(now),
        "lines": _lines(kinds),
        "kinds": sorted(kinds.items()),
        "days": DAYS,
        "since": (now - timedelta(days=DAYS)).date(),
        "until": now.date(),
    }
    return render(request, "approvals/evidence.html", context)


def _lines(kinds: Mapping[str, int]) -> list[Line]:
    begun, ended = standing.begun_and_ended(kinds)
    unknown = ApprovalRequest.objects.filter(status=Status.OUTCOME_UNKNOWN).count()
    owed = Review.objects.filter(closed_at=None).count()
    of = kinds.get
    return [
        Line(
            "Nothing is forwarded before its intent is committed, and every forwarded call has an end",
            f"{begun} forwarded, {ended} ended, {of('call.unknown', 0)} of them with an unknown outcome",
            f"{unknown} interrupted calls wait for somebody to find out what they did" if unknown else "",
        ),
        Line(
            "Risky calls wait for other people",
            f"{of('approval.requested', 0)} asked for, {of('approval.voted', 0)} votes, "
            f"{of('approval.vote_refused', 0)} votes refused",
        ),
        Line("What a rule forbids does not leave", f"{of('call.blocked', 0)} blocked, {of('call.refused', 0)} refused"),
        Line(
            "An emergency is looked at by a second person",
            f"{of('approval.break_glass', 0)} approved alone, {of('approval.reviewed', 0)} reviewed",
            f"{owed} emergencies wait for their review" if owed else "",
        ),
        Line(
            "Every change of the rules is on record",
            f"{of('policy.published', 0)} publications, {of('tool.changed', 0)} changes of tools, "
            f"{of('tool.accepted', 0)} accepted",
        ),
        Line(
            "Who reads recordings is recorded",
            f"{of('record.read', 0)} sessions of others opened, {of('evidence.exported', 0)} exports",
        ),
        Line(
            "Starts and stops are on record",
            f"{of('process.started', 0)} processes started, {of('process.stopped', 0)} stopped",
        ),
    ]
