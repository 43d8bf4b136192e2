"""The handshake that the runner makes itself, where several callers share a server or a request has no session."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import orjson

from proxy import envelope
from proxy.errors import UpstreamInvalid, UpstreamTimeout
from proxy.mcp import LEGACY

if TYPE_CHECKING:
    from proxy.envelope import Envelope
    from proxy.stdio.conversation import Conversation

SECONDS = 60.0
_INITIALIZE: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": "holdgate",
    "method": "initialize",
    # No capability of clients is offered: nobody could say which caller the server's requests are for.
    "params": {
        "protocolVersion": LEGACY[-1],
        "capabilities": {},
        "clientInfo": {"name": "holdgate", "version": "1"},
    },
}
_INITIALIZED: dict[str, Any] = {"jsonrpc": "2.0", "method": "notifications/initialized"}


class Handshakes:
    """What the servers said to the runner's `initialize`, each asked once."""

    def __init__(self) -> None:
        self._made: dict[Conversation, asyncio.Task[bytes]] = {}

    async def answer(self, conversation: Conversation) -> bytes:
        """Return the server's answer, whose id is the runner's. Raises Fault; the server is ended then."""
        self._made = {known: made for known, made in self._made.items() if not known.is_over}
        if conversation not in self._made:
            self._made[conversation] = asyncio.create_task(_shake_hands(conversation))
        # It is for all who wait for it, so that one who leaves does not end it.
        return await asyncio.shield(self._made[conversation])


async def _shake_hands(conversation: Conversation) -> bytes:
    stream = conversation.ask(orjson.dumps(_INITIALIZE), _read(_INITIALIZE))
    try:
        async with asyncio.timeout(SECONDS):
            answer = await stream.next()
            while answer is not None and not stream.is_drained:
                answer = await stream.next()
    except TimeoutError as error:
        fault = UpstreamTimeout("The server did not answer the handshake in time.", executed="false")
        await conversation.end(fault)
        raise fault from error
    if answer is None or "result" not in orjson.loads(answer):
        invalid = UpstreamInvalid("The server refused the handshake.", executed="false")
        await conversation.end(invalid)
        raise invalid
    conversation.child.send(orjson.dumps(_INITIALIZED))
    return answer


def _read(message: dict[str, Any]) -> Envelope:
    return cast("Envelope", envelope.read(message))
