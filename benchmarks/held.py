"""Calls that wait for people: what each costs in memory, and how soon its caller hears of the decision."""

from __future__ import annotations

import time

from benchmarks.child import cpu_seconds, memory_kib
from benchmarks.report import Figure
from benchmarks.world import HELD, World

IDLE_SECONDS = 2.0


def held(world: World, *, count: int, decisions: int) -> list[Figure]:
    """Hold `count` calls in the gateway's one process, decide some of them one by one, and let the rest go."""
    pid, before = world.gateway_pid, memory_kib(world.gateway_pid)
    opened = world.load.ask(
        do="hold", port=world.gateway.port, path=f"/mcp/{HELD}", count=count, authorization=world.dave
    )
    each = (memory_kib(pid) - before) / count
    cpu, started = cpu_seconds(pid), time.perf_counter()
    time.sleep(IDLE_SECONDS)
    idle = (cpu_seconds(pid) - cpu) / (time.perf_counter() - started)
    decided = world.load.ask(
        do="decide", port=world.gateway.port, count=min(decisions, count), authorization=world.alice
    )
    world.load.ask(do="leave")
    cell, shown = f"held n={count:,}", "p50 {p50:.1f} ms, p99 {p99:.1f} ms"
    return [
        Figure(cell, "memory per held call", f"{each:.1f} KiB", "<= 32 KiB"),
        Figure(cell, "opened", f"{count / opened['seconds']:,.0f}/s"),
        Figure(cell, "processor while they wait", f"{idle:.3f} core"),
        Figure(cell, "decision sent -> approver answered", shown.format(**decided["approver"])),
        Figure(cell, "decision sent -> call run and answered", shown.format(**decided["caller"])),
        Figure(
            cell, "decided -> call run and answered", shown.format(**decided["decided"]), "p50 <= 5 ms, p99 <= 25 ms"
        ),
    ]
