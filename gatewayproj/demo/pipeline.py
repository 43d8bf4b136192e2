"""The pipeline of the demo: a real MCP client by the official SDK. All that is special is the endpoint it was
given.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult

MODERN = "2026-07-28"
# While people decide, a sign of life comes every ten seconds.
TIMEOUT = httpx2.Timeout(30, read=300)


@asynccontextmanager
async def pipeline(url: str, token: str, *, mode: str = "auto") -> AsyncIterator[Client]:
    """Connect as a CI job with its identity token. `mode` pins the protocol era, as the SDK names it."""
    headers = {"Authorization": f"Bearer {token}"}
    # Loopback: a proxy that the shell names must not come between.
    async with (
        httpx2.AsyncClient(headers=headers, timeout=TIMEOUT, trust_env=False) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        yield client


def spoken(result: CallToolResult) -> str:
    """Return all that an answer says, in one text: what a log of the pipeline could hold."""
    return result.model_dump_json(by_alias=True, exclude_none=True)


def said(result: CallToolResult) -> str:
    """Return the text of an answer."""
    return "\n".join(block.text for block in result.content if block.type == "text")


def meta(result: CallToolResult, name: str) -> dict[str, Any]:
    """Return one of the gateway's own members of an answer, such as `approval` or `decision`."""
    value = (result.meta or {}).get(f"holdgate/{name}")
    return value if isinstance(value, dict) else {}
