"""The API of pinned tools: what each connection's tools are, and accepting a definition that was read."""

from __future__ import annotations

import json
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from approvals.api.policy import require_role
from approvals.api.requests import unavailable
from approvals.api.serializers import RefusalSerializer, StrictSerializer, refusal
from approvals.catalogue import pinning, watching
from approvals.catalogue.models import PinnedConnection, ToolPin
from approvals.runtime import runtime
from approvals.verdicts import Caller
from sessions.journal import RecordUnavailable

STALE = "The definition that waits is another one by now. Read it again."
READERS = ("admin", "operator", "auditor")


class FlagSerializer(serializers.Serializer[Any]):
    """What should make an admin look twice, and where in the definition."""

    reason = serializers.CharField()
    place = serializers.CharField()


class PinnedToolSerializer(serializers.Serializer[Any]):
    """One tool. Definitions are masked; a digest is that of what the server sent, SHA-256 in hex."""

    tool = serializers.CharField()
    status = serializers.ChoiceField(["accepted", "changed", "new", "removed"])
    digest = serializers.CharField(allow_null=True)
    definition = serializers.JSONField(allow_null=True)
    flags = FlagSerializer(many=True)
    first_seen_at = serializers.DateTimeField()
    accepted_by = serializers.CharField(allow_null=True)
    accepted_at = serializers.DateTimeField(allow_null=True)
    pending_digest = serializers.CharField(allow_null=True)
    pending_definition = serializers.JSONField(allow_null=True)
    pending_flags = FlagSerializer(many=True)
    pending_since = serializers.DateTimeField(allow_null=True)


class PinnedToolsSerializer(serializers.Serializer[Any]):
    """The tools of a connection; `pin_tools` says whether what waits is held back.

    `looked_at` is when the gateway last saw them without a caller, `look_failed` why it cannot now.
    """

    pin_tools = serializers.BooleanField()
    looked_at = serializers.DateTimeField(allow_null=True)
    look_failed = serializers.CharField(allow_null=True)
    results = PinnedToolSerializer(many=True)


class AcceptSerializer(StrictSerializer):
    """The digest of the definition that was read."""

    digest = serializers.RegexField(r"\A[0-9a-f]{64}\Z")


class ReadSerializer(StrictSerializer):
    """One definition that was read: the tool as the list names it, and its digest."""

    tool = serializers.CharField(max_length=500, trim_whitespace=False)
    digest = serializers.RegexField(r"\A[0-9a-f]{64}\Z")


class AcceptAllSerializer(StrictSerializer):
    """The definitions that were read."""

    tools = serializers.ListField(child=ReadSerializer(), allow_empty=False, max_length=1000)


def document(pin: ToolPin) -> dict[str, Any]:
    """Return a tool as the API gives it."""
    return {
        "tool": pin.tool,
        "status": pin.status,
        "digest": pin.digest or None,
        "definition": json.loads(pin.definition) if pin.definition else None,
        "flags": pin.flags,
        "first_seen_at": pin.first_seen_at,
        "accepted_by": pin.accepted_by or None,
        "accepted_at": pin.accepted_at,
        "pending_digest": pin.pending_digest or None,
        "pending_definition": json.loads(pin.pending_definition) if pin.pending_definition else None,
        "pending_flags": pin.pending_flags,
        "pending_since": pin.pending_since,
    }


class Tools(APIView):
    """The tools of one connection as they are pinned."""

    @extend_schema(operation_id="tools_list", responses={200: PinnedToolsSerializer, 404: RefusalSerializer})
    def get(self, request: Request, connection: str) -> Response:
        """List every tool that was seen, by name, with what is accepted and what waits."""
        require_role(request, *READERS)
        found = runtime().policies.reload().policy.connection(connection)
        if found is None:
            raise NotFound
        row = PinnedConnection.objects.filter(pk=connection).first()
        body = {
            "pin_tools": found.pin_tools,
            "looked_at": row and row.looked_at,
            "look_failed": (row and row.look_failed) or None,
            "results": [document(pin) for pin in ToolPin.objects.filter(connection=connection)],
        }
        return Response(PinnedToolsSerializer(body).data)


class Look(APIView):
    """A look at a connection's tools, without waiting for its turn."""

    @extend_schema(request=None, responses={202: None, 403: RefusalSerializer, 404: RefusalSerializer})
    def post(self, request: Request, connection: str) -> Response:
        """Let the gateway look at the tools soon; `looked_at` of the list tells when it has."""
        require_role(request, "admin")
        if runtime().policies.reload().policy.connection(connection) is None:
            raise NotFound
        watching.ask(connection)
        return Response(status=202)


class Accept(APIView):
    """The word of an admin that a new or changed definition may be used."""

    @extend_schema(
        request=AcceptSerializer,
        responses={
            200: PinnedToolSerializer,
            400: RefusalSerializer,
            403: RefusalSerializer,
            404: RefusalSerializer,
            409: RefusalSerializer,
            503: RefusalSerializer,
        },
    )
    def post(self, request: Request, connection: str, tool: str) -> Response:
        """Accept the definition of this digest; it governs the very next call. 409 when another one waits by now."""
        admin = require_role(request, "admin")
        body = AcceptSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        found = _accepted(connection, [(tool, body.validated_data["digest"])], admin)
        return found if isinstance(found, Response) else Response(PinnedToolSerializer(document(found[0])).data)


class AcceptAll(APIView):
    """The word of an admin on several definitions at once."""

    @extend_schema(
        operation_id="tools_accept_all",
        request=AcceptAllSerializer,
        responses={
            200: PinnedToolSerializer(many=True),
            400: RefusalSerializer,
            403: RefusalSerializer,
            404: RefusalSerializer,
            409: RefusalSerializer,
            503: RefusalSerializer,
        },
    )
    def post(self, request: Request, connection: str) -> Response:
        """Accept all of these definitions or none; 409 when another one of some tool waits by now."""
        admin = require_role(request, "admin")
        body = AcceptAllSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        read = [(one["tool"], one["digest"]) for one in body.validated_data["tools"]]
        found = _accepted(connection, read, admin)
        if isinstance(found, Response):
            return found
        return Response(PinnedToolSerializer([document(pin) for pin in found], many=True).data)


def _accepted(connection: str, read: list[tuple[str, str]], admin: Caller) -> tuple[ToolPin, ...] | Response:
    """Accept the definitions that were read; return their tools, or the answer to why not. Raises NotFound."""
    try:
        outcome = pinning.accept_all(runtime(), connection=connection, read=read, admin=admin)
    except RecordUnavailable as error:
        return unavailable(error)
    match outcome:
        case pinning.Unknown():
            raise NotFound
        case pinning.Stale(pin):
            return Response(refusal("invalid_request", f"{pin.tool}: {STALE}"), status=409)
        case pinning.AllAccepted(pins):
            return pins
