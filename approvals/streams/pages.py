"""The page of the streams, and the same over the API: how far each is behind, why, and sending again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.response import Response
from rest_framework.views import APIView

from approvals.api.requests import unavailable
from approvals.pages.requests import viewer
from approvals.runtime import runtime
from approvals.standing import roles_of
from approvals.streams.following import NoSuchPlace, Standing, replay, standings
from sessions.journal import RecordUnavailable

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse
    from rest_framework.request import Request

    from approvals.policy import Policy
    from approvals.verdicts import Caller

READERS = frozenset({"admin", "operator", "auditor"})
ACTORS = frozenset({"admin", "operator"})


@require_GET
@login_required
def page(request: HttpRequest) -> HttpResponse:
    """Show every stream of the policy."""
    caller, policy = _allowed(request, READERS)
    may_act = bool(roles_of(caller, policy) & ACTORS)
    return render(request, "notices/streams.html", {"streams": standings(policy.config), "may_act": may_act})


@require_POST
@login_required
def again(request: HttpRequest, name: str) -> HttpResponse:
    """Let a stream send again from a place or a time on."""
    caller, _ = _allowed(request, ACTORS)
    try:
        place = replay(runtime(), caller, name, request.POST.get("from", "").strip())
    except NoSuchPlace as error:
        messages.warning(request, str(error))
    except RecordUnavailable:
        return render(request, "503.html", status=503)
    else:
        messages.success(request, f"{name} sends again from entry {place} of the log on.")
    return redirect("streams")


class Streams(APIView):
    """Streams of the record to other systems."""

    @extend_schema(operation_id="streams_list", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        """List streams with how far each is behind."""
        _, policy = _caller(request, READERS)
        return Response({"results": [_told(one) for one in standings(policy.config)]})


class Replay(APIView):
    """Sending again."""

    @extend_schema(
        request=OpenApiTypes.OBJECT,
        responses={200: OpenApiTypes.OBJECT, 400: OpenApiTypes.OBJECT, 503: OpenApiTypes.OBJECT},
    )
    def post(self, request: Request, name: str) -> Response:
        """Send again `from` a place of the log, or from a time, on."""
        caller, policy = _caller(request, ACTORS)
        if name not in policy.config.channels.streams:
            raise NotFound
        data = request.data if isinstance(request.data, dict) else {}
        try:
            return Response({"from": replay(runtime(), caller, name, str(data.get("from", "")))})
        except NoSuchPlace as error:
            raise ValidationError({"from": [str(error)]}) from error
        except RecordUnavailable as error:
            return unavailable(error)


def _allowed(request: HttpRequest, roles: frozenset[str]) -> tuple[Caller, Policy]:
    caller, policy = viewer(request)
    if not roles_of(caller, policy) & roles:
        raise PermissionDenied
    return caller, policy


def _caller(request: Request, roles: frozenset[str]) -> tuple[Caller, Policy]:
    caller, policy = cast("Caller", request.auth), runtime().policies.current.policy
    if not roles_of(caller, policy) & roles:
        raise NotFound
    return caller, policy


def _told(one: Standing) -> dict[str, Any]:
    return {
        "name": one.name,
        "format": one.stream.format,
        "to": one.place,
        "position": one.position,
        "behind": one.behind,
        "seconds": round(one.seconds, 3),
        "attempts": one.attempts,
        "error": one.error,
        "sent_at": one.sent_at and one.sent_at.isoformat(),
    }
