"""A recorded session judged once more: by the policy in force, by another revision, or by the drafts. Nothing happens.

Nothing is forwarded, asked or changed; who reads whose session is recorded, as with the replay.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, cast

from django.contrib.auth.decorators import login_required
from django.http import Http404
from django.shortcuts import render
from django.views.decorators.http import require_GET
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.response import Response
from rest_framework.views import APIView

from approvals.api.requests import unavailable
from approvals.config.loader import ConfigError
from approvals.drafts import config_from_drafts
from approvals.models import PolicyRevision
from approvals.pages.requests import viewer
from approvals.pastcalls import past_calls_of_session
from approvals.policy import Policy
from approvals.replay import NOT_RECORDED, readable, record_read
from approvals.rules.backtest import UNKNOWN, BackTest, word
from approvals.runtime import runtime
from approvals.searching import reads_all
from approvals.tracing_calls import config_of

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse
    from rest_framework.request import Request

    from approvals.config.schema import Config
    from approvals.verdicts import Caller

MOST_CALLS: Final = 1_000
DRAFTS: Final = "drafts"


class NoSuchPolicy(ValueError):
    """It cannot be judged by this; the text says why."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One call: the verdict of then and the one it would get, with the rules that would speak."""

    call_id: str
    tool: str
    at: datetime
    was: str
    now: str
    rules: tuple[str, ...]

    @property
    def differs(self) -> bool:
        return self.was != self.now


@dataclass(frozen=True, slots=True)
class DryRun:
    """What came of a session. `is_cut`: it has more calls than were judged."""

    by: str
    calls: tuple[Judged, ...]
    is_cut: bool

    @property
    def different(self) -> int:
        """How many calls would be judged otherwise; what cannot be told is not among them."""
        return sum(one.differs and one.now != UNKNOWN for one in self.calls)

    @property
    def untold(self) -> int:
        """Of how many calls it cannot be told: what decides is masked or erased."""
        return sum(one.now == UNKNOWN for one in self.calls)


def dry_run(session: str, by: str) -> DryRun:
    """Judge the calls of a session by the policy in force (""), by a revision's number, or by the drafts.

    Raises NoSuchPolicy.
    """
    config = _config(by)
    test = BackTest(Policy.compile(config))
    judged = []
    for call, past in past_calls_of_session(config, session, MOST_CALLS + 1):
        verdict = test.judge(past)
        now, rules = (UNKNOWN, ()) if verdict is None else (word(verdict), tuple(verdict.rules))
        judged.append(Judged(call.call_id, call.tool, call.at, call.verdict, now, rules))
    return DryRun(by, tuple(judged[:MOST_CALLS]), len(judged) > MOST_CALLS)


@require_GET
@login_required
def page(request: HttpRequest, session_id: str) -> HttpResponse:
    """Show what today's policy, another revision or the drafts would make of a session. For auditors and admins."""
    caller, policy = viewer(request)
    row = readable(session_id, caller, policy)
    if row is None or not reads_all(caller, policy):
        raise Http404
    if not record_read(caller, policy, row):
        return render(request, "503.html", status=503)
    by, run, problem = request.GET.get("by", ""), None, ""
    try:
        run = dry_run(row.pk, by)
    except NoSuchPolicy as error:
        problem = str(error)
    revisions = PolicyRevision.objects.order_by("-number").values_list("number", flat=True)[:50]
    context = {
        "session": row,
        "run": run,
        "by": by,
        "problem": problem,
        "revisions": revisions,
        "revision": policy.revision,
        "drafts": DRAFTS,
    }
    return render(request, "sessions/dry_run.html", context, status=400 if problem else 200)


class DryRuns(APIView):
    """A recorded session judged once more."""

    @extend_schema(
        parameters=[OpenApiParameter("by", OpenApiTypes.STR, description="a revision's number, or `drafts`")],
        responses={200: OpenApiTypes.OBJECT},
    )
    def get(self, request: Request, session_id: str) -> Response:
        """Return the verdict of then and of now for each call of a session; no content of any call."""
        caller, policy = cast("Caller", request.auth), runtime().policies.current.policy
        row = readable(session_id, caller, policy)
        if row is None or not reads_all(caller, policy):
            raise NotFound
        if not record_read(caller, policy, row):
            return unavailable(NOT_RECORDED)
        try:
            run = dry_run(row.pk, request.query_params.get("by", ""))
        except NoSuchPolicy as error:
            raise ValidationError({"by": [str(error)]}) from error
        told: dict[str, Any] = {"by": run.by or "in force", "different": run.different, "complete": not run.is_cut}
        return Response({**told, "calls": [_told(one) for one in run.calls]})


def _told(one: Judged) -> dict[str, Any]:
    return {"call_id": one.call_id, "tool": one.tool, "at": one.at.isoformat(), "was": one.was, "now": one.now,
            "rules": list(one.rules)}  # fmt: skip


def _config(by: str) -> Config:
    if not by:
        return runtime().policies.current.policy.config
    if by == DRAFTS:
        try:
            return config_from_drafts()
        except ConfigError as error:
            raise NoSuchPolicy("; ".join(str(problem) for problem in error.problems)) from error
    found = config_of(int(by)) if by.isascii() and by.isdigit() and len(by) < 10 else None
    if found is None:
        raise NoSuchPolicy(f"There is no revision {by} that can be read.")
    return found
