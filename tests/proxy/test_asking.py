"""A held call whose caller leaves, or whose step fails, at any point: the request is free for whoever comes back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from approvals.models import ApprovalRequest
from approvals.runtime import Runtime
from approvals.verdicts import Hold, Verdict
from proxy.asking import Asking
from proxy.background import Background
from proxy.catalogue import Catalogue
from proxy.exchange import Exchange
from proxy.forwarding import Forwarding
from proxy.judging import Judging
from tests.engine import engine, vote
from tests.exchanges import exchange_of
from tests.people import ALICE

__all__ = ["engine"]
pytestmark = pytest.mark.promise("bound-decision")


class Judge:
    """Judges by the policy in force, without looking for tools."""

    async def judge(self, exchange: Exchange) -> Verdict:
        return exchange.snapshot.policy.judge(exchange.call)


class Tools:
    """The tools of an upstream that does something else than listing them."""

    def __init__(self, instead: Callable[[], Awaitable[None]]) -> None:
        self.asked = asyncio.Event()
        self._instead = instead

    async def refresh(self, exchange: Exchange) -> None:
        self.asked.set()
        await self._instead()


def asking(house: Runtime, tools: Tools, background: Background) -> Asking:
    forwarding = Forwarding(house, cast("Any", None), cast("Any", None), background)
    return Asking(house, cast("Judging", Judge()), cast("Catalogue", tools), forwarding, background)


async def attempt(house: Runtime, tools: Tools, background: Background) -> Any:
    exchange = exchange_of(house, wait=0.0)
    hold = await Judge().judge(exchange)
    assert isinstance(hold, Hold)
    steps = asking(house, tools, background)
    async for _ in steps.wait(exchange, hold):
        pass
    return await steps.claim(exchange, hold)


async def forever() -> None:
    await asyncio.Event().wait()


async def broken() -> None:
    raise ConnectionError


def only_request() -> ApprovalRequest:
    return ApprovalRequest.objects.get()


@pytest.mark.parametrize("how", ["leaves", "fails"])
def test_an_approval_can_be_collected_when_the_first_collector_did_not_get_to_it(how: str, engine: Runtime) -> None:
    async def main() -> None:
        background, tools = Background(), Tools(forever if how == "leaves" else broken)
        await attempt(engine, tools, background)
        await asyncio.to_thread(lambda: vote(only_request(), ALICE))
        collecting = asyncio.create_task(attempt(engine, tools, background))
        await tools.asked.wait()
        if how == "leaves":
            collecting.cancel()
        assert isinstance((await asyncio.gather(collecting, return_exceptions=True))[0], BaseException)
        await background.finish(10)

    asyncio.run(main())
    assert (only_request().status, only_request().attached_to) == ("approved", "")


def test_a_request_of_who_left_while_it_was_committed_is_joined(engine: Runtime) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def gate() -> tuple[None, tuple[()]]:
        reached.set()
        assert go_on.wait(10)
        return None, ()

    async def main() -> None:
        background, tools = Background(), Tools(forever)
        before = asyncio.create_task(engine.journal.transact(gate))
        await asyncio.to_thread(reached.wait, 10)
        leaving = asyncio.create_task(attempt(engine, tools, background))
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # its request waits for the writer now
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        go_on.set()
        await before
        await background.finish(10)

    asyncio.run(main())
    assert only_request().attached_to == ""
