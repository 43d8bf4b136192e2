"""Requests that no honest client sends, as bytes, each with what the gateway has to answer.

A case is a template: `render` puts address, token and marker into it. The families are in the modules beside, and all
together in `all_requests`. What a case expects is written down with its family, not taken from what the gateway did.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

# Stands where the marker comes, and is as long, so that lengths may be told before.
MARK = "mark" + "x" * 14
PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
HEADER_MISMATCH, UNSUPPORTED_VERSION = -32020, -32022
FIRST, LAST, MODERN = "2025-03-26", "2025-11-25", "2026-07-28"
CALL = (
    b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{"text":"t","marker":"'
    + MARK.encode()
    + b'"}}}'
)


@dataclass(frozen=True)
class Told:
    """What a caller hears: the status, and the code of a JSON-RPC error or none where the refusal object is the body.

    `by_server` is the answer of the HTTP server itself to what is no HTTP; `silent` allows that there is no answer, for
    the connection is closed; `fine` is an answer of the upstream.
    """

    status: int
    code: int | None = None
    reason: str = "invalid_request"
    by_server: bool = False
    silent: bool = False
    fine: bool = False


def rpc(code: int, status: int = 400, reason: str = "invalid_request") -> Told:
    """Return a JSON-RPC error."""
    return Told(status, code, reason)


NO_JSON, NO_MESSAGE, NO_PARAMS = rpc(PARSE_ERROR), rpc(INVALID_REQUEST), rpc(INVALID_PARAMS)
MISMATCH, UNSUPPORTED = rpc(HEADER_MISMATCH), rpc(UNSUPPORTED_VERSION)
NO_HTTP = Told(400, by_server=True)
CUT = Told(400, by_server=True, silent=True)  # given up: with a word where the HTTP server has one
FINE = Told(200, fine=True)
TOO_LARGE = Told(413, reason="too_large")
STRANGER = Told(401, reason="unauthenticated")
FORBIDDEN = Told(403, reason="forbidden")


@dataclass(frozen=True)
class Case:
    """One request, or what pretends to be one."""

    name: str
    data: bytes
    told: Told

    def render(self, mark: str, host: str, token: str) -> bytes:
        """Return the bytes to send."""
        found = self.data.replace(MARK.encode(), mark.encode())
        return found.replace(b"@HOST@", host.encode()).replace(b"@TOKEN@", token.encode())


FIELDS: Mapping[str, str] = {
    "host": "@HOST@",
    "authorization": "Bearer @TOKEN@",
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": LAST,
    "connection": "close",
}


def post(body: bytes, fields: Mapping[str, str | bytes | None] | None = None, more: bytes = b"") -> bytes:
    """Return a POST of this body: with other `fields`, without those that are None, with `more` lines in its head."""
    told = {**FIELDS, "content-length": str(len(body)), **(fields or {})}
    return head("POST /mcp/orders-db HTTP/1.1", told, more) + body


def head(first: str, fields: Mapping[str, str | bytes | None], more: bytes = b"") -> bytes:
    """Return the head of a request."""
    lines = b"".join(
        name.encode() + b": " + (value if isinstance(value, bytes) else value.encode()) + b"\r\n"
        for name, value in fields.items()
        if value is not None
    )
    return first.encode() + b"\r\n" + lines + more + b"\r\n"


def chunked(*pieces: bytes) -> bytes:
    """Return these pieces as chunks, with the last one."""
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))


def family(name: str, told: Told, bodies: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> Iterator[Case]:
    """Give a case for each request, all of them told the same."""
    pairs = bodies.items() if isinstance(bodies, Mapping) else bodies
    for one, data in pairs:
        yield Case(f"{name}: {one}", data, told)
