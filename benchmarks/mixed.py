"""Mixed traffic at a steady pace: allowed, blocked, held and approved, streams, and callers that leave midway."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from benchmarks import messages
from benchmarks.holding import Held, decide_one, last_event, waiting
from benchmarks.wire import Connection, connect

# Of a hundred calls; a stream has a thousand events.
SHARES = {"allowed": 62, "blocked": 15, "held": 13, "left while held": 6, "left a stream": 3, "stream": 1}
PATIENCE = 60.0
KEPT_SECONDS = 2.0  # the server closes an idle connection after five
_numbers = itertools.count(50_000_000)


@dataclass
class Traffic:
    """The callers of one run, and how many calls of each kind came to their end."""

    port: int
    paths: dict[str, str]
    dave: str
    alice: str
    done: Counter[str] = field(default_factory=Counter)
    idle: list[tuple[float, Connection]] = field(default_factory=list)

    async def one(self, kind: str, pause: float) -> None:
        """Make one call of this kind. Raises AssertionError on a wrong answer, TimeoutError when there is none."""
        async with asyncio.timeout(PATIENCE):
            if kind in {"allowed", "blocked"}:
                await self._plain(kind)
            elif kind in {"held", "left while held"}:
                await self._held(kind, pause)
            else:
                await self._stream(kind)
        self.done[kind] += 1

    async def _connection(self) -> Connection:
        while self.idle:
            since, connection = self.idle.pop()
            if time.monotonic() - since < KEPT_SECONDS:
                return connection
            connection.close()
        return await connect(self.port)

    def _keep(self, connection: Connection) -> None:
        self.idle.append((time.monotonic(), connection))

    async def _plain(self, kind: str) -> None:
        number, connection = next(_numbers), await self._connection()
        body = messages.call(number, sql="DROP TABLE orders" if kind == "blocked" else messages.SQL)
        request = messages.request(self.port, self.paths["open"], body, authorization=self.dave)
        status, answer = await connection.ask(request)
        self._keep(connection)
        if kind == "allowed":
            assert status == 200, (status, answer[:300])
            messages.check(answer, number, messages.MASKED, "allow")
        else:
            assert b'"verdict":"deny"' in answer, (status, answer[:300])

    async def _held(self, kind: str, pause: float) -> None:
        held = Held(await connect(self.port), next(_numbers))
        await waiting(held, self.port, self.paths["held"], self.dave)
        await asyncio.sleep(pause)
        if kind == "held":
            connection = await self._connection()
            await decide_one(connection, self.port, held, self.alice)
            self._keep(connection)
            assert held.answered is not None
            _, events = await held.answered
            messages.check(last_event(events), held.number, messages.MASKED, "hold")
        held.connection.close()
        if held.answered is not None:
            await asyncio.gather(held.answered, return_exceptions=True)

    async def _stream(self, kind: str) -> None:
        number, connection = next(_numbers), await connect(self.port)
        body = messages.call(number, messages.STREAM)
        request = messages.request(self.port, self.paths["open"], body, tool=messages.STREAM, authorization=self.dave)
        begun = asyncio.Event()
        asking = asyncio.create_task(connection.ask(request, lambda _chunk: begun.set()))
        if kind == "stream":
            messages.check_stream((await asking)[1], number, True)
        else:
            await begun.wait()
        connection.close()
        await asyncio.gather(asking, return_exceptions=True)


async def mixed(
    port: int, paths: dict[str, str], seconds: float, rate: float, dave: str, alice: str
) -> dict[str, dict[str, int]]:
    """Start `rate` calls a second for some seconds, however long each takes; return how many of each kind ended well.

    Raises the first fault of a call.
    """
    traffic, dice = Traffic(port, paths, dave, alice), random.Random(7)  # noqa: S311 - the same mix in each run
    running: set[asyncio.Task[Any]] = set()
    faults: list[BaseException] = []
    started = time.perf_counter()

    def ended(task: asyncio.Task[Any]) -> None:
        running.discard(task)
        if (fault := task.exception()) is not None:
            faults.append(fault)

    for number in itertools.count():
        await asyncio.sleep(started + number / rate - time.perf_counter())
        if faults or time.perf_counter() - started >= seconds:
            break
        kind = dice.choices(list(SHARES), list(SHARES.values()))[0]
        task = asyncio.create_task(traffic.one(kind, 3 * dice.random()))
        running.add(task)
        task.add_done_callback(ended)
    if running:
        await asyncio.wait(set(running))
    for _, connection in traffic.idle:
        connection.close()
    if faults:
        raise faults[0]
    return {"done": dict(traffic.done)}
