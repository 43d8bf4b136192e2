"""A long run of mixed traffic: do memory and descriptors stay where they are, and does the record verify afterwards?"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.child import memory_kib
from benchmarks.report import Figure
from benchmarks.world import HELD, World
from tests.people import CONNECTION

RATE = 30.0
SAMPLE_SECONDS = 10.0
_WARM = 0.25  # of the run is warm-up
_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 60


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the gateway."""

    minute: float
    memory: float
    descriptors: float


def soak(world: World, *, minutes: float, rate: float = RATE) -> list[Figure]:
    """Send mixed traffic, look at the gateway every ten seconds, and verify its record at the end."""
    paths = {"open": f"/mcp/{CONNECTION}", "held": f"/mcp/{HELD}"}
    world.load.tell(
        do="mixed", port=world.gateway.port, paths=paths, seconds=minutes * 60, rate=rate,
        dave=world.dave, alice=world.alice,
    )  # fmt: skip
    samples = _watch(world.gateway_pid, minutes * 60)
    done = world.load.read()["done"]
    world.gateway.stop()
    verified = world.gateway.manage("verify", check=False)
    said = verified.stdout.strip().splitlines() or verified.stderr.strip().splitlines() or ["nothing"]
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(done.items()))
    cell = f"soak {minutes:g} min"
    return [
        Figure(cell, "calls, all answered right", f"{sum(done.values()):,}: {kinds}"),
        *_flat(cell, "memory (MiB)", [(one.minute, one.memory) for one in samples], "<= 5 %"),
        *_flat(cell, "descriptors", [(one.minute, one.descriptors) for one in samples], "<= 5 %"),
        Figure(cell, "manage.py verify", f"exit {verified.returncode}: {said[-1]}", "exit <= 0"),
    ]


def _watch(pid: int, seconds: float) -> list[Sample]:
    started, samples = time.monotonic(), []
    pause = min(SAMPLE_SECONDS, seconds / 12)
    while (passed := time.monotonic() - started) < seconds:
        samples.append(Sample(passed / 60, memory_kib(pid) / 1024, float(len(os.listdir(f"/proc/{pid}/fd")))))
        time.sleep(pause)
    return samples


def _flat(cell: str, what: str, points: list[tuple[float, float]], target: str) -> list[Figure]:
    """Return how far the line through all that came after the warm-up rises to the end, and a picture of the whole."""
    warm = points[int(len(points) * _WARM) :]
    slope, level = line(warm)
    start, end = level + slope * warm[0][0], level + slope * warm[-1][0]
    shown = f"{(end / start - 1) * 100:+.1f} % ({start:.1f} to {end:.1f}, {slope:+.3f} a minute)"
    values = [value for _, value in points]
    picture = f"{min(values):.0f} {plot(values)} {max(values):.0f}"
    return [Figure(cell, f"{what} after warm-up", shown, target), Figure(cell, f"{what} over time", picture)]


def line(points: list[tuple[float, float]]) -> tuple[float, float]:
    """Return slope and level of the line through these points that leaves the least squares."""
    x_mean, y_mean = (sum(point[axis] for point in points) / len(points) for axis in (0, 1))
    spread = sum((x - x_mean) ** 2 for x, _ in points)
    slope = sum((x - x_mean) * (y - y_mean) for x, y in points) / spread if spread else 0.0
    return slope, y_mean - slope * x_mean


def plot(values: list[float]) -> str:
    """Return the values as bars between the least and the greatest, at most sixty of them."""
    count = min(_WIDTH, len(values))
    edges = [len(values) * number // count for number in range(count + 1)]
    means = [sum(values[start:end]) / (end - start) for start, end in pairwise(edges)]
    low, high = min(values), max(values)
    return "".join(_BARS[min(7, int((mean - low) / ((high - low) or 1) * 8))] for mean in means)
