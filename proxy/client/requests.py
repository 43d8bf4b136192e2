"""The JSON-RPC requests that the command line sends, with the header fields of their era. Pure.

Legacy is MCP 2025-11-25 with its handshake; modern is 2026-07-28, where every request says all about itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from proxy.headers import encode_mirrored

Era = Literal["modern", "legacy"]
VERSIONS: Mapping[Era, str] = {"modern": "2026-07-28", "legacy": "2025-11-25"}
CLIENT_INFO = {"name": "holdgate-call", "version": "1"}
PROGRESS_TOKEN = "call"  # noqa: S105 - names a stream of notes
_PREFIX = "io.modelcontextprotocol"


@dataclass(frozen=True, slots=True)
class Request:
    """One POST: the message and the header fields that go with it."""

    message: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


def modern(method: str, params: Mapping[str, Any] | None = None, *, request_id: int = 1) -> Request:
    """Build a request of the modern era with its mirrored header fields."""
    given = dict(params or {})
    meta = {
        f"{_PREFIX}/protocolVersion": VERSIONS["modern"],
        f"{_PREFIX}/clientCapabilities": {},
        f"{_PREFIX}/clientInfo": CLIENT_INFO,
        **given.pop("_meta", {}),
    }
    headers = {"MCP-Protocol-Version": VERSIONS["modern"], "Mcp-Method": method}
    if method == "tools/call":
        headers["Mcp-Name"] = encode_mirrored(given["name"])
    return Request(_message(method, {**given, "_meta": meta}, request_id), headers)


def legacy(
    method: str, params: Mapping[str, Any] | None = None, *, request_id: int | None = 1, session: str = ""
) -> Request:
    """Build a request of the legacy era, or a notification when `request_id` is None."""
    headers = {} if method == "initialize" else {"MCP-Protocol-Version": VERSIONS["legacy"]}
    if session:
        headers["Mcp-Session-Id"] = session
    return Request(_message(method, params, request_id), headers)


def initialize() -> Request:
    """Build the first request of the legacy handshake."""
    params = {"protocolVersion": VERSIONS["legacy"], "capabilities": {}, "clientInfo": CLIENT_INFO}
    return legacy("initialize", params)


def call_params(tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a tools/call that asks for progress notes."""
    return {"name": tool, "arguments": arguments, "_meta": {"progressToken": PROGRESS_TOKEN}}


def parameter_headers(schema: object, arguments: object) -> dict[str, str]:
    """Return the `Mcp-Param-*` fields that a modern server wants for a tool (MCP 2026-07-28,
    `x-mcp-header`).
    """
    return dict(_mirrored(schema, arguments))


def _mirrored(schema: object, value: object) -> Iterator[tuple[str, str]]:
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping) or not isinstance(value, Mapping):
        return
    for name, inner in properties.items():
        found = value.get(name)
        mark = inner.get("x-mcp-header") if isinstance(inner, Mapping) else None
        if isinstance(mark, str) and isinstance(found, str | int | float):
            spelled = str(found).lower() if isinstance(found, bool) else str(found)
            yield f"Mcp-Param-{mark}", encode_mirrored(spelled)
        yield from _mirrored(inner, found)


def _message(method: str, params: Mapping[str, Any] | None, request_id: int | None) -> dict[str, Any]:
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    if request_id is not None:
        message["id"] = request_id
    if params is not None:
        message["params"] = params
    return message
