"""Requests that a legacy server sends to its client in the middle of a call: sampling, elicitation, roots, ping.

They are a way for a server to get at the caller's model and files, so they are closed in this version: the server is
told so, and the caller never sees them. A ping is answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from proxy.envelope import METHOD_NOT_FOUND
from proxy.errors import Fault
from proxy.recording import entry
from sessions.journal import RecordUnavailable

if TYPE_CHECKING:
    from approvals.runtime import Runtime
    from proxy.background import Background
    from proxy.exchange import Exchange
    from proxy.transport import Transport


# What servers may ask for. Another name is text of theirs, which has no place in an entry that is never erased.
KNOWN = frozenset({"ping", "sampling/createMessage", "elicitation/create", "roots/list"})


class ServerRequests:
    """Answers a server's own requests in its caller's stead."""

    def __init__(self, house: Runtime, transport: Transport, background: Background) -> None:
        self._house = house
        self._transport = transport
        self._background = background

    def answer(self, exchange: Exchange, request: dict[str, Any]) -> None:
        """Begin to answer; the call itself goes on meanwhile."""
        self._background.run(self._answer(exchange, request))

    async def _answer(self, exchange: Exchange, request: dict[str, Any]) -> None:
        method = str(request.get("method"))
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"]}
        if method == "ping":
            reply["result"] = {}
        else:
            message = "Requests of servers to their callers are closed on this gateway."
            reply["error"] = {"code": METHOD_NOT_FOUND, "message": message}
        asked = method if method in KNOWN else "other"
        try:
            await self._house.journal.append(entry(exchange, "server.request_answered", asked=asked))
            async for _ in self._transport.ask(exchange, orjson.dumps(reply)):
                pass
        except (Fault, RecordUnavailable):
            return  # the server asks in vain; its own call ends with what it makes of that
