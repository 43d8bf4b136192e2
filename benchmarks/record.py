"""The record alone: events that are durable per second, with 256 waiters. A process of its own on a fresh database.

`python -m benchmarks.record SECONDS` migrates, measures, and prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

import django
import uvloop

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gatewayproj.settings")
django.setup()

from django.core.management import call_command  # noqa: E402 - after Django is set up

from approvals.publication import CURRENT_REVISION  # noqa: E402
from benchmarks.child import say  # noqa: E402
from benchmarks.load import spread  # noqa: E402
from sessions.events import Event, Payload  # noqa: E402
from sessions.ids import uuid7  # noqa: E402
from sessions.journal import Journal  # noqa: E402

WAITERS = 256
ORIGIN = "bench.example"
SESSION, ACTOR = "0196f3a2-7c1e-7000-8000-000000000001", "9f2c4d1be07a5566a1b2c3d4e5f60718"
_BODY = Payload(b'{"jsonrpc":"2.0","id":7,"result":' + b"x" * 480 + b"}")


def event(kind: str, call_id: str, session: str = SESSION, actor: str = ACTOR) -> Event:
    """Return an event of usual size, with a payload of half a KiB."""
    return Event(
        kind=kind,
        call_id=call_id,
        session=session,
        connection="orders-db",
        method="tools/call",
        tool="read_orders",
        actor=actor,
        policy_revision=1,
        policy_digest="ab" * 32,
        facts={"verdict": "allow", "rules": ["reads-are-free"], "executed": "true", "status": 200},
        payloads={"answer": _BODY},
        recover_after=100.0 if kind == "call.intent" else None,
    )


async def measure(seconds: float, *kinds: str, waiters: int = WAITERS) -> dict[str, float]:
    """Let so many waiters append these kinds in turn; return events per second, p50 and p99 in ms, CPU in us each.

    `writer` is the share of the CPU outside of the event loop's thread: the record's own.
    """
    journal = Journal(origin=ORIGIN, build="bench", timeout=30, revision=CURRENT_REVISION, capacity=10_000)
    await asyncio.to_thread(journal.start)
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def waiter() -> None:
        while time.perf_counter() < end:
            call_id = uuid7()
            for kind in kinds:
                began = time.perf_counter()
                await journal.append(event(kind, call_id), revision=0)
                latencies.append(time.perf_counter() - began)

    cpu, own, started = time.process_time(), time.thread_time(), time.perf_counter()
    await asyncio.gather(*(waiter() for _ in range(waiters)))
    elapsed, cpu, own = time.perf_counter() - started, time.process_time() - cpu, time.thread_time() - own
    await asyncio.to_thread(journal.stop)
    each = 1e6 / len(latencies)
    return {"rate": len(latencies) / elapsed, "cpu": cpu * each, "writer": (cpu - own) * each, **spread(latencies)}


if __name__ == "__main__":
    call_command("migrate", verbosity=0, interactive=False)
    duration = float(sys.argv[1])
    uvloop.run(measure(0.5, "call.message"))
    say(
        {
            "events": uvloop.run(measure(duration, "call.message")),
            "calls": uvloop.run(measure(duration, "call.intent", "call.result")),
            "few": uvloop.run(measure(duration, "call.intent", "call.result", waiters=32)),
            "one": uvloop.run(measure(duration, "call.intent", "call.result", waiters=1)),
        }
    )
