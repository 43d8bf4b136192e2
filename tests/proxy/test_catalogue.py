"""Listing the tools of a server that hangs: nobody waits without end, and every listing that was begun has an end."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from approvals.runtime import Runtime
from proxy.background import Background
from proxy.catalogue import Catalogue
from proxy.exchange import Exchange
from proxy.faults import CallFailed
from proxy.transport import Transport
from sessions.models import Entry, OpenCall
from tests.engine import engine
from tests.exchanges import exchange_of

__all__ = ["engine"]


class Server:
    """Says this to whatever it is asked; nothing: never answers."""

    def __init__(self, result: dict[str, Any] | None = None) -> None:
        self.asked = asyncio.Event()
        self._result = result

    async def ask(
        self, exchange: Exchange, body: bytes, *, request_id: Any = None, method: str = ""
    ) -> AsyncIterator[list[bytes]]:
        self.asked.set()
        if self._result is None:
            await asyncio.Event().wait()
        yield [json.dumps({"jsonrpc": "2.0", "id": request_id, "result": self._result}).encode()]


def catalogue(house: Runtime, server: Server, background: Background) -> Catalogue:
    return Catalogue(house, cast("Transport", server), background)


def ends() -> list[str]:
    found = Entry.objects.filter(kind__startswith="call.").order_by("id")
    return list(found.values_list("kind", flat=True))


def test_with_a_server_that_hangs_nobody_waits_for_all_who_came_before(engine: Runtime) -> None:
    async def main() -> list[Any]:
        tools = catalogue(engine, Server(), Background())
        calls = [tools.digest(exchange_of(engine, timeout=0.5)) for _ in range(10)]
        return await asyncio.gather(*calls, return_exceptions=True)

    started = time.monotonic()
    outcomes = asyncio.run(main())

    assert time.monotonic() - started < 4, "one after the other they had taken five seconds"
    assert all(isinstance(outcome, CallFailed) for outcome in outcomes), outcomes
    assert {outcome.refusal.reason for outcome in outcomes} == {"upstream_timeout"}
    assert {outcome.refusal.executed for outcome in outcomes} == {"false"}
    assert not OpenCall.objects.exists()


@pytest.mark.promise("nothing-lost")
def test_a_listing_whose_caller_leaves_has_its_end(engine: Runtime) -> None:
    async def main() -> None:
        background, server = Background(), Server()
        tools = catalogue(engine, server, background)
        listing = asyncio.create_task(tools.digest(exchange_of(engine, timeout=30.0)))
        await server.asked.wait()
        listing.cancel()
        await asyncio.gather(listing, return_exceptions=True)
        await background.finish(10)

    asyncio.run(main())
    assert ends() == ["call.intent", "call.cancelled"]
    assert not OpenCall.objects.exists()


@pytest.mark.parametrize("tools", [7, "abc", {"a": 1}])
def test_a_list_that_is_none_is_a_fault_of_the_server(tools: Any, engine: Runtime) -> None:
    async def main() -> None:
        await catalogue(engine, Server({"tools": tools}), Background()).digest(exchange_of(engine, timeout=30.0))

    with pytest.raises(CallFailed) as failed:
        asyncio.run(main())
    assert (failed.value.refusal.reason, failed.value.refusal.executed) == ("upstream_invalid", "false")
    assert ends() == ["call.intent", "call.failed", "call.refused"]
