"""The API of delegations: who decides in whose place, naming somebody, and revoking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from approvals import delegation
from approvals.api.accounts import person_of_request
from approvals.api.requests import unavailable
from approvals.api.serializers import RefusalSerializer, refusal
from approvals.runtime import runtime
from sessions.journal import RecordUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from rest_framework.request import Request


class DelegationSerializer(serializers.Serializer[Any]):
    """Who decides in whose place, and when. Accounts are `iss|sub`."""

    id = serializers.CharField()
    delegator = serializers.CharField()
    delegator_display = serializers.CharField()
    delegate = serializers.CharField()
    delegate_display = serializers.CharField()
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    revoked_at = serializers.DateTimeField(allow_null=True)


class DelegationsSerializer(serializers.Serializer[Any]):
    """Those of the person who asks, and those to them, newest first."""

    results = DelegationSerializer(many=True)


class NewDelegationSerializer(serializers.Serializer[Any]):
    """Whom one lets decide; without `starts_at` from now on."""

    delegate = serializers.CharField(max_length=1001)
    starts_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    ends_at = serializers.DateTimeField()


_REFUSALS = {400: RefusalSerializer, 403: RefusalSerializer, 503: RefusalSerializer}


class Delegations(APIView):
    """The delegations of whoever asks."""

    @extend_schema(operation_id="delegations_list", responses={200: DelegationsSerializer, 403: RefusalSerializer})
    def get(self, request: Request) -> Response:
        """List those that are theirs or to them."""
        return Response(DelegationsSerializer({"results": delegation.of(person_of_request(request))}).data)

    @extend_schema(request=NewDelegationSerializer, responses={201: DelegationSerializer, **_REFUSALS})
    def post(self, request: Request) -> Response:
        """Let somebody decide in one's own place."""
        person = person_of_request(request)
        body = NewDelegationSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        given = body.validated_data
        return _answer(
            lambda: delegation.delegate(runtime(), person, given["delegate"], given["starts_at"], given["ends_at"]), 201
        )


class Revoke(APIView):
    """The end of a delegation before its date."""

    @extend_schema(request=None, responses={200: DelegationSerializer, **_REFUSALS})
    def post(self, request: Request, delegation_id: str) -> Response:
        """Revoke what one gave, or give back what one was given."""
        person = person_of_request(request)
        return _answer(lambda: delegation.revoke(runtime(), delegation_id, person), 200)


def _answer(work: Callable[[], delegation.Delegated | delegation.Refused], status: int) -> Response:
    try:
        outcome = work()
    except RecordUnavailable as error:
        return unavailable(error)
    if isinstance(outcome, delegation.Refused):
        return Response(refusal("invalid_request", outcome.reason), status=400)
    return Response(DelegationSerializer(outcome.delegation).data, status=status)
