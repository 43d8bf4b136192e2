"""Governed calls through an agent beside governed calls to the same upstream directly, in short rounds in turn."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from benchmarks.child import cpu_seconds, pin
from benchmarks.paired import Side, one_round, sides
from benchmarks.report import Figure
from benchmarks.world import BEHIND, LOAD_CORE, World, upstream_url
from tests.agent import Agent, made, running
from tests.people import CONNECTION

CALLERS = 32
_SHOWN = "{rate:,.0f}/s, p50 {p50:.2f} ms, p99 {p99:.2f} ms, {cpu:.3f} ms CPU of the gateway"


def behind(world: World, *, seconds: float, rounds: int) -> list[Figure]:
    """Measure calls of one KiB of 32 callers; the agent shares its core with upstream and load."""
    with tempfile.TemporaryDirectory(prefix="holdgate-agent-") as folder:
        served = {BEHIND: {"url": upstream_url(world.upstream)}}
        agent = Agent(Path(folder) / "agent", made(world.gateway, BEHIND), world.gateway.url, served)
        with running(agent):
            assert agent.process is not None
            pin(agent.process.pid, LOAD_CORE)
            return _compared(world, agent.process.pid, seconds, rounds)


def _compared(world: World, agent: int, seconds: float, rounds: int) -> list[Figure]:
    direct = sides(world)[2]
    assert direct.path == f"/mcp/{CONNECTION}"
    through = Side(direct.port, direct.pid, f"/mcp/{BEHIND}", direct.verdict, direct.masked)
    for side in (direct, through):
        one_round(world, side, CALLERS, seconds / 2)
    measured, cpu, calls = [], 0.0, 0.0
    for _ in range(rounds):
        one = one_round(world, direct, CALLERS, seconds)
        before = cpu_seconds(agent)
        other = one_round(world, through, CALLERS, seconds)
        cpu, calls = cpu + cpu_seconds(agent) - before, calls + other["rate"] * seconds
        measured.append((one, other))
    shown = [{key: statistics.median(pair[at][key] for pair in measured) for key in measured[0][at]} for at in (0, 1)]
    ratio = statistics.median(other["rate"] / one["rate"] for one, other in measured)
    cell = f"agent c={CALLERS}"
    return [
        Figure(cell, "governed, the upstream called directly", _SHOWN.format(**shown[0])),
        Figure(cell, "governed, through the agent", _SHOWN.format(**shown[1])),
        Figure(cell, "CPU of the agent for a call", f"{cpu * 1000 / calls:.3f} ms"),
        Figure(cell, "calls/s through the agent against directly", f"{ratio:.2f} x", ">= 0.5 x"),
    ]
