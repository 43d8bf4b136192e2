"""Governed calls and streams, each beside the bare pass-through: short rounds in turn, and the median of the rounds."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from benchmarks import messages
from benchmarks.child import cpu_seconds
from benchmarks.report import Figure
from benchmarks.world import UNMASKED, World
from tests.people import CONNECTION

CALLERS = (1, 32, 256)


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two that are compared."""

    port: int
    pid: int
    path: str
    text: str
    verdict: str = ""


def sides(world: World) -> tuple[Side, Side]:
    """Return the pass-through and the gateway."""
    bare = Side(world.bare.hello["port"], world.bare.process.pid, "/mcp", messages.TEXT)
    path = f"/mcp/{CONNECTION}"
    return bare, Side(world.gateway.port, world.gateway_pid, path, messages.MASKED, "allow")


def calls(world: World, *, seconds: float, rounds: int) -> list[Figure]:
    """Measure calls of one KiB at 1, 32 and 256 callers."""
    both = sides(world)
    for side in both:
        _round(world, side, 32, seconds / 2)
    figures: list[Figure] = []
    rates: dict[int, float] = {}
    for callers in CALLERS:
        measured = [[_round(world, side, callers, seconds) for side in both] for _ in range(rounds)]
        bare, governed = (
            {key: statistics.median(one[at][key] for one in measured) for key in measured[0][at]} for at in (0, 1)
        )
        ratio = statistics.median(one[1]["rate"] / one[0]["rate"] for one in measured)
        rates[callers] = governed["rate"]
        figures += _figures(callers, bare, governed, ratio)
    kept = rates[256] / rates[32]
    return [*figures, Figure("calls", "calls/s at 256 callers against 32", f"{kept:.2f} x", ">= 0.8 x")]


def _round(world: World, side: Side, callers: int, seconds: float) -> dict[str, float]:
    before = cpu_seconds(side.pid)
    answer = world.load.ask(
        do="calls", port=side.port, path=side.path, callers=callers, seconds=seconds,
        text=side.text, verdict=side.verdict, authorization=world.dave,
    )  # fmt: skip
    cpu = (cpu_seconds(side.pid) - before) * 1000 / answer["calls"]
    return {"rate": answer["calls"] / answer["seconds"], "cpu": cpu, "p50": answer["p50"], "p99": answer["p99"]}


def _figures(callers: int, bare: dict[str, float], governed: dict[str, float], ratio: float) -> list[Figure]:
    cell = f"calls c={callers}"
    shown = "{rate:,.0f}/s, p50 {p50:.2f} ms, p99 {p99:.2f} ms, {cpu:.3f} ms CPU"
    figures = [
        Figure(cell, "bare pass-through", shown.format(**bare)),
        Figure(cell, "governed, masked, recorded", shown.format(**governed)),
    ]
    if callers == 1:
        figures.append(Figure(cell, "added p50", f"{governed['p50'] - bare['p50']:.2f} ms", "<= 2.5 ms"))
    else:
        figures.append(Figure(cell, "CPU of a governed call", f"{governed['cpu']:.3f} ms", "<= 0.6 ms"))
        figures.append(Figure(cell, "calls/s against the pass-through", f"{ratio:.2f} x", ">= 0.4 x"))
    return figures


def streams(world: World, *, count: int) -> list[Figure]:
    """Measure streams of 1,000 events: through the pass-through, through the gateway unmasked, and masked."""
    bare, governed = sides(world)
    plain = Side(governed.port, governed.pid, f"/mcp/{UNMASKED}", messages.TEXT)
    figures = []
    for side, what, target in (
        (bare, "bare pass-through", ""),
        (plain, "governed, recorded, nothing to mask", "<= 10 us"),
        (governed, "governed, masked, recorded", "<= 40 us"),
    ):
        _stream(world, side, 1)
        before = cpu_seconds(side.pid)
        answer = _stream(world, side, count)
        cpu = (cpu_seconds(side.pid) - before) * 1e6 / answer["events"]
        shown = f"{cpu:.1f} us CPU per event, first after {answer['first']:.1f} ms"
        figures.append(Figure("streams", what, shown, target))
    return figures


def _stream(world: World, side: Side, count: int) -> Any:
    masked = side.text == messages.MASKED
    return world.load.ask(
        do="streams", port=side.port, path=side.path, count=count, masked=masked, authorization=world.dave
    )
