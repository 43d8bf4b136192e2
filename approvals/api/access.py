"""The API of access for a while: asking for it, what is open, and ending it."""

from __future__ import annotations

from typing import Any, cast

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from approvals import access
from approvals.api.listing import FILTERS, Listing
from approvals.api.requests import RETRY_AFTER, viewer, visible
from approvals.api.serializers import DurationField, RefusalSerializer, StrictSerializer, refusal
from approvals.models import ApprovalRequest
from approvals.rules.ruleset import ACCESS
from approvals.runtime import runtime
from approvals.selectors import sees_payload
from approvals.services import MAX_COMMENT, unrecorded
from approvals.verdicts import Caller
from sessions.journal import RecordUnavailable

_STATUS = {"forbidden": 403, "invalid_request": 400, "rate_limited": 429}
_LISTED = [OpenApiParameter(name, OpenApiTypes.STR) for name in (*FILTERS, "cursor")]


class AccessRequestSerializer(StrictSerializer):
    """What is asked. `duration` in seconds or as `2h`; `tools` are globs, all when left out."""

    connection = serializers.CharField(max_length=63)
    tools = serializers.ListField(child=serializers.CharField(), default=["*"])
    duration = DurationField()
    reason = serializers.CharField(max_length=MAX_COMMENT)
    ends_with_session = serializers.BooleanField(default=False)


class AccessSerializer(serializers.Serializer[Any]):
    """Access that was asked for. `status` is that of its approval; `approved` is open, until `until`."""

    id = serializers.CharField()
    status = serializers.ChoiceField([status for status, _ in ApprovalRequest.STATUSES])
    connection = serializers.CharField()
    tools = serializers.ListField(child=serializers.CharField())
    duration = serializers.IntegerField()
    ends_with_session = serializers.BooleanField()
    reason = serializers.CharField(allow_null=True)
    requester = serializers.CharField()
    run = serializers.JSONField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    opened_at = serializers.DateTimeField(allow_null=True)
    until = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    url = serializers.CharField()


class RequestableSerializer(serializers.Serializer[Any]):
    """A connection to which access can be asked for; `max_duration` in seconds."""

    name = serializers.CharField()
    description = serializers.CharField()
    max_duration = serializers.IntegerField()


class AccessesSerializer(serializers.Serializer[Any]):
    """A page of a list; `next` is the value for `?cursor=`, null at the end."""

    next = serializers.CharField(allow_null=True)
    results = AccessSerializer(many=True)
    requestable = RequestableSerializer(many=True)


def document(request: ApprovalRequest, *, shown: bool, public_url: str) -> dict[str, Any]:
    """Return access as the API gives it; `shown` says whether the viewer may read the reason."""
    wanted = request.terms["access"]
    return {
        "id": request.pk,
        "status": request.status,
        "connection": request.connection,
        "tools": wanted["tools"],
        "duration": wanted["seconds"],
        "ends_with_session": wanted["ends_with_session"],
        "reason": request.reason if shown else None,
        "requester": f"{request.requester_iss}|{request.requester_sub}",
        "run": request.requester_run,
        "created_at": request.created_at,
        "expires_at": request.expires_at,
        "opened_at": request.decided_at if request.execute_by else None,
        "until": request.execute_by,
        "ended_at": request.ended_at,
        "url": f"{public_url}/approvals/{request.pk}/",
    }


def _rendered(request: Request, row: ApprovalRequest) -> dict[str, Any]:
    shown = sees_payload(row, *viewer(request))
    return dict(AccessSerializer(document(row, shown=shown, public_url=runtime().public_url)).data)


def _found(request: Request, access_id: str) -> ApprovalRequest:
    row = visible(request).filter(pk=access_id, rule=ACCESS).first()
    if row is None:
        raise NotFound
    return row


def _unrecorded(error: RecordUnavailable) -> Response:
    body = refusal("record_unavailable", unrecorded(error)) | {"retry_after": RETRY_AFTER}
    return Response(body, status=503, headers={"Retry-After": str(RETRY_AFTER)})


class Accesses(APIView):
    """Access that was asked for, and where it can be asked for."""

    @extend_schema(operation_id="access_list", parameters=_LISTED, responses=AccessesSerializer)
    def get(self, request: Request) -> Response:
        """List what the caller asked for or could decide, newest first, and the connections that can be asked for."""
        listing = Listing.of(request.query_params)
        rows = listing.page(listing.filtered(visible(request).filter(rule=ACCESS)))
        found = listing.answer(rows, lambda row: _rendered(request, row))
        _, policy = viewer(request)
        offered = RequestableSerializer(access.requestable(policy), many=True).data
        return Response({**found, "requestable": offered})

    @extend_schema(
        request=AccessRequestSerializer,
        responses={
            201: AccessSerializer,
            200: AccessSerializer,
            400: RefusalSerializer,
            403: RefusalSerializer,
            429: RefusalSerializer,
            503: RefusalSerializer,
        },
    )
    def post(self, request: Request) -> Response:
        """Ask for access. 201 with a new request, 200 with the same one that is open already."""
        body = AccessRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        wanted = dict(body.validated_data)
        try:
            outcome = access.ask(runtime(), cast("Caller", request.auth), seconds=wanted.pop("duration"), **wanted)
        except RecordUnavailable as error:
            return _unrecorded(error)
        match outcome:
            case access.Refused(reason, message):
                return Response(refusal(reason, message), status=_STATUS[reason])
            case access.Asked(row, joined):
                return Response(_rendered(request, row), status=200 if joined else 201)


class Access(APIView):
    """Access that was asked for."""

    @extend_schema(operation_id="access_retrieve", responses={200: AccessSerializer, 404: RefusalSerializer})
    def get(self, request: Request, access_id: str) -> Response:
        """Return it; to wait for the decision, wait for the approval of the same id."""
        return Response(_rendered(request, _found(request, access_id)))


class End(APIView):
    """The end of access, by who has it."""

    @extend_schema(
        request=None,
        responses={200: AccessSerializer, 403: RefusalSerializer, 404: RefusalSerializer, 503: RefusalSerializer},
    )
    def post(self, request: Request, access_id: str) -> Response:
        """End the window, or take back the request, with every held or running call that rests on it."""
        row = _found(request, access_id)
        try:
            outcome = access.end(runtime(), access_id=row.pk, caller=cast("Caller", request.auth))
        except RecordUnavailable as error:
            return _unrecorded(error)
        match outcome:
            case access.Refused(reason, message):
                return Response(refusal(reason, message), status=_STATUS[reason])
            case access.Ended(ended):
                return Response(_rendered(request, ended))
