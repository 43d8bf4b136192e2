"""Requests that a legacy server sends to its client in the middle of a call: sampling, elicitation, roots, ping.

They are a way for a server to get at the caller's model and files, so they are closed where the connection does not
allow them (`server_requests`): the server is told so, and the caller never sees them. An allowed one reaches its
caller masked and recorded like any message of the server, under a handle in place of its id; the answer comes back as a
message of its own, is judged by rules, masked, recorded, and sent on under the server's own id. A ping is answered
here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from proxy import handles
from proxy.answers import readdressed
from proxy.envelope import METHOD_NOT_FOUND
from proxy.errors import Fault, UpstreamInvalid
from proxy.recording import entry
from sessions.journal import RecordUnavailable

if TYPE_CHECKING:
    from approvals.config.schema import Connection
    from approvals.runtime import Runtime
    from proxy.background import Background
    from proxy.exchange import Exchange
    from proxy.mcp import Message
    from proxy.transport import Transport


# What servers may ask for, and what allows it. Another name is text of theirs, which has no place in an entry that is
# never erased.
ALLOWED_BY = {"sampling/createMessage": "sampling", "elicitation/create": "elicitation", "roots/list": "roots"}
KNOWN = frozenset({"ping", *ALLOWED_BY})

# Each request is answered by one of the gateway's own: a server must not make it send without end.
MOST_REQUESTS = 100
CLOSED = "Requests of servers to their callers are closed on this connection of the gateway."
REFUSED = "The gateway did not pass on the answer of the caller."


def is_allowed(connection: Connection, method: str) -> bool:
    """Say whether the connection lets its server ask callers for this."""
    return ALLOWED_BY.get(method) in connection.server_requests


def answered(message: Message, holder: str) -> Message:
    """Return a caller's answer to a server's request as the server knows it: under its own id, with its method.

    An answer to nothing that was asked of this caller comes back as it is, without a method.
    """
    opened = handles.take("request", message.id, holder)
    if opened is None:
        return message
    request_id, method = opened
    return replace(message, id=request_id, method=method, raw=readdressed(message.raw, request_id))


class ServerRequests:
    """Passes a server's own requests to its caller, or answers them in the caller's stead."""

    def __init__(self, house: Runtime, transport: Transport, background: Background) -> None:
        self._house = house
        self._transport = transport
        self._background = background

    def handle(self, exchange: Exchange, request: dict[str, Any]) -> str | None:
        """Return the handle under which the caller is asked; None when the caller is not asked at all.

        Then it is answered here; the call itself goes on meanwhile. Raises UpstreamInvalid when it asks too often.
        """
        exchange.asked += 1
        if exchange.asked > MOST_REQUESTS:
            raise UpstreamInvalid(f"The upstream asked its caller more than {MOST_REQUESTS} times.")
        method, request_id = str(request.get("method")), request["id"]
        can_hear = exchange.heard and exchange.accepts_stream and exchange.message.era == "legacy"
        if can_hear and isinstance(request_id, str | int) and is_allowed(exchange.connection, method):
            return handles.give("request", [request_id, method], handles.holder_of(exchange))
        self._background.run(self._answer(exchange, method, request_id, CLOSED))
        return None

    def refuse(self, exchange: Exchange) -> None:
        """Tell the server that its caller's answer was not passed on, so that it does not wait for it."""
        message = exchange.message
        if message.id is not None and message.method in ALLOWED_BY:
            self._background.run(self._answer(exchange, message.method, message.id, REFUSED))

    async def _answer(self, exchange: Exchange, method: str, request_id: Any, refusal: str) -> None:
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": request_id}
        if method == "ping":
            reply["result"] = {}
        else:
            reply["error"] = {"code": METHOD_NOT_FOUND, "message": refusal}
        asked = method if method in KNOWN else "other"
        try:
            await self._house.journal.append(entry(exchange, "server.request_answered", asked=asked))
            async for _ in self._transport.ask(exchange, orjson.dumps(reply)):
                pass
        except (Fault, RecordUnavailable):
            return  # the server asks in vain; its own call ends with what it makes of that
