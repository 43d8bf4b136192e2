"""Bars of a plot, laid out: the template draws them as SVG, and a table beside it says the same. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

HEIGHT = 100.0
STEP = 10.0
GAP = 2.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One piece of a column, in the units of the drawing; `kind` is its class."""

    kind: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing of so many units, its bars, and the value that its full height stands for."""

    width: float
    height: float
    bars: tuple[Bar, ...]
    top: int


def stacked(columns: Sequence[Sequence[tuple[str, int]]]) -> Plot:
    """Lay out columns of (kind, count), each stacked from the bottom in its order."""
    top = max((sum(count for _, count in column) for column in columns), default=0)
    bars: list[Bar] = []
    for index, column in enumerate(columns):
        floor = HEIGHT
        for kind, count in column:
            if not count:
                continue
            height = round(HEIGHT * count / top, 2)
            floor = round(floor - height, 2)
            bars.append(Bar(kind, index * STEP + GAP / 2, floor, STEP - GAP, height))
    return Plot(len(columns) * STEP, HEIGHT, tuple(bars), top)
