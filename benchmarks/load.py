"""The load: callers in closed loops, each on a connection of its own; every answer is checked.

`python -m benchmarks.load` obeys lines of JSON: `do` and the arguments of one of `DOERS`.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
import uvloop

from benchmarks import messages
from benchmarks.child import obey, say
from benchmarks.holding import Held, decide_one, last_event, waiting
from benchmarks.mixed import mixed
from benchmarks.sessions import session_calls, session_streams
from benchmarks.wire import Connection, connect

OPENING_AT_ONCE = 64
_numbers = itertools.count(1_000_000)


async def calls(
    port: int,
    path: str,
    callers: int,
    seconds: float,
    verdict: str,
    authorization: str,
    masked: bool,
    tool: str = messages.CALL,
) -> dict[str, Any]:
    """Call for some seconds and return how many calls were answered, and the latencies in milliseconds."""
    connections = [await connect(port) for _ in range(callers)]
    latencies: list[float] = []
    text = messages.expected(tool, masked)
    end = time.perf_counter() + seconds

    async def caller(connection: Connection) -> None:
        while (started := time.perf_counter()) < end:
            number = next(_numbers)
            request = messages.request(port, path, messages.call(number, tool), tool=tool, authorization=authorization)
            status, body = await connection.ask(request)
            latencies.append(time.perf_counter() - started)
            assert status == 200, (status, body[:300])
            messages.check(body, number, text, verdict)

    started = time.perf_counter()
    try:
        await asyncio.gather(*map(caller, connections))
    finally:
        for connection in connections:
            connection.close()
    return {"calls": len(latencies), "seconds": time.perf_counter() - started, **spread(latencies)}


async def beside(port: int, path: str, seconds: float, authorization: str) -> dict[str, Any]:
    """Call for small answers, one after the other, while a second caller does nothing but fetch large ones."""

    async def one(tool: str) -> dict[str, Any]:
        return await calls(port, path, 1, seconds, "allow", authorization, masked=True, tool=tool)

    small, large = await asyncio.gather(one(messages.CALL), one(messages.LARGE))
    return {"small": small, "large": large}


@dataclass
class Heard:
    """When the first piece of a stream came."""

    first: float = 0.0

    def __call__(self, _chunk: bytes) -> None:
        self.first = self.first or time.perf_counter()


async def streams(port: int, path: str, count: int, masked: bool, authorization: str) -> dict[str, Any]:
    """Read some streams one after the other; `first` is the median time to the first event."""
    connection = await connect(port)
    firsts: list[float] = []
    since = time.perf_counter()
    for _ in range(count):
        number, heard = next(_numbers), Heard()
        started = time.perf_counter()
        body = messages.call(number, messages.STREAM)
        request = messages.request(port, path, body, tool=messages.STREAM, authorization=authorization)
        status, answer = await connection.ask(request, heard)
        assert status == 200, (status, answer[:300])
        messages.check_stream(answer, number, masked)
        firsts.append(heard.first - started)
    connection.close()
    took = (time.perf_counter() - since) / count
    return {"events": count * messages.EVENTS, "first": statistics.median(firsts) * 1000, "seconds": took}


_held: list[Held] = []


async def hold(port: int, path: str, count: int, authorization: str) -> dict[str, Any]:
    """Open held calls; return how long it took until each had heard that it waits."""
    gate = asyncio.Semaphore(OPENING_AT_ONCE)

    async def opened() -> None:
        async with gate:
            held = Held(await connect(port), next(_numbers))
            await waiting(held, port, path, authorization)
            _held.append(held)

    started = time.perf_counter()
    await asyncio.gather(*(opened() for _ in range(count)))
    return {"seconds": time.perf_counter() - started}


async def decide(port: int, count: int, authorization: str) -> dict[str, Any]:
    """Approve some of the held calls one by one, at whatever process has this port.

    Returns, in milliseconds, the time from sending the decision to the approver's answer (`approver`), and from the
    decision as the database dates it to the call's arrival at the upstream (`run`), to the first byte at the held
    caller (`first`) and to its whole answer (`decided`).
    """
    connection = await connect(port)
    times: dict[str, list[float]] = {"approver": [], "run": [], "first": [], "decided": []}
    for held in [_held.pop() for _ in range(count)]:
        started = time.perf_counter()
        moment = await decide_one(connection, port, held, authorization)
        times["approver"].append(time.perf_counter() - started)
        assert held.answered is not None
        _, events = await asyncio.wait_for(held.answered, 10)
        answer = last_event(events)
        messages.check(answer, held.number, messages.MASKED, "hold")
        times["run"].append(orjson.loads(answer)["result"]["_meta"][messages.ARRIVED] - moment)
        times["first"].append(held.first_on - moment)
        times["decided"].append(held.answered_on - moment)
        held.connection.close()
    connection.close()
    return {name: spread(values) for name, values in times.items()}


async def leave() -> dict[str, Any]:
    """Close the connections of all calls that are still held."""
    for held in _held:
        held.connection.close()
    answered = [held.answered for held in _held if held.answered is not None]
    await asyncio.gather(*answered, return_exceptions=True)
    _held.clear()
    return {"left": len(answered)}


def spread(seconds: list[float]) -> dict[str, float]:
    """Return median, 99th percentile and the longest in milliseconds."""
    ordered = sorted(seconds)
    places = {"p50": len(ordered) // 2, "p99": len(ordered) * 99 // 100, "most": len(ordered) - 1}
    return {name: ordered[place] * 1000 for name, place in places.items()}


DOERS: dict[str, Callable[..., Any]] = {
    "calls": calls,
    "session_calls": session_calls,
    "session_streams": session_streams,
    "beside": beside,
    "streams": streams,
    "hold": hold,
    "decide": decide,
    "leave": leave,
    "mixed": mixed,
}


async def _main() -> None:
    say({"ready": True})
    await obey(DOERS)


if __name__ == "__main__":
    uvloop.run(_main())
