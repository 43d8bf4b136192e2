"""The API of hidden arguments: one is shown, for a reason, once that is recorded."""

from __future__ import annotations

from typing import Any, cast

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from approvals import revealing, services
from approvals.api.requests import OUTCOMES, found, rendered, unrecorded
from approvals.api.serializers import refusal
from approvals.runtime import runtime
from approvals.verdicts import Caller
from sessions.journal import RecordUnavailable


class RevealSerializer(serializers.Serializer[Any]):
    """Which of `hidden` is to be shown, and why."""

    place = serializers.CharField(max_length=1000, allow_blank=True)
    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=4000)


class RevealedSerializer(serializers.Serializer[Any]):
    """The value, as text; what is no text, as JSON."""

    place = serializers.CharField()
    name = serializers.CharField()
    value = serializers.CharField()


class Reveal(APIView):
    """An approver sees one hidden argument."""

    @extend_schema(request=RevealSerializer, responses={**OUTCOMES, 200: RevealedSerializer})
    def post(self, request: Request, approval_id: str) -> Response:
        """Show one hidden argument of a pending request, for whom `reveal_to` names; it is recorded first."""
        row = found(request, approval_id)
        body = RevealSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        place = body.validated_data["place"]
        wish = revealing.Wish(cast("Caller", request.auth), place, body.validated_data["reason"], "api")
        try:
            outcome = revealing.reveal(runtime(), approval_id, wish)
        except RecordUnavailable as error:
            return unrecorded(row, error)
        match outcome:
            case revealing.Revealed(name, value):
                said = {"place": place, "name": name, "value": value}
                return Response(said, headers={"Cache-Control": "no-store"})
            case services.NotEligible(reason):
                return Response(refusal("forbidden", reason, request=row), status=403)
            case services.CommentMissing(reason):
                return Response(refusal("invalid_request", reason, request=row), status=400)
            case services.NotFound():
                raise NotFound
            case services.TooLate():
                return Response(rendered(request, found(request, approval_id)), status=409)
