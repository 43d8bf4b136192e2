"""The API of what happens between the asking and the running: nudge, and revoke."""

from __future__ import annotations

import math
from typing import cast

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from approvals import recall, services
from approvals.api.requests import OUTCOMES, found, rendered, unrecorded
from approvals.api.serializers import CommentSerializer, RefusalSerializer, refusal
from approvals.database import database_now
from approvals.runtime import runtime
from approvals.verdicts import Caller
from sessions.journal import RecordUnavailable


class Nudge(APIView):
    """The requester asks people to look."""

    @extend_schema(request=None, responses={**OUTCOMES, 429: RefusalSerializer})
    def post(self, request: Request, approval_id: str) -> Response:
        """Bring a pending request to people's minds, every five minutes at most."""
        row = found(request, approval_id)
        try:
            outcome = recall.nudge(runtime(), approval_id=approval_id, caller=cast("Caller", request.auth))
        except RecordUnavailable as error:
            return unrecorded(row, error)
        match outcome:
            case services.NotFound():
                return Response(refusal("forbidden", "Only the requester can do that.", request=row), status=403)
            case recall.TooSoon(at):
                seconds = max(1, math.ceil((at - database_now()).total_seconds()))
                body = refusal("rate_limited", "People have been asked to look a moment ago.", request=row)
                headers = {"Retry-After": str(seconds)}
                return Response(body | {"retry_after": seconds}, status=429, headers=headers)
            case services.TooLate():
                return Response(rendered(request, found(request, approval_id)), status=409)
            case recall.Nudged():
                return Response(rendered(request, found(request, approval_id)))


class Revoke(APIView):
    """An approval is taken back before it runs."""

    @extend_schema(request=CommentSerializer, responses=OUTCOMES)
    def post(self, request: Request, approval_id: str) -> Response:
        """Take an approval back; for who approved it, who may decide it, and admins. Its caller hears the comment."""
        row = found(request, approval_id)
        body = CommentSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        person, comment = cast("Caller", request.auth), body.validated_data["comment"]
        try:
            outcome = recall.revoke(runtime(), approval_id=approval_id, person=person, comment=comment, via="api")
        except RecordUnavailable as error:
            return unrecorded(row, error)
        match outcome:
            case services.NotEligible(reason):
                return Response(refusal("forbidden", reason, request=row), status=403)
            case services.TooLate() | services.NotFound():
                return Response(rendered(request, found(request, approval_id)), status=409)
            case services.Decided():
                return Response(rendered(request, found(request, approval_id)))
