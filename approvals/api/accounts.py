"""The accounts API: what is mine, letting go of it, and how a CI job proves whose account started it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.response import Response
from rest_framework.views import APIView

from approvals import accounts
from approvals.api.requests import unavailable
from approvals.api.serializers import RefusalSerializer, refusal
from approvals.models import Person
from approvals.pages.accounts import accounts_of
from approvals.runtime import runtime
from sessions.journal import RecordUnavailable

if TYPE_CHECKING:
    from rest_framework.request import Request

    from approvals.verdicts import Caller


class AccountSerializer(serializers.Serializer[Any]):
    """One account of a person. `link` is null for their own sign-in and for what the configuration says."""

    account = serializers.CharField()
    place = serializers.CharField()
    display = serializers.CharField()
    link = serializers.CharField(allow_null=True)
    method = serializers.CharField(allow_null=True)
    since = serializers.DateTimeField(allow_null=True)


class AccountsSerializer(serializers.Serializer[Any]):
    """All of them."""

    results = AccountSerializer(many=True)


class CodeSerializer(serializers.Serializer[Any]):
    """The one-time code that a person made on the page My accounts."""

    code = serializers.CharField(max_length=200)


class ClaimedSerializer(serializers.Serializer[Any]):
    """Whose account the job is; the person who made the code must still agree to it."""

    account = serializers.CharField()
    status = serializers.ChoiceField(["waiting_for_agreement"])


def person_of_request(request: Request) -> Person:
    """Return who signed in or brought a person's token and has signed in before. Raises PermissionDenied."""
    caller = cast("Caller", request.auth)
    person = (
        accounts.person_of(caller.key, runtime().policies.current.policy.config) if caller.kind == "person" else None
    )
    if person is None or person.key != caller.key or not person.is_active:
        raise PermissionDenied("Only a person who has signed in has accounts here.")
    return person


class Accounts(APIView):
    """The accounts of whoever asks."""

    @extend_schema(operation_id="accounts_list", responses={200: AccountsSerializer, 403: RefusalSerializer})
    def get(self, request: Request) -> Response:
        """List them, the own sign-in first."""
        found = accounts_of(person_of_request(request), runtime().policies.current.policy.config)
        rows = [
            {
                "account": one.text,
                "place": one.place,
                "display": one.display,
                "link": one.link.pk if one.link else None,
                "method": one.link.method if one.link else None,
                "since": one.link.made_at if one.link else None,
            }
            for one in found
        ]
        return Response(AccountsSerializer({"results": rows}).data)


class Claim(APIView):
    """A CI job proves whose account started it."""

    @extend_schema(
        request=CodeSerializer, responses={202: ClaimedSerializer, 403: RefusalSerializer, 503: RefusalSerializer}
    )
    def post(self, request: Request) -> Response:
        """Show a one-time code with the job's own bearer token. The maker of the code must then agree on the page."""
        body = CodeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            outcome = accounts.claim_code(runtime(), body.validated_data["code"], cast("Caller", request.auth))
        except RecordUnavailable as error:
            return unavailable(error)
        if isinstance(outcome, accounts.Refused):
            return Response(refusal("forbidden", outcome.reason), status=403)
        return Response({"account": outcome.account, "status": "waiting_for_agreement"}, status=202)


class Unlink(APIView):
    """The end of a link."""

    @extend_schema(request=None, responses={204: None, 403: RefusalSerializer, 503: RefusalSerializer})
    def post(self, request: Request, link_id: str) -> Response:
        """Let go of an account. What it asks for stays barred to its former owner for a while."""
        try:
            outcome = accounts.unlink(runtime(), link_id, person_of_request(request))
        except RecordUnavailable as error:
            return unavailable(error)
        if isinstance(outcome, accounts.Refused):
            return Response(refusal("forbidden", outcome.reason), status=403)
        return Response(status=204)
