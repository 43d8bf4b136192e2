"""Hidden sessions: what a server of the older era knows of a caller of the newer one, who has no session.

There is one for each caller at a connection, and for what that caller can be asked; any process finds it. It is opened
with the first request, looked after with a ping when it lay idle, and opened anew where the server forgot it: a call
is never sent to find that out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import orjson

from approvals.keys import keyed_digest
from masking import documents
from proxy.between.shapes import CLIENT_KEY, LEVEL_KEY, US
from proxy.between.told import in_words, whole
from proxy.errors import CredentialUnavailable, Fault, UpstreamInvalid, UpstreamUnavailable
from proxy.mcp import CAPABILITIES_KEY, LEGACY
from proxy.upstream_answer import UpstreamRequest

if TYPE_CHECKING:
    from proxy.between.told import Send
    from proxy.exchange import Exchange
    from proxy.legacy import LegacySessions

# Whoever was spoken to in this time is taken to be there.
FRESH_SECONDS = 5.0
SECONDS = 60.0
MOST_NOTED = 10_000
SESSION_GONE = 404
GONE = "The server ended the session in which the gateway speaks to it for this caller; send the call again."


@dataclass(frozen=True, slots=True)
class Hidden:
    """A session that is open. `session` is the server's id, where it has one; `said` its answer to the handshake."""

    token: str
    session: str | None
    version: str
    said: Mapping[str, Any]

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the header fields of requests in it."""
        return [(b"mcp-protocol-version", self.version.encode())]


class HiddenSessions:
    """The hidden sessions that one process speaks in."""

    def __init__(self, sessions: LegacySessions) -> None:
        self._sessions = sessions
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._used: dict[str, float] = {}

    async def of(self, exchange: Exchange, request: UpstreamRequest, send: Send) -> Hidden:
        """Return the session of this caller, opened if need be. Raises Fault."""
        declared = declared_of(exchange)
        level = exchange.message.meta.get(LEVEL_KEY)
        place = exchange.connection.url or " ".join(exchange.connection.command or ())
        known = orjson.dumps([declared, level, str(place)], option=orjson.OPT_SORT_KEYS)
        token = keyed_digest("hidden session", exchange.actor, exchange.connection_name, known)
        turn = self._turns.setdefault(token, asyncio.Lock())
        async with turn:
            found = await self._found(exchange, token, request, send)
            if found is None:
                found = await self.opened(exchange, request, send, token=token)
                kept = {"session": found.session, "version": found.version, "said": found.said}
                await self._sessions.open(
                    actor=exchange.actor,
                    connection=exchange.connection_name,
                    upstream=documents.write(kept).decode(),
                    version=found.version,
                    token=token,
                )
        self._note(token)
        return found

    async def forget(self, hidden: Hidden) -> None:
        """Forget a session that its server no longer knows."""
        self._used.pop(hidden.token, None)
        await self._sessions.close(hidden.token)

    async def opened(self, exchange: Exchange, request: UpstreamRequest, send: Send, *, token: str = "") -> Hidden:
        """Shake hands with the server for this caller. Raises Fault; the caller's own request was not sent then."""
        try:
            return await self._shaken(exchange, request, send, token)
        except CredentialUnavailable:
            raise
        except Fault as fault:
            raise UpstreamUnavailable(f"The server could not be shaken hands with. {fault.message}") from fault

    async def _shaken(self, exchange: Exchange, request: UpstreamRequest, send: Send, token: str) -> Hidden:
        params = {
            "protocolVersion": LEGACY[-1],
            "capabilities": declared_of(exchange),
            "clientInfo": exchange.message.meta.get(CLIENT_KEY) or dict(US),
        }
        asked = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
        answer, head = await whole(send, _short(in_words(request, asked, (), None)))
        said = answer.get("result")
        if not isinstance(said, dict) or said.get("protocolVersion") not in LEGACY:
            raise UpstreamInvalid("The server and the gateway could not agree on a revision.")
        hidden = Hidden(token, head.session, said["protocolVersion"], said)
        told = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        await whole(send, _short(in_words(request, told, hidden.headers, hidden.session)))
        level = exchange.message.meta.get(LEVEL_KEY)
        if isinstance(level, str) and "logging" in (said.get("capabilities") or {}):
            asked = {"jsonrpc": "2.0", "id": 2, "method": "logging/setLevel", "params": {"level": level}}
            await whole(send, _short(in_words(request, asked, hidden.headers, hidden.session)))
        return hidden

    async def _found(self, exchange: Exchange, token: str, request: UpstreamRequest, send: Send) -> Hidden | None:
        """Return the session that was opened before, if the server still knows it."""
        kept = await self._sessions.find(token, actor=exchange.actor, connection=exchange.connection_name)
        if kept is None:
            return None
        content, _ = documents.read(kept.upstream)
        hidden = Hidden(token, content["session"], content["version"], content["said"])
        is_fresh = time.monotonic() - self._used.get(token, -FRESH_SECONDS) < FRESH_SECONDS
        if hidden.session is None or is_fresh:
            return hidden
        ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        try:
            _, head = await whole(send, _short(in_words(request, ping, hidden.headers, hidden.session)))
        except Fault:
            head = None  # it is opened anew, which says what is wrong if something is
        if head is None or head.status == SESSION_GONE:
            await self.forget(hidden)
            return None
        return hidden

    def _note(self, token: str) -> None:
        self._used[token] = time.monotonic()
        if len(self._used) > MOST_NOTED:
            del self._used[next(iter(self._used))]


def declared_of(exchange: Exchange) -> dict[str, Any]:
    """Return what this caller can be asked by its server: what it declared and the connection allows."""
    declared = exchange.message.meta.get(CAPABILITIES_KEY)
    allowed = exchange.connection.server_requests
    return {name: declared[name] for name in allowed if name in declared} if isinstance(declared, Mapping) else {}


def _short(request: UpstreamRequest) -> UpstreamRequest:
    """Return a request that takes no longer than a handshake may."""
    return replace(request, timeout=min(SECONDS, request.timeout or SECONDS))
