"""Trying a configuration over the API: recorded calls judged by it, and what is strange about it. Nothing changes."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from approvals.api.policy import MAX_DOCUMENT, JsonText, YamlText, require_role
from approvals.api.serializers import refusal
from approvals.config.loader import ConfigError, load
from approvals.config.schema import Config
from approvals.database import database_now
from approvals.pastcalls import past_calls
from approvals.policy import Policy
from approvals.rules.backtest import BackTest
from approvals.rules.lint import lint

MOST_CALLS = 20_000
MOST_DAYS = 400


class Simulate(APIView):
    """What a configuration would have done with the calls of the last days."""

    parser_classes = [YamlText, JsonText]

    @extend_schema(
        request=OpenApiTypes.OBJECT,
        parameters=[
            OpenApiParameter("days", OpenApiTypes.INT, description="how far back; 7 when left out"),
            OpenApiParameter("limit", OpenApiTypes.INT, description="calls, the first ones; 5000 when left out"),
            OpenApiParameter("connection", OpenApiTypes.STR),
        ],
        responses={200: OpenApiTypes.OBJECT, 400: OpenApiTypes.OBJECT},
    )
    def post(self, request: Request) -> Response:
        """Judge recorded calls by the posted configuration; counts alone come back, no content of any call."""
        require_role(request, "admin")
        config = _posted(request)
        if isinstance(config, Response):
            return config
        days, limit = _number(request, "days", 7, MOST_DAYS), _number(request, "limit", 5000, MOST_CALLS)
        if days is None or limit is None:
            return Response(
                refusal("invalid_request", f"days must be 1 to {MOST_DAYS}, limit 1 to {MOST_CALLS}."), status=400
            )
        until = database_now()
        connection = request.query_params.get("connection", "")
        calls = past_calls(config, until - timedelta(days=days), until, connection=connection, limit=limit)
        report = BackTest(Policy.compile(config)).run(calls)
        return Response({**report.as_json(), "complete": report.calls < limit})


class Lint(APIView):
    """What is valid in a configuration and yet hardly meant."""

    parser_classes = [YamlText, JsonText]

    @extend_schema(request=OpenApiTypes.OBJECT, responses={200: OpenApiTypes.OBJECT, 400: OpenApiTypes.OBJECT})
    def post(self, request: Request) -> Response:
        """Return the findings of the posted configuration."""
        require_role(request, "admin")
        config = _posted(request)
        if isinstance(config, Response):
            return config
        return Response({"findings": [{"where": one.where, "says": one.says} for one in lint(config)]})


def _posted(request: Request) -> Config | Response:
    text = cast("str", request.data)
    if len(text) > MAX_DOCUMENT:
        return Response(refusal("too_large", f"The document is larger than {MAX_DOCUMENT} bytes."), status=413)
    try:
        return load(text)
    except ConfigError as error:
        messages = [str(problem) for problem in error.problems]
        return Response(refusal("invalid_request", "; ".join(messages)) | {"messages": messages}, status=400)


def _number(request: Request, name: str, usual: int, most: int) -> int | None:
    """Return a whole number of the query, or None for what is none or out of bounds."""
    said = request.query_params.get(name, str(usual))
    found = int(said) if said.isascii() and said.isdigit() and len(said) < 9 else 0
    return found if 1 <= found <= most else None
