"""Who calls is said by the first entry of a recorded session; leaving early must not keep it out of the record."""

from __future__ import annotations

import asyncio
from typing import Any

from approvals.runtime import Runtime
from proxy.exchange import Exchange
from proxy.places import Places
from proxy.responder import Running
from tests.engine import engine
from tests.exchanges import exchange_of

__all__ = ["engine"]


class Steps:
    """Steps of which the first never ends."""

    def __init__(self) -> None:
        self.places = Places()
        self.judging = asyncio.Event()

    async def judge(self, exchange: Exchange) -> Any:
        self.judging.set()
        await asyncio.Event().wait()


def test_who_leaves_the_first_call_early_is_named_by_the_next(engine: Runtime) -> None:
    async def main() -> tuple[bool, bool]:
        steps: Any = Steps()
        first, second = exchange_of(engine), exchange_of(engine)
        steps.places.place(first)
        begun = bool(first.opening)
        running = Running(first, steps)
        await steps.judging.wait()
        running.leave()
        await asyncio.gather(running.task, return_exceptions=True)
        steps.places.place(second)
        return begun, bool(second.opening)

    assert asyncio.run(main()) == (True, True)
