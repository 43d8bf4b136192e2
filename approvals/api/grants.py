"""The API of remembered decisions: which there are, and taking one back."""

from __future__ import annotations

from typing import Any, cast

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from approvals import revocation
from approvals.api.listing import Listing
from approvals.api.requests import RETRY_AFTER, viewer
from approvals.api.serializers import RefusalSerializer, refusal
from approvals.database import database_now
from approvals.grant_cards import STANDINGS, GrantCard, grants_for
from approvals.memory import Grant
from approvals.runtime import runtime
from approvals.selectors import visible_to
from approvals.services import unrecorded
from approvals.verdicts import Caller
from sessions.journal import RecordUnavailable

FILTERS = ("connection", "caller")
_LISTED = [
    OpenApiParameter(name, OpenApiTypes.STR, description=text)
    for name, text in (
        ("connection", "name of a connection"),
        ("caller", "`iss|sub`, or a subject"),
        ("cursor", "`next` of the page before"),
    )
]


class GrantSerializer(serializers.Serializer[Any]):
    """One remembered decision. Accounts are `iss|sub`; `approval` is the request that was approved with it."""

    id = serializers.CharField()
    standing = serializers.ChoiceField(list(STANDINGS))
    sentence = serializers.CharField()
    scope = serializers.CharField()
    connection = serializers.CharField()
    method = serializers.CharField()
    tool = serializers.CharField()
    requester = serializers.CharField()
    run = serializers.JSONField()
    rule = serializers.CharField()
    approval = serializers.CharField()
    granted_by = serializers.ListField(child=serializers.CharField())
    max_uses = serializers.IntegerField()
    uses = serializers.IntegerField()
    made_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    revoked_at = serializers.DateTimeField(allow_null=True)
    revoked_by = serializers.CharField(allow_null=True)
    url = serializers.CharField()


class GrantsSerializer(serializers.Serializer[Any]):
    """A page of a list; `next` is the value for `?cursor=`, null at the end."""

    next = serializers.CharField(allow_null=True)
    results = GrantSerializer(many=True)


def _rendered(request: Request, grant: Grant) -> dict[str, Any]:
    card = GrantCard(grant, *viewer(request), database_now())
    return dict(GrantSerializer(card.document(runtime().public_url)).data)


class Grants(APIView):
    """Every remembered decision on a request that the caller may see, newest first."""

    @extend_schema(operation_id="grants_list", parameters=_LISTED, responses=GrantsSerializer)
    def get(self, request: Request) -> Response:
        """List remembered decisions."""
        listing = Listing.of(request.query_params, FILTERS)
        asked = listing.filtered(visible_to(*viewer(request)))
        rows = listing.page(grants_for(*viewer(request)).filter(request__in=asked))
        return Response(listing.answer(rows, lambda grant: _rendered(request, grant)))


class Revoke(APIView):
    """The end of a remembered decision."""

    @extend_schema(
        request=None,
        responses={200: GrantSerializer, 403: RefusalSerializer, 404: RefusalSerializer, 503: RefusalSerializer},
    )
    def post(self, request: Request, grant_id: str) -> Response:
        """Take it back, and every call that it approved and that has not begun to run. Again changes nothing."""
        caller = cast("Caller", request.auth)
        try:
            outcome = revocation.revoke_grant(runtime(), grant_id=grant_id, caller=caller)
        except RecordUnavailable as error:
            body = refusal("record_unavailable", unrecorded(error)) | {"retry_after": RETRY_AFTER}
            return Response(body, status=503, headers={"Retry-After": str(RETRY_AFTER)})
        match outcome:
            case revocation.Unknown():
                raise NotFound
            case revocation.NotYours(reason):
                return Response(refusal("forbidden", reason), status=403)
            case revocation.Revoked(grant):
                return Response(_rendered(request, grant))
