"""Governed calls and streams beside the bare pass-through and the upstream itself, in short rounds in turn."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from benchmarks import messages
from benchmarks.child import Child, cpu_seconds
from benchmarks.report import Figure
from benchmarks.world import UNMASKED, World
from tests.people import CONNECTION

CALLERS = (1, 32, 256)


@dataclass(frozen=True, slots=True)
class Side:
    """One of those that are compared."""

    port: int
    pid: int
    path: str
    verdict: str = ""
    masked: bool = False


def sides(world: World) -> tuple[Side, Side, Side]:
    """Return the upstream itself, the pass-through, and the gateway."""
    direct, bare = (Side(one.hello["port"], one.process.pid, "/mcp") for one in (world.upstream, world.bare))
    return direct, bare, Side(world.gateway.port, world.gateway_pid, f"/mcp/{CONNECTION}", "allow", True)


def calls(world: World, *, seconds: float, rounds: int) -> list[Figure]:
    """Measure calls of one KiB at 1, 32 and 256 callers."""
    for side in sides(world):
        one_round(world, side, 32, seconds / 2)
    figures: list[Figure] = []
    rates: dict[int, float] = {}
    for callers in CALLERS:
        compared = _compare(world, callers, seconds, rounds)
        rates[callers] = compared.governed["rate"]
        figures += _figures(callers, compared)
    kept = rates[256] / rates[32]
    return [*figures, Figure("calls", "calls/s at 256 callers against 32", f"{kept:.2f} x", ">= 0.8 x")]


@dataclass(frozen=True, slots=True)
class Compared:
    """The medians of the rounds of each side, and of the ratios of calls per second within each round."""

    direct: dict[str, float]
    bare: dict[str, float]
    governed: dict[str, float]
    to_direct: float
    to_bare: float


def _compare(world: World, callers: int, seconds: float, rounds: int, tool: str = messages.CALL) -> Compared:
    all_sides = sides(world)
    measured = [[one_round(world, side, callers, seconds, tool) for side in all_sides] for _ in range(rounds)]
    direct, bare, governed = (
        {key: statistics.median(one[at][key] for one in measured) for key in measured[0][at]} for at in range(3)
    )
    to_direct, to_bare = (statistics.median(one[2]["rate"] / one[at]["rate"] for one in measured) for at in (0, 1))
    return Compared(direct, bare, governed, to_direct, to_bare)


def one_round(
    world: World, side: Side, callers: int, seconds: float, tool: str = messages.CALL, load: Child | None = None
) -> dict[str, float]:
    """Call one side for some seconds; return calls per second, milliseconds of its processor each, and latencies."""
    before = cpu_seconds(side.pid)
    answer = (load or world.load).ask(
        do="calls", port=side.port, path=side.path, callers=callers, seconds=seconds, tool=tool,
        verdict=side.verdict, masked=side.masked, authorization=world.dave,
    )  # fmt: skip
    cpu = (cpu_seconds(side.pid) - before) * 1000 / answer["calls"]
    return {"rate": answer["calls"] / answer["seconds"], "cpu": cpu, "p50": answer["p50"], "p99": answer["p99"]}


_SHOWN = "{rate:,.0f}/s, p50 {p50:.2f} ms, p99 {p99:.2f} ms, {cpu:.3f} ms CPU"


def _figures(callers: int, compared: Compared) -> list[Figure]:
    cell, governed = f"calls c={callers}", compared.governed
    figures = [
        Figure(cell, "direct to the upstream", _SHOWN.format(**compared.direct)),
        Figure(cell, "bare pass-through", _SHOWN.format(**compared.bare)),
        Figure(cell, "governed, masked, recorded", _SHOWN.format(**governed)),
        Figure(cell, "calls/s against direct", f"{compared.to_direct:.4f} x"),
    ]
    if callers == 1:
        figures.append(Figure(cell, "calls/s against the pass-through", f"{compared.to_bare:.2f} x"))
        figures.append(Figure(cell, "added p50", f"{governed['p50'] - compared.bare['p50']:.2f} ms", "<= 2.5 ms"))
    else:
        figures.append(Figure(cell, "CPU of a governed call", f"{governed['cpu']:.3f} ms", "<= 0.6 ms"))
        figures.append(Figure(cell, "calls/s against the pass-through", f"{compared.to_bare:.2f} x", ">= 0.4 x"))
    return figures


def bodies(world: World, *, seconds: float, rounds: int) -> list[Figure]:
    """Measure answers of 64 KiB and of 1 MiB that are full of personal data, and small calls beside the latter."""
    figures: list[Figure] = []
    for tool, cell, target in ((messages.MIDDLE, "64 KiB", "<= 5 ms"), (messages.LARGE, "1 MiB", "<= 60 ms")):
        compared = _compare(world, 1, seconds, rounds, tool)
        for what, side in (
            ("direct", compared.direct),
            ("pass-through", compared.bare),
            ("governed", compared.governed),
        ):
            figures.append(Figure(cell, what, _SHOWN.format(**side)))
        added = compared.governed["p50"] - compared.bare["p50"]
        figures.append(Figure(cell, "added p50", f"{added:.2f} ms", target))
    return [*figures, *_beside(world, seconds)]


def _beside(world: World, seconds: float) -> list[Figure]:
    """A caller that always waits for something small notices each block; what it needs anyway is taken off."""
    gateway = sides(world)[2]
    command = {"port": gateway.port, "path": gateway.path, "authorization": world.dave, "seconds": seconds * 2}
    alone = world.load.ask(do="calls", callers=1, masked=True, verdict="allow", **command)
    small = world.load.ask(do="beside", **command)["small"]
    shown, cell = "p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {most:.1f} ms", "1 MiB"
    return [
        Figure(cell, "small calls alone", shown.format(**alone)),
        Figure(cell, "small calls beside it", shown.format(**small)),
        Figure(cell, "longest block, as its neighbour saw it", f"{small['most'] - alone['p50']:.1f} ms", "<= 25 ms"),
    ]


def streams(world: World, *, count: int) -> list[Figure]:
    """Measure streams of 1,000 events: through the pass-through, through the gateway unmasked, and masked."""
    _, bare, governed = sides(world)
    plain = Side(governed.port, governed.pid, f"/mcp/{UNMASKED}")
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
    return world.load.ask(
        do="streams", port=side.port, path=side.path, count=count, masked=side.masked, authorization=world.dave
    )
