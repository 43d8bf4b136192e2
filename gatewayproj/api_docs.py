"""A page that lists the API.

Self-made and small: it needs no script and no other host, as the CSP demands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from drf_spectacular.generators import SchemaGenerator

METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path, as the schema describes it."""

    method: str
    path: str
    summary: str
    parameters: tuple[tuple[str, str], ...]
    statuses: tuple[str, ...]


def operations(schema: dict[str, Any]) -> list[Operation]:
    """Return every operation of an OpenAPI document, by path."""
    return [
        _operation(method, path, item[method])
        for path, item in sorted(schema["paths"].items())
        for method in METHODS
        if method in item
    ]


def _operation(method: str, path: str, described: dict[str, Any]) -> Operation:
    parameters = tuple(
        (parameter["name"], parameter.get("description", ""))
        for parameter in described.get("parameters", ())
        if parameter["in"] != "path"
    )
    return Operation(
        method.upper(),
        path,
        described.get("description", ""),
        parameters,
        tuple(sorted(described["responses"])),
    )


@require_GET
def docs(request: HttpRequest) -> HttpResponse:
    """Show the API; /api/schema/ has the whole of it for programs."""
    schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call] # untyped library
    return render(request, "api_docs.html", {"operations": operations(schema)})
