"""A web of issuers that answers as a test says, without a socket, and a clock that a test moves on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import httpx

from proxy.jwks import Keys, KeySet, KeySets
from tests.signing import Key, key

OLD, NEW = key("RS256", "old"), key("RS256", "new")


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Web:
    """A transport whose answers a test sets by address; it notes what was asked, and may let it wait."""

    def __init__(self) -> None:
        self.answers: dict[str, httpx.Response | Exception] = {}
        self.asked: list[str] = []
        self.gate: asyncio.Event | None = None

    def publish(self, *keys: Key, at: str = "https://id.example.com/jwks") -> None:
        self.answers[at] = httpx.Response(200, content=document(*keys))

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        if self.gate is not None:
            await self.gate.wait()
        found = self.answers.get(str(request.url), httpx.Response(503))
        if isinstance(found, Exception):
            raise found
        return found

    def key_set(self, clock: Callable[[], float], jwks_uri: str | None = "https://id.example.com/jwks") -> KeySet:
        return KeySets(httpx.MockTransport(self.answer), clock=clock).of("https://id.example.com", jwks_uri)


def document(*keys: Key) -> bytes:
    return json.dumps({"keys": [held.jwk for held in keys]}).encode()


def kids(keys: Keys) -> set[str | None]:
    return {held.kid for held in keys.keys}


async def settled() -> None:
    """Let everything run that is able to; nothing here waits for a clock or a socket."""
    for _ in range(50):
        await asyncio.sleep(0)
