"""The load: callers in closed loops, each on a connection of its own; every answer is checked.

`python -m benchmarks.load` obeys lines of JSON: `calls`, `streams`, `hold`, `decide`, `leave`.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import statistics
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
import uvloop

from benchmarks import messages
from benchmarks.child import obey, say
from benchmarks.wire import Connection, connect

_APPROVAL = re.compile(rb"approval ([0-9a-f-]{36})")
OPENING_AT_ONCE = 64
_numbers = itertools.count(1_000_000)


async def calls(
    port: int, path: str, callers: int, seconds: float, text: str, verdict: str, authorization: str
) -> dict[str, Any]:
    """Call for some seconds and return how many calls were answered, and the latencies in milliseconds."""
    connections = [await connect(port) for _ in range(callers)]
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def caller(connection: Connection) -> None:
        while (started := time.perf_counter()) < end:
            number = next(_numbers)
            request = messages.request(port, path, messages.call(number), authorization=authorization)
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
    return {"events": count * messages.EVENTS, "first": statistics.median(firsts) * 1000}


@dataclass
class Held:
    """One held call: its approval, and when its answer had come."""

    connection: Connection
    number: int
    approval: str = ""
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    answered: asyncio.Task[tuple[int, bytes]] | None = None
    answered_at: float = 0.0
    answered_on: float = 0.0  # by the wall clock, which is the database's too

    def heard(self, chunk: bytes) -> None:
        """Note the approval that the first sign of life names."""
        if not self.approval and (found := _APPROVAL.search(chunk)):
            self.approval = found.group(1).decode()
            self.opened.set()


_held: list[Held] = []


async def hold(port: int, path: str, count: int, authorization: str) -> dict[str, Any]:
    """Open held calls; return how long it took until each had heard that it waits."""
    gate = asyncio.Semaphore(OPENING_AT_ONCE)

    async def opened() -> None:
        async with gate:
            held = Held(await connect(port), next(_numbers))
            request = messages.request(port, path, messages.call(held.number), authorization=authorization)
            held.answered = asyncio.create_task(_answer(held, request))
            waiting = asyncio.create_task(held.opened.wait())
            await asyncio.wait({held.answered, waiting}, return_when=asyncio.FIRST_COMPLETED)
            assert held.approval, held.answered.result()
            _held.append(held)

    started = time.perf_counter()
    await asyncio.gather(*(opened() for _ in range(count)))
    return {"seconds": time.perf_counter() - started}


async def _answer(held: Held, request: bytes) -> tuple[int, bytes]:
    answer = await held.connection.ask(request, held.heard)
    held.answered_at, held.answered_on = time.perf_counter(), time.time()
    return answer


async def decide(port: int, count: int, authorization: str) -> dict[str, Any]:
    """Approve some of the held calls one by one.

    Returns, in milliseconds, the time from sending the decision to the approver's answer (`approver`) and to the
    whole answer of the held call (`caller`), and to the latter from the decision as the database dates it
    (`decided`).
    """
    connection = await connect(port)
    callers: list[float] = []
    approvers: list[float] = []
    decided: list[float] = []
    for held in [_held.pop() for _ in range(count)]:
        body = orjson.dumps({"decision": "approve"})
        head = (
            f"POST /api/v1/approvals/{held.approval}/decide/ HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n"
            f"content-type: application/json\r\nauthorization: {authorization}\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        started = time.perf_counter()
        status, answer = await connection.ask(head.encode() + body)
        approvers.append(time.perf_counter() - started)
        assert status == 200, (status, answer[:300])
        assert held.answered is not None
        _, events = await asyncio.wait_for(held.answered, 10)
        callers.append(held.answered_at - started)
        moment = datetime.fromisoformat(orjson.loads(answer)["decided_at"])
        decided.append(held.answered_on - moment.timestamp())
        messages.check(_last_event(events), held.number, messages.MASKED, "hold")
        held.connection.close()
    connection.close()
    return {"caller": spread(callers), "approver": spread(approvers), "decided": spread(decided)}


async def leave() -> dict[str, Any]:
    """Close the connections of all calls that are still held."""
    for held in _held:
        held.connection.close()
    answered = [held.answered for held in _held if held.answered is not None]
    await asyncio.gather(*answered, return_exceptions=True)
    _held.clear()
    return {"left": len(answered)}


def _last_event(body: bytes) -> bytes:
    return [line[6:] for line in body.splitlines() if line.startswith(b"data: ")][-1]


def spread(seconds: list[float]) -> dict[str, float]:
    """Return median and 99th percentile in milliseconds."""
    ordered = sorted(seconds)
    return {"p50": ordered[len(ordered) // 2] * 1000, "p99": ordered[len(ordered) * 99 // 100] * 1000}


async def _main() -> None:
    say({"ready": True})
    await obey({"calls": calls, "streams": streams, "hold": hold, "decide": decide, "leave": leave})


if __name__ == "__main__":
    uvloop.run(_main())
