"""Listing the tools of a server that hangs: nobody waits without end, and every listing that was begun has an end."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from approvals.catalogue.models import ToolPin
from approvals.runtime import Runtime
from proxy.background import Background
from proxy.catalogue import Catalogue
from proxy.exchange import Exchange
from proxy.faults import CallFailed
from proxy.own_requests import OwnRequests
from proxy.transport import Transport
from sessions.models import Entry, OpenCall
from tests.engine import engine
from tests.exchanges import exchange_of

__all__ = ["engine"]


class Server:
    """Says this to whatever it is asked; nothing: never answers."""

    def __init__(self, result: dict[str, Any] | None = None) -> None:
        self.asked = asyncio.Event()
        self.result = result

    async def ask(
        self, exchange: Exchange, body: bytes, *, request_id: Any = None, method: str = ""
    ) -> AsyncIterator[list[bytes]]:
        self.asked.set()
        if self.result is None:
            await asyncio.Event().wait()
        yield [json.dumps({"jsonrpc": "2.0", "id": request_id, "result": self.result}).encode()]


def catalogue(house: Runtime, server: Server, background: Background) -> Catalogue:
    return Catalogue(house, OwnRequests(house, cast("Transport", server), background))


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


@pytest.mark.promise("fail-closed")
@pytest.mark.parametrize("levels", [300, 900])
def test_a_definition_too_deep_to_be_read_ends_the_listing_and_the_call(levels: int, engine: Runtime) -> None:
    deep: Any = "x"
    for _ in range(levels):
        deep = [deep]

    async def main() -> None:
        server = Server({"tools": [{"name": "one", "inputSchema": deep}]})
        await catalogue(engine, server, Background()).digest(exchange_of(engine, timeout=30.0))

    with pytest.raises(CallFailed) as failed:
        asyncio.run(main())
    assert (failed.value.refusal.reason, failed.value.refusal.executed) == ("upstream_invalid", "false")
    assert not OpenCall.objects.exists()
    assert not ToolPin.objects.exists()


def test_a_server_that_is_asked_once_is_not_asked_for_every_call(engine: Runtime) -> None:
    server = Server({"tools": [{"name": "one"}]})

    async def main() -> list[Any]:
        tools = catalogue(engine, server, Background())
        return [await tools.digest(exchange_of(engine, timeout=30.0)) for _ in range(5)]

    assert len(set(asyncio.run(main()))) == 1
    assert ends() == ["call.intent", "call.result"]
    assert ToolPin.objects.get().status == "accepted"


def test_a_changed_definition_is_held_back_and_looked_for_again_only_now_and_then(engine: Runtime) -> None:
    server = Server({"tools": [{"name": "one"}]})

    async def main() -> list[bool]:
        tools, call = catalogue(engine, server, Background()), exchange_of(engine, timeout=30.0)
        found = [await tools.holds_back(call, await tools.digest(call) or "")]
        server.result = {"tools": [{"name": "one", "description": "other"}]}
        await tools.refresh(call)
        return [*found, *[await tools.holds_back(call, await tools.digest(call) or "") for _ in range(3)]]

    assert asyncio.run(main()) == [False, True, True, True]
    assert ends() == ["call.intent", "call.result"] * 2


@pytest.mark.promise("fail-closed")
def test_a_definition_that_cannot_be_masked_is_written_down_nowhere_and_its_call_is_refused(engine: Runtime) -> None:
    server = Server({"tools": [{"name": "one"}]})

    async def main() -> CallFailed:
        tools, call = catalogue(engine, server, Background()), exchange_of(engine, timeout=30.0)
        await tools.digest(call)
        # Half of a surrogate pair: it can be read, and not be written.
        server.result = {"tools": [{"name": "one", "description": "\ud800 ghp_" + "a1B2" * 9}]}
        with pytest.raises(CallFailed) as failed:
            await tools.refresh(call)
        return failed.value

    failed = asyncio.run(main())
    assert failed.refusal.executed == "false"
    assert failed.refusal.reason in {"masking_failed", "upstream_invalid"}
    assert not OpenCall.objects.exists()
    pin = ToolPin.objects.get()
    assert (pin.status, pin.pending_definition) == ("accepted", ""), "what was accepted stays as it was"


def test_all_pages_of_a_list_are_pinned_each_with_its_own_intent(engine: Runtime) -> None:
    pages = {None: ["one", "two"], "2": ["three"]}

    class Paged(Server):
        async def ask(self, exchange: Exchange, body: bytes, **how: Any) -> AsyncIterator[list[bytes]]:
            cursor = json.loads(body)["params"].get("cursor")
            more = {"nextCursor": "2"} if cursor is None else {}
            self.result = {"tools": [{"name": name} for name in pages[cursor]], **more}
            async for group in super().ask(exchange, body, **how):
                yield group

    async def main() -> None:
        tools, call = catalogue(engine, Paged({}), Background()), exchange_of(engine, timeout=30.0)
        await tools.digest(call)
        pages["2"] = ["three", "four"]
        await tools.refresh(call)

    asyncio.run(main())
    assert ends() == ["call.intent", "call.result"] * 4
    assert {pin.tool: pin.status for pin in ToolPin.objects.all()} == {
        "one": "accepted",
        "two": "accepted",
        "three": "accepted",
        "four": "new",
    }
