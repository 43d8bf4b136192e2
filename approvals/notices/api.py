"""The log of deliveries over the API, for who runs the gateway: every message, every attempt, and sending again."""

from __future__ import annotations

from typing import Any, Final, cast

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from approvals.api.listing import Listing
from approvals.api.requests import viewer
from approvals.api.serializers import RefusalSerializer
from approvals.models import OutboundMessage
from approvals.notices import resending
from approvals.notices.models import Attempt
from approvals.notices.pages import ACTORS, READERS, with_attempts
from approvals.runtime import runtime
from approvals.standing import roles_of
from approvals.verdicts import Caller

FILTERS: Final = ("status", "channel", "target", "approval")


class AttemptSerializer(serializers.Serializer[Any]):
    """One attempt. `said` is a status or a reason, never the text of a receiver."""

    number = serializers.IntegerField()
    at = serializers.DateTimeField()
    milliseconds = serializers.IntegerField()
    outcome = serializers.ChoiceField(["sent", "retry", "dead"])
    said = serializers.CharField()


class DeliverySerializer(serializers.Serializer[Any]):
    """One message to one route. `approval` is null for a test and an alert; `subject` is what an alert is about."""

    id = serializers.CharField()
    channel = serializers.CharField()
    target = serializers.CharField()
    approval = serializers.CharField(allow_null=True)
    subject = serializers.CharField(allow_null=True)
    event = serializers.CharField()
    status = serializers.ChoiceField(OutboundMessage.Status.values)
    error = serializers.CharField()
    created_at = serializers.DateTimeField()
    sent_at = serializers.DateTimeField(allow_null=True)
    next_attempt_at = serializers.DateTimeField(allow_null=True)
    attempts = AttemptSerializer(many=True)


class DeliveriesSerializer(serializers.Serializer[Any]):
    """A page of the log; `next` is the value for `?cursor=`, null at the end."""

    next = serializers.CharField(allow_null=True)
    results = DeliverySerializer(many=True)


def _require(request: Request, roles: frozenset[str]) -> None:
    if not roles_of(*viewer(request)) & roles:
        raise PermissionDenied


def _document(row: OutboundMessage, attempts: list[Attempt]) -> dict[str, Any]:
    queued = row.status == OutboundMessage.Status.QUEUED
    plain = {name: getattr(row, name) for name in ("channel", "target", "event", "status", "error", "created_at")}
    return {
        "id": row.pk,
        **plain,
        "approval": row.approval or None,
        "subject": row.subject or None,
        "sent_at": row.sent_at,
        "next_attempt_at": row.next_attempt_at if queued else None,
        "attempts": [AttemptSerializer(attempt).data for attempt in attempts],
    }


class Deliveries(APIView):
    """Every message, newest first."""

    @extend_schema(
        operation_id="deliveries_list",
        parameters=[OpenApiParameter(name, OpenApiTypes.STR) for name in (*FILTERS, "cursor")],
        responses=DeliveriesSerializer,
    )
    def get(self, request: Request) -> Response:
        """List deliveries."""
        _require(request, READERS)
        listing = Listing.of(request.query_params, FILTERS, OutboundMessage.Status.values)
        rows = listing.page(OutboundMessage.objects.filter(**listing.filters))
        attempts = {row.pk: found for row, found, _ in with_attempts(rows)}
        return Response(listing.answer(rows, lambda row: _document(row, attempts[row.pk])))


class SendAgain(APIView):
    """A message once more."""

    @extend_schema(request=None, responses={202: None, 403: RefusalSerializer, 404: RefusalSerializer})
    def post(self, request: Request, message_id: str) -> Response:
        """Send a message again that was given up, or a webhook's that was sent; 404 for any other."""
        _require(request, ACTORS)
        if not resending.send_again(runtime(), message_id, caller=cast("Caller", request.auth)):
            raise NotFound
        return Response(status=202)
