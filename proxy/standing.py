"""Streams that stand for as long as their caller listens: GET of the older era, `subscriptions/listen` of the newer.

They have no time limit, so they give a sign of life when nothing comes, end when the gateway stops, and are few for
each caller: every one of them keeps a connection to its server.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from proxy.cutting import read_into
from proxy.mcp import Message

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from proxy import mcp
    from proxy.exchange import Exchange

PULSE_SECONDS = 15.0
MOST_OF_CALLER = 32
MOST = 1000


def listening(asked: mcp.Control) -> Message:
    """Return the stream of a session as a message, so that it takes the same way as all others."""
    return Message(
        kind="stream",
        id=None,
        method=asked.verb,
        params={},
        name=None,
        arguments={},
        era="legacy",
        version=asked.version,
        progress_token=None,
        meta={},
        session=asked.session,
        raw=b'{"stream":"GET"}',
    )


class Standing:
    """The standing streams of one process."""

    def __init__(self) -> None:
        self._of_caller: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[Any]] = set()

    def is_full(self, actor: str) -> bool:
        """Say whether this caller, or all together, have as many as they may."""
        return self._of_caller[actor] >= MOST_OF_CALLER or len(self._tasks) >= MOST

    @contextmanager
    def kept(self, exchange: Exchange, task: asyncio.Task[Any]) -> Iterator[None]:
        """Count the exchange while the block lasts, if it is a standing stream; `end` ends it then."""
        if not exchange.is_standing:
            yield
            return
        self._of_caller[exchange.actor] += 1
        self._tasks.add(task)
        try:
            yield
        finally:
            self._tasks.discard(task)
            self._of_caller[exchange.actor] -= 1
            self._of_caller += Counter()  # forgets callers without any

    def end(self) -> None:
        """End all of them: the process stops, and their callers come back to another one."""
        for task in tuple(self._tasks):
            task.cancel()


async def pulsed(groups: AsyncGenerator[list[bytes]]) -> AsyncGenerator[list[bytes]]:
    """Yield what comes, and an empty group whenever nothing came for a while."""
    come: asyncio.Queue[list[bytes] | Exception | None] = asyncio.Queue(1)
    # One task reads it all: time limits inside of it belong to the task that began them.
    reading = asyncio.ensure_future(read_into(come, groups))
    try:
        while True:
            try:
                found = await asyncio.wait_for(come.get(), PULSE_SECONDS)
            except TimeoutError:
                yield []
                continue
            if isinstance(found, Exception):
                raise found
            if found is None:
                return
            yield found
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
