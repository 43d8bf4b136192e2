"""Who calls is said by the first entry of a recorded session; leaving early must not keep it out of the record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from approvals.runtime import Runtime
from proxy.exchange import Exchange
from proxy.pipeline import Pulse, Reply
from proxy.places import Places
from proxy.responder import leave, pump
from tests.engine import engine
from tests.exchanges import exchange_of

__all__ = ["engine"]


class Service:
    """Answers nothing, and never ends."""

    def __init__(self) -> None:
        self.places = Places()
        self.begun = asyncio.Event()

    def finished(self, exchange: Exchange) -> None:
        self.places.forget(exchange)

    async def run(self, exchange: Exchange) -> AsyncGenerator[Sequence[Reply | Pulse]]:
        self.begun.set()
        await asyncio.Event().wait()
        yield ()

    def left(self, exchange: Exchange) -> None:
        """Nobody waited for anything."""


async def unheard(_: object) -> None:
    raise AssertionError


def test_who_leaves_the_first_call_early_is_named_by_the_next(engine: Runtime) -> None:
    async def main() -> tuple[bool, bool]:
        service = Service()
        first, second = exchange_of(engine), exchange_of(engine)
        service.places.place(first)
        begun = bool(first.opening)
        running = asyncio.ensure_future(pump(first, service, unheard))
        await service.begun.wait()
        leave(first, running)
        await asyncio.gather(running, return_exceptions=True)
        service.places.place(second)
        return begun, bool(second.opening)

    assert asyncio.run(main()) == (True, True)
