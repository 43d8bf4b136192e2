"""The API of one's accounts at servers: which there are, and letting go of one. A browser alone connects them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.response import Response
from rest_framework.views import APIView

from approvals.api.requests import unavailable
from approvals.api.serializers import RefusalSerializer
from approvals.runtime import runtime
from proxy.oauth import connecting
from proxy.oauth.pages import servers_of
from sessions.journal import RecordUnavailable

if TYPE_CHECKING:
    from rest_framework.request import Request

    from approvals.verdicts import Caller
    from proxy.oauth.pages import Server


class ServerSerializer(serializers.Serializer[Any]):
    """One server that wants an account of whoever calls."""

    connection = serializers.CharField()
    status = serializers.ChoiceField(["connected", "ended", "missing"])
    since = serializers.DateTimeField(allow_null=True)
    url = serializers.CharField(help_text="The page on which it is connected.")


class ServersSerializer(serializers.Serializer[Any]):
    """All of them."""

    results = ServerSerializer(many=True)


def _of(request: Request) -> tuple[Caller, list[Server]]:
    caller = cast("Caller", request.auth)
    if caller.kind != "person":
        raise PermissionDenied("Only a person has accounts at servers.")
    return caller, servers_of(caller, runtime().policies.current.policy)


class Servers(APIView):
    """The servers that want an account of whoever asks."""

    @extend_schema(operation_id="servers_list", responses={200: ServersSerializer, 403: RefusalSerializer})
    def get(self, request: Request) -> Response:
        """List them, with what is connected."""
        rows = [
            {
                "connection": one.name,
                "status": one.status,
                "since": one.grant.made_at if one.grant else None,
                "url": f"{settings.PUBLIC_URL}/me/servers/",
            }
            for one in _of(request)[1]
        ]
        return Response(ServersSerializer({"results": rows}).data)


class Disconnect(APIView):
    """The end of an account here."""

    @extend_schema(
        request=None, responses={204: None, 403: RefusalSerializer, 404: RefusalSerializer, 503: RefusalSerializer}
    )
    def post(self, request: Request, connection: str) -> Response:
        """Forget what the gateway holds of one's account at a server."""
        caller, servers = _of(request)
        found = next((server for server in servers if server.name == connection), None)
        if found is None:
            raise NotFound
        try:
            connecting.disconnect(runtime(), connection, found.connection, caller.key)
        except RecordUnavailable as error:
            return unavailable(error)
        return Response(status=204)
