"""A held call whose caller leaves, or whose step fails, at any point: the request is free for whoever comes back."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from approvals.models import ApprovalRequest
from approvals.recall import revoke
from approvals.runtime import Runtime
from approvals.services import Decided, cancel
from approvals.verdicts import Hold, Verdict
from proxy.asking import Asking
from proxy.background import Background
from proxy.catalogue import Catalogue
from proxy.exchange import Exchange
from proxy.forwarding import Forwarding
from proxy.judging import Judging
from proxy.pipeline import Moved, Settled
from tests.engine import GUARD, approver, bring_into_force, engine, holds, one_of, rule_on, vote
from tests.exchanges import exchange_of
from tests.held import caller
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


@pytest.mark.parametrize("verb", ["revoked", "cancelled"])
def test_what_is_taken_back_while_its_caller_comes_to_collect_is_told_at_once_and_asks_nobody_anew(
    verb: str, engine: Runtime
) -> None:
    def take_back() -> None:
        pk = only_request().pk
        if verb == "revoked":
            said = "wrong customer"
            outcome: Any = revoke(engine, approval_id=pk, person=approver(ALICE), comment=said, via="api")
        else:
            outcome = cancel(engine, approval_id=pk, caller=caller())
        assert isinstance(outcome, Decided)

    async def main() -> Any:
        background = Background()
        await attempt(engine, Tools(forever), background)
        await asyncio.to_thread(lambda: vote(only_request(), ALICE))
        collected = await attempt(engine, Tools(lambda: asyncio.to_thread(take_back)), background)
        await background.finish(10)
        return collected

    outcome = asyncio.run(main())
    assert isinstance(outcome, Settled)
    refused = json.loads(outcome.reply.body)["result"]
    assert refused["isError"]
    fields = refused["_meta"]["holdgate/decision"]
    assert (fields["reason"], fields["executed"]) == (verb, "false")
    assert ("wrong customer" in fields["message"]) == (verb == "revoked")
    assert only_request().status == verb


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


def test_callers_of_one_request_that_was_superseded_share_the_next_and_twins_do_not(engine: Runtime) -> None:
    async def main() -> list[str]:
        background = Background()
        steps = asking(engine, Tools(forever), background)
        first, joined, twin = (exchange_of(engine, wait=GUARD) for _ in range(3))
        waiting = []
        for exchange, handle in ((first, ""), (joined, "first"), (twin, "")):
            if handle:
                exchange.knobs = replace(exchange.knobs, approval=first.approval_id)
            hold = await judged(exchange)
            waiting.append(asyncio.create_task(waited(steps, exchange, hold)))
            while not exchange.approval_id:  # noqa: ASYNC110 - no event says so
                await asyncio.sleep(0.01)
        engine.waiting.start()
        before = [first.approval_id, joined.approval_id, twin.approval_id]
        assert before[0] == before[1] != before[2]
        await asyncio.to_thread(_superseded, set(before))
        engine.waiting.hint(before)
        assert [type(one) for one in await asyncio.gather(*waiting)] == [Moved] * 3
        steps.stopping.set()  # nobody waits any longer than it takes to ask
        exchanges = (first, joined, twin)
        for exchange in exchanges:
            exchange.snapshot = engine.policies.current
        await asyncio.gather(*[_drained(steps, one) for one in exchanges])
        await engine.waiting.stop()
        await background.finish(10)
        return [one.approval_id for one in exchanges]

    first, joined, twin = asyncio.run(main())
    assert first == joined != twin
    assert ApprovalRequest.objects.filter(status="pending").count() == 2


async def judged(exchange: Exchange) -> Hold:
    verdict = await Judge().judge(exchange)
    assert isinstance(verdict, Hold)
    return verdict


async def waited(steps: Asking, exchange: Exchange, hold: Hold) -> Any:
    async for _ in steps.wait(exchange, hold):
        pass
    return await steps.claim(exchange, hold)


async def _drained(steps: Asking, exchange: Exchange) -> None:
    async for _ in steps.wait(exchange, await judged(exchange)):
        pass


def _superseded(ids: set[str]) -> None:
    """Change the rule and let somebody decide: what was asked under the old one is history."""
    bring_into_force(rules=rule_on(holds("one", one_of("security"))))
    for one in ids:
        vote(ApprovalRequest.objects.get(pk=one), ALICE)
