"""One list of a server's tools: every page of it, read strictly."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from approvals import keys
from approvals.catalogue.definitions import digest_of
from approvals.config.hints import hints_of
from masking import documents
from masking.schemas import OutputSchema
from proxy.errors import UpstreamInvalid

if TYPE_CHECKING:
    from approvals.config.hints import Hints
    from proxy.exchange import Exchange
    from proxy.own_requests import OwnRequests

MOST_PAGES = 100
MOST_TOOLS = 10_000
# What a server says that has no tools at all.
_NO_TOOLS: dict[str, Any] = {"tools": []}


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool definition: the digest of all of it, what its results must be like, what it says of itself."""

    digest: str
    output: OutputSchema | None
    hints: Hints


@dataclass(slots=True)
class Listed:
    """What was listed, by name: the definitions as they came, and what they are to a call."""

    definitions: dict[str, Any]
    tools: dict[str, Tool]


async def list_tools(requests: OwnRequests, exchange: Exchange) -> Listed:
    """Return all tools, within the time that the connection gives one call. Raises Fault and RecordUnavailable."""
    found = Listed({}, {})
    deadline = time.monotonic() + exchange.connection.timeout
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        params = {} if cursor is None else {"cursor": cursor}
        page, cursor = await requests.ask(
            exchange, "tools/list", params, read=_page, deadline=deadline, missing=_NO_TOOLS
        )
        found.definitions |= page.definitions
        found.tools |= page.tools
        if cursor is None:
            return found
        if len(found.tools) > MOST_TOOLS:
            break
    msg = "The upstream's list of tools does not end."
    raise UpstreamInvalid(msg)


def _page(result: dict[str, Any]) -> tuple[tuple[Listed, str | None], dict[str, str]]:
    """Return one page with the cursor of the next, and what the record keeps of it. Raises UpstreamInvalid."""
    listed = result.get("tools") or []
    if not isinstance(listed, list):
        msg = "The upstream's list of tools is none."
        raise UpstreamInvalid(msg)
    definitions = {one["name"]: one for one in listed if isinstance(one, dict) and isinstance(one.get("name"), str)}
    tools = _read(definitions)
    cursor = result.get("nextCursor")
    page = Listed(definitions, tools), cursor if isinstance(cursor, str) else None
    return page, {"tools": _summary(tools)}


def _read(definitions: Mapping[str, Any]) -> dict[str, Tool]:
    try:
        return {name: _tool(definition) for name, definition in definitions.items()}
    except (documents.Unreadable, RecursionError) as error:
        msg = "The definition of one of the upstream's tools is nested too deep."
        raise UpstreamInvalid(msg) from error


def _tool(definition: dict[str, Any]) -> Tool:
    schema = definition.get("outputSchema")
    output = OutputSchema(schema) if schema is not None else None
    return Tool(digest_of(definition), output, hints_of(definition.get("annotations")))


def _summary(tools: Mapping[str, Tool]) -> str:
    return keys.keyed_digest("tools", *(f"{name}={tool.digest}" for name, tool in sorted(tools.items())))
